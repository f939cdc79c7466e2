//! File provider: files that contain one part of a credential each, such as secrets mounted by an
//! orchestrator.

use std::path::Path;

use super::{
    credential::Credential,
    local_file,
    provider::{CredentialProvider, Loading, ProviderError},
    provider_setup::ProviderSetup,
};
use crate::{
    config::CredentialFiles,
    files::{bounded_file::FileKind, secret_text, settled_files},
};

/// Returns the provider.
pub(super) fn provider(setup: &ProviderSetup<'_>) -> Box<dyn CredentialProvider> {
    Box::new(MountedFiles {
        files: setup.settings.files.clone(),
    })
}

struct MountedFiles {
    files: Option<CredentialFiles>,
}

impl CredentialProvider for MountedFiles {
    fn name(&self) -> &'static str {
        "--secret-id-file and --secret-key-file"
    }

    fn is_local(&self) -> bool {
        true
    }

    fn load(&self) -> Loading<'_> {
        Box::pin(async {
            let Some(files) = self.files.clone() else {
                return Err(ProviderError::Absent("not set".to_owned()));
            };
            let read = move || read(&files).map_err(ProviderError::Invalid);
            Ok(local_file::blocking(read).await?.into())
        })
    }
}

/// Reads a credential from the files. Blocks while they are read.
fn read(files: &CredentialFiles) -> Result<Credential, String> {
    let paths = [&files.secret_id, &files.secret_key].into_iter();
    let paths: Vec<_> = paths
        .chain(&files.token)
        .map(|path| (path.clone(), FileKind::Credential))
        .collect();
    let contents = settled_files::read(&paths).map_err(|error| error.to_string())?;
    let mut parts = paths
        .iter()
        .zip(&contents)
        .map(|((path, _), content)| part(path, content));
    let mut next = || parts.next().transpose();
    let [secret_id, secret_key] = [next()?, next()?].map(Option::unwrap_or_default);
    Credential::new(secret_id, secret_key, next()?).map_err(|error| error.to_string())
}

fn part(path: &Path, content: &[u8]) -> Result<String, String> {
    let part =
        secret_text::parse(content).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(part.to_owned())
}
