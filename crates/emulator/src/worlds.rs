//! Worlds of one emulator: routes each request to the world whose account signed it.

use http::{Request, Response};
use hyper::body::Incoming;
use tokio::sync::Semaphore;

use super::{
    fixtures::Fixtures,
    reply::{Body, Closed},
    world::World,
};

/// The worlds of one emulator.
#[derive(Debug)]
pub(super) struct Worlds {
    main: World,
    /// Permits for reading large bodies.
    large_bodies: Semaphore,
}

impl Worlds {
    /// Creates the main world, in the state that `fixtures` define.
    pub(super) fn new(fixtures: Fixtures) -> Self {
        Self {
            main: World::new(fixtures),
            large_bodies: Semaphore::new(MAX_LARGE_BODIES),
        }
    }

    /// Returns the world of the fixtures' account.
    pub(super) fn main(&self) -> &World {
        &self.main
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
