//! The command `emulate`: runs the emulator until a signal, and reads its fixtures again on SIGHUP.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use iai_emulator::Emulator;
use rustls::ServerConfig;
use tokio::task::spawn_blocking;
use tokio_stream::StreamExt;

use super::{fixtures::read_fixtures, report::Failure, signals::unless_signalled};
use crate::{
    config::{ControlApi, EmulateArgs, Invalid, Problems},
    files::{
        bounded_file::{self, FileKind},
        reload_requests::ReloadRequests,
    },
    server::shutdown,
    telemetry::LogControl,
    tls::{pem, server::emulator_config},
};

/// Emulates the API of Tencent Cloud until a signal.
pub(super) async fn emulate(args: EmulateArgs, log: LogControl) -> Result<(), Failure> {
    let mut signals = shutdown::signals()?;
    let mut reloads = ReloadRequests::listen()?;
    let started = match unless_signalled(&mut signals, || start(args, log)).await {
        Ok(started) => Some(started?),
        Err(signal) => {
            tracing::info!(%signal, "stopping");
            None
        }
    };
    if let Some(started) = started {
        let signal = loop {
            tokio::select! {
                signal = signals.next() => break signal,
                () = reloads.next() => started.reload().await,
            }
        };
        tracing::info!(signal = signal.map(tracing::field::display), "stopping");
        started.emulator.stop().await;
    }
    tracing::info!("stopped");
    Ok(())
}

/// A running emulator and the file of its fixtures.
struct Started {
    emulator: Emulator,
    path: Option<PathBuf>,
}

impl Started {
    /// Reads the fixtures again, and returns the emulator to the state that they define. Invalid fixtures
    /// are logged, and change nothing.
    async fn reload(&self) {
        let path = self.path.clone();
        match spawn_blocking(move || read_fixtures(path.as_deref())).await {
            Ok(Ok(fixtures)) => {
                let changes = self.emulator.reload(fixtures);
                tracing::info!(what = "fixtures", %changes, "files reloaded");
            }
            Ok(Err(mistakes)) => {
                for reason in mistakes {
                    tracing::warn!(
                        what = "fixtures",
                        error.message = reason,
                        "reload failed, keeping previous version",
                    );
                }
            }
            Err(error) => {
                tracing::error!(what = "fixtures", error.message = %error, "reload task failed")
            }
        }
    }
}

async fn start(args: EmulateArgs, log: LogControl) -> Result<Started, Failure> {
    let mut problems = Problems::default();
    let (path, tls_files) = (args.fixtures(), args.tls_files());
    let settings = problems.merge(args.checked());
    let fixtures = problems.take_all("fixtures", read_fixtures(path.as_deref()));
    let tls = tls_files.map(|files| read_tls(&files, &mut problems));
    let (Ok(settings), Ok(fixtures), Ok(tls)) = (settings, fixtures, tls.transpose()) else {
        return Err(problems.into());
    };
    log.configure(&settings.log.level);

    let account = fixtures.account().clone();
    let has_tls = tls.is_some();
    let started = match tls {
        Some(tls) => Emulator::start_with_tls(settings.listen, fixtures, tls).await,
        None => Emulator::start(settings.listen, fixtures).await,
    };
    let mut emulator =
        started.map_err(|error| format!("cannot listen on {}: {error}", settings.listen))?;
    let control = match settings.control {
        Some(control) => Some(start_control(&mut emulator, &control).await?),
        None => None,
    };
    tracing::info!(
        address = %emulator.address(),
        endpoint = emulator.endpoint(),
        tls = has_tls,
        control.address = control.map(tracing::field::display),
        secret_id = account.secret_id(),
        secret_key = account.secret_key(),
        "emulating",
    );
    Ok(Started { emulator, path })
}

/// Reads the server certificate and its private key. Each file is checked by itself first, so that an error
/// names its flag.
fn read_tls(
    (cert, key): &(PathBuf, PathBuf),
    problems: &mut Problems,
) -> Result<Arc<ServerConfig>, Invalid> {
    let cert = read_pem(cert, FileKind::Certificates, |pem| {
        pem::parse_certificates(pem).map(drop)
    });
    let key = read_pem(key, FileKind::Key, |pem| pem::parse_key(pem).map(drop));
    let cert = problems.take("tls-cert", cert);
    let key = problems.take("tls-key", key);
    problems.take("tls-cert", emulator_config(&cert?, &key?))
}

fn read_pem(
    path: &Path,
    kind: FileKind,
    check: impl Fn(&[u8]) -> Result<(), String>,
) -> Result<Vec<u8>, String> {
    let pem = bounded_file::read_once(path, kind).map_err(|error| error.to_string())?;
    check(&pem).map_err(|problem| format!("{}: {problem}", path.display()))?;
    Ok(pem)
}

async fn start_control(
    emulator: &mut Emulator,
    control: &ControlApi,
) -> Result<SocketAddr, Failure> {
    let ControlApi { listen, token } = control;
    let address = emulator.start_control(*listen, token.as_ref()).await;
    Ok(address.map_err(|error| format!("cannot listen on {listen}: {error}"))?)
}
