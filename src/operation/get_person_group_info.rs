//! `GetPersonGroupInfo`: the groups that contain one person.

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use super::{InvalidReply, InvalidRequest, NotFound, Operation, Violation, identifier, lenient};
use crate::{
    json::{self, Object},
    proto::{ErrorReason, GetPersonGroupInfoRequest, GetPersonGroupInfoResponse, PersonGroupInfo},
};

/// Maximum page size, and maximum number of groups of a person.
const MAX_LIMIT: i32 = 100;

/// A response with neither groups nor a count is how Tencent Cloud reports an unknown person.
pub const PERSON_NOT_FOUND: NotFound = NotFound {
    reason: ErrorReason::PersonNotFound,
    resource_type: "iai.Person",
    message: "the person does not exist",
};

/// The action `GetPersonGroupInfo`.
#[derive(Debug)]
pub enum GetPersonGroupInfo {}

impl Operation for GetPersonGroupInfo {
    const ACTION: &'static str = "GetPersonGroupInfo";
    const FIELDS: &'static [&'static str] = &["person_id", "offset", "limit"];
    const ID_PARAMETER: &'static str = "PersonId";
    type Request = GetPersonGroupInfoRequest;
    type Response = GetPersonGroupInfoResponse;

    fn id(request: &GetPersonGroupInfoRequest) -> &str {
        &request.person_id
    }

    fn parameters(request: &GetPersonGroupInfoRequest) -> Result<impl Serialize, InvalidRequest> {
        let mut violations = Vec::new();
        violations.extend(identifier::violation("person_id", &request.person_id));
        if request.offset < 0 {
            violations.push(Violation {
                field: "offset",
                description: "must not be negative",
            });
        }
        if !(0..=MAX_LIMIT).contains(&request.limit) {
            let description = "must be from 1 to 100, or 0 for the default of 10";
            violations.push(Violation {
                field: "limit",
                description,
            });
        }
        InvalidRequest::unless_empty(violations)?;

        Ok(Parameters {
            person_id: &request.person_id,
            offset: request.offset,
            limit: request.limit,
        })
    }

    fn response(body: &[u8], request_id: &str) -> Result<GetPersonGroupInfoResponse, InvalidReply> {
        let Object(body): Object<Body> = json::parse(body)?;
        if body.person_group_infos.is_none() && body.group_num.is_none() {
            return Err(InvalidReply::NotFound(&PERSON_NOT_FOUND));
        }

        Ok(GetPersonGroupInfoResponse {
            person_group_infos: body
                .person_group_infos
                .unwrap_or_default()
                .into_iter()
                .map(|Object(membership)| membership.into())
                .collect(),
            group_num: body.group_num,
            face_model_version: body.face_model_version,
            request_id: request_id.to_owned(),
        })
    }
}

/// The parameters of the action. Zero is omitted, because both mean the default of the action.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Parameters<'a> {
    person_id: &'a str,
    #[serde(skip_serializing_if = "is_zero")]
    offset: i32,
    #[serde(skip_serializing_if = "is_zero")]
    limit: i32,
}

fn is_zero(number: &i32) -> bool {
    *number == 0
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Body {
    person_group_infos: Option<Vec<Object<Membership>>>,
    #[serde(default, deserialize_with = "count")]
    group_num: Option<i32>,
    face_model_version: Option<String>,
}

/// A group of the person. Only the id is required.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Membership {
    #[serde(deserialize_with = "lenient::identifier")]
    group_id: String,
    #[serde(default, deserialize_with = "lenient::texts")]
    person_ex_descriptions: Vec<String>,
}

impl From<Membership> for PersonGroupInfo {
    fn from(membership: Membership) -> Self {
        Self {
            group_id: membership.group_id,
            person_ex_descriptions: membership.person_ex_descriptions,
        }
    }
}

fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i32>, D::Error> {
    let number = lenient::number(deserializer)?;
    number
        .map(i32::try_from)
        .transpose()
        .map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(offset: i32, limit: i32) -> GetPersonGroupInfoRequest {
        GetPersonGroupInfoRequest {
            person_id: "2001".to_owned(),
            offset,
            limit,
        }
    }

    fn response(body: &str) -> Result<GetPersonGroupInfoResponse, InvalidReply> {
        GetPersonGroupInfo::response(body.as_bytes(), "request id")
    }

    #[test]
    fn zero_offset_and_limit_are_omitted() {
        let cases = [
            (request(0, 0), r#"{"PersonId":"2001"}"#),
            (
                request(7, 100),
                r#"{"PersonId":"2001","Offset":7,"Limit":100}"#,
            ),
        ];

        for (request, expected) in cases {
            let parameters = GetPersonGroupInfo::parameters(&request).unwrap();
            assert_eq!(serde_json::to_string(&parameters).unwrap(), expected);
        }
    }

    #[test]
    fn all_violations_are_reported_at_once() {
        let request = GetPersonGroupInfoRequest {
            person_id: String::new(),
            offset: -1,
            limit: 101,
        };

        let invalid = GetPersonGroupInfo::parameters(&request).err().unwrap();

        let fields: Vec<_> = invalid
            .violations
            .iter()
            .map(|violation| violation.field)
            .collect();
        assert_eq!(fields, ["person_id", "offset", "limit"]);
    }

    #[test]
    fn the_count_may_be_a_number_or_a_string_of_digits() {
        for body in [r#"{"GroupNum":3}"#, r#"{"GroupNum":"3"}"#] {
            assert_eq!(response(body).unwrap().group_num, Some(3), "{body}");
        }
    }

    #[test]
    fn a_list_or_a_count_is_a_valid_response() {
        for body in [
            r#"{"PersonGroupInfos":[]}"#,
            r#"{"PersonGroupInfos":[],"GroupNum":null}"#,
            r#"{"PersonGroupInfos":null,"GroupNum":0}"#,
        ] {
            assert!(
                response(body).unwrap().person_group_infos.is_empty(),
                "{body}"
            );
        }
    }

    #[test]
    fn a_response_with_neither_means_an_unknown_person() {
        for body in [
            "{}",
            r#"{"PersonGroupInfos":null,"GroupNum":null,"FaceModelVersion":"3.0"}"#,
        ] {
            assert!(
                matches!(
                    response(body),
                    Err(InvalidReply::NotFound(&PERSON_NOT_FOUND))
                ),
                "{body}"
            );
        }
    }

    #[test]
    fn a_response_of_another_form_is_malformed() {
        let bodies = [
            r#"{"GroupNum":-1}"#,
            r#"{"GroupNum":"1.0"}"#,
            r#"{"GroupNum":""}"#,
            r#"{"GroupNum":true}"#,
            r#"{"GroupNum":2147483648}"#,
            r#"{"PersonGroupInfos":{}}"#,
            r#"[null,"7",null]"#,
            r#"{"PersonGroupInfos":[null]}"#,
            r#"{"PersonGroupInfos":[["g"]]}"#,
            r#"{"PersonGroupInfos":[{"GroupId":""}]}"#,
            r#"{"PersonGroupInfos":[{"PersonExDescriptions":[]}]}"#,
            r#"{"PersonGroupInfos":[],"FaceModelVersion":3}"#,
        ];

        for body in bodies {
            assert!(
                matches!(response(body), Err(InvalidReply::Malformed(_))),
                "{body}"
            );
        }
    }
}
