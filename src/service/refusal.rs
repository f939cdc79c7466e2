//! What a caller is told of a refusal by Tencent Cloud, beside the status code.

use tonic_types::{ErrorDetails, HelpLink};

use crate::{
    context::Subject,
    upstream::{
        Refusal,
        error_code::{Class, Field},
    },
};

/// Where an account's owner reads how to activate, pay for and resume the product.
const PRODUCT_PAGE: &str = "https://www.tencentcloud.com/document/product/1059";

/// Returns upstream's own words if a caller of the class can act on them, and ours otherwise.
///
/// Faults of the service's credential, clock or code are for the log; their words may name the
/// account.
pub(super) fn explanation<'a>(
    class: Class,
    refusal: &'a Refusal,
    subject: &Subject,
) -> Explanation<'a> {
    let ours = match class {
        Class::Account
        | Class::AlreadyExists
        | Class::BadField(_)
        | Class::BadRequest
        | Class::Conflict
        | Class::NotFound(_)
        | Class::OutOfRange(_)
        | Class::Quota
        | Class::State
        | Class::Throttled => return Explanation::Upstreams(&refusal.message),
        Class::ResponseTooLarge if name(Field::Limit, subject).is_some() => {
            return Explanation::Upstreams(&refusal.message);
        }
        Class::BillingLookup => "Tencent Cloud could not look up the billing state of the account",
        Class::Clock => "the clock of the service is too far from that of Tencent Cloud",
        Class::Credentials => "Tencent Cloud does not accept the credential of the service",
        Class::FacadeFault => "Tencent Cloud does not accept calls of this form from the service",
        Class::Policy => "the access policy of the service's account does not allow the call",
        Class::ResponseTooLarge => "the answer of Tencent Cloud is too large to be sent",
        Class::Transient => "Tencent Cloud failed in a way that passes",
        Class::Unknown => "Tencent Cloud failed without saying why",
        Class::UpstreamFault => "Tencent Cloud failed",
        Class::Withdrawn => "Tencent Cloud no longer offers this action",
    };
    Explanation::Ours(ours)
}

/// Whose words explain a refusal.
#[derive(Debug)]
pub(super) enum Explanation<'a> {
    Ours(&'static str),
    Upstreams(&'a str),
}

/// Adds what the class of a refusal calls for: fields, the missing thing, quota, precondition.
///
/// `refusal` must be [`presentable`](super::presentable).
pub(super) fn describe(
    class: Class,
    refusal: &Refusal,
    subject: &Subject,
    details: &mut ErrorDetails,
) {
    let words = refusal.message.as_str();
    match class {
        Class::Account => {
            details.add_precondition_failure_violation(
                "ACCOUNT",
                "tencentcloud.com/account",
                words,
            );
            details.set_help(vec![HelpLink::new("Face Recognition", PRODUCT_PAGE)]);
        }
        Class::BadField(field) | Class::OutOfRange(field) => {
            if let Some(field) = name(field, subject) {
                details.add_bad_request_violation(field, words);
            }
        }
        Class::NotFound(Some(field)) => {
            let id = name(field, subject).map_or("", |_| &subject.id);
            details.set_resource_info(resource_type(field, subject), id, "", words);
        }
        Class::Policy => {
            let permission = format!("iai:{}", subject.action);
            let words = format!("the account of the service lacks the permission {permission}");
            details.add_precondition_failure_violation("CAM_POLICY", permission, words);
        }
        Class::Quota | Class::Throttled => {
            details.add_quota_failure_violation("tencentcloud.com/account", words);
        }
        Class::ResponseTooLarge => {
            if let Some(field) = name(Field::Limit, subject) {
                details.add_bad_request_violation(field, "ask for a smaller page");
            }
        }
        Class::State => {
            let resource = resource_type(Field::RequiredId, subject);
            details.add_precondition_failure_violation("RESOURCE_STATE", resource, words);
        }
        Class::AlreadyExists
        | Class::BadRequest
        | Class::BillingLookup
        | Class::Clock
        | Class::Conflict
        | Class::Credentials
        | Class::FacadeFault
        | Class::NotFound(None)
        | Class::Transient
        | Class::Unknown
        | Class::UpstreamFault
        | Class::Withdrawn => {}
    }
}

/// Returns the name of a field in the protocol, if the request that was sent has it.
pub(super) fn name(field: Field, subject: &Subject) -> Option<&'static str> {
    let name = match field {
        Field::GroupId => "group_id",
        Field::Limit => "limit",
        Field::Offset => "offset",
        Field::PersonId => "person_id",
        Field::RequiredId => return subject.fields.first().copied(),
    };
    subject.fields.contains(&name).then_some(name)
}

/// Returns the type of the thing that an id field names.
fn resource_type(field: Field, subject: &Subject) -> &'static str {
    match field {
        Field::GroupId => "iai.Group",
        Field::PersonId => "iai.Person",
        Field::RequiredId if subject.fields.contains(&"person_id") => "iai.Person",
        Field::RequiredId => "iai.Group",
        Field::Limit | Field::Offset => "iai.Page",
    }
}
