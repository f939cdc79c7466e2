//! Request log: the last 1,000 requests, for tests that check what the emulator received. It also counts
//! requests by error code, and the clients that disconnected while a fault delayed or held a request.

use std::collections::{BTreeMap, VecDeque};

use http::request::Parts;
use serde_json::Value;
use tokio::sync::watch;

use super::{
    headers::{header, truncated},
    parameters::Parameters,
    verification,
};

/// A request as the emulator received it.
///
/// It holds no credential; of a token it records only the presence. Each text is cut after 1 KiB.
#[derive(Clone, Debug, PartialEq)]
pub struct ReceivedRequest {
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
}

impl ReceivedRequest {
    pub(super) fn new(head: &Parts, parameters: Option<&Parameters>, code: Option<String>) -> Self {
        let text = |name| header(head, name).map(truncated);
        Self {
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
            code,
        }
    }
}

/// Number of requests kept, the most recent ones, so that an emulator can run for months.
const CAPACITY: usize = 1_000;

/// The log of received requests.
#[derive(Debug, Default)]
pub(super) struct RequestLog {
    received: watch::Sender<Received>,
    disconnects: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Received {
    count: usize,
    counts_by_code: BTreeMap<String, u64>,
    last: VecDeque<Entry>,
}

/// A logged request. The parameters are kept as text, which takes as much memory as the request did;
/// parsed values of a hostile body take twenty times as much.
#[derive(Debug)]
struct Entry {
    request: ReceivedRequest,
    parameters: Box<str>,
}

impl Entry {
    fn new(mut request: ReceivedRequest) -> Self {
        let parameters = request.parameters.take().to_string().into();
        Self {
            request,
            parameters,
        }
    }

    fn received(&self) -> ReceivedRequest {
        ReceivedRequest {
            parameters: serde_json::from_str(&self.parameters).unwrap_or_default(),
            ..self.request.clone()
        }
    }
}

impl RequestLog {
    /// Appends a request.
    pub(super) fn add(&self, request: ReceivedRequest) {
        self.received.send_modify(|received| {
            received.count += 1;
            let code = request.code.as_deref().unwrap_or_default();
            match received.counts_by_code.get_mut(code) {
                Some(count) => *count += 1,
                None => drop(received.counts_by_code.insert(code.to_owned(), 1)),
            }
            received.last.push_back(Entry::new(request));
            if received.last.len() > CAPACITY {
                received.last.pop_front();
            }
        });
    }

    /// Forgets all requests and counts.
    pub(super) fn clear(&self) {
        self.received.send_replace(Received::default());
        self.disconnects.send_replace(0);
    }

    /// Returns a guard that counts a disconnect if it is dropped before
    /// [`disarm`](DisconnectGuard::disarm).
    pub(super) fn disconnect_guard(&self) -> DisconnectGuard<'_> {
        DisconnectGuard {
            disconnects: &self.disconnects,
            is_armed: true,
        }
    }

    /// Returns the logged requests, oldest first.
    pub(super) fn received(&self) -> Vec<ReceivedRequest> {
        let received = self.received.borrow();
        received.last.iter().map(Entry::received).collect()
    }

    /// Returns the number of requests by error code.
    pub(super) fn counts_by_code(&self) -> BTreeMap<String, u64> {
        self.received.borrow().counts_by_code.clone()
    }

    /// Waits until at least `count` requests were received.
    pub(super) async fn wait_for_requests(&self, count: usize) {
        await_value(&self.received, |received| received.count >= count).await;
    }

    /// Waits until at least `count` clients have disconnected early.
    pub(super) async fn wait_for_disconnects(&self, count: usize) {
        await_value(&self.disconnects, |disconnects| *disconnects >= count).await;
    }
}

async fn await_value<T>(sender: &watch::Sender<T>, is_reached: impl FnMut(&T) -> bool) {
    let mut receiver = sender.subscribe();
    // Fails only if the sender is dropped, and the sender is borrowed.
    let _ = receiver.wait_for(is_reached).await;
}

/// Guard of a request whose response is delayed. Dropping the guard before [`disarm`](Self::disarm)
/// counts a disconnect: the HTTP server drops it when the client closes the connection.
#[derive(Debug)]
pub(super) struct DisconnectGuard<'a> {
    disconnects: &'a watch::Sender<usize>,
    is_armed: bool,
}

impl DisconnectGuard<'_> {
    /// Ends the wait without counting a disconnect.
    pub(super) fn disarm(mut self) {
        self.is_armed = false;
    }
}

impl Drop for DisconnectGuard<'_> {
    fn drop(&mut self) {
        if self.is_armed {
            self.disconnects
                .send_modify(|disconnects| *disconnects += 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_an_armed_guard_counts_a_disconnect() {
        let log = RequestLog::default();
        log.disconnect_guard().disarm();
        drop(log.disconnect_guard());
        log.wait_for_disconnects(1).await;
        assert_eq!(*log.disconnects.borrow(), 1);
    }
}
