//! Puts an error together: status, details and metadata, of which none may be forgotten.

use std::{collections::HashMap, fmt, sync::Arc};

use tonic::{
    Code, Status,
    metadata::{MetadataMap, MetadataValue},
};
use tonic_types::{ErrorDetails, StatusExt};

use super::{
    X_TC_REQUEST_ID, presentable, reason, refusal::Explanation, retry::Retry, tell_provenance,
};
use crate::{context::Context, proto::ErrorReason, upstream::Refusal};

/// The domain of what this service reports on its own account.
const OWN_DOMAIN: &str = "iaifacade.v1";

/// The domain of what Tencent Cloud refuses, whichever of its sites is called.
const UPSTREAM_DOMAIN: &str = "iai.tencentcloudapi.com";

/// An error as its receiver will see it.
#[derive(Debug)]
pub(super) struct Report {
    code: Code,
    domain: &'static str,
    reason: String,
    message: String,
    details: ErrorDetails,
    metadata: HashMap<String, String>,
    request_id: String,
    retry: Retry,
    cause: Option<String>,
}

impl Report {
    /// Begins an error that the service reports on its own account.
    pub(super) fn own(code: Code, reason: ErrorReason, message: impl Into<String>) -> Self {
        let reason = reason.as_str_name();
        let reason = reason.strip_prefix("ERROR_REASON_").unwrap_or(reason);
        Self::new(code, OWN_DOMAIN, reason.to_owned(), message.into())
    }

    /// Begins an error that Tencent Cloud reported.
    pub(super) fn refused(code: Code, refusal: &Refusal, explanation: &Explanation<'_>) -> Self {
        let Refusal {
            code: upstream_code,
            request_id,
            ..
        } = refusal;
        let (Explanation::Ours(words) | Explanation::Upstreams(words)) = *explanation;
        let reason = reason::of_upstream_code(upstream_code);
        let message = format!("{upstream_code}: {words}");

        let mut report = Self::new(code, UPSTREAM_DOMAIN, reason, message);
        let facts = &mut report.metadata;
        facts.insert("code".to_owned(), upstream_code.clone());
        if let Explanation::Upstreams(words) = *explanation {
            facts.insert("message".to_owned(), words.to_owned());
        }
        report.of_call(request_id)
    }

    fn new(code: Code, domain: &'static str, reason: String, message: String) -> Self {
        // A fault on this side of the caller, so its retry throttling may count it.
        let is_ours = matches!(code, Code::Internal | Code::Unknown);
        let retry = if is_ours { Retry::Never } else { Retry::Unsaid };
        Self {
            code,
            domain,
            reason,
            message,
            details: ErrorDetails::new(),
            metadata: HashMap::new(),
            request_id: String::new(),
            retry,
            cause: None,
        }
    }

    /// Names the upstream call that the error is about.
    pub(super) fn of_call(mut self, request_id: &str) -> Self {
        self.request_id = presentable::request_id(request_id).into_owned();
        self
    }

    /// Adds details.
    pub(super) fn detailed(mut self, describe: impl FnOnce(&mut ErrorDetails)) -> Self {
        describe(&mut self.details);
        self
    }

    /// Says when to try again.
    pub(super) fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Keeps for the log what the caller is not told.
    pub(super) fn because(mut self, cause: String) -> Self {
        self.cause = Some(cause);
        self
    }

    /// Returns the status.
    pub(super) fn into_status(self, context: &Context) -> Status {
        let Self {
            mut details,
            metadata: mut facts,
            ..
        } = self;
        let mut metadata = MetadataMap::new();

        facts.insert("attempts".to_owned(), context.attempts().to_string());
        let action = context.subject().action;
        for (key, value) in [("action", action), ("request_id", &self.request_id)] {
            if !value.is_empty() {
                facts.insert(key.to_owned(), value.to_owned());
            }
        }
        details.set_error_info(self.reason, self.domain, facts);

        if let Ok(request_id) = MetadataValue::try_from(&self.request_id)
            && !request_id.is_empty()
        {
            metadata.insert(X_TC_REQUEST_ID, request_id);
            details.set_request_info(self.request_id, "");
        }
        tell_provenance(context, &mut metadata);
        self.retry.describe(&mut details, &mut metadata);

        let mut status =
            Status::with_error_details_and_metadata(self.code, self.message, details, metadata);
        if let Some(cause) = self.cause {
            status.set_source(Arc::new(Cause(cause)));
        }
        status
    }
}

/// What the log is told of an error, and its caller is not.
#[derive(Debug)]
struct Cause(String);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Cause {}
