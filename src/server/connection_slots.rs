//! Connection slots: limit the number of open connections, and close idle ones for new ones.
//!
//! A new connection is always accepted, since health checks open new connections and have no
//! credentials. When all slots are taken, the connection that has been idle longest is closed: one of
//! an untrusted client if possible, otherwise one without a call in progress. Therefore a client
//! without credentials displaces only untrusted connections, however many it opens and whatever it
//! sends on them.
//!
//! While every connection is busy, new connections use a few spare slots, in which each connection may
//! be displaced by the next, together with its calls.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use parking_lot::{Mutex, MutexGuard};
use tokio::{task::AbortHandle, time::Instant};

use super::activity::Activity;

/// Slots beyond the limit, for health checks while every connection is busy.
pub(super) const SPARE: usize = 8;

/// The maximum number of connections beyond the limit that are closing gracefully, so that calls in
/// transit are not lost.
pub(super) const MAX_LEAVING: usize = 32;

/// The time for which the finding that every connection is busy is reused, since a search takes time
/// proportional to the number of connections.
const BUSY_PAUSE: Duration = Duration::from_millis(10);

/// The minimum interval between log lines about displaced connections.
const REPORT_INTERVAL: Duration = Duration::from_secs(60);

/// The slots of a port. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct ConnectionSlots(Arc<Mutex<Table>>);

#[derive(Debug)]
struct Table {
    port: &'static str,
    capacity: usize,
    next_number: u64,
    displaced: u64,
    /// The connections by number.
    connections: HashMap<u64, Connection>,
    /// The order in which connections are displaced, by the rank that each had when it was last
    /// examined. Activity only increases ranks, so the first entry is correct once its rank is updated.
    order: BTreeSet<Rank>,
    /// The numbers of the connections in spare slots, oldest first.
    spare: VecDeque<u64>,
    leaving: VecDeque<AbortHandle>,
    busy_until: Option<Instant>,
    report: Report,
}

/// The rank of a connection; that with the lowest rank is displaced first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Rank {
    is_trusted: bool,
    idle_since: Instant,
    number: u64,
}

#[derive(Debug)]
struct Connection {
    activity: Arc<Activity>,
    /// The rank under which it is in the order.
    rank: Rank,
    /// The task that serves the connection, once it is spawned.
    task: Option<AbortHandle>,
}

/// The number of connections of a port.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ConnectionCounts {
    /// Open now.
    pub(super) open: usize,
    /// The maximum, without the spare slots.
    pub(super) limit: usize,
    /// Accepted since the start.
    pub(super) accepted: u64,
    /// Closed for new ones since the start.
    pub(super) displaced: u64,
}

/// The slot of one connection, which is released on drop.
#[derive(Debug)]
pub(super) struct Slot {
    number: u64,
    activity: Arc<Activity>,
    slots: ConnectionSlots,
}

impl ConnectionSlots {
    /// Creates `capacity` free slots for a port with the name `port` in the log.
    pub(super) fn new(port: &'static str, capacity: usize) -> Self {
        Self(Arc::new(Mutex::new(Table {
            port,
            capacity,
            next_number: 0,
            displaced: 0,
            connections: HashMap::new(),
            order: BTreeSet::new(),
            spare: VecDeque::new(),
            leaving: VecDeque::new(),
            busy_until: None,
            report: Report::default(),
        })))
    }

    /// Takes a slot for a new connection, and displaces another connection if all are taken.
    pub(super) fn take(&self) -> Slot {
        let activity = Arc::new(Activity::new());
        Slot {
            number: self.table().add(Arc::clone(&activity)),
            activity,
            slots: self.clone(),
        }
    }

    /// Sets the task that serves the connection `number`; it is aborted when the connection is closed.
    pub(super) fn serve(&self, number: u64, task: AbortHandle) {
        if let Some(connection) = self.table().connections.get_mut(&number) {
            connection.task = Some(task);
        }
    }

    /// Returns the number of connections.
    pub(super) fn count(&self) -> ConnectionCounts {
        let table = self.table();
        ConnectionCounts {
            open: table.connections.len(),
            limit: table.capacity,
            accepted: table.next_number,
            displaced: table.displaced,
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock()
    }
}

impl Slot {
    /// Returns the number of the connection.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Returns the activity of the connection.
    pub(super) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.table().remove(self.number);
    }
}

impl Table {
    fn add(&mut self, activity: Arc<Activity>) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        if self.connections.len() >= self.capacity {
            self.make_room(Instant::now());
        }
        if self.connections.len() >= self.capacity {
            self.spare.push_back(number);
        }
        let rank = Rank::of(&activity, number);
        self.order.insert(rank);
        let connection = Connection {
            activity,
            rank,
            task: None,
        };
        self.connections.insert(number, connection);
        number
    }

    /// Makes room for one more connection: closes idle ones until it is within the limit. If every
    /// connection is busy and all spare slots are taken, closes the oldest connection in a spare slot.
    fn make_room(&mut self, now: Instant) {
        while self.connections.len() >= self.capacity
            && let Some(number) = self.idle_longest(now)
        {
            self.displace(number, now);
        }
        if self.spare.len() >= SPARE
            && let Some(oldest) = self.spare.front().copied()
        {
            self.cut(oldest, now);
        }
    }

    /// Returns the connection that has been idle longest, preferring those of untrusted clients, or `None`
    /// if every one is busy.
    fn idle_longest(&mut self, now: Instant) -> Option<u64> {
        if self.busy_until.is_some_and(|busy_until| now < busy_until) {
            return None;
        }
        while let Some(rank) = self.order.first().copied()
            && let Some(connection) = self.connections.get_mut(&rank.number)
        {
            let mut current = Rank::of(&connection.activity, rank.number);
            let is_busy = current.is_trusted && !connection.activity.is_idle();
            if is_busy {
                current.idle_since = now;
            }
            if current == rank {
                if is_busy {
                    // All connections after it in the order are busy too, or were active since.
                    break;
                }
                return Some(rank.number);
            }
            connection.rank = current;
            self.order.pop_first();
            self.order.insert(current);
        }
        self.busy_until = Some(now + BUSY_PAUSE);
        None
    }

    /// Closes an idle connection: gracefully if its client is trusted, since a call may be in transit.
    fn displace(&mut self, number: u64, now: Instant) {
        if !self
            .connections
            .get(&number)
            .is_some_and(|connection| connection.rank.is_trusted)
        {
            return self.cut(number, now);
        }
        let Some(connection) = self.remove(number) else {
            return;
        };
        self.displaced += 1;
        self.report.closed(self.port, self.capacity, now);
        connection.activity.displace();
        self.leaving.extend(connection.task);
        if self.leaving.len() > MAX_LEAVING
            && let Some(longest) = self.leaving.pop_front()
        {
            longest.abort();
        }
    }

    /// Aborts a connection.
    fn cut(&mut self, number: u64, now: Instant) {
        let task = self.remove(number).and_then(|connection| connection.task);
        if let Some(task) = task {
            task.abort();
        }
        self.displaced += 1;
        self.report.closed(self.port, self.capacity, now);
    }

    /// Releases the slot of a connection; the oldest connection in a spare slot takes it.
    fn remove(&mut self, number: u64) -> Option<Connection> {
        let connection = self.connections.remove(&number)?;
        self.order.remove(&connection.rank);
        self.busy_until = None;
        match self.spare.iter().position(|spare| *spare == number) {
            Some(position) => drop(self.spare.remove(position)),
            None => drop(self.spare.pop_front()),
        }
        Some(connection)
    }
}

impl Rank {
    fn of(activity: &Activity, number: u64) -> Self {
        Self {
            is_trusted: activity.is_trusted(),
            idle_since: activity.last(),
            number,
        }
    }
}

/// The log of displaced connections: logs the first at once, and then at most once per minute.
#[derive(Debug, Default)]
struct Report {
    last: Option<Instant>,
    /// The number of connections closed since.
    closed: u64,
}

impl Report {
    fn closed(&mut self, port: &str, max_connections: usize, now: Instant) {
        self.closed += 1;
        if self.last.is_some_and(|last| now < last + REPORT_INTERVAL) {
            return;
        }
        tracing::warn!(
            port,
            max_connections,
            closed = self.closed,
            "connection limit reached, closing the longest idle connections",
        );
        self.last = Some(now);
        self.closed = 0;
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinSet;

    use super::*;
    use crate::server::activity::InProgress;

    const SECOND: Duration = Duration::from_secs(1);

    /// Connections that last until they are closed.
    struct Connections {
        slots: ConnectionSlots,
        tasks: JoinSet<u64>,
    }

    impl Connections {
        fn new(capacity: usize) -> Self {
            let slots = ConnectionSlots::new("test", capacity);
            let tasks = JoinSet::new();
            Self { slots, tasks }
        }

        /// Opens a connection, and returns its activity.
        async fn open(&mut self) -> Arc<Activity> {
            tokio::time::advance(SECOND).await;
            let slot = self.slots.take();
            let (number, activity) = (slot.number(), Arc::clone(slot.activity()));
            let task = self.tasks.spawn(async move {
                slot.activity().displaced().await;
                number
            });
            self.slots.serve(number, task);
            tokio::task::yield_now().await;
            activity
        }

        async fn open_trusted(&mut self) -> Arc<Activity> {
            let activity = self.open().await;
            activity.trust();
            activity
        }

        /// Returns the connections that are open.
        fn open_numbers(&self) -> Vec<u64> {
            let mut numbers: Vec<_> = self.slots.table().connections.keys().copied().collect();
            numbers.sort_unstable();
            numbers
        }

        /// Calls on a connection, and returns the call, which is in progress.
        async fn call(activity: &Arc<Activity>) -> InProgress {
            tokio::time::advance(SECOND).await;
            activity.call(Instant::now())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_idle_connection_is_displaced() {
        let mut connections = Connections::new(3);
        let first = connections.open_trusted().await;
        connections.open_trusted().await;
        connections.open_trusted().await;
        drop(Connections::call(&first).await);

        connections.open_trusted().await;
        assert_eq!(connections.open_numbers(), [0, 2, 3]);
        connections.open_trusted().await;
        assert_eq!(connections.open_numbers(), [0, 3, 4]);
        // Closed gracefully: their tasks ended by themselves.
        assert_eq!(connections.tasks.join_next().await.unwrap().unwrap(), 1);
        assert_eq!(connections.tasks.join_next().await.unwrap().unwrap(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn untrusted_connections_are_displaced_first_even_if_active() {
        let mut connections = Connections::new(3);
        connections.open_trusted().await;
        let stranger = connections.open().await;
        connections.open_trusted().await;
        let _call = Connections::call(&stranger).await;

        connections.open().await;

        assert_eq!(connections.open_numbers(), [0, 2, 3]);
        assert!(
            connections
                .tasks
                .join_next()
                .await
                .unwrap()
                .unwrap_err()
                .is_cancelled()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_with_a_call_in_progress_is_not_displaced() {
        let mut connections = Connections::new(2);
        let busy = connections.open_trusted().await;
        let _call = Connections::call(&busy).await;
        connections.open_trusted().await;

        for number in 2..20 {
            connections.open_trusted().await;
            assert_eq!(connections.open_numbers(), [0, number]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn while_all_are_busy_new_connections_displace_each_other() {
        let mut connections = Connections::new(2);
        let mut calls = Vec::new();
        for _ in 0..2 + SPARE + 3 {
            let activity = connections.open_trusted().await;
            calls.push(Connections::call(&activity).await);
        }
        assert_eq!(
            connections.open_numbers(),
            [vec![0, 1], (5..13).collect()].concat()
        );

        // The oldest in a spare slot takes the released slot, and cannot be displaced there.
        connections.slots.table().remove(0);
        for _ in 0..SPARE {
            let activity = connections.open_trusted().await;
            calls.push(Connections::call(&activity).await);
        }
        assert_eq!(
            connections.open_numbers(),
            [vec![1, 5], (13..21).collect()].concat()
        );

        // Once they are idle, their number returns to the limit.
        calls.clear();
        connections.open_trusted().await;
        assert_eq!(connections.open_numbers(), [20, 21]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_connection_leaves_no_state_behind() {
        let connections = Connections::new(2);
        for _ in 0..10 {
            drop(connections.slots.take());
        }
        let table = connections.slots.table();
        assert!(table.connections.is_empty() && table.order.is_empty() && table.spare.is_empty());
        assert_eq!(table.report.closed, 0);
    }
}
