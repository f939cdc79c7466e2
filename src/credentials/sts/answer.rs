//! Opens the answers of STS.

use std::fmt;

use serde::Deserialize;
use time::UtcDateTime;
use tokio::time::Instant;

use crate::{
    clock::server_time,
    credentials::{
        Credential, Obtained,
        exchange::{self, Answer},
    },
    json::{self, Object},
};

/// Why there is no credential.
pub(super) enum Failure {
    Other(String),
    Refused {
        code: String,
        request_id: String,
        /// By the clock of STS.
        server_time: Option<UtcDateTime>,
    },
}

/// Reads an answer to a call that was made at `asked_at`, when it was `now` by our clock.
pub(super) fn open(
    answer: &Answer,
    asked_at: Instant,
    now: UtcDateTime,
) -> Result<Obtained, Failure> {
    let malformed = |problem: &dyn fmt::Display| {
        let status = answer.status.as_u16();
        Failure::Other(format!(
            "HTTP {status} with another answer than documented: {problem}"
        ))
    };
    let Object(Envelope {
        response: Object(outcome),
    }) = json::parse(&answer.body).map_err(|error| malformed(&error))?;
    if let Some(Object(refusal)) = outcome.error {
        let message = refusal.message.unwrap_or_default();
        return Err(Failure::Refused {
            code: refusal.code,
            request_id: outcome.request_id.unwrap_or_default(),
            server_time: answer.date.or_else(|| server_time(&message)),
        });
    }
    let (Some(Object(key)), Some(expires)) = (outcome.credentials, outcome.expired_time) else {
        return Err(malformed(&"no Credentials or no ExpiredTime"));
    };
    let theirs = answer.date.unwrap_or(now).unix_timestamp();
    let expires_at = exchange::expiry(asked_at, expires, theirs).map_err(Failure::Other)?;
    let credential = Credential::new(key.tmp_secret_id, key.tmp_secret_key, Some(key.token))
        .map_err(|error| malformed(&error))?;
    Ok(Obtained {
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
    error: Option<Object<Refusal>>,
    credentials: Option<Object<TemporaryKey>>,
    expired_time: Option<i64>,
    request_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Refusal {
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
