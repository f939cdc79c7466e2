//! The command `probe`: checks the health of a running server, for orchestrators that run a command as
//! a probe.

use std::process::ExitCode;

use clap::Args;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::client::{self, ClientArgs, printable};
use crate::{error_chain::error_chain, proto::grpc_code};

/// The settings of `probe`.
#[derive(Args, Debug)]
pub struct ProbeArgs {
    /// Name of the service to check [default: the whole server]
    #[arg(
        long,
        value_name = "NAME",
        default_value = "",
        hide_default_value = true
    )]
    service: String,

    #[command(flatten)]
    client: ClientArgs,
}

/// The result of a probe, with the exit codes of [grpc_health_probe].
///
/// [grpc_health_probe]: https://github.com/grpc-ecosystem/grpc-health-probe
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The service is serving.
    Serving = 0,
    /// An argument is invalid.
    BadArguments = 1,
    /// The connection failed or timed out.
    NotConnected = 2,
    /// The call failed or timed out.
    CallFailed = 3,
    /// The service is not serving.
    NotServing = 4,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(outcome as u8)
    }
}

/// Checks the health once. Returns the outcome and a line to show.
pub async fn probe(args: &ProbeArgs) -> (Outcome, String) {
    let connection = match args.client.connect().await {
        Ok(connection) => connection,
        Err(error @ client::Error::Arguments(_)) => {
            return (Outcome::BadArguments, error.to_string());
        }
        Err(error @ client::Error::Connect { .. }) => {
            return (Outcome::NotConnected, printable(&error_chain(&error)));
        }
    };
    let request = connection.request(HealthCheckRequest {
        service: args.service.clone(),
    });
    let mut health = HealthClient::new(connection.channel());
    match connection.response(health.check(request)).await {
        Ok(response) if response.get_ref().status() == ServingStatus::Serving => {
            (Outcome::Serving, "SERVING".to_owned())
        }
        Ok(response) => (
            Outcome::NotServing,
            response.get_ref().status().as_str_name().to_owned(),
        ),
        Err(status) => (
            Outcome::CallFailed,
            format!(
                "{}: {}",
                grpc_code::name(status.code()),
                printable(status.message())
            ),
        ),
    }
}
