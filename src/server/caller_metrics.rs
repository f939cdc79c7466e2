//! Metrics of callers: the number of calls of each, and whose fault it is if they fail.

use std::{borrow::Cow, collections::HashMap, fmt};

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

/// The calls of one caller, by their outcome.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct CallerCalls {
    /// Those that succeeded.
    pub(super) ok: u64,
    /// Those whose cause the caller can fix.
    pub(super) caller_fault: u64,
    /// Those that a limit or the quota rejected.
    pub(super) limited: u64,
    /// All others.
    pub(super) fault: u64,
}

impl CallerCalls {
    /// Returns the number of all calls.
    pub(super) fn total(self) -> u64 {
        self.ok + self.caller_fault + self.limited + self.fault
    }

    /// Returns the sum of the calls of two callers.
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            ok: self.ok + other.ok,
            caller_fault: self.caller_fault + other.caller_fault,
            limited: self.limited + other.limited,
            fault: self.fault + other.fault,
        }
    }

    /// Returns the calls since `earlier`.
    pub(super) fn since(self, earlier: Self) -> Self {
        Self {
            ok: self.ok.saturating_sub(earlier.ok),
            caller_fault: self.caller_fault.saturating_sub(earlier.caller_fault),
            limited: self.limited.saturating_sub(earlier.limited),
            fault: self.fault.saturating_sub(earlier.fault),
        }
    }
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

/// The name of a caller, or of several together.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) enum CallerName {
    /// All callers that are known by their address only, or all beyond the maximum.
    All(&'static str),
    /// One caller.
    One(Identity),
}

impl fmt::Display for CallerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(name) => f.write_str(name),
            Self::One(caller) => caller.fmt(f),
        }
    }
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

    /// Returns the calls of each caller, by its name as in the metrics.
    pub(super) fn read(&self) -> Vec<(CallerName, CallerCalls)> {
        let rest = [(ADDRESS, &self.address), (OTHER, &self.other)];
        let rest = rest.map(|(name, counters)| (CallerName::All(name), counters.read()));
        let named = self.named.read();
        let named = named
            .iter()
            .map(|(caller, counters)| (CallerName::One(caller.clone()), counters.read()));
        named.chain(rest).collect()
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

    fn read(&self) -> CallerCalls {
        CallerCalls {
            ok: self.ok.get(),
            caller_fault: self.caller_fault.get(),
            limited: self.limited.get(),
            fault: self.fault.get(),
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
