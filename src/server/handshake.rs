//! The beginning of a connection, before anything else is kept for it.

use std::{
    collections::BTreeMap,
    error::Error,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::oneshot,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use super::{
    callers::{Callers, Shown},
    preface,
};
use crate::{chain::chain, config};

/// How long a connection may take to begin: encryption and the first bytes together.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How many connections may be at their beginning.
///
/// Few enough to leave descriptors for the others where a process has 1024.
const MAX_BEGINNING: usize = 512;

/// A connection that has begun, whether it is encrypted or not.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Begins connections.
///
/// There is room for a number of them. One more takes the place of the one that has been at it for
/// the longest, which is closed: whoever opens thousands and says nothing displaces itself, and not
/// those who are done in a few round trips.
#[derive(Clone, Debug)]
pub(super) struct Handshake {
    tls: Option<config::Tls>,
    callers: Callers,
    beginning: Arc<Mutex<Beginning>>,
}

/// The connections that are at their beginning, by the order in which they came.
#[derive(Debug, Default)]
struct Beginning {
    next: u64,
    /// Each is told to end by the loss of its sender.
    places: BTreeMap<u64, oneshot::Sender<()>>,
}

impl Handshake {
    /// Returns what begins connections with `tls`, if they are to be encrypted, and has `callers`
    /// judge the certificates that are shown.
    pub(super) fn new(tls: Option<config::Tls>, callers: Callers) -> Self {
        Self {
            tls,
            callers,
            beginning: Arc::default(),
        }
    }

    /// Waits until a client has begun to speak HTTP/2, within TLS if that is wanted, and returns its
    /// connection with what it has shown of itself.
    ///
    /// # Errors
    ///
    /// Fails if anything else arrives, nothing arrives in time, and if there is no room.
    pub(super) async fn begin(
        &self,
        stream: TcpStream,
    ) -> Result<(Box<dyn Stream>, Shown), Box<dyn Error + Send + Sync>> {
        let (place, displaced) = self.place();
        let begun = tokio::select! {
            begun = timeout(TIMEOUT, self.shaken(stream)) => begun??,
            _ = displaced => return Err("too many connections are at their beginning".into()),
        };
        drop(place);
        Ok(begun)
    }

    async fn shaken(&self, stream: TcpStream) -> io::Result<(Box<dyn Stream>, Shown)> {
        let Some(tls) = &self.tls else {
            let (receiving, sending) = stream.into_split();
            let stream = preface::read(receiving, sending).await?;
            return Ok((Box::new(stream), Shown::Nothing));
        };
        let acceptor = TlsAcceptor::from(tls.config.current());
        let address = stream.peer_addr()?;
        let accepted = acceptor.accept(stream).await;
        let stream = accepted.inspect_err(|error| {
            if is_of_certificate(error) {
                let error = chain(error);
                tracing::info!(peer.address = %address, error, "a certificate is not accepted");
            }
        })?;
        let certificates = stream.get_ref().1.peer_certificates();
        let shown = self.callers.shown(certificates.and_then(<[_]>::first));
        let (receiving, sending) = tokio::io::split(stream);
        let stream = preface::read(receiving, sending).await?;
        Ok((Box::new(stream), shown))
    }

    /// Takes a place, and returns it with what completes when another takes it.
    fn place(&self) -> (Place, oneshot::Receiver<()>) {
        let (sender, displaced) = oneshot::channel();
        let mut beginning = lock(&self.beginning);
        let number = beginning.next;
        beginning.next += 1;
        beginning.places.insert(number, sender);
        if beginning.places.len() > MAX_BEGINNING {
            beginning.places.pop_first();
        }
        drop(beginning);
        let beginning = Arc::clone(&self.beginning);
        (Place { number, beginning }, displaced)
    }
}

/// Tells whether a client has shown a certificate that is not accepted: whoever runs the service may
/// have given it the wrong authorities.
fn is_of_certificate(error: &io::Error) -> bool {
    let error = error.get_ref().and_then(|error| error.downcast_ref());
    matches!(error, Some(rustls::Error::InvalidCertificate(_)))
}

/// A place among the connections that are at their beginning, until it is dropped.
struct Place {
    number: u64,
    beginning: Arc<Mutex<Beginning>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.beginning).places.remove(&self.number);
    }
}

fn lock(beginning: &Mutex<Beginning>) -> MutexGuard<'_, Beginning> {
    beginning.lock().unwrap_or_else(PoisonError::into_inner)
}
