//! Keeps one credential current for all calls.

use std::sync::Arc;

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{Mutex, watch},
    time::Instant,
};

use super::{
    Credential, Statistics, Unavailable,
    layer::Held,
    supply::{Failed, Outcome, Supply, Urge},
};

/// The credential in use, and the one way to another.
#[derive(Debug)]
pub(super) struct Renewal {
    /// Locked while a source is asked, so that many calls that fail together ask it once.
    supply: Mutex<Supply>,
    state: watch::Sender<State>,
}

#[derive(Debug, Default)]
struct State {
    held: Option<Held>,
    failure: Option<Unavailable>,
    is_asking: bool,
    replaced: u64,
    failed: u64,
}

impl State {
    fn now(&self, now: Instant) -> Result<Arc<Credential>, Unavailable> {
        match &self.held {
            Some(held) if held.is_valid(now) => return Ok(Arc::clone(&held.credential)),
            Some(_) | None => {}
        }
        Err(self.failure.clone().unwrap_or_else(|| Unavailable {
            report: vec!["the sources have not answered yet".to_owned()],
            is_passing: true,
        }))
    }

    fn statistics(&self, now: Instant) -> Statistics {
        let expires_at = self.held.as_ref().and_then(|held| held.expires_at);
        Statistics {
            replaced: self.replaced,
            failed: self.failed,
            expires_in: expires_at.map(|end| end.saturating_duration_since(now)),
        }
    }
}

impl Renewal {
    /// Returns a renewal that begins with what `supply` holds.
    pub(super) fn new(supply: Supply) -> Self {
        let held = supply.held();
        let state = State {
            replaced: held.is_some().into(),
            held,
            ..State::default()
        };
        Self {
            supply: Mutex::new(supply),
            state: watch::Sender::new(state),
        }
    }

    /// Returns the credential to sign with, waiting while there is none and one is asked for, or is
    /// about to be: it expires before it is renewed where the machine stood still.
    pub(super) async fn current(&self) -> Result<Arc<Credential>, Unavailable> {
        let now = self.now(Instant::now());
        if now.is_ok() {
            return now;
        }
        let mut state = self.state.subscribe();
        let is_settled = |state: &State| {
            let has_failed = state.failure.is_some() && !state.is_asking;
            has_failed || state.now(Instant::now()).is_ok()
        };
        // Only a dropped sender makes this fail, and the sender is borrowed here.
        let _ = state.wait_for(is_settled).await;
        self.now(Instant::now())
    }

    /// Returns the credential to sign with, or why there is none.
    pub(super) fn now(&self, now: Instant) -> Result<Arc<Credential>, Unavailable> {
        self.state.borrow().now(now)
    }

    /// Asks for another credential than `refused`, and tells whether there is one.
    pub(super) async fn replace(&self, refused: &Arc<Credential>) -> bool {
        let is_another = || {
            let current = self.now(Instant::now());
            current.is_ok_and(|current| *current != **refused)
        };
        let mut supply = self.supply.lock().await;
        if is_another() {
            return true;
        }
        self.ask(&mut supply, Urge::Refused).await;
        is_another()
    }

    /// Asks whom there is reason to ask.
    pub(super) async fn refresh(&self, urge: Urge) {
        let mut supply = self.supply.lock().await;
        self.ask(&mut supply, urge).await;
    }

    /// Waits until the statistics are as `is_reached` wants them.
    pub(super) async fn until(&self, mut is_reached: impl FnMut(&Statistics) -> bool) {
        let mut state = self.state.subscribe();
        let _ = state
            .wait_for(|state| is_reached(&state.statistics(Instant::now())))
            .await;
    }

    pub(super) fn failure(&self) -> Option<Unavailable> {
        self.state.borrow().failure.clone()
    }

    pub(super) fn statistics(&self, now: Instant) -> Statistics {
        self.state.borrow().statistics(now)
    }

    async fn ask(&self, supply: &mut Supply, urge: Urge) {
        let asking = Asking::begin(&self.state);
        let outcome = supply.refresh(urge).await;
        self.adopt(outcome, supply.failure());
        drop(asking);
    }

    fn adopt(&self, outcome: Outcome, failure: Option<Unavailable>) {
        let Outcome {
            held,
            failure: failed,
        } = outcome;
        if let Some(failed) = &failed {
            self.complain(failed);
        }
        let before = self.state.borrow().held.clone();
        let is_another = |held: &Held| {
            let before = before.as_ref();
            before.is_none_or(|before| !Arc::ptr_eq(&before.credential, &held.credential))
        };
        let replacement = held.as_ref().filter(|held| is_another(held));
        let is_replaced = replacement.is_some();
        if let Some(held) = replacement {
            let expires_in = held
                .expires_at
                .map(|end| end.saturating_duration_since(Instant::now()));
            let expires_in_s = expires_in.map(|rest| rest.as_secs());
            match before {
                None => tracing::info!(expires_in_s, "there is a credential to sign with"),
                Some(_) => tracing::info!(expires_in_s, "the credential was replaced"),
            }
        }
        self.state.send_modify(|state| {
            state.held = held;
            state.failure = failure;
            state.replaced += u64::from(is_replaced);
            state.failed += u64::from(failed.is_some());
        });
    }

    fn complain(&self, failed: &Failed) {
        let Failed {
            error,
            count,
            is_local,
        } = failed;
        let is_valid = self.now(Instant::now()).is_ok();
        // A file is looked at every few seconds: one that stays broken is named ever more rarely.
        if *is_local && !count.is_power_of_two() {
            tracing::debug!(%error, failures = count, "the source of the credential fails still");
        } else if is_valid {
            tracing::warn!(%error, failures = count, "the credential in use is kept: there is no other");
        } else {
            tracing::error!(%error, failures = count, "there is no credential to sign with");
        }
    }
}

/// Tells those who have no credential that one is asked for, until it is dropped: whoever asks may
/// go away in the middle.
struct Asking<'a>(&'a watch::Sender<State>);

impl<'a> Asking<'a> {
    fn begin(state: &'a watch::Sender<State>) -> Self {
        state.send_modify(|state| state.is_asking = true);
        Self(state)
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|state| state.is_asking = false);
    }
}

/// Listens for SIGHUP from now on.
pub(super) fn hangups() -> Option<Signal> {
    signal(SignalKind::hangup())
        .inspect_err(|error| tracing::warn!(%error, "SIGHUP cannot be listened for"))
        .ok()
}

/// Asks the sources again whenever it is time, and when told to by SIGHUP.
pub(super) async fn keep_current(renewal: Arc<Renewal>, mut hangups: Option<Signal>) {
    loop {
        let next = renewal.supply.lock().await.next();
        let urge = tokio::select! {
            () = tokio::time::sleep_until(next) => Urge::Due,
            () = hangup(&mut hangups) => {
                tracing::info!(signal = "SIGHUP", "credentials are read again");
                Urge::Told
            }
        };
        renewal.refresh(urge).await;
    }
}

async fn hangup(hangups: &mut Option<Signal>) {
    let told = match hangups {
        Some(hangups) => hangups.recv().await,
        None => None,
    };
    if told.is_none() {
        std::future::pending().await
    }
}
