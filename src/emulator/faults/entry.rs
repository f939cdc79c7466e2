//! A fault as fixtures write it: one table, in which one key says what happens.

use std::{fmt::Display, num::NonZeroU32, str::FromStr, time::Duration};

use http::{HeaderValue, StatusCode};
use serde::{Deserialize, Deserializer, de};

use super::{Cut, Fault, FaultKind, Page, SCRIPTED};
use crate::emulator::actions::Action;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    action: Option<Action>,
    times: Option<NonZeroU32>,
    answer: Option<Answer>,
    cut: Option<Cut>,
    delay: Option<Delay>,
    garbage: Option<Yes>,
    hold: Option<Yes>,
    oversize: Option<u64>,
    redirect: Option<Location>,
    refuse: Option<Refuse>,
    status: Option<Status>,
    truncate: Option<Yes>,
}

impl TryFrom<Entry> for Fault {
    type Error = &'static str;

    fn try_from(entry: Entry) -> Result<Self, Self::Error> {
        let mut kinds = [
            entry.answer.map(FaultKind::from),
            entry.cut.map(FaultKind::Cut),
            entry.delay.map(|Delay(time)| FaultKind::Delay(time)),
            entry.garbage.map(|Yes| FaultKind::Garbage),
            entry.hold.map(|Yes| FaultKind::Hold),
            entry.oversize.map(FaultKind::Oversize),
            entry
                .redirect
                .map(|Location(location)| FaultKind::Redirect(location)),
            entry.refuse.map(FaultKind::from),
            entry.status.map(FaultKind::from),
            entry.truncate.map(|Yes| FaultKind::Truncate),
        ]
        .into_iter()
        .flatten();
        match (kinds.next(), kinds.next()) {
            (Some(kind), None) => Ok(Self {
                action: entry.action,
                times: entry.times.map_or(1, NonZeroU32::get),
                kind,
            }),
            (None, _) => Err(
                "a fault needs one of `answer`, `cut`, `delay`, `garbage`, `hold`, `oversize`, \
                 `redirect`, `refuse`, `status`, `truncate`",
            ),
            (Some(_), Some(_)) => Err("a fault can do only one of these things"),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    body: String,
    #[serde(default, deserialize_with = "status")]
    status: StatusCode,
    #[serde(default = "json", deserialize_with = "from_text")]
    content_type: HeaderValue,
}

impl From<Answer> for FaultKind {
    fn from(answer: Answer) -> Self {
        Self::Answer {
            body: answer.body,
            status: answer.status,
            content_type: answer.content_type,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refuse {
    code: String,
    #[serde(default = "scripted")]
    message: String,
    #[serde(default, deserialize_with = "status")]
    status: StatusCode,
}

impl From<Refuse> for FaultKind {
    fn from(refuse: Refuse) -> Self {
        Self::Refuse {
            code: refuse.code,
            message: refuse.message,
            status: refuse.status,
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

/// The value of a key that is there or not.
#[derive(Deserialize)]
#[serde(try_from = "bool")]
struct Yes;

impl TryFrom<bool> for Yes {
    type Error = &'static str;

    fn try_from(value: bool) -> Result<Self, Self::Error> {
        value
            .then_some(Self)
            .ok_or("this key can only be `true`; leave it out instead")
    }
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text).map_err(de::Error::custom)
}

/// Statuses below 200 are not final, so that a client would go on waiting.
fn status<'de, D: Deserializer<'de>>(deserializer: D) -> Result<StatusCode, D::Error> {
    let number = u16::deserialize(deserializer)?;
    let status = StatusCode::from_u16(number)
        .ok()
        .filter(|_| (200..600).contains(&number));
    status.ok_or_else(|| de::Error::custom("an HTTP status must be between 200 and 599"))
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

fn scripted() -> String {
    SCRIPTED.to_owned()
}
