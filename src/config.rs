//! Every setting: its flag, its variable, its default, its bounds.
//!
//! A setting `--max-call-time` is also the variable `IAI_FACADE_MAX_CALL_TIME`; the flag wins. The
//! parser takes each as text and checks nothing, because it would stop at the first mistake: the
//! `checked` functions read them all and report all mistakes at once.
//!
//! Kubernetes sets variables such as `IAI_FACADE_PORT` and `IAI_FACADE_SERVICE_HOST` for a service
//! named `iai-facade`. No setting may take such a name.

mod cache;
mod callers;
mod calls;
mod connections;
mod credentials;
mod emulation;
mod listening;
mod log;
mod parsed;
mod problems;
mod quota;
mod upstream;

use clap::Args;

pub use self::{
    cache::Cache,
    callers::{Callers, Tls},
    calls::Calls,
    connections::Connections,
    credentials::{CredentialFiles, CredentialSource, Credentials},
    emulation::{Emulate, EmulateArgs, Emulation},
    listening::Listening,
    log::{Format, HashKey, Level, Log},
    parsed::Endpoint,
    problems::Problems,
    quota::Quota,
    upstream::Upstream,
};

/// The settings of `serve`, as text.
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
    emulation: emulation::EmulationArgs,
}

/// The settings of `serve`, checked.
#[derive(Clone, Debug)]
pub struct Serve {
    /// Where to listen.
    pub listening: Listening,
    /// Who may call.
    pub callers: Callers,
    /// How to reach upstream.
    pub upstream: Upstream,
    /// How the account's quota is shared out.
    pub quota: Quota,
    /// Where credentials come from.
    pub credentials: Credentials,
    /// What calls have in common.
    pub cache: Cache,
    /// The bounds of calls.
    pub calls: Calls,
    /// The bounds of connections.
    pub connections: Connections,
    /// What to log.
    pub log: Log,
    /// Whether upstream is the emulator of this process.
    pub emulation: Option<Emulation>,
}

impl ServeArgs {
    /// Checks every setting.
    ///
    /// # Errors
    ///
    /// Fails with every mistake there is.
    pub fn checked(self) -> Result<Serve, Problems> {
        let mut problems = Problems::default();
        let explicit = [self.upstream.explicit(), self.credentials.explicit()].concat();

        let listening = self.listening.checked(&mut problems);
        let callers = self.callers.checked(&mut problems);
        let upstream = self.upstream.checked(&mut problems);
        let quota = self.quota.checked(&mut problems);
        let credentials = self.credentials.checked(&mut problems);
        let cache = self.cache.checked(&mut problems);
        let calls = self.calls.checked(&mut problems);
        let connections = self.connections.checked(&mut problems);
        let log = self.log.checked(&mut problems);
        let emulation = self.emulation.checked(&explicit, &mut problems);

        let settings = || {
            Some(Serve {
                listening: listening?,
                callers: callers?,
                upstream: upstream?,
                quota: quota?,
                credentials: credentials?,
                cache: cache?,
                calls: calls?,
                connections: connections?,
                log: log?,
                emulation: emulation?,
            })
        };
        problems.unless_none(settings())
    }
}
