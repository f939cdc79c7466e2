//! Advice for the error codes of the API: the likely cause of each code that a wrong set-up causes, and
//! what to do about it.

use super::advice::Advice;
use crate::upstream::error_code::{Class, classify};

/// Stands for the name of the action that was called.
const ACTION: &str = "{action}";

/// Returns the likely cause and what to do for an error code of a call of `action`.
pub(super) fn code_advice(code: &str, action: &str) -> Advice {
    let row = ROWS.iter().find(|(codes, ..)| codes.contains(&code));
    let (cause, remedy) = row.map_or_else(
        || of_class(classify(code)),
        |(_, cause, remedy)| (*cause, *remedy),
    );
    Advice::new(
        &cause.replace(ACTION, action),
        &remedy.replace(ACTION, action),
    )
}

/// Returns the advice for a code without a row.
fn of_class(class: Class) -> (&'static str, &'static str) {
    match class {
        Class::Account => (
            "The state of the account does not allow calls.",
            "Open Face Recognition and Billing in the console of the account.",
        ),
        Class::Clock => (
            "The clock of this machine is wrong.",
            "Synchronize the clock (NTP, chrony).",
        ),
        Class::Credentials | Class::StaleCredential => (
            "The API rejects the credential.",
            "Check the credential, its account and site (docs/credentials.md).",
        ),
        Class::Policy => (
            "The access policy of the credential's user or role does not allow the action.",
            "Allow the action iai:{action} in CAM.",
        ),
        Class::Quota | Class::Throttled => (
            "A quota of the account is used up.",
            "Check again later, or buy a larger quota.",
        ),
        Class::BillingLookup | Class::Transient | Class::Unknown | Class::UpstreamFault => (
            "Tencent Cloud failed; the set-up is probably right.",
            "Check again in a minute; if it persists, give the RequestId to the vendor's support.",
        ),
        Class::AlreadyExists
        | Class::BadField(_)
        | Class::BadRequest
        | Class::Conflict
        | Class::FacadeFault
        | Class::NotFound(_)
        | Class::OutOfRange(_)
        | Class::PageTooLarge
        | Class::ResponseTooLarge
        | Class::State
        | Class::Withdrawn => (
            "The API does not respond to this call as it documents.",
            "Check that --endpoint is the API for Face Recognition, and look the code up in docs/errors.md.",
        ),
    }
}

/// Codes, their likely cause, and what to do.
type Row = (&'static [&'static str], &'static str, &'static str);

#[rustfmt::skip]
const ROWS: &[Row] = &[
    (&["AuthFailure.SignatureFailure"],
        "The SecretKey does not belong to the SecretId, or was copied incompletely.",
        "Copy both from the same row of the key list in CAM. Behind a proxy, check that it does not change requests."),
    (&["AuthFailure.SecretIdNotFound", "AuthFailure.InvalidSecretId"],
        "The key was deleted or disabled, or --endpoint is the wrong site for this account: the sites of mainland China and international accounts do not know each other's keys.",
        "Check in CAM that the key is enabled. Accounts of the international site use --endpoint https://iai.intl.tencentcloudapi.com, all others https://iai.tencentcloudapi.com."),
    (&["AuthFailure.TokenFailure"],
        "The temporary credential has expired, or its token belongs to another SecretId.",
        "Take SecretId, SecretKey and token of one response of STS; let a role or --token-file renew them (docs/credentials.md)."),
    (&["AuthFailure.SignatureExpire"],
        "The clock of this machine is wrong by more than 5 minutes.",
        "Synchronize the clock (NTP, chrony). Until then, the service corrects its signatures after the first rejected call."),
    (&["AuthFailure.InvalidAuthorization"],
        "A proxy or gateway changed or removed the header Authorization.",
        "Let the proxy pass the request unchanged, or bypass it with NO_PROXY."),
    (&["AuthFailure.MFAFailure"],
        "The account requires multi-factor authentication for this key.",
        "Use the key of a CAM sub-user for programs, without multi-factor authentication for API calls."),
    (&["AuthFailure.UnauthorizedOperation", "UnauthorizedOperation"],
        "The CAM policy of the credential's user or role does not allow the action.",
        "Allow the action iai:{action} to the user or role; also look for a policy that denies it."),
    (&["IpInBlacklist", "IpNotInWhitelist"],
        "The account allows API calls only from certain addresses, and not from that of this machine.",
        "Add the public address of this machine, or of its proxy or NAT gateway, to the list in CAM."),
    (&["ResourceUnavailable.InArrears", "ResourceUnavailable.LowBalance"],
        "The account is in arrears, or its balance is too low.",
        "Pay or top up the account in the Billing console; calls work again after some minutes."),
    (&["ResourceUnavailable.NotExist", "ResourceUnavailable.NotReady", "ResourceUnavailable.Delivering"],
        "Face Recognition is not activated for this account, or the activation is not finished.",
        "Activate Face Recognition in the console of the account, and check again after some minutes."),
    (&["ResourceUnavailable.StopUsing", "ResourceUnavailable.Freeze", "ResourceUnavailable.Recover"],
        "Face Recognition is suspended, frozen or withdrawn for this account.",
        "Open Face Recognition in the console of the account for the reason; pay what is due, or contact the vendor's support."),
    (&["ResourceUnavailable", "ResourceUnavailable.ChargeStatusException", "ResourcesSoldOut.ChargeStatusException"],
        "The billing state of the account does not allow calls: arrears, or no active plan.",
        "Open Billing and Face Recognition in the console of the account."),
    (&["RequestLimitExceeded", "RequestLimitExceeded.UinLimitExceeded", "FailedOperation.RequestLimitExceeded"],
        "The quota of the account in calls per second is used by other services of the account.",
        "Check again in a second. Share the quota by --upstream-rate (docs/quota.md), or buy a larger one."),
    (&["RequestLimitExceeded.IPLimitExceeded", "RequestLimitExceeded.GlobalRegionUinLimitExceeded"],
        "The limit of calls per second of this address or region is used up.",
        "Check again in a second; find the other programs that call the API from here."),
    (&["LimitExceeded"],
        "A quota of the account is used up, and waiting does not help.",
        "Open Face Recognition in the console of the account, and buy a larger quota."),
    (&["UnsupportedRegion"],
        "The API does not exist in the region that was sent.",
        "Correct --region or TENCENTCLOUD_REGION, for example ap-guangzhou, or send none with --region none."),
    (&["UnsupportedProtocol"],
        "The endpoint does not accept plain HTTP.",
        "Use https:// in --endpoint."),
    (&["NoSuchProduct", "NoSuchVersion", "InvalidAction", "ActionOffline", "UnsupportedOperation", "UnsupportedOperation.UnknowMethod"],
        "--endpoint is the API of another product or site, or the site no longer offers the action {action}.",
        "Check that the host of --endpoint begins with iai, and which site offers the action {action}."),
    (&["InvalidRequest", "RequestSizeLimitExceeded", "UnknownParameter", "DryRunOperation"],
        "A proxy or gateway changed the request, or this version of the program has a defect.",
        "Bypass the proxy with NO_PROXY and check again; then report the defect with the RequestId."),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::upstream::error_code::documented;

    /// The error codes with their classes.
    const CODES: &str = include_str!("../../../tests/data/error_codes.csv");

    /// The classes whose codes a wrong set-up causes.
    const CLASSES: [&str; 7] = [
        "account",
        "clock",
        "credentials",
        "facade_fault",
        "policy",
        "throttled",
        "withdrawn",
    ];

    #[test]
    fn each_code_that_a_wrong_setup_causes_has_one_row() {
        let codes = || ROWS.iter().flat_map(|(codes, ..)| codes.iter().copied());
        let unique: BTreeSet<_> = codes().collect();
        assert_eq!(unique.len(), codes().count());

        for code in &unique {
            assert!(documented(code).is_some(), "{code} is not documented");
        }
        for line in CODES.lines().skip(1) {
            let columns: Vec<_> = line.split(',').collect();
            let (code, class) = (columns[0], columns[3]);
            let is_needed = CLASSES.contains(&class) || code == "LimitExceeded";
            assert!(!is_needed || unique.contains(code), "{code} has no row");
        }
    }

    #[test]
    fn the_advice_names_the_action_and_covers_codes_without_a_row() {
        let advice = code_advice("UnauthorizedOperation", "GetGroupInfo");
        assert!(advice.remedy.contains("iai:GetGroupInfo"), "{advice:?}");
        for code in ["InternalError", "AuthFailure.New", "New", ""] {
            let advice = code_advice(code, "GetGroupInfo");
            assert!(!advice.cause.is_empty() && !advice.remedy.is_empty());
        }
        let denied = code_advice("UnauthorizedOperation.New", "GetGroupInfo");
        assert!(denied.remedy.contains("iai:GetGroupInfo"), "{denied:?}");
    }
}
