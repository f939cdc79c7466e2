//! API actions: their names, products and versions, and the parameter rules and responses of the
//! IAI actions. Signatures, faults and rate limits are the concern of `world`.

use serde::Serialize;

use super::{
    dataset::{Dataset, Membership},
    envelope::{self, ApiError, Envelope},
    identifier::{self, IdError},
    parameters::Parameters,
};

/// An action of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// STS: issues a temporary credential of a role to a signed request.
    AssumeRole,
    /// STS: issues a temporary credential of a role to a service account.
    AssumeRoleWithWebIdentity,
    /// IAI: describes a group.
    GetGroupInfo,
    /// IAI: lists the groups of a person.
    GetPersonGroupInfo,
    /// No API action: a request to the metadata service of an instance. The last variant, so that
    /// `ALL` must have every other one.
    SecurityCredentials,
}

impl Action {
    /// All actions, including [`Self::SecurityCredentials`].
    pub(super) const ALL: [Self; Self::SecurityCredentials as usize + 1] = [
        Self::AssumeRole,
        Self::AssumeRoleWithWebIdentity,
        Self::GetGroupInfo,
        Self::GetPersonGroupInfo,
        Self::SecurityCredentials,
    ];

    /// Returns the action of the API with this exact name.
    pub(super) fn named(name: &str) -> Option<Self> {
        let mut actions = Self::ALL.into_iter();
        actions.find(|action| *action != Self::SecurityCredentials && action.name() == name)
    }

    /// Returns the name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::AssumeRole => "AssumeRole",
            Self::AssumeRoleWithWebIdentity => "AssumeRoleWithWebIdentity",
            Self::GetGroupInfo => "GetGroupInfo",
            Self::GetPersonGroupInfo => "GetPersonGroupInfo",
            Self::SecurityCredentials => "SecurityCredentials",
        }
    }

    /// Returns the product of the action, as the credential scope of a signature spells it.
    pub(super) fn service(self) -> &'static str {
        match self {
            Self::AssumeRole | Self::AssumeRoleWithWebIdentity => "sts",
            Self::GetGroupInfo | Self::GetPersonGroupInfo | Self::SecurityCredentials => "iai",
        }
    }

    /// Returns the API version of the action.
    pub(super) fn version(self) -> &'static str {
        match self {
            Self::AssumeRole | Self::AssumeRoleWithWebIdentity => "2018-08-13",
            Self::GetGroupInfo | Self::GetPersonGroupInfo | Self::SecurityCredentials => {
                "2020-03-03"
            }
        }
    }
}

/// Handles `GetGroupInfo`.
///
/// # Errors
///
/// Fails with the documented codes if a parameter is invalid or the group is unknown.
pub(super) fn get_group_info(
    parameters: &Parameters,
    dataset: &Dataset,
) -> Result<Envelope, ApiError> {
    parameters.allow_only(&["GroupId"])?;
    let group_id = id(parameters, "GroupId")?;
    let group = dataset.groups.get(group_id).ok_or_else(|| {
        ApiError::new(
            "InvalidParameterValue.GroupIdNotExist",
            "The group ID does not exist.",
        )
    })?;
    Ok(envelope::response(group))
}

/// Handles `GetPersonGroupInfo`. For an unknown person the response has only a `RequestId`, as in the
/// documentation's third example.
///
/// # Errors
///
/// Fails with the documented codes if a parameter is invalid.
pub(super) fn get_person_group_info(
    parameters: &Parameters,
    dataset: &Dataset,
) -> Result<Envelope, ApiError> {
    parameters.allow_only(&["PersonId", "Offset", "Limit"])?;
    let person_id = id(parameters, "PersonId")?;
    let offset = parameters.number("Offset")?.unwrap_or(0);
    let limit = parameters.number("Limit")?.unwrap_or(DEFAULT_LIMIT);
    check_limit(limit)?;
    let Some(person) = dataset.persons.get(person_id) else {
        return Ok(envelope::response(&Empty {}));
    };
    Ok(envelope::response(&PersonGroups {
        group_num: person.groups.len(),
        person_group_infos: page(&person.groups, offset, limit)?,
        face_model_version: &person.face_model_version,
    }))
}

/// Returns the id of the group or person that a request names, if it is a string.
pub(super) fn requested_id(parameters: &Parameters) -> Option<&str> {
    let mut ids = ["GroupId", "PersonId"].into_iter();
    ids.find_map(|name| parameters.text(name).ok().flatten())
}

/// The response of `GetPersonGroupInfo`, in the order of the documentation's examples.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PersonGroups<'a> {
    /// A number, as in the documentation's table and in the models of all SDKs; those with static types
    /// fail on the string of some documented examples.
    group_num: usize,
    person_group_infos: &'a [Membership],
    face_model_version: &'a str,
}

#[derive(Serialize)]
struct Empty {}

fn id<'a>(parameters: &'a Parameters, name: &str) -> Result<&'a str, ApiError> {
    let id = parameters
        .text(name)?
        .ok_or_else(|| ApiError::missing(name))?;
    identifier::check(id).map(|()| id).map_err(|error| {
        let code = match error {
            IdError::Empty => "MissingParameter.ErrorParameterEmpty".to_owned(),
            IdError::Illegal => format!("InvalidParameterValue.{name}Illegal"),
            IdError::TooLong => format!("InvalidParameterValue.{name}TooLong"),
        };
        ApiError::new(
            code,
            format!("The parameter `{name}` is not valid: {error}."),
        )
    })
}

fn check_limit(limit: u64) -> Result<(), ApiError> {
    if (1..=MAX_LIMIT).contains(&limit) {
        Ok(())
    } else {
        Err(ApiError::new(
            "InvalidParameterValue.LimitExceed",
            format!("The parameter `Limit` must be between 1 and {MAX_LIMIT}."),
        ))
    }
}

/// Returns at most `limit` items after the first `offset`; an empty page if `offset` is the end.
fn page<T>(items: &[T], offset: u64, limit: u64) -> Result<&[T], ApiError> {
    let rest = usize::try_from(offset)
        .ok()
        .and_then(|offset| items.get(offset..));
    let rest = rest.ok_or_else(|| {
        ApiError::new(
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
