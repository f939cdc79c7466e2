//! Provider setup: what the providers are built from.

use std::sync::Arc;

use super::{provider_context::ProviderContext, sts::Sts};
use crate::{clock::Clock, config};

/// The settings and clients that the providers are built from.
pub(super) struct ProviderSetup<'a> {
    pub(super) settings: &'a config::Credentials,
    /// The connection settings of requests.
    pub(super) upstream: &'a config::Upstream,
    pub(super) context: Arc<ProviderContext>,
    pub(super) sts: Arc<Sts>,
    pub(super) clock: &'a Clock,
}
