//! How to reach upstream.

use std::{path::Path, time::Duration};

use clap::Args;
use http::HeaderValue;
use rustls::pki_types::{CertificateDer, pem::PemObject};

use super::{Endpoint, Problems, parsed};

/// The site for accounts of mainland China, which wants a region named.
const DEFAULT_ENDPOINT: &str = "https://iai.tencentcloudapi.com";

const ENDPOINT_HELP: &str = "Scheme, host and port of the API. Accounts of the international site \
    use https://iai.intl.tencentcloudapi.com [default: https://iai.tencentcloudapi.com]";

/// The region that is sent to it unless another is set.
const DEFAULT_REGION: HeaderValue = HeaderValue::from_static("ap-guangzhou");

/// The settings of upstream, as text.
#[derive(Args, Debug)]
#[command(next_help_heading = "Upstream")]
pub(super) struct UpstreamArgs {
    #[arg(long, env = "IAI_FACADE_ENDPOINT", value_name = "URL", help = ENDPOINT_HELP)]
    endpoint: Option<String>,

    /// Region named in calls; empty for none [default: ap-guangzhou on iai.tencentcloudapi.com, none
    /// elsewhere]
    #[arg(long, env = "IAI_FACADE_REGION", value_name = "REGION")]
    region: Option<String>,

    /// Language of upstream's messages, en-US or zh-CN
    #[arg(
        long,
        env = "IAI_FACADE_LANGUAGE",
        value_name = "LANGUAGE",
        default_value = "en-US"
    )]
    language: String,

    /// PEM file of certificate authorities to trust beside those of the machine
    #[arg(long, env = "IAI_FACADE_UPSTREAM_CA", value_name = "FILE")]
    upstream_ca: Option<String>,

    /// How often a call is tried at most, while its deadline allows: from 1, which is never again,
    /// to 10
    #[arg(
        long,
        env = "IAI_FACADE_MAX_ATTEMPTS",
        value_name = "N",
        default_value = "3"
    )]
    max_attempts: String,

    /// How long connecting may take, from 1ms to 1m
    #[arg(
        long,
        env = "IAI_FACADE_UPSTREAM_CONNECT_TIMEOUT",
        value_name = "DURATION",
        default_value = "3s"
    )]
    upstream_connect_timeout: String,

    /// How long a connection is kept without calls, from 0s to 10m. Upstream closes its own at 60s
    #[arg(
        long,
        env = "IAI_FACADE_UPSTREAM_IDLE_TIMEOUT",
        value_name = "DURATION",
        default_value = "50s"
    )]
    upstream_idle_timeout: String,

    /// The largest answer that is read, from 1KiB to 64MiB
    #[arg(
        long,
        env = "IAI_FACADE_MAX_UPSTREAM_RESPONSE_BYTES",
        value_name = "BYTES",
        default_value = "4MiB"
    )]
    max_upstream_response_bytes: String,
}

/// How to reach upstream.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Where it is.
    pub endpoint: Endpoint,
    /// The region named in calls.
    pub region: Option<HeaderValue>,
    /// The language of its messages.
    pub language: HeaderValue,
    /// Authorities to trust beside those of the machine.
    pub certificate_authorities: Vec<CertificateDer<'static>>,
    /// How often a call is tried at most.
    pub max_attempts: u32,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long a connection is kept without calls.
    pub idle_timeout: Duration,
    /// The largest answer that is read.
    pub max_response_bytes: u64,
    /// Whether `HTTPS_PROXY` and its companions count.
    pub use_proxy: bool,
}

impl UpstreamArgs {
    /// Returns the flags that were given and say where upstream is.
    pub(super) fn explicit(&self) -> Vec<&'static str> {
        self.endpoint.iter().map(|_| "endpoint").collect()
    }

    pub(super) fn checked(self, problems: &mut Problems) -> Option<Upstream> {
        let endpoint = self.endpoint.as_deref().unwrap_or(DEFAULT_ENDPOINT);
        let endpoint: Option<Endpoint> = problems.take("endpoint", endpoint.parse());

        let region = match self.region {
            Some(region) => problems.take("region", parsed::header_value(&region)),
            None => Some(endpoint.as_ref().and_then(default_region)),
        };
        let authorities = parsed::file(self.upstream_ca);
        let authorities = authorities
            .as_deref()
            .map_or(Ok(Vec::new()), read_authorities);
        let certificate_authorities = problems.take("upstream-ca", authorities);
        let language = problems.take("language", language(&self.language));

        let max_attempts = parsed::number(&self.max_attempts, 1..=10);
        let max_attempts = problems.take("max-attempts", max_attempts);

        let bounds = Duration::from_millis(1)..=Duration::from_secs(60);
        let connect_timeout = parsed::duration(&self.upstream_connect_timeout, bounds);
        let connect_timeout = problems.take("upstream-connect-timeout", connect_timeout);

        let bounds = Duration::ZERO..=Duration::from_secs(600);
        let idle_timeout = parsed::duration(&self.upstream_idle_timeout, bounds);
        let idle_timeout = problems.take("upstream-idle-timeout", idle_timeout);

        let bounds = 1 << 10..=64 << 20;
        let max_response_bytes = parsed::bytes(&self.max_upstream_response_bytes, bounds);
        let max_response_bytes = problems.take("max-upstream-response-bytes", max_response_bytes);

        Some(Upstream {
            endpoint: endpoint?,
            region: region?,
            language: language?,
            certificate_authorities: certificate_authorities?,
            max_attempts: max_attempts?,
            connect_timeout: connect_timeout?,
            idle_timeout: idle_timeout?,
            max_response_bytes: max_response_bytes?,
            use_proxy: true,
        })
    }
}

fn default_region(endpoint: &Endpoint) -> Option<HeaderValue> {
    let is_default = endpoint.url().host_str() == DEFAULT_ENDPOINT.strip_prefix("https://");
    is_default.then_some(DEFAULT_REGION)
}

fn language(text: &str) -> Result<HeaderValue, String> {
    match text {
        "en-US" => Ok(HeaderValue::from_static("en-US")),
        "zh-CN" => Ok(HeaderValue::from_static("zh-CN")),
        _ => Err(format!("`{text}` is neither en-US nor zh-CN")),
    }
}

fn read_authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<_, _>>)
        .map_err(|error| format!("{}: {error}", path.display()))?;
    if certificates.is_empty() {
        return Err(format!("{}: there is no certificate in it", path.display()));
    }
    Ok(certificates)
}
