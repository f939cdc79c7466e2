//! Route to the endpoint: makes a connection step by step, as the HTTP client does in one.

use std::{
    io::{self, ErrorKind},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};

use super::{
    advice::Fault,
    step::Finding,
    tls::{TlsClient, describe},
    tunnel::{self, TunnelError},
};
use crate::config::{Endpoint, Proxy, Upstream};

/// The way to the endpoint: direct, or through its proxy.
pub(super) struct Route<'a> {
    endpoint: &'a Endpoint,
    proxy: Option<&'a Proxy>,
    /// The maximum duration of each step.
    timeout: Duration,
}

/// A connection on which TLS with the endpoint begins.
pub(super) enum Connection {
    Tcp(TcpStream),
    Tunnel(tunnel::Tunnel),
}

impl<'a> Route<'a> {
    /// Creates the route of the settings.
    pub(super) fn new(upstream: &'a Upstream) -> Self {
        let endpoint = &upstream.endpoint;
        Self {
            endpoint,
            proxy: upstream.proxies.proxy_for(endpoint),
            timeout: upstream.connect_timeout,
        }
    }

    /// Resolves the host of the proxy, or of the endpoint if there is none.
    pub(super) async fn resolve(&self) -> (Finding, Option<Vec<SocketAddr>>) {
        let (whose, host, port) = self.peer();
        if let Ok(address) = host.parse::<IpAddr>() {
            let reason = format!("the host of the {whose} is an address");
            let addresses = vec![SocketAddr::new(address, port)];
            return (Finding::skipped(reason), Some(addresses));
        }
        match timeout(self.timeout, lookup_host((host, port))).await {
            Ok(Ok(addresses)) => {
                let addresses: Vec<_> = addresses.collect();
                let Some(first) = addresses.first() else {
                    let summary = format!("{host} has no address");
                    return (Finding::failed(summary, Fault::UnknownHost.advice()), None);
                };
                let more = match addresses.len() {
                    1 => String::new(),
                    number => format!(" and {} more", number - 1),
                };
                let summary = format!("{host} is {}{more}", first.ip());
                (Finding::ok(summary), Some(addresses))
            }
            Ok(Err(error)) => {
                let summary = format!("{host} cannot be resolved: {error}");
                (Finding::failed(summary, Fault::UnknownHost.advice()), None)
            }
            Err(_) => {
                let summary = format!("no response for {host} within {}", self.limit());
                (Finding::failed(summary, Fault::DnsTimeout.advice()), None)
            }
        }
    }

    /// Connects to the first of the addresses that accepts.
    pub(super) async fn connect(&self, addresses: &[SocketAddr]) -> (Finding, Option<TcpStream>) {
        let (whose, _, port) = self.peer();
        let shown = match addresses {
            [address] => address.to_string(),
            _ => format!("any address of the {whose}, port {port}"),
        };
        let (reason, fault) = match timeout(self.timeout, TcpStream::connect(addresses)).await {
            Ok(Ok(stream)) => {
                let peer = stream.peer_addr().map_or(shown, |peer| peer.to_string());
                return (Finding::ok(format!("connected to {peer}")), Some(stream));
            }
            Ok(Err(error)) => (error.to_string(), fault(&error)),
            Err(_) => {
                let reason = format!("no response within {}", self.limit());
                (reason, Fault::ConnectTimeout)
            }
        };
        let summary = format!("cannot connect to {shown}: {reason}");
        (Finding::failed(summary, fault.advice()), None)
    }

    /// Asks the proxy, if any, for a tunnel to an endpoint with TLS.
    pub(super) async fn pass_proxy(
        &self,
        stream: TcpStream,
        tls: &TlsClient,
    ) -> (Finding, Option<Connection>) {
        let Some(proxy) = self.proxy else {
            let finding = Finding::skipped("no proxy applies to the endpoint");
            return (finding, Some(Connection::Tcp(stream)));
        };
        if !self.endpoint.is_encrypted() {
            let reason =
                "a proxy passes requests to an http endpoint one by one: see the next steps";
            return (Finding::skipped(reason), Some(Connection::Tcp(stream)));
        }
        let tunnel = tunnel::open(proxy, self.endpoint, stream, tls);
        let error = match timeout(self.timeout, tunnel).await {
            Ok(Ok(tunnel)) => {
                let summary = format!("{proxy} opened a tunnel");
                return (Finding::ok(summary), Some(Connection::Tunnel(tunnel)));
            }
            Ok(Err(error)) => error,
            Err(_) => TunnelError::no_response(self.limit()),
        };
        let summary = format!("{proxy}: {}", error.reason);
        (Finding::failed(summary, error.fault.advice()), None)
    }

    /// Makes the TLS handshake with the endpoint, and closes the connection.
    pub(super) async fn handshake(
        &self,
        connection: Connection,
        tls: &TlsClient,
    ) -> (Finding, Option<()>) {
        if !self.endpoint.is_encrypted() {
            return (Finding::skipped("the endpoint is plain HTTP"), Some(()));
        }
        let host = self.endpoint.url().host_str().unwrap_or_default();
        let handshake = async {
            match connection {
                Connection::Tcp(stream) => tls.connect(host, stream).await.map(|it| describe(&it)),
                Connection::Tunnel(tunnel) => {
                    tls.connect(host, tunnel).await.map(|it| describe(&it))
                }
            }
        };
        match timeout(self.timeout, handshake).await {
            Ok(Ok(summary)) => (Finding::ok(summary), Some(())),
            Ok(Err(error)) => (Finding::failed(error.reason, error.fault.advice()), None),
            Err(_) => {
                let summary = format!("no response to the handshake within {}", self.limit());
                (Finding::failed(summary, Fault::TlsFailed.advice()), None)
            }
        }
    }

    /// Returns the peer of the connection: what it is, its host and its port.
    fn peer(&self) -> (&'static str, &str, u16) {
        let (whose, url) = match self.proxy {
            Some(proxy) => ("proxy", proxy.secret_url()),
            None => ("endpoint", self.endpoint.url()),
        };
        let host = url.host_str().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        (whose, host, url.port_or_known_default().unwrap_or_default())
    }

    fn limit(&self) -> humantime::FormattedDuration {
        humantime::format_duration(self.timeout)
    }
}

fn fault(error: &io::Error) -> Fault {
    let kind = error.kind();
    if matches!(
        kind,
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset
    ) {
        Fault::Refused
    } else if kind == ErrorKind::TimedOut {
        Fault::ConnectTimeout
    } else {
        Fault::NotConnected
    }
}
