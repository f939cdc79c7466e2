//! Bearer token of the control API.

use std::fmt;

use http::{header::AUTHORIZATION, request::Parts};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::reply::Rejection;

/// The digest of the token that requests must carry.
pub(crate) struct Token([u8; 32]);

impl Token {
    /// Checks that a request has the header `Authorization: Bearer TOKEN`, in a time that depends on the
    /// length of its token only.
    ///
    /// # Errors
    ///
    /// Fails if the token is absent or wrong.
    pub(super) fn check(&self, head: &Parts) -> Result<(), Rejection> {
        let value = head
            .headers
            .get(AUTHORIZATION)
            .map(|value| value.as_bytes());
        let token = value.and_then(|value| {
            let (scheme, token) = value.split_at_checked(BEARER.len())?;
            scheme.eq_ignore_ascii_case(BEARER).then_some(token)
        });
        let is_same = |token| bool::from(digest(token).ct_eq(&self.0));
        if token.is_some_and(is_same) {
            Ok(())
        } else {
            Err(Rejection::unauthorized())
        }
    }
}

impl From<&SecretString> for Token {
    fn from(token: &SecretString) -> Self {
        Self(digest(token.expose_secret().as_bytes()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

fn digest(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}

const BEARER: &[u8] = b"Bearer ";
