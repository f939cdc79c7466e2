//! Security Token Service (STS): `AssumeRole` and `AssumeRoleWithWebIdentity`, as documented and as used by
//! the vendor's SDKs.

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::{
    envelope::{self, ApiError, Envelope},
    issued_credentials::{IssuedCredentials, TemporaryCredential},
    parameters::Parameters,
};

/// Handles `AssumeRole`. The caller must have verified the signature.
pub(super) fn assume_role(
    parameters: &Parameters,
    issued: &mut IssuedCredentials,
    now: i64,
) -> Result<Envelope, ApiError> {
    parameters.allow_only(&["RoleArn", "RoleSessionName", "DurationSeconds"])?;
    assume(parameters, issued, now)
}

/// Handles `AssumeRoleWithWebIdentity`, which is authenticated only by `token`.
pub(super) fn assume_role_with_web_identity(
    parameters: &Parameters,
    token: &SecretString,
    issued: &mut IssuedCredentials,
    now: i64,
) -> Result<Envelope, ApiError> {
    parameters.allow_only(&[
        "ProviderId",
        "WebIdentityToken",
        "RoleArn",
        "RoleSessionName",
        "DurationSeconds",
    ])?;
    required(parameters, "ProviderId")?;
    if required(parameters, "WebIdentityToken")? != token.expose_secret() {
        return Err(ApiError::new(
            "InvalidParameter.WebIdentityTokenError",
            "The WebIdentityToken is wrong or has expired.",
        ));
    }
    assume(parameters, issued, now)
}

fn assume(
    parameters: &Parameters,
    issued: &mut IssuedCredentials,
    now: i64,
) -> Result<Envelope, ApiError> {
    let role = required(parameters, "RoleArn")?;
    required(parameters, "RoleSessionName")?;
    if !role.starts_with("qcs::cam::") || role.len() > MAX_ROLE {
        return Err(ApiError::new(
            "InvalidParameter.ParamError",
            "The parameter `RoleArn` is not valid.",
        ));
    }
    let seconds = parameters
        .number("DurationSeconds")?
        .unwrap_or(DEFAULT_SECONDS);
    if !(1..=MAX_SECONDS).contains(&seconds) {
        return Err(ApiError::new(
            "InvalidParameter.OverTimeError",
            "The parameter `DurationSeconds` is over its limit.",
        ));
    }
    Ok(response(&issued.issue(role, seconds, now)))
}

fn response(temporary: &TemporaryCredential) -> Envelope {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Response<'a> {
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
    envelope::response(&Response {
        credentials: Credentials {
            token: account.token().unwrap_or_default(),
            tmp_secret_id: account.secret_id(),
            tmp_secret_key: account.secret_key(),
        },
        expired_time: temporary.expires,
        expiration: temporary.expiration(),
    })
}

fn required<'a>(parameters: &'a Parameters, name: &str) -> Result<&'a str, ApiError> {
    let text = parameters.text(name)?.filter(|text| !text.is_empty());
    text.ok_or_else(|| ApiError::missing(name))
}

/// Maximum length of a role, in bytes: it is kept with the credential.
const MAX_ROLE: usize = 1 << 10;

const DEFAULT_SECONDS: u64 = 7_200;
const MAX_SECONDS: u64 = 43_200;
