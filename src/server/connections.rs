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
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::timeout,
};

use super::{calls::Calls, preface};

/// Calls in progress on one connection.
const MAX_CONCURRENT_STREAMS: u32 = 256;

/// All header fields of one call together, in bytes.
const MAX_HEADER_LIST_BYTES: u32 = 16 << 10;

/// How often a connection is asked whether it is still there, and how long it may take to answer.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the first bytes of a connection may take to arrive.
const PREFACE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the head of a request may take to arrive on the admin port.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long to wait before accepting again when the system refuses, as it does without descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Completes when the sender of the channel is dropped: when it is time to stop.
type Stopping = watch::Receiver<()>;

/// Serves gRPC until told to stop, and then until the calls in progress are answered.
pub(super) async fn serve_http2(listener: TcpListener, calls: Calls, stopping: Stopping) {
    let mut http2 = http2::Builder::new(TokioExecutor::new());
    http2
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_CONCURRENT_STREAMS)
        .max_header_list_size(MAX_HEADER_LIST_BYTES)
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT);

    let mut stop = stopping.clone();
    let stop = async move { drop(stop.changed().await) };
    accept(listener, stop, |stream, peer| {
        let (calls, mut stopping) = (calls.clone(), stopping.clone());
        let service = service_fn(move |request| {
            let calls = calls.clone();
            async move { Ok::<_, Infallible>(calls.answer(request, peer).await) }
        });
        let http2 = http2.clone();
        async move {
            let stream = tokio::select! {
                prefaced = timeout(PREFACE_TIMEOUT, preface::read(stream)) => match prefaced {
                    Ok(Ok(stream)) => stream,
                    Ok(Err(error)) => return log_end(peer, &error),
                    Err(late) => return log_end(peer, &late),
                },
                _ = stopping.changed() => return,
            };
            let mut connection = pin!(http2.serve_connection(TokioIo::new(stream), service));
            let ended = tokio::select! {
                ended = &mut connection => ended,
                _ = stopping.changed() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                log_end(peer, &error);
            }
        }
    })
    .await;
}

/// Serves plain HTTP for as long as it is polled: probes ask until the very end.
pub(super) async fn serve_http1(listener: TcpListener, router: axum::Router) {
    let mut http1 = http1::Builder::new();
    http1
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .keep_alive(false);

    accept(listener, future::pending(), |stream, peer| {
        let service = TowerToHyperService::new(router.clone().layer(Extension(peer)));
        let connection = http1.serve_connection(TokioIo::new(stream), service);
        async move {
            if let Err(error) = connection.await {
                log_end(peer, &error);
            }
        }
    })
    .await;
}

/// Accepts connections until `stop` completes, and then waits for those that are left.
///
/// Dropping the future ends them all at once.
async fn accept<F>(
    listener: TcpListener,
    stop: impl Future<Output = ()>,
    serve: impl Fn(TcpStream, SocketAddr) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    // Answers are small, and must not wait to be sent with the next one.
                    let _ = stream.set_nodelay(true);
                    connections.spawn(serve(stream, peer));
                }
                Err(error) => pause_after(&error).await,
            },
            Some(_) = connections.join_next() => {}
            () = &mut stop => break,
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Waits before the next attempt if accepting failed for want of something that others hold.
async fn pause_after(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};

    if !matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted
    ) {
        tracing::warn!(%error, "cannot accept a connection");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

fn log_end(peer: SocketAddr, error: &(dyn Error + 'static)) {
    tracing::debug!(peer.address = %peer, error, "a connection broke");
}
