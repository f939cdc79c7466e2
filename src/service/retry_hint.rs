//! Retry hints of errors, in three forms.
//!
//! grpcio, grpc-js and grpc-go obey only `grpc-retry-pushback-ms`, Envoy obeys only `retry-after`, and
//! application code reads `google.rpc.RetryInfo`. The same delay is sent in all three.

use std::time::Duration;

use tonic::metadata::{MetadataMap, MetadataValue};
use tonic_types::ErrorDetails;

use crate::error_policy::Hint;

const PUSHBACK: &str = "grpc-retry-pushback-ms";
const RETRY_AFTER: &str = "retry-after";

/// Maximum retry delay that is sent to a caller, so that a broken proxy cannot stop callers for a day.
const MAX_DELAY: Duration = Duration::from_secs(60);

/// Adds a hint to the details and metadata of an error. `retry_after` is the value of upstream's
/// `Retry-After`, or the expected wait.
pub(super) fn add(
    hint: Hint,
    retry_after: Option<Duration>,
    details: &mut ErrorDetails,
    metadata: &mut MetadataMap,
) {
    match hint {
        Hint::After(least) => {
            let delay = retry_after.unwrap_or(least).clamp(least, MAX_DELAY);
            let milliseconds = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
            details.set_retry_info(Some(delay));
            metadata.insert(PUSHBACK, MetadataValue::from(milliseconds));
            metadata.insert(
                RETRY_AFTER,
                MetadataValue::from(milliseconds.div_ceil(1_000)),
            );
        }
        Hint::Never => {
            metadata.insert(PUSHBACK, MetadataValue::from_static("-1"));
        }
        Hint::Unspecified => {}
    }
}

/// Returns the delay that a client is told to wait before a retry, in milliseconds: -1 if it must not retry,
/// `None` without a hint.
pub(crate) fn delay_ms(metadata: &MetadataMap) -> Option<i64> {
    metadata.get(PUSHBACK)?.to_str().ok()?.parse().ok()
}
