//! What signing costs a call: [`authorization`] on every one, [`key`] on the first of a day.
//!
//! The baseline is hashing without words: SHA-256 of the same body and of the same canonical
//! request, and HMAC-SHA256 of the same string to sign, with a key made ready.
//!
//! Times are those of the processor's SHA extensions, if it has them. Callgrind's has none, so
//! there most of what is counted is SHA-256 in its portable form.

use std::hint::black_box;

use iai_facade::signature::{self, CanonicalRequest, Scope, SigningKey, StringToSign, hashed};

use crate::data::{HEADERS, PARAMETERS, SECRET_ID, SECRET_KEY, SIGNING_KEY, TIME};

/// From the parameters of a call to the value of its `Authorization` header, with the key kept.
#[divan::bench]
#[inline(never)]
fn authorization() -> String {
    let time = black_box(TIME);
    let scope = Scope::new(time, "iai");
    let hashed_payload = hashed(black_box(PARAMETERS));
    let request = CanonicalRequest::new("POST", "", black_box(HEADERS), &hashed_payload);
    let string_to_sign = StringToSign::new(time, scope, &request);
    let signature = SIGNING_KEY.sign(&string_to_sign);
    signature::authorization(black_box(SECRET_ID), scope, &request, &signature)
}

/// From a secret key to the key that signs for a day.
#[divan::bench]
#[inline(never)]
fn key() -> SigningKey {
    SigningKey::derive(black_box(SECRET_KEY), Scope::new(black_box(TIME), "iai"))
}

mod baseline {
    use std::{hint::black_box, sync::LazyLock};

    use hmac::{Hmac, KeyInit, Mac};
    use sha2::{Digest, Sha256};

    use crate::data::{CANONICAL_TEXT, PARAMETERS, TEXT_TO_SIGN};

    static MAC: LazyLock<Hmac<Sha256>> =
        LazyLock::new(|| Hmac::new_from_slice(&[0x5a; 32]).unwrap());

    #[divan::bench]
    #[inline(never)]
    fn authorization() -> [u8; 32] {
        black_box(Sha256::digest(black_box(PARAMETERS)));
        black_box(Sha256::digest(black_box(CANONICAL_TEXT.as_bytes())));
        let mac = MAC.clone().chain_update(black_box(TEXT_TO_SIGN.as_bytes()));
        mac.finalize().into_bytes().into()
    }
}
