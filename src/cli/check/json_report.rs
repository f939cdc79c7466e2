//! JSON report: one object with all steps, for programs.

use std::time::Duration;

use serde::Serialize;

use super::step::StepResult;

#[derive(Serialize)]
struct Report<'a> {
    exit_code: u8,
    steps: Vec<StepReport<'a>>,
}

/// A step. Members without a value are omitted.
#[derive(Serialize)]
struct StepReport<'a> {
    step: &'static str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<f64>,
    summary: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    details: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    likely_cause: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    what_to_do: Option<&'a str>,
}

/// Formats the results.
pub(super) fn json(results: &[StepResult], exit_code: u8) -> String {
    let report = Report {
        exit_code,
        steps: results.iter().map(StepReport::from).collect(),
    };
    // Only maps with keys other than strings have no JSON form.
    serde_json::to_string_pretty(&report).unwrap_or_default()
}

impl<'a> From<&'a StepResult> for StepReport<'a> {
    fn from(result: &'a StepResult) -> Self {
        let finding = &result.finding;
        let advice = finding.advice.as_ref();
        Self {
            step: result.step.name(),
            status: finding.status.name(),
            duration_ms: result.duration.map(milliseconds),
            summary: &finding.summary,
            details: &finding.details,
            code: finding.code.as_deref(),
            request_id: finding.request_id.as_deref(),
            likely_cause: advice.map(|advice| advice.cause.as_str()),
            what_to_do: advice.map(|advice| advice.remedy.as_str()),
        }
    }
}

/// Returns a duration in milliseconds, to a tenth.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}
