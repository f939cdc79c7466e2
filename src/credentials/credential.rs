//! A credential: SecretId, SecretKey, and the session token of a temporary credential.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

use crate::files::secret_text::{self, InvalidSecret};

/// A SecretId with its SecretKey, and a session token if they are temporary.
///
/// One value, so that a rotation cannot mix the parts of two credentials. `Debug` shows no part.
pub struct Credential {
    secret_id: String,
    secret_key: SecretString,
    token: Option<SecretString>,
}

impl Credential {
    /// Creates a credential from its parts.
    ///
    /// # Errors
    ///
    /// Fails if a part is empty or has a character other than visible ASCII.
    pub fn new(
        secret_id: String,
        secret_key: String,
        token: Option<String>,
    ) -> Result<Self, InvalidPart> {
        check("secret id", &secret_id)?;
        check("secret key", &secret_key)?;
        token.iter().try_for_each(|token| check("token", token))?;
        Ok(Self {
            secret_id,
            secret_key: secret_key.into(),
            token: token.map(SecretString::from),
        })
    }

    /// Returns the SecretId, which is sent with every request.
    pub fn secret_id(&self) -> &str {
        &self.secret_id
    }

    /// Returns the SecretKey, which is never sent.
    pub fn secret_key(&self) -> &str {
        self.secret_key.expose_secret()
    }

    /// Returns the session token of a temporary credential.
    pub fn token(&self) -> Option<&str> {
        self.token.as_ref().map(ExposeSecret::expose_secret)
    }

    /// Returns `text` with every part of this credential replaced by `[redacted]`. Error messages of
    /// upstream may repeat parts of a request.
    pub fn redact(&self, text: &str) -> String {
        [
            Some(self.secret_key()),
            self.token(),
            Some(self.secret_id()),
        ]
        .into_iter()
        .flatten()
        .fold(text.to_owned(), |text, secret| {
            text.replace(secret, "[redacted]")
        })
    }
}

/// Detects a replaced credential. Not constant-time: both sides are ours.
impl PartialEq for Credential {
    fn eq(&self, other: &Self) -> bool {
        self.secret_id == other.secret_id
            && self.secret_key() == other.secret_key()
            && self.token() == other.token()
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(..)")
    }
}

/// An invalid part of a credential.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the {part} {problem}")]
pub struct InvalidPart {
    /// The name of the part.
    pub part: &'static str,
    /// Why it is invalid.
    pub problem: InvalidSecret,
}

fn check(part: &'static str, text: &str) -> Result<(), InvalidPart> {
    secret_text::check(text).map_err(|problem| InvalidPart { part, problem })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential(parts: [&str; 3]) -> Result<Credential, InvalidPart> {
        let [secret_id, secret_key, token] = parts.map(str::to_owned);
        Credential::new(secret_id, secret_key, Some(token))
    }

    #[test]
    fn parts_must_be_visible_ascii() {
        let cases = [
            (["", "key", "token"], "the secret id is empty"),
            (
                ["id", " key", "token"],
                "the secret key has a space at its start",
            ),
            (
                ["id", "key", "token\n"],
                "the token has a line feed at its end",
            ),
            (
                ["id\u{e9}", "key", "token"],
                "the secret id has a character that is not ASCII at its end",
            ),
        ];

        for (parts, expected) in cases {
            assert_eq!(credential(parts).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn debug_shows_no_part_of_a_credential() {
        let credential = credential(["AKIDid", "correct-horse", "battery"]).unwrap();

        assert_eq!(format!("{credential:?}"), "Credential(..)");
        assert_eq!(
            credential.redact("AKIDid signed battery with correct-horse"),
            "[redacted] signed [redacted] with [redacted]",
        );
    }
}
