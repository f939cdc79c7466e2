//! A stand-in for the upstream API, for tests and for trying the service without an account.
//!
//! It is written from the API's documentation and must not use any other module of this crate: two
//! readings of the same text check each other. It verifies signatures, follows the parameter rules
//! and paging, and keeps the oddities: refusals over HTTP 200, `GroupNum` as a string, an unknown
//! person answered with nothing but a `RequestId`. On top of that it misbehaves on demand.
//!
//! [`Emulator::start`] opens the socket; the order in which a call is judged is in `service`.

use std::{collections::BTreeMap, io, net::SocketAddr, sync::Arc, time::Duration};

pub use account::Account;
pub use actions::Action;
pub use calls::ReceivedCall;
pub use faults::{Cut, Fault, FaultKind, Page};
pub use fixtures::{Fixtures, FixturesError};
use service::Service;
use tokio::{net::TcpListener, task::JoinSet};

mod account;
mod actions;
mod body;
mod calls;
mod clock;
mod connection;
mod envelope;
mod faults;
mod fixtures;
mod headers;
mod identifier;
mod oversize;
mod parameters;
mod rate_limit;
mod records;
mod reply;
mod service;
mod verification;

/// A running emulator. Dropping it stops it.
#[derive(Debug)]
pub struct Emulator {
    address: SocketAddr,
    service: Arc<Service>,
    /// The one task that accepts connections, and owns them.
    server: JoinSet<()>,
}

impl Emulator {
    /// Starts an emulator; with port 0 it chooses a free one.
    ///
    /// # Errors
    ///
    /// Fails if the address cannot be listened on.
    pub async fn start(listen: SocketAddr, fixtures: Fixtures) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let service = Arc::new(Service::new(fixtures));
        let mut server = JoinSet::new();
        server.spawn(accept(listener, Arc::clone(&service)));
        Ok(Self {
            address,
            service,
            server,
        })
    }

    /// Stops the emulator and waits until it no longer listens.
    pub async fn stop(mut self) {
        self.server.shutdown().await;
    }

    /// Returns the address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns its URL, such as `http://127.0.0.1:18080`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Appends a fault to the script.
    pub fn script(&self, fault: impl Into<Fault>) {
        self.service.controls().script.append(fault.into());
    }

    /// Limits how many calls the account may make in a second of the emulator's clock, or lifts
    /// the limit. Zero refuses every call.
    pub fn limit_rate(&self, calls_per_second: Option<u32>) {
        self.service.controls().rate_limit.replace(calls_per_second);
    }

    /// Sets the emulator's clock so many seconds ahead of the real one, or behind if negative.
    pub fn offset_clock(&self, seconds: i64) {
        self.service.clock.set_offset(seconds);
    }

    /// Replaces the credential that is accepted.
    pub fn replace_account(&self, account: Account) {
        self.service.controls().account = account;
    }

    /// Returns the last 1,000 calls received, oldest first. A call is on record once it is decided
    /// how it will be answered, and before it is.
    pub fn calls(&self) -> Vec<ReceivedCall> {
        self.service.calls.received()
    }

    /// Returns how many calls were answered with each code, those that succeeded under an empty one.
    ///
    /// Calls that a fault befell are counted by its code, or as if they had succeeded if it has none.
    pub fn tally(&self) -> BTreeMap<String, u64> {
        self.service.calls.tally()
    }

    /// Waits until at least `count` calls were received, and returns them as [`calls`](Self::calls)
    /// does.
    pub async fn called(&self, count: usize) -> Vec<ReceivedCall> {
        self.service.calls.reach(count).await;
        self.calls()
    }

    /// Waits until the client has closed the connection of at least `count` calls that were being
    /// delayed or held.
    pub async fn abandoned(&self, count: usize) {
        self.service.calls.reach_abandoned(count).await;
    }
}

async fn accept(listener: TcpListener, service: Arc<Service>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection::serve(stream, Arc::clone(&service)));
                }
                Err(error) => {
                    tracing::debug!(%error, "emulator cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Keeps the loop from spinning while, say, file descriptors are used up.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn a_stopped_emulator_no_longer_listens() {
        let emulator = start().await;
        let address = emulator.address();
        assert!(TcpStream::connect(address).await.is_ok());
        emulator.stop().await;
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn a_dropped_emulator_closes_its_connections() {
        let emulator = start().await;
        let stream = TcpStream::connect(emulator.address()).await.unwrap();
        drop(emulator);
        stream.readable().await.unwrap();
        let read = stream.try_read(&mut [0]).map_err(|error| error.kind());
        assert!(
            matches!(read, Ok(0) | Err(io::ErrorKind::ConnectionReset)),
            "{read:?}"
        );
    }

    async fn start() -> Emulator {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        Emulator::start(listen, Fixtures::default()).await.unwrap()
    }
}
