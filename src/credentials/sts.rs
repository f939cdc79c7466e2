//! Client of Tencent Cloud's Security Token Service (STS, version 2018-08-13): assumes roles.

mod response;

use std::{fmt, sync::OnceLock, time::Duration};

use self::response::Failure;
use super::{
    credential::Credential,
    exchange,
    provider::{ProvidedCredential, ProviderError},
};
use crate::{
    clock::{Clock, ClockOffset},
    config::{self, Endpoint},
};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST},
};
use serde::Serialize;
use tencent_cloud_signature::{
    CanonicalRequest, Scope, SigningKey, StringToSign, authorization, sha256_hex,
};
use time::UtcDateTime;

const SERVICE: &str = "sts";
const VERSION: HeaderValue = HeaderValue::from_static("2018-08-13");
const JSON: &str = "application/json";
const REQUEST_CLIENT: HeaderValue =
    HeaderValue::from_static(concat!("iai-facade_", env!("CARGO_PKG_VERSION")));

/// The value that the vendor's SDKs send in place of a signature if the request carries a token.
const UNSIGNED: HeaderValue = HeaderValue::from_static("SKIP");

/// The region that the vendor's SDKs send to STS.
const REGION: HeaderValue = HeaderValue::from_static("ap-guangzhou");

/// The session name in the audit log of the account.
const SESSION_NAME: &str = "iai-facade";

/// The requested lifetime of a credential, in seconds; the same as in the vendor's SDKs.
const DURATION_SECONDS: u32 = 7_200;

/// Maximum duration of one request.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A client of STS.
pub(super) struct Sts {
    /// Created for the first request; most services never send one.
    http: OnceLock<reqwest::Client>,
    endpoint: Endpoint,
    settings: config::Upstream,
    clock: Clock,
    clock_offset: ClockOffset,
}

/// A TKE service account.
pub(super) struct ServiceAccount<'a> {
    pub(super) region: HeaderValue,
    pub(super) provider_id: &'a str,
    pub(super) token: &'a str,
    pub(super) role_arn: &'a str,
}

impl Sts {
    pub(super) fn new(endpoint: Endpoint, settings: config::Upstream, clock: Clock) -> Self {
        Self {
            http: OnceLock::new(),
            endpoint,
            settings,
            clock,
            clock_offset: ClockOffset::default(),
        }
    }

    /// Assumes a role, with a request signed by `signer`.
    pub(super) async fn assume_role(
        &self,
        role_arn: &str,
        signer: &Credential,
    ) -> Result<ProvidedCredential, ProviderError> {
        let parameters = body(&AssumeRole {
            role_arn,
            role_session_name: SESSION_NAME,
            duration_seconds: DURATION_SECONDS,
        });
        let call = Call {
            action: "AssumeRole",
            region: REGION,
            parameters,
            signer: Some(signer),
        };
        self.exchange(&call)
            .await
            .map_err(|failure| failure.into_error(&call))
    }

    /// Assumes the role of a service account, authenticated by its token.
    pub(super) async fn assume_role_with_web_identity(
        &self,
        account: ServiceAccount<'_>,
    ) -> Result<ProvidedCredential, ProviderError> {
        let parameters = body(&AssumeRoleWithWebIdentity {
            provider_id: account.provider_id,
            web_identity_token: account.token,
            role_arn: account.role_arn,
            role_session_name: SESSION_NAME,
            duration_seconds: DURATION_SECONDS,
        });
        let call = Call {
            action: "AssumeRoleWithWebIdentity",
            region: account.region,
            parameters,
            signer: None,
        };
        self.exchange(&call)
            .await
            .map_err(|failure| failure.into_error(&call))
    }

    /// Sends a request. Retries it once if STS rejects the time of its signature, with the clock skew
    /// corrected.
    async fn exchange(&self, call: &Call<'_>) -> Result<ProvidedCredential, Failure> {
        match self.attempt(call).await {
            Err(Failure::Rejected {
                code,
                server_time: Some(server_now),
                ..
            }) if code == "AuthFailure.SignatureExpire"
                && self.clock_offset.learn(self.clock.now(), server_now) =>
            {
                self.attempt(call).await
            }
            outcome => outcome,
        }
    }

    async fn attempt(&self, call: &Call<'_>) -> Result<ProvidedCredential, Failure> {
        let requested_at = self.clock.boot_time();
        let now = self.clock_offset.corrected(self.clock.now());
        let request = self
            .http()
            .map_err(Failure::Other)?
            .post(self.endpoint.url().clone())
            .headers(self.headers(call, now))
            .body(call.parameters.clone());
        let response = exchange::send(request).await;
        let response = response.map_err(|failed| Failure::Other(failed.reason))?;
        response::open(&response, requested_at, now)
    }

    fn http(&self) -> Result<&reqwest::Client, String> {
        if let Some(http) = self.http.get() {
            return Ok(http);
        }
        let http = exchange::client(&self.endpoint, &self.settings)?
            .connect_timeout(self.settings.connect_timeout)
            .timeout(TIMEOUT)
            .build()
            .map_err(|error| error.to_string())?;
        Ok(self.http.get_or_init(|| http))
    }

    fn headers(&self, call: &Call<'_>, now: UtcDateTime) -> HeaderMap {
        let name = HeaderName::from_static;
        let timestamp = now.unix_timestamp();
        let mut headers = HeaderMap::from_iter([
            (CONTENT_TYPE, HeaderValue::from_static(JSON)),
            (HOST, self.endpoint.host_header()),
            (name("x-tc-action"), HeaderValue::from_static(call.action)),
            (name("x-tc-language"), self.settings.language.clone()),
            (name("x-tc-region"), call.region.clone()),
            (name("x-tc-requestclient"), REQUEST_CLIENT),
            (name("x-tc-timestamp"), HeaderValue::from(timestamp)),
            (name("x-tc-version"), VERSION),
            (AUTHORIZATION, UNSIGNED),
        ]);
        if let Some(signer) = call.signer {
            let signed = [("content-type", JSON), ("host", self.endpoint.host())];
            let payload_hash = sha256_hex(&call.parameters);
            let request = CanonicalRequest::new("POST", "", &signed, &payload_hash);
            let scope = Scope::new(timestamp, SERVICE);
            let signature = SigningKey::derive(signer.secret_key(), scope)
                .sign(&StringToSign::new(timestamp, scope, &request));
            let value = authorization(signer.secret_id(), scope, &request, &signature);
            headers.insert(AUTHORIZATION, sensitive(&value));
            if let Some(token) = signer.token() {
                headers.insert(name("x-tc-token"), sensitive(token));
            }
        }
        headers
    }
}

impl fmt::Debug for Sts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sts(..)")
    }
}

/// A request to STS. Its parameters may contain a token.
struct Call<'a> {
    action: &'static str,
    region: HeaderValue,
    parameters: Bytes,
    signer: Option<&'a Credential>,
}

impl Call<'_> {
    /// Returns an error code or a request id if it looks like one and repeats no part of the request,
    /// which contains secrets; otherwise `[redacted]`.
    fn sanitized<'t>(&self, text: &'t str) -> &'t str {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        let parameters = String::from_utf8_lossy(&self.parameters);
        let secrets = self.signer.map(|signer| {
            [
                signer.secret_id(),
                signer.secret_key(),
                signer.token().unwrap_or_default(),
            ]
        });
        let is_repeated = parameters.contains(text)
            || secrets.is_some_and(|secrets| {
                let mut secrets = secrets.into_iter().filter(|secret| !secret.is_empty());
                secrets.any(|secret| secret.contains(text) || text.contains(secret))
            });
        match text.len() {
            1..=80 if text.bytes().all(is_plain) && !is_repeated => text,
            _ => "[redacted]",
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AssumeRole<'a> {
    role_arn: &'a str,
    role_session_name: &'a str,
    duration_seconds: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AssumeRoleWithWebIdentity<'a> {
    provider_id: &'a str,
    web_identity_token: &'a str,
    role_arn: &'a str,
    role_session_name: &'a str,
    duration_seconds: u32,
}

impl Failure {
    /// Returns an error without the message of STS, which may repeat parts of the request.
    fn into_error(self, call: &Call<'_>) -> ProviderError {
        let action = call.action;
        ProviderError::Transient(match self {
            Self::Other(reason) => format!("STS request {action} failed: {reason}"),
            Self::Rejected {
                code, request_id, ..
            } => format!(
                "STS rejected {action} with {} (RequestId {})",
                call.sanitized(&code),
                call.sanitized(&request_id)
            ),
        })
    }
}

#[expect(
    clippy::expect_used,
    reason = "plain structs with string keys always have a JSON form"
)]
fn body(parameters: &impl Serialize) -> Bytes {
    serde_json::to_vec(parameters)
        .expect("parameters have a JSON form")
        .into()
}

/// Returns a header value that is marked as sensitive, so that libraries do not log it.
fn sensitive(text: &str) -> HeaderValue {
    #[expect(clippy::expect_used, reason = "a credential is checked as it is read")]
    let mut value = HeaderValue::from_str(text).expect("visible ASCII");
    value.set_sensitive(true);
    value
}
