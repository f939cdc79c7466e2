//! How a circuit breaker detects that upstream has recovered.

use std::time::Duration;

/// The longest time without an admitted attempt. At a low rate of calls, the admitted tenth of them
/// would detect a recovery late.
pub(super) const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// The number of consecutive successes that close the circuit breaker.
pub(super) const RECOVERED: u32 = 3;
