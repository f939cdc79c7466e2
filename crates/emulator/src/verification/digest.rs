//! Digests as the signature spells them: in lower-case hexadecimal.

use sha2::{Digest, Sha256};

/// Returns the SHA-256 digest.
pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Returns the hexadecimal form.
pub(super) fn hex(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(bytes)
}
