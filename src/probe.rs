//! Asks a running server for its health, for orchestrators that run a command.

use std::process::ExitCode;

use clap::Args;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::{
    chain::chain,
    client::{self, ClientArgs},
    code,
};

/// The settings of `probe`.
#[derive(Args, Debug)]
pub struct ProbeArgs {
    /// Service to ask about [default: the server as a whole]
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

/// How a probe ends, with the exit codes that [grpc_health_probe] documents.
///
/// [grpc_health_probe]: https://github.com/grpc-ecosystem/grpc-health-probe
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The service is serving.
    Serving = 0,
    /// The arguments cannot be used.
    BadArguments = 1,
    /// No connection came about in time.
    NotConnected = 2,
    /// The call failed, or did not end in time.
    CallFailed = 3,
    /// The service is not serving.
    NotServing = 4,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(outcome as u8)
    }
}

/// Asks once, and says in a sentence what came of it.
pub async fn probe(args: &ProbeArgs) -> (Outcome, String) {
    let connection = match args.client.connect().await {
        Ok(connection) => connection,
        Err(error @ client::Error::Arguments(_)) => {
            return (Outcome::BadArguments, error.to_string());
        }
        Err(error @ client::Error::Connect { .. }) => {
            return (Outcome::NotConnected, chain(&error));
        }
    };
    let request = connection.request(HealthCheckRequest {
        service: args.service.clone(),
    });
    match HealthClient::new(connection.channel()).check(request).await {
        Ok(answer) if answer.get_ref().status() == ServingStatus::Serving => {
            (Outcome::Serving, "SERVING".to_owned())
        }
        Ok(answer) => (
            Outcome::NotServing,
            answer.get_ref().status().as_str_name().to_owned(),
        ),
        Err(status) => (
            Outcome::CallFailed,
            format!("{}: {}", code::name(status.code()), status.message()),
        ),
    }
}
