//! The command `emulate`: runs the emulator until a signal.

use iai_emulator::Emulator;
use tokio_stream::StreamExt;

use super::{fixtures::read_fixtures, report::Failure, signals::unless_signalled};
use crate::{
    config::{EmulateArgs, Problems},
    server::shutdown,
    telemetry::LogControl,
};

/// Emulates the API of Tencent Cloud until a signal.
pub(super) async fn emulate(args: EmulateArgs, log: LogControl) -> Result<(), Failure> {
    let mut signals = shutdown::signals()?;
    let emulator = match unless_signalled(&mut signals, || start_emulator(args, log)).await {
        Ok(started) => Some(started?),
        Err(signal) => {
            tracing::info!(%signal, "stopping");
            None
        }
    };
    if let Some(emulator) = emulator {
        let signal = signals.next().await;
        tracing::info!(signal = signal.map(tracing::field::display), "stopping");
        emulator.stop().await;
    }
    tracing::info!("stopped");
    Ok(())
}

async fn start_emulator(args: EmulateArgs, log: LogControl) -> Result<Emulator, Failure> {
    let mut problems = Problems::default();
    let fixtures = args.fixtures();
    let settings = problems.merge(args.checked());
    let fixtures = problems.take_all("fixtures", read_fixtures(fixtures.as_deref()));
    let (Ok(settings), Ok(fixtures)) = (settings, fixtures) else {
        return Err(problems.into());
    };
    log.configure(&settings.log.level);

    let account = fixtures.account().clone();
    let emulator = Emulator::start(settings.listen, fixtures)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", settings.listen))?;
    tracing::info!(
        address = %emulator.address(),
        endpoint = emulator.endpoint(),
        secret_id = account.secret_id(),
        secret_key = account.secret_key(),
        "emulating",
    );
    Ok(emulator)
}
