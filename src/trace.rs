//! Traces: the trace context that a call arrives with, and the spans that are recorded for a sampled call.
//! It does not know where spans are exported to, nor what they measure.

mod call_trace;
mod parent;
mod recorder;
mod sampling;
mod span;
mod tracer;

pub use self::{
    call_trace::CallTrace,
    parent::write,
    recorder::{Limits, Recorder, SpanCounters},
    sampling::Sampling,
    span::Span,
    tracer::Tracer,
};
pub use opentelemetry::trace::{SpanContext, SpanId, SpanKind, TraceId};
