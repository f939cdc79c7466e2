//! Worlds of one emulator: routes each request to the world whose account signed it.

use http::{Request, Response};
use hyper::body::Incoming;
use parking_lot::RwLock;
use tokio::sync::Semaphore;

use super::{
    fixtures::{Changes, Fixtures},
    memory_budget::MemoryBudget,
    reply::{Body, Closed},
    world::World,
};

/// The worlds of one emulator.
#[derive(Debug)]
pub(super) struct Worlds {
    main: World,
    /// What a reset to the fixtures returns to.
    fixtures: RwLock<Fixtures>,
    /// The memory for groups, persons and faults of the control API.
    budget: MemoryBudget,
    /// Permits for reading large bodies.
    large_bodies: Semaphore,
}

impl Worlds {
    /// Creates the main world, in the state that `fixtures` define.
    pub(super) fn new(fixtures: Fixtures) -> Self {
        Self {
            main: World::new(&fixtures, MemoryBudget::new(MAX_LOGGED)),
            fixtures: RwLock::new(fixtures),
            budget: MemoryBudget::new(MAX_STORED),
            large_bodies: Semaphore::new(MAX_LARGE_BODIES),
        }
    }

    /// Returns the world of the fixtures' account.
    pub(super) fn main(&self) -> &World {
        &self.main
    }

    /// Returns the fixtures; their groups and persons are shared.
    pub(super) fn fixtures(&self) -> Fixtures {
        self.fixtures.read().clone()
    }

    /// Replaces the fixtures, returns the main world to the state that they define, and returns what differs
    /// from the previous ones.
    pub(super) fn reload(&self, fixtures: Fixtures) -> Changes {
        self.main.reload(&fixtures);
        let changes = fixtures.changes_since(&self.fixtures.read());
        *self.fixtures.write() = fixtures;
        changes
    }

    /// Returns the memory for what clients of the control API store.
    pub(super) fn budget(&self) -> &MemoryBudget {
        &self.budget
    }

    /// Handles one request.
    ///
    /// # Errors
    ///
    /// Fails with [`Closed`] if the connection must be closed instead.
    pub(super) async fn call(&self, request: Request<Incoming>) -> Result<Response<Body>, Closed> {
        let (head, body) = request.into_parts();
        self.main.call(head, body, &self.large_bodies).await
    }
}

/// Maximum number of large bodies that are read concurrently.
const MAX_LARGE_BODIES: usize = 4;

/// Maximum memory of the groups, persons and faults that clients of the control API have put, in bytes.
const MAX_STORED: usize = 512 << 20;

/// Maximum memory of the request logs of all worlds, in bytes.
const MAX_LOGGED: usize = 256 << 20;
