//! The `iai-facade` program.

use std::{
    env,
    error::Error,
    io::{self, Write},
    net::{Ipv4Addr, SocketAddr},
    process::ExitCode,
};

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use iai_facade::{
    call::{CallArgs, call},
    chain::chain,
    clock::Clock,
    config::{self, EmulateArgs, Problems, ServeArgs},
    credentials::{self, Credential, Credentials, Surroundings, Unavailable},
    emulator::{Emulator, Fixtures},
    probe::{Outcome, ProbeArgs, probe},
    server::{Server, descriptors, shutdown},
    telemetry::LogControl,
    upstream::Client,
};
use mimalloc::MiMalloc;
use tokio::runtime::Runtime;
use tokio_stream::StreamExt;

/// A call is begun by one thread and ended by another, where glibc's allocator waits for locks and
/// falls apart into small pieces: the same load took nearly twice the processor time. It goes without
/// huge pages, of which the idle process would hold 10 MB more.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

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
    /// Make one call to a running server and show the answer
    Call(Box<CallArgs>),
    /// Ask a running server for its health: exits with 0 if it is serving, 1 for bad arguments, 2 if
    /// no connection comes about, 3 if the call fails, 4 if it is not serving
    Probe(Box<ProbeArgs>),
    /// Print a script that completes the words of this program in a shell
    Completions {
        /// Shell to complete in
        shell: Shell,
    },
}

fn main() -> ExitCode {
    let runtime = match Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("iai-facade: no threads: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(run());
    // A name that is still being looked up would be waited for, for as long as the resolver likes.
    runtime.shutdown_background();
    code
}

async fn run() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => cli.command.run().await,
        Err(error) => {
            let _ = error.print();
            let is_probe = env::args().nth(1).is_some_and(|command| command == "probe");
            match error.use_stderr() {
                true if is_probe => Outcome::BadArguments.into(),
                true => ExitCode::from(EX_USAGE),
                false => ExitCode::SUCCESS,
            }
        }
    }
}

impl Command {
    async fn run(self) -> ExitCode {
        match self {
            Self::Serve(args) => ended(serve(*args).await),
            Self::Emulate(args) => ended(emulate(*args).await),
            Self::Call(args) => match call(*args).await {
                Ok(answer) => say(&answer),
                Err(problem) => {
                    complain(&problem);
                    ExitCode::FAILURE
                }
            },
            Self::Probe(args) => {
                let (outcome, sentence) = probe(&args).await;
                if outcome == Outcome::Serving {
                    return say(&sentence);
                }
                complain(&sentence);
                outcome.into()
            }
            Self::Completions { shell } => {
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut Cli::command(), "iai-facade", &mut script);
                say(&String::from_utf8_lossy(&script))
            }
        }
    }
}

fn ended(outcome: Result<(), Box<dyn Error>>) -> ExitCode {
    let Err(error) = outcome else {
        return ExitCode::SUCCESS;
    };
    complain(&format!("iai-facade: {}", chain(&*error)));
    if error.is::<Problems>() {
        ExitCode::from(EX_USAGE)
    } else {
        ExitCode::FAILURE
    }
}

async fn serve(args: ServeArgs) -> Result<(), Box<dyn Error>> {
    let mut settings = args.checked()?;
    let log_control = LogControl::start(&settings.log)?;
    let signals = shutdown::signals()?;
    settings.connections = descriptors::make_room(settings.connections, &settings.calls);

    // Dropped at the end, which stops it.
    let (_emulator, credentials) = match settings.emulation.take() {
        Some(emulation) => emulated(emulation.fixtures, &mut settings.upstream).await?,
        None => (
            None,
            Credentials::start(
                &settings.credentials,
                &settings.upstream,
                Surroundings::new(variable),
                Clock::system(),
            )
            .await?,
        ),
    };
    let client = Client::new(&settings, credentials, Clock::system())?;
    let server = Server::bind(&settings, client, Some(log_control)).await?;

    let addresses = server.addresses();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        grpc.address = %addresses.grpc,
        admin.address = %addresses.admin,
        upstream.endpoint = settings.upstream.endpoint.url().as_str(),
        shutdown.max_seconds = settings.connections.max_shutdown_time().as_secs_f64(),
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
    if credentials::are_in_environment(&Surroundings::new(variable)) {
        tracing::warn!("the credential in the environment is ignored beside --emulate");
    }
    upstream.endpoint = emulator.endpoint().parse()?;
    upstream.use_proxy = false;
    let credentials = Credentials::from_source(move || {
        let parts = [account.secret_id(), account.secret_key()].map(str::to_owned);
        let [secret_id, secret_key] = parts;
        Credential::new(secret_id, secret_key, account.token().map(str::to_owned)).map_err(
            |error| Unavailable {
                report: vec![format!("--fixtures: {error}")],
                is_passing: false,
            },
        )
    })?;
    Ok((Some(emulator), credentials))
}

async fn emulate(args: EmulateArgs) -> Result<(), Box<dyn Error>> {
    let settings = args.checked()?;
    LogControl::start(&settings.log)?;
    let mut signals = shutdown::signals()?;

    let account = settings.fixtures.account().clone();
    let emulator = Emulator::start(settings.listen, settings.fixtures)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", settings.listen))?;
    tracing::info!(
        address = %emulator.address(),
        endpoint = emulator.endpoint(),
        secret_id = account.secret_id(),
        secret_key = account.secret_key(),
        "emulating",
    );
    let signal = signals.next().await;
    tracing::info!(signal = signal.map(tracing::field::display), "stopping");
    emulator.stop().await;
    tracing::info!("stopped");
    Ok(())
}

fn variable(name: &str) -> Option<String> {
    // What is not UTF-8 is not a credential, and must be seen to be none.
    env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

#[expect(
    clippy::print_stderr,
    reason = "there may be no log, and these words are for people"
)]
fn complain(problem: &str) {
    eprintln!("{problem}");
}

/// Writes to standard output. Whoever closes it early has read enough.
fn say(text: &str) -> ExitCode {
    match writeln!(io::stdout(), "{}", text.trim_end()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            complain(&format!("standard output: {error}"));
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}
