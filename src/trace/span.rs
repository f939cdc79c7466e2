//! Spans of sampled calls.

use std::{fmt, sync::Arc};

use opentelemetry::{
    KeyValue, Value,
    trace::{Link, SpanContext, SpanId, SpanKind, Status, TraceId},
};
use opentelemetry_sdk::trace::SpanData;
use tokio::time::Instant;

use super::recorder::Recorder;

/// A span in progress. It ends, and is queued for its export, when it is dropped.
pub struct Span {
    data: Option<SpanData>,
    begin: Instant,
    recorder: Arc<Recorder>,
}

impl Span {
    /// Begins a span with the ids of `context`. `parent` is the span that it is a part of, and whether that is
    /// the client's.
    pub(super) fn begin(
        recorder: &Arc<Recorder>,
        context: SpanContext,
        parent: (SpanId, bool),
        (name, kind): (&'static str, SpanKind),
        begin: Instant,
    ) -> Self {
        let start_time = recorder.time_of(begin);
        let data = SpanData {
            span_context: context,
            parent_span_id: parent.0,
            parent_span_is_remote: parent.1,
            span_kind: kind,
            name: name.into(),
            start_time,
            end_time: start_time,
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: Default::default(),
            links: Default::default(),
            status: Status::Unset,
            instrumentation_scope: recorder.scope(),
        };
        Self {
            data: Some(data),
            begin,
            recorder: Arc::clone(recorder),
        }
    }

    /// Adds an attribute. Never a person id, a group id or a secret.
    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        if let Some(data) = &mut self.data {
            data.attributes.push(KeyValue::new(name, value));
        }
    }

    /// Sets the status Error, and the attribute `error.type`.
    pub fn fail(&mut self, error_type: impl Into<Value>) {
        self.set("error.type", error_type);
        if let Some(data) = &mut self.data {
            data.status = Status::error("");
        }
    }

    /// Adds links to other spans.
    pub fn link(&mut self, others: Vec<SpanContext>) {
        if let Some(data) = &mut self.data {
            let others = others.into_iter().map(Link::with_context);
            data.links.links.extend(others);
        }
    }

    /// Returns the ids of the span.
    pub fn context(&self) -> Option<&SpanContext> {
        self.data.as_ref().map(|data| &data.span_context)
    }

    /// Discards the span, which is not exported.
    pub fn discard(mut self) {
        self.data = None;
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        let Some(mut data) = self.data.take() else {
            return;
        };
        data.end_time = data.start_time + self.begin.elapsed();
        let limits = self.recorder.limits();
        let surplus = data.attributes.len().saturating_sub(limits.attributes);
        data.attributes.truncate(limits.attributes);
        data.dropped_attributes_count = u32::try_from(surplus).unwrap_or(u32::MAX);
        let surplus = data.links.links.len().saturating_sub(limits.links);
        data.links.links.truncate(limits.links);
        data.links.dropped_count = u32::try_from(surplus).unwrap_or(u32::MAX);
        self.recorder.add(data);
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Span(..)")
    }
}

/// Returns a random trace id, which is not zero. Ids must be unique, not unpredictable.
pub(super) fn random_trace_id() -> TraceId {
    TraceId::from(fastrand::u128(1..))
}

/// Returns a random span id, which is not zero.
pub(super) fn random_span_id() -> SpanId {
    SpanId::from(fastrand::u64(1..))
}
