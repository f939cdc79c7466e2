//! Callback provider: calls a function, which a program that embeds the service supplies.

use super::{
    credential::Credential,
    provider::{CredentialProvider, Loading, ProviderError},
    unavailable::Unavailable,
};

/// A function that returns the current credential.
pub(super) struct Callback<F>(pub(super) F);

impl<F> CredentialProvider for Callback<F>
where
    F: Fn() -> Result<Credential, Unavailable> + Send + Sync,
{
    fn name(&self) -> &'static str {
        "the callback"
    }

    fn is_local(&self) -> bool {
        true
    }

    fn load(&self) -> Loading<'_> {
        Box::pin(async {
            let credential = (self.0)().map_err(|error| {
                let reason = error.report.join("; ");
                match error.is_transient {
                    true => ProviderError::Transient(reason),
                    false => ProviderError::Invalid(reason),
                }
            })?;
            Ok(credential.into())
        })
    }
}
