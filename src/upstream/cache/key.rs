//! What must be equal for two calls to have one answer.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::LazyLock,
};

use super::super::Call;
use crate::credentials::Credential;

/// An account, an action and its parameters: the endpoint, the region and the language are the same
/// for the whole process.
///
/// `Debug` shows nothing of it, since parameters hold ids.
#[derive(Clone, Eq, Hash, PartialEq)]
pub(in crate::upstream) struct Key {
    account: u64,
    action: &'static str,
    parameters: Box<[u8]>,
}

impl Key {
    /// Returns the key of a call that would be signed with `credential`.
    ///
    /// The account is known by a hash of the secret id, of which no copy is kept, and which has no
    /// meaning outside of this process.
    pub(in crate::upstream) fn new(credential: &Credential, call: &Call) -> Self {
        static HASH: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        Self {
            account: HASH.hash_one(credential.secret_id()),
            action: call.action,
            // Not a part of the buffer in which they were written, which has room for more.
            parameters: call.parameters.as_ref().into(),
        }
    }

    /// Returns how many bytes its parts have.
    pub(super) fn size(&self) -> usize {
        size_of::<Self>() + self.parameters.len()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").finish_non_exhaustive()
    }
}
