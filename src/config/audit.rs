//! The setting of the audit log.

use std::path::PathBuf;

/// Where the lines of the audit log go.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AuditTarget {
    /// A file, to which lines are appended.
    File(PathBuf),
    /// Standard output.
    Stdout,
}

impl AuditTarget {
    /// Parses the setting: `stdout`, or a path.
    pub(super) fn parse(text: &str) -> Self {
        match text {
            "stdout" => Self::Stdout,
            path => Self::File(path.into()),
        }
    }
}
