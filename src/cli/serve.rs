//! The command `serve`: reads the files of the settings, and starts the layers from bottom to top.

use iai_emulator::Emulator;

use super::{
    checked_settings::{CheckedSettings, checked_settings},
    emulated_upstream::emulated_upstream,
    report::Failure,
    signals::unless_signalled,
};
use crate::{
    clock::Clock,
    config::{self, ListenAddress, ServeArgs, variable},
    credentials::{Credentials, ProviderContext},
    server::{Server, fd_limit, shutdown},
    telemetry::{
        LogControl,
        span_export::{FLUSH_TIMEOUT, SpanExport},
    },
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
    let mut max_shutdown_time = settings.connections.max_shutdown_time();
    if started.span_export.is_some() {
        max_shutdown_time += FLUSH_TIMEOUT;
    }
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        grpc.address = joined(&addresses.grpc),
        admin.address = %addresses.admin,
        upstream.endpoint = upstream.endpoint.url().as_str(),
        upstream.proxy = proxy.map_or("none".to_owned(), ToString::to_string),
        shutdown.max_seconds = max_shutdown_time.as_secs_f64(),
        "listening",
    );
    started.server.run(signals).await;
    if let Some(span_export) = started.span_export {
        span_export.finish().await;
    }
    tracing::info!("stopped");
    Ok(())
}

/// Returns the addresses as in the setting.
fn joined(addresses: &[ListenAddress]) -> String {
    let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    addresses.join(",")
}

/// A service that is ready to run.
struct Started {
    settings: config::Serve,
    server: Server,
    span_export: Option<SpanExport>,
    /// Stops on drop.
    _emulator: Option<Emulator>,
}

async fn start(args: ServeArgs, log: LogControl) -> Result<Started, Failure> {
    let CheckedSettings {
        mut settings,
        files,
        fixtures,
    } = checked_settings(args)?;
    log.configure(&settings.log.level);
    settings.connections = fd_limit::raise(settings.connections, &settings.calls);

    let (emulator, credentials) = match settings.is_emulated {
        true => {
            let (emulator, credentials) =
                emulated_upstream(fixtures, &mut settings.upstream).await?;
            (Some(emulator), credentials)
        }
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
    let forwards_state = settings.upstream.sends_trace_context;
    let (tracer, span_export) =
        SpanExport::start(settings.traces.clone(), forwards_state, Clock::system())?;
    let server = Server::bind(&settings, &files, client, Some(log), tracer).await?;
    Ok(Started {
        settings,
        server,
        span_export,
        _emulator: emulator,
    })
}
