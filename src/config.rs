//! Configuration: every setting with its flag, environment variable, default and bounds. The setting
//! `--max-call-time` is also the variable `IAI_FACADE_MAX_CALL_TIME`; the flag takes precedence, and
//! an empty variable counts as unset. The argument parser accepts each setting as unchecked text,
//! because it would stop at the first error; the `checked` functions parse all settings and report
//! all errors at once. Kubernetes sets variables such as `IAI_FACADE_PORT` and
//! `IAI_FACADE_SERVICE_HOST` for a service named `iai-facade`, so no setting may have such a name.

mod audit;
mod cache;
mod callers;
mod calls;
mod connections;
mod credentials;
mod emulation;
mod family;
mod listening;
mod log;
mod log_levels;
mod metrics;
mod parsed;
mod problems;
mod proxy;
mod quota;
mod traces;
mod upstream;
mod variables;

use std::path::PathBuf;

use clap::Args;

pub use self::{
    audit::AuditTarget,
    cache::Cache,
    callers::{CallerFiles, Callers, SubjectAltName, TLS_CERT_VARIABLE},
    calls::{Calls, MAX_HEADER_BYTES},
    connections::Connections,
    credentials::{CredentialFiles, CredentialSource, Credentials, DEFAULT_PROFILE},
    emulation::{ControlApi, Emulate, EmulateArgs},
    listening::{
        DEFAULT_LISTEN, LISTEN_VARIABLE, ListenAddress, Listening, MAX_SOCKET_PATH, socket_path,
    },
    log::{Format, HashKey, LOG_FORMAT_VARIABLE, Log, intended_log_format},
    log_levels::{ALWAYS_LOGGED, LogLevels},
    metrics::Metrics,
    parsed::Endpoint,
    problems::{Invalid, Problems},
    proxy::{Proxies, Proxy},
    quota::Quota,
    traces::{Protocol, TraceExport, Traces},
    upstream::Upstream,
    variables::{WORKER_THREADS_VARIABLE, variable, without_empty_variables, worker_threads},
};

/// The settings of `serve`, unparsed.
#[derive(Args, Debug)]
pub struct ServeArgs {
    #[command(flatten)]
    listening: listening::ListeningArgs,
    #[command(flatten)]
    callers: callers::CallersArgs,
    #[command(flatten)]
    upstream: upstream::UpstreamArgs,
    #[command(flatten)]
    quota: quota::QuotaArgs,
    #[command(flatten)]
    credentials: credentials::CredentialsArgs,
    #[command(flatten)]
    cache: cache::CacheArgs,
    #[command(flatten)]
    calls: calls::CallsArgs,
    #[command(flatten)]
    connections: connections::ConnectionsArgs,
    #[command(flatten)]
    log: log::LogArgs,
    #[command(flatten)]
    metrics: metrics::MetricsArgs,
    #[command(flatten)]
    emulation: emulation::EmulationArgs,
}

/// The settings of `serve`, parsed and checked.
#[derive(Clone, Debug)]
pub struct Serve {
    /// The listening addresses.
    pub listening: Listening,
    /// Authentication of callers.
    pub callers: Callers,
    /// The upstream connection.
    pub upstream: Upstream,
    /// The upstream rate limit and circuit breaker.
    pub quota: Quota,
    /// The credential providers.
    pub credentials: Credentials,
    /// Request coalescing and the response cache.
    pub cache: Cache,
    /// The limits of calls.
    pub calls: Calls,
    /// The limits of connections.
    pub connections: Connections,
    /// The log.
    pub log: Log,
    /// The metrics.
    pub metrics: Metrics,
    /// The traces.
    pub traces: Traces,
    /// Whether the upstream is an emulator in this process, in place of Tencent Cloud.
    pub is_emulated: bool,
}

impl ServeArgs {
    /// Returns the files of certificates and bearer tokens. Known even if a setting is invalid, so that
    /// the errors of all files and settings can be reported at once.
    pub fn caller_files(&self) -> CallerFiles {
        self.callers.files()
    }

    /// Returns the file of fixtures, if the emulator is enabled. Known even if a setting is invalid.
    pub fn fixtures(&self) -> Option<PathBuf> {
        self.emulation.fixtures()
    }

    /// Checks every setting, and the environment variables of other programs that count as settings
    /// here: `TENCENTCLOUD_REGION`, the proxy variables and those of OpenTelemetry, read by `variable`. An empty variable
    /// counts as unset.
    ///
    /// # Errors
    ///
    /// Fails with a list of all errors.
    pub fn checked(self, variable: impl Fn(&str) -> Option<String>) -> Result<Serve, Problems> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let mut problems = Problems::default();
        let explicit = [self.upstream.explicit(), self.credentials.explicit()].concat();

        let listening = self.listening.checked(&mut problems);
        let callers = self.callers.checked(&mut problems);
        let traces = Traces::checked(variable, &mut problems);
        let upstream = self.upstream.checked(variable, &mut problems);
        let quota = self.quota.checked(&mut problems);
        let endpoint = upstream.as_ref().ok().map(|upstream| &upstream.endpoint);
        let credentials = self.credentials.checked(endpoint, &mut problems);
        let cache = self.cache.checked(&mut problems);
        let calls = self.calls.checked(&mut problems);
        let connections = self.connections.checked(&mut problems);
        let log = self.log.checked(&mut problems);
        let metrics = self.metrics.checked(&mut problems);
        let is_emulated = self.emulation.checked(&explicit, &mut problems);

        let settings = || {
            Ok(Serve {
                listening: listening?,
                callers: callers?,
                upstream: upstream?,
                quota: quota?,
                credentials: credentials?,
                cache: cache?,
                calls: calls?,
                connections: connections?,
                log: log?,
                metrics: metrics?,
                traces: traces?,
                is_emulated: is_emulated?,
            })
        };
        problems.into_result(settings())
    }
}
