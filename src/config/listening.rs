//! Settings of the listening addresses.

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr};

use clap::Args;

use super::{Invalid, Problems, parsed};

/// The variable of `--listen`.
pub const LISTEN_VARIABLE: &str = "IAI_FACADE_LISTEN";

/// The default of `--listen`.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:50051";

/// The listening addresses, unparsed.
#[derive(Args, Debug)]
#[command(next_help_heading = "Listening")]
pub(super) struct ListeningArgs {
    /// Addresses of the gRPC API, separated by commas or each with a flag of its own: an address and port,
    /// with TLS if --tls-cert is set, where port 0 selects a free port; or unix:PATH, always in plain text
    #[arg(
        long,
        env = LISTEN_VARIABLE,
        value_name = "ADDRESSES",
        value_delimiter = ',',
        default_value = DEFAULT_LISTEN
    )]
    listen: Vec<String>,

    /// Permissions of Unix sockets of --listen, in octal digits up to 0777. Clients need write permission
    #[arg(
        long,
        env = "IAI_FACADE_LISTEN_MODE",
        value_name = "MODE",
        default_value = "0660"
    )]
    listen_mode: String,

    /// Address and port of the admin endpoints /livez, /readyz, /metrics, /log-level, /status.json and the status
    /// page / (HTTP/1.1); port 0 selects a free port
    #[arg(
        long,
        env = "IAI_FACADE_ADMIN_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:9464"
    )]
    admin_listen: String,
}

/// The listening addresses.
#[derive(Clone, Debug)]
pub struct Listening {
    /// The gRPC API, on one address or more.
    pub grpc: Vec<ListenAddress>,
    /// The permissions of Unix sockets.
    pub mode: u32,
    /// The admin endpoints.
    pub admin: SocketAddr,
}

impl ListeningArgs {
    pub(super) fn checked(self, problems: &mut Problems) -> Result<Listening, Invalid> {
        let grpc = self.listen.iter().map(|text| text.parse()).collect();
        let grpc = problems.take("listen", grpc);
        let mode = problems.take("listen-mode", mode(&self.listen_mode));
        let admin = problems.take("admin-listen", parsed::address(&self.admin_listen));
        Ok(Listening {
            grpc: grpc?,
            mode: mode?,
            admin: admin?,
        })
    }
}

/// An address of the gRPC API.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ListenAddress {
    /// An address and a port.
    Tcp(SocketAddr),
    /// The path of a Unix socket, of at most [`MAX_SOCKET_PATH`] bytes.
    Unix(PathBuf),
}

/// The maximum length of the path of a Unix socket on Linux, in bytes (`unix(7)`, less the final zero).
pub const MAX_SOCKET_PATH: usize = 107;

/// Parses an address and port, or a Unix socket as `unix:PATH` or `unix:///PATH`, the [names of gRPC].
///
/// [names of gRPC]: https://github.com/grpc/grpc/blob/master/doc/naming.md
impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match socket_path(text) {
            Some(path) => path.map(Self::Unix),
            None => parsed::address(text)
                .map(Self::Tcp)
                .map_err(|problem| format!("{problem}, or unix:PATH")),
        }
    }
}

/// Writes the address as [`ListenAddress::from_str`] reads it.
impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Returns the path of a Unix socket that `text` names, or `None` if it names no Unix socket.
///
/// # Errors
///
/// Fails with a message if the path is empty, too long or invalid.
pub fn socket_path(text: &str) -> Option<Result<PathBuf, String>> {
    let path = text.strip_prefix("unix:")?;
    let path = match path.strip_prefix("//") {
        None => path,
        Some(absolute) if absolute.starts_with('/') => absolute,
        Some(_) => return Some(Err(format!("`{text}` has a host; use unix:PATH"))),
    };
    if path.is_empty() || path.contains(char::is_control) {
        return Some(Err(format!(
            "`{}` is not of the form unix:PATH",
            text.escape_debug()
        )));
    }
    if path.len() > MAX_SOCKET_PATH {
        return Some(Err(format!(
            "`{text}` has a path of more than {MAX_SOCKET_PATH} bytes"
        )));
    }
    Some(Ok(path.into()))
}

/// Parses permissions in octal digits.
fn mode(text: &str) -> Result<u32, String> {
    let is_octal =
        (1..=4).contains(&text.len()) && text.bytes().all(|digit| digit.is_ascii_digit());
    match u32::from_str_radix(text, 8) {
        Ok(mode) if is_octal && mode <= 0o777 => Ok(mode),
        _ => Err(format!(
            "`{text}` is not permissions such as 0660, up to 0777"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_port_or_a_unix_socket() {
        let longest = format!("unix:/{}", "a".repeat(MAX_SOCKET_PATH - 1));
        for (text, expected) in [
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("[::]:1", "[::]:1"),
            ("unix:/run/a b.sock", "unix:/run/a b.sock"),
            ("unix:///run/a.sock", "unix:/run/a.sock"),
            ("unix:a.sock", "unix:a.sock"),
            (&*longest, &*longest),
        ] {
            let address: ListenAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), expected);
        }
        let too_long = format!("{longest}a");
        for text in [
            "",
            "here",
            "unix:",
            "unix://host/a",
            "unix:a\0b",
            "unix-abstract:a",
            &too_long,
        ] {
            assert!(text.parse::<ListenAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn permissions_are_octal() {
        assert_eq!(mode("0660"), Ok(0o660));
        assert_eq!(mode("777"), Ok(0o777));
        assert_eq!(mode("0"), Ok(0));
        for text in ["", "0668", "1777", "+660", "0o660", "00660", "rw-rw----"] {
            assert!(mode(text).is_err(), "{text}");
        }
    }
}
