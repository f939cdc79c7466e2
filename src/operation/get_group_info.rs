//! `GetGroupInfo`: the name, description and creation time of one group.

use prost_types::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use super::{InvalidReply, InvalidRequest, Operation, identifier, lenient};
use crate::{
    json::{self, Object},
    proto::{GetGroupInfoRequest, GetGroupInfoResponse},
};

/// The maximum of a protobuf timestamp: the end of the year 9999.
const MAX_TIMESTAMP_SECONDS: u64 = 253_402_300_799;

/// The action `GetGroupInfo`.
#[derive(Debug)]
pub enum GetGroupInfo {}

impl Operation for GetGroupInfo {
    const ACTION: &'static str = "GetGroupInfo";
    const FIELDS: &'static [&'static str] = &["group_id"];
    const ID_PARAMETER: &'static str = "GroupId";
    type Request = GetGroupInfoRequest;
    type Response = GetGroupInfoResponse;

    fn id(request: &GetGroupInfoRequest) -> &str {
        &request.group_id
    }

    fn parameters(request: &GetGroupInfoRequest) -> Result<impl Serialize, InvalidRequest> {
        let violations = identifier::violation("group_id", &request.group_id)
            .into_iter()
            .collect();
        InvalidRequest::unless_empty(violations)?;
        Ok(Parameters {
            group_id: &request.group_id,
        })
    }

    fn response(body: &[u8], request_id: &str) -> Result<GetGroupInfoResponse, InvalidReply> {
        let Object(body): Object<Body> = json::parse(body)?;

        Ok(GetGroupInfoResponse {
            group_name: body.group_name,
            group_id: body.group_id,
            group_ex_descriptions: body.group_ex_descriptions,
            tag: body.tag,
            face_model_version: body.face_model_version,
            creation_timestamp: body.creation_timestamp,
            request_id: request_id.to_owned(),
        })
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Parameters<'a> {
    group_id: &'a str,
}

/// The upstream response. Only the id is required.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Body {
    #[serde(deserialize_with = "lenient::identifier")]
    group_id: String,
    #[serde(default, deserialize_with = "lenient::text")]
    group_name: String,
    #[serde(default, deserialize_with = "lenient::texts")]
    group_ex_descriptions: Vec<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    tag: String,
    #[serde(default, deserialize_with = "lenient::text")]
    face_model_version: String,
    #[serde(default, deserialize_with = "timestamp")]
    creation_timestamp: Option<Timestamp>,
}

/// Deserializes milliseconds since the Unix epoch.
fn timestamp<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let Some(milliseconds) = lenient::number(deserializer)? else {
        return Ok(None);
    };
    let seconds = milliseconds / 1_000;
    if seconds > MAX_TIMESTAMP_SECONDS {
        return Err(D::Error::custom("a time after the year 9999"));
    }
    let nanos = (milliseconds % 1_000) as i32 * 1_000_000;
    Ok(Some(Timestamp {
        seconds: seconds.cast_signed(),
        nanos,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(body: &str) -> Result<GetGroupInfoResponse, InvalidReply> {
        GetGroupInfo::response(body.as_bytes(), "request id")
    }

    #[test]
    fn parameters_have_the_names_of_the_action() {
        let request = GetGroupInfoRequest {
            group_id: "a%b".to_owned(),
        };

        let parameters = GetGroupInfo::parameters(&request).unwrap();

        assert_eq!(
            serde_json::to_string(&parameters).unwrap(),
            r#"{"GroupId":"a%b"}"#
        );
    }

    #[test]
    fn milliseconds_are_converted_to_a_timestamp() {
        let response = response(r#"{"GroupId":"a","CreationTimestamp":1559530931613}"#).unwrap();

        let expected = Timestamp {
            seconds: 1_559_530_931,
            nanos: 613_000_000,
        };
        assert_eq!(response.creation_timestamp, Some(expected));
    }

    #[test]
    fn only_the_group_id_is_required() {
        let nulls = r#"{"GroupId":"a","GroupName":null,"GroupExDescriptions":[null,"x"],
            "Tag":null,"FaceModelVersion":null,"CreationTimestamp":null,"UpdateTimestamp":1,
            "DeprecatedWarning":"soon"}"#;

        let expected = GetGroupInfoResponse {
            group_id: "a".to_owned(),
            request_id: "request id".to_owned(),
            ..GetGroupInfoResponse::default()
        };
        assert_eq!(response(r#"{"GroupId":"a"}"#).unwrap(), expected);

        let descriptions = vec![String::new(), "x".to_owned()];
        let expected = GetGroupInfoResponse {
            group_ex_descriptions: descriptions,
            ..expected
        };
        assert_eq!(response(nulls).unwrap(), expected);
    }

    #[test]
    fn a_response_of_another_form_is_malformed() {
        let bodies = [
            "{}",
            "[]",
            r#"["a"]"#,
            r#"{"GroupId":null}"#,
            r#"{"GroupId":""}"#,
            r#"{"GroupId":1}"#,
            r#"{"GroupId":"a","Tag":3}"#,
            r#"{"GroupId":"a","GroupExDescriptions":"x"}"#,
            r#"{"GroupId":"a","CreationTimestamp":-1}"#,
            r#"{"GroupId":"a","CreationTimestamp":1.5}"#,
            r#"{"GroupId":"a","CreationTimestamp":"soon"}"#,
            r#"{"GroupId":"a","CreationTimestamp":253402300800000}"#,
        ];

        for body in bodies {
            assert!(
                matches!(response(body), Err(InvalidReply::Malformed(_))),
                "{body}"
            );
        }
    }
}
