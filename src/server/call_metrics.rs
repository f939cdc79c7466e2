//! Metrics of calls to the service, counted as they arrive and end.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    fmt,
    time::Duration,
};

use tonic::Code;

use super::caller_metrics::CallerMetrics;
use crate::{
    config,
    context::{Context, ErrorName},
    metrics::{
        BucketCounts, Counter, Family, Labels, Registry, TracedHistogram, TracedHistograms, Unit,
        traced_latency_histograms,
    },
    proto::{METHODS, grpc_code},
    service,
};

/// The method and the reason of whatever a client or Tencent Cloud has made up.
const OTHER: &str = "other";

/// The label of the status of a call.
const STATUS: &str = "grpc_status";

/// The number of status codes; the first is OK with 0.
const CODES: i32 = 17;

/// Metrics of calls to the service, by the names of [gRFC A66], which clients of gRPC use as well. Health and
/// reflection are not counted.
///
/// [gRFC A66]: https://github.com/grpc/proposal/blob/master/A66-otel-stats.md
#[derive(Debug)]
pub(super) struct CallMetrics {
    callers: CallerMetrics,
    families: Families,
    /// Those of the methods of the service.
    methods: Vec<MethodMetrics>,
    /// Those of all other methods together.
    other: MethodMetrics,
    /// The durations alone, to be read.
    durations: Registry,
}

#[derive(Debug)]
struct Families {
    started: Family<Labels<1>, Counter>,
    durations: TracedHistograms<2>,
    errors: Family<[(&'static str, Cow<'static, str>); 3], Counter>,
}

/// The metrics of one method. They are looked up here and not in their families, which would take longer
/// than to count.
#[derive(Debug)]
struct MethodMetrics {
    name: &'static str,
    started: Counter,
    /// By the number of the code; `None` if it is not expected.
    durations: Vec<Option<TracedHistogram>>,
    errors: HashMap<ErrorName, Counter>,
}

impl CallMetrics {
    /// Creates and registers the metrics, at zero for every combination of labels that is expected.
    pub(super) fn new(settings: &config::Metrics, registry: &mut Registry) -> Self {
        let families = Families::new();
        let codes: Vec<_> = (0..CODES).map(Code::from_i32).collect();
        let errors: Vec<_> = service::documented_errors().collect();
        let methods = METHODS
            .iter()
            .map(|method| MethodMetrics::new(&method.full_name, &families, &codes, &errors));
        let methods = methods.collect();
        let own: Vec<_> = service::own_errors().collect();
        let other = MethodMetrics::new(OTHER, &families, &[Code::Unimplemented], &own);
        registry.register(
            "grpc_server_call_started",
            "Calls to the service that arrived",
            families.started.clone(),
        );
        registry.register_with_unit(
            "grpc_server_call_duration",
            "Time from the arrival of a call to its response",
            Unit::Seconds,
            families.durations.clone(),
        );
        let mut durations = Registry::default();
        durations.register("durations", "", families.durations.clone());
        registry.register(
            "iai_facade_errors",
            "Calls that failed, by the domain and the reason of their google.rpc.ErrorInfo",
            families.errors.clone(),
        );
        Self {
            callers: CallerMetrics::new(settings.callers, registry),
            families,
            methods,
            other,
            durations,
        }
    }

    /// Returns the durations of all calls that ended, by the name of their status.
    ///
    /// # Errors
    ///
    /// Fails if the metrics cannot be read.
    pub(super) fn durations(&self) -> Result<BTreeMap<String, BucketCounts>, fmt::Error> {
        BucketCounts::read(&self.durations, STATUS)
    }

    /// Returns the metrics of callers.
    pub(super) fn callers(&self) -> &CallerMetrics {
        &self.callers
    }

    /// Counts a call of the method `rpc` that arrived.
    pub(super) fn started(&self, rpc: &str) {
        self.method(rpc).started.inc();
    }

    /// Counts a call of the method `rpc` that ended, after `duration`.
    pub(super) fn ended(&self, rpc: &str, code: Code, duration: Duration, context: &Context) {
        self.callers.ended(context.identity(), code);
        let method = self.method(rpc);
        let seconds = duration.as_secs_f64();
        // Only the spans of a sampled call can be looked up.
        let trace = context.trace().filter(|trace| trace.is_sampled());
        let exemplar = trace.map(|trace| [("trace_id", trace.context().trace_id().to_string())]);
        match method.durations.get(code as usize) {
            Some(Some(histogram)) => histogram.observe(seconds, exemplar, None),
            _ => {
                let histogram = self.families.duration(method.name, code);
                histogram.observe(seconds, exemplar, None);
            }
        }
        let Some(error) = context.error() else {
            return;
        };
        match method.errors.get(error) {
            Some(counter) => counter.inc(),
            None => self
                .families
                .error(method.name, error.domain, OTHER.into())
                .inc(),
        };
    }

    fn method(&self, rpc: &str) -> &MethodMetrics {
        let method = self.methods.iter().find(|method| method.name == rpc);
        method.unwrap_or(&self.other)
    }
}

impl MethodMetrics {
    fn new(name: &'static str, families: &Families, codes: &[Code], errors: &[ErrorName]) -> Self {
        let mut durations = Vec::new();
        for code in codes {
            let place = *code as usize;
            durations.resize(durations.len().max(place + 1), None);
            durations[place] = Some(families.duration(name, *code));
        }
        let errors = errors.iter().map(|error| {
            let counter = families.error(name, error.domain, error.reason.clone());
            (error.clone(), counter)
        });
        Self {
            name,
            started: families
                .started
                .get_or_create_owned(&[("grpc_method", name)]),
            durations,
            errors: errors.collect(),
        }
    }
}

impl Families {
    fn new() -> Self {
        Self {
            started: Family::default(),
            durations: traced_latency_histograms(),
            errors: Family::default(),
        }
    }

    fn duration(&self, method: &'static str, code: Code) -> TracedHistogram {
        self.durations
            .get_or_create_owned(&[("grpc_method", method), (STATUS, grpc_code::name(code))])
    }

    fn error(
        &self,
        method: &'static str,
        domain: &'static str,
        reason: Cow<'static, str>,
    ) -> Counter {
        self.errors.get_or_create_owned(&[
            ("grpc_method", method.into()),
            ("domain", domain.into()),
            ("reason", reason),
        ])
    }
}
