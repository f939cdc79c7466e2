//! The trace of one call: its ids, and where its spans are recorded.

use std::{mem, sync::Arc};

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, TraceFlags, TraceState};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    recorder::Recorder,
    span::{Span, random_span_id, random_trace_id},
};

/// The trace of one call, or of a request that is sent for calls.
///
/// Spans are recorded only if the call is sampled. The ids are known also without: those of the client if it
/// sent any.
#[derive(Debug)]
pub struct CallTrace {
    context: SpanContext,
    /// The span that the own one is a part of, and whether it is the client's.
    parent: (SpanId, bool),
    recorder: Option<Arc<Recorder>>,
    /// The spans that the call waited for, without being their parent.
    links: Mutex<Vec<SpanContext>>,
}

impl CallTrace {
    /// Creates a trace. `parent` is the span that its own one is a part of, and whether that is the client's.
    pub(super) fn new(
        context: SpanContext,
        parent: (SpanId, bool),
        recorder: Option<Arc<Recorder>>,
    ) -> Self {
        Self {
            context,
            parent,
            recorder,
            links: Mutex::default(),
        }
    }

    /// Returns the ids of the call's own span if it is sampled, and otherwise those of the client's span.
    pub fn context(&self) -> &SpanContext {
        &self.context
    }

    /// Returns whether spans are recorded.
    pub fn is_sampled(&self) -> bool {
        self.recorder.is_some()
    }

    /// Returns the trace of a request that is sent on behalf of this call: its spans are children of the
    /// call's span.
    #[must_use]
    pub fn shared(&self) -> Self {
        Self::new(self.context.clone(), self.parent, self.recorder.clone())
    }

    /// Returns a new trace for a request in the background, with a link to this call, if it is sampled.
    pub fn background(&self) -> Option<Self> {
        let recorder = self.recorder.clone()?;
        let context = SpanContext::new(
            random_trace_id(),
            random_span_id(),
            TraceFlags::SAMPLED,
            false,
            TraceState::NONE,
        );
        let background = Self::new(context, (SpanId::INVALID, false), Some(recorder));
        background.link(&self.context);
        Some(background)
    }

    /// Adds a link from the own span to one that the call waits for. Without effect if one of the two has no
    /// ids or is not recorded.
    pub fn link(&self, other: &SpanContext) {
        if self.is_sampled() && other.is_valid() && other.is_sampled() {
            self.links.lock().push(other.clone());
        }
    }

    /// Begins the own span of this trace, which began at `begin`, if it is sampled. It ends when it is
    /// dropped.
    pub fn begin_own(&self, name: &'static str, kind: SpanKind, begin: Instant) -> Option<Span> {
        let recorder = self.recorder.as_ref()?;
        let context = self.context.clone();
        Some(Span::begin(
            recorder,
            context,
            self.parent,
            (name, kind),
            begin,
        ))
    }

    /// Begins a span that is a part of the own one, and began at `begin`, if it is sampled. It ends when it is
    /// dropped.
    pub fn begin_part(&self, name: &'static str, kind: SpanKind, begin: Instant) -> Option<Span> {
        let recorder = self.recorder.as_ref()?;
        let context = SpanContext::new(
            self.context.trace_id(),
            random_span_id(),
            self.context.trace_flags(),
            false,
            self.context.trace_state().clone(),
        );
        let parent = (self.context.span_id(), false);
        Some(Span::begin(recorder, context, parent, (name, kind), begin))
    }

    /// Takes the links that were added.
    pub fn take_links(&self) -> Vec<SpanContext> {
        mem::take(&mut *self.links.lock())
    }
}
