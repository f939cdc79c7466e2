//! How long a connection lasts.
//!
//! Clients stay on the connections that they have. Only if these end do calls reach replicas that
//! were started later.

use std::time::Duration;

use tokio::time::sleep;

/// The share by which connections differ: those that were opened together must not end together.
const JITTER: f64 = 0.1;

/// How long connections last, if they do not last for ever.
#[derive(Clone, Copy, Debug)]
pub(super) struct MaxAge(Option<Duration>);

impl MaxAge {
    /// Returns an age of `max_age` on average, of which zero is none.
    pub(super) fn new(max_age: Duration) -> Self {
        Self(Some(max_age).filter(|max_age| !max_age.is_zero()))
    }

    /// Waits until a connection that was just opened is old.
    pub(super) async fn reached(self) {
        match self.0 {
            Some(max_age) => sleep(spread(max_age, fastrand::f64())).await,
            None => std::future::pending().await,
        }
    }
}

/// Returns the age of one connection, by a `lot` from 0 to 1.
fn spread(max_age: Duration, lot: f64) -> Duration {
    max_age.mul_f64(1.0 - JITTER + 2.0 * JITTER * lot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_differ_by_a_tenth_in_both_directions() {
        let max_age = Duration::from_secs(300);

        let ages = [0.0, 0.5, 1.0].map(|lot| spread(max_age, lot).as_secs_f64().round());

        assert_eq!(ages, [270.0, 300.0, 330.0]);
    }
}
