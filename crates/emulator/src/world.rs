//! World: what one account sees of the emulator, and how it handles a request. A request passes these steps in order:
//!
//! 1. A request whose method, path or size the API does not accept is rejected.
//! 2. The signature is verified, regardless of the script, so that every test of a fault also tests
//!    signing. Temporary credentials that the emulator issued are accepted until they expire.
//! 3. Every verified IAI request counts against the rate limit.
//! 4. A scripted fault applies. Requests that failed an earlier step consume no fault.
//! 5. Version, action and parameters are checked, and the action produces the response.
//!
//! Requests to the instance metadata service are unsigned and pass only step 4.

use std::future::pending;

use bytes::Bytes;
use http::{Response, header::DATE, request::Parts};
use hyper::body::Incoming;
use parking_lot::{Mutex, MutexGuard};
use secrecy::SecretString;
use tokio::sync::{Semaphore, watch};

use super::{
    account::Account,
    actions::{self, Action},
    call_log::CallLine,
    clock::Clock,
    dataset::Dataset,
    envelope::{ApiError, Envelope},
    faults::{Cut, Target},
    fixtures::Fixtures,
    headers::{header, required},
    instance_metadata,
    issued_credentials::IssuedCredentials,
    memory_budget::MemoryBudget,
    parameters::Parameters,
    rate_limit::RateLimit,
    received_request::ReceivedRequest,
    reply::{Body, Closed, End, Reply},
    request_body::{self, BodyError},
    request_log::RequestLog,
    script::Script,
    sts,
    verification::{self, Rejection, SignatureRejection},
};

/// The account, data, clock, faults and request log that the requests of one account share.
#[derive(Debug)]
pub(super) struct World {
    pub(super) request_log: RequestLog,
    pub(super) clock: Clock,
    /// The number of issued temporary credentials.
    pub(super) issued: watch::Sender<usize>,
    state: Mutex<State>,
}

/// The mutable state of a world.
#[derive(Debug)]
pub(super) struct State {
    pub(super) account: Account,
    pub(super) dataset: Dataset,
    /// Further accepted accounts.
    pub(super) further_accounts: Vec<Account>,
    /// The role of the instance whose metadata service this is.
    pub(super) instance_role: Option<String>,
    pub(super) issued: IssuedCredentials,
    pub(super) rate_limit: RateLimit,
    pub(super) script: Script,
    /// The token that authenticates a service account.
    pub(super) web_identity: SecretString,
}

impl State {
    /// Returns the account with this `SecretId`, or the main account if none matches.
    fn account_of(&self, secret_id: &str) -> Account {
        let mut accounts = self.further_accounts.iter();
        let claimed = accounts.rfind(|account| account.secret_id() == secret_id);
        claimed.unwrap_or(&self.account).clone()
    }
}

impl World {
    /// Creates a world in the state that `fixtures` define. Its request log takes memory of `log_budget`.
    pub(super) fn new(fixtures: &Fixtures, log_budget: MemoryBudget) -> Self {
        Self {
            request_log: RequestLog::new(log_budget),
            clock: Clock::new(fixtures.clock_offset),
            issued: watch::Sender::default(),
            state: Mutex::new(State {
                account: fixtures.account.clone(),
                dataset: Dataset::from(&fixtures.dataset),
                further_accounts: Vec::new(),
                instance_role: None,
                issued: IssuedCredentials::default(),
                rate_limit: RateLimit::new(fixtures.rate_limit),
                script: fixtures.faults.iter().cloned().collect(),
                web_identity: WEB_IDENTITY.into(),
            }),
        }
    }

    /// Creates an isolated world: one with an account of its own, and otherwise as [`Self::new`] does.
    pub(super) fn isolated(
        account: Account,
        fixtures: &Fixtures,
        log_budget: MemoryBudget,
    ) -> Self {
        let world = Self::new(fixtures, log_budget);
        let mut state = world.state();
        state.issued = IssuedCredentials::of_world(account.secret_id());
        state.account = account;
        drop(state);
        world
    }

    /// Returns to the state that `fixtures` define: that of [`Self::reset`], and their account.
    pub(super) fn reload(&self, fixtures: &Fixtures) {
        let mut state = self.state();
        state.account = fixtures.account.clone();
        state.further_accounts.clear();
        drop(state);
        self.reset(fixtures);
    }

    /// Returns dataset, faults, rate limit and clock to what `fixtures` define, and forgets the requests.
    /// Accounts and issued credentials stay.
    pub(super) fn reset(&self, fixtures: &Fixtures) {
        let mut state = self.state();
        state.dataset = Dataset::from(&fixtures.dataset);
        state.rate_limit = RateLimit::new(fixtures.rate_limit);
        state.script = fixtures.faults.iter().cloned().collect();
        self.clock.set_offset(fixtures.clock_offset);
        self.request_log.clear();
    }

    /// Returns whether the world accepts requests of this `SecretId`, apart from temporary credentials.
    pub(super) fn has_account(&self, secret_id: &str) -> bool {
        self.state().account_of(secret_id).secret_id() == secret_id
    }

    /// Locks the mutable state.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Handles one request. A large body waits for a permit of `large_bodies`.
    ///
    /// # Errors
    ///
    /// Fails with [`Closed`] if the connection must be closed instead.
    pub(super) async fn call(
        &self,
        head: Parts,
        body: Incoming,
        large_bodies: &Semaphore,
    ) -> Result<Response<Body>, Closed> {
        let mut line = CallLine::start();
        if head.uri.path().starts_with(instance_metadata::ROOT) {
            line.action = Some(Action::SecurityCredentials);
            let reply = self.receive_metadata(&head);
            return self.send(reply, line).await;
        }
        line.action = requested_action(&head).ok();
        let body = match request_body::read(&head, body, large_bodies).await {
            Ok(body) => Ok(body),
            Err(BodyError::Api(error)) => Err(error),
            Err(BodyError::Disconnected) => return Err(Closed(Cut::BeforeHeaders)),
        };
        let reply = self.receive(&head, body);
        self.send(reply, line).await
    }

    /// Determines the reply to a request and logs the request.
    fn receive(&self, head: &Parts, body: Result<Bytes, ApiError>) -> Reply {
        let action = requested_action(head);
        let parameters = match &body {
            Ok(body) => Parameters::parse(head, body),
            Err(error) => Err(error.clone()),
        };
        let query = head.uri.query().map_or(0, str::len);
        let is_small = body
            .as_ref()
            .is_ok_and(|body| body.len() + query <= MAX_LOGGED);
        let result = || {
            let parameters = parameters.as_ref().map_err(Clone::clone);
            self.run(action.clone()?, parameters?)
        };
        let known = action.as_ref().ok().copied();
        let mut signature_rejection = None;
        let reply = match body.and_then(|body| {
            self.admit(head, &body, known).map_err(|denied| {
                signature_rejection = denied.signature;
                denied.error
            })
        }) {
            Ok(()) => {
                let target = Target {
                    action: known,
                    id: parameters.as_ref().ok().and_then(actions::requested_id),
                    secret_id: verification::claimed_secret_id(head),
                };
                let fault = self.state().script.take(&target);
                fault.map_or_else(
                    || Reply::normal(result()),
                    |fault| Reply::faulty(fault, result),
                )
            }
            Err(error) => Reply::normal(Err(error)),
        };
        tracing::debug!(
            action = known.map(Action::name),
            code = reply.code,
            "emulator received a request",
        );
        let logged = parameters.as_ref().ok().filter(|_| is_small);
        let request = ReceivedRequest::new(head, logged, &reply, self.clock.now_milliseconds());
        self.request_log.add(ReceivedRequest {
            role: self.role_of_signer(head),
            signature_rejection,
            ..request
        });
        reply
    }

    fn receive_metadata(&self, head: &Parts) -> Reply {
        let fault = self.state().script.take(&Target {
            action: Some(Action::SecurityCredentials),
            ..Target::default()
        });
        let page = || {
            let mut state = self.state();
            let role = state.instance_role.clone();
            let now = self.clock.now();
            let issued = &mut state.issued;
            let page = instance_metadata::page(head.uri.path(), role.as_deref(), issued, now);
            self.issued.send_replace(issued.count());
            page
        };
        let reply = match fault {
            Some(fault) => Reply::faulty(fault, || Ok(page().unwrap_or_default().into())),
            None => Reply::page(page()),
        };
        let now = self.clock.now_milliseconds();
        self.request_log
            .add(ReceivedRequest::new(head, None, &reply, now));
        reply
    }

    /// Runs the action of an admitted request.
    fn run(&self, action: Action, parameters: &Parameters) -> Result<Envelope, ApiError> {
        let now = self.clock.now();
        let mut state = self.state();
        let State {
            dataset,
            issued,
            web_identity,
            ..
        } = &mut *state;
        let result = match action {
            Action::AssumeRole => sts::assume_role(parameters, issued, now),
            Action::AssumeRoleWithWebIdentity => {
                sts::assume_role_with_web_identity(parameters, web_identity, issued, now)
            }
            Action::GetGroupInfo => return actions::get_group_info(parameters, dataset),
            Action::GetPersonGroupInfo => {
                return actions::get_person_group_info(parameters, dataset);
            }
            Action::SecurityCredentials => Err(ApiError::new(
                "InvalidAction",
                "The action `SecurityCredentials` does not exist.",
            )),
        };
        self.issued.send_replace(issued.count());
        result
    }

    fn role_of_signer(&self, head: &Parts) -> Option<String> {
        let secret_id = verification::claimed_secret_id(head)?;
        let state = self.state();
        Some(state.issued.by_secret_id(secret_id)?.role.clone())
    }

    /// Verifies the signature of a request, then counts the request against the rate limit.
    fn admit(&self, head: &Parts, body: &[u8], action: Option<Action>) -> Result<(), Denied> {
        let is_unsigned = header(head, "authorization") == Some("SKIP");
        if is_unsigned && action == Some(Action::AssumeRoleWithWebIdentity) {
            return Ok(());
        }
        let now = self.clock.now();
        let service = action.map_or("iai", Action::service);
        let secret_id = verification::claimed_secret_id(head).unwrap_or_default();
        let temporary = self.state().issued.by_secret_id(secret_id).cloned();
        let account = match &temporary {
            Some(temporary) => temporary.account.clone(),
            None => self.state().account_of(secret_id),
        };
        let denied = |Rejection { error, reason }| Denied {
            error,
            signature: Some(SignatureRejection::new(head, body, reason)),
        };
        verification::verify(head, body, &account, service, now).map_err(denied)?;
        if temporary.is_some_and(|temporary| now >= temporary.expires) {
            return Err(denied(Rejection {
                error: verification::token_failure(),
                reason: "the temporary credential has expired".to_owned(),
            }));
        }
        if service != "iai" || self.state().rate_limit.admit(now) {
            Ok(())
        } else {
            Err(Denied {
                error: ApiError::new(
                    "RequestLimitExceeded",
                    "The request rate exceeds the limit of the account.",
                ),
                signature: None,
            })
        }
    }

    async fn send(&self, reply: Reply, mut line: CallLine) -> Result<Response<Body>, Closed> {
        line.result = Some(reply.result);
        if let Some(delay) = reply.delay {
            let guard = self.request_log.disconnect_guard();
            tokio::time::sleep(delay).await;
            guard.disarm();
        }
        match reply.end {
            End::Cut(cut) => Err(Closed(cut)),
            End::Hold => {
                let _guard = self.request_log.disconnect_guard();
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

/// Why a request was not admitted.
struct Denied {
    error: ApiError,
    /// What is wrong with the signature, if it is the reason.
    signature: Option<SignatureRejection>,
}

fn requested_action(head: &Parts) -> Result<Action, ApiError> {
    let name = required(head, "x-tc-action", "Action")?;
    let version = required(head, "x-tc-version", "Version")?;
    let action = Action::named(name);
    if version != action.map_or(VERSION, Action::version) {
        let message = format!("The version `{version}` does not exist.");
        return Err(ApiError::new("NoSuchVersion", message));
    }
    action.ok_or_else(|| {
        let message = format!("The action `{name}` does not exist.");
        ApiError::new("InvalidAction", message)
    })
}

/// Maximum size of the body or query of a request whose parameters are logged, in bytes.
const MAX_LOGGED: usize = 4 << 10;

/// The supported version of IAI.
const VERSION: &str = "2020-03-03";

/// The default token of a service account.
const WEB_IDENTITY: &str = "emulator-web-identity";

#[cfg(test)]
mod tests;
