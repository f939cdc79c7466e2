//! Account: the credential that requests must be signed with.

use secrecy::{ExposeSecret, SecretString};

/// A key pair that the emulator accepts, with a session token if the pair is temporary.
///
/// `Debug` prints neither the key nor the token.
#[derive(Clone, Debug)]
pub struct Account {
    pub(super) secret_id: String,
    pub(super) secret_key: SecretString,
    pub(super) token: Option<SecretString>,
}

impl Account {
    /// Creates an account with a permanent key pair. Requests must not carry a token.
    pub fn new(secret_id: impl Into<String>, secret_key: impl Into<SecretString>) -> Self {
        Self {
            secret_id: secret_id.into(),
            secret_key: secret_key.into(),
            token: None,
        }
    }

    /// Returns the `SecretId` that requests must name.
    pub fn secret_id(&self) -> &str {
        &self.secret_id
    }

    /// Returns the `SecretKey` that requests must be signed with. It is not confidential: the emulator
    /// prints it.
    pub fn secret_key(&self) -> &str {
        self.secret_key.expose_secret()
    }

    /// Returns the token that requests must carry, if the key pair is temporary.
    pub fn token(&self) -> Option<&str> {
        self.token.as_ref().map(ExposeSecret::expose_secret)
    }

    /// `true` if the other account has the same id, key and token.
    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        self.secret_id == other.secret_id
            && self.secret_key() == other.secret_key()
            && self.token() == other.token()
    }

    /// Makes the key pair temporary: requests must carry `token`.
    #[must_use]
    pub fn with_token(self, token: impl Into<SecretString>) -> Self {
        Self {
            token: Some(token.into()),
            ..self
        }
    }
}

/// The account of fixtures without one: `AKIDEMULATOR` with `emulator-secret`.
impl Default for Account {
    fn default() -> Self {
        Self::new("AKIDEMULATOR", "emulator-secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_contains_no_secrets() {
        let account = Account::new("AKIDEXAMPLE", "correct-horse").with_token("battery-staple");
        let shown = format!("{account:?}");
        assert!(!shown.contains("correct-horse"), "{shown}");
        assert!(!shown.contains("battery-staple"), "{shown}");
    }
}
