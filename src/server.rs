//! The door: binds, wires everything together once, serves, and drains.

mod access_log;
mod admin;
mod admission;
mod age;
mod callers;
mod calls;
mod connections;
mod ending;
mod handshake;
mod health;
mod peer;
mod preface;
mod readiness;
mod reload;
mod routes;
mod start_up;

pub mod descriptors;
pub mod metadata;
pub mod shutdown;

use std::{io, net::SocketAddr, panic::resume_unwind, pin::pin, time::Duration};

use tokio::{net::TcpListener, sync::watch, task::JoinSet, time::sleep};
use tokio_stream::{Stream, StreamExt};

use self::{
    access_log::AccessLog, callers::Callers, calls::Calls, handshake::Handshake,
    readiness::Readiness, reload::Reloading, routes::Routes, shutdown::Signal,
};
use crate::{config, service::FaceRecognition, telemetry::LogControl, upstream::Client};

/// A service that listens, and answers nobody until it is run.
#[derive(Debug)]
#[must_use = "a bound server answers nobody until it is run"]
pub struct Server {
    grpc: TcpListener,
    admin: TcpListener,
    addresses: Addresses,
    handshake: Handshake,
    calls: Calls,
    reloading: Reloading,
    readiness: Readiness,
    client: Client,
    log_control: Option<LogControl>,
    max_call_time: Duration,
    bounds: config::Connections,
}

/// Where a server listens, with the ports that it was given for port 0.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Addresses {
    /// For gRPC.
    pub grpc: SocketAddr,
    /// For operators.
    pub admin: SocketAddr,
}

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },

    /// The descriptors of the protocol cannot be read.
    #[error("server reflection cannot be set up")]
    Reflection(#[from] tonic_reflection::server::Error),

    /// Signals cannot be listened for.
    #[error("SIGHUP cannot be listened for")]
    Signal(#[source] io::Error),
}

impl Server {
    /// Opens the sockets, and wires everything that stands behind them.
    ///
    /// `log_control` lets the admin port change what is logged.
    ///
    /// # Errors
    ///
    /// Fails if a socket cannot be opened.
    pub async fn bind(
        settings: &config::Serve,
        client: Client,
        log_control: Option<LogControl>,
    ) -> Result<Self, BindError> {
        let are_verified = settings.credentials.verify_upstream;
        let readiness = Readiness::new(client.credentials().clone(), are_verified);
        let routes = Routes::new(FaceRecognition::new(client.clone()), readiness.clone())?;
        let access_log = AccessLog::new(&settings.log);
        let (grpc, grpc_address) = listen(settings.listening.grpc).await?;
        let (admin, admin_address) = listen(settings.listening.admin).await?;
        let callers = Callers::new(&settings.callers);
        warn_if_open(&settings.callers, grpc_address);
        Ok(Self {
            grpc,
            admin,
            addresses: Addresses {
                grpc: grpc_address,
                admin: admin_address,
            },
            handshake: Handshake::new(settings.callers.tls.clone(), callers.clone()),
            calls: Calls::new(routes, callers, access_log, &settings.calls),
            reloading: Reloading::new(&settings.callers).map_err(BindError::Signal)?,
            readiness,
            client,
            log_control,
            max_call_time: settings.calls.max_call_time,
            bounds: settings.connections,
        })
    }

    /// Returns where the server listens.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Serves until the first of `signals`, and then until the calls in progress are answered.
    ///
    /// As it stops, health turns to NOT_SERVING. After the delay, which a signal from a terminal and
    /// every second signal skip, connections are told to go away, and streams that watch the health
    /// end. Calls still in progress after the drain timeout are cut, as they are by a signal from a
    /// terminal that arrives meanwhile.
    pub async fn run(self, signals: impl Stream<Item = Signal>) {
        // The sockets are open: whoever connects from now on is answered.
        let latches = start_up::latch(self.client, self.readiness.clone(), self.max_call_time);
        let mut start_up = start_up::begin(latches).await;
        self.readiness.set_listening();

        // All end, with all their connections, when this future does.
        let mut grpc = JoinSet::new();
        let mut admin = JoinSet::new();
        let mut reloading = JoinSet::new();
        reloading.spawn(self.reloading.run());
        let (stop, stopping) = watch::channel(());
        let bounds = self.bounds;
        grpc.spawn(connections::serve_http2(
            self.grpc,
            self.handshake,
            self.calls.into(),
            bounds,
            stopping,
        ));
        let router = admin::router(self.readiness.clone(), self.log_control);
        admin.spawn(connections::serve_http1(self.admin, router));
        let mut signals = pin!(signals);

        let signal = tokio::select! {
            signal = signals.next() => signal,
            Some(ended) = grpc.join_next() => ended.map_or_else(
                |error| resume_unwind(error.into_panic()),
                |()| None,
            ),
        };

        start_up.shutdown().await;
        self.readiness.set_stopping();
        let unready_delay = match signal {
            Some(Signal::Terminate) => bounds.unready_delay,
            Some(Signal::Interrupt) | None => Duration::ZERO,
        };
        tracing::info!(
            signal = signal.map(tracing::field::display),
            ?unready_delay,
            "stopping"
        );
        tokio::select! {
            () = sleep(unready_delay) => {}
            Some(_) = signals.next() => tracing::info!("the delay is skipped"),
        }

        drop(stop);
        self.readiness.end_watches();
        let mut interrupts = signals.filter(|signal| *signal == Signal::Interrupt);
        tokio::select! {
            _ = grpc.join_next() => return,
            () = sleep(bounds.drain_timeout) => {}
            Some(_) = interrupts.next() => {}
        }
        tracing::warn!("calls are still in progress, and are cut");
    }
}

/// Says so if everybody who reaches the service may call it, which is as it should be behind a
/// sidecar, and nowhere else.
fn warn_if_open(settings: &config::Callers, address: SocketAddr) {
    let is_local = address.ip().to_canonical().is_loopback();
    if !is_local && settings.tls.is_none() && settings.tokens.is_none() {
        tracing::warn!(
            grpc.address = %address,
            "whoever reaches the gRPC port may call, in plain text: unless a sidecar guards it, set \
             --tls-cert, --tls-client-ca or --tokens-file",
        );
    }
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), BindError> {
    let listen = async {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    listen
        .await
        .map_err(|source| BindError::Listen { address, source })
}
