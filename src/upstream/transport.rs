//! One attempt: builds the HTTP request, signs it, sends it, and reads a bounded answer.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, DATE, HOST, RETRY_AFTER},
};
use reqwest::{Request, Response, Url};
use time::UtcDateTime;

use super::{
    Call, Error, Refusal, Reply,
    envelope::{self, Opened},
    failure,
};
use crate::{
    chain::chain,
    clock::{Clock, ClockOffset, server_time},
    config,
    credentials::Credential,
    signature::{CanonicalRequest, Scope, SigningKey, StringToSign, authorization, hashed},
    trust,
};

/// The version of the API that this service speaks.
const VERSION: HeaderValue = HeaderValue::from_static("2020-03-03");

/// Sent without a charset, as the vendor's SDKs send it: what is sent must be what was signed.
const JSON: &str = "application/json";

/// How this service names itself to upstream.
const REQUEST_CLIENT: HeaderValue =
    HeaderValue::from_static(concat!("iai-facade_", env!("CARGO_PKG_VERSION")));

/// The product, as the scope of a signature names it.
const SERVICE: &str = "iai";

const X_TC_ACTION: HeaderName = HeaderName::from_static("x-tc-action");
const X_TC_LANGUAGE: HeaderName = HeaderName::from_static("x-tc-language");
const X_TC_REGION: HeaderName = HeaderName::from_static("x-tc-region");
const X_TC_REQUEST_CLIENT: HeaderName = HeaderName::from_static("x-tc-requestclient");
const X_TC_TIMESTAMP: HeaderName = HeaderName::from_static("x-tc-timestamp");
const X_TC_TOKEN: HeaderName = HeaderName::from_static("x-tc-token");
const X_TC_VERSION: HeaderName = HeaderName::from_static("x-tc-version");

/// Sends calls to one endpoint, over connections that it keeps.
pub(super) struct Transport {
    http: reqwest::Client,
    url: Url,
    host: String,
    /// The headers that are the same for every call.
    headers: HeaderMap,
    max_response_bytes: u64,
    clock: Clock,
    clock_offset: ClockOffset,
    signing_key: KeptSigningKey,
    /// The actions that upstream has announced to withdraw.
    deprecated: Mutex<BTreeSet<&'static str>>,
}

/// Why no call could be sent.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The HTTP client cannot be set up.
    #[error("the HTTP client cannot be set up")]
    Http(#[source] reqwest::Error),

    /// No endpoint could be trusted.
    #[error(transparent)]
    Tls(#[from] trust::Error),
}

impl Transport {
    /// Returns a transport that signs at the time of `clock`.
    ///
    /// # Errors
    ///
    /// Fails if there is no authority to trust.
    pub(super) fn new(settings: &config::Upstream, clock: Clock) -> Result<Self, BuildError> {
        // HTTP/1.1 only: no document of the vendor's mentions HTTP/2, and a connection for each
        // call under way keeps one stalled answer from holding up the others.
        let mut http = reqwest::Client::builder()
            .http1_only()
            .connect_timeout(settings.connect_timeout)
            .pool_idle_timeout(settings.idle_timeout)
            .redirect(reqwest::redirect::Policy::none())
            // Attempts are counted, and paid for out of the quota, so that no other policy than ours
            // may repeat one. With `never` alone, a copy of each would be kept all the same.
            .retry(reqwest::retry::never().max_retries_per_request(0))
            .tls_backend_preconfigured(trust::client_config(&settings.endpoint, settings)?);
        if !settings.use_proxy {
            http = http.no_proxy();
        }

        let host = settings.endpoint.host().to_owned();
        Ok(Self {
            http: http.build().map_err(BuildError::Http)?,
            url: settings.endpoint.url().clone(),
            headers: constant_headers(settings),
            host,
            max_response_bytes: settings.max_response_bytes,
            clock,
            clock_offset: ClockOffset::default(),
            signing_key: KeptSigningKey::default(),
            deprecated: Mutex::default(),
        })
    }

    /// Makes one attempt at `call`, signed with `credential`.
    ///
    /// # Errors
    ///
    /// Fails if no whole answer comes back, if it is not the documented one, and if it is a refusal.
    pub(super) async fn exchange(
        &self,
        call: &Call,
        credential: &Arc<Credential>,
    ) -> Result<Reply, Error> {
        let mut request = Request::new(Method::POST, self.url.clone());
        *request.headers_mut() = self.signed_headers(call, credential);
        *request.body_mut() = Some(call.parameters.clone().into());
        let response = self
            .http
            .execute(request)
            .await
            .map_err(failure::of_exchange)?;

        let status = response.status();
        let retry_after = retry_after(response.headers());
        let date = date(response.headers());
        let reason = match self.read(response).await {
            Ok(body) => match envelope::open(&body) {
                Ok(Opened::Replied {
                    reply,
                    is_deprecated,
                }) => {
                    self.notice_deprecation(call.action, is_deprecated);
                    return Ok(reply);
                }
                Ok(Opened::Refused(refusal)) => {
                    return Err(Error::Refused(Refusal {
                        code: credential.redact(&refusal.code),
                        message: credential.redact(&refusal.message),
                        request_id: credential.redact(&refusal.request_id),
                        server_time: date.or_else(|| server_time(&refusal.message)),
                        retry_after,
                    }));
                }
                Err(error) => error.to_string(),
            },
            Err(Incomplete::TooLarge) => {
                format!(
                    "the answer is larger than {} bytes",
                    self.max_response_bytes
                )
            }
            Err(Incomplete::Failed(error)) if status == StatusCode::OK => {
                return Err(failure::of_exchange(error));
            }
            Err(Incomplete::Failed(error)) => chain(&error.without_url()),
        };
        Err(failure::of_status(status, retry_after, &reason))
    }

    /// Learns the time from a refusal for a signature of the wrong time, and tells whether the next
    /// signature will carry another.
    pub(super) fn correct_clock(&self, error: &Error) -> bool {
        let Error::Refused(Refusal {
            server_time: Some(theirs),
            ..
        }) = error
        else {
            return false;
        };
        self.clock_offset.learn(self.clock.now(), *theirs)
    }

    fn signed_headers(&self, call: &Call, credential: &Arc<Credential>) -> HeaderMap {
        let now = self.clock_offset.corrected(self.clock.now());
        let scope = Scope::new(now, SERVICE);
        let signed = [("content-type", JSON), ("host", &self.host)];
        let request = CanonicalRequest::new("POST", "", &signed, &hashed(&call.parameters));
        let string_to_sign = StringToSign::new(now, scope, &request);
        let signature = self
            .signing_key
            .get(credential, scope)
            .sign(&string_to_sign);

        let mut headers = self.headers.clone();
        headers.insert(X_TC_ACTION, HeaderValue::from_static(call.action));
        headers.insert(X_TC_TIMESTAMP, HeaderValue::from(now.unix_timestamp()));
        let value = authorization(credential.secret_id(), scope, &request, &signature);
        headers.insert(AUTHORIZATION, sensitive(&value));
        if let Some(token) = credential.token() {
            headers.insert(X_TC_TOKEN, sensitive(token));
        }
        headers
    }

    /// Reads the body of `response` up to the bound, and no further.
    async fn read(&self, mut response: Response) -> Result<Bytes, Incomplete> {
        let announced = response.content_length().unwrap_or_default();
        if announced > self.max_response_bytes {
            return Err(Incomplete::TooLarge);
        }
        let mut body = BytesMut::with_capacity(usize::try_from(announced).unwrap_or_default());
        while let Some(chunk) = response.chunk().await.map_err(Incomplete::Failed)? {
            body.extend_from_slice(&chunk);
            if body.len() as u64 > self.max_response_bytes {
                return Err(Incomplete::TooLarge);
            }
        }
        Ok(body.freeze())
    }

    fn notice_deprecation(&self, action: &'static str, is_deprecated: bool) {
        if !is_deprecated {
            return;
        }
        let mut known = self
            .deprecated
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if known.insert(action) {
            tracing::warn!(
                action,
                "upstream announces that it will withdraw this action"
            );
        }
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("url", &self.url.as_str())
            .finish_non_exhaustive()
    }
}

/// Why a body was not read to its end.
enum Incomplete {
    Failed(reqwest::Error),
    TooLarge,
}

fn constant_headers(settings: &config::Upstream) -> HeaderMap {
    let mut headers = HeaderMap::from_iter([
        (CONTENT_TYPE, HeaderValue::from_static(JSON)),
        (HOST, settings.endpoint.host_header()),
        (X_TC_LANGUAGE, settings.language.clone()),
        (X_TC_REQUEST_CLIENT, REQUEST_CLIENT),
        (X_TC_VERSION, VERSION),
    ]);
    if let Some(region) = &settings.region {
        headers.insert(X_TC_REGION, region.clone());
    }
    headers
}

/// Makes a header value that no log of any library shows.
fn sensitive(text: &str) -> HeaderValue {
    #[expect(clippy::expect_used, reason = "a credential is checked as it is read")]
    let mut value = HeaderValue::from_str(text).expect("visible ASCII");
    value.set_sensitive(true);
    value
}

/// Reads a `Retry-After` in seconds. Its other form, a date, is not used by rate limits.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u32 = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds.into()))
}

/// Reads when upstream answered, by its own clock.
fn date(headers: &HeaderMap) -> Option<UtcDateTime> {
    let date = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()?;
    Some(UtcDateTime::from(date))
}

/// The key of the credential in use, derived once for a UTC day.
#[derive(Default)]
struct KeptSigningKey(Mutex<Option<(Arc<Credential>, Scope, SigningKey)>>);

impl KeptSigningKey {
    fn get(&self, credential: &Arc<Credential>, scope: Scope) -> SigningKey {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*kept {
            Some((of, on, key)) if Arc::ptr_eq(of, credential) && *on == scope => key.clone(),
            _ => {
                let key = SigningKey::derive(credential.secret_key(), scope);
                *kept = Some((Arc::clone(credential), scope, key.clone()));
                key
            }
        }
    }
}
