//! The `iai-facade` program.

use std::{
    env,
    error::Error,
    iter,
    net::{Ipv4Addr, SocketAddr},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use iai_facade::{
    clock::Clock,
    config::{self, EmulateArgs, Problems, ServeArgs},
    credentials::{Credential, Credentials},
    emulator::{Emulator, Fixtures},
    server::{Server, shutdown},
    telemetry::LogControl,
    upstream::{Client, Transport},
};

/// Bad settings, as `sysexits.h` numbers it.
const EX_USAGE: u8 = 64;

/// A gRPC service in front of Tencent Cloud Face Recognition (IAI)
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the gRPC API
    Serve(Box<ServeArgs>),
    /// Stand in for the API of Tencent Cloud, for tests and demonstrations
    Emulate(Box<EmulateArgs>),
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::from(EX_USAGE)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let outcome = match cli.command {
        Command::Serve(args) => serve(*args).await,
        Command::Emulate(args) => emulate(*args).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&chain(&*error));
            if error.is::<Problems>() {
                ExitCode::from(EX_USAGE)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

async fn serve(args: ServeArgs) -> Result<(), Box<dyn Error>> {
    let mut settings = args.checked()?;
    let log_control = LogControl::start(&settings.log)?;
    let signals = shutdown::signals()?;

    // Dropped at the end, which stops it.
    let (_emulator, credentials) = match settings.emulation.take() {
        Some(emulation) => emulated(emulation.fixtures, &mut settings.upstream).await?,
        None => (None, Credentials::load(&settings.credentials, variable)?),
    };
    let transport = Transport::new(&settings.upstream, credentials, Clock::system())?;
    let server = Server::bind(&settings, Client::new(transport), Some(log_control)).await?;

    let addresses = server.addresses();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        grpc.address = %addresses.grpc,
        admin.address = %addresses.admin,
        upstream.endpoint = settings.upstream.endpoint.url().as_str(),
        "listening",
    );
    server.run(signals).await;
    tracing::info!("stopped");
    Ok(())
}

/// Starts an emulator, and points `upstream` at it.
async fn emulated(
    fixtures: Fixtures,
    upstream: &mut config::Upstream,
) -> Result<(Option<Emulator>, Credentials), Box<dyn Error>> {
    let account = fixtures.account().clone();
    let emulator = Emulator::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), fixtures).await?;
    tracing::warn!(
        endpoint = emulator.endpoint(),
        "EMULATED: no call goes to Tencent Cloud; answers come from fixtures in this process",
    );
    if ["TENCENTCLOUD_SECRET_ID", "TENCENTCLOUD_SECRET_KEY"]
        .iter()
        .any(|name| variable(name).is_some())
    {
        tracing::warn!("the credential in the environment is ignored beside --emulate");
    }
    upstream.endpoint = emulator.endpoint().parse()?;
    upstream.use_proxy = false;
    let credential = Credential::new(
        account.secret_id().to_owned(),
        account.secret_key().to_owned(),
        account.token().map(str::to_owned),
    )?;
    Ok((Some(emulator), Credentials::fixed(credential)))
}

async fn emulate(args: EmulateArgs) -> Result<(), Box<dyn Error>> {
    let settings = args.checked()?;
    LogControl::start(&settings.log)?;
    let signals = shutdown::signals()?;

    let account = settings.fixtures.account().clone();
    let emulator = Emulator::start(settings.listen, settings.fixtures).await?;
    tracing::info!(
        address = %emulator.address(),
        endpoint = emulator.endpoint(),
        secret_id = account.secret_id(),
        secret_key = account.secret_key(),
        "emulating",
    );
    signals.await;
    emulator.stop().await;
    tracing::info!("stopped");
    Ok(())
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok()
}

#[expect(
    clippy::print_stderr,
    reason = "there may be no log yet, and these words are for people"
)]
fn complain(problem: &str) {
    eprintln!("iai-facade: {problem}");
}

/// Returns what an error says, and what its causes say.
fn chain(error: &dyn Error) -> String {
    let causes = iter::successors(Some(error), |&error| error.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
