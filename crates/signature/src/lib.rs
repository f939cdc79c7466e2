#![doc = include_str!("../README.md")]

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use time::{Date, UtcDateTime};

/// Name of the signature method, in the header and in the string to sign.
const ALGORITHM: &str = "TC3-HMAC-SHA256";

/// Returns the lower-case hexadecimal SHA-256 of `bytes`, as the hash of a payload is written.
///
/// ```
/// assert_eq!(
///     tencent_cloud_signature::sha256_hex(b""),
///     "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
/// );
/// ```
pub fn sha256_hex(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(&Sha256::digest(bytes))
}

/// A request in canonical form, which client and server hash.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CanonicalRequest {
    text: String,
    signed_headers: String,
}

impl CanonicalRequest {
    /// Creates the canonical form of a request to `/`, the only path of the API.
    ///
    /// `query` is what follows the question mark, exactly as sent, and empty for POST. `headers`
    /// are the headers to sign, with names in lower case and in ASCII order, and values as sent;
    /// `content-type` and `host` are required. `payload_hash` is the [`sha256_hex`] of the body, which is
    /// empty for GET.
    ///
    /// ```
    /// use tencent_cloud_signature::{CanonicalRequest, sha256_hex};
    ///
    /// let headers = [
    ///     ("content-type", "application/x-www-form-urlencoded"),
    ///     ("host", "cvm.tencentcloudapi.com"),
    /// ];
    /// let request = CanonicalRequest::new("GET", "Limit=1&Offset=0", &headers, &sha256_hex(b""));
    ///
    /// assert_eq!(request.signed_headers(), "content-type;host");
    /// assert_eq!(
    ///     request.to_string(),
    ///     "GET\n\
    ///      /\n\
    ///      Limit=1&Offset=0\n\
    ///      content-type:application/x-www-form-urlencoded\n\
    ///      host:cvm.tencentcloudapi.com\n\
    ///      \n\
    ///      content-type;host\n\
    ///      e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    /// );
    /// ```
    pub fn new(method: &str, query: &str, headers: &[(&str, &str)], payload_hash: &str) -> Self {
        let names: Vec<_> = headers.iter().map(|(name, _)| *name).collect();
        let signed_headers = names.join(";");

        let mut text = format!("{method}\n/\n{query}\n");
        for (name, value) in headers {
            text.extend([name, ":", value, "\n"]);
        }
        text.extend(["\n", &signed_headers, "\n", payload_hash]);
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
    pub fn hash(&self) -> String {
        sha256_hex(self.text.as_bytes())
    }
}

impl fmt::Display for CanonicalRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The UTC date and the service for which a signature is valid.
///
/// ```
/// use tencent_cloud_signature::Scope;
///
/// let last_second = Scope::new(1_551_139_199, "cvm");
/// assert_eq!(last_second.to_string(), "2019-02-25/cvm/tc3_request");
/// assert_ne!(last_second, Scope::new(1_551_139_200, "cvm"));
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Scope<'a> {
    date: Date,
    service: &'a str,
}

impl<'a> Scope<'a> {
    /// Creates the scope of a request to `service`, such as `cvm`, signed at `timestamp`, in seconds since
    /// 1970.
    ///
    /// The date is in UTC: signatures with a local date fail for some hours of every day. Timestamps
    /// beyond the years -9999 to 9999 get the first or last date of that range.
    pub fn new(timestamp: i64, service: &'a str) -> Self {
        let time = UtcDateTime::from_unix_timestamp(timestamp).unwrap_or(match timestamp {
            ..0 => UtcDateTime::MIN,
            0.. => UtcDateTime::MAX,
        });
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

impl fmt::Display for Scope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/tc3_request", self.day(), self.service)
    }
}

/// The string to sign: time, scope and hash of the request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StringToSign(String);

impl StringToSign {
    /// Creates the string to sign for `request` at `timestamp`, in seconds since 1970, which must be sent
    /// as `X-TC-Timestamp`. `scope` must be of the same timestamp.
    pub fn new(timestamp: i64, scope: Scope<'_>, request: &CanonicalRequest) -> Self {
        Self(format!(
            "{ALGORITHM}\n{timestamp}\n{scope}\n{}",
            request.hash()
        ))
    }
}

impl fmt::Display for StringToSign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A signing key derived from a secret key for one [`Scope`]; reusable for signatures of the same day.
///
/// `Debug` does not print the key.
#[derive(Clone)]
pub struct SigningKey(Hmac<Sha256>);

impl SigningKey {
    /// Derives the signing key of `scope` from a secret key.
    pub fn derive(secret_key: &str, scope: Scope<'_>) -> Self {
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
    scope: Scope<'_>,
    request: &CanonicalRequest,
    signature: &str,
) -> String {
    let names = request.signed_headers();
    format!(
        "{ALGORITHM} Credential={secret_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
}

/// Returns `SecretDate`, `SecretService` and `SecretSigning` of Tencent's page.
fn derivation(secret_key: &str, scope: Scope<'_>) -> [[u8; 32]; 3] {
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
    fn each_step_of_the_derivation_equals_the_documented_value() {
        let secret_key = "*".repeat(32);

        let steps = derivation(&secret_key, Scope::new(1_551_113_065, "cvm"));

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
        let key = SigningKey::derive("correct-horse", Scope::new(0, "iai"));

        assert_eq!(format!("{key:?}"), "SigningKey(..)");
    }

    #[test]
    fn the_date_of_a_scope_is_that_of_its_timestamp_in_utc() {
        for (timestamp, date) in [
            (i64::MIN, "-9999-01-01"),
            (-1, "1969-12-31"),
            (0, "1970-01-01"),
            (951_868_799, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (i64::MAX, "9999-12-31"),
        ] {
            let scope = Scope::new(timestamp, "iai").to_string();
            assert_eq!(scope, format!("{date}/iai/tc3_request"), "{timestamp}");
        }
    }
}
