//! Credential resolution: one search for a credential, with what each source said. For diagnosis; nothing
//! is cached or refreshed.

use std::{fmt, sync::Arc, time::Duration};

use super::{
    credential::Credential,
    provider::{ProvidedCredential, ProviderError},
    provider_chain::{ProviderChain, Search},
    sts::Sts,
};
use crate::clock::Clock;

/// What a search for a credential found.
#[derive(Debug)]
pub struct Resolution {
    /// What each source said, in the order in which they were tried. The search ends with the first that
    /// has a credential or is broken. The role of `--role-arn` comes last.
    pub sources: Vec<SourceReport>,
    /// The credential that signs requests; `None` if the last source has none.
    pub credential: Option<Arc<Credential>>,
}

/// What a source said.
#[derive(Debug)]
pub struct SourceReport {
    /// The name of the source, such as `the environment`.
    pub name: &'static str,
    /// Whether it has a credential.
    pub outcome: SourceOutcome,
}

/// Whether a source has a credential. Contains no part of one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SourceOutcome {
    /// It has one.
    Found {
        /// The remaining lifetime; `None` if the credential is permanent as far as the source knows.
        expires_in: Option<Duration>,
    },
    /// It is not configured or not available here, for this reason.
    Absent(String),
    /// It is configured and broken, until the operator corrects it.
    Invalid(String),
    /// The request to STS or to the metadata service failed.
    Failed(String),
}

/// Searches the providers of `chain`, and assumes the role `role_arn`, if any, with the credential.
pub(super) async fn resolve(
    mut chain: ProviderChain,
    role_arn: Option<&str>,
    sts: &Sts,
    clock: &Clock,
) -> Resolution {
    let Search { failures, found } = chain.search().await;
    let failures = failures.into_iter();
    let mut sources: Vec<_> = failures
        .map(|(name, error)| SourceReport {
            name,
            outcome: error.into(),
        })
        .collect();
    let mut credential = None;
    if let Some((name, provided)) = found {
        sources.push(SourceReport::of_found(name, &provided, clock));
        credential = Some(provided.credential);
    }
    if let (Some(role_arn), Some(signer)) = (role_arn, &credential) {
        let name = "the role of --role-arn";
        credential = match sts.assume_role(role_arn, signer).await {
            Ok(provided) => {
                sources.push(SourceReport::of_found(name, &provided, clock));
                Some(provided.credential)
            }
            Err(error) => {
                let outcome = error.into();
                sources.push(SourceReport { name, outcome });
                None
            }
        };
    }
    Resolution {
        sources,
        credential: credential.map(Arc::new),
    }
}

impl SourceReport {
    fn of_found(name: &'static str, provided: &ProvidedCredential, clock: &Clock) -> Self {
        let now = clock.boot_time();
        let expires_at = provided.expires_at;
        Self {
            name,
            outcome: SourceOutcome::Found {
                expires_in: expires_at.map(|end| end.saturating_duration_since(now)),
            },
        }
    }
}

impl From<ProviderError> for SourceOutcome {
    fn from(error: ProviderError) -> Self {
        match error {
            ProviderError::Absent(reason) => Self::Absent(reason),
            ProviderError::Invalid(reason) => Self::Invalid(reason),
            ProviderError::Transient(reason) => Self::Failed(reason),
        }
    }
}

impl fmt::Display for SourceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.name)?;
        match &self.outcome {
            SourceOutcome::Found { expires_in: None } => f.write_str("has a credential"),
            SourceOutcome::Found {
                expires_in: Some(rest),
            } => {
                let rest = Duration::from_secs(rest.as_secs());
                let rest = humantime::format_duration(rest);
                write!(f, "has a temporary credential, which expires in {rest}")
            }
            SourceOutcome::Absent(reason)
            | SourceOutcome::Invalid(reason)
            | SourceOutcome::Failed(reason) => f.write_str(reason),
        }
    }
}
