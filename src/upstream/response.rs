//! A response of the API: as it was received, and decoded.

use bytes::Bytes;

/// A successful response of the API.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ApiResponse {
    /// The value of `Response`, as a JSON object.
    pub body: Bytes,
    /// The request id that upstream assigned.
    pub request_id: String,
}

/// Cacheability of a response.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cacheable {
    /// The response has the requested resource.
    Positive,
    /// The response says that the resource does not exist.
    Negative,
    /// The response is not one that its action documents, and is not cached.
    No,
}

impl ApiResponse {
    /// Decodes the response.
    pub(super) fn decode<T>(self, decode: Decode<T>) -> Received<T> {
        let decoded = decode(&self.body, &self.request_id);
        Received {
            response: self,
            decoded,
        }
    }

    /// Returns the reply with the decoded `message`.
    pub(super) fn into_reply<T>(self, message: T) -> Reply<T> {
        Reply {
            message,
            request_id: self.request_id,
        }
    }
}

/// Decodes the body of a response, given its request id.
pub type Decode<T> = fn(&[u8], &str) -> Decoded<T>;

/// A decoded response, and whether it may be cached.
#[derive(Debug)]
pub struct Decoded<T> {
    /// The content of the response.
    pub message: T,
    /// Whether and how the response may be cached.
    pub cacheable: Cacheable,
}

/// A response as it was received, and decoded.
#[derive(Debug)]
pub(super) struct Received<T> {
    pub(super) response: ApiResponse,
    pub(super) decoded: Decoded<T>,
}

impl<T> Received<T> {
    /// Returns the reply, without the raw body.
    pub(super) fn into_reply(self) -> Reply<T> {
        self.response.into_reply(self.decoded.message)
    }
}

/// The response to a call.
#[derive(Debug)]
pub struct Reply<T> {
    /// The content of the response.
    pub message: T,
    /// The request id that upstream assigned.
    pub request_id: String,
}
