//! Metrics of reloaded files.

use crate::metrics::{Counter, Family, Labels, Registry};

/// What is reloaded, as the log names it.
pub(super) const CERTIFICATES: &str = "certificates";
pub(super) const TOKENS: &str = "tokens";

/// The outcomes of a reload that found another content.
const REPLACED: &str = "replaced";
const FAILED: &str = "failed";

/// Counters of reloads.
#[derive(Clone, Debug)]
pub(super) struct ReloadMetrics(Family<Labels<2>, Counter>);

impl ReloadMetrics {
    /// Creates and registers the counters.
    pub(super) fn new(registry: &mut Registry) -> Self {
        let reloads = Self(Family::default());
        for what in [CERTIFICATES, TOKENS] {
            for outcome in [REPLACED, FAILED] {
                drop(reloads.0.get_or_create(&labels(what, outcome)));
            }
        }
        registry.register(
            "iai_facade_file_reloads",
            "Changes of certificates or tokens on disk that were adopted or could not be used",
            reloads.0.clone(),
        );
        reloads
    }

    /// Counts new content that is used from now on.
    pub(super) fn replaced(&self, what: &'static str) {
        self.0.get_or_create(&labels(what, REPLACED)).inc();
    }

    /// Counts new content that cannot be used.
    pub(super) fn failed(&self, what: &'static str) {
        self.0.get_or_create(&labels(what, FAILED)).inc();
    }
}

fn labels(what: &'static str, outcome: &'static str) -> Labels<2> {
    [("file", what), ("outcome", outcome)]
}
