//! Singleflight: identical requests in flight are sent upstream once, and their callers share the
//! outcome. Each request runs in a task of its own, so that a caller who cancels does not end it for
//! the others; it is cancelled when its last waiter has left. It does not know how requests are sent.

use std::{
    collections::{HashMap, hash_map},
    future::Future,
    sync::{Arc, OnceLock, Weak},
};

use parking_lot::Mutex;
use tokio::{sync::watch, task::AbortHandle, time::timeout_at};

use super::{cache::Key, error::Error, response::ApiResponse};
use crate::context::Context;

/// The requests in flight, at most one per key. Dropping it cancels them.
#[derive(Debug, Default)]
pub(super) struct Singleflight {
    table: Arc<Table>,
}

#[derive(Debug, Default)]
struct Table(Mutex<HashMap<Key, TableEntry>>);

#[derive(Debug)]
struct TableEntry {
    in_flight: Arc<InFlight>,
    /// The number of waiters. A background request counts as a waiter of its own.
    waiters: usize,
    is_background: bool,
}

#[derive(Debug)]
struct InFlight {
    context: Arc<Context>,
    outcome: watch::Receiver<Option<Outcome>>,
    task: OnceLock<AbortHandle>,
}

/// How a shared request ended.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// With a response or an error, for all waiters.
    Completed(Result<ApiResponse, Error>),
    /// At its deadline, which is that of its first caller.
    DeadlineExceeded,
}

impl Singleflight {
    /// Joins the request in flight for `key`. Without one, adds a request with `context`, which the
    /// caller must start.
    pub(super) fn join(&self, key: &Key, context: Context) -> (Waiter, Option<Unstarted>) {
        let (in_flight, outcome) = match self.table.0.lock().entry(key.clone()) {
            hash_map::Entry::Occupied(mut entry) => {
                entry.get_mut().waiters += 1;
                (Arc::clone(&entry.get().in_flight), None)
            }
            hash_map::Entry::Vacant(entry) => {
                let (in_flight, outcome) = InFlight::new(context);
                entry.insert(TableEntry {
                    in_flight: Arc::clone(&in_flight),
                    waiters: 1,
                    is_background: false,
                });
                (in_flight, Some(outcome))
            }
        };
        let unstarted = outcome.map(|outcome| self.unstarted(key, &in_flight, outcome));
        let waiter = Waiter {
            table: Arc::downgrade(&self.table),
            key: key.clone(),
            in_flight,
        };
        (waiter, unstarted)
    }

    /// Adds a background request for `key` with `context`, which needs no waiters and which the caller
    /// must start. Returns `None` if one is in flight.
    pub(super) fn join_in_background(&self, key: &Key, context: Context) -> Option<Unstarted> {
        let (in_flight, outcome) = match self.table.0.lock().entry(key.clone()) {
            hash_map::Entry::Occupied(_) => return None,
            hash_map::Entry::Vacant(entry) => {
                let (in_flight, outcome) = InFlight::new(context);
                entry.insert(TableEntry {
                    in_flight: Arc::clone(&in_flight),
                    // Its own, which is never released.
                    waiters: 1,
                    is_background: true,
                });
                (in_flight, outcome)
            }
        };
        Some(self.unstarted(key, &in_flight, outcome))
    }

    fn unstarted(&self, key: &Key, in_flight: &Arc<InFlight>, outcome: OutcomeSender) -> Unstarted {
        let guard = RemoveOnDrop {
            table: Arc::downgrade(&self.table),
            key: key.clone(),
            in_flight: Arc::clone(in_flight),
        };
        Unstarted { guard, outcome }
    }

    /// Returns the number of requests in flight and the number of calls that wait for them.
    pub(super) fn count(&self) -> (usize, usize) {
        let table = self.table.0.lock();
        let waiters = table
            .values()
            .map(|entry| entry.waiters - usize::from(entry.is_background));
        (table.len(), waiters.sum())
    }
}

impl Drop for Singleflight {
    fn drop(&mut self) {
        let entries: Vec<_> = self.table.0.lock().drain().collect();
        for (_, TableEntry { in_flight, .. }) in entries {
            in_flight.cancel();
        }
    }
}

impl Table {
    /// Removes a request, unless another one has taken its key.
    fn remove(&self, key: &Key, in_flight: &Arc<InFlight>) {
        if let hash_map::Entry::Occupied(entry) = self.0.lock().entry(key.clone())
            && Arc::ptr_eq(&entry.get().in_flight, in_flight)
        {
            entry.remove();
        }
    }
}

type OutcomeSender = watch::Sender<Option<Outcome>>;

impl InFlight {
    fn new(context: Context) -> (Arc<Self>, OutcomeSender) {
        let (sender, outcome) = watch::channel(None);
        let in_flight = Self {
            context: Arc::new(context),
            outcome,
            task: OnceLock::new(),
        };
        (Arc::new(in_flight), sender)
    }

    fn cancel(&self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

/// A request in the table that has not been sent yet. Dropping it removes the request, whose waiters
/// then fail.
pub(super) struct Unstarted {
    guard: RemoveOnDrop,
    outcome: OutcomeSender,
}

impl Unstarted {
    /// Returns the context of the request.
    pub(super) fn context(&self) -> &Arc<Context> {
        &self.guard.in_flight.context
    }

    /// Sends the request in a task of its own, until its deadline.
    pub(super) fn start<F>(self, request: F)
    where
        F: Future<Output = Result<ApiResponse, Error>> + Send + 'static,
    {
        let Self { guard, outcome } = self;
        let in_flight = Arc::clone(&guard.in_flight);
        let deadline = in_flight.context.deadline().at();
        let task = tokio::spawn(async move {
            let ended = match timeout_at(deadline, request).await {
                Ok(result) => Outcome::Completed(result),
                Err(_) => Outcome::DeadlineExceeded,
            };
            // Before the outcome is sent, so that no later call joins a request that has ended.
            drop(guard);
            let _ = outcome.send(Some(ended));
        });
        let _ = in_flight.task.set(task.abort_handle());
    }
}

/// Removes a request from the table when it completes, panics or is cancelled.
struct RemoveOnDrop {
    table: Weak<Table>,
    key: Key,
    in_flight: Arc<InFlight>,
}

impl Drop for RemoveOnDrop {
    fn drop(&mut self) {
        if let Some(table) = self.table.upgrade() {
            table.remove(&self.key, &self.in_flight);
        }
    }
}

/// A call that waits for a shared request. Dropping the last waiter cancels the request.
#[derive(Debug)]
pub(super) struct Waiter {
    table: Weak<Table>,
    key: Key,
    in_flight: Arc<InFlight>,
}

impl Waiter {
    /// Returns the context of the request.
    pub(super) fn context(&self) -> &Arc<Context> {
        &self.in_flight.context
    }

    /// Waits until the request has ended.
    pub(super) async fn outcome(self) -> Outcome {
        let mut receiver = self.in_flight.outcome.clone();
        let received = receiver.wait_for(Option::is_some).await;
        // A request that panics sends no outcome. That is a bug here, reported like a malformed response.
        let panicked = || {
            Outcome::Completed(Err(Error::Malformed {
                reason: "the request task panicked".to_owned(),
                is_server_error: false,
            }))
        };
        received
            .ok()
            .and_then(|outcome| Outcome::clone(outcome.as_ref()?).into())
            .unwrap_or_else(panicked)
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let Some(table) = self.table.upgrade() else {
            return;
        };
        let mut entries = table.0.lock();
        let hash_map::Entry::Occupied(mut entry) = entries.entry(self.key.clone()) else {
            return;
        };
        if !Arc::ptr_eq(&entry.get().in_flight, &self.in_flight) {
            return;
        }
        entry.get_mut().waiters -= 1;
        if entry.get().waiters == 0 {
            entry.remove();
            drop(entries);
            self.in_flight.cancel();
        }
    }
}

#[cfg(test)]
mod tests;
