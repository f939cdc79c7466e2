//! Client connection of the commands `call` and `probe` to a running server: its settings, TLS, token
//! and timeouts.

mod local_server;

use std::{
    env,
    error::Error as _,
    fmt::{self, Write},
    future::Future,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use clap::Args;
use http::Uri;
use tonic::{
    Request, Response, Status,
    metadata::{Ascii, MetadataValue},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};

use self::local_server::LocalServer;
use crate::{
    clock::Clock,
    config::{DEFAULT_LISTEN, LISTEN_VARIABLE, TLS_CERT_VARIABLE, socket_path},
    error_chain::error_chain,
    files::bounded_file::{self, FileKind},
    tls::{
        certificate::{self, Holder},
        client, pem,
    },
};

const NO_AUTHORITIES: &str = "no certificate authorities found on this system: install the \
    ca-certificates package, or set SSL_CERT_FILE or --ca";

/// The settings of the connection to a server.
#[derive(Args, Debug)]
#[command(next_help_heading = "Connection")]
pub struct ClientArgs {
    #[arg(long, global = true, env = "IAI_FACADE_ADDRESS", value_name = "ADDRESS", help = format!(
        "Address of the server: HOST:PORT, http://HOST:PORT or unix:PATH for plain text, https://HOST:PORT for TLS \
         [default: the server configured by the environment, as in its container: {LISTEN_VARIABLE}, with \
         TLS if {TLS_CERT_VARIABLE} is set; else {DEFAULT_LISTEN}]"
    ))]
    address: Option<Address>,

    /// Name that the server certificate must have [default: the host of the address]
    #[arg(
        long,
        global = true,
        env = "IAI_FACADE_CLIENT_SERVER_NAME",
        value_name = "NAME",
        requires = "address"
    )]
    server_name: Option<String>,

    /// PEM file of certificate authorities to trust instead of those of the system
    #[arg(
        long,
        global = true,
        env = "IAI_FACADE_CLIENT_CA",
        value_name = "FILE",
        requires = "address"
    )]
    ca: Option<PathBuf>,

    /// PEM file of the client certificate
    #[arg(
        long,
        global = true,
        env = "IAI_FACADE_CLIENT_CERT",
        value_name = "FILE",
        requires_all = ["key", "address"]
    )]
    cert: Option<PathBuf>,

    /// PEM file of the private key of the client certificate
    #[arg(
        long,
        global = true,
        env = "IAI_FACADE_CLIENT_KEY",
        value_name = "FILE",
        requires = "cert"
    )]
    key: Option<PathBuf>,

    /// File that contains the bearer token to send
    #[arg(
        long,
        global = true,
        env = "IAI_FACADE_CLIENT_TOKEN_FILE",
        value_name = "FILE"
    )]
    token_file: Option<PathBuf>,

    /// Maximum time to connect, from 1ms to 1h
    #[arg(
        long,
        global = true,
        env = "IAI_FACADE_CLIENT_CONNECT_TIMEOUT",
        value_name = "DURATION",
        default_value = "1s",
        value_parser = bounded_duration
    )]
    connect_timeout: Duration,

    /// Maximum duration of the call after connecting, from 1ms to 1h
    #[arg(
        long,
        global = true,
        env = "IAI_FACADE_CLIENT_CALL_TIMEOUT",
        value_name = "DURATION",
        default_value = "1s",
        value_parser = bounded_duration
    )]
    call_timeout: Duration,
}

/// A way to connect.
enum Target {
    Local(LocalServer),
    Plain,
    Tls(ClientTlsConfig),
}

/// The address of a server.
#[derive(Clone, Debug)]
pub enum Address {
    /// A host and port, with scheme `https` for TLS.
    Host(Uri),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

/// Writes the address as an argument.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = socket_path(text) {
            return path.map(Self::Unix);
        }
        let has_scheme = text.contains("://");
        let text = if has_scheme {
            text.to_owned()
        } else {
            format!("http://{text}")
        };
        let problem = "not of the form HOST:PORT, http://HOST:PORT, https://HOST:PORT or unix:PATH";
        let uri: Uri = text.parse().map_err(|_| problem)?;
        let is_known = matches!(uri.scheme_str(), Some("http" | "https"));
        let is_bare = matches!(
            uri.path_and_query().map(|path| path.as_str()),
            None | Some("/")
        );
        if !is_known || !is_bare || uri.port_u16().is_none() {
            return Err(problem.to_owned());
        }
        Ok(Self::Host(uri))
    }
}

/// The reason why a connection failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An argument, or a file that it names, is invalid.
    #[error("{0}")]
    Arguments(String),

    /// The connection failed.
    #[error("cannot connect to {address}: {reason}")]
    Connect {
        /// The address of the server.
        address: Address,
        /// The cause, with the remedy if a certificate was rejected.
        reason: String,
    },
}

/// A connection to a server, with the token and timeout of its calls.
#[derive(Debug)]
pub struct Connection {
    channel: Channel,
    authorization: Option<MetadataValue<Ascii>>,
    call_timeout: Duration,
    /// The reason why servers reject the client certificate, if they do.
    certificate_rejection: Option<String>,
}

impl ClientArgs {
    /// Connects to the server.
    ///
    /// # Errors
    ///
    /// Fails if a file is invalid, or if the connection is not established in time.
    pub async fn connect(&self) -> Result<Connection, Error> {
        let authorization = self.authorization()?;
        let (address, target) = match &self.address {
            Some(address @ Address::Host(uri)) => (address.clone(), self.target(uri)?),
            Some(address @ Address::Unix(path)) => {
                let server = LocalServer::on_socket(path.clone());
                (address.clone(), Target::Local(server))
            }
            None => {
                let server = LocalServer::new(|name| env::var(name).ok());
                let server = server.map_err(Error::Arguments)?;
                let address = Address::from_str(&server.address.to_string());
                (address.map_err(Error::Arguments)?, Target::Local(server))
            }
        };
        let uri = match &address {
            Address::Host(uri) => uri.clone(),
            // The authority that the clients of gRPC send.
            Address::Unix(_) => Uri::from_static("http://localhost"),
        };
        let server_name = self.server_name.as_deref().or(uri.host());
        let holder = Holder::Server(server_name.unwrap_or_default());
        let unreachable = |source: Box<dyn std::error::Error + Send + Sync>| Error::Connect {
            address: address.clone(),
            reason: certificate::explain(&*source, holder),
        };
        let connect = async {
            let endpoint = Endpoint::from(uri.clone()).connect_timeout(self.connect_timeout);
            match target {
                Target::Local(server) => server.connect(endpoint).await,
                Target::Plain => endpoint.connect().await,
                Target::Tls(tls) => endpoint.tls_config(tls)?.connect().await,
            }
        };
        // The timeout of the endpoint does not cover the TLS and HTTP/2 handshakes.
        let channel = tokio::time::timeout(self.connect_timeout, connect)
            .await
            .map_err(|late| unreachable(late.into()))?
            .map_err(|error| unreachable(error.into()))?;
        Ok(Connection {
            channel,
            authorization,
            call_timeout: self.call_timeout,
            certificate_rejection: self.certificate_rejection(),
        })
    }

    fn target(&self, address: &Uri) -> Result<Target, Error> {
        match address.scheme_str() {
            Some("https") => self.tls().map(Target::Tls),
            _ => Ok(Target::Plain),
        }
    }

    fn tls(&self) -> Result<ClientTlsConfig, Error> {
        let mut tls = match &self.ca {
            Some(path) => {
                let pem = read(path, FileKind::Certificates)?;
                pem::parse_certificates(&pem).map_err(|problem| file_error(path, &problem))?;
                ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem))
            }
            None => match client::system_roots() {
                roots if roots.is_empty() => {
                    return Err(Error::Arguments(NO_AUTHORITIES.to_owned()));
                }
                roots => ClientTlsConfig::new().trust_anchors(roots.roots),
            },
        };
        if let Some(name) = &self.server_name {
            tls = tls.domain_name(name);
        }
        if let (Some(cert_file), Some(key_file)) = (&self.cert, &self.key) {
            let cert = read(cert_file, FileKind::Certificates)?;
            let key = read(key_file, FileKind::Key)?;
            pem::parse_certificates(&cert).map_err(|problem| file_error(cert_file, &problem))?;
            pem::parse_key(&key).map_err(|problem| file_error(key_file, &problem))?;
            pem::check_pair(&cert, &key).map_err(|problem| file_error(key_file, &problem))?;
            tls = tls.identity(Identity::from_pem(cert, key));
        }
        Ok(tls)
    }

    fn certificate_rejection(&self) -> Option<String> {
        let pem = read(self.cert.as_ref()?, FileKind::Certificates).ok()?;
        let certificates = pem::parse_certificates(&pem).ok()?;
        let now = Clock::system().now();
        certificate::rejection_reason(certificates.first()?, Holder::Client, now)
    }

    fn authorization(&self) -> Result<Option<MetadataValue<Ascii>>, Error> {
        let Some(path) = &self.token_file else {
            return Ok(None);
        };
        let token = read(path, FileKind::Credential)?;
        let value = format!("Bearer {}", String::from_utf8_lossy(&token).trim_end());
        let mut value: MetadataValue<Ascii> = value.parse().map_err(|_| {
            Error::Arguments(format!(
                "{}: the token has a character other than visible ASCII",
                path.display()
            ))
        })?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

impl Connection {
    /// Returns the channel.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Waits for the response to a call, up to `--call-timeout`. The timeout covers the whole response,
    /// which a server may begin and not finish.
    ///
    /// # Errors
    ///
    /// Fails with the status of the call, or with DEADLINE_EXCEEDED. If the connection broke, the
    /// message contains the cause.
    pub async fn response<T>(
        &self,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<Response<T>, Status> {
        let response = tokio::time::timeout(self.call_timeout, call).await;
        let response = response.unwrap_or_else(|_| {
            Err(Status::deadline_exceeded(
                "the server did not respond within --call-timeout",
            ))
        });
        response.map_err(|status| self.explained(status))
    }

    /// Adds the cause to a status that was created by the client, not received from the server.
    fn explained(&self, status: Status) -> Status {
        let Some(cause) = status.source() else {
            return status;
        };
        let mut message = format!("{}: {}", status.message(), error_chain(cause));
        // The TLS alert that rejects the certificate is hidden behind HTTP/2 errors.
        if let Some(reason) = &self.certificate_rejection {
            let _ = write!(message, ": {reason}");
        }
        Status::new(status.code(), message)
    }

    /// Returns a request with the deadline and the bearer token of this connection.
    pub fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(self.call_timeout);
        if let Some(authorization) = &self.authorization {
            request
                .metadata_mut()
                .insert("authorization", authorization.clone());
        }
        request
    }
}

/// Returns text from a server for one line of a terminal: escapes control and format characters as in
/// JSON.
pub fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for character in text.chars() {
        let is_shown = matches!(character, '"' | '\'' | '\\');
        if is_shown || character.escape_debug().len() == 1 {
            printable.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(printable, "\\u{unit:04x}");
            }
        }
    }
    printable
}

fn bounded_duration(text: &str) -> Result<Duration, String> {
    let bounds = Duration::from_millis(1)..=Duration::from_secs(3_600);
    match humantime::parse_duration(text) {
        Ok(duration) if bounds.contains(&duration) => Ok(duration),
        _ => Err("not a duration from 1ms to 1h, such as 500ms or 10s".to_owned()),
    }
}

fn read(path: &Path, kind: FileKind) -> Result<Vec<u8>, Error> {
    bounded_file::read_once(path, kind).map_err(|error| Error::Arguments(error.to_string()))
}

fn file_error(path: &Path, problem: &str) -> Error {
    Error::Arguments(format!("{}: {problem}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_a_server_cannot_control_a_terminal() {
        for (text, expected) in [
            ("a \"b\" \\ 'c'", "a \"b\" \\ 'c'"),
            ("a\nb", "a\\u000ab"),
            ("\u{1b}[2J\r", "\\u001b[2J\\u000d"),
            ("\u{9b}1m\u{7f}\u{202e}", "\\u009b1m\\u007f\\u202e"),
            ("\u{e0041}", "\\udb40\\udc41"),
            ("\u{4eba}", "\u{4eba}"),
        ] {
            assert_eq!(printable(text), expected);
        }
    }

    #[test]
    fn an_address_is_a_host_and_port_or_a_unix_socket() {
        let cases = [
            ("localhost:50051", "http://localhost:50051/"),
            ("[::1]:50051", "http://[::1]:50051/"),
            ("http://10.0.0.1:80", "http://10.0.0.1:80/"),
            ("https://facade.example:443", "https://facade.example:443/"),
            ("unix:///run/facade.sock", "unix:/run/facade.sock"),
        ];

        for (text, expected) in cases {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), expected);
        }
        for text in [
            "",
            " ",
            "localhost",
            "http://localhost",
            "grpc://a:1",
            "a:1/path",
            "a:b",
            "a:99999",
            "unix:",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
