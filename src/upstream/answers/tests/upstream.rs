//! What upstream answers, with a number by which each answer is known again.

use super::Answer;
use crate::upstream::{Error, Meaning, Refusal, Reply};

pub(super) type Outcome = Result<Reply, Error>;

pub(super) fn meaning(body: &[u8]) -> Meaning {
    match body {
        b"answer" => Meaning::Answer,
        b"unknown" => Meaning::NotFound,
        _ => Meaning::Nothing,
    }
}

/// Returns an answer with its number.
pub(super) fn outcome(answer: Answer, number: usize) -> Outcome {
    let reply = |body: &'static str| {
        Ok(Reply {
            body: body.into(),
            request_id: number.to_string(),
        })
    };
    let refused = |code: &str| {
        let (code, request_id) = (code.to_owned(), number.to_string());
        Err(Error::Refused(Refusal {
            code,
            request_id,
            ..Refusal::default()
        }))
    };
    match answer {
        Answer::Found => reply("answer"),
        Answer::Malformed => reply("malformed"),
        Answer::NoReply => Err(Error::Unreachable {
            reason: number.to_string(),
            retry_after: None,
        }),
        Answer::NotFound => refused("InvalidParameterValue.GroupIdNotExist"),
        Answer::Refused => refused("UnauthorizedOperation"),
        Answer::Throttled => refused("RequestLimitExceeded"),
        Answer::Transient => refused("FailedOperation.ServerError"),
        Answer::UnknownPerson => reply("unknown"),
        Answer::Untrusted => Err(Error::Untrusted {
            reason: number.to_string(),
        }),
    }
}

/// Returns which answer it is, and its number.
pub(super) fn read(outcome: &Outcome) -> (Answer, usize) {
    let (answer, number) = match outcome {
        Ok(reply) => match meaning(&reply.body) {
            Meaning::Answer => (Answer::Found, &reply.request_id),
            Meaning::NotFound => (Answer::UnknownPerson, &reply.request_id),
            Meaning::Nothing => (Answer::Malformed, &reply.request_id),
        },
        Err(Error::Unreachable { reason, .. }) => (Answer::NoReply, reason),
        Err(Error::Untrusted { reason }) => (Answer::Untrusted, reason),
        Err(Error::Refused(refusal)) => {
            let answer = match refusal.code.as_str() {
                "InvalidParameterValue.GroupIdNotExist" => Answer::NotFound,
                "UnauthorizedOperation" => Answer::Refused,
                "RequestLimitExceeded" => Answer::Throttled,
                _ => Answer::Transient,
            };
            (answer, &refusal.request_id)
        }
        other => panic!("upstream never answers {other:?}"),
    };
    (answer, number.parse().unwrap())
}
