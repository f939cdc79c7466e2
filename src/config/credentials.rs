//! Where credentials come from.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use super::{Endpoint, Problems, parsed};

const STS_ENDPOINT_HELP: &str = "Scheme, host and port of STS. Accounts of the international site \
    use https://sts.intl.tencentcloudapi.com [default: https://sts.tencentcloudapi.com]";
const METADATA_ENDPOINT_HELP: &str = "Scheme, host and port of the metadata service of instances \
    [default: http://metadata.tencentyun.com]";

/// The settings of credentials, as text.
#[derive(Args, Debug)]
#[command(next_help_heading = "Credentials")]
pub(super) struct CredentialsArgs {
    /// The one source of credentials to ask: files, environment, profile, web-identity or
    /// instance-role [default: all, in this order]
    #[arg(long, env = "IAI_FACADE_CREDENTIALS", value_name = "SOURCE")]
    credentials: Option<String>,

    /// File with the SecretId
    #[arg(long, env = "IAI_FACADE_SECRET_ID_FILE", value_name = "FILE")]
    secret_id_file: Option<String>,

    /// File with the SecretKey
    #[arg(long, env = "IAI_FACADE_SECRET_KEY_FILE", value_name = "FILE")]
    secret_key_file: Option<String>,

    /// File with the token of a temporary credential
    #[arg(long, env = "IAI_FACADE_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<String>,

    /// Section of the profile file to read [default: default]
    #[arg(long, env = "IAI_FACADE_PROFILE", value_name = "NAME")]
    profile: Option<String>,

    /// Role to assume with the credential that was found, such as
    /// qcs::cam::uin/100000000001:roleName/iai
    #[arg(long, env = "IAI_FACADE_ROLE_ARN", value_name = "ARN")]
    role_arn: Option<String>,

    #[arg(long, env = "IAI_FACADE_STS_ENDPOINT", value_name = "URL", help = STS_ENDPOINT_HELP)]
    sts_endpoint: Option<String>,

    #[arg(long, env = "IAI_FACADE_METADATA_ENDPOINT", value_name = "URL", help = METADATA_ENDPOINT_HELP)]
    metadata_endpoint: Option<String>,

    /// How often files with credentials are read again, from 100ms to 1h
    #[arg(
        long,
        env = "IAI_FACADE_CREDENTIALS_INTERVAL",
        value_name = "DURATION",
        default_value = "5s"
    )]
    credentials_interval: String,

    /// Be ready only when upstream has accepted one signed call: true or false
    #[arg(long, env = "IAI_FACADE_VERIFY_UPSTREAM", value_name = "BOOL", default_value = "false",
        num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    verify_upstream: String,
}

/// Where credentials come from, beside the environment.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The one source to ask; all if none is named.
    pub source: Option<CredentialSource>,
    /// Files that hold a credential.
    pub files: Option<CredentialFiles>,
    /// The section of the profile file, if another than `default`.
    pub profile: Option<String>,
    /// The role to assume with what the source yields.
    pub role_arn: Option<String>,
    /// Where STS is.
    pub sts_endpoint: Endpoint,
    /// Where the metadata service is.
    pub metadata_endpoint: Endpoint,
    /// How often local sources are read again.
    pub interval: Duration,
    /// Whether upstream must have accepted a signed call before the service is ready.
    pub verify_upstream: bool,
}

/// A place where credentials come from, in the order in which they are asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CredentialSource {
    /// Files that hold one part each.
    Files,
    /// Variables of the environment.
    Environment,
    /// A section of the vendor's profile file.
    Profile,
    /// The token of a TKE service account, exchanged at STS.
    WebIdentity,
    /// The role of a CVM instance, from its metadata service.
    InstanceRole,
}

impl CredentialSource {
    /// All of them, in order.
    pub const ALL: [Self; 5] = [
        Self::Files,
        Self::Environment,
        Self::Profile,
        Self::WebIdentity,
        Self::InstanceRole,
    ];

    /// Returns the name by which `--credentials` knows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Environment => "environment",
            Self::Profile => "profile",
            Self::WebIdentity => "web-identity",
            Self::InstanceRole => "instance-role",
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let named = Self::ALL.into_iter().find(|source| source.name() == text);
        named.ok_or_else(|| {
            format!(
                "`{text}` is none of {}",
                Self::ALL.map(Self::name).join(", ")
            )
        })
    }
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
    /// Returns the flags that were given and say where credentials come from.
    pub(super) fn explicit(&self) -> Vec<&'static str> {
        [
            ("credentials", &self.credentials),
            ("secret-id-file", &self.secret_id_file),
            ("secret-key-file", &self.secret_key_file),
            ("token-file", &self.token_file),
            ("profile", &self.profile),
            ("role-arn", &self.role_arn),
            ("sts-endpoint", &self.sts_endpoint),
            ("metadata-endpoint", &self.metadata_endpoint),
        ]
        .into_iter()
        .filter_map(|(flag, text)| {
            text.as_ref()
                .is_some_and(|text| !text.is_empty())
                .then_some(flag)
        })
        .collect()
    }

    pub(super) fn checked(self, problems: &mut Problems) -> Option<Credentials> {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let endpoint =
            |text: Option<String>, default: &str| given(text).as_deref().unwrap_or(default).parse();

        let source = given(self.credentials);
        let source = source.as_deref().map(CredentialSource::parse).transpose();
        let source = problems.take("credentials", source);
        let files = files(
            parsed::file(self.secret_id_file),
            parsed::file(self.secret_key_file),
            parsed::file(self.token_file),
            problems,
        );
        if let (Some(Some(CredentialSource::Files)), Some(None)) = (source, &files) {
            problems.note(
                "credentials",
                "files needs --secret-id-file and --secret-key-file",
            );
        }
        let role_arn = given(self.role_arn).map(role_arn).transpose();
        let role_arn = problems.take("role-arn", role_arn);
        let sts_endpoint = endpoint(self.sts_endpoint, "https://sts.tencentcloudapi.com");
        let sts_endpoint = problems.take("sts-endpoint", sts_endpoint);
        let metadata_endpoint = endpoint(self.metadata_endpoint, "http://metadata.tencentyun.com");
        let metadata_endpoint = problems.take("metadata-endpoint", metadata_endpoint);

        let bounds = Duration::from_millis(100)..=Duration::from_secs(3_600);
        let interval = parsed::duration(&self.credentials_interval, bounds);
        let interval = problems.take("credentials-interval", interval);
        let verify_upstream = parsed::switch(&self.verify_upstream);
        let verify_upstream = problems.take("verify-upstream", verify_upstream);

        Some(Credentials {
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
) -> Option<Option<CredentialFiles>> {
    match (secret_id, secret_key, token) {
        (Some(secret_id), Some(secret_key), token) => Some(Some(CredentialFiles {
            secret_id,
            secret_key,
            token,
        })),
        (None, None, None) => Some(None),
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

fn role_arn(text: String) -> Result<String, String> {
    if text.starts_with("qcs::cam::") && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(text);
    }
    Err(format!(
        "`{}` is not of the form qcs::cam::uin/NUMBER:roleName/NAME",
        text.escape_debug()
    ))
}
