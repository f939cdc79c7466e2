//! One credential: what a call is signed with.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

/// An identifier, the key that belongs to it, and the token if the two are temporary.
///
/// The three are one value, so that they cannot be mixed up during a rotation. `Debug` shows none.
pub struct Credential {
    secret_id: String,
    secret_key: SecretString,
    token: Option<SecretString>,
}

impl Credential {
    /// Makes a credential of its parts.
    ///
    /// # Errors
    ///
    /// Fails if a part is empty, or holds a blank or anything else that is not visible ASCII.
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

    /// Returns the identifier, which is sent with every call.
    pub fn secret_id(&self) -> &str {
        &self.secret_id
    }

    /// Returns the key, which is never sent.
    pub fn secret_key(&self) -> &str {
        self.secret_key.expose_secret()
    }

    /// Returns the token of a temporary credential.
    pub fn token(&self) -> Option<&str> {
        self.token.as_ref().map(ExposeSecret::expose_secret)
    }

    /// Returns `text` without any part of this credential in it.
    ///
    /// Upstream's refusals may repeat what they refuse.
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

/// For telling whether a credential was replaced, by whoever has both.
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

/// A part of a credential that cannot be one.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidPart {
    /// There is nothing.
    #[error("the {0} is empty")]
    Empty(&'static str),

    /// A blank, a control character or a letter beyond ASCII is in it.
    #[error("the {0} holds a blank or another character that is not visible ASCII")]
    NotVisible(&'static str),
}

fn check(part: &'static str, text: &str) -> Result<(), InvalidPart> {
    if text.is_empty() {
        Err(InvalidPart::Empty(part))
    } else if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Err(InvalidPart::NotVisible(part))
    } else {
        Ok(())
    }
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
            (["", "key", "token"], InvalidPart::Empty("secret id")),
            (
                ["id", " key", "token"],
                InvalidPart::NotVisible("secret key"),
            ),
            (["id", "key", "token\n"], InvalidPart::NotVisible("token")),
            (
                ["id\u{e9}", "key", "token"],
                InvalidPart::NotVisible("secret id"),
            ),
        ];

        for (parts, expected) in cases {
            assert_eq!(credential(parts).unwrap_err(), expected);
        }
    }

    #[test]
    fn a_credential_does_not_print_itself() {
        let credential = credential(["AKIDid", "correct-horse", "battery"]).unwrap();

        assert_eq!(format!("{credential:?}"), "Credential(..)");
        assert_eq!(
            credential.redact("AKIDid signed battery with correct-horse"),
            "[redacted] signed [redacted] with [redacted]",
        );
    }
}
