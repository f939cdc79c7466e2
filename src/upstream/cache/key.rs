//! Cache key: two requests with equal keys share a response.

use std::{array, fmt, sync::LazyLock};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::{credentials::Credential, upstream::request::ApiRequest};

/// A keyed hash of an account, an action and its parameters. The endpoint, the region and the language
/// are the same for the whole process.
///
/// Only the hash is stored, since the parameters would take more memory. Its secret is random for each
/// process, so that a caller cannot search for two requests with the same hash. Among a billion requests,
/// two have the same hash by chance with a probability of less than 1 in 10^20.
#[derive(Clone, Eq, Hash, PartialEq)]
pub(in crate::upstream) struct Key([u8; 16]);

impl Key {
    /// Creates the key of a request that is signed with `credential`.
    pub(in crate::upstream) fn new(credential: &Credential, request: &ApiRequest) -> Self {
        static HASH: LazyLock<Hmac<Sha256>> = LazyLock::new(keyed_hash);
        let mut hash = HASH.clone();
        // With the length of each part but the last, so that the boundaries between parts are unambiguous.
        for part in [credential.secret_id(), request.action] {
            hash.update(&part.len().to_be_bytes());
            hash.update(part.as_bytes());
        }
        hash.update(&request.parameters);
        let hash: [u8; 32] = hash.finalize().into_bytes().into();
        Self(array::from_fn(|index| hash[index]))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").finish_non_exhaustive()
    }
}

fn keyed_hash() -> Hmac<Sha256> {
    let secret = [uuid::Uuid::new_v4(), uuid::Uuid::new_v4()].map(uuid::Uuid::into_bytes);
    #[expect(
        clippy::expect_used,
        reason = "HMAC is defined for keys of every length"
    )]
    Hmac::new_from_slice(secret.as_flattened()).expect("a key of any length")
}
