//! Faults: what replaces or alters a response, and the requests it applies to. `fixtures` parses faults,
//! `script` orders them, and `reply` turns them into responses.

use std::time::Duration;

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

    /// Returns whether the fault applies to requests with these properties.
    pub(super) fn matches(&self, target: &Target<'_>) -> bool {
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

    /// Returns `true` with this probability.
    pub(super) fn draw(self) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
