//! Connection handshake: TLS and the HTTP/2 preface, with a limit on time and on pending handshakes.

use std::{collections::BTreeMap, error::Error, io, net::SocketAddr, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::oneshot,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use super::{
    connection_metrics::EndReason,
    handshake_log::{Cause, HandshakeLog},
    listener::Socket,
    preface,
};
use crate::{
    auth::{Authenticator, ClientCertificate},
    files::file_watcher::FileWatcher,
    tls::server::ServerTls,
};

/// The timeout of the TLS handshake and the HTTP/2 preface together.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The maximum number of pending handshakes.
///
/// Low enough to leave descriptors for other connections in a process with a limit of 1024.
const MAX_PENDING: usize = 512;

/// A connection after its handshake, with or without TLS.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A handshake that was not completed.
#[derive(Debug)]
pub(super) struct Rejection {
    /// The reason, for metrics.
    pub(super) reason: EndReason,
    /// The error, for the log.
    pub(super) error: Box<dyn Error + Send + Sync>,
}

/// Performs the handshakes of new connections.
///
/// The number of pending handshakes is limited. When the limit is exceeded, the oldest one is closed:
/// a client that opens thousands of connections and sends nothing displaces its own, and not those of
/// clients that complete their handshakes in a few round trips.
#[derive(Clone, Debug)]
pub(super) struct Handshake {
    tls: Option<Arc<FileWatcher<ServerTls>>>,
    authenticator: Authenticator,
    pending: Arc<Mutex<PendingHandshakes>>,
    log: HandshakeLog,
}

/// The pending handshakes, in the order of their arrival.
#[derive(Debug, Default)]
struct PendingHandshakes {
    next_number: u64,
    /// Dropping a sender ends its handshake.
    senders: BTreeMap<u64, oneshot::Sender<()>>,
}

impl Handshake {
    /// Creates a handshake with TLS, if configured, and with `authenticator`, which checks the client
    /// certificates.
    pub(super) fn new(
        tls: Option<Arc<FileWatcher<ServerTls>>>,
        authenticator: Authenticator,
    ) -> Self {
        Self {
            tls,
            authenticator,
            pending: Arc::default(),
            log: HandshakeLog::default(),
        }
    }

    /// Waits for the TLS handshake, if configured and not on a Unix socket, and the HTTP/2 preface, and returns the connection and
    /// its client certificate.
    ///
    /// # Errors
    ///
    /// Returns an error if the client sends anything else or nothing in time, or if more recent
    /// handshakes displace this one.
    pub(super) async fn accept(
        &self,
        socket: Socket,
    ) -> Result<(Box<dyn Stream>, ClientCertificate), Rejection> {
        let encrypting = self.encrypting(&socket);
        let (pending, displaced) = self.register();
        let mut is_encrypted = false;
        let accepted = tokio::select! {
            accepted = timeout(TIMEOUT, self.negotiate(socket, &mut is_encrypted)) => {
                let timed_out = (Cause::TimedOut, EndReason::HandshakeTimeout);
                accepted.map_err(|elapsed| (timed_out, elapsed.to_string()))
            }
            _ = displaced => {
                let displaced = (Cause::Displaced, EndReason::HandshakeDisplaced);
                Err((displaced, "too many pending handshakes".to_owned()))
            }
        };
        let accepted = match accepted {
            Ok(accepted) => accepted?,
            Err(((cause, reason), error)) => {
                if let Some(address) = encrypting.filter(|_| !is_encrypted) {
                    self.log.note(cause, address, error.clone());
                }
                let error = error.into();
                return Err(Rejection { reason, error });
            }
        };
        drop(pending);
        Ok(accepted)
    }

    /// Performs the handshake. Sets `is_encrypted` after that of TLS.
    async fn negotiate(
        &self,
        socket: Socket,
        is_encrypted: &mut bool,
    ) -> Result<(Box<dyn Stream>, ClientCertificate), Rejection> {
        let (tls, stream, address) = match (&self.tls, socket) {
            (Some(tls), Socket::Tcp(stream, address)) => (tls, stream, address),
            (None, Socket::Tcp(stream, _)) => return unencrypted(stream.into_split()).await,
            (_, Socket::Unix(stream)) => return unencrypted(stream.into_split()).await,
        };
        let acceptor = TlsAcceptor::from(Arc::clone(&tls.current().config));
        let accepted = acceptor.accept(stream).await;
        let stream = accepted
            .inspect_err(|error| self.log.failed(address, error))
            .map_err(rejected(EndReason::TlsHandshake))?;
        *is_encrypted = true;
        let certificates = stream.get_ref().1.peer_certificates();
        let certificate = certificates.and_then(<[_]>::first);
        let certificate = self.authenticator.check_certificate(certificate);
        let (receiving, sending) = tokio::io::split(stream);
        let stream = preface::read(receiving, sending).await;
        let stream = stream.map_err(rejected(EndReason::Preface))?;
        Ok((Box::new(stream), certificate))
    }

    /// Returns the address of the client, if the connection begins with a TLS handshake.
    fn encrypting(&self, socket: &Socket) -> Option<SocketAddr> {
        match socket {
            Socket::Tcp(_, address) if self.tls.is_some() => Some(*address),
            Socket::Tcp(..) | Socket::Unix(_) => None,
        }
    }

    /// Registers a handshake as pending, and returns a future that completes when it is displaced.
    fn register(&self) -> (PendingHandshake, oneshot::Receiver<()>) {
        let (sender, displaced) = oneshot::channel();
        let mut pending = self.pending.lock();
        let number = pending.next_number;
        pending.next_number += 1;
        pending.senders.insert(number, sender);
        if pending.senders.len() > MAX_PENDING {
            pending.senders.pop_first();
        }
        drop(pending);
        let pending = Arc::clone(&self.pending);
        (PendingHandshake { number, pending }, displaced)
    }
}

/// Waits for the preface of a connection without TLS.
async fn unencrypted<R, W>(
    (receiving, sending): (R, W),
) -> Result<(Box<dyn Stream>, ClientCertificate), Rejection>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let stream = preface::read(receiving, sending).await;
    let stream = stream.map_err(rejected(EndReason::Preface))?;
    Ok((Box::new(stream), ClientCertificate::None))
}

fn rejected(reason: EndReason) -> impl FnOnce(io::Error) -> Rejection {
    move |error| Rejection {
        reason,
        error: error.into(),
    }
}

/// A pending handshake, which is removed from the others on drop.
struct PendingHandshake {
    number: u64,
    pending: Arc<Mutex<PendingHandshakes>>,
}

impl Drop for PendingHandshake {
    fn drop(&mut self) {
        self.pending.lock().senders.remove(&self.number);
    }
}
