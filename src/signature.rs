//! Signs calls with TC3-HMAC-SHA256, Tencent Cloud's signature method v3.
//!
//! Three named values, one made from the other, as the [vendor's page] has them:
//! [`CanonicalRequest`], [`StringToSign`], and the signature that a [`SigningKey`] puts under it.
//! Nothing here reads a clock or knows of HTTP clients: values in, the `Authorization` value out,
//! and the caller sends exactly what it had signed.
//!
//! [vendor's page]: https://www.tencentcloud.com/document/product/1021/34193

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use time::{Date, UtcDateTime};

/// The name of the method, as the first word of the header and of the string to sign.
const ALGORITHM: &str = "TC3-HMAC-SHA256";

/// Returns the lower-case hexadecimal SHA-256 of `bytes`.
pub fn hashed(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(&Sha256::digest(bytes))
}

/// A request in the one form that both sides hash.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CanonicalRequest {
    text: String,
    signed_headers: String,
}

impl CanonicalRequest {
    /// Brings a request to `/` into its canonical form.
    ///
    /// `query` is what follows the question mark, exactly as sent, and empty for POST. `headers`
    /// are the headers to sign, with names in lower case and in ASCII order, and values as sent;
    /// the method demands `content-type` and `host`. `hashed_payload` is the [`hashed`] body: of a
    /// GET request the empty one.
    pub fn new(method: &str, query: &str, headers: &[(&str, &str)], hashed_payload: &str) -> Self {
        let names: Vec<_> = headers.iter().map(|(name, _)| *name).collect();
        let signed_headers = names.join(";");

        let mut text = format!("{method}\n/\n{query}\n");
        for (name, value) in headers {
            text.extend([name, ":", value, "\n"]);
        }
        text.extend(["\n", &signed_headers, "\n", hashed_payload]);
        Self {
            text,
            signed_headers,
        }
    }

    /// Returns the names of the signed headers, joined by semicolons.
    pub fn signed_headers(&self) -> &str {
        &self.signed_headers
    }

    /// Returns the lower-case hexadecimal SHA-256 of the canonical form.
    pub fn hashed(&self) -> String {
        hashed(self.text.as_bytes())
    }
}

impl fmt::Display for CanonicalRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The UTC day and the product that a signature is good for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Scope {
    date: Date,
    service: &'static str,
}

impl Scope {
    /// Returns the scope of a call to `service`, such as `iai`, signed at `time`.
    ///
    /// The day is that of UTC: signatures made with a local date fail for some hours of every day.
    pub fn new(time: UtcDateTime, service: &'static str) -> Self {
        Self {
            date: time.date(),
            service,
        }
    }

    fn day(self) -> String {
        let (year, month, day) = self.date.to_calendar_date();
        format!("{year:04}-{:02}-{day:02}", u8::from(month))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/tc3_request", self.day(), self.service)
    }
}

/// What the key signs: when, for which scope, and the hash of which request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StringToSign(String);

impl StringToSign {
    /// Binds `request` to `time`, whose whole seconds must be the `X-TC-Timestamp` that is sent.
    pub fn new(time: UtcDateTime, scope: Scope, request: &CanonicalRequest) -> Self {
        let timestamp = time.unix_timestamp();
        Self(format!(
            "{ALGORITHM}\n{timestamp}\n{scope}\n{}",
            request.hashed()
        ))
    }
}

impl fmt::Display for StringToSign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A secret key made ready for one [`Scope`]: good for many signatures of the same day.
#[derive(Clone)]
pub struct SigningKey(Hmac<Sha256>);

impl SigningKey {
    /// Derives the key that signs in `scope` from a secret key.
    pub fn derive(secret_key: &str, scope: Scope) -> Self {
        let [.., secret_signing] = derivation(secret_key, scope);
        Self(keyed(&secret_signing))
    }

    /// Returns the lower-case hexadecimal signature.
    pub fn sign(&self, string_to_sign: &StringToSign) -> String {
        let signature = self.0.clone().chain_update(&string_to_sign.0).finalize();
        base16ct::lower::encode_string(&signature.into_bytes())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

/// Returns the value of the `Authorization` header.
pub fn authorization(
    secret_id: &str,
    scope: Scope,
    request: &CanonicalRequest,
    signature: &str,
) -> String {
    let names = request.signed_headers();
    format!(
        "{ALGORITHM} Credential={secret_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
}

/// Returns what the vendor calls `SecretDate`, `SecretService` and `SecretSigning`.
fn derivation(secret_key: &str, scope: Scope) -> [[u8; 32]; 3] {
    let step = |key: &[u8], message: &str| -> [u8; 32] {
        keyed(key)
            .chain_update(message)
            .finalize()
            .into_bytes()
            .into()
    };
    let secret_date = step(format!("TC3{secret_key}").as_bytes(), &scope.day());
    let secret_service = step(&secret_date, scope.service);
    let secret_signing = step(&secret_service, "tc3_request");
    [secret_date, secret_service, secret_signing]
}

#[expect(
    clippy::expect_used,
    reason = "HMAC is defined for keys of every length"
)]
fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("a key of any length")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_of_the_derivation_is_as_the_vendor_prints_it() {
        let time = UtcDateTime::from_unix_timestamp(1_551_113_065).unwrap();
        let secret_key = "*".repeat(32);

        let steps = derivation(&secret_key, Scope::new(time, "cvm"));

        let printed = [
            "da98fb70dcf6b112dc21038d1eeeb3a95c74b4dcb12c1131f864f6066bd02be0",
            "8d70cbefb03939f929db64d32dc2ba89b1095620119fe3e050e2b18c5bd2752f",
            "b596b923aad85185e2d1f6659d2a062e0a86731226e021e61bfe06f7ed05f5af",
        ];
        assert_eq!(
            steps.map(|step| base16ct::lower::encode_string(&step)),
            printed
        );
    }

    #[test]
    fn a_signing_key_does_not_print_itself() {
        let key = SigningKey::derive("correct-horse", Scope::new(UtcDateTime::UNIX_EPOCH, "iai"));

        assert_eq!(format!("{key:?}"), "SigningKey(..)");
    }
}
