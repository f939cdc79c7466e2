//! Tencent Cloud's Security Token Service (STS, version 2018-08-13): roles for identities.

mod answer;

use std::{fmt, sync::OnceLock, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST},
};
use serde::Serialize;
use time::UtcDateTime;
use tokio::time::Instant;

use self::answer::Failure;
use super::{Credential, NotOffered, Obtained, exchange};
use crate::{
    clock::{Clock, ClockOffset},
    config::{self, Endpoint},
    signature::{CanonicalRequest, Scope, SigningKey, StringToSign, authorization, hashed},
};

const SERVICE: &str = "sts";
const VERSION: HeaderValue = HeaderValue::from_static("2018-08-13");
const JSON: &str = "application/json";
const REQUEST_CLIENT: HeaderValue =
    HeaderValue::from_static(concat!("iai-facade_", env!("CARGO_PKG_VERSION")));

/// What the vendor's SDKs send in the place of a signature, where the request proves itself.
const UNSIGNED: HeaderValue = HeaderValue::from_static("SKIP");

/// The region that the vendor's SDKs name to STS.
const REGION: HeaderValue = HeaderValue::from_static("ap-guangzhou");

/// How a session of ours is named in the account's records.
const SESSION_NAME: &str = "iai-facade";

/// How long a credential is asked for, in seconds, as the vendor's SDKs ask.
const DURATION_SECONDS: u32 = 7_200;

/// How long one exchange may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The way to STS.
pub(super) struct Sts {
    /// Made at the first call: most services never make one.
    http: OnceLock<reqwest::Client>,
    endpoint: Endpoint,
    settings: config::Upstream,
    clock: Clock,
    clock_offset: ClockOffset,
}

/// A service account, as TKE describes it.
pub(super) struct WebIdentity<'a> {
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

    /// Assumes a role, signed with `signer`.
    pub(super) async fn assume_role(
        &self,
        role_arn: &str,
        signer: &Credential,
    ) -> Result<Obtained, NotOffered> {
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
            .map_err(|failure| failure.said_by(&call))
    }

    /// Assumes the role of a service account, which proves itself by its token.
    pub(super) async fn assume_role_with_web_identity(
        &self,
        identity: WebIdentity<'_>,
    ) -> Result<Obtained, NotOffered> {
        let parameters = body(&AssumeRoleWithWebIdentity {
            provider_id: identity.provider_id,
            web_identity_token: identity.token,
            role_arn: identity.role_arn,
            role_session_name: SESSION_NAME,
            duration_seconds: DURATION_SECONDS,
        });
        let call = Call {
            action: "AssumeRoleWithWebIdentity",
            region: identity.region,
            parameters,
            signer: None,
        };
        self.exchange(&call)
            .await
            .map_err(|failure| failure.said_by(&call))
    }

    /// Makes a call, and makes it once more if it was signed at a wrong time.
    async fn exchange(&self, call: &Call<'_>) -> Result<Obtained, Failure> {
        match self.attempt(call).await {
            Err(Failure::Refused {
                code,
                server_time: Some(theirs),
                ..
            }) if code == "AuthFailure.SignatureExpire"
                && self.clock_offset.learn(self.clock.now(), theirs) =>
            {
                self.attempt(call).await
            }
            outcome => outcome,
        }
    }

    async fn attempt(&self, call: &Call<'_>) -> Result<Obtained, Failure> {
        let asked_at = Instant::now();
        let now = self.clock_offset.corrected(self.clock.now());
        let request = self
            .http()
            .map_err(Failure::Other)?
            .post(self.endpoint.url().clone())
            .headers(self.headers(call, now))
            .body(call.parameters.clone());
        let answer = exchange::send(request).await;
        let answer = answer.map_err(|unanswered| Failure::Other(unanswered.reason))?;
        answer::open(&answer, asked_at, now)
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
        let mut headers = HeaderMap::from_iter([
            (CONTENT_TYPE, HeaderValue::from_static(JSON)),
            (HOST, self.endpoint.host_header()),
            (name("x-tc-action"), HeaderValue::from_static(call.action)),
            (name("x-tc-language"), self.settings.language.clone()),
            (name("x-tc-region"), call.region.clone()),
            (name("x-tc-requestclient"), REQUEST_CLIENT),
            (
                name("x-tc-timestamp"),
                HeaderValue::from(now.unix_timestamp()),
            ),
            (name("x-tc-version"), VERSION),
            (AUTHORIZATION, UNSIGNED),
        ]);
        if let Some(signer) = call.signer {
            let signed = [("content-type", JSON), ("host", self.endpoint.host())];
            let request = CanonicalRequest::new("POST", "", &signed, &hashed(&call.parameters));
            let scope = Scope::new(now, SERVICE);
            let signature = SigningKey::derive(signer.secret_key(), scope)
                .sign(&StringToSign::new(now, scope, &request));
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

/// One call to make. Its parameters may hold a token.
struct Call<'a> {
    action: &'static str,
    region: HeaderValue,
    parameters: Bytes,
    signer: Option<&'a Credential>,
}

impl Call<'_> {
    /// Returns a code or an id if it looks like one and repeats nothing of what was sent, be it a
    /// part of a secret.
    fn presentable<'t>(&self, text: &'t str) -> &'t str {
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
            _ => "none that can be shown",
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
    /// Says what went wrong, without the words of STS, which may repeat what it was sent.
    fn said_by(self, call: &Call<'_>) -> NotOffered {
        let action = call.action;
        NotOffered::Failed(match self {
            Self::Other(reason) => format!("STS gave no credential for {action}: {reason}"),
            Self::Refused {
                code, request_id, ..
            } => format!(
                "STS refused {action} with {} (RequestId {})",
                call.presentable(&code),
                call.presentable(&request_id)
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

/// Makes a header value that no log of any library shows.
fn sensitive(text: &str) -> HeaderValue {
    #[expect(clippy::expect_used, reason = "a credential is checked as it is read")]
    let mut value = HeaderValue::from_str(text).expect("visible ASCII");
    value.set_sensitive(true);
    value
}
