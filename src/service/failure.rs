//! Every reason why a call fails, before it becomes a gRPC status.

use tonic::{Code, Status};

use crate::{
    context::{Bound, Deadline},
    operation::{InvalidReply, InvalidRequest},
    upstream,
};

/// Maximum size of a request message in bytes, compressed and decompressed.
pub const MAX_MESSAGE_BYTES: usize = 64 << 10;

/// tonic adds this header only when it rejects a compression.
const GRPC_ACCEPT_ENCODING: &str = "grpc-accept-encoding";

/// Maximum length of a compression's name in an error message, in bytes.
const MAX_ENCODING: usize = 32;

/// The reason why a call fails.
#[derive(Debug)]
pub enum Failure {
    /// The audit log cannot be written.
    AuditUnavailable,
    /// No name in the client certificate is allowed.
    CallerNotAllowed,
    /// The caller is not authenticated.
    CallerUnauthenticated(Unauthenticated),
    /// The caller's deadline passed.
    DeadlineExceeded,
    /// The request message has an unsupported compression. Contains its name, if that is safe to repeat.
    CompressionUnknown(Option<String>),
    /// The request headers exceed `--max-header-bytes`.
    HeadersTooLarge {
        /// Their size in bytes, as RFC 9113, section 10.5.1, counts it.
        found: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The reply cannot be decoded, or means that the resource does not exist. With Tencent's RequestId.
    InvalidReply(InvalidReply, String),
    /// The request violates the rules of its fields.
    InvalidRequest(InvalidRequest),
    /// The request message did not arrive within `--max-call-time`.
    MessageIncomplete,
    /// The request message exceeds [`MAX_MESSAGE_BYTES`]. With its size in bytes, unless it is compressed.
    MessageTooLarge(Option<u64>),
    /// The request message cannot be decoded.
    MessageUnreadable,
    /// The method does not exist.
    MethodUnknown,
    /// `--max-concurrent-calls` are in progress.
    Overloaded,
    /// Upstream did not respond within `--max-call-time`.
    TimedOut,
    /// Too many streams of a method of health or reflection are open.
    TooManyStreams {
        /// The method.
        method: &'static str,
        /// How many may be open.
        limit: usize,
        /// Where they are counted: `on this connection` or `in total`.
        scope: &'static str,
    },
    /// Too many bytes of responses wait to be sent.
    TooManyUnsentBytes,
    /// The upstream request failed.
    Upstream(upstream::Error),
}

/// Why a caller is not authenticated.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unauthenticated {
    /// The client sent no certificate.
    NoCertificate,
    /// The client sent no token, or one in another form than `Bearer TOKEN`.
    NoToken,
    /// The token is not accepted.
    UnknownToken,
}

impl Failure {
    /// Returns the failure of a call whose `deadline` passed.
    ///
    /// Only the client's own deadline is DEADLINE_EXCEEDED. A call that exceeds `--max-call-time` is
    /// upstream's failure if its request was complete, and the client's otherwise.
    pub fn from_expiry(deadline: Deadline, message_has_arrived: bool) -> Self {
        match deadline.bound() {
            Bound::Caller => Self::DeadlineExceeded,
            Bound::Service if message_has_arrived => Self::TimedOut,
            Bound::Service => Self::MessageIncomplete,
        }
    }

    /// Returns the failure behind an error that tonic returned before calling the service.
    pub fn from_tonic(status: &Status) -> Self {
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "tonic uses several codes for input that it cannot decode"
        )]
        match status.code() {
            Code::OutOfRange | Code::ResourceExhausted => {
                Self::MessageTooLarge(found_bytes(status.message()))
            }
            Code::Unimplemented if status.metadata().contains_key(GRPC_ACCEPT_ENCODING) => {
                Self::CompressionUnknown(quoted(status.message()))
            }
            Code::Unimplemented => Self::MethodUnknown,
            _ => Self::MessageUnreadable,
        }
    }
}

/// Parses the message size in tonic's error: "found 70000 bytes".
fn found_bytes(message: &str) -> Option<u64> {
    let (_, found) = message.split_once("found ")?;
    found.split_once(' ')?.0.parse().ok()
}

/// Parses the compression name in tonic's error, if it is safe to repeat.
fn quoted(message: &str) -> Option<String> {
    let (name, _) = message.split_once('`')?.1.split_once('`')?;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let is_fit = (1..=MAX_ENCODING).contains(&name.len()) && name.bytes().all(is_name);
    is_fit.then(|| name.to_owned())
}

impl From<InvalidRequest> for Failure {
    fn from(invalid: InvalidRequest) -> Self {
        Self::InvalidRequest(invalid)
    }
}

impl From<upstream::Error> for Failure {
    fn from(error: upstream::Error) -> Self {
        Self::Upstream(error)
    }
}
