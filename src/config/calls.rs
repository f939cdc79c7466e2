//! Settings of call limits: duration, concurrency and header size.

use std::time::Duration;

use clap::Args;

use super::{Invalid, Problems, parsed};

/// The limits of calls, unparsed.
#[derive(Args, Debug)]
#[command(next_help_heading = "Calls")]
pub(super) struct CallsArgs {
    /// Maximum duration of a call, from 10ms to 10m; caps the client's deadline
    #[arg(
        long,
        env = "IAI_FACADE_MAX_CALL_TIME",
        value_name = "DURATION",
        default_value = "10s"
    )]
    max_call_time: String,

    /// Maximum number of concurrent calls over all connections, from 1 to 1000000; further calls are
    /// rejected at once
    #[arg(
        long,
        env = "IAI_FACADE_MAX_CONCURRENT_CALLS",
        value_name = "N",
        default_value = "1024"
    )]
    max_concurrent_calls: String,

    /// Maximum size of the headers of a call, from 1KiB to 64KiB, counted as in RFC 9113: names, values,
    /// and 32 bytes for each field
    #[arg(
        long,
        env = "IAI_FACADE_MAX_HEADER_BYTES",
        value_name = "BYTES",
        default_value = "16KiB"
    )]
    max_header_bytes: String,
}

/// The limits of calls.
#[derive(Clone, Debug)]
pub struct Calls {
    /// The maximum duration of a call; caps the client's deadline.
    pub max_call_time: Duration,
    /// The maximum number of concurrent calls over all connections.
    pub max_concurrent: usize,
    /// The maximum size of the headers of a call, in bytes, counted as in
    /// [RFC 9113](https://www.rfc-editor.org/rfc/rfc9113), section 10.5.1.
    pub max_header_bytes: usize,
}

/// The upper bound of [`Calls::max_header_bytes`].
pub const MAX_HEADER_BYTES: u32 = 64 << 10;

impl CallsArgs {
    pub(super) fn checked(self, problems: &mut Problems) -> Result<Calls, Invalid> {
        let bounds = Duration::from_millis(10)..=Duration::from_secs(600);
        let max_call_time = parsed::duration(&self.max_call_time, bounds);
        let max_call_time = problems.take("max-call-time", max_call_time);

        let max_concurrent = parsed::number(&self.max_concurrent_calls, 1..=1_000_000);
        let max_concurrent = problems.take("max-concurrent-calls", max_concurrent);

        let bounds = 1 << 10..=u64::from(MAX_HEADER_BYTES);
        let max_header_bytes = parsed::bytes(&self.max_header_bytes, bounds);
        let max_header_bytes = problems.take("max-header-bytes", max_header_bytes);

        Ok(Calls {
            max_call_time: max_call_time?,
            max_concurrent: max_concurrent?,
            max_header_bytes: max_header_bytes? as usize,
        })
    }
}
