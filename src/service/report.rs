//! Error builder: combines status, details and metadata, so that no error lacks one of them.

use std::{borrow::Cow, collections::HashMap, fmt, sync::Arc, time::Duration};

use tonic::{
    Code, Status,
    metadata::{MetadataMap, MetadataValue},
};
use tonic_types::{ErrorDetails, StatusExt};

use super::{X_TC_REQUEST_ID, add_provenance, reason, retry_hint, sanitize};
use crate::{
    context::{Context, ErrorName},
    error_policy::{ApiErrorPolicy, FailurePolicy, Hint, Message, Policy},
    proto::ErrorReason,
    upstream::{ApiError, error_code},
};

/// `ErrorInfo.domain` of errors of this service.
const OWN_DOMAIN: &str = "iaifacade.v1";

/// `ErrorInfo.domain` of errors that Tencent Cloud returned, from any of its sites.
const UPSTREAM_DOMAIN: &str = "iai.tencentcloudapi.com";

/// The key of the error code of Tencent Cloud in `ErrorInfo.metadata`.
const CODE: &str = "code";

/// Returns the names of the errors of this service.
pub fn own_errors() -> impl Iterator<Item = ErrorName> {
    reason::all_own().map(|reason| ErrorName {
        domain: OWN_DOMAIN,
        reason: reason.into(),
    })
}

/// Returns the names of all errors: those of this service, and those of the documented codes of Tencent
/// Cloud.
pub fn documented_errors() -> impl Iterator<Item = ErrorName> {
    let upstream = error_code::documented_codes().map(|code| ErrorName {
        domain: UPSTREAM_DOMAIN,
        reason: reason::of_upstream_code(code).into(),
    });
    own_errors().chain(upstream)
}

/// An error as the client will receive it.
#[derive(Debug)]
pub(super) struct Report {
    code: Code,
    domain: &'static str,
    reason: Cow<'static, str>,
    message: String,
    details: ErrorDetails,
    metadata: HashMap<String, String>,
    request_id: String,
    hint: Hint,
    retry_after: Option<Duration>,
    cause: Option<String>,
}

impl Report {
    /// Creates an error of this service.
    pub(super) fn own(code: Code, reason: ErrorReason, message: impl Into<String>) -> Self {
        let reason = reason::of_own(reason).into();
        Self::new(code, OWN_DOMAIN, reason, message.into())
    }

    /// Creates an error of this service by its policy.
    pub(super) fn of_failure(policy: FailurePolicy) -> Self {
        let FailurePolicy {
            policy,
            reason,
            message,
        } = policy;
        Self::own(policy.code, reason, message).hint(policy.hint)
    }

    /// Creates an error that Tencent Cloud returned.
    pub(super) fn of_api_error(policy: ApiErrorPolicy, error: &ApiError) -> Self {
        let ApiError { code, .. } = error;
        let text = match policy.message {
            Message::Ours(text) => text,
            Message::Upstreams => &error.message,
        };
        let reason = reason::of_upstream_code(code);
        let message = format!("{code}: {text}");

        let Policy { code, hint, .. } = policy.policy;
        let mut report = Self::new(code, UPSTREAM_DOMAIN, reason.into(), message);
        let metadata = &mut report.metadata;
        metadata.insert(CODE.to_owned(), error.code.clone());
        if policy.message == Message::Upstreams {
            metadata.insert("message".to_owned(), error.message.clone());
        }
        report.request_id(&error.request_id).hint(hint)
    }

    fn new(code: Code, domain: &'static str, reason: Cow<'static, str>, message: String) -> Self {
        Self {
            code,
            domain,
            reason,
            message,
            details: ErrorDetails::new(),
            metadata: HashMap::new(),
            request_id: String::new(),
            hint: Hint::Unspecified,
            retry_after: None,
            cause: None,
        }
    }

    /// Adds Tencent's RequestId.
    pub(super) fn request_id(mut self, request_id: &str) -> Self {
        self.request_id = sanitize::request_id(request_id).into_owned();
        self
    }

    /// Adds details.
    pub(super) fn details(mut self, add: impl FnOnce(&mut ErrorDetails)) -> Self {
        add(&mut self.details);
        self
    }

    /// Sets the retry hint.
    pub(super) fn hint(mut self, hint: Hint) -> Self {
        self.hint = hint;
        self
    }

    /// Sets upstream's `Retry-After`, or the expected wait, which lengthens the delay of a hint.
    pub(super) fn retry_after(mut self, retry_after: Option<Duration>) -> Self {
        self.retry_after = retry_after;
        self
    }

    /// Sets the cause, which is logged and not sent to the caller, unless the message says the same.
    pub(super) fn cause(mut self, cause: String) -> Self {
        self.cause = Some(cause).filter(|cause| *cause != self.message);
        self
    }

    /// Returns the status.
    pub(super) fn into_status(self, context: &Context) -> Status {
        let Self {
            mut details,
            metadata: mut error_metadata,
            ..
        } = self;
        let mut metadata = MetadataMap::new();
        context.set_error(ErrorName {
            domain: self.domain,
            reason: self.reason.clone(),
        });
        if let Some(code) = error_metadata.get(CODE) {
            context.set_upstream_code(code.clone());
        }

        error_metadata.insert("attempts".to_owned(), context.attempts().to_string());
        let action = context.subject().action;
        for (key, value) in [("action", action), ("request_id", &self.request_id)] {
            if !value.is_empty() {
                error_metadata.insert(key.to_owned(), value.to_owned());
            }
        }
        details.set_error_info(self.reason, self.domain, error_metadata);

        if let Ok(request_id) = MetadataValue::try_from(&self.request_id)
            && !request_id.is_empty()
        {
            metadata.insert(X_TC_REQUEST_ID, request_id);
            details.set_request_info(self.request_id, "");
        }
        add_provenance(context, &mut metadata);
        retry_hint::add(self.hint, self.retry_after, &mut details, &mut metadata);

        let mut status =
            Status::with_error_details_and_metadata(self.code, self.message, details, metadata);
        if let Some(cause) = self.cause {
            status.set_source(Arc::new(Cause(cause)));
        }
        status
    }
}

/// The cause of an error, for the log only.
#[derive(Debug)]
struct Cause(String);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Cause {}
