//! Credential provider: the interface of everything that a credential comes from.

use std::pin::Pin;

use super::credential::Credential;
use crate::clock::BootTime;

/// A source of credentials. Does not cache.
pub(super) trait CredentialProvider: Send + Sync {
    /// Returns the name in the log and in errors.
    fn name(&self) -> &'static str;

    /// Returns whether the credential is read from this machine: it is permanent, and loading it is
    /// cheap.
    fn is_local(&self) -> bool;

    /// Loads the current credential.
    fn load(&self) -> Loading<'_>;
}

/// The future of a load.
pub(super) type Loading<'a> =
    Pin<Box<dyn Future<Output = Result<ProvidedCredential, ProviderError>> + Send + 'a>>;

/// A credential as returned by a provider.
pub(super) struct ProvidedCredential {
    pub(super) credential: Credential,
    /// The expiry time, if it is temporary.
    pub(super) expires_at: Option<BootTime>,
}

/// A permanent credential.
impl From<Credential> for ProvidedCredential {
    fn from(credential: Credential) -> Self {
        Self {
            credential,
            expires_at: None,
        }
    }
}

/// Why a provider returned no credential.
#[derive(Debug)]
pub(super) enum ProviderError {
    /// The configuration of the provider is invalid, until the operator corrects it. Ends the search.
    Invalid(String),
    /// The request to a remote provider failed. Ends the search.
    Transient(String),
    /// The provider is not configured or not available here. The search continues.
    Absent(String),
}

impl ProviderError {
    /// Returns the reason.
    pub(super) fn reason(&self) -> &str {
        match self {
            Self::Invalid(reason) | Self::Transient(reason) | Self::Absent(reason) => reason,
        }
    }
}
