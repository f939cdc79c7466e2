//! Worlds of one emulator: routes each request to the world whose account signed it. The main world has the
//! account of the fixtures, and receives what no isolated world has signed.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Unbounded},
    sync::Arc,
};

use http::{Request, Response, request::Parts};
use hyper::body::Incoming;
use parking_lot::RwLock;
use tokio::sync::Semaphore;

use super::{
    account::Account,
    fixtures::{Changes, Fixtures},
    issued_credentials,
    memory_budget::MemoryBudget,
    reply::{Body, Closed},
    verification,
    world::World,
};

/// The worlds of one emulator.
#[derive(Debug)]
pub(super) struct Worlds {
    main: Arc<World>,
    /// The isolated worlds, by the `SecretId` of their account.
    isolated: RwLock<BTreeMap<String, Arc<World>>>,
    /// The memory of the request logs of all worlds.
    log_budget: MemoryBudget,
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
        let log_budget = MemoryBudget::new(MAX_LOGGED);
        Self {
            main: Arc::new(World::new(&fixtures, log_budget.clone())),
            isolated: RwLock::default(),
            log_budget,
            fixtures: RwLock::new(fixtures),
            budget: MemoryBudget::new(MAX_STORED),
            large_bodies: Semaphore::new(MAX_LARGE_BODIES),
        }
    }

    /// Returns the world of the fixtures' account.
    pub(super) fn main(&self) -> &Arc<World> {
        &self.main
    }

    /// Creates an isolated world with this account, in the state that `fixtures` define.
    ///
    /// # Errors
    ///
    /// Fails if an account has the `SecretId`, or if there are too many worlds.
    pub(super) fn create(
        &self,
        account: Account,
        fixtures: &Fixtures,
    ) -> Result<(), CreateWorldError> {
        let secret_id = account.secret_id().to_owned();
        let mut isolated = self.isolated.write();
        if isolated.contains_key(&secret_id) || self.main.has_account(&secret_id) {
            return Err(CreateWorldError::Taken(secret_id));
        }
        if isolated.len() >= MAX_WORLDS {
            return Err(CreateWorldError::TooMany);
        }
        let world = World::isolated(account, fixtures, self.log_budget.clone());
        isolated.insert(secret_id, Arc::new(world));
        Ok(())
    }

    /// Returns the isolated world of this `SecretId`.
    pub(super) fn isolated(&self, secret_id: &str) -> Option<Arc<World>> {
        self.isolated.read().get(secret_id).cloned()
    }

    /// Deletes an isolated world. Returns whether it existed.
    pub(super) fn delete(&self, secret_id: &str) -> bool {
        // Dropped after the lock, since a large world takes time to drop.
        let deleted = self.isolated.write().remove(secret_id);
        deleted.is_some()
    }

    /// Returns the first `limit` `SecretId`s of isolated worlds after `after`, in their order.
    pub(super) fn page(&self, after: &str, limit: usize) -> Vec<String> {
        let isolated = self.isolated.read();
        let page = isolated.range::<str, _>((Excluded(after), Unbounded));
        page.take(limit)
            .map(|(secret_id, _)| secret_id.clone())
            .collect()
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
        let world = self.world_of(&head);
        world.call(head, body, &self.large_bodies).await
    }

    fn world_of(&self, head: &Parts) -> Arc<World> {
        let isolated = self.isolated.read();
        let world = match isolated.is_empty() {
            true => None,
            false => verification::claimed_secret_id(head)
                .and_then(|secret_id| isolated.get(issued_credentials::world_of(secret_id))),
        };
        Arc::clone(world.unwrap_or(&self.main))
    }
}

/// Why a world was not created.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CreateWorldError {
    /// An account has the `SecretId`.
    #[error("there is an account with the SecretId `{0}`")]
    Taken(String),
    /// There are as many worlds as there can be.
    #[error("there are {MAX_WORLDS} isolated worlds, which is the maximum; delete some")]
    TooMany,
}

/// Maximum number of isolated worlds.
const MAX_WORLDS: usize = 20_000;

/// Maximum number of large bodies that are read concurrently.
const MAX_LARGE_BODIES: usize = 4;

/// Maximum memory of the groups, persons and faults that clients of the control API have put, in bytes.
const MAX_STORED: usize = 512 << 20;

/// Maximum memory of the request logs of all worlds, in bytes.
const MAX_LOGGED: usize = 256 << 20;
