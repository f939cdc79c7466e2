//! Error reasons: converts error codes of Tencent Cloud to values of `ErrorInfo.reason`.

use crate::proto::ErrorReason;

/// Maximum length of a reason in bytes, by [AIP-193](https://google.aip.dev/193).
const MAX_LENGTH: usize = 63;

/// Returns the reason of an error of this service.
pub(super) fn of_own(reason: ErrorReason) -> &'static str {
    let name = reason.as_str_name();
    name.strip_prefix("ERROR_REASON_").unwrap_or(name)
}

/// Returns the reasons of all errors of this service.
pub(super) fn all_own() -> impl Iterator<Item = &'static str> {
    // prost has no list of values; those of the protocol begin at 1 and are consecutive.
    (1..)
        .map_while(|value| ErrorReason::try_from(value).ok())
        .map(of_own)
}

/// Converts an upstream error code to `UPPER_SNAKE_CASE`.
///
/// Dots become underscores, and a run of capitals is one word: `AuthFailure.MFAFailure` is
/// `AUTH_FAILURE_MFA_FAILURE`. For any input, the result starts with a letter, consists of letters,
/// digits and underscores, and does not end with an underscore.
pub(super) fn of_upstream_code(code: &str) -> String {
    let characters: Vec<char> = code.chars().collect();
    let mut reason = String::with_capacity(code.len() + 8);
    for (place, &character) in characters.iter().enumerate() {
        if !character.is_ascii_alphanumeric() {
            separate(&mut reason);
            continue;
        }
        let follows_lower = place > 0 && !characters[place - 1].is_ascii_uppercase();
        let precedes_lower = characters
            .get(place + 1)
            .is_some_and(char::is_ascii_lowercase);
        if character.is_ascii_uppercase() && (follows_lower || precedes_lower) {
            separate(&mut reason);
        }
        reason.push(character.to_ascii_uppercase());
    }

    let reason = reason.trim_start_matches(|first: char| !first.is_ascii_uppercase());
    let reason = &reason[..reason.len().min(MAX_LENGTH)];
    match reason.trim_end_matches('_') {
        "" => "UNKNOWN".to_owned(),
        reason => reason.to_owned(),
    }
}

fn separate(reason: &mut String) {
    if !reason.is_empty() && !reason.ends_with('_') {
        reason.push('_');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::error_code;

    #[test]
    fn words_are_separated_by_underscores() {
        let cases = [
            ("InternalError", "INTERNAL_ERROR"),
            (
                "InvalidParameterValue.GroupIdNotExist",
                "INVALID_PARAMETER_VALUE_GROUP_ID_NOT_EXIST",
            ),
            ("AuthFailure.MFAFailure", "AUTH_FAILURE_MFA_FAILURE"),
            (
                "RequestLimitExceeded.IPLimitExceeded",
                "REQUEST_LIMIT_EXCEEDED_IP_LIMIT_EXCEEDED",
            ),
            (
                "FailedOperation.UnKnowError",
                "FAILED_OPERATION_UN_KNOW_ERROR",
            ),
            ("Face3D.ModelV2Off", "FACE3_D_MODEL_V2_OFF"),
        ];

        for (code, reason) in cases {
            assert_eq!(of_upstream_code(code), reason);
        }
    }

    #[test]
    fn any_code_becomes_a_valid_reason() {
        let long = "Ab".repeat(64);
        let odd = [
            "",
            ".",
            "_A_",
            "9Lives",
            "a-b c",
            "\u{9519}\u{8bef}",
            "A\0B",
            &long,
        ];

        let documented: Vec<&str> = error_code::documented_codes().collect();

        for code in odd.iter().chain(&documented) {
            let reason = of_upstream_code(code);
            assert!(
                (2..=MAX_LENGTH).contains(&reason.len()) || reason == "A",
                "{code}: {reason}"
            );
            assert!(
                reason.starts_with(|first: char| first.is_ascii_uppercase()),
                "{reason}"
            );
            assert!(!reason.ends_with('_'), "{reason}");
            assert!(!reason.contains("__"), "{reason}");
        }
    }

    #[test]
    fn documented_codes_have_distinct_reasons() {
        let mut reasons: Vec<_> = error_code::documented_codes()
            .map(of_upstream_code)
            .collect();
        let count = reasons.len();
        reasons.sort();
        reasons.dedup();

        assert_eq!(reasons.len(), count);
    }
}
