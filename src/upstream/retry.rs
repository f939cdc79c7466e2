//! Whether a call is tried once more, and after which pause.

use std::time::Duration;

use super::{
    Error,
    error_code::{self, Class},
};

/// The longest first pause; each further one may be twice as long as the one before.
const FIRST_BACKOFF: Duration = Duration::from_millis(50);

/// The longest pause of all.
const MAX_BACKOFF: Duration = Duration::from_secs(1);

/// What is done about an attempt that failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Decision {
    /// The clock is corrected by what upstream says, and the call is tried again at once.
    CorrectClock,
    /// The failure is the call's.
    GiveUp,
    /// The credential is read anew, and the call is tried again at once if it is another.
    RenewCredential,
    /// The call is tried again after a pause, at the expense of the budget of all calls.
    Wait(Duration),
}

/// How far a call has come when an attempt fails.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// The attempts made so far, at least 1.
    pub attempts: u32,
    /// The attempts that may be made.
    pub max_attempts: u32,
    /// Whether the clock or the credential was already mended for this call.
    pub is_mended: bool,
    /// How much time is left.
    pub remaining: Duration,
    /// How long to wait after throttling where upstream does not say.
    pub after_throttling: Duration,
}

/// Decides about an attempt that failed, with a `jitter` from 0 to 1 that spreads the pauses of
/// callers who failed together.
pub fn decide(error: &Error, progress: Progress, jitter: f64) -> Decision {
    if progress.attempts >= progress.max_attempts {
        return Decision::GiveUp;
    }
    let backoff = backoff(progress.attempts).mul_f64(jitter.clamp(0.0, 1.0));
    let pause = match error {
        Error::Unreachable { retry_after, .. } => backoff.max(retry_after.unwrap_or_default()),
        Error::Throttled { retry_after } => {
            backoff.max(retry_after.unwrap_or(progress.after_throttling))
        }
        Error::Refused(refusal) => match error_code::classify(&refusal.code) {
            Class::Clock if !progress.is_mended => return Decision::CorrectClock,
            Class::Credentials if !progress.is_mended && is_stale(&refusal.code) => {
                return Decision::RenewCredential;
            }
            Class::BillingLookup | Class::Conflict | Class::Transient | Class::UpstreamFault => {
                backoff.max(refusal.retry_after.unwrap_or_default())
            }
            Class::Throttled => {
                backoff.max(refusal.retry_after.unwrap_or(progress.after_throttling))
            }
            Class::Account
            | Class::AlreadyExists
            | Class::BadField(_)
            | Class::BadRequest
            | Class::Clock
            | Class::Credentials
            | Class::FacadeFault
            | Class::NotFound(_)
            | Class::OutOfRange(_)
            | Class::Policy
            | Class::Quota
            | Class::ResponseTooLarge
            | Class::State
            | Class::Unknown
            | Class::Withdrawn => return Decision::GiveUp,
        },
        Error::CircuitOpen
        | Error::Malformed { .. }
        | Error::RateLimited { .. }
        | Error::Untrusted { .. } => return Decision::GiveUp,
    };
    if pause < progress.remaining {
        Decision::Wait(pause)
    } else {
        Decision::GiveUp
    }
}

/// Tells whether a credential is refused in a way that another one may mend: it was rotated or has
/// expired.
fn is_stale(code: &str) -> bool {
    matches!(
        code,
        "AuthFailure.InvalidSecretId"
            | "AuthFailure.SecretIdNotFound"
            | "AuthFailure.SignatureFailure"
            | "AuthFailure.TokenFailure"
    )
}

/// Returns the longest pause after so many attempts.
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
    use crate::upstream::envelope::Refusal;

    const PLENTY: Duration = Duration::from_secs(3_600);

    fn refused(code: &str) -> Error {
        let code = code.to_owned();
        Error::Refused(Refusal {
            code,
            ..Refusal::default()
        })
    }

    fn after(attempts: u32) -> Progress {
        Progress {
            attempts,
            max_attempts: 3,
            is_mended: false,
            remaining: PLENTY,
            after_throttling: Duration::from_secs(1),
        }
    }

    #[test]
    fn what_passes_is_tried_again_and_what_lasts_is_not() {
        let unreachable = Error::Unreachable {
            reason: String::new(),
            retry_after: None,
        };
        let passing = [
            unreachable,
            Error::Throttled { retry_after: None },
            refused("FailedOperation.ServerError"),
            refused("FailedOperation.ConflictOperation"),
            refused("InternalError"),
            refused("RequestLimitExceeded"),
            refused("ResourceUnavailable.UnknownStatus"),
        ];
        let lasting = [
            Error::Malformed {
                reason: String::new(),
                is_server_error: true,
            },
            Error::Untrusted {
                reason: String::new(),
            },
            refused("InvalidParameterValue.GroupIdNotExist"),
            refused("LimitExceeded"),
            refused("UnauthorizedOperation"),
            refused("AuthFailure.MFAFailure"),
            refused("FailedOperation"),
        ];

        for error in passing {
            assert!(
                matches!(decide(&error, after(1), 0.5), Decision::Wait(_)),
                "{error:?}"
            );
        }
        for error in lasting {
            assert_eq!(decide(&error, after(1), 0.5), Decision::GiveUp, "{error:?}");
        }
    }

    #[test]
    fn clock_and_credential_are_mended_once() {
        let expired = refused("AuthFailure.SignatureExpire");
        let unknown = refused("AuthFailure.SecretIdNotFound");
        let mended = Progress {
            is_mended: true,
            ..after(2)
        };

        assert_eq!(decide(&expired, after(1), 0.0), Decision::CorrectClock);
        assert_eq!(decide(&unknown, after(1), 0.0), Decision::RenewCredential);
        assert_eq!(decide(&expired, mended, 0.0), Decision::GiveUp);
        assert_eq!(decide(&unknown, mended, 0.0), Decision::GiveUp);
    }

    #[test]
    fn upstreams_wish_to_be_left_alone_lengthens_the_pause() {
        let wish = Some(Duration::from_secs(7));
        let error = Error::Throttled { retry_after: wish };

        assert_eq!(
            decide(&error, after(1), 1.0),
            Decision::Wait(Duration::from_secs(7))
        );
    }

    fn any_error() -> impl Strategy<Value = Error> {
        let wish = proptest::option::of((0u64..100).prop_map(Duration::from_secs));
        let codes: Vec<_> = error_code::documented_codes().collect();
        prop_oneof![
            wish.clone()
                .prop_map(|retry_after| Error::Throttled { retry_after }),
            wish.prop_map(|retry_after| Error::Unreachable {
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
            proptest::sample::select(codes).prop_map(refused),
            ".{0,40}".prop_map(|code| refused(&code)),
        ]
    }

    proptest! {
        #[test]
        fn no_decision_exceeds_attempts_or_time(
            error in any_error(),
            attempts in 1u32..20,
            max_attempts in 1u32..10,
            is_mended: bool,
            remaining in 0u64..5_000,
            jitter in 0.0f64..=1.0,
        ) {
            let remaining = Duration::from_millis(remaining);
            let progress = Progress { attempts, max_attempts, is_mended, remaining, ..after(1) };

            let decision = decide(&error, progress, jitter);

            if attempts >= max_attempts {
                prop_assert_eq!(decision, Decision::GiveUp);
            }
            if let Decision::Wait(pause) = decision {
                prop_assert!(pause < remaining);
            }
            let mends = matches!(decision, Decision::CorrectClock | Decision::RenewCredential);
            prop_assert!(!(mends && is_mended));
        }

        #[test]
        fn a_pause_grows_with_attempts_and_jitter_and_has_an_end(
            attempts in 1u32..u32::MAX,
            jitter in 0.0f64..=1.0,
        ) {
            let error = Error::Unreachable { reason: String::new(), retry_after: None };
            let progress = Progress { max_attempts: u32::MAX, ..after(attempts) };

            let Decision::Wait(pause) = decide(&error, progress, jitter) else {
                return Err(TestCaseError::fail("it gives up"));
            };
            prop_assert!(pause <= MAX_BACKOFF);
            prop_assert!(pause <= backoff(attempts));
            prop_assert!(backoff(attempts) <= backoff(attempts.saturating_add(1)));
        }
    }
}
