//! Retry decision: whether a failed attempt of a call is retried, by the
//! [error policy](crate::error_policy), and after which backoff: exponential, with full jitter. It does
//! not know the retry budget.

use std::time::Duration;

use super::error::Error;
use crate::error_policy::Retry;

/// The maximum first backoff. The maximum doubles with each further attempt.
const FIRST_BACKOFF: Duration = Duration::from_millis(50);

/// The maximum of any backoff.
const MAX_BACKOFF: Duration = Duration::from_secs(1);

/// A decision about a failed attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Decision {
    /// Correct the clock by the time of the upstream, and retry at once.
    CorrectClock,
    /// Fail the call with this error.
    GiveUp,
    /// Refresh the credential, and retry at once if it has changed.
    RefreshCredential,
    /// Retry after this pause, if the retry budget allows it.
    Backoff(Duration),
}

/// The state of a call when an attempt fails.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// The number of attempts so far, at least 1.
    pub attempts: u32,
    /// The maximum number of attempts.
    pub max_attempts: u32,
    /// Whether the clock was corrected or the credential refreshed for this call before.
    pub is_corrected: bool,
    /// The time until the deadline.
    pub remaining: Duration,
    /// The minimum backoff after throttling if upstream sends no `Retry-After`.
    pub after_throttling: Duration,
}

/// Decides about a failed attempt. `jitter`, a random number from 0 to 1, spreads the retries of calls
/// that failed at the same time.
pub fn decide(error: &Error, progress: Progress, jitter: f64) -> Decision {
    if progress.attempts >= progress.max_attempts {
        return Decision::GiveUp;
    }
    let retry = error.policy().retry;
    let least_pause = match retry {
        Retry::Never => return Decision::GiveUp,
        Retry::CorrectClock | Retry::RefreshCredential if progress.is_corrected => {
            return Decision::GiveUp;
        }
        Retry::CorrectClock => return Decision::CorrectClock,
        Retry::RefreshCredential => return Decision::RefreshCredential,
        Retry::AfterThrottling => progress.after_throttling,
        Retry::Backoff => Duration::ZERO,
    };
    let backoff = backoff(progress.attempts).mul_f64(jitter.clamp(0.0, 1.0));
    let pause = backoff.max(error.retry_after().unwrap_or(least_pause));
    if pause < progress.remaining {
        Decision::Backoff(pause)
    } else {
        Decision::GiveUp
    }
}

/// Returns the maximum backoff after `attempts` attempts.
fn backoff(attempts: u32) -> Duration {
    let doublings = attempts.saturating_sub(1).min(16);
    FIRST_BACKOFF
        .saturating_mul(1 << doublings)
        .min(MAX_BACKOFF)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::upstream::{error::ApiError, error_code};

    const AMPLE_TIME: Duration = Duration::from_secs(3_600);

    fn api_error(code: &str) -> Error {
        let code = code.to_owned();
        Error::Api(ApiError {
            code,
            ..ApiError::default()
        })
    }

    fn after(attempts: u32) -> Progress {
        Progress {
            attempts,
            max_attempts: 3,
            is_corrected: false,
            remaining: AMPLE_TIME,
            after_throttling: Duration::from_secs(1),
        }
    }

    #[test]
    fn transient_errors_are_retried_and_permanent_ones_are_not() {
        let unreachable = Error::Unreachable {
            reason: String::new(),
            retry_after: None,
        };
        let transient = [
            unreachable,
            Error::Throttled { retry_after: None },
            api_error("FailedOperation.ServerError"),
            api_error("FailedOperation.ConflictOperation"),
            api_error("InternalError"),
            api_error("RequestLimitExceeded"),
            api_error("ResourceUnavailable.UnknownStatus"),
        ];
        let permanent = [
            Error::Malformed {
                reason: String::new(),
                is_server_error: true,
            },
            Error::Untrusted {
                reason: String::new(),
            },
            api_error("InvalidParameterValue.GroupIdNotExist"),
            api_error("LimitExceeded"),
            api_error("UnauthorizedOperation"),
            api_error("AuthFailure.MFAFailure"),
            api_error("FailedOperation"),
        ];

        for error in transient {
            assert!(
                matches!(decide(&error, after(1), 0.5), Decision::Backoff(_)),
                "{error:?}"
            );
        }
        for error in permanent {
            assert_eq!(decide(&error, after(1), 0.5), Decision::GiveUp, "{error:?}");
        }
    }

    #[test]
    fn clock_and_credential_are_corrected_at_most_once() {
        let expired = api_error("AuthFailure.SignatureExpire");
        let unknown = api_error("AuthFailure.SecretIdNotFound");
        let corrected = Progress {
            is_corrected: true,
            ..after(2)
        };

        assert_eq!(decide(&expired, after(1), 0.0), Decision::CorrectClock);
        assert_eq!(decide(&unknown, after(1), 0.0), Decision::RefreshCredential);
        assert_eq!(decide(&expired, corrected, 0.0), Decision::GiveUp);
        assert_eq!(decide(&unknown, corrected, 0.0), Decision::GiveUp);
    }

    #[test]
    fn retry_after_lengthens_the_backoff() {
        let retry_after = Some(Duration::from_secs(7));
        let error = Error::Throttled { retry_after };

        assert_eq!(
            decide(&error, after(1), 1.0),
            Decision::Backoff(Duration::from_secs(7))
        );
    }

    fn any_error() -> impl Strategy<Value = Error> {
        let retry_after = proptest::option::of((0u64..100).prop_map(Duration::from_secs));
        let codes: Vec<_> = error_code::documented_codes().collect();
        prop_oneof![
            retry_after
                .clone()
                .prop_map(|retry_after| Error::Throttled { retry_after }),
            retry_after.prop_map(|retry_after| Error::Unreachable {
                reason: String::new(),
                retry_after
            }),
            Just(Error::Malformed {
                reason: String::new(),
                is_server_error: false,
            }),
            Just(Error::CircuitOpen),
            Just(Error::RateLimited {
                wait: Duration::from_secs(1)
            }),
            Just(Error::Untrusted {
                reason: String::new()
            }),
            proptest::sample::select(codes).prop_map(api_error),
            ".{0,40}".prop_map(|code| api_error(&code)),
        ]
    }

    proptest! {
        #[test]
        fn no_decision_exceeds_attempts_or_time(
            error in any_error(),
            attempts in 1u32..20,
            max_attempts in 1u32..10,
            is_corrected: bool,
            remaining in 0u64..5_000,
            jitter in 0.0f64..=1.0,
        ) {
            let remaining = Duration::from_millis(remaining);
            let progress = Progress { attempts, max_attempts, is_corrected, remaining, ..after(1) };

            let decision = decide(&error, progress, jitter);

            if attempts >= max_attempts {
                prop_assert_eq!(decision, Decision::GiveUp);
            }
            if let Decision::Backoff(pause) = decision {
                prop_assert!(pause < remaining);
            }
            let corrects = matches!(decision, Decision::CorrectClock | Decision::RefreshCredential);
            prop_assert!(!(corrects && is_corrected));
        }

        #[test]
        fn the_backoff_grows_with_attempts_and_jitter_up_to_its_maximum(
            attempts in 1u32..u32::MAX,
            jitter in 0.0f64..=1.0,
        ) {
            let error = Error::Unreachable { reason: String::new(), retry_after: None };
            let progress = Progress { max_attempts: u32::MAX, ..after(attempts) };

            let Decision::Backoff(pause) = decide(&error, progress, jitter) else {
                return Err(TestCaseError::fail("gave up"));
            };
            prop_assert!(pause <= MAX_BACKOFF);
            prop_assert!(pause <= backoff(attempts));
            prop_assert!(backoff(attempts) <= backoff(attempts.saturating_add(1)));
        }
    }
}
