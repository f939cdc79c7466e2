//! The sources, asked in order.

use std::{fmt, sync::Arc};

use tokio::time::Instant;

use super::{
    Credential, Surroundings, Unavailable, environment,
    instance_role::{self, Metadata},
    mounted_files, profile_file,
    sts::Sts,
    web_identity,
};
use crate::{
    clock::Clock,
    config::{self, CredentialFiles, CredentialSource},
};

/// What a source yields.
pub(super) struct Obtained {
    pub(super) credential: Credential,
    /// Until when it may be used, if it is temporary.
    pub(super) expires_at: Option<Instant>,
}

/// Why a source offers no credential.
#[derive(Debug)]
pub(super) enum NotOffered {
    /// The source is there and cannot be used until somebody mends it. No further one is asked.
    Broken(String),
    /// The source is elsewhere and did not give a credential this time. No further one is asked.
    Failed(String),
    /// The source is not there.
    Nothing(String),
}

/// The sources, of which the first that has a credential is kept to.
#[derive(Debug)]
pub(super) struct Chain {
    sources: Vec<Source>,
    /// The source that won, by its place: no later absence of it yields to another identity.
    chosen: Option<usize>,
    surroundings: Surroundings,
}

enum Source {
    Environment,
    Files(Option<CredentialFiles>),
    Given(Box<Given>),
    InstanceRole(Box<Metadata>),
    Profile(Option<String>),
    WebIdentity(Arc<Sts>),
}

/// Reads a credential anew from wherever it comes from.
pub(super) type Given = dyn Fn() -> Result<Credential, Unavailable> + Send + Sync;

impl Chain {
    /// Returns the sources that the settings name, or all there are.
    pub(super) fn new(
        settings: &config::Credentials,
        upstream: &config::Upstream,
        surroundings: Surroundings,
        clock: &Clock,
        sts: &Arc<Sts>,
    ) -> Self {
        let only = settings.source;
        let names = CredentialSource::ALL.into_iter();
        let sources = names
            .filter(|name| only.is_none_or(|only| only == *name))
            .map(|name| match name {
                CredentialSource::Environment => Source::Environment,
                CredentialSource::Files => Source::Files(settings.files.clone()),
                CredentialSource::InstanceRole => Source::InstanceRole(Box::new(Metadata::new(
                    settings.metadata_endpoint.clone(),
                    upstream.clone(),
                    clock.clone(),
                    only.is_some(),
                ))),
                CredentialSource::Profile => Source::Profile(settings.profile.clone()),
                CredentialSource::WebIdentity => Source::WebIdentity(Arc::clone(sts)),
            });
        Self {
            sources: sources.collect(),
            chosen: None,
            surroundings,
        }
    }

    /// Returns a chain of one source.
    pub(super) fn of(source: Box<Given>) -> Self {
        Self {
            sources: vec![Source::Given(source)],
            chosen: Some(0),
            surroundings: Surroundings::new(|_| None),
        }
    }

    /// Asks the source that won before, and else the sources in order.
    pub(super) async fn ask(&mut self) -> Result<Obtained, Unavailable> {
        let mut report = Vec::new();
        let mut is_passing = false;
        for (place, source) in self.sources.iter().enumerate() {
            if self.chosen.is_some_and(|chosen| chosen != place) {
                continue;
            }
            let problem = match source.ask(&self.surroundings).await {
                Ok(Ok(obtained)) => {
                    if self.chosen.is_none() {
                        tracing::info!(source = source.name(), "credential found");
                    }
                    self.chosen = Some(place);
                    return Ok(obtained);
                }
                Ok(Err(problem)) => problem,
                Err(unavailable) => return Err(unavailable),
            };
            let (NotOffered::Broken(reason)
            | NotOffered::Failed(reason)
            | NotOffered::Nothing(reason)) = &problem;
            report.push(format!("{}: {reason}", source.name()));
            if !matches!(problem, NotOffered::Nothing(_)) {
                is_passing = matches!(problem, NotOffered::Failed(_));
                break;
            }
        }
        Err(Unavailable { report, is_passing })
    }

    /// Tells whether the source that won is on this machine, so that asking it costs nothing.
    pub(super) fn is_local(&self) -> bool {
        let chosen = self.chosen.and_then(|place| self.sources.get(place));
        chosen.is_some_and(|source| match source {
            Source::Environment | Source::Files(_) | Source::Given(_) | Source::Profile(_) => true,
            Source::InstanceRole(_) | Source::WebIdentity(_) => false,
        })
    }
}

impl Source {
    fn name(&self) -> &'static str {
        match self {
            Self::Environment => environment::NAME,
            Self::Files(_) => mounted_files::NAME,
            Self::Given(_) => "the given source",
            Self::InstanceRole(_) => instance_role::NAME,
            Self::Profile(_) => profile_file::NAME,
            Self::WebIdentity(_) => web_identity::NAME,
        }
    }

    async fn ask(
        &self,
        surroundings: &Surroundings,
    ) -> Result<Result<Obtained, NotOffered>, Unavailable> {
        let lasting = |credential| Obtained {
            credential,
            expires_at: None,
        };
        Ok(match self {
            Self::Environment => environment::read(surroundings).map(lasting),
            Self::Files(files) => mounted_files::read(files.as_ref()).map(lasting),
            Self::Given(source) => Ok(lasting(source()?)),
            Self::InstanceRole(metadata) => metadata.ask().await,
            Self::Profile(name) => profile_file::read(name.as_deref(), surroundings).map(lasting),
            Self::WebIdentity(sts) => web_identity::ask(surroundings, sts).await,
        })
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
