//! Fault script: an ordered list of faults, each with the requests it applies to and the number of times
//! it happens. `fixtures` parses them; `reply` turns them into responses.

use std::{collections::VecDeque, time::Duration};

use http::{HeaderValue, StatusCode};

use super::actions::Action;

/// A fault that replaces or alters a response.
///
/// `Fault::from(FaultKind::Hold)` applies once, to the next request of any action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The action it applies to; `None` for all.
    pub action: Option<Action>,
    /// The id of the group or person it applies to; `None` for all.
    pub id: Option<String>,
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

    /// Sets the number of requests that the fault applies to.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times, ..self }
    }

    fn applies_to(&self, action: Option<Action>, id: Option<&str>) -> bool {
        let matches_action = self.action.is_none() || self.action == action;
        matches_action && (self.id.is_none() || self.id.as_deref() == id)
    }
}

impl From<FaultKind> for Fault {
    fn from(kind: FaultKind) -> Self {
        Self {
            action: None,
            id: None,
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

/// An ordered list of faults.
#[derive(Debug, Default)]
pub(super) struct Script {
    faults: VecDeque<Fault>,
}

impl Script {
    /// Appends a fault.
    pub(super) fn append(&mut self, fault: Fault) {
        if fault.times > 0 {
            self.faults.push_back(fault);
        }
    }

    /// Takes the first remaining fault that applies to a request.
    ///
    /// `action` is `None` if the request names no known action, and `id` is `None` if it names no group
    /// or person. Only faults without that restriction apply to such a request.
    pub(super) fn take(&mut self, action: Option<Action>, id: Option<&str>) -> Option<FaultKind> {
        let mut faults = self.faults.iter();
        let index = faults.position(|fault| fault.applies_to(action, id))?;
        let fault = self.faults.get_mut(index)?;
        fault.times -= 1;
        if fault.times > 0 {
            return Some(fault.kind.clone());
        }
        self.faults.remove(index).map(|fault| fault.kind)
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

    #[test]
    fn faults_apply_in_order_and_as_often_as_configured() {
        let faults = ["A", "B"].map(|code| Fault::from(FaultKind::api_error(code)).times(2));
        let mut script = Script::from_iter(faults);
        let codes = std::iter::from_fn(|| script.take(None, None)).map(|kind| code(&kind));
        assert_eq!(codes.collect::<Vec<_>>(), ["A", "A", "B", "B"]);
    }

    #[test]
    fn a_request_takes_the_first_fault_for_its_action() {
        let mut script = Script::from_iter([
            Fault::from(FaultKind::api_error("A")).on(Action::GetPersonGroupInfo),
            Fault::from(FaultKind::api_error("B")),
        ]);
        assert_eq!(
            script
                .take(Some(Action::GetGroupInfo), None)
                .as_ref()
                .map(code)
                .as_deref(),
            Some("B")
        );
        assert!(script.take(Some(Action::GetGroupInfo), None).is_none());
        assert!(script.take(None, None).is_none());
        assert!(
            script
                .take(Some(Action::GetPersonGroupInfo), None)
                .is_some()
        );
    }

    #[test]
    fn a_fault_with_an_id_applies_only_to_requests_for_that_id() {
        let fault = Fault::from(FaultKind::Hold).for_id("aaa");
        let mut script = Script::from_iter([fault]);
        let action = Some(Action::GetGroupInfo);
        assert!(script.take(action, None).is_none());
        assert!(script.take(action, Some("bbb")).is_none());
        assert!(script.take(action, Some("aaa")).is_some());
    }

    #[test]
    fn a_fault_with_zero_times_never_applies() {
        let mut script = Script::from_iter([Fault::from(FaultKind::Hold).times(0)]);
        assert!(script.take(None, None).is_none());
    }

    fn code(kind: &FaultKind) -> String {
        let FaultKind::ApiError { code, .. } = kind else {
            panic!("{kind:?}");
        };
        code.clone()
    }
}
