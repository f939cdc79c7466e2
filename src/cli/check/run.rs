//! Run of the check: makes steps, measures them, and reports each.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    progress::Progress,
    step::{Finding, Status, Step, StepResult},
};

/// A run, which reports each step when it has ended.
pub(super) struct Run<'a> {
    results: Vec<StepResult>,
    progress: Progress,
    report: &'a mut dyn FnMut(&StepResult),
}

impl<'a> Run<'a> {
    /// Creates a run that calls `report` with each result.
    pub(super) fn new(progress: Progress, report: &'a mut dyn FnMut(&StepResult)) -> Self {
        Self {
            results: Vec::new(),
            progress,
            report,
        }
    }

    /// Makes a step, and returns what the next steps need of it; `None` if they cannot be made.
    pub(super) async fn step<T>(
        &mut self,
        step: Step,
        work: impl Future<Output = (Finding, Option<T>)>,
    ) -> Option<T> {
        self.progress.show(step);
        let start = Instant::now();
        let (finding, value) = work.await;
        let duration = start.elapsed();
        self.progress.clear();
        self.add(step, finding, Some(duration));
        value
    }

    /// Makes a step that no other one depends on.
    pub(super) async fn last_step(&mut self, step: Step, work: impl Future<Output = Finding>) {
        self.step(step, async { (work.await, None::<()>) }).await;
    }

    /// Skips the steps of `plan` that were not made, because of the step that failed, or for `reason`.
    pub(super) fn skip_rest(&mut self, plan: &[Step], reason: &str) {
        let failed = self
            .results
            .last()
            .filter(|last| last.finding.status == Status::Failed);
        let reason = failed.map_or(reason.to_owned(), |last| {
            format!("{} failed", last.step.name())
        });
        for step in &plan[self.results.len().min(plan.len())..] {
            self.add(*step, Finding::skipped(&*reason), None);
        }
    }

    /// Returns the results of all steps.
    pub(super) fn into_results(self) -> Vec<StepResult> {
        self.results
    }

    fn add(&mut self, step: Step, finding: Finding, duration: Option<Duration>) {
        let duration = duration.filter(|_| finding.status != Status::Skipped);
        let result = StepResult {
            step,
            finding,
            duration,
        };
        (self.report)(&result);
        self.results.push(result);
    }
}
