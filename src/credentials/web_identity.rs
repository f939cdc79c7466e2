//! Web identity provider: exchanges the projected token of a TKE service account for a credential of
//! its role at STS.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use http::HeaderValue;

use super::{
    local_file,
    provider::{CredentialProvider, Loading, ProvidedCredential, ProviderError},
    provider_context::ProviderContext,
    provider_setup::ProviderSetup,
    sts::{ServiceAccount, Sts},
};
use crate::files::{
    bounded_file::{self, FileKind},
    secret_text,
};

// TKE sets these in pods; the vendor's SDKs read the same ones.
const REGION: &str = "TKE_REGION";
const PROVIDER_ID: &str = "TKE_PROVIDER_ID";
const TOKEN_FILE: &str = "TKE_WEB_IDENTITY_TOKEN_FILE";
const ROLE_ARN: &str = "TKE_ROLE_ARN";

/// Returns the provider.
pub(super) fn provider(setup: &ProviderSetup<'_>) -> Box<dyn CredentialProvider> {
    Box::new(WebIdentity {
        context: Arc::clone(&setup.context),
        sts: Arc::clone(&setup.sts),
    })
}

struct WebIdentity {
    context: Arc<ProviderContext>,
    sts: Arc<Sts>,
}

impl CredentialProvider for WebIdentity {
    fn name(&self) -> &'static str {
        "TKE web identity"
    }

    fn is_local(&self) -> bool {
        false
    }

    fn load(&self) -> Loading<'_> {
        Box::pin(load(&self.context, &self.sts))
    }
}

/// Reads the token, which TKE rotates before it expires, and exchanges it.
async fn load(context: &ProviderContext, sts: &Sts) -> Result<ProvidedCredential, ProviderError> {
    let names = [REGION, PROVIDER_ID, TOKEN_FILE, ROLE_ARN];
    let values = names.map(|name| context.variable(name));
    let missing: Vec<_> = names
        .iter()
        .zip(&values)
        .filter_map(|(name, value)| value.is_none().then_some(*name))
        .collect();
    let [
        Some(region),
        Some(provider_id),
        Some(token_file),
        Some(role_arn),
    ] = values
    else {
        let are_all_missing = missing.len() == names.len();
        let problem = format!("not set: {}", missing.join(", "));
        return Err(match are_all_missing {
            true => ProviderError::Absent(problem),
            false => ProviderError::Invalid(format!("{problem}, but the others are")),
        });
    };
    // A header value may have spaces and non-ASCII characters, a region may not.
    let is_region = region.bytes().all(|byte| byte.is_ascii_graphic());
    let region = HeaderValue::from_str(&region).ok().filter(|_| is_region);
    let region =
        region.ok_or_else(|| ProviderError::Invalid(format!("{REGION} is not a valid region")))?;
    let token_file = PathBuf::from(token_file);
    let token = local_file::blocking(move || token(&token_file)).await?;
    sts.assume_role_with_web_identity(ServiceAccount {
        region,
        provider_id: &provider_id,
        token: &token,
        role_arn: &role_arn,
    })
    .await
}

fn token(path: &Path) -> Result<String, ProviderError> {
    let broken = |problem| ProviderError::Invalid(format!("{TOKEN_FILE}, {problem}"));
    let content = bounded_file::read(path, FileKind::Credential);
    let content = content.map_err(|error| broken(error.to_string()))?;
    let token = secret_text::parse(&content);
    let token = token.map_err(|error| broken(format!("{}: {error}", path.display())))?;
    Ok(token.to_owned())
}
