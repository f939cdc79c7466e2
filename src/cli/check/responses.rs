//! Responses: makes the signed calls, and compares the responses with the documentation.

use super::{
    advice::Fault,
    form::{self, Field},
    requested,
    requests::{Api, Reply, shown_code},
    step::Finding,
};
use crate::{
    operation::{
        InvalidReply, Operation, get_group_info::GetGroupInfo,
        get_person_group_info::GetPersonGroupInfo,
    },
    upstream::{ApiRequest, ResponseHead},
};

/// What the documentation says of `GetPersonGroupInfo` for an unknown person, in Chinese.
const PERSON_NOT_FOUND: &str = "InvalidParameterValue.PersonIdNotExist";

/// Makes the signed call: `GetGroupInfo` for a group that cannot exist. It changes nothing and needs no
/// data, and the error for an unknown group proves that the signature and the permission are accepted.
pub(super) async fn call(api: &Api) -> (Finding, Option<ResponseHead>) {
    let Ok(request) = requested::unknown_group() else {
        let summary = "the request is invalid";
        return (Finding::failed(summary, Fault::NotTheApi.advice()), None);
    };
    match api.call(&request).await {
        Ok((head, Reply::NotFound(error))) => {
            let code = shown_code(&error.code);
            let summary = "signature and permission accepted: a group that does not exist was \
                           reported as such";
            let finding = Finding::ok(summary).with_code(code);
            (finding.with_request_id(&error.request_id), Some(head))
        }
        Ok((head, Reply::Response { request_id, .. })) => {
            let finding = Finding::ok("signature and permission accepted");
            (finding.with_request_id(&request_id), Some(head))
        }
        Err(finding) => (finding, None),
    }
}

/// Compares the headers of a response with what the service relies on.
pub(super) fn headers(head: ResponseHead) -> Finding {
    let mut differences = Vec::new();
    if head.date.is_none() {
        differences
            .push("Date is absent or invalid: the service cannot correct its clock".to_owned());
    }
    if !head.keeps_alive {
        differences.push(
            "the connection is closed after the response: each call needs a new one".to_owned(),
        );
    }
    if head.status.as_u16() != 200 {
        let status = head.status.as_u16();
        differences.push(format!(
            "HTTP {status}, documented as 200 for errors of the API too"
        ));
    }
    match differences.is_empty() {
        true => Finding::ok("Date is present, the connection stays open"),
        false => Finding::of_differences(differences),
    }
}

/// Compares the response for the group of `--group-id`.
pub(super) async fn group(api: &Api, request: &ApiRequest) -> Finding {
    existing::<GetGroupInfo>(api, request, form::GROUP, "group").await
}

/// Compares the response for the person of `--person-id`.
pub(super) async fn person(api: &Api, request: &ApiRequest) -> Finding {
    existing::<GetPersonGroupInfo>(api, request, form::PERSON, "person").await
}

/// Compares the response for a person that cannot exist.
pub(super) async fn unknown_person(api: &Api) -> Finding {
    let Ok(request) = requested::unknown_person() else {
        return Finding::failed("the request is invalid", Fault::NotTheApi.advice());
    };
    match api.call(&request).await {
        Ok((_, Reply::NotFound(error))) if error.code == PERSON_NOT_FOUND => {
            let summary = "an error, as in the Chinese documentation";
            let finding = Finding::ok(summary).with_code(shown_code(&error.code));
            finding.with_request_id(&error.request_id)
        }
        Ok((_, Reply::NotFound(error))) => {
            let differences = vec!["the error code is another than documented".to_owned()];
            let finding = Finding::of_differences(differences);
            let finding = finding.with_code(shown_code(&error.code));
            finding.with_request_id(&error.request_id)
        }
        Ok((_, Reply::Response { body, request_id })) => {
            let finding = match form::differences(&body, form::UNKNOWN_PERSON, &[]) {
                Ok(differences) if differences.is_empty() => {
                    Finding::ok("a response without data, as in the English documentation")
                }
                Ok(differences) => Finding::of_differences(differences),
                Err(error) => Finding::of_differences(vec![error.to_string()]),
            };
            finding.with_request_id(&request_id)
        }
        Err(finding) => finding,
    }
}

async fn existing<O: Operation>(
    api: &Api,
    request: &ApiRequest,
    form: &[Field],
    what: &str,
) -> Finding {
    let (body, request_id) = match api.call(request).await {
        Ok((_, Reply::Response { body, request_id })) => (body, request_id),
        Ok((_, Reply::NotFound(error))) => {
            let finding = unknown(what).with_code(shown_code(&error.code));
            return finding.with_request_id(&error.request_id);
        }
        Err(finding) => return finding,
    };
    let decoded = O::response(&body, &request_id);
    if let Err(InvalidReply::NotFound(_)) = decoded {
        return unknown(what).with_request_id(&request_id);
    }
    let id = id::<O>(request);
    let mut differences = match form::differences(&body, form, &[&id]) {
        Ok(differences) => differences,
        Err(error) => vec![error.to_string()],
    };
    if let Err(InvalidReply::Malformed(error)) = decoded {
        differences.push(format!("the service cannot decode the response: {error}"));
    }
    Finding::of_differences(differences).with_request_id(&request_id)
}

fn unknown(what: &str) -> Finding {
    let summary = format!("the {what} of --{what}-id does not exist: nothing to compare");
    Finding::failed(summary, Fault::UnknownId.advice())
}

/// Returns the id that a request names.
fn id<O: Operation>(request: &ApiRequest) -> String {
    let parameters: serde_json::Value =
        serde_json::from_slice(&request.parameters).unwrap_or_default();
    let id = parameters[O::ID_PARAMETER].as_str();
    id.unwrap_or_default().to_owned()
}
