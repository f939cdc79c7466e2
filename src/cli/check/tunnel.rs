//! Proxy tunnel: asks an HTTP proxy for a tunnel to the endpoint (CONNECT, RFC 9110 section 9.3.6), as the
//! HTTP client does, and says why the proxy does not open one.

use std::fmt;

use http::{
    Method, Request, StatusCode,
    header::{HOST, PROXY_AUTHORIZATION},
};
use http_body_util::Empty;
use hyper::{
    body::Bytes,
    client::conn::http1,
    rt::{Read, Write},
    upgrade::{self, Upgraded},
};
use hyper_util::{client::proxy::matcher::Matcher, rt::TokioIo};
use tokio::{net::TcpStream, task::JoinSet};

use super::{
    advice::Fault,
    tls::{HandshakeError, TlsClient},
};
use crate::{
    config::{Endpoint, Proxy},
    error_chain::error_chain,
};

/// A tunnel to the endpoint.
pub(super) type Tunnel = TokioIo<Upgraded>;

/// Why the proxy did not open a tunnel.
#[derive(Debug)]
pub(super) struct TunnelError {
    /// What happened, without a full stop.
    pub(super) reason: String,
    pub(super) fault: Fault,
}

impl TunnelError {
    /// Returns the error for a proxy that did not respond within `limit`.
    pub(super) fn no_response(limit: impl fmt::Display) -> Self {
        Self {
            reason: format!("no response within {limit}"),
            fault: Fault::NotAProxy,
        }
    }
}

/// Asks `proxy`, to which `stream` is connected, for a tunnel to `endpoint`.
pub(super) async fn open(
    proxy: &Proxy,
    endpoint: &Endpoint,
    stream: TcpStream,
    tls: &TlsClient,
) -> Result<Tunnel, TunnelError> {
    let request = request(proxy, endpoint)?;
    if !proxy.is_encrypted() {
        return connect(request, TokioIo::new(stream)).await;
    }
    let host = proxy.secret_url().host_str().unwrap_or_default();
    let stream = tls.connect(host, stream).await.map_err(proxy_tls)?;
    connect(request, TokioIo::new(stream)).await
}

/// Returns the error for a failed handshake with the proxy itself.
fn proxy_tls(HandshakeError { reason, fault }: HandshakeError) -> TunnelError {
    let is_of_proxies = matches!(
        fault,
        Fault::NotTls | Fault::TlsFailed | Fault::UnknownAuthority
    );
    let fault = if is_of_proxies {
        Fault::ProxyTls
    } else {
        fault
    };
    TunnelError { reason, fault }
}

fn request(proxy: &Proxy, endpoint: &Endpoint) -> Result<Request<Empty<Bytes>>, TunnelError> {
    let invalid = |reason: &str| TunnelError {
        reason: reason.to_owned(),
        fault: Fault::NotAProxy,
    };
    let url = endpoint.url();
    let host = url.host_str().unwrap_or_default();
    let authority = format!("{host}:{}", url.port_or_known_default().unwrap_or_default());
    let mut request = Request::builder()
        .method(Method::CONNECT)
        .uri(&authority)
        .header(HOST, &authority)
        .body(Empty::new())
        .map_err(|_| invalid("the endpoint cannot be requested from a proxy"))?;
    let matcher = Matcher::builder().all(proxy.secret_url().as_str()).build();
    let destination = url.as_str().parse().ok();
    let proxy = destination.and_then(|destination| matcher.intercept(&destination));
    let proxy = proxy.ok_or_else(|| invalid("the HTTP client cannot use the proxy"))?;
    if let Some(authorization) = proxy.basic_auth() {
        let mut authorization = authorization.clone();
        authorization.set_sensitive(true);
        let headers = request.headers_mut();
        headers.insert(PROXY_AUTHORIZATION, authorization);
    }
    Ok(request)
}

async fn connect<S>(request: Request<Empty<Bytes>>, stream: S) -> Result<Tunnel, TunnelError>
where
    S: Read + Write + Send + Unpin + 'static,
{
    let failed = |error: hyper::Error| TunnelError {
        reason: error_chain(&error),
        fault: Fault::NotAProxy,
    };
    let (mut sender, connection) = http1::handshake(stream).await.map_err(failed)?;
    // Aborts the task on drop. It has ended if the connection became a tunnel.
    let mut task = JoinSet::new();
    task.spawn(connection.with_upgrades());
    let response = sender.send_request(request).await.map_err(failed)?;
    let status = response.status();
    if status.is_success() {
        let tunnel = upgrade::on(response).await.map_err(failed)?;
        return Ok(TokioIo::new(tunnel));
    }
    Err(TunnelError {
        reason: format!("HTTP {status}"),
        fault: match status {
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => Fault::ProxyAuthentication,
            _ => Fault::ProxyRejected,
        },
    })
}
