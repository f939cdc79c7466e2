//! The Security Token Service: two of its actions, as its documentation and the vendor's SDKs have
//! them.

use bytes::Bytes;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::{
    envelope::{self, Refusal},
    issued::{Issued, Temporary},
    parameters::Parameters,
};

/// Answers `AssumeRole`, of a caller whose signature was verified.
pub(super) fn assume_role(
    parameters: &Parameters,
    issued: &mut Issued,
    now: i64,
) -> Result<Bytes, Refusal> {
    parameters.allow_only(&["RoleArn", "RoleSessionName", "DurationSeconds"])?;
    session(parameters, issued, now)
}

/// Answers `AssumeRoleWithWebIdentity`, of a caller that proves itself by nothing but `token`.
pub(super) fn assume_role_with_web_identity(
    parameters: &Parameters,
    token: &SecretString,
    issued: &mut Issued,
    now: i64,
) -> Result<Bytes, Refusal> {
    parameters.allow_only(&[
        "ProviderId",
        "WebIdentityToken",
        "RoleArn",
        "RoleSessionName",
        "DurationSeconds",
    ])?;
    required(parameters, "ProviderId")?;
    if required(parameters, "WebIdentityToken")? != token.expose_secret() {
        return Err(Refusal::new(
            "InvalidParameter.WebIdentityTokenError",
            "The WebIdentityToken is wrong or has expired.",
        ));
    }
    session(parameters, issued, now)
}

fn session(parameters: &Parameters, issued: &mut Issued, now: i64) -> Result<Bytes, Refusal> {
    let role = required(parameters, "RoleArn")?;
    required(parameters, "RoleSessionName")?;
    if !role.starts_with("qcs::cam::") {
        return Err(Refusal::new(
            "InvalidParameter.ParamError",
            "The parameter `RoleArn` is not valid.",
        ));
    }
    let seconds = parameters
        .number("DurationSeconds")?
        .unwrap_or(DEFAULT_SECONDS);
    if !(1..=MAX_SECONDS).contains(&seconds) {
        return Err(Refusal::new(
            "InvalidParameter.OverTimeError",
            "The parameter `DurationSeconds` is over its limit.",
        ));
    }
    Ok(answer(&issued.issue(role, seconds, now)))
}

fn answer(temporary: &Temporary) -> Bytes {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer<'a> {
        credentials: Credentials<'a>,
        expired_time: i64,
        expiration: String,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Credentials<'a> {
        token: &'a str,
        tmp_secret_id: &'a str,
        tmp_secret_key: &'a str,
    }
    let account = &temporary.account;
    envelope::answer(&Answer {
        credentials: Credentials {
            token: account.token().unwrap_or_default(),
            tmp_secret_id: account.secret_id(),
            tmp_secret_key: account.secret_key(),
        },
        expired_time: temporary.expires,
        expiration: temporary.expiration(),
    })
}

fn required<'a>(parameters: &'a Parameters, name: &str) -> Result<&'a str, Refusal> {
    let text = parameters.text(name)?.filter(|text| !text.is_empty());
    text.ok_or_else(|| Refusal::missing(name))
}

const DEFAULT_SECONDS: u64 = 7_200;
const MAX_SECONDS: u64 = 43_200;
