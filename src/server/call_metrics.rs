//! Metrics of calls to the service, counted as they arrive and end.

use std::{collections::HashSet, time::Duration};

use tonic::Code;

use crate::{
    context::ErrorName,
    metrics::{Counter, Family, Histograms, Labels, Registry, Unit, latency_histograms},
    proto::{METHODS, grpc_code},
    service,
};

/// The method and the reason of whatever a client or Tencent Cloud has made up.
const OTHER: &str = "other";

/// The statuses that `docs/errors.md` describes, which are at zero before they occur.
const EXPECTED_CODES: [Code; 13] = [
    Code::Aborted,
    Code::Cancelled,
    Code::DeadlineExceeded,
    Code::FailedPrecondition,
    Code::Internal,
    Code::InvalidArgument,
    Code::NotFound,
    Code::Ok,
    Code::PermissionDenied,
    Code::ResourceExhausted,
    Code::Unauthenticated,
    Code::Unavailable,
    Code::Unknown,
];

/// Metrics of calls to the service, by the names of [gRFC A66], which clients of gRPC use as well. Health and
/// reflection are not counted.
///
/// [gRFC A66]: https://github.com/grpc/proposal/blob/master/A66-otel-stats.md
#[derive(Debug)]
pub(super) struct CallMetrics {
    started: Family<Labels<1>, Counter>,
    durations: Histograms<2>,
    errors: Family<[(&'static str, String); 3], Counter>,
    /// Domains and reasons that are values of labels.
    documented: HashSet<ErrorName>,
}

impl CallMetrics {
    /// Creates and registers the metrics, at zero for every combination of labels that is expected.
    pub(super) fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            started: Family::default(),
            durations: latency_histograms(),
            errors: Family::default(),
            documented: service::documented_errors().collect(),
        };
        for method in METHODS.iter().map(|method| &*method.full_name) {
            drop(metrics.started.get_or_create(&[("grpc_method", method)]));
            for code in EXPECTED_CODES {
                drop(metrics.durations.get_or_create(&labels(method, code)));
            }
            for error in &metrics.documented {
                drop(metrics.errors.get_or_create(&error_labels(method, error)));
            }
        }
        registry.register(
            "grpc_server_call_started",
            "Calls to the service that arrived",
            metrics.started.clone(),
        );
        registry.register_with_unit(
            "grpc_server_call_duration",
            "Time from the arrival of a call to its response",
            Unit::Seconds,
            metrics.durations.clone(),
        );
        registry.register(
            "iai_facade_errors",
            "Calls that failed, by the domain and the reason of their google.rpc.ErrorInfo",
            metrics.errors.clone(),
        );
        metrics
    }

    /// Counts a call of a method that arrived.
    pub(super) fn started(&self, rpc: &str) {
        self.started
            .get_or_create(&[("grpc_method", method(rpc))])
            .inc();
    }

    /// Counts a call that ended, after `duration`.
    pub(super) fn ended(
        &self,
        rpc: &str,
        code: Code,
        duration: Duration,
        error: Option<&ErrorName>,
    ) {
        let method = method(rpc);
        self.durations
            .get_or_create(&labels(method, code))
            .observe(duration.as_secs_f64());
        let Some(error) = error else {
            return;
        };
        let labels = match self.documented.contains(error) {
            true => error_labels(method, error),
            false => {
                let reason = OTHER.to_owned();
                error_labels(method, &ErrorName { reason, ..*error })
            }
        };
        self.errors.get_or_create(&labels).inc();
    }
}

/// Returns the value of the label for a method: its full name, unless the service does not have it.
fn method(rpc: &str) -> &'static str {
    METHODS
        .iter()
        .find(|method| method.full_name == rpc)
        .map_or(OTHER, |method| &method.full_name)
}

fn labels(method: &'static str, code: Code) -> Labels<2> {
    [
        ("grpc_method", method),
        ("grpc_status", grpc_code::name(code)),
    ]
}

fn error_labels(method: &'static str, error: &ErrorName) -> [(&'static str, String); 3] {
    [
        ("grpc_method", method.to_owned()),
        ("domain", error.domain.to_owned()),
        ("reason", error.reason.clone()),
    ]
}
