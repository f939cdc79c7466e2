//! Diagnostic client: sends single requests with the connection settings and the signature of the upstream
//! client, but without cache, retries, circuit breaker, rate limiter and correction of the clock. It also
//! returns what the upstream client does not keep: the head of the response.

use std::{fmt, sync::Arc};

use http::{StatusCode, Version, header::CONNECTION};
use reqwest::Response;
use time::UtcDateTime;

use super::{
    error::Error,
    request::ApiRequest,
    response::ApiResponse,
    transport::{self, Transport},
};
use crate::{clock::Clock, config, credentials::Credential, http_client::BuildError};

/// A client that finds out why the upstream client fails.
pub struct DiagnosticClient {
    transport: Transport,
}

/// What the head of an HTTP response says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ResponseHead {
    /// The HTTP status.
    pub status: StatusCode,
    /// The time of the response by the clock of the upstream, in whole seconds; `None` without a valid
    /// `Date`.
    pub date: Option<UtcDateTime>,
    /// Whether the connection stays open for the next request.
    pub keeps_alive: bool,
}

/// A signed request that received the head of a response.
#[derive(Debug)]
pub struct SignedExchange {
    /// The head of the response.
    pub head: ResponseHead,
    /// The content of the envelope, or why there is none.
    pub outcome: Result<ApiResponse, Error>,
}

impl DiagnosticClient {
    /// Creates a client that signs at the time of `clock`. Sends nothing.
    ///
    /// # Errors
    ///
    /// Fails if the TLS configuration or the HTTP client cannot be built.
    pub fn new(settings: &config::Upstream, clock: Clock) -> Result<Self, BuildError> {
        let transport = Transport::new(settings, clock)?;
        Ok(Self { transport })
    }

    /// Sends a request without a signature, which upstream rejects with a response. Cancel safe.
    ///
    /// # Errors
    ///
    /// Fails if no head of a response is received.
    pub async fn send_unsigned(&self) -> Result<ResponseHead, Error> {
        let response = self.transport.exchange_unsigned().await?;
        Ok(ResponseHead::of(&response))
    }

    /// Sends a request signed with `credential`, once. Cancel safe.
    ///
    /// # Errors
    ///
    /// Fails if no head of a response is received.
    pub async fn send(
        &self,
        request: &ApiRequest,
        credential: &Arc<Credential>,
    ) -> Result<SignedExchange, Error> {
        let response = self.transport.exchange(request, credential).await?;
        Ok(SignedExchange {
            head: ResponseHead::of(&response),
            outcome: self
                .transport
                .unwrapped(response, request.action, credential)
                .await,
        })
    }
}

impl ResponseHead {
    fn of(response: &Response) -> Self {
        let headers = response.headers();
        let options = headers.get_all(CONNECTION).iter();
        let mut options = options.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        let is_closed = options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"));
        Self {
            status: response.status(),
            date: transport::date(headers),
            keeps_alive: response.version() >= Version::HTTP_11 && !is_closed,
        }
    }
}

impl fmt::Debug for DiagnosticClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiagnosticClient").finish_non_exhaustive()
    }
}
