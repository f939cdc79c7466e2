//! Whether a caller should try again, in the three forms that callers understand.
//!
//! grpcio, grpc-js and grpc-go obey `grpc-retry-pushback-ms` alone, Envoy `retry-after` alone, and
//! code written by people reads `google.rpc.RetryInfo`. So the same delay is sent in all three.

use std::time::Duration;

use tonic::metadata::{MetadataMap, MetadataValue};
use tonic_types::ErrorDetails;

const PUSHBACK: &str = "grpc-retry-pushback-ms";
const RETRY_AFTER: &str = "retry-after";

/// What is said to a caller about trying again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Retry {
    /// It helps, after this time.
    After(Duration),
    /// It does not help, and the fault is not the caller's: a client's retry throttling may count
    /// it.
    Never,
    /// Nothing: the caller must change its request, or its own deadline has passed.
    Unsaid,
}

impl Retry {
    /// Adds the forms to an error.
    pub(super) fn describe(self, details: &mut ErrorDetails, metadata: &mut MetadataMap) {
        match self {
            Self::After(delay) => {
                let milliseconds = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
                details.set_retry_info(Some(delay));
                metadata.insert(PUSHBACK, MetadataValue::from(milliseconds));
                metadata.insert(
                    RETRY_AFTER,
                    MetadataValue::from(milliseconds.div_ceil(1_000)),
                );
            }
            Self::Never => {
                metadata.insert(PUSHBACK, MetadataValue::from_static("-1"));
            }
            Self::Unsaid => {}
        }
    }
}
