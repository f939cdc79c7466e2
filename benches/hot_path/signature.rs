//! Signing a request: [`authorization`] for every request, [`key`] for the first of a day.
//!
//! The baseline is the hashing alone: SHA-256 of the same body and of the same canonical request, and
//! HMAC-SHA256 of the same string to sign, with an initialized key.
//!
//! Times depend on the SHA extensions of the processor. Callgrind does not emulate them, so most of the
//! counted instructions are those of portable SHA-256.

use std::hint::black_box;

use tencent_cloud_signature::{CanonicalRequest, Scope, SigningKey, StringToSign, sha256_hex};

use crate::data::{HEADERS, PARAMETERS, SECRET_ID, SECRET_KEY, SIGNING_KEY, TIMESTAMP};

/// From the parameters of a request to the value of its `Authorization` header, with a cached key.
#[divan::bench]
#[inline(never)]
fn authorization() -> String {
    let timestamp = black_box(TIMESTAMP);
    let scope = Scope::new(timestamp, "iai");
    let payload_hash = sha256_hex(black_box(PARAMETERS));
    let request = CanonicalRequest::new("POST", "", black_box(HEADERS), &payload_hash);
    let string_to_sign = StringToSign::new(timestamp, scope, &request);
    let signature = SIGNING_KEY.sign(&string_to_sign);
    tencent_cloud_signature::authorization(black_box(SECRET_ID), scope, &request, &signature)
}

/// From a secret key to the signing key of a day.
#[divan::bench]
#[inline(never)]
fn key() -> SigningKey {
    SigningKey::derive(
        black_box(SECRET_KEY),
        Scope::new(black_box(TIMESTAMP), "iai"),
    )
}

mod baseline {
    use std::{hint::black_box, sync::LazyLock};

    use hmac::{Hmac, KeyInit, Mac};
    use sha2::{Digest, Sha256};

    use crate::data::{CANONICAL_REQUEST_TEXT, PARAMETERS, STRING_TO_SIGN};

    static MAC: LazyLock<Hmac<Sha256>> =
        LazyLock::new(|| Hmac::new_from_slice(&[0x5a; 32]).unwrap());

    #[divan::bench]
    #[inline(never)]
    fn authorization() -> [u8; 32] {
        black_box(Sha256::digest(black_box(PARAMETERS)));
        black_box(Sha256::digest(black_box(CANONICAL_REQUEST_TEXT.as_bytes())));
        let mac = MAC
            .clone()
            .chain_update(black_box(STRING_TO_SIGN.as_bytes()));
        mac.finalize().into_bytes().into()
    }
}
