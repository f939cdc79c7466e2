//! Request log: the last 1,000 requests, for tests that check what the emulator received. It also counts
//! requests by error code, and the clients that disconnected while a fault delayed or held a request.

use std::collections::{BTreeMap, VecDeque};

use tokio::sync::watch;

use super::{
    memory_budget::{MemoryBudget, Reservation},
    received_request::ReceivedRequest,
};

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
        let texts = self.request.text_len() + self.parameters.len();
        size_of::<Self>() + texts + ALLOCATIONS_OVERHEAD
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
    use crate::reply::Reply;

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
