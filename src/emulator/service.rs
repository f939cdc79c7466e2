//! The way of one call.
//!
//! 1. A request of a form the API does not take is refused before anything else: method, path,
//!    size.
//! 2. The signature is verified, whatever a script says, so that every test of a fault is a test
//!    of signing too. Temporary credentials that were issued here are accepted until they expire.
//! 3. Every verified call of IAI counts against the rate limit.
//! 4. A scripted fault befalls the call. Calls that did not come so far leave the script as it is.
//! 5. Version, action and parameters are checked, and the action answers.
//!
//! A request to the metadata service of an instance is not a call: nobody signs it.

use std::{
    future::pending,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use http::{Request, Response, header::DATE, request::Parts};
use hyper::body::Incoming;
use secrecy::SecretString;
use tokio::sync::watch;

use super::{
    account::Account,
    actions::{self, Action},
    body::{self, Unread},
    calls::{Calls, ReceivedCall},
    clock::Clock,
    connection::Closed,
    envelope::Refusal,
    faults::{Cut, Script},
    fixtures::Fixtures,
    headers::{header, required},
    issued::Issued,
    metadata,
    parameters::Parameters,
    rate_limit::RateLimit,
    records::Records,
    reply::{Body, End, Reply},
    sts, verification,
};

/// Answers calls.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) calls: Calls,
    pub(super) clock: Clock,
    /// How many temporary credentials were issued.
    pub(super) issued: watch::Sender<usize>,
    controls: Mutex<Controls>,
    records: Records,
}

/// What changes while the emulator runs.
#[derive(Debug)]
pub(super) struct Controls {
    pub(super) account: Account,
    /// Accounts whose calls are accepted beside it.
    pub(super) further_accounts: Vec<Account>,
    /// The role of the instance that the metadata service is of.
    pub(super) instance_role: Option<String>,
    pub(super) issued: Issued,
    pub(super) rate_limit: RateLimit,
    pub(super) script: Script,
    /// The token that proves a service account.
    pub(super) web_identity: SecretString,
}

impl Controls {
    /// Returns the account that a caller claims to be; for an unknown one that which calls are to be
    /// signed for.
    fn account_of(&self, secret_id: &str) -> Account {
        let mut accounts = self.further_accounts.iter();
        let claimed = accounts.rfind(|account| account.secret_id() == secret_id);
        claimed.unwrap_or(&self.account).clone()
    }
}

impl Service {
    /// Creates a service that knows what `fixtures` say.
    pub(super) fn new(fixtures: Fixtures) -> Self {
        Self {
            calls: Calls::default(),
            clock: Clock::new(fixtures.clock_offset),
            issued: watch::Sender::default(),
            controls: Mutex::new(Controls {
                account: fixtures.account,
                further_accounts: Vec::new(),
                instance_role: None,
                issued: Issued::default(),
                rate_limit: RateLimit::new(fixtures.rate_limit),
                script: fixtures.faults.into_iter().collect(),
                web_identity: WEB_IDENTITY.into(),
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
        if head.uri.path().starts_with(metadata::ROOT) {
            let reply = self.receive_metadata(&head);
            return self.deliver(reply).await;
        }
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
            self.answer(action.clone()?, parameters?)
        };
        let known = action.as_ref().ok().copied();
        let reply = match body.and_then(|body| self.admit(head, &body, known)) {
            Ok(()) => {
                let fault = self.controls().script.take(known);
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
        let role = self.role_of_signer(head);
        self.calls.add(ReceivedCall { role, ..call });
        reply
    }

    fn receive_metadata(&self, head: &Parts) -> Reply {
        let fault = self
            .controls()
            .script
            .take(Some(Action::SecurityCredentials));
        let page = || {
            let mut controls = self.controls();
            let role = controls.instance_role.clone();
            let now = self.clock.now();
            let issued = &mut controls.issued;
            let page = metadata::page(head.uri.path(), role.as_deref(), issued, now);
            self.issued.send_replace(issued.count());
            page
        };
        let reply = match fault {
            Some(fault) => Reply::faulty(fault, || Ok(page().unwrap_or_default().into())),
            None => Reply::page(page()),
        };
        self.calls
            .add(ReceivedCall::new(head, None, reply.code.clone()));
        reply
    }

    /// Answers a call that was admitted.
    fn answer(&self, action: Action, parameters: &Parameters) -> Result<Bytes, Refusal> {
        let now = self.clock.now();
        let mut controls = self.controls();
        let Controls {
            issued,
            web_identity,
            ..
        } = &mut *controls;
        let answer = match action {
            Action::AssumeRole => sts::assume_role(parameters, issued, now),
            Action::AssumeRoleWithWebIdentity => {
                sts::assume_role_with_web_identity(parameters, web_identity, issued, now)
            }
            Action::GetGroupInfo => return actions::get_group_info(parameters, &self.records),
            Action::GetPersonGroupInfo => {
                return actions::get_person_group_info(parameters, &self.records);
            }
            Action::SecurityCredentials => {
                Err(Refusal::new("InvalidAction", "no action of an API"))
            }
        };
        self.issued.send_replace(issued.count());
        answer
    }

    fn role_of_signer(&self, head: &Parts) -> Option<String> {
        let secret_id = verification::claimed_secret_id(head)?;
        let controls = self.controls();
        Some(controls.issued.named(secret_id)?.role.clone())
    }

    /// Verifies a call's signature, then counts it against the rate limit.
    fn admit(&self, head: &Parts, body: &[u8], action: Option<Action>) -> Result<(), Refusal> {
        let is_unsigned = header(head, "authorization") == Some("SKIP");
        if is_unsigned && action == Some(Action::AssumeRoleWithWebIdentity) {
            return Ok(());
        }
        let now = self.clock.now();
        let service = action.map_or("iai", Action::service);
        let secret_id = verification::claimed_secret_id(head).unwrap_or_default();
        let temporary = self.controls().issued.named(secret_id).cloned();
        let account = match &temporary {
            Some(temporary) => temporary.account.clone(),
            None => self.controls().account_of(secret_id),
        };
        verification::verify(head, body, &account, service, now)?;
        if temporary.is_some_and(|temporary| now >= temporary.expires) {
            return Err(verification::token_failure());
        }
        if service != "iai" || self.controls().rate_limit.admit(now) {
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
    let action = Action::named(name);
    if version != action.map_or(VERSION, Action::version) {
        let message = format!("The version `{version}` does not exist.");
        return Err(Refusal::new("NoSuchVersion", message));
    }
    action.ok_or_else(|| {
        let message = format!("The action `{name}` does not exist.");
        Refusal::new("InvalidAction", message)
    })
}

/// The largest body whose parameters are remembered, in bytes.
const MAX_KEPT: usize = 4 << 10;

/// The one version of IAI there is here.
const VERSION: &str = "2020-03-03";

/// The token that proves a service account until another is set.
const WEB_IDENTITY: &str = "emulator-web-identity";

#[cfg(test)]
mod tests;
