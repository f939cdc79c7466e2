//! Settings of the log.

use std::{ffi::OsString, fmt, path::Path, time::Duration};

use clap::Args;

use super::{Invalid, LogLevels, Problems, audit::AuditTarget, parsed};
use crate::files::bounded_file::{self, FileKind};

/// The variable of `--log-format`.
pub const LOG_FORMAT_VARIABLE: &str = "IAI_FACADE_LOG_FORMAT";

/// The settings of the log, unparsed.
#[derive(Args, Debug)]
#[command(next_help_heading = "Log")]
pub(super) struct LogArgs {
    /// Format of log lines: text or json
    #[arg(
        long,
        env = LOG_FORMAT_VARIABLE,
        value_name = "FORMAT",
        default_value_t = Format::default().to_string()
    )]
    log_format: String,

    /// Minimum log level: off, error, warn, info, debug or trace, or a list with levels per target,
    /// such as info,iai_facade=debug. PUT /log-level on the admin port of serve changes it at run
    /// time
    #[arg(
        long,
        env = "IAI_FACADE_LOG_LEVEL",
        value_name = "LEVEL",
        default_value_t = LogLevels::default().to_string()
    )]
    log_level: String,

    /// Duration from which a successful call is logged as slow, from 0s to 10m
    #[arg(
        long,
        env = "IAI_FACADE_LOG_SLOW",
        value_name = "DURATION",
        default_value = "1s"
    )]
    log_slow: String,

    /// Sampling ratio of successful calls that are not slow, logged at level info, from 0 to 1
    #[arg(
        long,
        env = "IAI_FACADE_LOG_SAMPLE",
        value_name = "SHARE",
        default_value = "0"
    )]
    log_sample: String,

    /// Log the ids of groups and persons in plain text instead of hashed: true or false
    #[arg(long, env = "IAI_FACADE_LOG_IDS", value_name = "BOOL", default_value = "false",
        num_args = 0..=1, default_missing_value = "true")]
    log_ids: String,

    /// File of the key that ids are hashed with, at least 16 bytes; replicas with the same key log the
    /// same hashes [default: a random key for each process]
    #[arg(long, env = "IAI_FACADE_LOG_HASH_KEY_FILE", value_name = "FILE")]
    log_hash_key_file: Option<String>,

    /// Audit log: one JSON line for every call, appended to this file, or stdout. Calls are rejected
    /// while it cannot be written. Requires --log-hash-key-file. SIGHUP opens the file again [default:
    /// none]
    #[arg(long, env = "IAI_FACADE_AUDIT_LOG", value_name = "FILE")]
    audit_log: Option<String>,
}

/// The settings of the log.
#[derive(Clone, Debug)]
pub struct Log {
    /// The format of log lines.
    pub format: Format,
    /// The minimum levels.
    pub level: LogLevels,
    /// The duration from which a successful call is logged.
    pub slow: Duration,
    /// The sampling ratio of the other successful calls, from 0 to 1.
    pub sample: f64,
    /// Whether ids are logged in plain text.
    pub ids: bool,
    /// The key that ids are hashed with; a random one if `None`.
    pub hash_key: Option<HashKey>,
    /// The audit log, if calls are audited.
    pub audit: Option<AuditTarget>,
}

/// A format of log lines.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Format {
    /// One JSON object per line.
    Json,
    /// Text for human readers.
    #[default]
    Text,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json => "json",
            Self::Text => "text",
        })
    }
}

/// A key that ids are hashed with. `Debug` does not show it.
#[derive(Clone)]
pub struct HashKey(Vec<u8>);

impl HashKey {
    /// Returns the bytes of the key.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey(..)")
    }
}

impl LogArgs {
    pub(super) fn checked(self, problems: &mut Problems) -> Result<Log, Invalid> {
        let format = problems.take("log-format", format(&self.log_format));
        let level = problems.take("log-level", LogLevels::parse(&self.log_level));
        let bounds = Duration::ZERO..=Duration::from_secs(600);
        let slow = problems.take("log-slow", parsed::duration(&self.log_slow, bounds));
        let sample = problems.take("log-sample", parsed::number(&self.log_sample, 0.0..=1.0));
        let ids = problems.take("log-ids", parsed::switch(&self.log_ids));
        let hash_key = parsed::file(self.log_hash_key_file.as_deref())
            .as_deref()
            .map(read_key)
            .transpose();
        let hash_key = problems.take("log-hash-key-file", hash_key);
        let audit = match (self.audit_log.as_deref(), &self.log_hash_key_file) {
            (None | Some(""), _) => Ok(None),
            (Some(_), None) => Err(
                "requires --log-hash-key-file: without it, the hashes of an id differ after a restart"
                    .to_owned(),
            ),
            (Some(text), Some(_)) => Ok(Some(AuditTarget::parse(text))),
        };
        let audit = problems.take("audit-log", audit);

        Ok(Log {
            format: format?,
            level: level?,
            slow: slow?,
            sample: sample?,
            ids: ids?,
            hash_key: hash_key?,
            audit: audit?,
        })
    }
}

/// Returns the log format before the arguments are parsed, so that errors in the arguments are logged
/// in it: that of the last `--log-format`, else that of the variable. An unknown format counts as the default.
pub fn intended_log_format(
    arguments: impl IntoIterator<Item = OsString>,
    variable: Option<OsString>,
) -> Format {
    let mut arguments = arguments.into_iter();
    let mut given = variable;
    while let Some(argument) = arguments.next() {
        match argument
            .to_str()
            .and_then(|it| it.strip_prefix("--log-format"))
        {
            Some("") => given = arguments.next(),
            Some(value) if value.starts_with('=') => given = Some(value[1..].into()),
            _ => {}
        }
    }
    let format = given
        .as_deref()
        .and_then(|text| format(text.to_str()?).ok());
    format.unwrap_or_default()
}

fn format(text: &str) -> Result<Format, String> {
    match text {
        "json" => Ok(Format::Json),
        "text" => Ok(Format::Text),
        _ => Err(format!("`{text}` is neither text nor json")),
    }
}

fn read_key(path: &Path) -> Result<HashKey, String> {
    let key = bounded_file::read_once(path, FileKind::Key).map_err(|error| error.to_string())?;
    if key.len() < 16 {
        return Err(format!(
            "{}: the key has {} bytes, not 16",
            path.display(),
            key.len()
        ));
    }
    Ok(HashKey(key))
}
