//! The way of one call.
//!
//! 1. A request of a form the API does not take is refused before anything else: method, path,
//!    size.
//! 2. The signature is verified, whatever a script says, so that every test of a fault is a test
//!    of signing too.
//! 3. Every verified call counts against the rate limit.
//! 4. A scripted fault befalls the call. Calls that did not come so far leave the script as it is.
//! 5. Version, action and parameters are checked, and the action answers.

use std::{
    future::pending,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use http::{Request, Response, header::DATE, request::Parts};
use hyper::body::Incoming;

use super::{
    account::Account,
    actions::Action,
    body::{self, Unread},
    calls::{Calls, ReceivedCall},
    clock::Clock,
    connection::Closed,
    envelope::Refusal,
    faults::{Cut, Script},
    fixtures::Fixtures,
    headers::required,
    parameters::Parameters,
    rate_limit::RateLimit,
    records::Records,
    reply::{Body, End, Reply},
    verification,
};

/// Answers calls.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) calls: Calls,
    pub(super) clock: Clock,
    controls: Mutex<Controls>,
    records: Records,
}

/// What changes while the emulator runs.
#[derive(Debug)]
pub(super) struct Controls {
    pub(super) account: Account,
    pub(super) rate_limit: RateLimit,
    pub(super) script: Script,
}

impl Service {
    /// Creates a service that knows what `fixtures` say.
    pub(super) fn new(fixtures: Fixtures) -> Self {
        Self {
            calls: Calls::default(),
            clock: Clock::new(fixtures.clock_offset),
            controls: Mutex::new(Controls {
                account: fixtures.account,
                rate_limit: RateLimit::new(fixtures.rate_limit),
                script: fixtures.faults.into_iter().collect(),
            }),
            records: fixtures.records,
        }
    }

    /// Gives access to what changes while the emulator runs.
    pub(super) fn controls(&self) -> MutexGuard<'_, Controls> {
        self.controls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers one call.
    ///
    /// # Errors
    ///
    /// Returns [`Closed`] if the connection is to be closed instead.
    pub(super) async fn call(&self, request: Request<Incoming>) -> Result<Response<Body>, Closed> {
        let (head, body) = request.into_parts();
        let body = match body::read(&head, body).await {
            Ok(body) => Ok(body),
            Err(Unread::Refused(refusal)) => Err(refusal),
            Err(Unread::Lost) => return Err(Closed(Cut::BeforeHeaders)),
        };
        let reply = self.receive(&head, body);
        self.deliver(reply).await
    }

    /// Decides what goes back for a call, and records both.
    fn receive(&self, head: &Parts, body: Result<Bytes, Refusal>) -> Reply {
        let action = requested_action(head);
        let parameters = match &body {
            Ok(body) => Parameters::parse(head, body),
            Err(refusal) => Err(refusal.clone()),
        };
        let is_kept = body.as_ref().is_ok_and(|body| body.len() <= MAX_KEPT);
        let answer = || {
            let parameters = parameters.as_ref().map_err(Clone::clone);
            action.clone()?.answer(parameters?, &self.records)
        };
        let reply = match body.and_then(|body| self.admit(head, &body)) {
            Ok(()) => {
                let fault = self.controls().script.take(action.as_ref().ok().copied());
                fault.map_or_else(
                    || Reply::usual(answer()),
                    |fault| Reply::faulty(fault, answer),
                )
            }
            Err(refusal) => Reply::usual(Err(refusal)),
        };
        tracing::debug!(action = ?action.as_ref().ok(), code = reply.code, "emulator received a call");
        let kept = parameters.as_ref().ok().filter(|_| is_kept);
        let call = ReceivedCall::new(head, kept, reply.code.clone());
        self.calls.add(call);
        reply
    }

    /// Verifies a call's signature, then counts it against the rate limit.
    fn admit(&self, head: &Parts, body: &[u8]) -> Result<(), Refusal> {
        let now = self.clock.now();
        let account = self.controls().account.clone();
        verification::verify(head, body, &account, now)?;
        if self.controls().rate_limit.admit(now) {
            Ok(())
        } else {
            Err(Refusal::new(
                "RequestLimitExceeded",
                "The request rate exceeds the limit of the account.",
            ))
        }
    }

    async fn deliver(&self, reply: Reply) -> Result<Response<Body>, Closed> {
        if let Some(delay) = reply.delay {
            let waiting = self.calls.wait();
            tokio::time::sleep(delay).await;
            waiting.over();
        }
        match reply.end {
            End::Cut(cut) => Err(Closed(cut)),
            End::Hold => {
                let _waiting = self.calls.wait();
                pending().await
            }
            End::Send(mut response) => {
                if let Some(date) = self.clock.http_date() {
                    response.headers_mut().insert(DATE, date);
                }
                Ok(response)
            }
        }
    }
}

fn requested_action(head: &Parts) -> Result<Action, Refusal> {
    let name = required(head, "x-tc-action", "Action")?;
    let version = required(head, "x-tc-version", "Version")?;
    if version != VERSION {
        let message = format!("The version `{version}` does not exist.");
        return Err(Refusal::new("NoSuchVersion", message));
    }
    Action::named(name).ok_or_else(|| {
        let message = format!("The action `{name}` does not exist.");
        Refusal::new("InvalidAction", message)
    })
}

/// The largest body whose parameters are remembered, in bytes.
const MAX_KEPT: usize = 4 << 10;

/// The one version of the API there is here.
const VERSION: &str = "2020-03-03";

#[cfg(test)]
mod tests;
