//! Log rate limiter for rejected calls, so that unauthenticated clients cannot fill the disk.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

/// The maximum number of lines in each [`PERIOD`].
const LINES: u64 = 20;

/// The period after which the count restarts, and the number of suppressed lines is logged.
const PERIOD: Duration = Duration::from_secs(10);

/// A limit of 20 lines in 10 s, which logs how many further lines it has suppressed.
#[derive(Clone, Debug, Default)]
pub(super) struct RejectionLog(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    since: Option<Instant>,
    lines: u64,
}

impl RejectionLog {
    /// Returns whether one more line may be written. Must be called within a Tokio runtime.
    pub(super) fn admits(&self, now: Instant) -> bool {
        let mut state = self.0.lock();
        if state.since.is_none_or(|since| now >= since + PERIOD) {
            *state = State {
                since: Some(now),
                lines: 0,
            };
        }
        state.lines += 1;
        if state.lines == LINES + 1 {
            let end = state.since.unwrap_or(now) + PERIOD;
            tokio::spawn(self.clone().report(end));
        }
        state.lines <= LINES
    }

    /// Logs the number of suppressed lines at the end of a period.
    async fn report(self, end: Instant) {
        sleep_until(end).await;
        let state = std::mem::take(&mut *self.0.lock());
        tracing::info!(
            lines = state.lines.saturating_sub(LINES),
            period_seconds = PERIOD.as_secs(),
            "log lines of rejected calls suppressed"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn at_most_20_lines_are_written_in_10_seconds() {
        let log = RejectionLog::default();
        let written = |count: u64| (0..count).filter(|_| log.admits(Instant::now())).count();

        assert_eq!(written(1_000), 20);
        tokio::time::sleep(PERIOD + Duration::from_millis(1)).await;
        assert_eq!(written(3), 3);
        assert_eq!(log.0.lock().lines, 3);
        assert_eq!(written(1_000), 17);
    }
}
