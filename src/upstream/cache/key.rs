//! What must be equal for two calls to have one answer.

use std::{array, fmt, sync::LazyLock};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::super::Call;
use crate::credentials::Credential;

/// An account, an action and its parameters, as a hash of them: the endpoint, the region and the
/// language are the same for the whole process.
///
/// Only the hash is kept, since the parameters would take more room. Nobody who does not know its
/// secret, which is drawn anew for each process, can look for two calls that have the same hash, and
/// among a billion calls there are two by chance with a probability of less than 1 in 10^20.
#[derive(Clone, Eq, Hash, PartialEq)]
pub(in crate::upstream) struct Key([u8; 16]);

impl Key {
    /// Returns the key of a call that would be signed with `credential`.
    pub(in crate::upstream) fn new(credential: &Credential, call: &Call) -> Self {
        static HASH: LazyLock<Hmac<Sha256>> = LazyLock::new(keyed_hash);
        let mut hash = HASH.clone();
        // With the lengths of all but the last: no part can be taken for a piece of its neighbour.
        for part in [credential.secret_id(), call.action] {
            hash.update(&part.len().to_be_bytes());
            hash.update(part.as_bytes());
        }
        hash.update(&call.parameters);
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
