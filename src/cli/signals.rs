//! Signals: ends a command, or its start, at the first one.

use std::{panic::resume_unwind, process::ExitCode};

use tokio::{runtime::Handle, task};
use tokio_stream::{Stream, StreamExt};

use super::output::print_error;
use crate::server::shutdown::{self, Signal};

/// Runs a command to its end or until a signal. A signal exits with 128 plus its number, as in shells;
/// without a handler, the first process of a container would ignore it.
pub(super) async fn interruptible<F>(command: impl FnOnce() -> F + Send + 'static) -> ExitCode
where
    F: Future<Output = ExitCode>,
{
    match shutdown::signals() {
        Ok(mut signals) => match unless_signalled(&mut signals, command).await {
            Ok(code) => code,
            Err(signal) => ExitCode::from(128 + signal.number()),
        },
        Err(error) => {
            print_error(&format!("iai-facade: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Runs `work` on a separate thread, and returns its outcome, or the signal if one arrives first. On a
/// signal, unfinished work is abandoned until the process ends, even if it blocks.
pub(super) async fn unless_signalled<T, F>(
    signals: &mut (impl Stream<Item = Signal> + Unpin),
    work: impl FnOnce() -> F + Send + 'static,
) -> Result<T, Signal>
where
    T: Send + 'static,
    F: Future<Output = T>,
{
    let runtime = Handle::current();
    let outcome = task::spawn_blocking(move || runtime.block_on(work()));
    tokio::select! {
        biased;
        Some(signal) = signals.next() => Err(signal),
        outcome = outcome => Ok(outcome.unwrap_or_else(|error| resume_unwind(error.into_panic()))),
    }
}
