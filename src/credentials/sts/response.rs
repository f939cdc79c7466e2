//! STS responses: parses a response into a credential or an error.

use std::fmt;

use crate::{
    clock::{BootTime, server_time},
    credentials::{
        credential::Credential,
        exchange::{self, HttpResponse},
        provider::ProvidedCredential,
    },
    json::{self, Object},
};
use serde::Deserialize;
use time::UtcDateTime;

/// Why STS returned no credential.
pub(super) enum Failure {
    Other(String),
    Rejected {
        code: String,
        request_id: String,
        /// The time at STS.
        server_time: Option<UtcDateTime>,
    },
}

/// Parses the response to a request sent at `requested_at`, when the local wall clock was at `now`.
pub(super) fn open(
    response: &HttpResponse,
    requested_at: BootTime,
    now: UtcDateTime,
) -> Result<ProvidedCredential, Failure> {
    let malformed = |problem: &dyn fmt::Display| {
        let status = response.status.as_u16();
        Failure::Other(format!(
            "HTTP {status} with an undocumented response: {problem}"
        ))
    };
    let Object(Envelope {
        response: Object(outcome),
    }) = json::parse(&response.body).map_err(|error| malformed(&error))?;
    if let Some(Object(error)) = outcome.error {
        let message = error.message.unwrap_or_default();
        return Err(Failure::Rejected {
            code: error.code,
            request_id: outcome.request_id.unwrap_or_default(),
            server_time: response.date.or_else(|| server_time(&message)),
        });
    }
    let (Some(Object(key)), Some(expires)) = (outcome.credentials, outcome.expired_time) else {
        return Err(malformed(&"Credentials or ExpiredTime is missing"));
    };
    let server_now = response.date.unwrap_or(now).unix_timestamp();
    let expires_at = exchange::expiry(requested_at, expires, server_now).map_err(Failure::Other)?;
    let credential = Credential::new(key.tmp_secret_id, key.tmp_secret_key, Some(key.token))
        .map_err(|error| malformed(&error))?;
    Ok(ProvidedCredential {
        credential,
        expires_at: Some(expires_at),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Envelope {
    response: Object<Outcome>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Outcome {
    error: Option<Object<StsError>>,
    credentials: Option<Object<TemporaryKey>>,
    expired_time: Option<i64>,
    request_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StsError {
    code: String,
    message: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TemporaryKey {
    tmp_secret_id: String,
    tmp_secret_key: String,
    token: String,
}
