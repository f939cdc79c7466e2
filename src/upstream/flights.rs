//! Calls under way that several callers may wait for.
//!
//! A flight runs in a task of its own, so that no caller who leaves ends it for the others. When
//! all have left, it ends.

use std::{
    collections::{HashMap, hash_map},
    future::Future,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
};

use tokio::{sync::watch, task::AbortHandle, time::timeout_at};

use super::{Error, Reply, cache::Key};
use crate::context::Context;

/// The flights in progress, at most one for a key. Dropping it ends them.
#[derive(Debug, Default)]
pub(super) struct Flights {
    table: Arc<Table>,
}

#[derive(Debug, Default)]
struct Table(Mutex<HashMap<Key, InProgress>>);

#[derive(Debug)]
struct InProgress {
    flight: Arc<Flight>,
    /// How many wait for it, of whom itself if it is a renewal.
    seats: usize,
    is_renewal: bool,
}

#[derive(Debug)]
struct Flight {
    context: Arc<Context>,
    landing: watch::Receiver<Option<Landing>>,
    task: OnceLock<AbortHandle>,
}

/// How a flight ended.
#[derive(Clone, Debug)]
pub(super) enum Landing {
    /// With an answer, or with an error, for all.
    Answered(Result<Reply, Error>),
    /// By its deadline, which is that of its first caller.
    Expired,
}

impl Flights {
    /// Waits for the flight of a key, which is begun by `call` with the context that `context` makes
    /// if there is none.
    pub(super) fn board<F>(
        &self,
        key: &Key,
        context: impl FnOnce() -> Context,
        call: impl FnOnce(Arc<Context>) -> F,
    ) -> Seat
    where
        F: Future<Output = Result<Reply, Error>> + Send + 'static,
    {
        let (flight, is_first) = match self.table.lock().entry(key.clone()) {
            hash_map::Entry::Occupied(mut entry) => {
                entry.get_mut().seats += 1;
                (Arc::clone(&entry.get().flight), None)
            }
            hash_map::Entry::Vacant(entry) => {
                let (flight, sender) = Flight::new(context());
                entry.insert(InProgress {
                    flight: Arc::clone(&flight),
                    seats: 1,
                    is_renewal: false,
                });
                (flight, Some(sender))
            }
        };
        let seat = Seat {
            table: Arc::downgrade(&self.table),
            key: key.clone(),
            flight,
            is_first: is_first.is_some(),
        };
        // Without the lock: a runtime that shuts down drops at once what it is given.
        if let Some(sender) = is_first {
            let call = call(Arc::clone(&seat.flight.context));
            seat.flight.begin(&self.table, key.clone(), call, sender);
        }
        seat
    }

    /// Begins the flight of a key for which nobody waits, unless there is one.
    pub(super) fn depart<F>(
        &self,
        key: &Key,
        context: impl FnOnce() -> Context,
        call: impl FnOnce(Arc<Context>) -> F,
    ) where
        F: Future<Output = Result<Reply, Error>> + Send + 'static,
    {
        let (flight, sender) = match self.table.lock().entry(key.clone()) {
            hash_map::Entry::Occupied(_) => return,
            hash_map::Entry::Vacant(entry) => {
                let (flight, sender) = Flight::new(context());
                entry.insert(InProgress {
                    flight: Arc::clone(&flight),
                    // Its own, which it does not leave.
                    seats: 1,
                    is_renewal: true,
                });
                (flight, sender)
            }
        };
        let call = call(Arc::clone(&flight.context));
        flight.begin(&self.table, key.clone(), call, sender);
    }

    /// Returns how many flights are in progress, and how many calls wait for them.
    pub(super) fn count(&self) -> (usize, usize) {
        let table = self.table.lock();
        let waiters = table
            .values()
            .map(|flight| flight.seats - usize::from(flight.is_renewal));
        (table.len(), waiters.sum())
    }
}

impl Drop for Flights {
    fn drop(&mut self) {
        let ended: Vec<_> = self.table.lock().drain().collect();
        for (_, InProgress { flight, .. }) in ended {
            flight.end();
        }
    }
}

impl Table {
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, InProgress>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a flight out, if it is still the one of its key.
    fn remove(&self, key: &Key, flight: &Arc<Flight>) {
        if let hash_map::Entry::Occupied(entry) = self.lock().entry(key.clone())
            && Arc::ptr_eq(&entry.get().flight, flight)
        {
            entry.remove();
        }
    }
}

type Landed = watch::Sender<Option<Landing>>;

impl Flight {
    fn new(context: Context) -> (Arc<Self>, Landed) {
        let (sender, landing) = watch::channel(None);
        let flight = Self {
            context: Arc::new(context),
            landing,
            task: OnceLock::new(),
        };
        (Arc::new(flight), sender)
    }

    fn begin(
        self: &Arc<Self>,
        table: &Arc<Table>,
        key: Key,
        call: impl Future<Output = Result<Reply, Error>> + Send + 'static,
        landed: Landed,
    ) {
        let runway = Runway {
            table: Arc::downgrade(table),
            key,
            flight: Arc::clone(self),
        };
        let deadline = self.context.deadline().at();
        let task = tokio::spawn(async move {
            let landing = match timeout_at(deadline, call).await {
                Ok(outcome) => Landing::Answered(outcome),
                Err(_) => Landing::Expired,
            };
            // First, so that nobody who calls from now on waits for what has ended.
            drop(runway);
            let _ = landed.send(Some(landing));
        });
        let _ = self.task.set(task.abort_handle());
    }

    fn end(&self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

/// Takes a flight out of the table when it ends in whatever way.
struct Runway {
    table: Weak<Table>,
    key: Key,
    flight: Arc<Flight>,
}

impl Drop for Runway {
    fn drop(&mut self) {
        if let Some(table) = self.table.upgrade() {
            table.remove(&self.key, &self.flight);
        }
    }
}

/// The place of one who waits for a flight. Dropping it is leaving.
#[derive(Debug)]
pub(super) struct Seat {
    table: Weak<Table>,
    key: Key,
    flight: Arc<Flight>,
    is_first: bool,
}

impl Seat {
    /// Tells whether the flight was begun for this seat.
    pub(super) fn is_first(&self) -> bool {
        self.is_first
    }

    /// Returns the context of the flight.
    pub(super) fn context(&self) -> &Arc<Context> {
        &self.flight.context
    }

    /// Waits until the flight has ended.
    pub(super) async fn landing(self) -> Landing {
        let mut landing = self.flight.landing.clone();
        let landed = landing.wait_for(Option::is_some).await;
        // Nothing is sent by a flight that panics: a fault of ours, as an unexpected answer is.
        let lost = || {
            Landing::Answered(Err(Error::Malformed {
                reason: "the call ended in a panic".to_owned(),
                is_server_error: false,
            }))
        };
        landed
            .ok()
            .and_then(|landed| Landing::clone(landed.as_ref()?).into())
            .unwrap_or_else(lost)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Some(table) = self.table.upgrade() else {
            return;
        };
        let mut in_progress = table.lock();
        let hash_map::Entry::Occupied(mut entry) = in_progress.entry(self.key.clone()) else {
            return;
        };
        if !Arc::ptr_eq(&entry.get().flight, &self.flight) {
            return;
        }
        entry.get_mut().seats -= 1;
        if entry.get().seats == 0 {
            entry.remove();
            drop(in_progress);
            self.flight.end();
        }
    }
}

#[cfg(test)]
mod tests;
