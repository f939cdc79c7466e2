//! Fault script: an ordered list of faults, each with a name and the number of times it still applies.

use std::collections::VecDeque;

use super::{
    faults::{Fault, FaultKind, Target},
    memory_budget::Reservation,
};

/// An ordered list of faults.
#[derive(Debug, Default)]
pub(super) struct Script {
    faults: VecDeque<Scripted>,
    /// The number of faults that were named by the script.
    named: u64,
}

impl Script {
    /// Appends a fault, unless it applies to no request.
    pub(super) fn append(&mut self, fault: Fault) {
        if fault.times > 0 {
            let fault_id = self.unused_id();
            self.faults.push_back(Scripted {
                fault_id,
                fault,
                _reservation: None,
            });
        }
    }

    /// Returns an id that no fault of the script has: `fault-1`, `fault-2`, and so on.
    pub(super) fn unused_id(&mut self) -> String {
        loop {
            self.named += 1;
            let fault_id = format!("fault-{}", self.named);
            if self.get(&fault_id).is_none() {
                return fault_id;
            }
        }
    }

    /// Replaces the fault with this id at its place, or appends it. Returns whether it is new.
    pub(super) fn put(&mut self, fault_id: &str, fault: Fault, reservation: Reservation) -> bool {
        let scripted = Scripted {
            fault_id: fault_id.to_owned(),
            fault,
            _reservation: Some(reservation),
        };
        match self.faults.iter_mut().find(|it| it.fault_id == fault_id) {
            Some(replaced) => {
                *replaced = scripted;
                false
            }
            None => {
                self.faults.push_back(scripted);
                true
            }
        }
    }

    /// Returns the fault with this id, unless it was removed or has applied as often as it should.
    pub(super) fn get(&self, fault_id: &str) -> Option<&Scripted> {
        self.iter().find(|it| it.fault_id == fault_id)
    }

    /// Removes a fault. Returns whether it existed.
    pub(super) fn remove(&mut self, fault_id: &str) -> bool {
        let index = self.iter().position(|it| it.fault_id == fault_id);
        index.and_then(|index| self.faults.remove(index)).is_some()
    }

    /// Removes all faults. Ids that the script gave are not given again.
    pub(super) fn clear(&mut self) {
        self.faults.clear();
    }

    /// Returns the remaining faults in order.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &Scripted> {
        self.faults.iter()
    }

    /// Takes the first remaining fault that matches a request and whose probability lets it apply.
    pub(super) fn take(&mut self, target: &Target<'_>) -> Option<Taken> {
        let mut faults = self.faults.iter();
        let index = faults
            .position(|Scripted { fault, .. }| fault.matches(target) && fault.probability.draw())?;
        let scripted = self.faults.get_mut(index)?;
        scripted.fault.times -= 1;
        if scripted.fault.times > 0 {
            return Some(Taken {
                fault_id: scripted.fault_id.clone(),
                kind: scripted.fault.kind.clone(),
            });
        }
        let Scripted {
            fault_id, fault, ..
        } = self.faults.remove(index)?;
        let kind = fault.kind;
        Some(Taken { fault_id, kind })
    }
}

impl FromIterator<Fault> for Script {
    fn from_iter<I: IntoIterator<Item = Fault>>(faults: I) -> Self {
        let mut script = Self::default();
        faults.into_iter().for_each(|fault| script.append(fault));
        script
    }
}

/// A fault of a script.
#[derive(Debug)]
pub(super) struct Scripted {
    /// The name of the fault, unique within the script.
    pub(super) fault_id: String,
    /// The fault, with the remaining number of times.
    pub(super) fault: Fault,
    _reservation: Option<Reservation>,
}

/// The fault that applies to a request.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) fault_id: String,
    pub(super) kind: FaultKind,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{actions::Action, faults::Probability, memory_budget::MemoryBudget};

    #[test]
    fn faults_apply_in_order_and_as_often_as_configured() {
        let faults = ["A", "B"].map(|code| Fault::from(FaultKind::api_error(code)).times(2));
        let mut script = Script::from_iter(faults);
        let codes = std::iter::from_fn(|| code(script.take(&Target::default())));
        assert_eq!(codes.collect::<Vec<_>>(), ["A", "A", "B", "B"]);
    }

    #[test]
    fn a_request_takes_the_first_fault_for_its_action() {
        let mut script = Script::from_iter([
            Fault::from(FaultKind::api_error("A")).on(Action::GetPersonGroupInfo),
            Fault::from(FaultKind::api_error("B")),
        ]);
        let on = |action| Target {
            action: Some(action),
            ..Target::default()
        };
        let taken = script.take(&on(Action::GetGroupInfo));
        assert_eq!(code(taken).as_deref(), Some("B"));
        assert!(script.take(&on(Action::GetGroupInfo)).is_none());
        assert!(script.take(&Target::default()).is_none());
        assert!(script.take(&on(Action::GetPersonGroupInfo)).is_some());
    }

    #[test]
    fn a_fault_with_an_id_or_credential_applies_to_requests_that_name_it() {
        let fault = Fault::from(FaultKind::Hold);
        let of = |id, secret_id| Target {
            action: Some(Action::GetGroupInfo),
            id,
            secret_id,
        };
        for (fault, matching) in [
            (fault.clone().for_id("aaa"), of(Some("aaa"), None)),
            (fault.for_credential("aaa"), of(None, Some("aaa"))),
        ] {
            let mut script = Script::from_iter([fault]);
            assert!(script.take(&of(None, None)).is_none());
            assert!(script.take(&of(Some("bbb"), Some("bbb"))).is_none());
            assert!(script.take(&matching).is_some());
        }
    }

    #[test]
    fn a_fault_with_zero_times_never_applies() {
        let mut script = Script::from_iter([Fault::from(FaultKind::Hold).times(0)]);
        assert!(script.take(&Target::default()).is_none());
    }

    #[test]
    fn a_fault_with_a_probability_spares_requests_without_counting_them() {
        let half = Probability::new(0.5).unwrap();
        let fault = Fault::from(FaultKind::Hold).with_probability(half);
        let mut script = Script::from_iter([fault.times(100)]);
        let mut requests = 0;
        while script.iter().len() > 0 {
            script.take(&Target::default());
            requests += 1;
        }
        // Outside of these bounds once in 10^18 runs.
        assert!((120..400).contains(&requests), "{requests}");
    }

    #[test]
    fn a_fault_is_put_replaced_at_its_place_and_removed() {
        let budget = MemoryBudget::new(100);
        let mut script = Script::from_iter([Fault::from(FaultKind::api_error("A"))]);
        let put = |script: &mut Script, fault_id: &str, code: &str| {
            let fault = Fault::from(FaultKind::api_error(code));
            script.put(fault_id, fault, budget.reserve(1).unwrap())
        };
        assert!(put(&mut script, "fault-2", "B"));
        assert!(put(&mut script, "x", "C"));
        assert!(!put(&mut script, "fault-2", "D"));
        assert_eq!(script.unused_id(), "fault-3");
        let ids =
            |script: &Script| -> Vec<_> { script.iter().map(|it| it.fault_id.clone()).collect() };
        assert_eq!(ids(&script), ["fault-1", "fault-2", "x"]);
        assert!(script.remove("fault-1"));
        assert!(!script.remove("fault-1"));
        assert_eq!(code(script.take(&Target::default())).as_deref(), Some("D"));
        assert_eq!(ids(&script), ["x"]);
    }

    fn code(taken: Option<Taken>) -> Option<String> {
        let FaultKind::ApiError { code, .. } = taken?.kind else {
            panic!("no API error");
        };
        Some(code)
    }
}
