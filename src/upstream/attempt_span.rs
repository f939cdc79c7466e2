//! Spans of a sampled call on its way upstream: the wait for the rate limiter, and each attempt.

use std::time::Duration;

use http::StatusCode;
use reqwest::Url;
use tokio::time::Instant;

use super::{
    error::{ApiError, Error, ErrorClass},
    error_code,
    response::ApiResponse,
};
use crate::{
    context::Context,
    proto::grpc_code,
    trace::{CallTrace, Span, SpanContext, SpanKind},
};

/// The longest wait for the rate limiter that has no span.
const NEGLIGIBLE_WAIT: Duration = Duration::from_millis(1);

/// The span of a wait for the rate limiter, which is discarded if it was admitted at once.
///
/// If it is dropped before the wait ended, the call was cancelled.
pub(super) struct QuotaWait {
    span: Option<Span>,
    begin: Instant,
}

impl QuotaWait {
    /// Begins the wait of a call at `begin`. `queue` returns what sets the rate, and the number of attempts
    /// ahead.
    pub(super) fn begin(
        context: &Context,
        begin: Instant,
        queue: impl FnOnce() -> (&'static str, usize),
    ) -> Self {
        let trace = context.trace().filter(|trace| trace.is_sampled());
        let span = trace.and_then(|trace| {
            let mut span = trace.begin_part("quota wait", SpanKind::Internal, begin)?;
            let (by, ahead) = queue();
            span.set("iai.quota.by", by);
            span.set("iai.quota.ahead", i64::try_from(ahead).unwrap_or(i64::MAX));
            Some(span)
        });
        Self { span, begin }
    }

    /// Ends the wait of an attempt that was admitted or rejected.
    pub(super) fn end(mut self, is_admitted: bool) {
        let Some(mut span) = self.span.take() else {
            return;
        };
        if is_admitted && self.begin.elapsed() <= NEGLIGIBLE_WAIT {
            return span.discard();
        }
        let outcome = if is_admitted { "admitted" } else { "rejected" };
        span.set("iai.quota.outcome", outcome);
    }
}

impl Drop for QuotaWait {
    fn drop(&mut self) {
        if let Some(span) = &mut self.span {
            span.set("iai.quota.outcome", "cancelled");
        }
    }
}

/// The span of a request that refreshes a cache entry in the background. It is the root of its trace, with a
/// link to the call that began it.
pub(super) struct RefreshSpan(Option<Span>);

impl RefreshSpan {
    /// Begins the refresh whose request has this context.
    pub(super) fn begin(context: &Context) -> Self {
        let trace = context.trace();
        let span = trace.and_then(|trace| {
            let mut span = trace.begin_own("refresh", SpanKind::Internal, Instant::now())?;
            span.link(trace.take_links());
            Some(span)
        });
        Self(span)
    }

    /// Ends the refresh.
    pub(super) fn end(self, error: Option<&Error>) {
        if let (Some(mut span), Some(error)) = (self.0, error) {
            span.fail(error.class_name());
        }
    }
}

/// The span of an attempt.
///
/// If it is dropped before the attempt ended, the call was cancelled.
pub(super) struct AttemptSpan<'a> {
    span: Option<Span>,
    trace: Option<&'a CallTrace>,
    action: &'static str,
}

impl<'a> AttemptSpan<'a> {
    /// Begins the attempt of a call for `action`, which has been counted.
    pub(super) fn begin(context: &'a Context, action: &'static str) -> Self {
        let trace = context.trace();
        let span =
            trace.and_then(|trace| trace.begin_part("POST", SpanKind::Client, Instant::now()));
        let mut begun = Self {
            span,
            trace,
            action,
        };
        if let Some(span) = &mut begun.span {
            let resends = context.own_attempts().saturating_sub(1);
            if resends > 0 {
                span.set("http.request.resend_count", i64::from(resends));
            }
        }
        begun
    }

    /// Returns the trace context that tells the recipient of the request what it is a part of.
    pub(super) fn context(&self) -> Option<&SpanContext> {
        let own = self.span.as_ref().and_then(Span::context);
        own.or_else(|| Some(self.trace?.context()))
    }

    /// Records where the request is sent to.
    pub(super) fn sent(&mut self, url: &Url) {
        if let Some(span) = &mut self.span {
            span.set("http.request.method", "POST");
            span.set(
                "server.address",
                url.host_str().unwrap_or_default().to_owned(),
            );
            let port = url.port_or_known_default().unwrap_or_default();
            span.set("server.port", i64::from(port));
            span.set("url.full", url.as_str().to_owned());
            span.set("iai.action", self.action);
        }
    }

    /// Records the status of the HTTP response.
    pub(super) fn responded(&mut self, status: StatusCode) {
        if let Some(span) = &mut self.span {
            span.set("http.response.status_code", i64::from(status.as_u16()));
        }
    }

    /// Ends the attempt.
    pub(super) fn end(mut self, outcome: &Result<ApiResponse, Error>) {
        let Some(mut span) = self.span.take() else {
            return;
        };
        let request_id = match outcome {
            Ok(response) => &*response.request_id,
            Err(Error::Api(error)) => &*error.request_id,
            Err(_) => "",
        };
        if !request_id.is_empty() {
            span.set("iai.upstream.request_id", request_id.to_owned());
        }
        let Err(error) = outcome else {
            return;
        };
        let error_type = match error.class() {
            ErrorClass::Api(ApiError { code, .. }) => match error_code::documented(code) {
                Some(_) => code.clone(),
                // It may quote the request.
                None => "_OTHER".to_owned(),
            },
            ErrorClass::Failure(class) => class.name().to_owned(),
        };
        // As for the span of the call that receives the error: the caller's faults are no errors.
        match grpc_code::is_error(error.policy().code) {
            true => span.fail(error_type),
            false => span.set("error.type", error_type),
        }
    }
}

impl Drop for AttemptSpan<'_> {
    fn drop(&mut self) {
        if let Some(span) = &mut self.span {
            span.set("error.type", "cancelled");
        }
    }
}
