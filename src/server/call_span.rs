//! The server span of a sampled call, by the [semantic conventions] for gRPC.
//!
//! [semantic conventions]: https://opentelemetry.io/docs/specs/semconv/rpc/grpc/

use tokio::time::Instant;
use tonic::Code;

use crate::{
    context::{Context, Identity, PeerAddress},
    proto::{METHODS, grpc_code},
    trace::{Span, SpanKind},
};

/// The span of a call in progress. Boxed, since most calls have none.
#[derive(Debug)]
pub(super) struct CallSpan(Box<Span>);

impl CallSpan {
    /// Begins the span of a call of `path` by `peer`, received on `port` unless on a Unix socket, if the
    /// call is sampled.
    pub(super) fn begin(
        context: &Context,
        path: &str,
        (peer, port): (&PeerAddress, Option<u16>),
        arrival: Instant,
    ) -> Option<Self> {
        let trace = context.trace().filter(|trace| trace.is_sampled())?;
        let mut methods = METHODS.iter().map(|method| &*method.full_name);
        // Clients may send any name, and a backend lists all that it has seen.
        let method = methods.find(|name| path.strip_prefix('/') == Some(name));
        let name = method.unwrap_or("grpc");
        let mut span = trace.begin_own(name, SpanKind::Server, arrival)?;
        span.set("rpc.system.name", "grpc");
        span.set("rpc.method", method.unwrap_or("_OTHER"));
        span.set("network.peer.address", peer.to_string());
        if let Some(port) = port {
            span.set("server.port", i64::from(port));
        }
        Some(Self(Box::new(span)))
    }

    /// Ends the span of a call that ended with `code`.
    pub(super) fn end(mut self, code: Code, context: &Context) {
        let span = &mut self.0;
        span.set("rpc.response.status_code", grpc_code::name(code));
        if grpc_code::is_error(code) {
            span.fail(grpc_code::name(code));
        }
        if let Some(error) = context.error() {
            span.set("iai.reason", error.reason.clone().into_owned());
        }
        if let Some(provenance) = context.provenance() {
            span.set("iai.cache", provenance.origin.name());
            span.set("iai.response.age", provenance.age.as_secs_f64());
        }
        span.set("iai.attempts", i64::from(context.attempts()));
        match context.identity() {
            Identity::Address(_) => {}
            caller @ (Identity::Certificate(_)
            | Identity::Forwarded(_)
            | Identity::Token(_)
            | Identity::Uid(_)) => {
                span.set("iai.caller", caller.to_string());
            }
        }
        if let Some(request_id) = context.request_id().and_then(|id| id.to_str().ok()) {
            span.set("iai.request_id", request_id.to_owned());
        }
        if let Some(trace) = context.trace() {
            span.link(trace.take_links());
        }
    }
}
