//! Tries a call until it succeeds, or until trying again does not help or is not allowed.

use tokio::time::Instant;

use super::{
    BuildError, Call, Error, Reply,
    retry::{self, Decision, Progress},
    retry_budget::RetryBudget,
    transport::Transport,
};
use crate::{clock::Clock, config, context::Context, credentials::Credentials};

/// Makes attempts, and decides whether there is another.
#[derive(Debug)]
pub(super) struct Attempts {
    transport: Transport,
    credentials: Credentials,
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
        credentials: Credentials,
        clock: Clock,
    ) -> Result<Self, BuildError> {
        Ok(Self {
            transport: Transport::new(settings, clock)?,
            credentials,
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
    /// Fails with the error of the last attempt.
    pub(super) async fn run(&self, call: &Call, context: &Context) -> Result<Reply, Error> {
        // Whoever repeats a call upstream of us would multiply our repetitions by its own.
        let max_attempts = if context.is_repetition() {
            1
        } else {
            self.max_attempts
        };
        self.budget.deposit(Instant::now());
        let mut is_mended = false;
        loop {
            let credential = self.credentials.current().await?;
            context.count_attempt();
            let error = match self.transport.exchange(call, &credential).await {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            let progress = Progress {
                attempts: context.attempts(),
                max_attempts,
                is_mended,
                remaining: context.deadline().remaining(Instant::now()),
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
        }
    }
}
