//! What calls to upstream are signed with, and where it comes from.
//!
//! The sources are asked in order. One that has nothing to offer is passed over; one that is broken
//! stops the search, so that a mistake never yields silently to another identity.

mod environment;
mod mounted_files;

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;

use crate::config;

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

/// Reads a credential anew from wherever it comes from.
type Source = dyn Fn() -> Result<Credential, Unavailable> + Send + Sync;

/// Hands out the credential to sign with.
#[derive(Clone)]
pub struct Credentials {
    current: Arc<RwLock<Arc<Credential>>>,
    /// Locked while it is read, so that many calls that fail together read it once.
    source: Arc<Mutex<Box<Source>>>,
}

impl Credentials {
    /// Asks the sources in order, files before the environment, which `variable` reads.
    ///
    /// # Errors
    ///
    /// Fails if a source is broken, and if none has anything to offer. The error says of each
    /// source what it looked at and what it found.
    pub fn load(
        settings: config::Credentials,
        variable: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Result<Self, Unavailable> {
        Self::from_source(move || chain(&settings, &variable))
    }

    /// Returns credentials that come from `source`.
    ///
    /// # Errors
    ///
    /// Fails if the source does.
    pub fn from_source(
        source: impl Fn() -> Result<Credential, Unavailable> + Send + Sync + 'static,
    ) -> Result<Self, Unavailable> {
        let credential = source()?;
        Ok(Self {
            current: Arc::new(RwLock::new(Arc::new(credential))),
            source: Arc::new(Mutex::new(Box::new(source))),
        })
    }

    /// Returns the credential to sign with now.
    pub fn current(&self) -> Arc<Credential> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the source anew, since upstream does not accept `refused`, and tells whether there is
    /// another credential now. A source that cannot be read changes nothing.
    pub async fn renew(&self, refused: &Arc<Credential>) -> bool {
        let source = self.source.lock().await;
        if *self.current() != **refused {
            return true;
        }
        // Files are small, and read once for all calls that fail together.
        match source() {
            Ok(credential) if credential != **refused => {
                tracing::info!("the credential was replaced by another of its source");
                let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
                *current = Arc::new(credential);
                true
            }
            Ok(_) => false,
            Err(error) => {
                tracing::warn!(%error, "the credential that upstream refuses is kept");
                false
            }
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

/// Asks the sources in order.
fn chain(
    settings: &config::Credentials,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Credential, Unavailable> {
    let mut report = Vec::new();
    for (source, answer) in [
        (mounted_files::NAME, mounted_files::read(settings)),
        (environment::NAME, environment::read(variable)),
    ] {
        match answer {
            Ok(credential) => {
                tracing::debug!(source, "credential found");
                return Ok(credential);
            }
            Err(NotOffered::Broken(reason)) => {
                report.push(format!("{source}: {reason}"));
                break;
            }
            Err(NotOffered::Nothing(reason)) => report.push(format!("{source}: {reason}")),
        }
    }
    Err(Unavailable { report })
}

/// Tells whether the environment, which `variable` reads, holds anything of a credential.
pub fn are_in_environment(variable: impl Fn(&str) -> Option<String>) -> bool {
    !matches!(environment::read(variable), Err(NotOffered::Nothing(_)))
}

/// Why a source offers no credential.
#[derive(Debug)]
enum NotOffered {
    /// The source is there and cannot be used. No further one is asked.
    Broken(String),
    /// The source is not there.
    Nothing(String),
}

/// No source yielded a credential.
#[derive(Debug, thiserror::Error)]
#[error("no credential to sign calls with; looked at {}", report.join("; "))]
pub struct Unavailable {
    /// Each source that was asked, in order, and what it said.
    pub report: Vec<String>,
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
