//! HTTP transport: makes one attempt. It builds the HTTP request, signs it, sends it, and reads a
//! response of bounded size. It does not decide whether an attempt is retried.

use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, DATE, HOST, RETRY_AFTER},
};
use parking_lot::Mutex;
use reqwest::{Request, Response, Url};
use tencent_cloud_signature::{
    CanonicalRequest, Scope, SigningKey, StringToSign, authorization, sha256_hex,
};
use time::UtcDateTime;

use super::{
    attempt_span::AttemptSpan,
    connection_counter::ConnectionCounter,
    connection_pool::ConnectionPool,
    envelope::{self, Parsed},
    error::{ApiError, Error},
    request::ApiRequest,
    response::ApiResponse,
    transport_error,
};
use crate::{
    clock::{Clock, ClockOffset, server_time},
    config,
    credentials::Credential,
    error_chain::error_chain,
    http_client::BuildError,
    trace,
};

/// The version of the API that this service speaks.
const VERSION: HeaderValue = HeaderValue::from_static("2020-03-03");

/// The content type, without a charset, as in the vendor's SDKs. The header sent must equal the header
/// signed.
const JSON: &str = "application/json";

/// The name and version of this client, for the upstream.
const REQUEST_CLIENT: HeaderValue =
    HeaderValue::from_static(concat!("iai-facade_", env!("CARGO_PKG_VERSION")));

/// The name of the product in the scope of a signature.
const SERVICE: &str = "iai";

/// The maximum lengths of error codes, error messages and request ids, in bytes; longer ones are
/// truncated. Documented codes have up to 66 bytes, ids 36.
const MAX_CODE: usize = 128;
const MAX_MESSAGE: usize = 4 << 10;
const MAX_REQUEST_ID: usize = 128;

const X_TC_ACTION: HeaderName = HeaderName::from_static("x-tc-action");
const X_TC_LANGUAGE: HeaderName = HeaderName::from_static("x-tc-language");
const X_TC_REGION: HeaderName = HeaderName::from_static("x-tc-region");
const X_TC_REQUEST_CLIENT: HeaderName = HeaderName::from_static("x-tc-requestclient");
const X_TC_TIMESTAMP: HeaderName = HeaderName::from_static("x-tc-timestamp");
const X_TC_TOKEN: HeaderName = HeaderName::from_static("x-tc-token");
const X_TC_VERSION: HeaderName = HeaderName::from_static("x-tc-version");

/// An HTTP client for one endpoint, with a connection pool.
pub(super) struct Transport {
    connections: ConnectionPool,
    url: Url,
    host: String,
    sends_trace_context: bool,
    /// The headers that are the same for every request.
    headers: HeaderMap,
    max_response_bytes: u64,
    clock: Clock,
    clock_offset: ClockOffset,
    signing_key: SigningKeyCache,
    /// The actions that upstream has marked as deprecated.
    deprecated: Mutex<BTreeSet<&'static str>>,
}

impl Transport {
    /// Creates a transport that signs at the time of `clock`.
    ///
    /// # Errors
    ///
    /// Fails if the TLS configuration or the HTTP client cannot be built.
    pub(super) fn new(settings: &config::Upstream, clock: Clock) -> Result<Self, BuildError> {
        let host = settings.endpoint.host().to_owned();
        Ok(Self {
            connections: ConnectionPool::new(settings.clone(), clock.clone())?,
            url: settings.endpoint.url().clone(),
            headers: constant_headers(settings),
            host,
            sends_trace_context: settings.sends_trace_context,
            max_response_bytes: settings.max_response_bytes,
            clock,
            clock_offset: ClockOffset::default(),
            signing_key: SigningKeyCache::default(),
            deprecated: Mutex::default(),
        })
    }

    /// Returns the clock that requests are signed by, without the correction.
    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Returns the counter of connections.
    pub(super) fn connection_counter(&self) -> &ConnectionCounter {
        self.connections.counter()
    }

    /// Returns the correction of the clock.
    pub(super) fn clock_offset(&self) -> &ClockOffset {
        &self.clock_offset
    }

    /// Makes one attempt: sends `request`, signed with `credential`, and records it in `span`.
    ///
    /// # Errors
    ///
    /// Fails if no complete response is received, if the response is not an envelope, and if it is an
    /// API error.
    pub(super) async fn send(
        &self,
        request: &ApiRequest,
        credential: &Arc<Credential>,
        span: &mut AttemptSpan<'_>,
    ) -> Result<ApiResponse, Error> {
        let mut http_request = self.signed(request, credential);
        span.sent(&self.url);
        if self.sends_trace_context
            && let Some(context) = span.context()
        {
            trace::write(context, http_request.headers_mut());
        }
        let response = self.execute(http_request).await?;
        span.responded(response.status());
        self.unwrapped(response, request.action, credential).await
    }

    /// Sends `request`, signed with `credential`, and returns the response with its body unread.
    ///
    /// # Errors
    ///
    /// Fails if no head of a response is received.
    pub(super) async fn exchange(
        &self,
        request: &ApiRequest,
        credential: &Arc<Credential>,
    ) -> Result<Response, Error> {
        self.execute(self.signed(request, credential)).await
    }

    fn signed(&self, request: &ApiRequest, credential: &Arc<Credential>) -> Request {
        let mut http_request = Request::new(Method::POST, self.url.clone());
        *http_request.headers_mut() = self.signed_headers(request, credential);
        *http_request.body_mut() = Some(request.parameters.clone().into());
        http_request
    }

    /// Sends a GET request without a signature, and returns the response with its body unread.
    ///
    /// # Errors
    ///
    /// Fails if no head of a response is received.
    pub(super) async fn exchange_unsigned(&self) -> Result<Response, Error> {
        self.execute(Request::new(Method::GET, self.url.clone()))
            .await
    }

    async fn execute(&self, request: Request) -> Result<Response, Error> {
        let response = self.connections.client().execute(request).await;
        response.map_err(transport_error::from_http_client)
    }

    /// Reads the body of `response` and unwraps its envelope.
    ///
    /// # Errors
    ///
    /// Fails as [`Self::send`] does.
    pub(super) async fn unwrapped(
        &self,
        response: Response,
        action: &'static str,
        credential: &Credential,
    ) -> Result<ApiResponse, Error> {
        let status = response.status();
        let retry_after = retry_after(response.headers());
        let date = date(response.headers());
        let reason = match self.read(response).await {
            Ok(body) => match envelope::parse(&body) {
                Ok(Parsed::Response {
                    mut response,
                    is_deprecated,
                }) => {
                    self.warn_if_deprecated(action, is_deprecated);
                    truncate(&mut response.request_id, MAX_REQUEST_ID);
                    return Ok(response);
                }
                Ok(Parsed::Error(error)) => {
                    // Redaction comes before truncation: a truncated secret would not be found.
                    let text = |text: &str, length| {
                        let mut text = credential.redact(text);
                        truncate(&mut text, length);
                        text
                    };
                    let message = text(&error.message, MAX_MESSAGE);
                    return Err(Error::Api(ApiError {
                        code: text(&error.code, MAX_CODE),
                        request_id: text(&error.request_id, MAX_REQUEST_ID),
                        server_time: date.or_else(|| server_time(&message)),
                        message,
                        retry_after,
                    }));
                }
                Err(error) => error.to_string(),
            },
            Err(Incomplete::TooLarge) => {
                format!(
                    "the response is larger than {} bytes",
                    self.max_response_bytes
                )
            }
            Err(Incomplete::Failed(error)) if status == StatusCode::OK => {
                return Err(transport_error::from_http_client(error));
            }
            Err(Incomplete::Failed(error)) => error_chain(&error.without_url()),
        };
        Err(transport_error::from_status(status, retry_after, &reason))
    }

    /// Corrects the clock by the server time of an API error that rejected the timestamp of a
    /// signature. Returns whether the next signature will have another timestamp.
    pub(super) fn correct_clock(&self, error: &Error) -> bool {
        let Error::Api(ApiError {
            server_time: Some(theirs),
            ..
        }) = error
        else {
            return false;
        };
        self.clock_offset.learn(self.clock.now(), *theirs)
    }

    fn signed_headers(&self, request: &ApiRequest, credential: &Arc<Credential>) -> HeaderMap {
        let now = self.clock_offset.corrected(self.clock.now());
        let timestamp = now.unix_timestamp();
        let scope = Scope::new(timestamp, SERVICE);
        let signed = [("content-type", JSON), ("host", &self.host)];
        let payload_hash = sha256_hex(&request.parameters);
        let canonical = CanonicalRequest::new("POST", "", &signed, &payload_hash);
        let string_to_sign = StringToSign::new(timestamp, scope, &canonical);
        let signature = self
            .signing_key
            .get(credential, scope)
            .sign(&string_to_sign);

        let mut headers = self.headers.clone();
        headers.insert(X_TC_ACTION, HeaderValue::from_static(request.action));
        headers.insert(X_TC_TIMESTAMP, HeaderValue::from(timestamp));
        let value = authorization(credential.secret_id(), scope, &canonical, &signature);
        headers.insert(AUTHORIZATION, sensitive(&value));
        if let Some(token) = credential.token() {
            headers.insert(X_TC_TOKEN, sensitive(token));
        }
        headers
    }

    /// Reads the body of `response`, up to the maximum size.
    async fn read(&self, mut response: Response) -> Result<Bytes, Incomplete> {
        let content_length = response.content_length().unwrap_or_default();
        if content_length > self.max_response_bytes {
            return Err(Incomplete::TooLarge);
        }
        let mut body = BytesMut::with_capacity(usize::try_from(content_length).unwrap_or_default());
        while let Some(chunk) = response.chunk().await.map_err(Incomplete::Failed)? {
            body.extend_from_slice(&chunk);
            if body.len() as u64 > self.max_response_bytes {
                return Err(Incomplete::TooLarge);
            }
        }
        Ok(body.freeze())
    }

    fn warn_if_deprecated(&self, action: &'static str, is_deprecated: bool) {
        if !is_deprecated {
            return;
        }
        let mut known = self.deprecated.lock();
        if known.insert(action) {
            tracing::warn!(action, "upstream action is deprecated");
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

/// Truncates `text` to at most `length` bytes, at a character boundary, and frees the rest of its
/// memory.
fn truncate(text: &mut String, length: usize) {
    if text.len() > length {
        text.truncate(text.floor_char_boundary(length));
        text.shrink_to_fit();
    }
}

/// Why a body is incomplete.
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

/// Creates a header value that is marked as sensitive, so that no library logs it.
fn sensitive(text: &str) -> HeaderValue {
    #[expect(clippy::expect_used, reason = "a credential is checked as it is read")]
    let mut value = HeaderValue::from_str(text).expect("visible ASCII");
    value.set_sensitive(true);
    value
}

/// Parses `Retry-After` in seconds. Rate limits do not use its other form, a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u32 = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds.into()))
}

/// Parses the time of the response by the clock of the upstream.
pub(super) fn date(headers: &HeaderMap) -> Option<UtcDateTime> {
    let date = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()?;
    Some(UtcDateTime::from(date))
}

/// The signing key of the current credential, derived once per UTC day.
#[derive(Default)]
struct SigningKeyCache(Mutex<Option<(Arc<Credential>, Scope<'static>, SigningKey)>>);

impl SigningKeyCache {
    fn get(&self, credential: &Arc<Credential>, scope: Scope<'static>) -> SigningKey {
        let mut cached = self.0.lock();
        match &*cached {
            Some((of, on, key)) if Arc::ptr_eq(of, credential) && *on == scope => key.clone(),
            _ => {
                let key = SigningKey::derive(credential.secret_key(), scope);
                *cached = Some((Arc::clone(credential), scope, key.clone()));
                key
            }
        }
    }
}
