//! Clock: the wall clock and the time since boot, passed as an argument so that tests can replace them.

mod boot_time;
mod offset;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use time::UtcDateTime;

pub use self::boot_time::BootTime;
pub use self::offset::{ClockOffset, server_time};

/// A wall clock for the timestamps of signatures, and a boot-time clock for ages and expiry.
///
/// Deadlines and backoffs of a call use tokio's timers instead.
#[derive(Clone)]
pub struct Clock {
    wall: Arc<dyn Fn() -> SystemTime + Send + Sync>,
    since_boot: Arc<dyn Fn() -> Duration + Send + Sync>,
}

impl Clock {
    /// Creates a clock that reads the wall clock from `source`, and the machine's time since boot.
    pub fn new(source: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self {
            wall: Arc::new(source),
            since_boot: Arc::new(boot_time::machine_time),
        }
    }

    /// Replaces the source of the time since boot, which must never go backwards.
    #[must_use]
    pub fn with_time_since_boot(
        self,
        source: impl Fn() -> Duration + Send + Sync + 'static,
    ) -> Self {
        Self {
            since_boot: Arc::new(source),
            ..self
        }
    }

    /// Creates a clock that reads the machine's clocks.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the machine's clock"
    )]
    pub fn system() -> Self {
        Self::new(SystemTime::now)
    }

    /// Returns the current wall clock time.
    pub fn now(&self) -> UtcDateTime {
        UtcDateTime::from((self.wall)())
    }

    /// Returns the time since boot.
    pub fn boot_time(&self) -> BootTime {
        BootTime::new((self.since_boot)())
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock(..)")
    }
}
