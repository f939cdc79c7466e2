//! Boot time: a clock that, unlike the monotonic clock, also advances while the machine is suspended.

use std::{ops::Add, time::Duration};

use rustix::time::{ClockId, clock_gettime};

/// A point in time since the boot of the machine, which includes suspended time.
///
/// It never decreases, and setting the wall clock does not change it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct BootTime(Duration);

impl BootTime {
    pub(super) fn new(since_boot: Duration) -> Self {
        Self(since_boot)
    }

    /// Returns the time from `earlier` until `self`, or zero if `earlier` is later.
    pub fn saturating_duration_since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for BootTime {
    type Output = Self;

    /// Returns the later time, at most the largest `Duration` since boot.
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

/// Reads `CLOCK_BOOTTIME` ([clock_gettime(2)]), through the vDSO where available.
///
/// [clock_gettime(2)]: https://man7.org/linux/man-pages/man2/clock_gettime.2.html
pub(super) fn machine_time() -> Duration {
    // The kernel returns a valid, non-negative time.
    Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_time_includes_the_monotonic_time_and_never_decreases() {
        let monotonic = || Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap();
        let mut previous = Duration::ZERO;

        for _ in 0..1_000 {
            let awake = monotonic();
            let current = machine_time();
            assert!(current >= awake, "{current:?} {awake:?}");
            assert!(current >= previous, "{current:?} {previous:?}");
            previous = current;
        }
    }

    #[test]
    fn arithmetic_on_boot_times_saturates() {
        let [zero, end] = [Duration::ZERO, Duration::MAX].map(BootTime::new);

        assert_eq!(end + Duration::from_secs(1), end);
        assert_eq!(zero.saturating_duration_since(end), Duration::ZERO);
    }
}
