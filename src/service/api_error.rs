//! Details of errors that Tencent Cloud returned.

use tonic_types::{ErrorDetails, HelpLink};

use crate::{
    context::Subject,
    error_policy::{Details, Field},
    upstream::ApiError,
};

/// Explains to the account's owner how to activate, pay for and resume the product.
const PRODUCT_PAGE: &str = "https://www.tencentcloud.com/document/product/1059";

/// Adds the details that the error policy states: field violations, resource, quota or precondition.
///
/// `error` must be [sanitized](super::sanitize).
pub(super) fn add_details(
    details: &mut ErrorDetails,
    policy: Details,
    error: &ApiError,
    subject: &Subject,
) {
    let message = error.message.as_str();
    match policy {
        Details::Account => {
            details.add_precondition_failure_violation(
                "ACCOUNT",
                "tencentcloud.com/account",
                message,
            );
            details.set_help(vec![HelpLink::new("Face Recognition", PRODUCT_PAGE)]);
        }
        Details::Field(field) => {
            if let Some(field) = name(field, subject) {
                details.add_bad_request_violation(field, message);
            }
        }
        Details::None => {}
        Details::Page => {
            if let Some(field) = name(Field::Limit, subject) {
                details.add_bad_request_violation(field, "request a smaller page");
            }
        }
        Details::Permission => {
            let permission = format!("iai:{}", subject.action);
            let message = format!("the account of the service lacks the permission {permission}");
            details.add_precondition_failure_violation("CAM_POLICY", permission, message);
        }
        Details::Quota => {
            details.add_quota_failure_violation("tencentcloud.com/account", message);
        }
        Details::Resource(field) => {
            let id = name(field, subject).map_or("", |_| &subject.id);
            details.set_resource_info(resource_type(field, subject), id, "", message);
        }
        Details::State => {
            let resource = resource_type(Field::RequiredId, subject);
            details.add_precondition_failure_violation("RESOURCE_STATE", resource, message);
        }
    }
}

/// Returns the protobuf name of a field, if the request has that field.
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

/// Returns the resource type that an id field refers to.
fn resource_type(field: Field, subject: &Subject) -> &'static str {
    match field {
        Field::GroupId => "iai.Group",
        Field::PersonId => "iai.Person",
        Field::RequiredId if subject.fields.contains(&"person_id") => "iai.Person",
        Field::RequiredId => "iai.Group",
        Field::Limit | Field::Offset => "iai.Page",
    }
}
