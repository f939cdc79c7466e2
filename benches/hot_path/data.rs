//! Input of the benchmarks: the examples of the API documentation, as bytes of HTTP bodies.

use std::{net::Ipv4Addr, sync::LazyLock, time::Duration};

use bytes::Bytes;
use iai_facade::{
    context::{Context, Deadline, Identity, Subject},
    operation::{
        InvalidRequest, Operation, get_group_info::GetGroupInfo,
        get_person_group_info::GetPersonGroupInfo,
    },
    proto::GetPersonGroupInfoRequest,
    upstream::ApiError,
};
use serde_json::{Value, json};
use tencent_cloud_signature::{CanonicalRequest, Scope, SigningKey, StringToSign, sha256_hex};
use time::macros::utc_datetime;
use tokio::time::Instant;

/// The documented response about a group, in its envelope.
pub(crate) static GROUP: LazyLock<Bytes> = LazyLock::new(|| {
    compact(&example(include_str!(
        "../../tests/data/documentation/GetGroupInfo.txt"
    )))
});

/// The documented response about a person, in its envelope.
pub(crate) static PERSON: LazyLock<Bytes> = LazyLock::new(|| compact(&person()));

/// The largest page: a person in 100 groups, each as documented.
pub(crate) static PAGE: LazyLock<Bytes> = LazyLock::new(|| {
    let mut response = person();
    let memberships = response["Response"]["PersonGroupInfos"]
        .as_array_mut()
        .unwrap();
    *memberships = vec![memberships[0].clone(); 100];
    response["Response"]["GroupNum"] = 100.into();
    compact(&response)
});

/// The documented responses without their envelopes.
pub(crate) static GROUP_RESPONSE: LazyLock<Bytes> = LazyLock::new(|| unwrapped(&GROUP));
pub(crate) static PERSON_RESPONSE: LazyLock<Bytes> = LazyLock::new(|| unwrapped(&PERSON));
pub(crate) static PAGE_RESPONSE: LazyLock<Bytes> = LazyLock::new(|| unwrapped(&PAGE));

/// An API error in its envelope.
pub(crate) static ERROR_RESPONSE: LazyLock<Bytes> = LazyLock::new(|| {
    compact(&json!({"Response": {
        "Error": {"Code": API_ERROR.code, "Message": API_ERROR.message},
        "RequestId": API_ERROR.request_id,
    }}))
});

/// The API error for a group that does not exist.
pub(crate) static API_ERROR: LazyLock<ApiError> = LazyLock::new(|| ApiError {
    code: "InvalidParameterValue.GroupIdNotExist".to_owned(),
    message: "The group ID does not exist.".to_owned(),
    request_id: REQUEST_ID.to_owned(),
    ..ApiError::default()
});

/// The violations of a request whose fields are all invalid.
pub(crate) static INVALID: LazyLock<InvalidRequest> = LazyLock::new(|| {
    let request = GetPersonGroupInfoRequest {
        person_id: String::new(),
        offset: -1,
        limit: 101,
    };
    GetPersonGroupInfo::parameters(&request).err().unwrap()
});

/// The context of the call with the API error, after one attempt.
pub(crate) static CONTEXT: LazyLock<Context> = LazyLock::new(|| {
    let context = Context::new(
        Deadline::new(Instant::now(), None, Duration::from_secs(10)),
        false,
        Identity::Address(Ipv4Addr::LOCALHOST.into()),
    );
    context.set_subject(Subject {
        action: GetGroupInfo::ACTION,
        fields: GetGroupInfo::FIELDS,
        id: "aaa".to_owned(),
    });
    context.count_attempt();
    context
});

/// The signing key of the day of [`TIMESTAMP`].
pub(crate) static SIGNING_KEY: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::derive(SECRET_KEY, Scope::new(TIMESTAMP, "iai")));

/// The canonical request and the string to sign of a request with [`PARAMETERS`].
pub(crate) static CANONICAL_REQUEST_TEXT: LazyLock<String> =
    LazyLock::new(|| CANONICAL_REQUEST.to_string());
pub(crate) static STRING_TO_SIGN: LazyLock<String> = LazyLock::new(|| {
    StringToSign::new(TIMESTAMP, Scope::new(TIMESTAMP, "iai"), &CANONICAL_REQUEST).to_string()
});
static CANONICAL_REQUEST: LazyLock<CanonicalRequest> =
    LazyLock::new(|| CanonicalRequest::new("POST", "", HEADERS, &sha256_hex(PARAMETERS)));

/// The parameters of the documented request for a group.
pub(crate) const PARAMETERS: &[u8] = br#"{"GroupId":"aaa"}"#;

/// The signed headers of every request.
pub(crate) const HEADERS: &[(&str, &str)] = &[
    ("content-type", "application/json"),
    ("host", "iai.tencentcloudapi.com"),
];

/// A credential with the lengths of a real one.
pub(crate) const SECRET_ID: &str = "AKIDEXAMPLEEXAMPLEEXAMPLEEXAMPLE0000";
pub(crate) const SECRET_KEY: &str = "examplesecretexamplesecret000000";

pub(crate) const REQUEST_ID: &str = "6faa05d0-287b-464e-8755-cf3e8d0c703d";
pub(crate) const TIMESTAMP: i64 = utc_datetime!(2026-11-22 12:00).unix_timestamp();

/// Initializes the statics, so that the first iteration of a benchmark does not.
pub(crate) fn prepare() {
    LazyLock::force(&GROUP_RESPONSE);
    LazyLock::force(&PERSON_RESPONSE);
    LazyLock::force(&PAGE_RESPONSE);
    LazyLock::force(&ERROR_RESPONSE);
    LazyLock::force(&INVALID);
    LazyLock::force(&CONTEXT);
    LazyLock::force(&SIGNING_KEY);
    LazyLock::force(&CANONICAL_REQUEST_TEXT);
    LazyLock::force(&STRING_TO_SIGN);
}

fn person() -> Value {
    example(include_str!(
        "../../tests/data/documentation/GetPersonGroupInfo.txt"
    ))
}

/// Returns the first example response of a documentation page.
fn example(page: &str) -> Value {
    let (_, rest) = page.split_once("Output Example").unwrap();
    let mut values = serde_json::Deserializer::from_str(rest).into_iter();
    values.next().unwrap().unwrap()
}

/// Returns the JSON text of a response as the API sends it: without whitespace.
fn compact(response: &Value) -> Bytes {
    response.to_string().into()
}

/// Returns a response without its envelope.
fn unwrapped(response: &[u8]) -> Bytes {
    let response: Value = serde_json::from_slice(response).unwrap();
    compact(&response["Response"])
}
