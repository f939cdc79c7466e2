//! Settings of the upstream connection.

use std::time::Duration;

use clap::Args;
use http::HeaderValue;
use rustls::pki_types::CertificateDer;

use super::{Endpoint, Invalid, Problems, Proxies, family::Family, parsed};
use crate::tls::pem;

/// The API endpoint for accounts of mainland China.
const DEFAULT_ENDPOINT: &str = "https://iai.tencentcloudapi.com";

/// The region variable of the vendor's command line and SDKs.
const REGION_VARIABLE: &str = "TENCENTCLOUD_REGION";

/// The settings of the upstream connection, unparsed.
#[derive(Args, Debug)]
#[command(next_help_heading = "Upstream")]
pub(super) struct UpstreamArgs {
    #[arg(long, env = "IAI_FACADE_ENDPOINT", value_name = "URL", help = format!(
        "Scheme, host and port of the Tencent Cloud API. Accounts of the international site use \
         https://iai.intl.tencentcloudapi.com [default: {DEFAULT_ENDPOINT}]"
    ))]
    endpoint: Option<String>,

    /// Region sent with upstream requests, or none [default: TENCENTCLOUD_REGION, else the region in the
    /// host name of --endpoint, else ap-guangzhou for hosts of mainland China, none for others]
    #[arg(long, env = "IAI_FACADE_REGION", value_name = "REGION")]
    region: Option<String>,

    /// Language of upstream's error messages, en-US or zh-CN
    #[arg(
        long,
        env = "IAI_FACADE_LANGUAGE",
        value_name = "LANGUAGE",
        default_value = "en-US"
    )]
    language: String,

    /// PEM file of certificate authorities to trust in addition to those of the system
    #[arg(long, env = "IAI_FACADE_UPSTREAM_CA", value_name = "FILE")]
    upstream_ca: Option<String>,

    /// Maximum number of attempts per call, including the first, from 1 to 10; the deadline of the call
    /// may allow fewer
    #[arg(
        long,
        env = "IAI_FACADE_MAX_ATTEMPTS",
        value_name = "N",
        default_value = "3"
    )]
    max_attempts: String,

    /// Maximum time to connect to upstream, from 1ms to 1m
    #[arg(
        long,
        env = "IAI_FACADE_UPSTREAM_CONNECT_TIMEOUT",
        value_name = "DURATION",
        default_value = "3s"
    )]
    upstream_connect_timeout: String,

    /// Idle time after which an upstream connection is closed, from 0s to 10m; upstream itself closes
    /// after 60s
    #[arg(
        long,
        env = "IAI_FACADE_UPSTREAM_IDLE_TIMEOUT",
        value_name = "DURATION",
        default_value = "50s"
    )]
    upstream_idle_timeout: String,

    /// Maximum size of an upstream response, from 1KiB to 64MiB
    #[arg(
        long,
        env = "IAI_FACADE_MAX_UPSTREAM_RESPONSE_BYTES",
        value_name = "BYTES",
        default_value = "4MiB"
    )]
    max_upstream_response_bytes: String,

    /// Send the trace context of a call, the headers traceparent and tracestate, with upstream requests:
    /// true or false
    #[arg(long, env = "IAI_FACADE_TRACE_UPSTREAM", value_name = "BOOL", default_value = "false",
        num_args = 0..=1, default_missing_value = "true")]
    trace_upstream: String,
}

/// The upstream connection.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// The API endpoint.
    pub endpoint: Endpoint,
    /// The region sent with requests.
    pub region: Option<HeaderValue>,
    /// The language of upstream's error messages.
    pub language: HeaderValue,
    /// The authorities to trust in addition to those of the system.
    pub certificate_authorities: Vec<CertificateDer<'static>>,
    /// The maximum number of attempts per call, including the first.
    pub max_attempts: u32,
    /// The maximum time to connect.
    pub connect_timeout: Duration,
    /// The idle time after which a connection is closed.
    pub idle_timeout: Duration,
    /// The maximum size of a response, in bytes.
    pub max_response_bytes: u64,
    /// Whether the trace context of a call is sent with requests.
    pub sends_trace_context: bool,
    /// The HTTP proxies.
    pub proxies: Proxies,
}

impl UpstreamArgs {
    /// Returns the flags that are set and select another upstream.
    pub(super) fn explicit(&self) -> Vec<&'static str> {
        self.endpoint.iter().map(|_| "endpoint").collect()
    }

    pub(super) fn checked(
        self,
        variable: impl Fn(&str) -> Option<String>,
        problems: &mut Problems,
    ) -> Result<Upstream, Invalid> {
        let endpoint = self.endpoint.as_deref().unwrap_or(DEFAULT_ENDPOINT);
        let endpoint: Result<Endpoint, _> = problems.take("endpoint", endpoint.parse());

        let region = match (self.region, variable(REGION_VARIABLE)) {
            (Some(region), _) => problems.take("region", parsed::region(&region)),
            (None, Some(region)) => {
                problems.take_variable(REGION_VARIABLE, parsed::region(&region))
            }
            (None, None) => Ok(endpoint.as_ref().ok().and_then(default_region)),
        };
        let proxies = Proxies::read(variable, problems);
        let authorities = parsed::file(self.upstream_ca.as_deref());
        let authorities = authorities
            .as_deref()
            .map_or(Ok(Vec::new()), pem::read_certificates_once);
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

        let sends_trace_context =
            problems.take("trace-upstream", parsed::switch(&self.trace_upstream));

        Ok(Upstream {
            endpoint: endpoint?,
            region: region?,
            language: language?,
            certificate_authorities: certificate_authorities?,
            max_attempts: max_attempts?,
            connect_timeout: connect_timeout?,
            idle_timeout: idle_timeout?,
            max_response_bytes: max_response_bytes?,
            sends_trace_context: sends_trace_context?,
            proxies: proxies?,
        })
    }
}

fn default_region(endpoint: &Endpoint) -> Option<HeaderValue> {
    Family::of(endpoint.url().host_str()?)?.region()
}

fn language(text: &str) -> Result<HeaderValue, String> {
    match text {
        "en-US" => Ok(HeaderValue::from_static("en-US")),
        "zh-CN" => Ok(HeaderValue::from_static("zh-CN")),
        _ => Err(format!("`{text}` is neither en-US nor zh-CN")),
    }
}
