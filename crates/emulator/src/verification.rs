//! Signature verification: recomputes the TC3-HMAC-SHA256 signature from the received bytes, by
//! "Signature v3" of the API documentation. Where the official SDKs deviate and Tencent Cloud accepts the
//! deviation, both forms are valid: the documentation trims and lower-cases header values, the SDKs sign
//! them as sent, and the Node.js SDK signs the host without its port.

use std::net::Ipv4Addr;

use authorization::Authorization;
use canonical_request::{Spelling, canonical_request, payload_hash, without_port};
use digest::hex;
pub use explanation::SignatureRejection;
use explanation::string_to_sign;
use hmac::{Hmac, KeyInit, Mac};
use http::{header::HOST, request::Parts};
use secrecy::ExposeSecret;
use sha2::Sha256;
use time::{OffsetDateTime, macros::format_description};

use super::{
    account::Account,
    envelope::ApiError,
    headers::{header, required},
};

mod authorization;
mod canonical_request;
mod digest;
mod explanation;

/// Returns the `SecretId` that a request names, without verifying the signature.
pub(super) fn claimed_secret_id(head: &Parts) -> Option<&str> {
    Some(authorization(head)?.secret_id)
}

/// Returns the product that the credential scope of a request names, without verifying the signature.
pub(super) fn claimed_service(head: &Parts) -> Option<&str> {
    Some(authorization(head)?.service)
}

fn authorization(head: &Parts) -> Option<Authorization<'_>> {
    Authorization::parse(header(head, "authorization")?).ok()
}

/// Verifies that `account` signed this request to the product `service` within five minutes of `now`, a
/// Unix time in seconds.
///
/// The credential scope must name `service` only under a domain name, as all names of Tencent Cloud are:
/// the Node.js SDK takes the product from the first label of the host, which is `127` or `localhost` for
/// a local emulator.
///
/// # Errors
///
/// Fails with `MissingParameter` if a required header is absent, and otherwise with the `AuthFailure` code
/// of the first invalid part: header, `SecretId`, timestamp, signature, token.
pub(super) fn verify(
    head: &Parts,
    body: &[u8],
    account: &Account,
    service: &str,
    now: i64,
) -> Result<(), Rejection> {
    let authorization = required(head, "authorization", "Authorization")?;
    let authorization = Authorization::parse(authorization)?;
    if authorization.secret_id != account.secret_id {
        return Err(Rejection {
            error: ApiError::new(
                "AuthFailure.SecretIdNotFound",
                "The SecretId is not found, please ensure that your SecretId is correct.",
            ),
            reason: format!("no account has the SecretId `{}`", authorization.secret_id),
        });
    }
    let timestamp = required(head, "x-tc-timestamp", "Timestamp")?;
    let service = is_domain(header(head, HOST.as_str()).unwrap_or_default()).then_some(service);
    check_scope(&authorization, service, check_timestamp(timestamp, now)?)?;
    let payload = payload_hash(head, body);
    let is_valid = Spelling::ALL.into_iter().any(|spelling| {
        canonical_request(head, &payload, authorization.signed_headers, spelling).is_some_and(
            |text| authorization.signature == sign(&text, timestamp, &authorization, account),
        )
    });
    if !is_valid {
        let mut names = authorization.signed_headers.split(';');
        return Err(signature_failure(match names.find(|name| header(head, name).is_none()) {
            Some(name) => format!("the signed header `{name}` is absent"),
            None => "the signature is not that of the canonical request under the SecretKey of this \
                     SecretId: compare the canonical request with that of the client, then the key"
                .to_owned(),
        }));
    }
    Ok(check_token(head, account)?)
}

/// Why a request was rejected.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rejection {
    /// The error that the client receives.
    pub(super) error: ApiError,
    /// What is wrong, for the developer of the client.
    pub(super) reason: String,
}

impl From<ApiError> for Rejection {
    fn from(error: ApiError) -> Self {
        let reason = error.message.to_string();
        Self { error, reason }
    }
}

fn check_timestamp(timestamp: &str, now: i64) -> Result<i64, ApiError> {
    let seconds: i64 = timestamp.parse().map_err(|_| {
        ApiError::new(
            "InvalidParameter",
            "The timestamp must be a Unix time in seconds.",
        )
    })?;
    if seconds.abs_diff(now) > MAX_CLOCK_DIFFERENCE {
        return Err(ApiError::new(
            "AuthFailure.SignatureExpire",
            format!(
                "The signature has expired: timestamp {seconds} is more than five minutes from \
                 server time {now}."
            ),
        ));
    }
    Ok(seconds)
}

/// Returns whether a `Host` header has a domain name, and not an IP address, `localhost` or another name
/// of one label.
fn is_domain(host: &str) -> bool {
    let name = without_port(host);
    let is_address = name.starts_with('[') || name.parse::<Ipv4Addr>().is_ok();
    !is_address && name.trim_end_matches('.').contains('.')
}

/// Checks that the scope names `service`, if any, and the UTC date of the timestamp, not a local date.
fn check_scope(
    authorization: &Authorization<'_>,
    service: Option<&str>,
    timestamp: i64,
) -> Result<(), Rejection> {
    let date = OffsetDateTime::from_unix_timestamp(timestamp)
        .ok()
        .and_then(|moment| {
            moment
                .format(format_description!("[year]-[month]-[day]"))
                .ok()
        });
    if date.as_deref() != Some(authorization.date) {
        return Err(signature_failure(format!(
            "the date of the credential scope, `{}`, is not the UTC date of X-TC-Timestamp, `{}`",
            authorization.date,
            date.unwrap_or_default()
        )));
    }
    match service.filter(|service| authorization.service != *service) {
        Some(service) => Err(signature_failure(format!(
            "the service of the credential scope is `{}`, not `{service}`",
            authorization.service
        ))),
        None => Ok(()),
    }
}

/// Checks that a temporary key has its token, and that a permanent key has none.
fn check_token(head: &Parts, account: &Account) -> Result<(), ApiError> {
    let expected = account.token.as_ref().map(ExposeSecret::expose_secret);
    if header(head, "x-tc-token") == expected {
        Ok(())
    } else {
        Err(token_failure())
    }
}

/// Returns the error for a wrong or expired token.
pub(super) fn token_failure() -> ApiError {
    ApiError::new(
        "AuthFailure.TokenFailure",
        "The token is not valid for this SecretId.",
    )
}

fn sign(
    canonical_request: &str,
    timestamp: &str,
    authorization: &Authorization<'_>,
    account: &Account,
) -> String {
    let Authorization { date, service, .. } = authorization;
    let string_to_sign = string_to_sign(canonical_request, timestamp, authorization);
    let key = format!("TC3{}", account.secret_key.expose_secret());
    let key = [date, service, "tc3_request", &string_to_sign]
        .iter()
        .fold(key.into_bytes(), |key, text| hmac_sha256(&key, text));
    hex(&key)
}

fn signature_failure(reason: String) -> Rejection {
    Rejection {
        error: ApiError::new(
            "AuthFailure.SignatureFailure",
            "The provided credentials could not be validated. Please check your signature is correct.",
        ),
        reason,
    }
}

fn hmac_sha256(key: &[u8], text: &str) -> Vec<u8> {
    #[expect(clippy::expect_used, reason = "HMAC is defined for keys of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes any key");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// Maximum difference between the client's clock and the emulator's, in seconds, in both directions.
const MAX_CLOCK_DIFFERENCE: u64 = 300;

#[cfg(test)]
mod tests;
