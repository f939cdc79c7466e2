//! The variables of OpenTelemetry, and the errors of their values.

use super::super::{Invalid, Problems};

/// Reads variables, and collects the errors of their values. An empty variable counts as unset.
pub(super) struct Variables<'a> {
    variable: &'a dyn Fn(&str) -> Option<String>,
    problems: &'a mut Problems,
}

impl<'a> Variables<'a> {
    pub(super) fn new(
        variable: &'a dyn Fn(&str) -> Option<String>,
        problems: &'a mut Problems,
    ) -> Self {
        Self { variable, problems }
    }

    /// Returns the value of a variable, if it is set.
    pub(super) fn value(&self, name: &str) -> Option<String> {
        (self.variable)(name)
    }

    /// Returns the parsed value of the variable `OTEL_` + `name`.
    pub(super) fn own<T>(
        &mut self,
        name: &str,
        default: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, Invalid> {
        let name = format!("OTEL_{name}");
        let value = self.value(&name);
        let parsed = parse(value.as_deref().unwrap_or(default));
        self.problems.take_variable(&name, parsed)
    }

    /// Returns the name and the value of the variable of traces, or else of that of all signals.
    pub(super) fn otlp_value(&self, name: &str) -> Option<(String, String)> {
        let names = ["OTEL_EXPORTER_OTLP_TRACES_", "OTEL_EXPORTER_OTLP_"];
        let mut names = names.into_iter().map(|prefix| format!("{prefix}{name}"));
        names.find_map(|name| Some((name.clone(), self.value(&name)?)))
    }

    /// Returns the parsed value of the variable of traces, or else of that of all signals.
    pub(super) fn otlp<T>(
        &mut self,
        name: &str,
        default: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, Invalid> {
        match self.otlp_value(name) {
            Some((name, value)) => self.problems.take_variable(&name, parse(&value)),
            None => parse(default).map_err(|_| Invalid),
        }
    }

    /// Adds an error of such a variable.
    pub(super) fn reject_otlp<T>(&mut self, name: &str, problem: String) -> Result<T, Invalid> {
        let set = self.otlp_value(name);
        let name = set.map_or_else(|| format!("OTEL_EXPORTER_OTLP_{name}"), |(name, _)| name);
        self.problems.take_variable(&name, Err(problem))
    }
}
