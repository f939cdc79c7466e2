//! Credential providers: the credential that signs upstream requests, where it comes from, and how it is
//! refreshed. `provider_chain` tries the providers in order: an absent provider is skipped, an invalid
//! one ends the search, so that a mistake never silently selects another identity. `caching_provider`
//! decides when to refresh which credential, `cached_credential` holds one with its refresh schedule,
//! and `renewal` shares the current credential among all calls. Knows nothing of the calls it signs.

mod cached_credential;
mod caching_provider;
mod callback;
mod credential;
mod environment;
mod exchange;
mod instance_role;
mod local_file;
mod mounted_files;
mod profile_file;
mod provider;
mod provider_chain;
mod provider_context;
mod provider_setup;
mod renewal;
mod resolution;
mod sts;
mod unavailable;
mod web_identity;

use std::{fmt, sync::Arc, time::Duration};

use tokio::task::JoinSet;

use self::{
    caching_provider::{CachingProvider, RefreshReason},
    callback::Callback,
    provider::ProviderError,
    provider_chain::ProviderChain,
    provider_setup::ProviderSetup,
    renewal::Renewal,
    sts::Sts,
};
pub use self::{
    credential::{Credential, InvalidPart},
    provider_context::ProviderContext,
    renewal::RefreshCounters,
    resolution::{Resolution, SourceOutcome, SourceReport},
    unavailable::Unavailable,
};
use crate::{clock::Clock, config, files::reload_requests::ReloadRequests};

/// Maximum time that the start waits for a remote provider, before it continues without a credential.
const START_TIMEOUT: Duration = Duration::from_secs(3);

/// The current credential, refreshed in the background.
///
/// All clones share it. A background task refreshes it, and ends with the last clone.
#[derive(Clone)]
pub struct Credentials {
    renewal: Arc<Renewal>,
    _task: Arc<JoinSet<()>>,
}

impl Credentials {
    /// Tries the configured providers in order, and selects the first that has a credential.
    ///
    /// Temporary credentials expire by the boot time of `clock`, which includes the time that the machine
    /// is suspended. Requests to STS use the connection settings of `upstream`. A remote provider that
    /// fails is retried in the background; until it responds, there is no [`current`](Self::current)
    /// credential.
    ///
    /// # Errors
    ///
    /// Fails if a local provider is invalid, or if every provider is absent. The error reports what each
    /// provider looked for and found.
    pub async fn start(
        settings: &config::Credentials,
        upstream: &config::Upstream,
        context: ProviderContext,
        clock: Clock,
    ) -> Result<Self, Unavailable> {
        let (chain, sts) = providers(settings, upstream, context, &clock);
        let provider = CachingProvider::new(
            chain,
            settings.role_arn.clone(),
            sts,
            settings.interval,
            clock.clone(),
        );
        let renewal = Arc::new(Renewal::new(provider, clock));

        let requests = ReloadRequests::listen().unwrap_or_else(|error| {
            tracing::warn!(error.message = %error, "cannot listen for SIGHUP");
            ReloadRequests::none()
        });
        let first = tokio::time::timeout(START_TIMEOUT, renewal.refresh(RefreshReason::Due)).await;
        if first.is_ok()
            && let Err(error) = renewal.now()
            && !error.is_transient
        {
            return Err(error);
        }
        let mut task = JoinSet::new();
        task.spawn(renewal::keep_current(Arc::clone(&renewal), requests));
        Ok(Self {
            renewal,
            _task: Arc::new(task),
        })
    }

    /// Returns credentials from the callback `source`, which is called again when upstream rejects a
    /// credential.
    ///
    /// # Errors
    ///
    /// Fails if `source` fails.
    pub fn from_source(
        source: impl Fn() -> Result<Credential, Unavailable> + Send + Sync + 'static,
    ) -> Result<Self, Unavailable> {
        let credential = source()?;
        let clock = Clock::system();
        let provider = CachingProvider::of(
            ProviderChain::of(Box::new(Callback(source))),
            credential,
            Duration::ZERO,
            clock.clone(),
        );
        Ok(Self {
            renewal: Arc::new(Renewal::new(provider, clock)),
            _task: Arc::default(),
        })
    }

    /// Returns the current credential. Waits only if there is none, until a refresh has ended. Cancel
    /// safe.
    ///
    /// # Errors
    ///
    /// Fails if no provider has returned a credential yet, or if the last one has expired and its refresh
    /// failed.
    pub async fn current(&self) -> Result<Arc<Credential>, Unavailable> {
        self.renewal.current().await
    }

    /// Returns the current credential without waiting.
    pub fn available(&self) -> Option<Arc<Credential>> {
        self.renewal.now().ok()
    }

    /// Refreshes the credential because upstream rejected `rejected`. Returns whether the current
    /// credential is another one now. A failed refresh keeps the credential.
    ///
    /// Remote providers are requested at most once in a few seconds.
    pub async fn renew(&self, rejected: &Arc<Credential>) -> bool {
        self.renewal.replace(rejected).await
    }

    /// Waits until the first credential is available.
    pub async fn obtained(&self) {
        self.until(|counters| counters.replaced > 0).await;
    }

    /// Waits until `is_reached` returns `true` for the counters, which change with each refresh.
    pub async fn until(&self, is_reached: impl FnMut(&RefreshCounters) -> bool) {
        self.renewal.until(is_reached).await;
    }

    /// Returns the error of the last refresh, if it failed.
    pub fn failure(&self) -> Option<Unavailable> {
        self.renewal.failure()
    }

    /// Returns the name of the provider that was selected, once one was.
    pub fn provider(&self) -> Option<&'static str> {
        self.renewal.provider()
    }

    /// Returns the refresh counters.
    pub fn counters(&self) -> RefreshCounters {
        self.renewal.counters()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

/// Searches the configured providers once, as [`Credentials::start`] does, and returns what each of them
/// said. Each request to a remote provider ends after a few seconds. Cancel safe.
pub async fn resolve(
    settings: &config::Credentials,
    upstream: &config::Upstream,
    context: ProviderContext,
    clock: &Clock,
) -> Resolution {
    let (chain, sts) = providers(settings, upstream, context, clock);
    resolution::resolve(chain, settings.role_arn.as_deref(), &sts, clock).await
}

/// Returns the chain of the configured providers, and the client of STS that they share.
fn providers(
    settings: &config::Credentials,
    upstream: &config::Upstream,
    context: ProviderContext,
    clock: &Clock,
) -> (ProviderChain, Arc<Sts>) {
    let sts = Sts::new(
        settings.sts_endpoint.clone(),
        upstream.clone(),
        clock.clone(),
    );
    let sts = Arc::new(sts);
    let chain = ProviderChain::new(&ProviderSetup {
        settings,
        upstream,
        context: Arc::new(context),
        sts: Arc::clone(&sts),
        clock,
    });
    (chain, sts)
}

/// Returns whether the environment has any part of a credential.
pub fn exist_in_environment(context: &ProviderContext) -> bool {
    !matches!(environment::read(context), Err(ProviderError::Absent(_)))
}
