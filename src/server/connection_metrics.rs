//! Metrics of connections to the gRPC port: how many were rejected during the handshake, and how many were
//! closed after it, by reason.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// The reason why a connection ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum EndReason {
    /// Rejected: the TLS handshake failed.
    TlsHandshake,
    /// Rejected: the client did not send the HTTP/2 preface.
    Preface,
    /// Rejected: the handshake took too long.
    HandshakeTimeout,
    /// Rejected: more recent handshakes displaced it.
    HandshakeDisplaced,
    /// Closed by the client.
    Client,
    /// Closed for a new connection, at the limit.
    Displaced,
    /// The connection failed, or the client violated the protocol or a limit of frames.
    Error,
    /// Closed at its maximum age.
    MaxAge,
    /// Closed by the shutdown.
    Shutdown,
    /// Closed because the client did not read its responses.
    Unread,
}

impl EndReason {
    const COUNT: usize = 10;

    /// The reasons of a rejection, with their names in metrics.
    const REJECTED: [(Self, &'static str); 4] = [
        (Self::HandshakeDisplaced, "displaced"),
        (Self::HandshakeTimeout, "timeout"),
        (Self::Preface, "preface"),
        (Self::TlsHandshake, "tls_handshake"),
    ];

    /// The other reasons, with their names in metrics.
    const CLOSED: [(Self, &'static str); 6] = [
        (Self::Client, "client"),
        (Self::Displaced, "displaced"),
        (Self::Error, "error"),
        (Self::MaxAge, "max_age"),
        (Self::Shutdown, "shutdown"),
        (Self::Unread, "unread"),
    ];
}

/// Counters of ended connections. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct ConnectionMetrics(Arc<[AtomicU64; EndReason::COUNT]>);

impl ConnectionMetrics {
    /// Returns a connection that will be counted when it is dropped: as displaced, unless another reason
    /// is set. A displaced connection is aborted, and cannot set a reason.
    pub(super) fn connection(&self) -> CountedConnection {
        CountedConnection {
            reason: EndReason::Displaced,
            metrics: self.clone(),
        }
    }

    /// Returns the rejected connections by the name of the reason.
    pub(super) fn rejected(&self) -> [(&'static str, u64); 4] {
        EndReason::REJECTED.map(|(reason, name)| (name, self.count(reason)))
    }

    /// Returns the connections that were closed after the handshake by the name of the reason.
    pub(super) fn closed(&self) -> [(&'static str, u64); 6] {
        EndReason::CLOSED.map(|(reason, name)| (name, self.count(reason)))
    }

    fn count(&self, reason: EndReason) -> u64 {
        self.0[reason as usize].load(Ordering::Relaxed)
    }
}

/// A connection that is counted when it is dropped.
#[derive(Debug)]
pub(super) struct CountedConnection {
    reason: EndReason,
    metrics: ConnectionMetrics,
}

impl CountedConnection {
    /// Sets the reason of its end.
    pub(super) fn end(&mut self, reason: EndReason) {
        self.reason = reason;
    }
}

impl Drop for CountedConnection {
    fn drop(&mut self) {
        self.metrics.0[self.reason as usize].fetch_add(1, Ordering::Relaxed);
    }
}
