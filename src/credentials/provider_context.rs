//! Provider context: the environment variables and file locations that credential providers read.

use std::{fmt, path::PathBuf};

use crate::files::secret_text;

/// The profile file that the vendor's Python SDK reads if the user has none.
const SYSTEM_PROFILE: &str = "/etc/tencentcloud/credentials";

/// Reads a variable by its name.
type Variable = dyn Fn(&str) -> Option<String> + Send + Sync;

/// The environment variables and file locations of credential providers. Passed as an argument, so that
/// no provider reads the environment of the process itself.
pub struct ProviderContext {
    variable: Box<Variable>,
    pub(super) system_profile: PathBuf,
}

impl ProviderContext {
    /// Returns a context whose environment variables are read by `variable`.
    pub fn new(variable: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self {
            variable: Box::new(variable),
            system_profile: SYSTEM_PROFILE.into(),
        }
    }

    /// Replaces the location `/etc/tencentcloud/credentials`.
    #[must_use]
    pub fn with_system_profile(self, system_profile: PathBuf) -> Self {
        Self {
            system_profile,
            ..self
        }
    }

    /// Returns the secret in a variable. An empty variable counts as unset.
    ///
    /// # Errors
    ///
    /// Fails with the name of the variable if its value is not a valid secret.
    pub(super) fn secret(&self, name: &str) -> Result<Option<String>, String> {
        let Some(value) = self.variable(name) else {
            return Ok(None);
        };
        match secret_text::parse(value.as_bytes()) {
            Ok(secret) => Ok(Some(secret.to_owned())),
            Err(error) => Err(format!("{name} {error}")),
        }
    }

    /// Returns the value of a variable. An empty variable counts as unset.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        (self.variable)(name).filter(|value| !value.is_empty())
    }
}

/// Shows no variable, because its value may be a secret.
impl fmt::Debug for ProviderContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProviderContext(..)")
    }
}
