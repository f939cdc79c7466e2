//! Where credentials come from.

use std::path::PathBuf;

use clap::Args;

use super::{Problems, parsed};

/// The settings of credentials, as text.
#[derive(Args, Debug)]
#[command(next_help_heading = "Credentials")]
pub(super) struct CredentialsArgs {
    /// File with the SecretId. Without these files, TENCENTCLOUD_SECRET_ID, TENCENTCLOUD_SECRET_KEY
    /// and TENCENTCLOUD_TOKEN are read from the environment
    #[arg(long, env = "IAI_FACADE_SECRET_ID_FILE", value_name = "FILE")]
    secret_id_file: Option<String>,

    /// File with the SecretKey
    #[arg(long, env = "IAI_FACADE_SECRET_KEY_FILE", value_name = "FILE")]
    secret_key_file: Option<String>,

    /// File with the token of a temporary credential
    #[arg(long, env = "IAI_FACADE_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<String>,
}

/// Where credentials come from, beside the environment.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Files that hold a credential.
    pub files: Option<CredentialFiles>,
}

/// Files that hold one part of a credential each.
#[derive(Clone, Debug)]
pub struct CredentialFiles {
    /// The file with the identifier.
    pub secret_id: PathBuf,
    /// The file with the key.
    pub secret_key: PathBuf,
    /// The file with the token, if the credential is temporary.
    pub token: Option<PathBuf>,
}

impl CredentialsArgs {
    /// Returns the flags that were given.
    pub(super) fn explicit(&self) -> Vec<&'static str> {
        [
            ("secret-id-file", &self.secret_id_file),
            ("secret-key-file", &self.secret_key_file),
            ("token-file", &self.token_file),
        ]
        .into_iter()
        .filter_map(|(flag, file)| {
            file.as_ref()
                .is_some_and(|file| !file.is_empty())
                .then_some(flag)
        })
        .collect()
    }

    pub(super) fn checked(self, problems: &mut Problems) -> Option<Credentials> {
        let secret_id = parsed::file(self.secret_id_file);
        let secret_key = parsed::file(self.secret_key_file);
        match (secret_id, secret_key, parsed::file(self.token_file)) {
            (Some(secret_id), Some(secret_key), token) => Some(Credentials {
                files: Some(CredentialFiles {
                    secret_id,
                    secret_key,
                    token,
                }),
            }),
            (None, None, None) => Some(Credentials { files: None }),
            (secret_id, secret_key, _) => {
                for (flag, file) in [
                    ("secret-id-file", secret_id),
                    ("secret-key-file", secret_key),
                ] {
                    if file.is_none() {
                        problems.note(
                            flag,
                            "is missing, and another file of the credential is given",
                        );
                    }
                }
                None
            }
        }
    }
}
