//! Where to listen.

use std::net::SocketAddr;

use clap::Args;

use super::{Problems, parsed};

/// The settings of listening, as text.
#[derive(Args, Debug)]
#[command(next_help_heading = "Listening")]
pub(super) struct ListeningArgs {
    /// Address and port for gRPC, in plain text unless --tls-cert is given. Port 0 takes a free one
    #[arg(
        long,
        env = "IAI_FACADE_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:50051"
    )]
    listen: String,

    /// Address and port for /livez, /readyz and /log-level over HTTP/1.1. Port 0 takes a free one
    #[arg(
        long,
        env = "IAI_FACADE_ADMIN_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:9464"
    )]
    admin_listen: String,
}

/// Where to listen.
#[derive(Clone, Debug)]
pub struct Listening {
    /// For gRPC.
    pub grpc: SocketAddr,
    /// For operators.
    pub admin: SocketAddr,
}

impl ListeningArgs {
    pub(super) fn checked(self, problems: &mut Problems) -> Option<Listening> {
        let grpc = problems.take("listen", parsed::address(&self.listen));
        let admin = problems.take("admin-listen", parsed::address(&self.admin_listen));
        Some(Listening {
            grpc: grpc?,
            admin: admin?,
        })
    }
}
