//! Emulator of the Tencent Cloud API of Face Recognition, for tests and for trying a client without an
//! account.
//!
//! It verifies signatures, applies the documented rules for parameters and paging, and reproduces the
//! API's peculiarities: errors over HTTP 200, an unknown person as a response with nothing but a
//! `RequestId`. A script of faults makes it fail on demand. The same address also serves the Security
//! Token Service (STS), whose temporary credentials the emulator accepts until they expire, and the
//! metadata service of a cloud instance. It is written from the API's documentation and must not use any
//! other crate of this workspace: two independent implementations of the same text check each other. The
//! `world` module defines the order in which a request is checked.
//!
//! ```
//! use iai_emulator::{Emulator, FaultKind, Fixtures};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let emulator = Emulator::start(([127, 0, 0, 1], 0).into(), Fixtures::default()).await?;
//! emulator.script(FaultKind::api_error("InternalError"));
//!
//! // A client that signs as `AKIDEMULATOR` with `emulator-secret` sends its requests to this URL.
//! let endpoint = emulator.endpoint();
//! # assert!(endpoint.starts_with("http://127.0.0.1:"));
//! # Ok(())
//! # }
//! ```

use std::{collections::BTreeMap, io, net::SocketAddr, sync::Arc, time::Duration};

pub use account::Account;
pub use actions::Action;
use control::{Control, token::Token};
pub use faults::{Cut, Fault, FaultKind, Page, Probability};
pub use fixtures::{Changes, Fixtures, FixturesError};
pub use received_request::ReceivedRequest;
use secrecy::SecretString;
use tokio::task::JoinSet;
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};
pub use verification::SignatureRejection;
use worlds::Worlds;

mod account;
mod actions;
mod call_log;
mod clock;
mod collection;
mod connection;
mod control;
mod dataset;
mod envelope;
mod faults;
mod fixtures;
mod headers;
mod identifier;
mod instance_metadata;
mod issued_credentials;
mod listener;
mod memory_budget;
mod oversized_body;
mod parameters;
mod rate_limit;
mod received_request;
mod reply;
mod request_body;
mod request_log;
mod script;
mod sts;
mod verification;
mod world;
mod worlds;

/// A running emulator. Dropping it stops the emulator.
#[derive(Debug)]
pub struct Emulator {
    address: SocketAddr,
    worlds: Arc<Worlds>,
    /// The tasks that accept connections and own them.
    server: JoinSet<()>,
}

impl Emulator {
    /// Starts an emulator. Port 0 selects a free port.
    ///
    /// # Errors
    ///
    /// Fails if the listener cannot bind to the address.
    pub async fn start(listen: SocketAddr, fixtures: Fixtures) -> io::Result<Self> {
        Self::bind(listen, fixtures, None).await
    }

    /// Starts an emulator that accepts TLS, by this configuration, as well as plain text on its port.
    ///
    /// # Errors
    ///
    /// Fails if the listener cannot bind to the address.
    pub async fn start_with_tls(
        listen: SocketAddr,
        fixtures: Fixtures,
        tls: Arc<ServerConfig>,
    ) -> io::Result<Self> {
        Self::bind(listen, fixtures, Some(tls.into())).await
    }

    async fn bind(
        listen: SocketAddr,
        fixtures: Fixtures,
        tls: Option<TlsAcceptor>,
    ) -> io::Result<Self> {
        let listener = listener::bind(listen)?;
        let address = listener.local_addr()?;
        let worlds = Arc::new(Worlds::new(fixtures));
        let mut server = JoinSet::new();
        let served = Arc::clone(&worlds);
        let serve = move |stream| connection::serve(stream, tls.clone(), Arc::clone(&served));
        server.spawn(listener::accept(listener, serve));
        Ok(Self {
            address,
            worlds,
            server,
        })
    }

    /// Starts the control API, described by the document at its path `/v1/openapi.json`, and returns its
    /// address. With a token, its requests must carry it.
    ///
    /// # Errors
    ///
    /// Fails if the listener cannot bind to the address, and for an address other than loopback without a
    /// token: every host that reaches it would control the emulator.
    pub async fn start_control(
        &mut self,
        listen: SocketAddr,
        token: Option<&SecretString>,
    ) -> io::Result<SocketAddr> {
        if token.is_none() && !listen.ip().is_loopback() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a control API beyond loopback requires a token",
            ));
        }
        let listener = listener::bind(listen)?;
        let address = listener.local_addr()?;
        let control = Control::new(Arc::clone(&self.worlds), token.map(Token::from));
        let control = Arc::new(control);
        let serve = move |stream| Arc::clone(&control).serve(stream);
        self.server.spawn(listener::accept(listener, serve));
        Ok(address)
    }

    /// Stops the emulator and waits until its sockets are closed.
    pub async fn stop(mut self) {
        self.server.shutdown().await;
    }

    /// Returns the address of the listener.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the URL of the listener, such as `http://127.0.0.1:18080`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Replaces the fixtures, and returns to the state that they define: account, clock, rate limit, groups,
    /// persons and script, without received requests. Issued credentials stay valid. Returns what differs
    /// from the previous fixtures.
    pub fn reload(&self, fixtures: Fixtures) -> Changes {
        self.worlds.reload(fixtures)
    }

    /// Appends a fault to the script.
    pub fn script(&self, fault: impl Into<Fault>) {
        self.worlds.main().state().script.append(fault.into());
    }

    /// Removes all remaining faults from the script.
    pub fn clear_script(&self) {
        self.worlds.main().state().script.clear();
    }

    /// Sets the account's limit, in requests per second of the emulator's clock, or removes it.
    /// Zero rejects every request.
    pub fn set_rate_limit(&self, requests_per_second: Option<u32>) {
        self.worlds
            .main()
            .state()
            .rate_limit
            .replace(requests_per_second);
    }

    /// Sets the offset of the emulator's clock from the system clock; negative offsets are behind.
    pub fn set_clock_offset(&self, seconds: i64) {
        self.worlds.main().clock.set_offset(seconds);
    }

    /// Replaces all accepted accounts by this one.
    pub fn replace_account(&self, account: Account) {
        let mut state = self.worlds.main().state();
        state.account = account;
        state.further_accounts.clear();
    }

    /// Accepts one more account until the next [`replace_account`](Self::replace_account). During a key
    /// rotation two accounts are valid.
    pub fn add_account(&self, account: Account) {
        self.worlds.main().state().further_accounts.push(account);
    }

    /// Sets the lifetime of the temporary credentials issued from now on, in whole seconds. It overrides
    /// the requested duration.
    pub fn set_credential_lifetime(&self, lifetime: Duration) {
        self.worlds.main().state().issued.set_lifetime(lifetime);
    }

    /// Sets or removes the role of the instance whose metadata service this is. The default is no
    /// role.
    pub fn set_instance_role(&self, role: Option<&str>) {
        self.worlds.main().state().instance_role = role.map(str::to_owned);
    }

    /// Replaces the token that authenticates a service account. The default is
    /// `emulator-web-identity`.
    pub fn set_web_identity_token(&self, token: &str) {
        self.worlds.main().state().web_identity = token.into();
    }

    /// Waits until at least `count` temporary credentials were issued and returns the last 1,000,
    /// oldest first.
    pub async fn wait_for_credentials(&self, count: usize) -> Vec<Account> {
        let mut issued = self.worlds.main().issued.subscribe();
        // Fails only if the sender is dropped, and the borrowed service owns it.
        let _ = issued.wait_for(|issued| *issued >= count).await;
        self.worlds.main().state().issued.accounts()
    }

    /// Returns the last 1,000 received requests, oldest first. A request is logged after its response
    /// is determined and before the response is sent.
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.worlds.main().request_log.received()
    }

    /// Returns the number of requests by error code; the empty code counts successes.
    ///
    /// A request that met a fault counts under the fault's code, or as a success if the fault has none.
    pub fn counts_by_code(&self) -> BTreeMap<String, u64> {
        self.worlds.main().request_log.counts_by_code()
    }

    /// Waits until at least `count` requests were received and returns what
    /// [`requests`](Self::requests) returns.
    pub async fn wait_for_requests(&self, count: usize) -> Vec<ReceivedRequest> {
        self.worlds
            .main()
            .request_log
            .wait_for_requests(count)
            .await;
        self.requests()
    }

    /// Waits until clients have closed the connections of at least `count` requests that a fault was
    /// delaying or holding.
    pub async fn wait_for_disconnects(&self, count: usize) {
        self.worlds
            .main()
            .request_log
            .wait_for_disconnects(count)
            .await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn a_stopped_emulator_closes_its_listener() {
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
