//! Collected configuration errors.

use std::{error::Error, fmt};

/// Marks a setting as invalid. Its error is in the [`Problems`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Invalid;

/// Configuration errors, one line each.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Problems(Vec<String>);

impl Problems {
    /// Returns the value of a setting, or adds its error to the list.
    ///
    /// # Errors
    ///
    /// Fails if `value` is an error.
    pub fn take<T>(&mut self, flag: &str, value: Result<T, String>) -> Result<T, Invalid> {
        value.map_err(|problem| {
            self.note(flag, &problem);
            Invalid
        })
    }

    /// Returns the value of a setting, or adds all its errors to the list.
    ///
    /// # Errors
    ///
    /// Fails if `value` is an error.
    pub fn take_all<T>(&mut self, flag: &str, value: Result<T, Vec<String>>) -> Result<T, Invalid> {
        value.map_err(|problems| {
            for problem in &problems {
                self.note(flag, problem);
            }
            Invalid
        })
    }

    /// Returns the value of an environment variable of other programs, or adds its error to the list.
    pub(super) fn take_variable<T>(
        &mut self,
        name: &str,
        value: Result<T, String>,
    ) -> Result<T, Invalid> {
        value.map_err(|problem| {
            self.0.push(format!("{name}: {problem}"));
            Invalid
        })
    }

    /// Returns what was checked elsewhere, or adds its errors to the list.
    ///
    /// # Errors
    ///
    /// Fails if `checked` is an error.
    pub fn merge<T>(&mut self, checked: Result<T, Self>) -> Result<T, Invalid> {
        checked.map_err(|Self(problems)| {
            self.0.extend(problems);
            Invalid
        })
    }

    /// Adds an error of a setting.
    pub(super) fn note(&mut self, flag: &str, problem: &str) {
        self.0.push(format!("--{flag}: {problem}"));
    }

    /// Returns the settings if there are no errors, otherwise the errors.
    pub fn into_result<T>(self, settings: Result<T, Invalid>) -> Result<T, Self> {
        match settings {
            Ok(settings) if self.0.is_empty() => Ok(settings),
            Ok(_) | Err(Invalid) => Err(self),
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl Error for Problems {}
