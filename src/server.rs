//! Server: binds the ports, connects the layers, serves calls, and drains them at shutdown.

mod access_log;
mod activity;
mod admin;
mod audit_log;
mod call_metrics;
mod call_span;
mod caller_metrics;
mod calls;
mod connection_metrics;
mod connection_slots;
mod connections;
mod expiry;
mod graceful_close;
mod handshake;
mod handshake_log;
mod health;
mod listener;
mod loopback;
mod max_connection_age;
mod metrics;
mod peer;
mod preface;
mod readiness;
mod recent_errors;
mod rejection_log;
mod reload;
mod reload_metrics;
mod response_body;
mod routes;
mod start_up;
mod state_changes;
mod status_page;
mod stream_executor;
mod subject_hash;
mod unix_listener;
mod usage;

pub mod fd_limit;
pub mod metadata;
pub mod shutdown;

use std::{io, net::SocketAddr, panic::resume_unwind, pin::pin, sync::Arc, time::Duration};

use tokio::{net::TcpListener, sync::watch, task::JoinSet, time::sleep};
use tokio_stream::{Stream, StreamExt};

use self::{
    access_log::AccessLog,
    audit_log::AuditLog,
    call_metrics::CallMetrics,
    calls::Calls,
    connection_metrics::ConnectionMetrics,
    connection_slots::ConnectionSlots,
    expiry::Expiry,
    handshake::Handshake,
    listener::Listener,
    metrics::ServerCollector,
    readiness::Readiness,
    reload::Reloading,
    reload_metrics::ReloadMetrics,
    routes::Routes,
    shutdown::Signal,
    status_page::{Counters, Sources},
    subject_hash::SubjectHash,
};
use crate::{
    auth::{AuthFiles, Authenticator},
    clock::Clock,
    config::{self, ListenAddress},
    files::reload_requests::ReloadRequests,
    metrics::Registry,
    service::FaceRecognition,
    telemetry::LogControl,
    trace::Tracer,
    upstream::Client,
};

/// A server with open sockets, which accepts connections once it runs.
#[derive(Debug)]
#[must_use = "a bound server accepts no connections until it runs"]
pub struct Server {
    grpc: Vec<Listener>,
    admin: TcpListener,
    addresses: Addresses,
    slots: ConnectionSlots,
    connections: ConnectionMetrics,
    handshake: Handshake,
    calls: Arc<Calls>,
    registry: Arc<Registry>,
    status: Sources,
    reloading: Reloading,
    readiness: Readiness,
    expiry: Expiry,
    client: Client,
    audit_log: Option<AuditLog>,
    reopening: ReloadRequests,
    log_control: Option<LogControl>,
    max_call_time: Duration,
    bounds: config::Connections,
}

/// The addresses of a server's listeners, with the ports that the system assigned for port 0.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Addresses {
    /// The gRPC addresses, in the order of the setting.
    pub grpc: Vec<ListenAddress>,
    /// The admin port.
    pub admin: SocketAddr,
}

/// The reason why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// A socket cannot be bound.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: ListenAddress,
        /// The error of the operating system, or what occupies the path of a Unix socket.
        source: io::Error,
    },

    /// The protocol's descriptors cannot be decoded.
    #[error("cannot set up server reflection")]
    Reflection(#[from] tonic_reflection::server::Error),

    /// The audit log cannot be opened.
    #[error("cannot open the audit log: correct --audit-log or the permissions of its file")]
    AuditLog(#[source] io::Error),

    /// The signal handler cannot be installed.
    #[error("cannot listen for SIGHUP")]
    Signal(#[source] io::Error),
}

impl Server {
    /// Opens the sockets, and connects the layers behind them.
    ///
    /// `files` are those of `settings.callers`. `log_control` lets the admin port change the log level. `tracer`
    /// begins the traces of calls.
    ///
    /// # Errors
    ///
    /// Returns an error if a socket cannot be bound, the audit log cannot be opened, server reflection cannot
    /// be set up, or SIGHUP cannot be listened for.
    pub async fn bind(
        settings: &config::Serve,
        files: &AuthFiles,
        client: Client,
        log_control: Option<LogControl>,
        tracer: Tracer,
    ) -> Result<Self, BindError> {
        let audit_log = open_audit_log(&settings.log, client.clock())?;
        let are_verified = settings.credentials.verify_upstream;
        let readiness = Readiness::new(client.credentials().clone(), are_verified);
        let routes = Routes::new(FaceRecognition::new(client.clone()), readiness.clone())?;
        let mut registry = Registry::default();
        let (grpc, grpc_addresses) = listen(&settings.listening)?;
        let access_log = AccessLog::new(
            &settings.log,
            CallMetrics::new(&settings.metrics, &mut registry),
            client.clock().clone(),
        );
        let (admin, admin_address) = listen_admin(settings.listening.admin)?;
        let authenticator = Authenticator::new(&settings.callers, files);
        warn_if_open(files, &grpc_addresses);
        let expiry = Expiry {
            tls: files.tls.clone(),
            credentials: client.credentials().clone(),
            clock: client.clock().clone(),
        };
        let handshake = Handshake::new(files.tls.clone(), authenticator.clone());
        tracer.counters().register(&mut registry);
        let calls = Calls::new(routes, authenticator, access_log, tracer, &settings.calls);
        let calls = Arc::new(calls.audited(audit_log.clone()));
        let slots = ConnectionSlots::new("grpc", settings.connections.max_connections);
        let connections = ConnectionMetrics::default();
        let collector = ServerCollector {
            calls: Arc::clone(&calls),
            slots: slots.clone(),
            connections: connections.clone(),
            readiness: readiness.clone(),
            client: client.clone(),
            log_control: log_control.clone(),
            expiry: expiry.clone(),
        };
        collector.register(&mut registry);
        let counters = Counters {
            calls: Arc::clone(&calls),
            slots: slots.clone(),
            client: client.clone(),
        };
        let status = Sources::new(settings, counters, readiness.clone(), expiry.clone());
        let reloads = ReloadMetrics::new(&mut registry, client.clock().clone());
        Ok(Self {
            grpc,
            admin,
            addresses: Addresses {
                grpc: grpc_addresses,
                admin: admin_address,
            },
            slots,
            connections,
            handshake,
            calls,
            registry: Arc::new(registry),
            status,
            reloading: Reloading::new(files, client.clock().clone(), reloads)
                .map_err(BindError::Signal)?,
            readiness,
            expiry,
            client,
            audit_log,
            reopening: ReloadRequests::listen().map_err(BindError::Signal)?,
            log_control,
            max_call_time: settings.calls.max_call_time,
            bounds: settings.connections,
        })
    }

    /// Returns the addresses of the listeners.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Serves until the first of `signals`, and then until the calls in progress have ended.
    ///
    /// At the first signal, health changes to NOT_SERVING. After the unready delay, which SIGINT and any
    /// second signal skip, the server sends GOAWAY on each connection and ends the health watches. Calls
    /// still in progress after the drain timeout are cancelled; SIGINT during the drain cancels them at
    /// once. A server that was never ready stops at once, since load balancers have not sent it calls.
    ///
    /// At the end, waits for the lines of the audit log, up to 2 s.
    pub async fn run(self, signals: impl Stream<Item = Signal>) {
        let audit_log = self.audit_log.clone();
        self.serve(signals).await;
        if let Some(audit_log) = audit_log {
            audit_log.close().await;
        }
    }

    async fn serve(self, signals: impl Stream<Item = Signal>) {
        let state_changes = state_changes::log(self.client.clone(), Arc::clone(&self.calls));
        // The sockets are open: clients can connect from now on.
        let conditions =
            start_up::set_conditions(self.client, self.readiness.clone(), self.max_call_time);
        let mut start_up = start_up::spawn_pending(conditions).await;
        self.readiness.set_listening();

        // Dropping this future ends all tasks and their connections.
        let mut grpc = JoinSet::new();
        let mut admin = JoinSet::new();
        let mut reloading = JoinSet::new();
        reloading.spawn(self.reloading.run());
        reloading.spawn(self.expiry.clone().watch());
        if let Some(audit_log) = self.audit_log {
            reloading.spawn(audit_log.reopen_at(self.reopening));
        }
        let (stop, stopping) = watch::channel(());
        let bounds = self.bounds;
        for listener in self.grpc {
            grpc.spawn(connections::serve_http2(
                listener,
                (self.slots.clone(), self.connections.clone()),
                self.handshake.clone(),
                Arc::clone(&self.calls),
                bounds,
                stopping.clone(),
            ));
        }
        admin.spawn(self.status.record());
        admin.spawn(state_changes);
        let router = admin::router(
            self.readiness.clone(),
            self.expiry,
            self.registry,
            self.log_control,
            self.status,
        );
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
        let was_ready = self.readiness.conditions().are_met();
        self.readiness.set_stopping();
        let unready_delay = match signal {
            Some(Signal::Terminate) if was_ready => bounds.unready_delay,
            Some(Signal::Interrupt | Signal::Terminate) | None => Duration::ZERO,
        };
        tracing::info!(
            signal = signal.map(tracing::field::display),
            unready_delay = %humantime::format_duration(unready_delay),
            "stopping"
        );
        if !was_ready {
            return;
        }
        tokio::select! {
            () = sleep(unready_delay) => {}
            Some(_) = signals.next() => tracing::info!("unready delay skipped"),
        }

        drop(stop);
        self.readiness.end_watches();
        let mut interrupts = signals.filter(|signal| *signal == Signal::Interrupt);
        tokio::select! {
            () = async { while grpc.join_next().await.is_some() {} } => return,
            () = sleep(bounds.drain_timeout) => {}
            Some(_) = interrupts.next() => {}
        }
        tracing::warn!("drain ended, cancelling the calls in progress");
    }
}

/// Logs a warning for each gRPC port that is not on loopback if clients are not authenticated, which is
/// appropriate only behind a sidecar.
fn warn_if_open(files: &AuthFiles, addresses: &[ListenAddress]) {
    if files.tls.is_some() || files.tokens.is_some() {
        return;
    }
    for address in addresses {
        let is_local = match address {
            ListenAddress::Tcp(address) => address.ip().to_canonical().is_loopback(),
            ListenAddress::Unix(_) => true,
        };
        if !is_local {
            tracing::warn!(
                grpc.address = %address,
                "gRPC port accepts unauthenticated clients in plain text: unless a sidecar protects it, set \
                 --tls-cert, --tls-client-ca or --tokens-file",
            );
        }
    }
}

fn open_audit_log(settings: &config::Log, clock: &Clock) -> Result<Option<AuditLog>, BindError> {
    let Some(target) = &settings.audit else {
        return Ok(None);
    };
    let hash = SubjectHash::new(settings.hash_key.as_ref());
    let opened = AuditLog::open(target, hash, clock.clone());
    opened.map(Some).map_err(BindError::AuditLog)
}

fn listen(settings: &config::Listening) -> Result<(Vec<Listener>, Vec<ListenAddress>), BindError> {
    let listen = |address: &ListenAddress| {
        Listener::bind(address, settings.mode).map_err(|source| BindError::Listen {
            address: address.clone(),
            source,
        })
    };
    let bound: Result<Vec<_>, _> = settings.grpc.iter().map(listen).collect();
    Ok(bound?.into_iter().unzip())
}

fn listen_admin(address: SocketAddr) -> Result<(TcpListener, SocketAddr), BindError> {
    let listen = || {
        let listener = listener::bind_tcp(address)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    listen().map_err(|source| BindError::Listen {
        address: ListenAddress::Tcp(address),
        source,
    })
}
