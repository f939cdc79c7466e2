//! The account calls are made for.

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

/// The credential the emulator accepts: a key pair, and a token if the pair is a temporary one.
///
/// `Debug` shows neither the key nor the token.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "Entry")]
pub struct Account {
    pub(super) secret_id: String,
    pub(super) secret_key: SecretString,
    pub(super) token: Option<SecretString>,
}

impl Account {
    /// Creates an account with a long-term key pair: calls must not carry a token.
    pub fn new(secret_id: impl Into<String>, secret_key: impl Into<SecretString>) -> Self {
        Self {
            secret_id: secret_id.into(),
            secret_key: secret_key.into(),
            token: None,
        }
    }

    /// Returns the identifier that calls must name.
    pub fn secret_id(&self) -> &str {
        &self.secret_id
    }

    /// Returns the key that calls must be signed with. It is meant to be known: the emulator
    /// prints it.
    pub fn secret_key(&self) -> &str {
        self.secret_key.expose_secret()
    }

    /// Returns the token that calls must carry, if the pair is a temporary one.
    pub fn token(&self) -> Option<&str> {
        self.token.as_ref().map(ExposeSecret::expose_secret)
    }

    /// Makes the key pair a temporary one: calls must carry `token`.
    #[must_use]
    pub fn with_token(self, token: impl Into<SecretString>) -> Self {
        Self {
            token: Some(token.into()),
            ..self
        }
    }
}

/// The account of fixtures that name none: `AKIDEMULATOR` with `emulator-secret`.
impl Default for Account {
    fn default() -> Self {
        Self::new("AKIDEMULATOR", "emulator-secret")
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    secret_id: String,
    secret_key: String,
    token: Option<String>,
}

impl From<Entry> for Account {
    fn from(entry: Entry) -> Self {
        Self {
            secret_id: entry.secret_id,
            secret_key: entry.secret_key.into(),
            token: entry.token.map(SecretString::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_in_debug_output() {
        let account = Account::new("AKIDEXAMPLE", "correct-horse").with_token("battery-staple");
        let shown = format!("{account:?}");
        assert!(!shown.contains("correct-horse"), "{shown}");
        assert!(!shown.contains("battery-staple"), "{shown}");
    }
}
