//! Tries a call until it succeeds, or until trying again does not help or is not allowed.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    BuildError, Call, CircuitState, Error, LimiterState, Reply,
    circuit::{Circuit, Open},
    latency::Latency,
    limiter::{Limiter, TooLate},
    retry::{self, Decision, Progress},
    retry_budget::RetryBudget,
    transport::Transport,
};
use crate::{
    clock::Clock,
    config,
    context::Context,
    credentials::{Credential, Credentials},
};

/// How long a call waits that was throttled, where nobody knows better.
const AFTER_THROTTLING: Duration = Duration::from_secs(1);

/// What counts as no wait for a turn.
const AT_ONCE: Duration = Duration::from_millis(10);

/// Makes attempts, and decides whether there is another.
#[derive(Debug)]
pub(super) struct Attempts {
    transport: Transport,
    credentials: Credentials,
    limiter: Limiter,
    circuit: Circuit,
    latency: Latency,
    budget: RetryBudget,
    max_attempts: u32,
}

impl Attempts {
    /// Returns what signs with what `credentials` hands out, at the time of `clock`.
    ///
    /// Nothing is sent before the first call.
    ///
    /// # Errors
    ///
    /// Fails if there is nothing by which the endpoint could be trusted.
    pub(super) fn new(
        settings: &config::Upstream,
        quota: &config::Quota,
        credentials: Credentials,
        clock: Clock,
    ) -> Result<Self, BuildError> {
        Ok(Self {
            transport: Transport::new(settings, clock)?,
            credentials,
            limiter: Limiter::new(quota),
            circuit: Circuit::new(quota.has_circuit),
            latency: Latency::default(),
            budget: RetryBudget::new(Instant::now()),
            max_attempts: settings.max_attempts,
        })
    }

    /// Makes `call`, with as many attempts as help and are allowed.
    ///
    /// Whoever waits ends the wait at the context's deadline by dropping the future, which ends
    /// everything under way for the call.
    ///
    /// # Errors
    ///
    /// Fails with the error of the last attempt, or with the reason why there was none.
    pub(super) async fn run(&self, call: &Call, context: &Context) -> Result<Reply, Error> {
        // Whoever repeats a call upstream of us would multiply our repetitions by its own.
        let max_attempts = if context.is_repetition() {
            1
        } else {
            self.max_attempts
        };
        self.budget.deposit(Instant::now());
        let mut is_mended = false;
        let mut last: Option<Error> = None;
        loop {
            if let Err(refusal) = self.admit(context).await {
                // A call that was made fails with what became of it.
                return Err(match (last, refusal) {
                    (Some(last), Error::RateLimited { wait }) => last.with_retry_after(wait),
                    (Some(last), _) => last,
                    (None, refusal) => refusal,
                });
            }
            let credential = self.credentials.current().await?;
            context.count_attempt();
            let error = match self.attempt(call, &credential).await {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            let progress = Progress {
                attempts: context.attempts(),
                max_attempts,
                is_mended,
                remaining: context.deadline().remaining(Instant::now()),
                // The limiter knows how long to wait, and makes the next attempt do so.
                after_throttling: match self.limiter.is_adaptive() {
                    true => Duration::ZERO,
                    false => AFTER_THROTTLING,
                },
            };
            let decision = retry::decide(&error, progress, fastrand::f64());
            tracing::debug!(attempt = progress.attempts, %error, ?decision, "an attempt failed");

            let is_tried_again = match decision {
                Decision::GiveUp => false,
                Decision::CorrectClock => {
                    is_mended = true;
                    self.transport.correct_clock(&error)
                }
                Decision::RenewCredential => {
                    is_mended = true;
                    self.credentials.renew(&credential).await
                }
                Decision::Wait(pause) => {
                    let is_affordable = self.budget.withdraw(Instant::now());
                    if is_affordable {
                        tokio::time::sleep(pause).await;
                    }
                    is_affordable
                }
            };
            if !is_tried_again {
                return Err(error);
            }
            last = Some(error);
        }
    }

    /// Returns what the limiter does and has done.
    pub(super) fn limiter_state(&self) -> LimiterState {
        self.limiter.state(Instant::now())
    }

    /// Returns what the circuit does and has done.
    pub(super) fn circuit_state(&self) -> CircuitState {
        self.circuit.state(Instant::now())
    }

    /// Waits until an attempt may be made.
    async fn admit(&self, context: &Context) -> Result<(), Error> {
        let began = Instant::now();
        self.circuit
            .enter(fastrand::f64(), began)
            .map_err(|Open| Error::CircuitOpen)?;

        // A turn that leaves no time for an answer would be wasted.
        let deadline = context.deadline();
        let remaining = deadline.remaining(began);
        let reserved = self.latency.average().min(remaining / 2);
        let latest = deadline.at().checked_sub(reserved);
        let turn = self
            .limiter
            .acquire(context.identity(), latest.unwrap_or(deadline.at()));
        turn.await
            .map_err(|TooLate { wait }| Error::RateLimited { wait })?;

        // Upstream may have gone down while the call waited.
        let now = Instant::now();
        if now - began > AT_ONCE {
            let entered = self.circuit.enter(fastrand::f64(), now);
            entered.map_err(|Open| Error::CircuitOpen)?;
        }
        Ok(())
    }

    /// Makes one attempt, and lets everything learn from it that can.
    async fn attempt(&self, call: &Call, credential: &Arc<Credential>) -> Result<Reply, Error> {
        let under_way = UnderWay::new(&self.circuit, &self.latency);
        let outcome = self.transport.exchange(call, credential).await;
        let now = Instant::now();
        match &outcome {
            Err(error) if error.is_throttling() => self.limiter.throttle(under_way.since, now),
            Err(error) if error.is_outage() => {}
            Err(Error::Untrusted { .. }) => {}
            Ok(_) | Err(_) => self.limiter.accept(under_way.since),
        }
        under_way.end(outcome.as_ref().err(), now);
        outcome
    }
}

/// An attempt that is being made. Dropped before it has [ended](Self::end), it counts as upstream's
/// failure if upstream has had the time that it usually takes: otherwise the one who left was
/// impatient.
struct UnderWay<'a> {
    circuit: &'a Circuit,
    latency: &'a Latency,
    since: Instant,
    is_over: bool,
}

impl<'a> UnderWay<'a> {
    fn new(circuit: &'a Circuit, latency: &'a Latency) -> Self {
        Self {
            circuit,
            latency,
            since: Instant::now(),
            is_over: false,
        }
    }

    fn end(mut self, error: Option<&Error>, now: Instant) {
        self.is_over = true;
        match error {
            Some(error) if error.is_outage() => self.circuit.fail(now),
            // It says nothing of upstream that this machine does not trust it.
            Some(Error::Untrusted { .. }) => {}
            _ => {
                self.latency.record(now - self.since);
                self.circuit.succeed(now);
            }
        }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let now = Instant::now();
        if !self.is_over && now - self.since >= self.latency.usual() {
            self.circuit.fail(now);
        }
    }
}
