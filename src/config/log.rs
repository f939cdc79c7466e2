//! What to log, and how.

use std::{fmt, fs, path::Path, time::Duration};

use clap::Args;
use tracing_subscriber::EnvFilter;

use super::{Problems, parsed};

/// The settings of the log, as text.
#[derive(Args, Debug)]
#[command(next_help_heading = "Log")]
pub(super) struct LogArgs {
    /// Form of a line, text or json
    #[arg(
        long,
        env = "IAI_FACADE_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "text"
    )]
    log_format: String,

    /// Lines that are written: error, warn, info, debug or trace, or directives such as
    /// info,iai_facade=debug. PUT /log-level on the admin port changes it
    #[arg(
        long,
        env = "IAI_FACADE_LOG_LEVEL",
        value_name = "LEVEL",
        default_value = "info"
    )]
    log_level: String,

    /// How long a call may take before it is logged though it succeeded, from 0s to 10m
    #[arg(
        long,
        env = "IAI_FACADE_LOG_SLOW",
        value_name = "DURATION",
        default_value = "1s"
    )]
    log_slow: String,

    /// Share of the calls that succeeded in time to log at level info, from 0 to 1
    #[arg(
        long,
        env = "IAI_FACADE_LOG_SAMPLE",
        value_name = "SHARE",
        default_value = "0"
    )]
    log_sample: String,

    /// Log the ids of groups and persons themselves, and not their hashes: true or false
    #[arg(long, env = "IAI_FACADE_LOG_IDS", value_name = "BOOL", default_value = "false",
        num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    log_ids: String,

    /// File with the key of the hashes, of 16 bytes at least, so that all replicas hash alike
    /// [default: a random key for each process]
    #[arg(long, env = "IAI_FACADE_LOG_HASH_KEY_FILE", value_name = "FILE")]
    log_hash_key_file: Option<String>,
}

/// What to log, and how.
#[derive(Clone, Debug)]
pub struct Log {
    /// The form of a line.
    pub format: Format,
    /// Which lines are written.
    pub level: Level,
    /// From which duration on a call that succeeded is logged.
    pub slow: Duration,
    /// The share of the other calls that is logged, from 0 to 1.
    pub sample: f64,
    /// Whether ids are logged as they are.
    pub ids: bool,
    /// The key to hash them with, unless it is to be random.
    pub hash_key: Option<HashKey>,
}

/// The form of a line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// A JSON object.
    Json,
    /// For people.
    Text,
}

/// Directives that say which lines are written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Level(String);

impl Level {
    /// Reads directives such as `info,iai_facade=debug`.
    ///
    /// # Errors
    ///
    /// Fails with a sentence on what directives look like.
    pub fn parse(text: &str) -> Result<Self, String> {
        match EnvFilter::builder().parse(text) {
            Ok(_) if !text.trim().is_empty() => Ok(Self(text.to_owned())),
            _ => Err(format!(
                "`{}` is not a level (error, warn, info, debug, trace) or a list of directives \
                 such as info,iai_facade=debug",
                text.escape_debug(),
            )),
        }
    }

    /// Returns the filter that lets these lines pass.
    pub fn filter(&self) -> EnvFilter {
        EnvFilter::new(&self.0)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A key to hash ids with. `Debug` does not show it.
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
    pub(super) fn checked(self, problems: &mut Problems) -> Option<Log> {
        let format = problems.take("log-format", format(&self.log_format));
        let level = problems.take("log-level", Level::parse(&self.log_level));
        let bounds = Duration::ZERO..=Duration::from_secs(600);
        let slow = problems.take("log-slow", parsed::duration(&self.log_slow, bounds));
        let sample = problems.take("log-sample", parsed::number(&self.log_sample, 0.0..=1.0));
        let ids = problems.take("log-ids", parsed::switch(&self.log_ids));
        let hash_key = parsed::file(self.log_hash_key_file)
            .as_deref()
            .map(read_key)
            .transpose();
        let hash_key = problems.take("log-hash-key-file", hash_key);

        Some(Log {
            format: format?,
            level: level?,
            slow: slow?,
            sample: sample?,
            ids: ids?,
            hash_key: hash_key?,
        })
    }
}

fn format(text: &str) -> Result<Format, String> {
    match text {
        "json" => Ok(Format::Json),
        "text" => Ok(Format::Text),
        _ => Err(format!("`{text}` is neither text nor json")),
    }
}

fn read_key(path: &Path) -> Result<HashKey, String> {
    let key = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    if key.len() < 16 {
        return Err(format!(
            "{}: the key has {} bytes, not 16",
            path.display(),
            key.len()
        ));
    }
    Ok(HashKey(key))
}
