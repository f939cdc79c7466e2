//! The actions: their names, and of those of IAI the parameter rules and what they answer.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    envelope::{self, Refusal},
    identifier::{self, Flaw},
    parameters::Parameters,
    records::{Membership, Records},
};

/// An action of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Action {
    /// Of STS: gives a signer a temporary credential of a role.
    AssumeRole,
    /// Of STS: gives a service account a temporary credential of a role.
    AssumeRoleWithWebIdentity,
    /// Describes a group.
    GetGroupInfo,
    /// Lists the groups a person is in.
    GetPersonGroupInfo,
    /// Of no API: a request to the metadata service of an instance.
    SecurityCredentials,
}

impl Action {
    /// Finds the action with this exact name.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "AssumeRole" => Some(Self::AssumeRole),
            "AssumeRoleWithWebIdentity" => Some(Self::AssumeRoleWithWebIdentity),
            "GetGroupInfo" => Some(Self::GetGroupInfo),
            "GetPersonGroupInfo" => Some(Self::GetPersonGroupInfo),
            _ => None,
        }
    }

    /// Returns the product that has it, as the scope of a signature names it.
    pub(super) fn service(self) -> &'static str {
        match self {
            Self::AssumeRole | Self::AssumeRoleWithWebIdentity => "sts",
            Self::GetGroupInfo | Self::GetPersonGroupInfo | Self::SecurityCredentials => "iai",
        }
    }

    /// Returns the version of the API that has it.
    pub(super) fn version(self) -> &'static str {
        match self {
            Self::AssumeRole | Self::AssumeRoleWithWebIdentity => "2018-08-13",
            Self::GetGroupInfo | Self::GetPersonGroupInfo | Self::SecurityCredentials => {
                "2020-03-03"
            }
        }
    }
}

/// Answers `GetGroupInfo`.
///
/// # Errors
///
/// The documented codes, for parameters that break a rule or name an unknown group.
pub(super) fn get_group_info(parameters: &Parameters, records: &Records) -> Result<Bytes, Refusal> {
    parameters.allow_only(&["GroupId"])?;
    let group_id = id(parameters, "GroupId")?;
    let group = records.groups.get(group_id).ok_or_else(|| {
        Refusal::new(
            "InvalidParameterValue.GroupIdNotExist",
            "The group ID does not exist.",
        )
    })?;
    Ok(envelope::answer(group))
}

/// Answers `GetPersonGroupInfo`: for an unknown person as in the documentation's third example, with
/// a `RequestId` only.
///
/// # Errors
///
/// The documented codes, for parameters that break a rule.
pub(super) fn get_person_group_info(
    parameters: &Parameters,
    records: &Records,
) -> Result<Bytes, Refusal> {
    parameters.allow_only(&["PersonId", "Offset", "Limit"])?;
    let person_id = id(parameters, "PersonId")?;
    let offset = parameters.number("Offset")?.unwrap_or(0);
    let limit = parameters.number("Limit")?.unwrap_or(DEFAULT_LIMIT);
    check_limit(limit)?;
    let Some(person) = records.persons.get(person_id) else {
        return Ok(envelope::answer(&Nothing {}));
    };
    Ok(envelope::answer(&PersonGroups {
        group_num: person.groups.len().to_string(),
        person_group_infos: page(&person.groups, offset, limit)?,
        face_model_version: &person.face_model_version,
    }))
}

/// The answer of `GetPersonGroupInfo`, in the order of the documentation's examples.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PersonGroups<'a> {
    /// A string, as in the examples, though the documentation's table says Integer.
    group_num: String,
    person_group_infos: &'a [Membership],
    face_model_version: &'a str,
}

#[derive(Serialize)]
struct Nothing {}

fn id<'a>(parameters: &'a Parameters, name: &str) -> Result<&'a str, Refusal> {
    let id = parameters
        .text(name)?
        .ok_or_else(|| Refusal::missing(name))?;
    identifier::check(id).map(|()| id).map_err(|flaw| {
        let code = match flaw {
            Flaw::Empty => "MissingParameter.ErrorParameterEmpty".to_owned(),
            Flaw::Illegal => format!("InvalidParameterValue.{name}Illegal"),
            Flaw::TooLong => format!("InvalidParameterValue.{name}TooLong"),
        };
        Refusal::new(
            code,
            format!("The parameter `{name}` is not valid: {flaw}."),
        )
    })
}

fn check_limit(limit: u64) -> Result<(), Refusal> {
    if (1..=MAX_LIMIT).contains(&limit) {
        Ok(())
    } else {
        Err(Refusal::new(
            "InvalidParameterValue.LimitExceed",
            format!("The parameter `Limit` must be between 1 and {MAX_LIMIT}."),
        ))
    }
}

/// Returns at most `limit` of the items after the first `offset`; none if that is where they end.
fn page<T>(items: &[T], offset: u64, limit: u64) -> Result<&[T], Refusal> {
    let rest = usize::try_from(offset)
        .ok()
        .and_then(|offset| items.get(offset..));
    let rest = rest.ok_or_else(|| {
        Refusal::new(
            "InvalidParameterValue.OffsetExceed",
            "The parameter `Offset` is beyond the number of groups.",
        )
    })?;
    let length = usize::try_from(limit).map_or(rest.len(), |limit| limit.min(rest.len()));
    Ok(&rest[..length])
}

const DEFAULT_LIMIT: u64 = 10;
const MAX_LIMIT: u64 = 100;

#[cfg(test)]
mod tests;
