//! Everything for which a call of ours is answered with an error.

use tonic::{Code, Status};

use crate::{
    deadline::{Bound, Deadline},
    operation::{InvalidReply, InvalidRequest},
    upstream,
};

/// Why a call has no response.
#[derive(Debug)]
pub enum Failure {
    /// The caller's certificate has no name that may call.
    CallerNotAllowed,
    /// The caller has not shown what it must show.
    CallerUnauthenticated(Unidentified),
    /// The caller's deadline passed.
    DeadlineExceeded,
    /// Upstream's answer is none, or means that there is no such thing. With upstream's id of the
    /// call.
    InvalidReply(InvalidReply, String),
    /// The request is not as it must be.
    InvalidRequest(InvalidRequest),
    /// The message of the call did not arrive in the time that a call may take.
    MessageIncomplete,
    /// The message of the call is larger than any that has a meaning.
    MessageTooLarge,
    /// What arrived is not the message of the method.
    MessageUnreadable,
    /// There is no such method, or no such compression.
    MethodUnknown,
    /// As many calls are in progress as may be.
    Overloaded,
    /// Upstream has not answered in the time that a call may take.
    TimedOut,
    /// Upstream has no answer.
    Upstream(upstream::Error),
}

/// What is missing or wrong in what a caller shows of itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unidentified {
    /// No certificate was shown.
    NoCertificate,
    /// No token was sent, or not in the form in which one is.
    NoToken,
    /// The token is not one that may call.
    UnknownToken,
}

impl Failure {
    /// Returns what it means that a call was not answered by `deadline`.
    ///
    /// Only the caller's own deadline is DEADLINE_EXCEEDED. What takes longer than the service
    /// allows is upstream's failure if upstream was asked, and the caller's if its message has not
    /// even arrived.
    pub fn of_expiry(deadline: Deadline, message_has_arrived: bool) -> Self {
        match deadline.bound() {
            Bound::Caller => Self::DeadlineExceeded,
            Bound::Service if message_has_arrived => Self::TimedOut,
            Bound::Service => Self::MessageIncomplete,
        }
    }

    /// Returns what an error means that tonic made by itself, before any code of ours ran.
    pub fn of_tonic(status: &Status) -> Self {
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "what tonic says of undecodable input"
        )]
        match status.code() {
            Code::OutOfRange | Code::ResourceExhausted => Self::MessageTooLarge,
            Code::Unimplemented => Self::MethodUnknown,
            _ => Self::MessageUnreadable,
        }
    }
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
