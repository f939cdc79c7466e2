//! The error if no credential is available.

/// The error if no credential is available.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no credential available; tried {}", report.join("; "))]
pub struct Unavailable {
    /// The result of each provider that was tried, in order.
    pub report: Vec<String>,
    /// Whether a retry may succeed: a remote provider failed.
    pub is_transient: bool,
}
