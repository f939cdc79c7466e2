//! Keyed hashes of the ids of groups and persons: they relate the lines of one subject without disclosing it.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::{config::HashKey, context::Subject};

/// Hashes ids: the first 8 bytes of HMAC-SHA256, in hexadecimal digits.
#[derive(Clone)]
pub(super) struct SubjectHash(Hmac<Sha256>);

impl SubjectHash {
    /// Creates a hash with `key`, or a random one for this process.
    pub(super) fn new(key: Option<&HashKey>) -> Self {
        let random = [uuid::Uuid::new_v4(), uuid::Uuid::new_v4()].map(uuid::Uuid::into_bytes);
        let key = key.map_or(random.as_flattened(), HashKey::bytes);
        #[expect(
            clippy::expect_used,
            reason = "HMAC is defined for keys of every length"
        )]
        let hash = Hmac::new_from_slice(key).expect("a key of any length");
        Self(hash)
    }

    /// Returns the hash of the id of a subject, unless it is empty.
    pub(super) fn of(&self, subject: &Subject) -> Option<String> {
        if subject.id.is_empty() {
            return None;
        }
        let hash = self.0.clone().chain_update(&subject.id).finalize();
        Some(base16ct::lower::encode_string(&hash.into_bytes()[..8]))
    }
}

impl fmt::Debug for SubjectHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SubjectHash(..)")
    }
}
