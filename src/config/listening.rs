//! Settings of the listening addresses.

use std::net::SocketAddr;

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
    /// Address and port of the gRPC API, in plain text unless --tls-cert is set; port 0 selects a free
    /// port
    #[arg(
        long,
        env = LISTEN_VARIABLE,
        value_name = "ADDRESS",
        default_value = DEFAULT_LISTEN
    )]
    listen: String,

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
    /// The gRPC API.
    pub grpc: SocketAddr,
    /// The admin endpoints.
    pub admin: SocketAddr,
}

impl ListeningArgs {
    pub(super) fn checked(self, problems: &mut Problems) -> Result<Listening, Invalid> {
        let grpc = problems.take("listen", parsed::address(&self.listen));
        let admin = problems.take("admin-listen", parsed::address(&self.admin_listen));
        Ok(Listening {
            grpc: grpc?,
            admin: admin?,
        })
    }
}
