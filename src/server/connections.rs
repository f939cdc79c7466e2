//! Accepts connections, and ends each of them gracefully.
//!
//! tonic's own server is not used: here each connection has its own limits and its own end, and
//! nothing answers for a call before our own code does.

use std::{
    convert::Infallible,
    error::Error,
    future::{self, Future},
    io,
    net::SocketAddr,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use axum::Extension;
use hyper::{
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use rustix::net::sockopt::set_tcp_user_timeout;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    age::MaxAge,
    calls::Calls,
    ending::Ending,
    handshake::{Handshake, Stream},
    peer::Peer,
};
use crate::{chain::chain, config};

/// Calls in progress on one connection.
const MAX_CONCURRENT_STREAMS: u32 = 256;

/// All header fields of one call together, in bytes.
const MAX_HEADER_LIST_BYTES: u32 = 16 << 10;

/// How often a connection is asked whether it is still there, and how long it may take to answer.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection stays open, once told to go away, without a call in progress.
const FAREWELL: Duration = Duration::from_secs(1);

/// How much longer it stays open if it is only old, and the service goes on.
const PATIENT_FAREWELL: Duration = Duration::from_secs(9);

/// How long the system tries to send something to a peer that does not take it: as long as a peer may
/// be silent.
const UNSENT_TIMEOUT_MS: u32 = 40_000;

/// How long an answer may remain unread on a connection that is to end.
const UNREAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Connections that are open on the admin port.
const MAX_ADMIN_CONNECTIONS: usize = 256;

/// How long one question and its answer may take on the admin port.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long to wait before accepting again when the system refuses, as it does without descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Completes when the sender of the channel is dropped: when it is time to stop.
type Stopping = watch::Receiver<()>;

/// Serves gRPC until told to stop, and then until the calls in progress are answered.
pub(super) async fn serve_http2(
    listener: TcpListener,
    handshake: Handshake,
    calls: Arc<Calls>,
    bounds: config::Connections,
    stopping: Stopping,
) {
    let mut http2 = http2::Builder::new(TokioExecutor::new());
    http2
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_CONCURRENT_STREAMS)
        .max_header_list_size(MAX_HEADER_LIST_BYTES)
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT);

    let mut stop = stopping.clone();
    let stop = async move { drop(stop.changed().await) };
    let max_age = MaxAge::new(bounds.max_age);
    accept(listener, bounds.max_connections, stop, |stream, address| {
        let (handshake, calls) = (handshake.clone(), Arc::clone(&calls));
        let (http2, mut stopping) = (http2.clone(), stopping.clone());
        async move {
            let served = async {
                let (stream, shown) = tokio::select! {
                    begun = handshake.begin(stream) => begun?,
                    _ = stopping.changed() => return Ok(()),
                };
                let peer = Peer::new(address, shown);
                serve_calls(stream, &peer, calls, &http2, max_age, stopping).await
            };
            if let Err(error) = served.await {
                tracing::debug!(peer.address = %address, error = chain(&*error), "a connection broke");
            }
        }
    })
    .await;
}

/// Serves the calls of one connection, to its end.
async fn serve_calls(
    stream: Box<dyn Stream>,
    peer: &Peer,
    calls: Arc<Calls>,
    http2: &http2::Builder<TokioExecutor>,
    max_age: MaxAge,
    mut stopping: Stopping,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    // All calls are answered by then, and whoever does not read the answers has had time to.
    let longest = calls.max_call_time() + UNREAD_TIMEOUT;
    let service = {
        let peer = Arc::new(peer.clone());
        service_fn(move |request| {
            let (calls, peer) = (Arc::clone(&calls), Arc::clone(&peer));
            async move { Ok::<_, Infallible>(calls.answer(request, &peer).await) }
        })
    };
    let ending = Ending::default();
    let mut connection = pin!(http2.serve_connection(TokioIo::new(ending.watch(stream)), service));
    tokio::select! {
        ended = &mut connection => return Ok(ended?),
        _ = stopping.changed() => {}
        () = max_age.reached(peer) => {}
    }
    ending.begin();
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        ended = connection => Ok(ended?),
        () = farewell(peer, stopping) => Ok(()),
        () = sleep(longest) => Ok(()),
    }
}

/// Waits until a connection that was told to go away can be closed though its peer does not.
///
/// A peer that has gone without a word does not answer, and streams that are no calls, such as those
/// of server reflection, have no end.
async fn farewell(peer: &Peer, mut stopping: Stopping) {
    loop {
        peer.idle().await;
        // There is time, until the service stops.
        let _ = timeout(PATIENT_FAREWELL, stopping.changed()).await;
        sleep(FAREWELL).await;
        if peer.is_idle() {
            return;
        }
    }
}

/// Serves plain HTTP for as long as it is polled: probes ask until the very end.
pub(super) async fn serve_http1(listener: TcpListener, router: axum::Router) {
    let mut http1 = http1::Builder::new();
    http1.keep_alive(false);

    accept(
        listener,
        MAX_ADMIN_CONNECTIONS,
        future::pending(),
        |stream, address| {
            let service = TowerToHyperService::new(router.clone().layer(Extension(address)));
            let connection = http1.serve_connection(TokioIo::new(stream), service);
            // Whoever asks and does not listen is nobody to report.
            async move { drop(timeout(EXCHANGE_TIMEOUT, connection).await) }
        },
    )
    .await;
}

/// Accepts connections until `stop` completes, and then waits for those that are left.
///
/// Dropping the future ends them all at once.
async fn accept<F>(
    listener: TcpListener,
    max_connections: usize,
    stop: impl Future<Output = ()>,
    serve: impl Fn(TcpStream, SocketAddr) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    let mut is_refused = false;
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, address)) => {
                    is_refused = false;
                    if connections.len() >= max_connections {
                        tracing::debug!(peer.address = %address, "too many connections are open");
                        continue;
                    }
                    // Answers are small, and must not wait to be sent with the next one.
                    let _ = stream.set_nodelay(true);
                    // A peer that reads nothing keeps even the news of its end from being sent.
                    let _ = set_tcp_user_timeout(&stream, UNSENT_TIMEOUT_MS);
                    connections.spawn(serve(stream, address));
                }
                Err(error) if is_passing(&error) => {}
                Err(error) => {
                    if !is_refused {
                        tracing::warn!(%error, "cannot accept connections");
                    }
                    is_refused = true;
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
            () = &mut stop => break,
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Tells whether an error is that of one connection, and says nothing of the next.
fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};

    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted
    )
}
