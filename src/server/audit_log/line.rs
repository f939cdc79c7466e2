//! The lines of the audit log, in JSON, with the names of the log's fields.

use std::sync::Arc;

use serde::Serialize;
use time::{UtcDateTime, format_description::well_known::Rfc3339};
use tokio::time::Instant;
use tonic::Code;

use crate::{
    context::{Context, PeerAddress},
    proto::{METHODS, grpc_code},
    server::subject_hash::SubjectHash,
    trace::CallTrace,
};

/// The maximum length of a method that a client made up, in bytes.
const MAX_METHOD: usize = 128;

/// What is known of a call at its begin.
#[derive(Debug)]
pub(in crate::server) struct Call {
    /// Its path.
    pub(in crate::server) path: String,
    /// The address of the connection.
    pub(in crate::server) peer: PeerAddress,
    /// Its context.
    pub(in crate::server) context: Arc<Context>,
    /// When it arrived.
    pub(in crate::server) arrival: Instant,
}

/// A line without its number, which it receives when it is queued.
#[derive(Debug, Default, Serialize)]
pub(super) struct Line {
    timestamp: String,
    #[serde(rename = "audit.event")]
    event: &'static str,
    #[serde(flatten)]
    call: Option<CallFields>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lines: Option<u64>,
    #[serde(rename = "calls", skip_serializing_if = "Option::is_none")]
    unrecorded: Option<u64>,
}

#[derive(Debug, Serialize)]
struct CallFields {
    #[serde(rename = "rpc.method")]
    method: &'static str,
    #[serde(
        rename = "rpc.method_original",
        skip_serializing_if = "Option::is_none"
    )]
    method_original: Option<String>,
    #[serde(rename = "rpc.response.status_code")]
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    caller: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    #[serde(rename = "network.peer.address")]
    address: String,
    #[serde(rename = "network.peer.port", skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    duration_ms: f64,
    #[serde(rename = "upstream.attempts")]
    attempts: u32,
    #[serde(rename = "upstream.cache", skip_serializing_if = "Option::is_none")]
    cache: Option<&'static str>,
    #[serde(
        rename = "upstream.request_id",
        skip_serializing_if = "Option::is_none"
    )]
    upstream_request_id: Option<String>,
}

impl Line {
    /// Returns the line of an event of the audit log itself.
    pub(super) fn event(event: &'static str, now: UtcDateTime) -> Self {
        Self {
            timestamp: now.format(&Rfc3339).unwrap_or_default(),
            event,
            ..Self::default()
        }
    }

    /// Returns the line that says how many lines are missing before it.
    pub(super) fn lost(lines: u64, now: UtcDateTime) -> Self {
        Self {
            lines: Some(lines),
            ..Self::event("lost", now)
        }
    }

    /// Returns the last line: with the calls whose lines are not before it, and the lines lost since the start.
    pub(super) fn stopped(now: UtcDateTime, unrecorded: u64, lost: u64) -> Self {
        Self {
            lines: Some(lost),
            unrecorded: Some(unrecorded),
            ..Self::event("stopped", now)
        }
    }

    /// Returns the line of a call that has ended with `code`.
    pub(super) fn of_call(
        call: &Call,
        code: Code,
        upstream_request_id: Option<&str>,
        hash: &SubjectHash,
        now: UtcDateTime,
        end: Instant,
    ) -> Self {
        let context = &call.context;
        let path = call.path.trim_start_matches('/');
        let mut methods = METHODS.iter().map(|method| &*method.full_name);
        let method = methods.find(|method| *method == path);
        let text = |id: &http::HeaderValue| id.to_str().ok().map(str::to_owned);
        let duration = end.saturating_duration_since(call.arrival);
        let fields = CallFields {
            method: method.unwrap_or("_OTHER"),
            method_original: match method {
                Some(_) => None,
                None => Some(path[..path.floor_char_boundary(MAX_METHOD)].to_owned()),
            },
            status: grpc_code::name(code),
            reason: context.error().map(|error| error.reason.to_string()),
            caller: context.identity().to_string(),
            subject: hash.of(context.subject()),
            address: call.peer.to_string(),
            port: call.peer.port(),
            request_id: context.request_id().and_then(text),
            trace_id: context
                .trace()
                .map(CallTrace::context)
                .map(|trace| trace.trace_id().to_string()),
            duration_ms: (duration.as_secs_f64() * 1e6).round() / 1e3,
            attempts: context.attempts(),
            cache: context.provenance().map(|it| it.origin.name()),
            upstream_request_id: upstream_request_id.map(str::to_owned),
        };
        Self {
            call: Some(fields),
            ..Self::event("call", now)
        }
    }
}
