//! What the benchmarks work on: the examples of the API documentation, as they travel.

use std::{net::Ipv4Addr, sync::LazyLock, time::Duration};

use bytes::Bytes;
use iai_facade::{
    context::{Context, Subject},
    deadline::Deadline,
    identity::Identity,
    operation::{
        InvalidRequest, Operation, get_group_info::GetGroupInfo,
        get_person_group_info::GetPersonGroupInfo,
    },
    proto::GetPersonGroupInfoRequest,
    signature::{CanonicalRequest, Scope, SigningKey, StringToSign, hashed},
    upstream::Refusal,
};
use serde_json::{Value, json};
use time::{UtcDateTime, macros::utc_datetime};
use tokio::time::Instant;

/// The documented answer about a group, in its envelope.
pub(crate) static GROUP: LazyLock<Bytes> = LazyLock::new(|| {
    compact(&example(include_str!(
        "../../tests/data/documentation/GetGroupInfo.txt"
    )))
});

/// The documented answer about a person, in its envelope.
pub(crate) static PERSON: LazyLock<Bytes> = LazyLock::new(|| compact(&person()));

/// The largest page: a person in as many groups as one can be in, each as documented.
pub(crate) static PAGE: LazyLock<Bytes> = LazyLock::new(|| {
    let mut answer = person();
    let memberships = answer["Response"]["PersonGroupInfos"]
        .as_array_mut()
        .unwrap();
    *memberships = vec![memberships[0].clone(); 100];
    answer["Response"]["GroupNum"] = 100.into();
    compact(&answer)
});

/// The documented answers without their envelopes.
pub(crate) static GROUP_INSIDE: LazyLock<Bytes> = LazyLock::new(|| inside(&GROUP));
pub(crate) static PERSON_INSIDE: LazyLock<Bytes> = LazyLock::new(|| inside(&PERSON));
pub(crate) static PAGE_INSIDE: LazyLock<Bytes> = LazyLock::new(|| inside(&PAGE));

/// A refusal in its envelope.
pub(crate) static REFUSED: LazyLock<Bytes> = LazyLock::new(|| {
    compact(&json!({"Response": {
        "Error": {"Code": REFUSAL.code, "Message": REFUSAL.message},
        "RequestId": REFUSAL.request_id,
    }}))
});

/// The refusal of a call for a group that does not exist.
pub(crate) static REFUSAL: LazyLock<Refusal> = LazyLock::new(|| Refusal {
    code: "InvalidParameterValue.GroupIdNotExist".to_owned(),
    message: "The group ID does not exist.".to_owned(),
    request_id: REQUEST_ID.to_owned(),
    ..Refusal::default()
});

/// A request of which every field is bad.
pub(crate) static INVALID: LazyLock<InvalidRequest> = LazyLock::new(|| {
    let request = GetPersonGroupInfoRequest {
        person_id: String::new(),
        offset: -1,
        limit: 101,
    };
    GetPersonGroupInfo::parameters(&request).err().unwrap()
});

/// The call that is refused, which asked upstream once.
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

/// The key that signs on the day of [`TIME`].
pub(crate) static SIGNING_KEY: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::derive(SECRET_KEY, Scope::new(TIME, "iai")));

/// What is hashed and signed for a call with [`PARAMETERS`].
pub(crate) static CANONICAL_TEXT: LazyLock<String> =
    LazyLock::new(|| CANONICAL_REQUEST.to_string());
pub(crate) static TEXT_TO_SIGN: LazyLock<String> = LazyLock::new(|| {
    StringToSign::new(TIME, Scope::new(TIME, "iai"), &CANONICAL_REQUEST).to_string()
});
static CANONICAL_REQUEST: LazyLock<CanonicalRequest> =
    LazyLock::new(|| CanonicalRequest::new("POST", "", HEADERS, &hashed(PARAMETERS)));

/// The parameters of the documented call for a group.
pub(crate) const PARAMETERS: &[u8] = br#"{"GroupId":"aaa"}"#;

/// The headers that are signed of every call.
pub(crate) const HEADERS: &[(&str, &str)] = &[
    ("content-type", "application/json"),
    ("host", "iai.tencentcloudapi.com"),
];

/// A credential with the lengths of a real one.
pub(crate) const SECRET_ID: &str = "AKIDEXAMPLEEXAMPLEEXAMPLEEXAMPLE0000";
pub(crate) const SECRET_KEY: &str = "examplesecretexamplesecret000000";

pub(crate) const REQUEST_ID: &str = "6faa05d0-287b-464e-8755-cf3e8d0c703d";
pub(crate) const TIME: UtcDateTime = utc_datetime!(2026-11-22 12:00);

/// Makes everything, so that the first iteration of a benchmark does not.
pub(crate) fn prepare() {
    LazyLock::force(&GROUP_INSIDE);
    LazyLock::force(&PERSON_INSIDE);
    LazyLock::force(&PAGE_INSIDE);
    LazyLock::force(&REFUSED);
    LazyLock::force(&INVALID);
    LazyLock::force(&CONTEXT);
    LazyLock::force(&SIGNING_KEY);
    LazyLock::force(&CANONICAL_TEXT);
    LazyLock::force(&TEXT_TO_SIGN);
}

fn person() -> Value {
    example(include_str!(
        "../../tests/data/documentation/GetPersonGroupInfo.txt"
    ))
}

/// Returns the first answer that a page of the documentation shows.
fn example(page: &str) -> Value {
    let (_, rest) = page.split_once("Output Example").unwrap();
    let mut values = serde_json::Deserializer::from_str(rest).into_iter();
    values.next().unwrap().unwrap()
}

/// Returns the text of an answer as the API sends it: without white space.
fn compact(answer: &Value) -> Bytes {
    answer.to_string().into()
}

fn inside(answer: &[u8]) -> Bytes {
    let answer: Value = serde_json::from_slice(answer).unwrap();
    compact(&answer["Response"])
}
