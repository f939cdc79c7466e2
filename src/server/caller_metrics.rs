//! Metrics of callers: the number of calls of each, and whose fault it is if they fail.

use std::{borrow::Cow, collections::HashMap};

use parking_lot::RwLock;
use tonic::Code;

use crate::{
    context::Identity,
    metrics::{Counter, Family, Registry},
};

/// All callers that are known by their address only.
const ADDRESS: &str = "address";

/// All callers beyond the maximum.
const OTHER: &str = "other";

/// The outcome of a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Outcome {
    /// It succeeded.
    Ok,
    /// The caller must change its request, or its deadline was too short.
    CallerFault,
    /// A limit or the quota is exhausted.
    Limited,
    /// Anything else.
    Fault,
}

/// The calls of each caller, by their outcome.
#[derive(Debug)]
pub(super) struct CallerMetrics {
    calls: Calls,
    max: usize,
    address: Counters,
    other: Counters,
    /// Those that have a name, up to the maximum.
    named: RwLock<HashMap<Identity, Counters>>,
}

type Calls = Family<[(&'static str, Cow<'static, str>); 2], Counter>;

#[derive(Debug)]
struct Counters {
    ok: Counter,
    caller_fault: Counter,
    limited: Counter,
    fault: Counter,
}

impl CallerMetrics {
    /// Creates and registers the metrics. They name the first `max` callers that have a name.
    pub(super) fn new(max: usize, registry: &mut Registry) -> Self {
        let calls = Calls::default();
        registry.register(
            "iai_facade_caller_calls",
            "Calls by caller, as the log names it, and by outcome: ok, limited (a limit or the quota is \
             exhausted), caller_fault, or fault (of upstream or of the service)",
            calls.clone(),
        );
        Self {
            max,
            address: Counters::new(&calls, ADDRESS),
            other: Counters::new(&calls, OTHER),
            named: RwLock::default(),
            calls,
        }
    }

    /// Counts a call that ended with `code`.
    pub(super) fn ended(&self, caller: &Identity, code: Code) {
        let outcome = Outcome::of(code);
        if matches!(caller, Identity::Address(_)) {
            self.address.count(outcome);
        } else if let Some(counters) = self.named.read().get(caller) {
            counters.count(outcome);
        } else {
            self.count_unknown(caller, outcome);
        }
    }

    /// Counts a call of a caller that has no counters yet, and may not get any.
    fn count_unknown(&self, caller: &Identity, outcome: Outcome) {
        let mut named = self.named.write();
        if named.len() >= self.max && !named.contains_key(caller) {
            self.other.count(outcome);
            return;
        }
        named
            .entry(caller.clone())
            .or_insert_with(|| Counters::new(&self.calls, &caller.to_string()))
            .count(outcome);
    }
}

impl Counters {
    fn new(calls: &Calls, caller: &str) -> Self {
        let counter = |outcome: &'static str| {
            let labels = [
                ("caller", caller.to_owned().into()),
                ("outcome", outcome.into()),
            ];
            calls.get_or_create_owned(&labels)
        };
        Self {
            ok: counter("ok"),
            caller_fault: counter("caller_fault"),
            limited: counter("limited"),
            fault: counter("fault"),
        }
    }

    fn count(&self, outcome: Outcome) {
        let counter = match outcome {
            Outcome::Ok => &self.ok,
            Outcome::CallerFault => &self.caller_fault,
            Outcome::Limited => &self.limited,
            Outcome::Fault => &self.fault,
        };
        counter.inc();
    }
}

impl Outcome {
    fn of(code: Code) -> Self {
        match code {
            Code::Ok => Self::Ok,
            Code::AlreadyExists
            | Code::Cancelled
            | Code::DeadlineExceeded
            | Code::InvalidArgument
            | Code::NotFound
            | Code::OutOfRange
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::Unimplemented => Self::CallerFault,
            Code::ResourceExhausted => Self::Limited,
            Code::Aborted
            | Code::DataLoss
            | Code::FailedPrecondition
            | Code::Internal
            | Code::Unavailable
            | Code::Unknown => Self::Fault,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::metrics::scrape;

    #[test]
    fn callers_beyond_the_maximum_are_counted_together() {
        let mut registry = Registry::default();
        let metrics = CallerMetrics::new(2, &mut registry);

        for number in 0..10_000 {
            let name = Arc::from(format!("caller-{number}"));
            metrics.ended(&Identity::Token(name), Code::Ok);
            let address = std::net::Ipv4Addr::from_bits(number).into();
            metrics.ended(&Identity::Address(address), Code::ResourceExhausted);
        }
        metrics.ended(&Identity::Token("caller-1".into()), Code::NotFound);

        let text = scrape(&registry, None).unwrap().text;
        let samples: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(samples.len(), 16);
        for (caller, outcome, count) in [
            ("token:caller-0", "ok", 1),
            ("token:caller-1", "ok", 1),
            ("token:caller-1", "caller_fault", 1),
            ("other", "ok", 9_998),
            ("address", "limited", 10_000),
        ] {
            let labels = format!("caller=\"{caller}\",outcome=\"{outcome}\"");
            let sample = format!("iai_facade_caller_calls_total{{{labels}}} {count}");
            assert!(samples.contains(&&*sample), "{sample}");
        }
    }
}
