//! Connects to a running server, for the commands that ask one.

use std::{fs, path::PathBuf, str::FromStr, time::Duration};

use clap::Args;
use http::Uri;
use tonic::{
    Request,
    metadata::{Ascii, MetadataValue},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};

/// The settings of a command that asks a server.
#[derive(Args, Debug)]
#[command(next_help_heading = "Connection")]
pub struct ClientArgs {
    /// Server to ask, as HOST:PORT or http://HOST:PORT for plain text, or https://HOST:PORT for TLS
    #[arg(
        long,
        global = true,
        env = "IAI_FACADE_ADDRESS",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:50051"
    )]
    address: Address,

    /// PEM file of certificate authorities to trust instead of those of the machine
    #[arg(long, global = true, value_name = "FILE")]
    ca: Option<PathBuf>,

    /// PEM file of the certificate to show to the server
    #[arg(long, global = true, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,

    /// PEM file of the key of the certificate
    #[arg(long, global = true, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,

    /// File with the bearer token to send
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// How long connecting may take, from 1ms to 1h
    #[arg(long, global = true, value_name = "DURATION", default_value = "1s", value_parser = bounded_duration)]
    connect_timeout: Duration,

    /// How long the call may take once connected, from 1ms to 1h
    #[arg(long, global = true, value_name = "DURATION", default_value = "1s", value_parser = bounded_duration)]
    call_timeout: Duration,
}

/// Where a server is, and whether it speaks TLS.
#[derive(Clone, Debug)]
struct Address(Uri);

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let has_scheme = text.contains("://");
        let text = if has_scheme {
            text.to_owned()
        } else {
            format!("http://{text}")
        };
        let problem = "not of the form HOST:PORT, http://HOST:PORT or https://HOST:PORT";
        let uri: Uri = text.parse().map_err(|_| problem)?;
        let is_known = matches!(uri.scheme_str(), Some("http" | "https"));
        let is_bare = matches!(
            uri.path_and_query().map(|path| path.as_str()),
            None | Some("/")
        );
        if !is_known || !is_bare || uri.port_u16().is_none() {
            return Err(problem.to_owned());
        }
        Ok(Self(uri))
    }
}

/// Why a server cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The arguments cannot be used.
    #[error("{0}")]
    Arguments(String),

    /// The server cannot be reached.
    #[error("cannot connect to {address}")]
    Connect {
        /// The server.
        address: Uri,
        /// What went wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A connection to a server, with what its calls have in common.
#[derive(Debug)]
pub struct Connection {
    channel: Channel,
    authorization: Option<MetadataValue<Ascii>>,
    call_timeout: Duration,
}

impl ClientArgs {
    /// Connects to the server.
    ///
    /// # Errors
    ///
    /// Fails if a file cannot be read, and if the server cannot be reached in time.
    pub async fn connect(&self) -> Result<Connection, Error> {
        let Address(address) = &self.address;
        let unreachable = |source| Error::Connect {
            address: address.clone(),
            source,
        };

        let mut endpoint = Endpoint::from(address.clone()).connect_timeout(self.connect_timeout);
        if address.scheme_str() == Some("https") {
            endpoint = endpoint
                .tls_config(self.tls()?)
                .map_err(|error| unreachable(error.into()))?;
        }
        let authorization = self.authorization()?;
        // The endpoint's own bound does not hold for TLS and what follows it.
        let channel = tokio::time::timeout(self.connect_timeout, endpoint.connect())
            .await
            .map_err(|late| unreachable(late.into()))?
            .map_err(|error| unreachable(error.into()))?;
        Ok(Connection {
            channel,
            authorization,
            call_timeout: self.call_timeout,
        })
    }

    fn tls(&self) -> Result<ClientTlsConfig, Error> {
        let mut tls = match &self.ca {
            Some(path) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(path)?)),
            None => ClientTlsConfig::new().with_native_roots(),
        };
        if let (Some(cert), Some(key)) = (&self.cert, &self.key) {
            tls = tls.identity(Identity::from_pem(read(cert)?, read(key)?));
        }
        Ok(tls)
    }

    fn authorization(&self) -> Result<Option<MetadataValue<Ascii>>, Error> {
        let Some(path) = &self.token_file else {
            return Ok(None);
        };
        let token = read(path)?;
        let value = format!("Bearer {}", String::from_utf8_lossy(&token).trim_end());
        let mut value: MetadataValue<Ascii> = value.parse().map_err(|_| {
            Error::Arguments(format!(
                "{}: the token is not visible ASCII",
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

    /// Returns a request with the deadline and the token of this connection.
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

fn bounded_duration(text: &str) -> Result<Duration, String> {
    let bounds = Duration::from_millis(1)..=Duration::from_secs(3_600);
    match humantime::parse_duration(text) {
        Ok(duration) if bounds.contains(&duration) => Ok(duration),
        _ => Err("not a duration from 1ms to 1h, such as 500ms or 10s".to_owned()),
    }
}

fn read(path: &PathBuf) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|error| Error::Arguments(format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port_and_perhaps_a_scheme() {
        let cases = [
            ("localhost:50051", "http://localhost:50051/"),
            ("[::1]:50051", "http://[::1]:50051/"),
            ("http://10.0.0.1:80", "http://10.0.0.1:80/"),
            ("https://facade.example:443", "https://facade.example:443/"),
        ];

        for (text, expected) in cases {
            let Address(uri) = text.parse().unwrap();
            assert_eq!(uri.to_string(), expected);
        }
        for text in [
            "",
            "localhost",
            "http://localhost",
            "grpc://a:1",
            "a:1/path",
            "a:b",
            "a:99999",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
