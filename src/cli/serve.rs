//! The command `serve`: reads the files of the settings, and starts the layers from bottom to top.

use std::net::{Ipv4Addr, SocketAddr};

use iai_emulator::{Emulator, Fixtures};

use super::{fixtures::read_fixtures, report::Failure, signals::unless_signalled};
use crate::{
    auth::AuthFiles,
    clock::Clock,
    config::{self, Problems, ServeArgs, variable},
    credentials::{self, Credential, Credentials, ProviderContext, Unavailable},
    server::{Server, fd_limit, shutdown},
    telemetry::LogControl,
    upstream::Client,
};

/// Serves until a signal.
pub(super) async fn serve(args: ServeArgs, log: LogControl) -> Result<(), Failure> {
    let mut signals = shutdown::signals()?;
    shutdown::ignore_hangup()?;
    let started = match unless_signalled(&mut signals, || start(args, log)).await {
        Ok(started) => started?,
        Err(signal) => {
            tracing::info!(%signal, "stopping");
            tracing::info!("stopped");
            return Ok(());
        }
    };

    let Started {
        settings, server, ..
    } = &started;
    let addresses = server.addresses();
    let upstream = &settings.upstream;
    let proxy = upstream.proxies.proxy_for(&upstream.endpoint);
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        grpc.address = %addresses.grpc,
        admin.address = %addresses.admin,
        upstream.endpoint = upstream.endpoint.url().as_str(),
        upstream.proxy = proxy.map_or("none".to_owned(), ToString::to_string),
        shutdown.max_seconds = settings.connections.max_shutdown_time().as_secs_f64(),
        "listening",
    );
    started.server.run(signals).await;
    tracing::info!("stopped");
    Ok(())
}

/// A service that is ready to run.
struct Started {
    settings: config::Serve,
    server: Server,
    /// Stops on drop.
    _emulator: Option<Emulator>,
}

async fn start(args: ServeArgs, log: LogControl) -> Result<Started, Failure> {
    let mut problems = Problems::default();
    let (caller_files, fixtures) = (args.caller_files(), args.fixtures());
    let settings = problems.merge(args.checked(variable));
    let files = problems.merge(AuthFiles::read(&caller_files));
    let fixtures = problems.take_all("fixtures", read_fixtures(fixtures.as_deref()));
    let (Ok(mut settings), Ok(files), Ok(fixtures)) = (settings, files, fixtures) else {
        return Err(problems.into());
    };
    log.configure(&settings.log.level);
    settings.connections = fd_limit::raise(settings.connections, &settings.calls);

    let (emulator, credentials) = match settings.is_emulated {
        true => emulated(fixtures, &mut settings.upstream).await?,
        false => (
            None,
            Credentials::start(
                &settings.credentials,
                &settings.upstream,
                ProviderContext::new(variable),
                Clock::system(),
            )
            .await?,
        ),
    };
    let client = Client::new(&settings, credentials, Clock::system())?;
    let server = Server::bind(&settings, &files, client, Some(log)).await?;
    Ok(Started {
        settings,
        server,
        _emulator: emulator,
    })
}

/// Starts an emulator, and makes it the upstream.
async fn emulated(
    fixtures: Fixtures,
    upstream: &mut config::Upstream,
) -> Result<(Option<Emulator>, Credentials), Failure> {
    let account = fixtures.account().clone();
    let emulator = Emulator::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), fixtures).await?;
    tracing::warn!(
        endpoint = emulator.endpoint(),
        "EMULATED: upstream is an emulator in this process, no request is sent to Tencent Cloud",
    );
    if credentials::exist_in_environment(&ProviderContext::new(variable)) {
        tracing::warn!("credential in the environment ignored because of --emulate");
    }
    upstream.endpoint = emulator.endpoint().parse()?;
    upstream.proxies = config::Proxies::default();
    let credentials = Credentials::from_source(move || {
        let parts = [account.secret_id(), account.secret_key()].map(str::to_owned);
        let [secret_id, secret_key] = parts;
        Credential::new(secret_id, secret_key, account.token().map(str::to_owned)).map_err(
            |error| Unavailable {
                report: vec![format!("--fixtures: {error}")],
                is_transient: false,
            },
        )
    })?;
    Ok((Some(emulator), credentials))
}
