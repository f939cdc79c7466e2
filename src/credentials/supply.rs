//! Where the credential in use comes from: a source, and perhaps a role on top of it.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    Credential, Unavailable,
    chain::{Chain, NotOffered},
    layer::{Held, Layer},
    sts::Sts,
};

/// Why sources are asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Urge {
    /// It is time for some of them.
    Due,
    /// Upstream does not accept what there is.
    Refused,
    /// Somebody says that there is something new.
    Told,
}

/// What came of asking: the one may be there with the other.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) held: Option<Held>,
    /// The question that brought nothing, just now.
    pub(super) failure: Option<Failed>,
}

/// A source, or a role, that gave nothing.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: Unavailable,
    /// How often in a row.
    pub(super) count: u32,
    /// Whether it is one of this machine.
    pub(super) is_local: bool,
}

/// Asks for credentials, one question at a time.
#[derive(Debug)]
pub(super) struct Supply {
    chain: Chain,
    base: Layer,
    role: Option<Role>,
    interval: Duration,
}

#[derive(Debug)]
struct Role {
    arn: String,
    sts: Arc<Sts>,
    layer: Layer,
}

impl Supply {
    /// Returns a supply that has not been asked yet.
    pub(super) fn new(
        chain: Chain,
        role_arn: Option<String>,
        sts: Arc<Sts>,
        interval: Duration,
    ) -> Self {
        let now = Instant::now();
        let role = role_arn.map(|arn| Role {
            arn,
            sts,
            layer: Layer::new(now),
        });
        Self {
            chain,
            base: Layer::new(now),
            role,
            interval,
        }
    }

    /// Returns a supply from one source of this process, which has just yielded `credential`.
    pub(super) fn of(chain: Chain, credential: Credential) -> Self {
        let now = Instant::now();
        let mut base = Layer::new(now);
        base.keep_local(credential, false, now, Duration::ZERO);
        Self {
            chain,
            base,
            role: None,
            interval: Duration::ZERO,
        }
    }

    /// Returns the credential that there is without asking.
    pub(super) fn held(&self) -> Option<Held> {
        match &self.role {
            Some(role) => role.layer.held.clone(),
            None => self.base.held.clone(),
        }
    }

    /// Returns why there is less than there should be, if so.
    pub(super) fn failure(&self) -> Option<Unavailable> {
        let role = self
            .role
            .as_ref()
            .and_then(|role| role.layer.failure.clone());
        self.base.failure.clone().or(role)
    }

    /// Returns when there is something to ask for again.
    pub(super) fn next(&self) -> Instant {
        match &self.role {
            Some(role) if self.base.held.is_some() => self.base.ask_at.min(role.layer.ask_at),
            _ => self.base.ask_at,
        }
    }

    /// Asks whom there is reason to ask, and returns what there is now.
    pub(super) async fn refresh(&mut self, urge: Urge) -> Outcome {
        let (is_new, mut failure) = self.refresh_base(urge).await;
        let (Some(role), Some(base)) = (&mut self.role, &self.base.held) else {
            let held = self.held();
            return Outcome { held, failure };
        };
        let now = Instant::now();
        let is_asked = match urge {
            Urge::Due => now >= role.layer.ask_at,
            Urge::Refused => may_be_asked(&role.layer, now),
            Urge::Told => !role.layer.is_resting(now) && !self.chain.is_local(),
        };
        if is_new || is_asked {
            match role.sts.assume_role(&role.arn, &base.credential).await {
                Ok(obtained) => {
                    role.layer.keep_temporary(obtained, Instant::now());
                }
                Err(problem) => failure = Some(role.failed(problem)),
            }
        }
        Outcome {
            held: role.layer.held.clone(),
            failure,
        }
    }

    /// Asks the chain if there is reason to, and tells whether there is another credential now.
    async fn refresh_base(&mut self, urge: Urge) -> (bool, Option<Failed>) {
        let now = Instant::now();
        let is_local = self.chain.is_local();
        let is_asked = match urge {
            Urge::Due => now >= self.base.ask_at,
            Urge::Refused => is_local || may_be_asked(&self.base, now),
            Urge::Told => is_local || !self.base.is_resting(now),
        };
        if !is_asked {
            return (false, None);
        }
        let answer = self.chain.ask().await;
        let now = Instant::now();
        match answer {
            Ok(obtained) if self.chain.is_local() => {
                let is_refused = urge == Urge::Refused;
                let is_new =
                    self.base
                        .keep_local(obtained.credential, is_refused, now, self.interval);
                (is_new, None)
            }
            Ok(obtained) => (self.base.keep_temporary(obtained, now), None),
            Err(error) => {
                let count = self.base.fail(error.clone(), now);
                if is_local {
                    self.base.ask_at = now + self.interval;
                }
                (
                    false,
                    Some(Failed {
                        error,
                        count,
                        is_local,
                    }),
                )
            }
        }
    }
}

impl Role {
    fn failed(&mut self, problem: NotOffered) -> Failed {
        let (NotOffered::Broken(reason) | NotOffered::Failed(reason) | NotOffered::Nothing(reason)) =
            problem;
        let error = Unavailable {
            report: vec![format!("--role-arn {}: {reason}", self.arn)],
            is_passing: true,
        };
        Failed {
            count: self.layer.fail(error.clone(), Instant::now()),
            error,
            is_local: false,
        }
    }
}

/// Tells whether a refusal is a reason to ask again: not for what was obtained just now, nor so soon
/// after a failure. Otherwise every call that is refused would become a call of STS.
fn may_be_asked(layer: &Layer, now: Instant) -> bool {
    !layer.is_resting(now) && !layer.held.as_ref().is_some_and(|held| held.is_fresh(now))
}
