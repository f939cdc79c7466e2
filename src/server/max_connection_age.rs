//! Maximum connection age: closes connections after a time, so that clients reconnect and calls also
//! reach replicas that were started later.

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use super::peer::Peer;

/// The jitter of the age, as a share: connections that were opened together must not close together.
const JITTER: f64 = 0.1;

/// The share of its age for which a connection waits for a quiet period.
///
/// Some clients (tonic is one) fail a call that they are about to send when GOAWAY arrives while
/// another call is in progress. Below an age of 200 ms, the window is too short for a quiet period.
const WINDOW: f64 = 0.05;

/// The duration of a quiet period: a client that calls continuously makes its next call sooner.
const QUIET: Duration = Duration::from_millis(10);

/// The maximum age of connections, if it is limited.
#[derive(Clone, Copy, Debug)]
pub(super) struct MaxConnectionAge(Option<Duration>);

impl MaxConnectionAge {
    /// Creates a limit of `max_age` with a jitter of 10 %; zero means no limit.
    pub(super) fn new(max_age: Duration) -> Self {
        Self(Some(max_age).filter(|max_age| !max_age.is_zero()))
    }

    /// Waits until a connection that is opened now must close.
    pub(super) async fn reached(self, peer: &Peer) {
        let Some(max_age) = self.0 else {
            return std::future::pending().await;
        };
        let opened = Instant::now();
        let [earliest, latest] = window(max_age, fastrand::f64());
        quiet_period(peer, opened + earliest, opened + latest).await;
    }
}

/// Returns the earliest and the latest age at which a connection closes. `random`, from 0 to 1, selects
/// them within the jitter.
fn window(max_age: Duration, random: f64) -> [Duration; 2] {
    let earliest = 1.0 - JITTER + (2.0 * JITTER - WINDOW) * random;
    [earliest, earliest + WINDOW].map(|share| max_age.mul_f64(share))
}

/// Waits for a quiet period after `earliest`, but no longer than until `latest`.
async fn quiet_period(peer: &Peer, earliest: Instant, latest: Instant) {
    sleep_until(earliest).await;
    let _ = timeout_at(latest, peer.activity.quiet(QUIET)).await;
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        auth::ClientCertificate,
        context::PeerAddress,
        server::{activity::Activity, usage::Usage},
    };

    #[test]
    fn ages_have_a_jitter_of_10_percent_in_both_directions() {
        let max_age = Duration::from_secs(300);

        let ages =
            [0.0, 0.5, 1.0].map(|random| window(max_age, random).map(|age| age.as_secs_f64()));

        let rounded = ages.map(|ages| ages.map(f64::round));
        assert_eq!(rounded, [[270.0, 285.0], [293.0, 308.0], [315.0, 330.0]]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_closes_in_the_first_quiet_period_of_its_window() {
        let peer = peer();
        let busy = peer.clone();
        let [earliest, latest] = [20, 30].map(|age| Instant::now() + Duration::from_secs(age));
        tokio::spawn(async move {
            // The calls of two callers overlap, and are followed by a pause.
            let first = busy.activity.call(Instant::now());
            sleep_until(earliest + Duration::from_secs(3)).await;
            let second = busy.activity.call(Instant::now());
            drop(first);
            sleep_until(earliest + Duration::from_secs(4)).await;
            drop(second);
        });

        quiet_period(&peer, earliest, latest).await;

        assert_eq!(Instant::now(), earliest + Duration::from_secs(4) + QUIET);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_a_quiet_period_closes_at_the_windows_end() {
        let peer = peer();
        let busy = peer.clone();
        let [earliest, latest] = [20, 30].map(|age| Instant::now() + Duration::from_secs(age));
        tokio::spawn(async move {
            loop {
                let call = busy.activity.call(Instant::now());
                tokio::time::sleep(QUIET).await;
                drop(call);
                tokio::time::sleep(QUIET / 2).await;
            }
        });

        quiet_period(&peer, earliest, latest).await;

        assert_eq!(Instant::now(), latest);
    }

    fn peer() -> Peer {
        let activity = Arc::new(Activity::new());
        Peer::new(
            (PeerAddress::Tcp(([127, 0, 0, 1], 1).into()), None),
            ClientCertificate::None,
            activity,
            Usage::default(),
        )
    }
}
