//! How long a connection lasts.
//!
//! Clients stay on the connections that they have. Only if these end do calls reach replicas that
//! were started later.

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use super::peer::Peer;

/// The share by which connections differ: those that were opened together must not end together.
const JITTER: f64 = 0.1;

/// The share of its age for which a connection waits for a quiet moment.
///
/// Some clients (tonic is one) return a call as failed that they were about to send when the
/// connection was told to go away while another was in progress. An age of less than 200 ms has no
/// window that is long enough.
const WINDOW: f64 = 0.05;

/// For how long there is no call in a quiet moment: who calls again and again does so sooner.
const QUIET: Duration = Duration::from_millis(10);

/// How long connections last, if they do not last for ever.
#[derive(Clone, Copy, Debug)]
pub(super) struct MaxAge(Option<Duration>);

impl MaxAge {
    /// Returns an age of `max_age`, give or take a tenth, of which zero is none.
    pub(super) fn new(max_age: Duration) -> Self {
        Self(Some(max_age).filter(|max_age| !max_age.is_zero()))
    }

    /// Waits until a connection that was just opened is to end.
    pub(super) async fn reached(self, peer: &Peer) {
        let Some(max_age) = self.0 else {
            return std::future::pending().await;
        };
        let opened = Instant::now();
        let [earliest, latest] = spread(max_age, fastrand::f64());
        calm(peer, opened + earliest, opened + latest).await;
    }
}

/// Returns from when on one connection may end and when it has to, by a `lot` from 0 to 1.
fn spread(max_age: Duration, lot: f64) -> [Duration; 2] {
    let earliest = 1.0 - JITTER + (2.0 * JITTER - WINDOW) * lot;
    [earliest, earliest + WINDOW].map(|share| max_age.mul_f64(share))
}

/// Waits for a quiet moment after `earliest`, until `latest`.
async fn calm(peer: &Peer, earliest: Instant, latest: Instant) {
    sleep_until(earliest).await;
    let _ = timeout_at(latest, peer.quiet(QUIET)).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::callers::Shown;

    #[test]
    fn ages_differ_by_a_tenth_in_both_directions() {
        let max_age = Duration::from_secs(300);

        let ages = [0.0, 0.5, 1.0].map(|lot| spread(max_age, lot).map(|age| age.as_secs_f64()));

        let rounded = ages.map(|ages| ages.map(f64::round));
        assert_eq!(rounded, [[270.0, 285.0], [293.0, 308.0], [315.0, 330.0]]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_ends_in_the_first_quiet_moment_of_its_window() {
        let peer = peer();
        let busy = peer.clone();
        let [earliest, latest] = [20, 30].map(|age| Instant::now() + Duration::from_secs(age));
        tokio::spawn(async move {
            // Two callers, whose calls overlap until there is a pause.
            let first = busy.call();
            sleep_until(earliest + Duration::from_secs(3)).await;
            let second = busy.call();
            drop(first);
            sleep_until(earliest + Duration::from_secs(4)).await;
            drop(second);
        });

        calm(&peer, earliest, latest).await;

        assert_eq!(Instant::now(), earliest + Duration::from_secs(4) + QUIET);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_a_quiet_moment_ends_all_the_same() {
        let peer = peer();
        let busy = peer.clone();
        let [earliest, latest] = [20, 30].map(|age| Instant::now() + Duration::from_secs(age));
        tokio::spawn(async move {
            loop {
                let call = busy.call();
                tokio::time::sleep(QUIET).await;
                drop(call);
                tokio::time::sleep(QUIET / 2).await;
            }
        });

        calm(&peer, earliest, latest).await;

        assert_eq!(Instant::now(), latest);
    }

    fn peer() -> Peer {
        Peer::new(([127, 0, 0, 1], 1).into(), Shown::Nothing)
    }
}
