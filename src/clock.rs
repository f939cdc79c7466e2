//! The wall clock, as an argument.

mod offset;

use std::{fmt, sync::Arc, time::SystemTime};

use time::UtcDateTime;

pub use self::offset::{ClockOffset, server_time};

/// Tells the time of day to whoever must date something, such as a signature.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl Clock {
    /// Returns a clock that reads the time from `source`.
    pub fn new(source: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(source))
    }

    /// Returns the clock of the machine.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the machine's clock"
    )]
    pub fn system() -> Self {
        Self::new(SystemTime::now)
    }

    /// Returns the present time.
    pub fn now(&self) -> UtcDateTime {
        UtcDateTime::from(self.0())
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock(..)")
    }
}
