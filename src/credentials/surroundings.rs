//! What credentials are read from beside the settings.

use std::{fmt, path::PathBuf};

use super::profile_file;

/// Reads a variable by its name.
type Variable = dyn Fn(&str) -> Option<String> + Send + Sync;

/// The environment of the process, and the files that have a place of their own.
///
/// An argument, so that nothing here reads the environment by itself.
pub struct Surroundings {
    variable: Box<Variable>,
    pub(super) system_profile: PathBuf,
}

impl Surroundings {
    /// Returns surroundings whose variables are read by `variable`.
    pub fn new(variable: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self {
            variable: Box::new(variable),
            system_profile: profile_file::SYSTEM_FILE.into(),
        }
    }

    /// Puts another file in the place of `/etc/tencentcloud/credentials`.
    #[must_use]
    pub fn with_system_profile(self, system_profile: PathBuf) -> Self {
        Self {
            system_profile,
            ..self
        }
    }

    /// Returns the value of a variable. An empty one counts as not set.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        (self.variable)(name).filter(|value| !value.is_empty())
    }
}

/// Shows no variable: one of them may be a secret.
impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Surroundings(..)")
    }
}
