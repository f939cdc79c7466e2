//! Credential provider chain: tries the providers in order, and keeps to the first that has a
//! credential. Does not cache.

use std::fmt;

use super::{
    environment, instance_role, mounted_files, profile_file,
    provider::{CredentialProvider, ProvidedCredential, ProviderError},
    provider_setup::ProviderSetup,
    unavailable::Unavailable,
    web_identity,
};
use crate::config::CredentialSource;

/// A chain of providers. Once one has returned a credential, the others are never tried.
pub(super) struct ProviderChain {
    providers: Vec<Box<dyn CredentialProvider>>,
    /// The index of the selected provider. If it becomes absent, no other identity replaces it.
    chosen: Option<usize>,
}

/// What the providers of a chain said, in order.
pub(super) struct Search {
    /// The names of the providers that have no credential, and why.
    pub(super) failures: Vec<(&'static str, ProviderError)>,
    /// The name of the provider that has one, and the credential. No provider after it was tried.
    pub(super) found: Option<(&'static str, ProvidedCredential)>,
}

/// Returns the provider of a source.
fn provider(source: CredentialSource, setup: &ProviderSetup<'_>) -> Box<dyn CredentialProvider> {
    match source {
        CredentialSource::Files => mounted_files::provider(setup),
        CredentialSource::Environment => environment::provider(setup),
        CredentialSource::Profile => profile_file::provider(setup),
        CredentialSource::WebIdentity => web_identity::provider(setup),
        CredentialSource::InstanceRole => instance_role::provider(setup),
    }
}

impl ProviderChain {
    /// Returns a chain of the configured provider, or of all providers.
    pub(super) fn new(setup: &ProviderSetup<'_>) -> Self {
        let only = setup.settings.source;
        let sources = CredentialSource::all()
            .iter()
            .filter(|source| only.is_none_or(|only| only == **source));
        Self {
            providers: sources.map(|source| provider(*source, setup)).collect(),
            chosen: None,
        }
    }

    /// Returns a chain of one provider, which is selected.
    pub(super) fn of(provider: Box<dyn CredentialProvider>) -> Self {
        Self {
            providers: vec![provider],
            chosen: Some(0),
        }
    }

    /// Loads the credential from the selected provider, or else from the first that has one.
    pub(super) async fn load(&mut self) -> Result<ProvidedCredential, Unavailable> {
        let Search { failures, found } = self.search().await;
        if let Some((_, provided)) = found {
            return Ok(provided);
        }
        let last = failures.last();
        let is_transient =
            last.is_some_and(|(_, error)| matches!(error, ProviderError::Transient(_)));
        let report = failures.iter();
        Err(Unavailable {
            report: report
                .map(|(name, error)| format!("{name}: {}", error.reason()))
                .collect(),
            is_transient,
        })
    }

    /// Loads the credential as [`load`](Self::load) does, and returns what each provider said.
    pub(super) async fn search(&mut self) -> Search {
        let mut failures = Vec::new();
        for (place, provider) in self.providers.iter().enumerate() {
            if self.chosen.is_some_and(|chosen| chosen != place) {
                continue;
            }
            match provider.load().await {
                Ok(provided) => {
                    if self.chosen.is_none() {
                        tracing::info!(provider = provider.name(), "credential provider selected");
                    }
                    self.chosen = Some(place);
                    let found = Some((provider.name(), provided));
                    return Search { failures, found };
                }
                Err(error) => {
                    let is_last = !matches!(error, ProviderError::Absent(_));
                    failures.push((provider.name(), error));
                    if is_last {
                        break;
                    }
                }
            }
        }
        Search {
            failures,
            found: None,
        }
    }

    /// Returns the name of the selected provider.
    pub(super) fn selected(&self) -> Option<&'static str> {
        let chosen = self.chosen.and_then(|place| self.providers.get(place));
        chosen.map(|provider| provider.name())
    }

    /// Returns whether the selected provider is local, so that loading from it is cheap.
    pub(super) fn is_local(&self) -> bool {
        let chosen = self.chosen.and_then(|place| self.providers.get(place));
        chosen.is_some_and(|provider| provider.is_local())
    }
}

impl fmt::Debug for ProviderChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.providers.iter().map(|provider| provider.name());
        f.debug_list().entries(names).finish()
    }
}
