//! Peer: the address, the client certificate and the activity of a connection.

use std::{net::SocketAddr, sync::Arc};

use super::{activity::Activity, usage::Usage};
use crate::auth::ClientCertificate;

/// The client end of a connection.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    /// The address of the client.
    pub(super) address: SocketAddr,
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
        address: SocketAddr,
        certificate: ClientCertificate,
        activity: Arc<Activity>,
        usage: Usage,
    ) -> Self {
        if matches!(certificate, ClientCertificate::Allowed(_)) {
            activity.trust();
        }
        Self {
            address,
            certificate,
            activity,
            usage: Arc::new(usage),
        }
    }
}
