//! Metrics of reloaded files.

use crate::{
    clock::Clock,
    metrics::{Counter, Family, Gauge, Labels, Registry},
};

/// What is reloaded, as the log names it.
pub(super) const CERTIFICATES: &str = "certificates";
pub(super) const TOKENS: &str = "tokens";

/// The outcomes of a reload that found another content.
const REPLACED: &str = "replaced";
const FAILED: &str = "failed";

/// Metrics of reloads.
#[derive(Clone, Debug)]
pub(super) struct ReloadMetrics {
    reloads: Family<Labels<2>, Counter>,
    last: Family<Labels<1>, Gauge>,
    clock: Clock,
}

impl ReloadMetrics {
    /// Creates and registers the metrics, with times by `clock`.
    pub(super) fn new(registry: &mut Registry, clock: Clock) -> Self {
        let reloads = Family::default();
        for what in [CERTIFICATES, TOKENS] {
            for outcome in [REPLACED, FAILED] {
                drop(reloads.get_or_create(&labels(what, outcome)));
            }
        }
        registry.register(
            "iai_facade_file_reloads",
            "Changes of certificates or tokens on disk that were adopted or could not be used",
            reloads.clone(),
        );
        let last = Family::default();
        registry.register(
            "iai_facade_file_last_reload_timestamp_seconds",
            "Time since which the certificates or tokens are in use, since the Unix epoch; none if not \
             configured",
            last.clone(),
        );
        Self {
            reloads,
            last,
            clock,
        }
    }

    /// Records that content is used from now on.
    pub(super) fn in_use(&self, what: &'static str) {
        let now = self.clock.now().unix_timestamp();
        self.last.get_or_create(&[("file", what)]).set(now);
    }

    /// Counts new content that is used from now on.
    pub(super) fn replaced(&self, what: &'static str) {
        self.in_use(what);
        self.reloads.get_or_create(&labels(what, REPLACED)).inc();
    }

    /// Counts new content that cannot be used.
    pub(super) fn failed(&self, what: &'static str) {
        self.reloads.get_or_create(&labels(what, FAILED)).inc();
    }
}

fn labels(what: &'static str, outcome: &'static str) -> Labels<2> {
    [("file", what), ("outcome", outcome)]
}
