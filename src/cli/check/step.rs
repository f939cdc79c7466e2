//! Steps of the check, and what each of them found.

use std::time::Duration;

use super::advice::Advice;

/// A step. The order of the variants is the order in which they run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// Settings, and the files that they name.
    Settings,
    /// The credential, from the first source that has one.
    Credential,
    /// The addresses of the endpoint, or of its proxy.
    Dns,
    /// A connection to the endpoint, or to its proxy.
    Tcp,
    /// The way through the proxy.
    Proxy,
    /// The TLS handshake with the endpoint, and its certificate.
    Tls,
    /// A request without a signature, which the upstream rejects with a response.
    Http,
    /// The local time and that of the response.
    Clock,
    /// A signed call.
    Call,
    /// The headers of the response to the signed call.
    Headers,
    /// The form of the response for the group of `--group-id`.
    Group,
    /// The form of the response for the person of `--person-id`.
    Person,
    /// The form of the response for a person that does not exist.
    UnknownPerson,
}

impl Step {
    /// Returns the name in reports, which may not change.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Credential => "credential",
            Self::Dns => "dns",
            Self::Tcp => "tcp",
            Self::Proxy => "proxy",
            Self::Tls => "tls",
            Self::Http => "http",
            Self::Clock => "clock",
            Self::Call => "call",
            Self::Headers => "headers",
            Self::Group => "group",
            Self::Person => "person",
            Self::UnknownPerson => "unknown-person",
        }
    }
}

/// The outcome of a step.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Status {
    /// The service works with what was found.
    Ok,
    /// The service works, and something should be corrected.
    Warning,
    /// A response differs from the documentation.
    Differs,
    /// The service does not work.
    Failed,
    /// The step was not made.
    Skipped,
}

impl Status {
    /// Returns the name in reports, which may not change.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Differs => "differs",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// What a step found. Contains no secret, no id of a group or person, and no value of a response.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    pub(super) status: Status,
    /// What was found, in one sentence without a full stop.
    pub(super) summary: String,
    /// More of what was found, one sentence each.
    pub(super) details: Vec<String>,
    /// The likely cause and what to do.
    pub(super) advice: Option<Advice>,
    /// The error code of the upstream.
    pub(super) code: Option<String>,
    /// The request id that the upstream assigned.
    pub(super) request_id: Option<String>,
}

/// A step that has ended.
#[derive(Clone, Debug)]
pub(super) struct StepResult {
    pub(super) step: Step,
    pub(super) finding: Finding,
    /// How long the step took; `None` if it was skipped.
    pub(super) duration: Option<Duration>,
}

impl Finding {
    pub(super) fn ok(summary: impl Into<String>) -> Self {
        Self::new(Status::Ok, summary)
    }

    pub(super) fn skipped(reason: impl Into<String>) -> Self {
        Self::new(Status::Skipped, reason)
    }

    pub(super) fn warning(summary: impl Into<String>, advice: Advice) -> Self {
        Self {
            advice: Some(advice),
            ..Self::new(Status::Warning, summary)
        }
    }

    pub(super) fn failed(summary: impl Into<String>, advice: Advice) -> Self {
        Self {
            advice: Some(advice),
            ..Self::new(Status::Failed, summary)
        }
    }

    /// Returns the finding for the differences of a response from the documentation, if any.
    pub(super) fn of_differences(differences: Vec<String>) -> Self {
        if differences.is_empty() {
            return Self::ok("as documented");
        }
        let summary = match differences.len() {
            1 => "1 difference from the documentation".to_owned(),
            number => format!("{number} differences from the documentation"),
        };
        Self::new(Status::Differs, summary).with_details(differences)
    }

    pub(super) fn with_details(self, details: Vec<String>) -> Self {
        Self { details, ..self }
    }

    pub(super) fn with_code(self, code: Option<String>) -> Self {
        Self { code, ..self }
    }

    /// Adds a request id. One that does not look like an id is omitted.
    pub(super) fn with_request_id(self, request_id: &str) -> Self {
        let is_id = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let is_plain = (1..=64).contains(&request_id.len()) && request_id.bytes().all(is_id);
        Self {
            request_id: is_plain.then(|| request_id.to_owned()),
            ..self
        }
    }

    fn new(status: Status, summary: impl Into<String>) -> Self {
        Self {
            status,
            summary: summary.into(),
            details: Vec::new(),
            advice: None,
            code: None,
            request_id: None,
        }
    }
}
