//! TOML form of a fault: one table with exactly one key for the kind of fault.

use std::{fmt::Display, num::NonZeroU32, str::FromStr, time::Duration};

use http::{HeaderValue, StatusCode};
use serde::{Deserialize, Deserializer, de};

use super::{Cut, DEFAULT_MESSAGE, Fault, FaultKind, Page};
use crate::actions::Action;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    action: Option<Action>,
    id: Option<String>,
    times: Option<NonZeroU32>,
    /// `refuse` is its former name.
    #[serde(alias = "refuse")]
    api_error: Option<ApiError>,
    cut: Option<Cut>,
    delay: Option<Delay>,
    garbage: Option<Present>,
    hold: Option<Present>,
    oversize: Option<u64>,
    redirect: Option<Location>,
    /// `answer` is its former name.
    #[serde(alias = "answer")]
    response: Option<Response>,
    status: Option<Status>,
    truncate: Option<Present>,
}

impl TryFrom<Entry> for Fault {
    type Error = &'static str;

    fn try_from(entry: Entry) -> Result<Self, Self::Error> {
        let mut kinds = [
            entry.api_error.map(FaultKind::from),
            entry.cut.map(FaultKind::Cut),
            entry.delay.map(|Delay(time)| FaultKind::Delay(time)),
            entry.garbage.map(|Present| FaultKind::Garbage),
            entry.hold.map(|Present| FaultKind::Hold),
            entry.oversize.map(FaultKind::Oversize),
            entry
                .redirect
                .map(|Location(location)| FaultKind::Redirect(location)),
            entry.response.map(FaultKind::from),
            entry.status.map(FaultKind::from),
            entry.truncate.map(|Present| FaultKind::Truncate),
        ]
        .into_iter()
        .flatten();
        match (kinds.next(), kinds.next()) {
            (Some(kind), None) => Ok(Self {
                action: entry.action,
                id: entry.id,
                times: entry.times.map_or(1, NonZeroU32::get),
                kind,
            }),
            (None, _) => Err(
                "a fault must have exactly one of `api_error`, `cut`, `delay`, `garbage`, `hold`, \
                 `oversize`, `redirect`, `response`, `status`, `truncate`",
            ),
            (Some(_), Some(_)) => Err("a fault can have only one of these keys"),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ApiError {
    code: String,
    #[serde(default = "default_message")]
    message: String,
    #[serde(default, deserialize_with = "status")]
    status: StatusCode,
}

impl From<ApiError> for FaultKind {
    fn from(error: ApiError) -> Self {
        Self::ApiError {
            code: error.code,
            message: error.message,
            status: error.status,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Response {
    body: String,
    #[serde(default, deserialize_with = "status")]
    status: StatusCode,
    #[serde(default = "json", deserialize_with = "from_text")]
    content_type: HeaderValue,
}

impl From<Response> for FaultKind {
    fn from(response: Response) -> Self {
        Self::Response {
            body: response.body,
            status: response.status,
            content_type: response.content_type,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Status {
    #[serde(deserialize_with = "status")]
    code: StatusCode,
    #[serde(default)]
    body: Page,
    retry_after: Option<u32>,
}

impl From<Status> for FaultKind {
    fn from(status: Status) -> Self {
        Self::Status {
            status: status.code,
            page: status.body,
            retry_after: status.retry_after,
        }
    }
}

#[derive(Deserialize)]
struct Delay(#[serde(deserialize_with = "duration")] Duration);

#[derive(Deserialize)]
struct Location(#[serde(deserialize_with = "from_text")] HeaderValue);

/// The value of a key that is `true` or absent.
#[derive(Deserialize)]
#[serde(try_from = "bool")]
struct Present;

impl TryFrom<bool> for Present {
    type Error = &'static str;

    fn try_from(value: bool) -> Result<Self, Self::Error> {
        value
            .then_some(Self)
            .ok_or("this key can only be `true`; remove it to disable the fault")
    }
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text).map_err(de::Error::custom)
}

/// Rejects statuses below 200: they are not final, and the client would keep waiting.
fn status<'de, D: Deserializer<'de>>(deserializer: D) -> Result<StatusCode, D::Error> {
    let number = u16::deserialize(deserializer)?;
    let status = StatusCode::from_u16(number)
        .ok()
        .filter(|_| (200..600).contains(&number));
    status.ok_or_else(|| de::Error::custom("an HTTP status must be from 200 to 599"))
}

fn from_text<'de, D: Deserializer<'de>, T: FromStr<Err: Display>>(
    deserializer: D,
) -> Result<T, D::Error> {
    String::deserialize(deserializer)?
        .parse()
        .map_err(de::Error::custom)
}

fn json() -> HeaderValue {
    HeaderValue::from_static("application/json")
}

fn default_message() -> String {
    DEFAULT_MESSAGE.to_owned()
}
