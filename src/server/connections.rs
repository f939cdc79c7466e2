//! Connections: accepts them, serves them within limits, and closes each one gracefully.
//!
//! tonic's server is not used, so that each connection has its own limits and its own graceful close,
//! and no layer rejects a call before `calls.rs` has seen it.

use std::{
    convert::Infallible,
    error::Error,
    future::{self, Future},
    io,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use axum::Extension;
use http::Request;
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::TcpListener,
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tower::ServiceExt;

use super::{
    activity::Activity,
    calls::Calls,
    connection_metrics::{ConnectionMetrics, CountedConnection, EndReason},
    connection_slots::ConnectionSlots,
    graceful_close::GracefulClose,
    handshake::{Handshake, Rejection, Stream},
    listener::{Accept, Listener},
    max_connection_age::MaxConnectionAge,
    peer::Peer,
    stream_executor::StreamExecutor,
    usage::Usage,
};
use crate::{config, error_chain::error_chain};

/// The maximum number of concurrent streams on one connection.
const MAX_CONCURRENT_STREAMS: u32 = 256;

/// The size of all header fields of one call at which h2 rejects it with an HTTP status, in bytes.
/// Headers below it that exceed `--max-header-bytes` fail only their own call, with a gRPC status. With
/// a lower limit, h2 would close the connection if the fields do not fit into one frame.
const MAX_HEADER_LIST_BYTES: u32 = config::MAX_HEADER_BYTES + 1;

/// The maximum number of streams that were reset before they were accepted, and are not yet dropped.
///
/// A proxy may cancel all of its calls in progress at once, for example after this process or the
/// machine was paused, and also the calls that followed them. nginx likewise accepts twice its
/// concurrent streams in one iteration of its event loop, and treats more as a flood.
const MAX_PENDING_RESETS: usize = 2 * MAX_CONCURRENT_STREAMS as usize;

/// The interval of keepalive pings, and the timeout for their acknowledgement.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// The time without a call in progress after which a connection is closed, once GOAWAY was sent.
const CLOSE_DELAY: Duration = Duration::from_secs(1);

/// The additional delay if the connection reached its maximum age while the server keeps running.
const AGED_CLOSE_DELAY: Duration = Duration::from_secs(9);

/// The time for which a response may remain unread on a connection that is closing.
const UNREAD_TIMEOUT: Duration = Duration::from_secs(30);

/// The maximum number of connections to the admin port.
const MAX_ADMIN_CONNECTIONS: usize = 256;

/// The timeout and the maximum size in bytes of request headers on the admin port.
const ADMIN_HEADER_TIMEOUT: Duration = Duration::from_secs(2);
const MAX_ADMIN_HEADER_BYTES: usize = 16 << 10;

/// The timeout of a request and its response on the admin port.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(30);

/// The pause after `accept` fails, as it does without free file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A receiver that completes when the server stops, which drops the sender.
type Stopping = watch::Receiver<()>;

/// Serves gRPC until the server stops, and then until the calls in progress have ended.
pub(super) async fn serve_http2(
    listener: Listener,
    (slots, metrics): (ConnectionSlots, ConnectionMetrics),
    handshake: Handshake,
    calls: Arc<Calls>,
    bounds: config::Connections,
    stopping: Stopping,
) {
    let mut http2 = http2::Builder::new(StreamExecutor);
    http2
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_CONCURRENT_STREAMS)
        .max_header_list_size(MAX_HEADER_LIST_BYTES)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT);

    let mut stop = stopping.clone();
    let stop = async move { drop(stop.changed().await) };
    let max_age = MaxConnectionAge::new(bounds.max_age);
    accept(listener, slots, stop, |socket, (address, port), activity| {
        let (handshake, calls) = (handshake.clone(), Arc::clone(&calls));
        let (http2, mut stopping) = (http2.clone(), stopping.clone());
        let mut counted = metrics.connection();
        async move {
            let accepted = tokio::select! {
                accepted = handshake.accept(socket) => accepted,
                _ = stopping.changed() => {
                    counted.end(EndReason::Shutdown);
                    return;
                }
            };
            let served = match accepted {
                Ok((stream, certificate)) => {
                    let usage = Usage::new(calls.usage().clone());
                    let address = (address.clone(), port);
                    let peer = Peer::new(address, certificate, activity, usage);
                    let serving = Serving { calls, http2, max_age, stopping };
                    serving.serve(stream, &peer, &mut counted).await
                }
                Err(Rejection { reason, error }) => {
                    counted.end(reason);
                    Err(error)
                }
            };
            if let Err(error) = served {
                tracing::debug!(network.peer.address = %address, network.peer.port = address.port(), error.message = error_chain(&*error), "connection failed");
            }
        }
    })
    .await;
}

/// What serves the calls of one connection.
struct Serving {
    calls: Arc<Calls>,
    http2: http2::Builder<StreamExecutor>,
    max_age: MaxConnectionAge,
    stopping: Stopping,
}

impl Serving {
    /// Serves the calls of a connection until it is closed. Tells `counted` the reason.
    async fn serve(
        self,
        stream: Box<dyn Stream>,
        peer: &Peer,
        counted: &mut CountedConnection,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let Self {
            calls,
            http2,
            max_age,
            mut stopping,
        } = self;
        // By then all calls have ended, and the client has had time to read the responses.
        let longest = calls.max_call_time() + UNREAD_TIMEOUT;
        let service = {
            let peer = Arc::new(peer.clone());
            service_fn(move |request| {
                let (calls, peer) = (Arc::clone(&calls), Arc::clone(&peer));
                async move { Ok::<_, Infallible>(calls.handle(request, &peer).await) }
            })
        };
        let close = GracefulClose::default();
        let mut connection =
            pin!(http2.serve_connection(TokioIo::new(close.wrap(stream)), service));
        let (reason, delay) = tokio::select! {
            ended = &mut connection => {
                counted.end(if ended.is_ok() { EndReason::Client } else { EndReason::Error });
                return Ok(ended?);
            }
            _ = stopping.changed() => (EndReason::Shutdown, Duration::ZERO),
            () = max_age.reached(peer) => (EndReason::MaxAge, AGED_CLOSE_DELAY),
            () = peer.activity.displaced() => (EndReason::Displaced, Duration::ZERO),
            () = peer.usage.overdue() => {
                counted.end(EndReason::Unread);
                return Err("the client does not read its responses".into());
            }
        };
        counted.end(reason);
        close.start();
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            ended = connection => Ok(ended?),
            () = quiescence(peer, delay, stopping) => Ok(()),
            () = sleep(longest) => Ok(()),
        }
    }
}

/// Waits until the server can close a connection after GOAWAY, although the client does not.
///
/// A client that is gone without closing does not respond, and streams of health and reflection may
/// never end.
async fn quiescence(peer: &Peer, delay: Duration, mut stopping: Stopping) {
    loop {
        peer.activity.idle().await;
        // A stop of the server ends the delay.
        let _ = timeout(delay, stopping.changed()).await;
        sleep(CLOSE_DELAY).await;
        if peer.activity.is_idle() {
            return;
        }
    }
}

/// Serves plain HTTP for as long as it is polled: probes arrive until the process exits.
pub(super) async fn serve_http1(listener: TcpListener, router: axum::Router) {
    let mut http1 = http1::Builder::new();
    http1
        .timer(TokioTimer::new())
        .header_read_timeout(ADMIN_HEADER_TIMEOUT)
        .max_header_size(MAX_ADMIN_HEADER_BYTES)
        .max_buf_size(MAX_ADMIN_HEADER_BYTES)
        .keep_alive(false);

    let slots = ConnectionSlots::new("admin", MAX_ADMIN_CONNECTIONS);
    accept(
        listener,
        slots,
        future::pending(),
        |stream, address, activity| {
            let router = router.clone().layer(Extension(address));
            let service = service_fn(move |request: Request<Incoming>| {
                // Any client of the admin port that sends a request is trusted.
                activity.trust();
                let in_progress = activity.call(Instant::now());
                let response = router.clone().oneshot(request);
                async move {
                    let response = response.await;
                    drop(in_progress);
                    response
                }
            });
            let connection = http1.serve_connection(TokioIo::new(stream), service);
            // Errors are ignored: a probe may close the connection early.
            async move { drop(timeout(EXCHANGE_TIMEOUT, connection).await) }
        },
    )
    .await;
}

/// Accepts connections until `stop` completes, and then waits until the open ones are closed.
///
/// Dropping the future closes them all at once.
async fn accept<L: Accept, F>(
    listener: L,
    slots: ConnectionSlots,
    stop: impl Future<Output = ()>,
    serve: impl Fn(L::Socket, L::Peer, Arc<Activity>) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    let mut is_failing = false;
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, address)) => {
                    is_failing = false;
                    let slot = slots.take();
                    let number = slot.number();
                    let served = serve(stream, address, Arc::clone(slot.activity()));
                    let task = connections.spawn(async move {
                        let _slot = slot;
                        served.await;
                    });
                    slots.serve(number, task);
                }
                Err(error) if is_connection_error(&error) => {}
                Err(error) => {
                    if !is_failing {
                        tracing::warn!(error.message = %error, "cannot accept connections");
                    }
                    is_failing = true;
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

/// Returns whether an error concerns a single connection and not the listener.
fn is_connection_error(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};

    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted
    )
}
