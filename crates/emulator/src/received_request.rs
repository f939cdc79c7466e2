//! Received request: what the emulator keeps of a request.

use http::request::Parts;
use serde_json::Value;

use super::{
    headers::{header, truncated},
    parameters::Parameters,
    reply::Reply,
    verification::{self, SignatureRejection},
};

/// A request as the emulator received it.
///
/// It holds no credential; of a token it records only the presence. Each text is cut after 1 KiB.
#[derive(Clone, Debug, PartialEq)]
pub struct ReceivedRequest {
    /// The number of the request, counted from 1 since the start or the last reset.
    pub number: u64,
    /// When the request was received by the emulator's clock, in milliseconds since 1970.
    pub received_at: i64,
    /// The `SecretId` that the request names; `None` if it names none.
    pub secret_id: Option<String>,
    /// `X-TC-Action`; empty if absent.
    pub action: String,
    /// `X-TC-Version`; empty if absent.
    pub version: String,
    /// `X-TC-Region`.
    pub region: Option<String>,
    /// `X-TC-Language`.
    pub language: Option<String>,
    /// `X-TC-RequestClient`.
    pub request_client: Option<String>,
    /// The role whose temporary credential signed the request.
    pub role: Option<String>,
    /// Whether the request had an `X-TC-Token`.
    pub has_token: bool,
    /// The product in the credential scope of the signature; `None` if the request is not signed.
    pub signed_service: Option<String>,
    /// `X-TC-Timestamp`, a Unix time in seconds; `None` if absent or not a number.
    pub timestamp: Option<i64>,
    /// The path: `/`, or the path of a metadata request.
    pub path: String,
    /// The HTTP method.
    pub method: String,
    /// `Host`; empty if absent.
    pub host: String,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// The parameters as a JSON object; parameters from a query are all strings. `null` if they could
    /// not be parsed, or if the body or query is larger than 4 KiB.
    pub parameters: Value,
    /// The error code of the response. `None` if the request succeeded, or if a fault without a code
    /// applied.
    pub code: Option<String>,
    /// What the client got: `success`, the error code, or the effect of a fault in words.
    pub result: String,
    /// The name of the fault that applied, if any.
    pub fault_id: Option<String>,
    /// The `RequestId` of the response; `None` if it has none.
    pub request_id: Option<String>,
    /// Why the signature was rejected; `None` if it was not.
    pub signature_rejection: Option<SignatureRejection>,
}

impl ReceivedRequest {
    pub(super) fn new(
        head: &Parts,
        parameters: Option<&Parameters>,
        reply: &Reply,
        received_at: i64,
    ) -> Self {
        let text = |name| header(head, name).map(truncated);
        Self {
            number: 0,
            received_at,
            secret_id: verification::claimed_secret_id(head).map(truncated),
            action: text("x-tc-action").unwrap_or_default(),
            version: text("x-tc-version").unwrap_or_default(),
            region: text("x-tc-region"),
            language: text("x-tc-language"),
            request_client: text("x-tc-requestclient"),
            role: None,
            has_token: head.headers.contains_key("x-tc-token"),
            signed_service: verification::claimed_service(head).map(truncated),
            timestamp: header(head, "x-tc-timestamp").and_then(|text| text.parse().ok()),
            path: truncated(head.uri.path()),
            method: truncated(head.method.as_str()),
            host: text("host").unwrap_or_default(),
            content_type: text("content-type"),
            parameters: parameters.map_or(Value::Null, Parameters::to_json),
            code: reply.code.clone(),
            result: reply.result.clone().into_owned(),
            fault_id: reply.fault_id.clone(),
            request_id: reply.request_id.map(|id| id.to_string()),
            signature_rejection: None,
        }
    }

    /// Returns the length of all texts but the parameters, in bytes.
    pub(super) fn text_len(&self) -> usize {
        let Self {
            number: _,
            received_at: _,
            secret_id,
            action,
            version,
            region,
            language,
            request_client,
            role,
            has_token: _,
            signed_service,
            timestamp: _,
            path,
            method,
            host,
            content_type,
            parameters: _,
            code,
            result,
            fault_id,
            request_id,
            signature_rejection,
        } = self;
        let texts = [action, version, path, method, host, result];
        let optional = [
            secret_id,
            region,
            language,
            request_client,
            role,
            signed_service,
            content_type,
            code,
            fault_id,
            request_id,
        ];
        let mut lengths = texts.map(String::len).iter().sum::<usize>();
        lengths += optional
            .into_iter()
            .flatten()
            .map(String::len)
            .sum::<usize>();
        lengths += signature_rejection
            .as_ref()
            .map_or(0, SignatureRejection::len);
        lengths
    }
}
