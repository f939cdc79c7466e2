//! The upstream actions, one file each, with everything that is particular to it.
//!
//! An operation knows both sides of the service and neither of its ends: it turns a request of ours
//! into parameters of theirs and an answer of theirs into a response of ours, and does not know how
//! either travels.

pub mod get_group_info;
pub mod get_person_group_info;

mod answer;
mod identifier;

use serde::Serialize;

use crate::json::Malformed;

/// One upstream action, as seen from both sides.
pub trait Operation {
    /// The name of the action, as upstream spells it.
    const ACTION: &'static str;

    /// The fields of the request, by their names in the protocol; first the one with the id.
    const FIELDS: &'static [&'static str];

    /// What a caller sends.
    type Request: Send;

    /// What a caller receives.
    type Response: Send;

    /// Returns the id that the request asks for.
    fn id(request: &Self::Request) -> &str;

    /// Turns a request into the action's parameters.
    ///
    /// # Errors
    ///
    /// Fails with every violation that the request holds, not only with the first.
    fn parameters(request: &Self::Request) -> Result<impl Serialize, InvalidRequest>;

    /// Turns the inside of upstream's envelope into a response.
    ///
    /// # Errors
    ///
    /// Fails if the answer has not the documented form, or means that there is no such thing.
    fn response(body: &[u8], request_id: &str) -> Result<Self::Response, InvalidReply>;
}

/// A request that upstream need not be asked about.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the request has {} invalid fields", violations.len())]
pub struct InvalidRequest {
    /// What is wrong, at least one.
    pub violations: Vec<Violation>,
}

impl InvalidRequest {
    /// Returns nothing if there are no violations, and otherwise all of them as an error.
    fn unless_empty(violations: Vec<Violation>) -> Result<(), Self> {
        if violations.is_empty() {
            Ok(())
        } else {
            Err(Self { violations })
        }
    }
}

/// One field of a request that is not as it must be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Violation {
    /// The name of the field in the protocol.
    pub field: &'static str,
    /// What the field must be. It never repeats the value that was sent.
    pub description: &'static str,
}

/// An answer from which no response can be made.
#[derive(Debug, thiserror::Error)]
pub enum InvalidReply {
    /// The answer has not the documented form.
    #[error("the answer has not the documented form")]
    Malformed(#[from] Malformed),

    /// The answer holds neither groups nor a count, which is how upstream reports an unknown person.
    #[error("the person does not exist")]
    PersonNotFound,
}
