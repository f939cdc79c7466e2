//! Settings of the credential providers.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};

use super::{Endpoint, Invalid, Problems, family::Family, parsed};

/// The STS endpoint if the API endpoint is not one of the vendor's hosts.
const DEFAULT_STS_ENDPOINT: &str = "https://sts.tencentcloudapi.com";

/// The endpoint of the instance metadata service on every instance.
const DEFAULT_METADATA_ENDPOINT: &str = "http://metadata.tencentyun.com";

/// The section of the profile file that is read unless another one is named.
pub const DEFAULT_PROFILE: &str = "default";

/// The settings of the credential providers, unparsed.
#[derive(Args, Debug)]
#[command(next_help_heading = "Credentials")]
pub(super) struct CredentialsArgs {
    #[arg(long, env = "IAI_FACADE_CREDENTIALS", value_name = "SOURCE", help = credentials_help())]
    credentials: Option<String>,

    /// File that contains the SecretId
    #[arg(long, env = "IAI_FACADE_SECRET_ID_FILE", value_name = "FILE")]
    secret_id_file: Option<String>,

    /// File that contains the SecretKey
    #[arg(long, env = "IAI_FACADE_SECRET_KEY_FILE", value_name = "FILE")]
    secret_key_file: Option<String>,

    /// File that contains the session token of a temporary credential
    #[arg(long, env = "IAI_FACADE_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<String>,

    #[arg(long, env = "IAI_FACADE_PROFILE", value_name = "NAME", help = format!(
        "Section of the profile file [default: {DEFAULT_PROFILE}]"
    ))]
    profile: Option<String>,

    /// CAM role to assume with the credential of the provider, such as
    /// qcs::cam::uin/100000000001:roleName/iai
    #[arg(long, env = "IAI_FACADE_ROLE_ARN", value_name = "ARN")]
    role_arn: Option<String>,

    #[arg(long, env = "IAI_FACADE_STS_ENDPOINT", value_name = "URL", help = format!(
        "Scheme, host and port of STS [default: the host of --endpoint with sts in place of iai, such as \
         https://sts.intl.tencentcloudapi.com, else {DEFAULT_STS_ENDPOINT}]"
    ))]
    sts_endpoint: Option<String>,

    #[arg(long, env = "IAI_FACADE_METADATA_ENDPOINT", value_name = "URL", help = format!(
        "Scheme, host and port of the instance metadata service [default: {DEFAULT_METADATA_ENDPOINT}]"
    ))]
    metadata_endpoint: Option<String>,

    /// Interval between reads of credential files, from 100ms to 1h
    #[arg(
        long,
        env = "IAI_FACADE_CREDENTIALS_INTERVAL",
        value_name = "DURATION",
        default_value = "5s"
    )]
    credentials_interval: String,

    /// Wait to become ready until upstream has accepted a signed request: true or false
    #[arg(long, env = "IAI_FACADE_VERIFY_UPSTREAM", value_name = "BOOL", default_value = "false",
        num_args = 0..=1, default_missing_value = "true")]
    verify_upstream: String,
}

fn credentials_help() -> String {
    let mut names = CredentialSource::names();
    let last = names.pop().unwrap_or_default();
    format!(
        "Credential provider to use: {} or {last} [default: the first of these that is configured]",
        names.join(", ")
    )
}

/// The settings of the credential providers, apart from environment variables.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The only provider to use; all of them if `None`.
    pub source: Option<CredentialSource>,
    /// The files that contain a credential.
    pub files: Option<CredentialFiles>,
    /// The section of the profile file; [`DEFAULT_PROFILE`] if `None`.
    pub profile: Option<String>,
    /// The role to assume with the credential of the provider.
    pub role_arn: Option<String>,
    /// The endpoint of STS.
    pub sts_endpoint: Endpoint,
    /// The endpoint of the instance metadata service.
    pub metadata_endpoint: Endpoint,
    /// The interval between reads of local sources.
    pub interval: Duration,
    /// Whether the service becomes ready only after upstream has accepted a signed request.
    pub verify_upstream: bool,
}

/// A source of credentials, which `--credentials` names in kebab case. The order of the variants is the
/// order in which they are tried.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum CredentialSource {
    /// Files that contain one part of the credential each.
    Files,
    /// Environment variables.
    Environment,
    /// A section of the vendor's profile file.
    Profile,
    /// The token of a TKE service account, exchanged for a credential at STS.
    WebIdentity,
    /// The role of a CVM instance, from the instance metadata service.
    InstanceRole,
}

impl CredentialSource {
    /// Returns all sources, in the order in which they are tried.
    pub fn all() -> &'static [Self] {
        Self::value_variants()
    }

    /// Returns the names as values of `--credentials`.
    fn names() -> Vec<String> {
        let values = Self::all().iter().filter_map(Self::to_possible_value);
        values.map(|value| value.get_name().to_owned()).collect()
    }

    fn parse(text: &str) -> Result<Self, String> {
        Self::from_str(text, false)
            .map_err(|_| format!("`{text}` is none of {}", Self::names().join(", ")))
    }
}

/// Files that contain one part of a credential each.
#[derive(Clone, Debug)]
pub struct CredentialFiles {
    /// The file of the SecretId.
    pub secret_id: PathBuf,
    /// The file of the SecretKey.
    pub secret_key: PathBuf,
    /// The file of the session token, if the credential is temporary.
    pub token: Option<PathBuf>,
}

impl CredentialsArgs {
    /// Returns the flags that are set and select or configure a credential provider.
    pub(super) fn explicit(&self) -> Vec<&'static str> {
        let Self {
            credentials,
            secret_id_file,
            secret_key_file,
            token_file,
            profile,
            role_arn,
            sts_endpoint,
            metadata_endpoint,
            credentials_interval: _,
            verify_upstream: _,
        } = self;
        [
            ("credentials", credentials),
            ("secret-id-file", secret_id_file),
            ("secret-key-file", secret_key_file),
            ("token-file", token_file),
            ("profile", profile),
            ("role-arn", role_arn),
            ("sts-endpoint", sts_endpoint),
            ("metadata-endpoint", metadata_endpoint),
        ]
        .into_iter()
        .filter_map(|(flag, text)| {
            text.as_ref()
                .is_some_and(|text| !text.is_empty())
                .then_some(flag)
        })
        .collect()
    }

    /// Checks the settings. The default STS endpoint is of the same host family as `api`.
    pub(super) fn checked(
        self,
        api: Option<&Endpoint>,
        problems: &mut Problems,
    ) -> Result<Credentials, Invalid> {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let endpoint =
            |text: Option<String>, default: &str| given(text).as_deref().unwrap_or(default).parse();

        let source = given(self.credentials);
        let source = source.as_deref().map(CredentialSource::parse).transpose();
        let source = problems.take("credentials", source);
        let files = files(
            parsed::file(self.secret_id_file.as_deref()),
            parsed::file(self.secret_key_file.as_deref()),
            parsed::file(self.token_file.as_deref()),
            problems,
        );
        if let (Ok(Some(CredentialSource::Files)), Ok(None)) = (source, &files) {
            problems.note(
                "credentials",
                "files requires --secret-id-file and --secret-key-file",
            );
        }
        let role_arn = given(self.role_arn).map(role_arn).transpose();
        let role_arn = problems.take("role-arn", role_arn);
        let family = api.and_then(|api| Family::of(api.url().host_str()?));
        let beside = family.map_or(DEFAULT_STS_ENDPOINT.to_owned(), |it| it.sts_endpoint());
        let sts_endpoint = endpoint(self.sts_endpoint, &beside);
        let sts_endpoint = problems.take("sts-endpoint", sts_endpoint);
        let metadata_endpoint = endpoint(self.metadata_endpoint, DEFAULT_METADATA_ENDPOINT);
        let metadata_endpoint = problems.take("metadata-endpoint", metadata_endpoint);

        let bounds = Duration::from_millis(100)..=Duration::from_secs(3_600);
        let interval = parsed::duration(&self.credentials_interval, bounds);
        let interval = problems.take("credentials-interval", interval);
        let verify_upstream = parsed::switch(&self.verify_upstream);
        let verify_upstream = problems.take("verify-upstream", verify_upstream);

        Ok(Credentials {
            source: source?,
            files: files?,
            profile: given(self.profile),
            role_arn: role_arn?,
            sts_endpoint: sts_endpoint?,
            metadata_endpoint: metadata_endpoint?,
            interval: interval?,
            verify_upstream: verify_upstream?,
        })
    }
}

fn files(
    secret_id: Option<PathBuf>,
    secret_key: Option<PathBuf>,
    token: Option<PathBuf>,
    problems: &mut Problems,
) -> Result<Option<CredentialFiles>, Invalid> {
    match (secret_id, secret_key, token) {
        (Some(secret_id), Some(secret_key), token) => Ok(Some(CredentialFiles {
            secret_id,
            secret_key,
            token,
        })),
        (None, None, None) => Ok(None),
        (secret_id, secret_key, _) => {
            for (flag, file) in [
                ("secret-id-file", secret_id),
                ("secret-key-file", secret_key),
            ] {
                if file.is_none() {
                    problems.note(flag, "is missing; the other credential files require it");
                }
            }
            Err(Invalid)
        }
    }
}

fn role_arn(text: String) -> Result<String, String> {
    if text.starts_with("qcs::cam::") && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(text);
    }
    Err(format!(
        "`{}` is not of the form qcs::cam::uin/NUMBER:roleName/NAME",
        text.escape_debug()
    ))
}
