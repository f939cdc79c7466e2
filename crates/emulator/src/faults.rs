//! Fault script: an ordered list of faults, each with the requests it applies to and the number of times
//! it happens. `fixtures` parses them; `reply` turns them into responses.

use std::{collections::VecDeque, time::Duration};

use http::{HeaderValue, StatusCode};

use super::{actions::Action, memory_budget::Reservation};

/// A fault that replaces or alters a response.
///
/// `Fault::from(FaultKind::Hold)` applies once, to the next request of any action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The action it applies to; `None` for all.
    pub action: Option<Action>,
    /// The id of the group or person it applies to; `None` for all.
    pub id: Option<String>,
    /// The `SecretId` whose requests it applies to; `None` for all.
    pub credential: Option<String>,
    /// The probability with which it applies to a request that matches.
    pub probability: Probability,
    /// The number of requests it applies to. Zero disables it.
    pub times: u32,
    /// What happens.
    pub kind: FaultKind,
}

impl Fault {
    /// Restricts the fault to requests of one action.
    #[must_use]
    pub fn on(self, action: Action) -> Self {
        Self {
            action: Some(action),
            ..self
        }
    }

    /// Restricts the fault to requests for one group or person.
    #[must_use]
    pub fn for_id(self, id: impl Into<String>) -> Self {
        Self {
            id: Some(id.into()),
            ..self
        }
    }

    /// Restricts the fault to requests signed with the key of this `SecretId`.
    #[must_use]
    pub fn for_credential(self, secret_id: impl Into<String>) -> Self {
        Self {
            credential: Some(secret_id.into()),
            ..self
        }
    }

    /// Lets the fault apply to a matching request with this probability only. Requests that it spares do
    /// not count.
    #[must_use]
    pub fn with_probability(self, probability: Probability) -> Self {
        Self {
            probability,
            ..self
        }
    }

    /// Sets the number of requests that the fault applies to.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times, ..self }
    }

    fn matches(&self, target: &Target<'_>) -> bool {
        let matches_action = self.action.is_none() || self.action == target.action;
        let is = |wanted: &Option<String>, found: Option<&str>| {
            wanted.is_none() || wanted.as_deref() == found
        };
        matches_action && is(&self.id, target.id) && is(&self.credential, target.secret_id)
    }
}

/// The properties of a request that faults match. A property that the request does not name, or that is
/// not known, is `None`; then only faults without that restriction match.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Target<'a> {
    pub(super) action: Option<Action>,
    pub(super) id: Option<&'a str>,
    pub(super) secret_id: Option<&'a str>,
}

/// A probability above 0 and up to 1, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probability(u32);

impl Probability {
    /// The probability 1.
    pub const ALWAYS: Self = Self(Self::MILLION);

    const MILLION: u32 = 1_000_000;

    /// Creates a probability, rounded to a millionth. Returns `None` unless it is from 0.000001 to 1.
    pub fn new(probability: f64) -> Option<Self> {
        let millionths = (probability * f64::from(Self::MILLION)).round();
        let is_valid = (1.0..=f64::from(Self::MILLION)).contains(&millionths);
        // Within the bounds, the conversion is exact.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the bounds were checked"
        )]
        is_valid.then_some(Self(millionths as u32))
    }

    /// Returns the probability, above 0 and up to 1.
    pub fn get(self) -> f64 {
        f64::from(self.0) / f64::from(Self::MILLION)
    }

    fn draw(self) -> bool {
        self == Self::ALWAYS || fastrand::u32(..Self::MILLION) < self.0
    }
}

impl From<FaultKind> for Fault {
    fn from(kind: FaultKind) -> Self {
        Self {
            action: None,
            id: None,
            credential: None,
            probability: Probability::ALWAYS,
            times: 1,
            kind,
        }
    }
}

/// The effect of a [`Fault`]. Variants are named after the keys of the fixtures format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// Responds with an API error.
    ApiError {
        /// The code, such as `InternalError`.
        code: String,
        /// The message.
        message: String,
        /// The HTTP status. The API itself reports errors with status 200.
        status: StatusCode,
    },
    /// Closes the connection.
    Cut(Cut),
    /// Responds normally after this time.
    Delay(Duration),
    /// Responds with HTTP 200 and a text that is not JSON.
    Garbage,
    /// Never responds. Ends when the client closes the connection.
    Hold,
    /// Responds with a JSON body of this many bytes, at least 27, without a `Content-Length`.
    Oversize(u64),
    /// Responds with HTTP 302 and this `Location`.
    Redirect(HeaderValue),
    /// Responds with this text unchanged.
    Response {
        /// The body.
        body: String,
        /// The HTTP status.
        status: StatusCode,
        /// The `Content-Type`.
        content_type: HeaderValue,
    },
    /// Responds like a gateway that fails in front of the API.
    Status {
        /// The HTTP status.
        status: StatusCode,
        /// The body.
        page: Page,
        /// The `Retry-After` header, in seconds.
        retry_after: Option<u32>,
    },
    /// Responds normally, but with only the first half of the body, declared as complete.
    Truncate,
}

impl FaultKind {
    /// Creates an API error over HTTP 200, the status that the API uses.
    pub fn api_error(code: impl Into<String>) -> Self {
        Self::ApiError {
            code: code.into(),
            message: DEFAULT_MESSAGE.to_owned(),
            status: StatusCode::OK,
        }
    }

    /// Creates an HTML response with this HTTP status.
    pub fn status(status: StatusCode) -> Self {
        Self::Status {
            status,
            page: Page::Html,
            retry_after: None,
        }
    }

    /// Creates an HTTP 200 response with this text, declared as JSON.
    pub fn response(body: impl Into<String>) -> Self {
        Self::Response {
            body: body.into(),
            status: StatusCode::OK,
            content_type: HeaderValue::from_static("application/json"),
        }
    }
}

/// The message of a scripted error without a message.
pub(super) const DEFAULT_MESSAGE: &str = "Scripted by the emulator's fixtures.";

/// The point of the response at which the connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Before the first byte.
    BeforeHeaders,
    /// In the middle of a header line.
    InsideHeaders,
    /// After the headers and a part of the body.
    InsideBody,
}

/// The body of a [`FaultKind::Status`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Page {
    /// An empty body.
    Empty,
    /// A short HTML page, as gateways send.
    #[default]
    Html,
}

/// A fault of a script.
#[derive(Debug)]
pub(super) struct Scripted {
    /// The name of the fault, unique within the script.
    pub(super) fault_id: String,
    /// The fault, with the remaining number of times.
    pub(super) fault: Fault,
    _reservation: Option<Reservation>,
}

/// The fault that applies to a request.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) fault_id: String,
    pub(super) kind: FaultKind,
}

/// An ordered list of faults.
#[derive(Debug, Default)]
pub(super) struct Script {
    faults: VecDeque<Scripted>,
    /// The number of faults that were named by the script.
    named: u64,
}

impl Script {
    /// Appends a fault, unless it applies to no request.
    pub(super) fn append(&mut self, fault: Fault) {
        if fault.times > 0 {
            let fault_id = self.unused_id();
            self.faults.push_back(Scripted {
                fault_id,
                fault,
                _reservation: None,
            });
        }
    }

    /// Returns an id that no fault of the script has: `fault-1`, `fault-2`, and so on.
    pub(super) fn unused_id(&mut self) -> String {
        loop {
            self.named += 1;
            let fault_id = format!("fault-{}", self.named);
            if self.get(&fault_id).is_none() {
                return fault_id;
            }
        }
    }

    /// Replaces the fault with this id at its place, or appends it. Returns whether it is new.
    pub(super) fn put(&mut self, fault_id: &str, fault: Fault, reservation: Reservation) -> bool {
        let scripted = Scripted {
            fault_id: fault_id.to_owned(),
            fault,
            _reservation: Some(reservation),
        };
        match self.faults.iter_mut().find(|it| it.fault_id == fault_id) {
            Some(replaced) => {
                *replaced = scripted;
                false
            }
            None => {
                self.faults.push_back(scripted);
                true
            }
        }
    }

    /// Returns the fault with this id, unless it was removed or has applied as often as it should.
    pub(super) fn get(&self, fault_id: &str) -> Option<&Scripted> {
        self.iter().find(|it| it.fault_id == fault_id)
    }

    /// Removes a fault. Returns whether it existed.
    pub(super) fn remove(&mut self, fault_id: &str) -> bool {
        let index = self.iter().position(|it| it.fault_id == fault_id);
        index.and_then(|index| self.faults.remove(index)).is_some()
    }

    /// Removes all faults. Ids that the script gave are not given again.
    pub(super) fn clear(&mut self) {
        self.faults.clear();
    }

    /// Returns the remaining faults in order.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &Scripted> {
        self.faults.iter()
    }

    /// Takes the first remaining fault that matches a request and whose probability lets it apply.
    pub(super) fn take(&mut self, target: &Target<'_>) -> Option<Taken> {
        let mut faults = self.faults.iter();
        let index = faults
            .position(|Scripted { fault, .. }| fault.matches(target) && fault.probability.draw())?;
        let scripted = self.faults.get_mut(index)?;
        scripted.fault.times -= 1;
        if scripted.fault.times > 0 {
            return Some(Taken {
                fault_id: scripted.fault_id.clone(),
                kind: scripted.fault.kind.clone(),
            });
        }
        let Scripted {
            fault_id, fault, ..
        } = self.faults.remove(index)?;
        let kind = fault.kind;
        Some(Taken { fault_id, kind })
    }
}

impl FromIterator<Fault> for Script {
    fn from_iter<I: IntoIterator<Item = Fault>>(faults: I) -> Self {
        let mut script = Self::default();
        faults.into_iter().for_each(|fault| script.append(fault));
        script
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory_budget::MemoryBudget;

    #[test]
    fn faults_apply_in_order_and_as_often_as_configured() {
        let faults = ["A", "B"].map(|code| Fault::from(FaultKind::api_error(code)).times(2));
        let mut script = Script::from_iter(faults);
        let codes = std::iter::from_fn(|| code(script.take(&Target::default())));
        assert_eq!(codes.collect::<Vec<_>>(), ["A", "A", "B", "B"]);
    }

    #[test]
    fn a_request_takes_the_first_fault_for_its_action() {
        let mut script = Script::from_iter([
            Fault::from(FaultKind::api_error("A")).on(Action::GetPersonGroupInfo),
            Fault::from(FaultKind::api_error("B")),
        ]);
        let on = |action| Target {
            action: Some(action),
            ..Target::default()
        };
        let taken = script.take(&on(Action::GetGroupInfo));
        assert_eq!(code(taken).as_deref(), Some("B"));
        assert!(script.take(&on(Action::GetGroupInfo)).is_none());
        assert!(script.take(&Target::default()).is_none());
        assert!(script.take(&on(Action::GetPersonGroupInfo)).is_some());
    }

    #[test]
    fn a_fault_with_an_id_or_credential_applies_to_requests_that_name_it() {
        let fault = Fault::from(FaultKind::Hold);
        let of = |id, secret_id| Target {
            action: Some(Action::GetGroupInfo),
            id,
            secret_id,
        };
        for (fault, matching) in [
            (fault.clone().for_id("aaa"), of(Some("aaa"), None)),
            (fault.for_credential("aaa"), of(None, Some("aaa"))),
        ] {
            let mut script = Script::from_iter([fault]);
            assert!(script.take(&of(None, None)).is_none());
            assert!(script.take(&of(Some("bbb"), Some("bbb"))).is_none());
            assert!(script.take(&matching).is_some());
        }
    }

    #[test]
    fn a_fault_with_zero_times_never_applies() {
        let mut script = Script::from_iter([Fault::from(FaultKind::Hold).times(0)]);
        assert!(script.take(&Target::default()).is_none());
    }

    #[test]
    fn a_fault_with_a_probability_spares_requests_without_counting_them() {
        let half = Probability::new(0.5).unwrap();
        let fault = Fault::from(FaultKind::Hold).with_probability(half);
        let mut script = Script::from_iter([fault.times(100)]);
        let mut requests = 0;
        while script.iter().len() > 0 {
            script.take(&Target::default());
            requests += 1;
        }
        // Outside of these bounds once in 10^18 runs.
        assert!((120..400).contains(&requests), "{requests}");
    }

    #[test]
    fn a_probability_is_above_0_and_up_to_1() {
        for (probability, expected) in [
            (1.0, Some(1.0)),
            (0.25, Some(0.25)),
            (0.000_001, Some(0.000_001)),
            (0.0, None),
            (-0.5, None),
            (1.1, None),
            (f64::NAN, None),
            (f64::INFINITY, None),
        ] {
            assert_eq!(
                Probability::new(probability).map(Probability::get),
                expected
            );
        }
    }

    #[test]
    fn a_fault_is_put_replaced_at_its_place_and_removed() {
        let budget = MemoryBudget::new(100);
        let mut script = Script::from_iter([Fault::from(FaultKind::api_error("A"))]);
        let put = |script: &mut Script, fault_id: &str, code: &str| {
            let fault = Fault::from(FaultKind::api_error(code));
            script.put(fault_id, fault, budget.reserve(1).unwrap())
        };
        assert!(put(&mut script, "fault-2", "B"));
        assert!(put(&mut script, "x", "C"));
        assert!(!put(&mut script, "fault-2", "D"));
        assert_eq!(script.unused_id(), "fault-3");
        let ids =
            |script: &Script| -> Vec<_> { script.iter().map(|it| it.fault_id.clone()).collect() };
        assert_eq!(ids(&script), ["fault-1", "fault-2", "x"]);
        assert!(script.remove("fault-1"));
        assert!(!script.remove("fault-1"));
        assert_eq!(code(script.take(&Target::default())).as_deref(), Some("D"));
        assert_eq!(ids(&script), ["x"]);
    }

    fn code(taken: Option<Taken>) -> Option<String> {
        let FaultKind::ApiError { code, .. } = taken?.kind else {
            panic!("no API error");
        };
        Some(code)
    }
}
