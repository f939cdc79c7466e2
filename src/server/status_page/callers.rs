//! Callers of the report: their calls between two samples, and their attempts in the queue.

use std::{collections::HashMap, time::Duration};

use super::{history::Sample, report::Caller};
use crate::{
    server::caller_metrics::{CallerCalls, CallerName},
    upstream::WaitingCaller,
};

/// The maximum number of callers in the report.
pub(super) const MAX_CALLERS: usize = 20;

/// The calls of a caller, and the queue.
#[derive(Default)]
struct Activity {
    calls: CallerCalls,
    waiting: usize,
    longest: Option<Duration>,
}

/// Returns the callers with calls or waiting attempts, those with the most waiting attempts and then those
/// with the most calls first, and the number of those beyond the maximum.
pub(super) fn callers(
    first: &Sample,
    last: &Sample,
    waiting: Vec<WaitingCaller>,
) -> (Vec<Caller>, usize) {
    let before: HashMap<_, _> = first.callers.iter().map(|(name, it)| (name, *it)).collect();
    let mut callers: HashMap<_, _> = last
        .callers
        .iter()
        .map(|(name, calls)| {
            let calls = calls.since(before.get(name).copied().unwrap_or_default());
            let activity = Activity {
                calls,
                ..Activity::default()
            };
            (name.clone(), activity)
        })
        .collect();
    for waiting in waiting {
        let caller = callers.entry(CallerName::One(waiting.caller)).or_default();
        (caller.waiting, caller.longest) = (waiting.attempts, Some(waiting.longest));
    }
    let total: u64 = callers.values().map(|it| it.calls.total()).sum();
    let active = |it: &Activity| it.calls.total() > 0 || it.waiting > 0;
    let mut callers: Vec<_> = callers
        .into_iter()
        .filter(|(_, activity)| active(activity))
        .map(|(name, activity)| activity.into_caller(&name, total))
        .collect();
    callers.sort_by(|one, other| {
        let order = |caller: &Caller| (caller.waiting_attempts, caller.calls);
        let by_name = || one.name.cmp(&other.name);
        order(other).cmp(&order(one)).then_with(by_name)
    });
    let omitted = callers.len().saturating_sub(MAX_CALLERS);
    callers.truncate(MAX_CALLERS);
    (callers, omitted)
}

impl Activity {
    fn into_caller(self, name: &CallerName, total: u64) -> Caller {
        let calls = self.calls.total();
        let share = calls as f64 / total.max(1) as f64;
        let milliseconds = |wait: Duration| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        Caller {
            name: name.to_string(),
            calls,
            share: (share * 1e3).round() / 1e3,
            limited: self.calls.limited,
            caller_fault: self.calls.caller_fault,
            fault: self.calls.fault,
            waiting_attempts: self.waiting,
            longest_wait_ms: self.longest.map(milliseconds),
        }
    }
}
