//! The record of calls, for tests that ask what arrived.

use std::collections::{BTreeMap, VecDeque};

use http::request::Parts;
use serde_json::Value;
use tokio::sync::watch;

use super::{headers::header, parameters::Parameters};

/// A call as the emulator received it.
///
/// It holds no credential: of a token only whether there was one.
#[derive(Clone, Debug, PartialEq)]
pub struct ReceivedCall {
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
    /// Whether there was an `X-TC-Token`.
    pub has_token: bool,
    /// `X-TC-Timestamp`, a Unix time in seconds; `None` if absent or not a number.
    pub timestamp: Option<i64>,
    /// The HTTP method.
    pub method: String,
    /// `Host`; empty if absent.
    pub host: String,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// The parameters as a JSON object, whose values are all strings if they came in a query.
    /// `null` if they could not be read, or came in a body of more than 4 KiB.
    pub parameters: Value,
    /// The code with which the call was refused. `None` if it succeeded, and if a fault befell it
    /// that has no code.
    pub code: Option<String>,
}

impl ReceivedCall {
    pub(super) fn new(head: &Parts, parameters: Option<&Parameters>, code: Option<String>) -> Self {
        let text = |name| header(head, name).map(str::to_owned);
        Self {
            action: text("x-tc-action").unwrap_or_default(),
            version: text("x-tc-version").unwrap_or_default(),
            region: text("x-tc-region"),
            language: text("x-tc-language"),
            request_client: text("x-tc-requestclient"),
            has_token: head.headers.contains_key("x-tc-token"),
            timestamp: header(head, "x-tc-timestamp").and_then(|text| text.parse().ok()),
            method: head.method.to_string(),
            host: text("host").unwrap_or_default(),
            content_type: text("content-type"),
            parameters: parameters.map_or(Value::Null, Parameters::to_json),
            code,
        }
    }
}

/// How many calls are remembered: the last ones, so that an emulator can run for months.
const REMEMBERED: usize = 1_000;

/// The calls so far.
#[derive(Debug, Default)]
pub(super) struct Calls {
    received: watch::Sender<Received>,
    abandoned: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Received {
    count: usize,
    tally: BTreeMap<String, u64>,
    last: VecDeque<ReceivedCall>,
}

impl Calls {
    /// Adds a call.
    pub(super) fn add(&self, call: ReceivedCall) {
        self.received.send_modify(|received| {
            received.count += 1;
            let code = call.code.as_deref().unwrap_or_default();
            match received.tally.get_mut(code) {
                Some(calls) => *calls += 1,
                None => drop(received.tally.insert(code.to_owned(), 1)),
            }
            received.last.push_back(call);
            if received.last.len() > REMEMBERED {
                received.last.pop_front();
            }
        });
    }

    /// Notes that a call waits for its answer; dropped early, that it was abandoned.
    pub(super) fn wait(&self) -> Waiting<'_> {
        Waiting {
            abandoned: &self.abandoned,
            is_over: false,
        }
    }

    /// Returns the calls that are remembered, oldest first.
    pub(super) fn received(&self) -> Vec<ReceivedCall> {
        self.received.borrow().last.iter().cloned().collect()
    }

    /// Returns how many calls were answered with each code.
    pub(super) fn tally(&self) -> BTreeMap<String, u64> {
        self.received.borrow().tally.clone()
    }

    /// Waits until at least `count` calls were received.
    pub(super) async fn reach(&self, count: usize) {
        await_value(&self.received, |received| received.count >= count).await;
    }

    /// Waits until at least `count` calls were abandoned.
    pub(super) async fn reach_abandoned(&self, count: usize) {
        await_value(&self.abandoned, |calls| *calls >= count).await;
    }
}

async fn await_value<T>(sender: &watch::Sender<T>, is_reached: impl FnMut(&T) -> bool) {
    let mut receiver = sender.subscribe();
    // Only a dropped sender makes this fail, and the sender is borrowed here.
    let _ = receiver.wait_for(is_reached).await;
}

/// A call whose answer is held back. Unless it is [over](Self::over), dropping it counts the call
/// as abandoned: the server drops it when the client closes the connection.
#[derive(Debug)]
pub(super) struct Waiting<'a> {
    abandoned: &'a watch::Sender<usize>,
    is_over: bool,
}

impl Waiting<'_> {
    /// Ends the wait with an answer.
    pub(super) fn over(mut self) {
        self.is_over = true;
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.abandoned.send_modify(|calls| *calls += 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_wait_that_is_dropped_early_counts_as_abandoned() {
        let calls = Calls::default();
        calls.wait().over();
        drop(calls.wait());
        calls.reach_abandoned(1).await;
        assert_eq!(*calls.abandoned.borrow(), 1);
    }
}
