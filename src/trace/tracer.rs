//! Tracer: begins the traces of calls.

use std::sync::Arc;

use http::HeaderMap;
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceState};

use super::{
    call_trace::CallTrace,
    parent,
    recorder::{Recorder, SpanCounters},
    sampling::Sampling,
    span::{random_span_id, random_trace_id},
};

/// Begins the traces of calls. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tracer {
    reads_parent: bool,
    forwards_state: bool,
    recording: Option<(Sampling, Arc<Recorder>)>,
    counters: SpanCounters,
}

impl Tracer {
    /// Creates a tracer that records no spans. `reads_parent` if it reads the trace context of clients,
    /// and `forwards_state` if it is sent upstream.
    pub fn new(reads_parent: bool, forwards_state: bool) -> Self {
        Self {
            reads_parent,
            forwards_state,
            recording: None,
            counters: SpanCounters::default(),
        }
    }

    /// Records the spans of calls that `sampling` admits.
    #[must_use]
    pub fn recording(self, sampling: Sampling, recorder: Arc<Recorder>) -> Self {
        Self {
            recording: Some((sampling, recorder)),
            ..self
        }
    }

    /// Returns the counters of spans.
    pub fn counters(&self) -> &SpanCounters {
        &self.counters
    }

    /// Begins the trace of a call with these headers. Returns `None` if no spans are recorded and the client
    /// sent no valid trace context.
    pub fn begin(&self, headers: &HeaderMap) -> Option<CallTrace> {
        let parent = self.reads_parent.then(|| parent::parent(headers)).flatten();
        let Some((sampling, recorder)) = &self.recording else {
            let parent = parent?;
            let context = self.with_state(&parent, parent.trace_flags(), headers);
            return Some(CallTrace::new(context, (SpanId::INVALID, false), None));
        };
        let trace_id = parent
            .as_ref()
            .map_or_else(random_trace_id, SpanContext::trace_id);
        let flags = parent.as_ref().map(SpanContext::trace_flags);
        let flags = flags.unwrap_or_default();
        if !sampling.admits(parent.as_ref(), trace_id) {
            let flags = flags.with_sampled(false);
            let context = match parent {
                Some(parent) => self.with_state(&parent, flags, headers),
                None => SpanContext::new(trace_id, SpanId::INVALID, flags, false, TraceState::NONE),
            };
            return Some(CallTrace::new(context, (SpanId::INVALID, false), None));
        }
        let state = match parent {
            Some(_) => parent::state(headers),
            None => TraceState::NONE,
        };
        let flags = flags.with_sampled(true);
        let parent = parent.map_or(SpanId::INVALID, |parent| parent.span_id());
        let context = SpanContext::new(trace_id, random_span_id(), flags, false, state);
        let is_remote = parent != SpanId::INVALID;
        Some(CallTrace::new(
            context,
            (parent, is_remote),
            Some(Arc::clone(recorder)),
        ))
    }

    /// Returns the trace context of the client, with these flags, and with its state if it is sent upstream.
    fn with_state(
        &self,
        parent: &SpanContext,
        flags: TraceFlags,
        headers: &HeaderMap,
    ) -> SpanContext {
        let state = match self.forwards_state {
            true => parent::state(headers),
            false => TraceState::NONE,
        };
        SpanContext::new(parent.trace_id(), parent.span_id(), flags, true, state)
    }
}
