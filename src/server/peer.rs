//! Peer: the address, the client certificate and the activity of a connection.

use std::sync::Arc;

use super::{activity::Activity, usage::Usage};
use crate::{auth::ClientCertificate, context::PeerAddress};

/// The client end of a connection.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    /// The address of the client.
    pub(super) address: PeerAddress,
    /// The port that the client has connected to; `None` for a Unix socket.
    pub(super) server_port: Option<u16>,
    /// The client certificate.
    pub(super) certificate: ClientCertificate,
    /// The activity of the connection.
    pub(super) activity: Arc<Activity>,
    /// Its resource usage.
    pub(super) usage: Arc<Usage>,
}

impl Peer {
    /// Creates a peer, and marks it as trusted if its certificate is allowed.
    pub(super) fn new(
        (address, server_port): (PeerAddress, Option<u16>),
        certificate: ClientCertificate,
        activity: Arc<Activity>,
        usage: Usage,
    ) -> Self {
        if matches!(certificate, ClientCertificate::Allowed(_)) {
            activity.trust();
        }
        Self {
            address,
            server_port,
            certificate,
            activity,
            usage: Arc::new(usage),
        }
    }
}
