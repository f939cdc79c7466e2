//! Request log: the last 1,000 requests, for tests that check what the emulator received. It also counts
//! requests by error code, and the clients that disconnected while a fault delayed or held a request.

use std::collections::{BTreeMap, VecDeque};

use http::request::Parts;
use serde_json::Value;
use tokio::sync::watch;

use super::{
    headers::{header, truncated},
    memory_budget::{MemoryBudget, Reservation},
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
}

/// Number of requests kept, the most recent ones, so that an emulator can run for months.
const CAPACITY: usize = 1_000;

/// Memory that the allocations of an entry take beside their content, in bytes.
const ALLOCATIONS_OVERHEAD: usize = 18 * 16;

/// The log of received requests.
#[derive(Debug)]
pub(super) struct RequestLog {
    /// The memory of the logs of all worlds.
    budget: MemoryBudget,
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
    reservation: Option<Reservation>,
}

impl Entry {
    fn new(mut request: ReceivedRequest) -> Self {
        let parameters = request.parameters.take().to_string().into();
        Self {
            request,
            parameters,
            reservation: None,
        }
    }

    /// Returns the memory of the entry, in bytes.
    fn memory(&self) -> usize {
        let ReceivedRequest {
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
        } = &self.request;
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
        let mut lengths = self.parameters.len();
        lengths += texts.map(String::len).iter().sum::<usize>();
        lengths += optional
            .into_iter()
            .flatten()
            .map(String::len)
            .sum::<usize>();
        lengths += signature_rejection
            .as_ref()
            .map_or(0, SignatureRejection::len);
        size_of::<Self>() + lengths + ALLOCATIONS_OVERHEAD
    }

    fn received(&self) -> ReceivedRequest {
        ReceivedRequest {
            parameters: serde_json::from_str(&self.parameters).unwrap_or_default(),
            ..self.request.clone()
        }
    }
}

impl RequestLog {
    /// Creates an empty log, whose requests take memory of `budget`.
    pub(super) fn new(budget: MemoryBudget) -> Self {
        Self {
            budget,
            received: watch::Sender::default(),
            disconnects: watch::Sender::default(),
        }
    }

    /// Appends a request, and gives it its number. While the budget is exhausted, the oldest requests of
    /// the log make room for it; without any, it is only counted.
    pub(super) fn add(&self, request: ReceivedRequest) {
        let mut entry = Entry::new(request);
        let memory = entry.memory();
        self.received.send_modify(|received| {
            received.count += 1;
            entry.request.number = received.count as u64;
            let code = entry.request.code.as_deref().unwrap_or_default();
            match received.counts_by_code.get_mut(code) {
                Some(count) => *count += 1,
                None => drop(received.counts_by_code.insert(code.to_owned(), 1)),
            }
            while entry.reservation.is_none() {
                entry.reservation = self.budget.reserve(memory).ok();
                if entry.reservation.is_none() && received.last.pop_front().is_none() {
                    return;
                }
            }
            received.last.push_back(entry);
            if received.last.len() > CAPACITY {
                received.last.pop_front();
            }
        });
    }

    /// Returns the number of received requests, and the first `limit` logged requests with a number above
    /// `after`.
    pub(super) fn page(&self, after: u64, limit: usize) -> (usize, Vec<ReceivedRequest>) {
        let received = self.received.borrow();
        let entries = received.last.iter();
        let entries = entries.filter(|entry| entry.request.number > after);
        let page = entries.take(limit).map(Entry::received).collect();
        (received.count, page)
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

    #[test]
    fn logs_without_memory_forget_their_oldest_requests_but_count_all() {
        let budget = MemoryBudget::new(3 * request().memory());
        let [first, second] = [(), ()].map(|()| RequestLog::new(budget.clone()));
        for _ in 0..5 {
            first.add(request().received());
        }
        second.add(request().received());
        let numbers = |log: &RequestLog| {
            let (count, page) = log.page(0, 10);
            let numbers = page.iter().map(|request| request.number);
            (count, numbers.collect::<Vec<_>>())
        };
        assert_eq!(numbers(&first), (5, vec![3, 4, 5]));
        assert_eq!(numbers(&second), (1, vec![]));
        assert_eq!(first.page(3, 1).1[0].number, 4);
        first.clear();
        second.add(request().received());
        assert_eq!(numbers(&second), (2, vec![2]));
    }

    fn request() -> Entry {
        let head = http::Request::get("/").body(()).unwrap().into_parts().0;
        let reply = Reply::page(None);
        Entry::new(ReceivedRequest::new(&head, None, &reply, 0))
    }

    #[tokio::test]
    async fn only_an_armed_guard_counts_a_disconnect() {
        let log = RequestLog::new(MemoryBudget::new(0));
        log.disconnect_guard().disarm();
        drop(log.disconnect_guard());
        log.wait_for_disconnects(1).await;
        assert_eq!(*log.disconnects.borrow(), 1);
    }
}
