//! Outcome of `iai-facade check`: its exit code and its report.

use std::process::Output;

use serde_json::Value;

use super::program::run;

/// The credential of the emulator, as variables.
pub(crate) const CREDENTIAL: [(&str, &str); 2] = [
    ("TENCENTCLOUD_SECRET_ID", "AKIDEMULATOR"),
    ("TENCENTCLOUD_SECRET_KEY", "emulator-secret"),
];

/// The outcome of a check.
pub(crate) struct Checked {
    pub(crate) code: i32,
    /// The steps of the JSON report.
    pub(crate) steps: Vec<Value>,
    /// All output.
    pub(crate) output: String,
}

impl Checked {
    /// Runs `check` with these flags and variables.
    pub(crate) async fn run(flags: &[&str], variables: &[(&str, &str)]) -> Self {
        let json = ["check", "--format", "json"];
        let Output {
            status,
            stdout,
            stderr,
        } = run(&[&json, flags].concat(), variables).await;
        let output = String::from_utf8([stdout.clone(), stderr].concat()).unwrap();
        let report: Value = serde_json::from_slice(&stdout).expect(&output);
        let code = status.code().unwrap();
        assert_eq!(report["exit_code"], code, "{output}");
        Self {
            code,
            steps: report["steps"].as_array().unwrap().clone(),
            output,
        }
    }

    /// Runs `check` against this endpoint with the credential of the emulator.
    pub(crate) async fn at(endpoint: &str, flags: &[&str]) -> Self {
        Self::run(&[&["--endpoint", endpoint], flags].concat(), &CREDENTIAL).await
    }

    /// Returns a step of the report.
    pub(crate) fn step(&self, name: &str) -> &Value {
        let mut steps = self.steps.iter();
        let step = steps.find(|step| step["step"] == name);
        step.unwrap_or_else(|| panic!("no step {name}:\n{}", self.output))
    }

    /// Returns the names of the steps with this status.
    pub(crate) fn with_status(&self, status: &str) -> Vec<&str> {
        let steps = self.steps.iter().filter(|step| step["status"] == status);
        steps.map(|step| step["step"].as_str().unwrap()).collect()
    }

    /// Asserts that the step failed with this exit code, that its text has these words, that it has a
    /// cause and a remedy, and that the steps after it were skipped for it.
    pub(crate) fn assert_failed(&self, name: &str, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{}", self.output);
        assert_eq!(self.with_status("failed"), [name], "{}", self.output);
        let step = self.step(name);
        assert!(step["duration_ms"].is_f64(), "{step}");
        for member in ["likely_cause", "what_to_do"] {
            assert!(step[member].as_str().unwrap().ends_with('.'), "{step}");
        }
        for word in words {
            assert!(step.to_string().contains(word), "`{word}` is not in {step}");
        }
        // The report has the steps that were skipped, too.
        self.step("call");
        let after = self.steps.iter().skip_while(|step| step["step"] != name);
        for skipped in after.skip(1) {
            assert_eq!(skipped["status"], "skipped", "{}", self.output);
            assert_eq!(skipped["summary"], format!("{name} failed"));
            assert_eq!(skipped.get("duration_ms"), None);
        }
    }

    /// Asserts that no output contains any of these texts.
    pub(crate) fn assert_hides(&self, secrets: &[&str]) {
        for secret in secrets {
            assert!(!self.output.contains(secret), "{}", self.output);
        }
    }
}
