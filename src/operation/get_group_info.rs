//! `GetGroupInfo`: the name, description and creation time of one group.

use prost_types::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use super::{InvalidReply, InvalidRequest, Operation, answer, identifier};
use crate::{
    json::{self, Object},
    proto::{GetGroupInfoRequest, GetGroupInfoResponse},
};

/// The last second that a protobuf timestamp can hold: the end of the year 9999.
const MAX_TIMESTAMP_SECONDS: u64 = 253_402_300_799;

/// The action `GetGroupInfo`.
#[derive(Debug)]
pub enum GetGroupInfo {}

impl Operation for GetGroupInfo {
    const ACTION: &'static str = "GetGroupInfo";
    const FIELDS: &'static [&'static str] = &["group_id"];
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
        let Object(answer): Object<Answer> = json::parse(body)?;

        Ok(GetGroupInfoResponse {
            group_name: answer.group_name,
            group_id: answer.group_id,
            group_ex_descriptions: answer.group_ex_descriptions,
            tag: answer.tag,
            face_model_version: answer.face_model_version,
            creation_timestamp: answer.creation_timestamp,
            request_id: request_id.to_owned(),
        })
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Parameters<'a> {
    group_id: &'a str,
}

/// A group without an id is no group; all else may be missing.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(deserialize_with = "answer::identifier")]
    group_id: String,
    #[serde(default, deserialize_with = "answer::text")]
    group_name: String,
    #[serde(default, deserialize_with = "answer::texts")]
    group_ex_descriptions: Vec<String>,
    #[serde(default, deserialize_with = "answer::text")]
    tag: String,
    #[serde(default, deserialize_with = "answer::text")]
    face_model_version: String,
    #[serde(default, deserialize_with = "timestamp")]
    creation_timestamp: Option<Timestamp>,
}

/// Reads milliseconds since the Unix epoch.
fn timestamp<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let Some(milliseconds) = answer::number(deserializer)? else {
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
        GetGroupInfo::response(body.as_bytes(), "id of the call")
    }

    #[test]
    fn parameters_are_spelled_as_upstream_spells_them() {
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
    fn milliseconds_become_a_timestamp() {
        let response = response(r#"{"GroupId":"a","CreationTimestamp":1559530931613}"#).unwrap();

        let expected = Timestamp {
            seconds: 1_559_530_931,
            nanos: 613_000_000,
        };
        assert_eq!(response.creation_timestamp, Some(expected));
    }

    #[test]
    fn only_the_group_id_must_be_there() {
        let nulls = r#"{"GroupId":"a","GroupName":null,"GroupExDescriptions":[null,"x"],
            "Tag":null,"FaceModelVersion":null,"CreationTimestamp":null,"UpdateTimestamp":1,
            "DeprecatedWarning":"soon"}"#;

        let expected = GetGroupInfoResponse {
            group_id: "a".to_owned(),
            request_id: "id of the call".to_owned(),
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
    fn an_answer_of_another_form_is_malformed() {
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
