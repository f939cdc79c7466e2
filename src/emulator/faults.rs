//! The script of faults: what goes wrong, for which calls, how often.

use std::{collections::VecDeque, time::Duration};

use http::{HeaderValue, StatusCode};
use serde::Deserialize;

use super::actions::Action;

mod entry;

/// Something that goes wrong instead of a proper answer.
///
/// `Fault::from(FaultKind::Hold)` befalls the next call, whatever its action.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "entry::Entry")]
pub struct Fault {
    /// The action whose calls it befalls; `None` for all.
    pub action: Option<Action>,
    /// How many calls it befalls. With zero it never happens.
    pub times: u32,
    /// What happens.
    pub kind: FaultKind,
}

impl Fault {
    /// Restricts the fault to calls of one action.
    #[must_use]
    pub fn on(self, action: Action) -> Self {
        Self {
            action: Some(action),
            ..self
        }
    }

    /// Repeats the fault: it befalls so many calls.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times, ..self }
    }

    fn befalls(&self, action: Option<Action>) -> bool {
        self.action.is_none() || self.action == action
    }
}

impl From<FaultKind> for Fault {
    fn from(kind: FaultKind) -> Self {
        Self {
            action: None,
            times: 1,
            kind,
        }
    }
}

/// What a [`Fault`] does to a call.
#[derive(Clone, Debug)]
pub enum FaultKind {
    /// Answers with this text, word for word.
    Answer {
        /// The body.
        body: String,
        /// The HTTP status.
        status: StatusCode,
        /// The `Content-Type`.
        content_type: HeaderValue,
    },
    /// Closes the connection.
    Cut(Cut),
    /// Answers as usual, after this time.
    Delay(Duration),
    /// Answers HTTP 200 with a text that is not JSON.
    Garbage,
    /// Never answers; ends when the client closes the connection.
    Hold,
    /// Answers with JSON of so many bytes, of unannounced length. At least 27 are sent.
    Oversize(u64),
    /// Answers HTTP 302 with this `Location`.
    Redirect(HeaderValue),
    /// Refuses with an upstream code.
    Refuse {
        /// The code, such as `InternalError`.
        code: String,
        /// The message.
        message: String,
        /// The HTTP status; the API itself refuses with 200.
        status: StatusCode,
    },
    /// Answers as a gateway would that fails before the API is reached.
    Status {
        /// The HTTP status.
        status: StatusCode,
        /// The body.
        page: Page,
        /// Seconds for a `Retry-After` header.
        retry_after: Option<u32>,
    },
    /// Answers as usual, but only with the first half of the body, declared as the whole.
    Truncate,
}

impl FaultKind {
    /// Refuses with an upstream code over HTTP 200, as the API does.
    pub fn refuse(code: impl Into<String>) -> Self {
        Self::Refuse {
            code: code.into(),
            message: SCRIPTED.to_owned(),
            status: StatusCode::OK,
        }
    }

    /// Answers with an HTML page under this HTTP status.
    pub fn status(status: StatusCode) -> Self {
        Self::Status {
            status,
            page: Page::Html,
            retry_after: None,
        }
    }

    /// Answers HTTP 200 with this text as if it were the API's JSON.
    pub fn answer(body: impl Into<String>) -> Self {
        Self::Answer {
            body: body.into(),
            status: StatusCode::OK,
            content_type: HeaderValue::from_static("application/json"),
        }
    }
}

/// The message of a refusal for which the script has none.
const SCRIPTED: &str = "Refused by the emulator's script.";

/// Where a connection is closed, in the course of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cut {
    /// Before the first byte.
    BeforeHeaders,
    /// In the middle of a header line.
    InsideHeaders,
    /// After the headers and a part of the body.
    InsideBody,
}

/// The body of a [`FaultKind::Status`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Page {
    /// No bytes at all.
    Empty,
    /// A short HTML page, such as a gateway shows.
    #[default]
    Html,
}

/// Faults in the order in which they will happen.
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

    /// Takes what happens to a call: the first fault for its action, if one is left.
    ///
    /// `action` is `None` if the call names no action of the API; such a call suffers only faults
    /// for all actions.
    pub(super) fn take(&mut self, action: Option<Action>) -> Option<FaultKind> {
        let index = self.faults.iter().position(|fault| fault.befalls(action))?;
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
    fn faults_happen_in_order_and_as_often_as_they_say() {
        let refusals = ["A", "B"].map(|code| Fault::from(FaultKind::refuse(code)).times(2));
        let mut script = Script::from_iter(refusals);
        let codes = std::iter::from_fn(|| script.take(None)).map(|kind| code(&kind));
        assert_eq!(codes.collect::<Vec<_>>(), ["A", "A", "B", "B"]);
    }

    #[test]
    fn a_call_takes_the_first_fault_for_its_action() {
        let mut script = Script::from_iter([
            Fault::from(FaultKind::refuse("A")).on(Action::GetPersonGroupInfo),
            Fault::from(FaultKind::refuse("B")),
        ]);
        assert_eq!(
            script
                .take(Some(Action::GetGroupInfo))
                .as_ref()
                .map(code)
                .as_deref(),
            Some("B")
        );
        assert!(script.take(Some(Action::GetGroupInfo)).is_none());
        assert!(script.take(None).is_none());
        assert!(script.take(Some(Action::GetPersonGroupInfo)).is_some());
    }

    #[test]
    fn a_fault_for_no_call_never_happens() {
        let mut script = Script::from_iter([Fault::from(FaultKind::Hold).times(0)]);
        assert!(script.take(None).is_none());
    }

    fn code(kind: &FaultKind) -> String {
        let FaultKind::Refuse { code, .. } = kind else {
            panic!("{kind:?}");
        };
        code.clone()
    }
}
