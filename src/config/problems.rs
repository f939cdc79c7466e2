//! All that is wrong with the settings.

use std::{error::Error, fmt};

/// Mistakes in settings, a sentence each.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Problems(Vec<String>);

impl Problems {
    /// Takes the value of a setting, or notes why it has none.
    pub(super) fn take<T>(&mut self, flag: &str, value: Result<T, String>) -> Option<T> {
        value.map_err(|problem| self.note(flag, &problem)).ok()
    }

    /// Notes what is wrong with a setting.
    pub(super) fn note(&mut self, flag: &str, problem: &str) {
        self.0.push(format!("--{flag}: {problem}"));
    }

    /// Returns the settings if nothing was noted while they were made, and otherwise all that was.
    pub(super) fn unless_none<T>(self, settings: Option<T>) -> Result<T, Self> {
        match settings {
            Some(settings) if self.0.is_empty() => Ok(settings),
            _ => Err(self),
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl Error for Problems {}
