//! What calls to upstream are signed with, where it comes from, and how it is kept current.
//!
//! The sources are asked in order by `chain`. One that has nothing to offer is passed over; one that
//! is broken stops the search, so that a mistake never yields silently to another identity. Which
//! source is asked when, and what is kept meanwhile, is for `layer` and `supply` to say.

mod chain;
mod credential;
mod environment;
mod exchange;
mod instance_role;
mod layer;
mod local_file;
mod mounted_files;
mod profile_file;
mod renewal;
mod sts;
mod supply;
mod surroundings;
mod web_identity;

use std::{fmt, sync::Arc, time::Duration};

use tokio::{task::JoinSet, time::Instant};

use self::{
    chain::{Chain, NotOffered, Obtained},
    renewal::Renewal,
    sts::Sts,
    supply::{Supply, Urge},
};
pub use self::{
    credential::{Credential, InvalidPart},
    surroundings::Surroundings,
};
use crate::{clock::Clock, config};

/// How long a start waits for a source that is elsewhere before it goes on without.
const PATIENCE: Duration = Duration::from_secs(3);

/// Hands out the credential to sign with.
///
/// All clones hand out the same one. A task keeps it current, and ends with the last clone.
#[derive(Clone)]
pub struct Credentials {
    renewal: Arc<Renewal>,
    _task: Arc<JoinSet<()>>,
}

impl Credentials {
    /// Asks the sources that the settings name, and keeps to the one that has a credential.
    ///
    /// STS is called as `upstream` is. Sources that are elsewhere and fail are asked again in the
    /// background: until they answer, there is no [`current`](Self::current) credential.
    ///
    /// # Errors
    ///
    /// Fails if a source on this machine is broken, and if none has anything to offer. The error
    /// says of each source what it looked at and what it found.
    pub async fn start(
        settings: &config::Credentials,
        upstream: &config::Upstream,
        surroundings: Surroundings,
        clock: Clock,
    ) -> Result<Self, Unavailable> {
        let sts = Sts::new(
            settings.sts_endpoint.clone(),
            upstream.clone(),
            clock.clone(),
        );
        let sts = Arc::new(sts);
        let chain = Chain::new(settings, upstream, surroundings, &clock, &sts);
        let supply = Supply::new(chain, settings.role_arn.clone(), sts, settings.interval);
        let renewal = Arc::new(Renewal::new(supply));

        let hangups = renewal::hangups();
        let first = tokio::time::timeout(PATIENCE, renewal.refresh(Urge::Due)).await;
        if first.is_ok()
            && let Err(error) = renewal.now(Instant::now())
            && !error.is_passing
        {
            return Err(error);
        }
        let mut task = JoinSet::new();
        task.spawn(renewal::keep_current(Arc::clone(&renewal), hangups));
        Ok(Self {
            renewal,
            _task: Arc::new(task),
        })
    }

    /// Returns credentials that come from `source`, which is asked again when upstream refuses them.
    ///
    /// # Errors
    ///
    /// Fails if the source does.
    pub fn from_source(
        source: impl Fn() -> Result<Credential, Unavailable> + Send + Sync + 'static,
    ) -> Result<Self, Unavailable> {
        let credential = source()?;
        let supply = Supply::of(Chain::of(Box::new(source)), credential);
        Ok(Self {
            renewal: Arc::new(Renewal::new(supply)),
            _task: Arc::default(),
        })
    }

    /// Returns the credential to sign with now. It waits only if there is none, and until a source
    /// has answered.
    ///
    /// # Errors
    ///
    /// Fails if no source has yielded one yet, or the last one has expired and could not be renewed.
    pub async fn current(&self) -> Result<Arc<Credential>, Unavailable> {
        self.renewal.current().await
    }

    /// Asks the source anew, since upstream does not accept `refused`, and tells whether there is
    /// another credential now. A source that cannot be read changes nothing.
    ///
    /// A source that is elsewhere is not asked again within seconds.
    pub async fn renew(&self, refused: &Arc<Credential>) -> bool {
        self.renewal.replace(refused).await
    }

    /// Waits until there is a credential for the first time.
    pub async fn obtained(&self) {
        self.until(|statistics| statistics.replaced > 0).await;
    }

    /// Waits until a question to a source has changed the statistics as `is_reached` wants them.
    pub async fn until(&self, is_reached: impl FnMut(&Statistics) -> bool) {
        self.renewal.until(is_reached).await;
    }

    /// Returns why the last question to a source brought nothing, if it did not.
    pub fn failure(&self) -> Option<Unavailable> {
        self.renewal.failure()
    }

    /// Returns what became of the questions to sources so far.
    pub fn statistics(&self) -> Statistics {
        self.renewal.statistics(Instant::now())
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

/// What became of the questions to sources since the start.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Statistics {
    /// How often the credential was replaced by another, the first one included.
    pub replaced: u64,
    /// How often a source, or STS, gave none.
    pub failed: u64,
    /// How long the credential in use may still be used; nothing if it is a lasting one, or none.
    pub expires_in: Option<Duration>,
}

/// Tells whether the environment holds anything of a credential.
pub fn are_in_environment(surroundings: &Surroundings) -> bool {
    !matches!(environment::read(surroundings), Err(NotOffered::Nothing(_)))
}

/// There is no credential to sign with.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no credential to sign calls with; looked at {}", report.join("; "))]
pub struct Unavailable {
    /// Each source that was asked, in order, and what it said.
    pub report: Vec<String>,
    /// Whether it may pass by itself: a source elsewhere failed.
    pub is_passing: bool,
}
