//! What the check requests: the group and person of the flags, and a group and a person that cannot exist.

use uuid::Uuid;

use crate::{
    config::Problems,
    operation::{
        InvalidRequest, Operation, get_group_info::GetGroupInfo,
        get_person_group_info::GetPersonGroupInfo,
    },
    proto::{GetGroupInfoRequest, GetPersonGroupInfoRequest},
    upstream::ApiRequest,
};

/// The requests for the ids of `--group-id` and `--person-id`.
#[derive(Default)]
pub(super) struct Requested {
    pub(super) group: Option<ApiRequest>,
    pub(super) person: Option<ApiRequest>,
}

impl Requested {
    /// Creates the requests for the ids that are given.
    ///
    /// # Errors
    ///
    /// Fails if an id is invalid. The error does not repeat it.
    pub(super) fn new(group_id: Option<&str>, person_id: Option<&str>) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let group = group_id.map(group_request).transpose();
        let group = problems.take("group-id", group.map_err(|invalid| text(&invalid)));
        let person = person_id.map(person_request).transpose();
        let person = problems.take("person-id", person.map_err(|invalid| text(&invalid)));
        let requested = || {
            Ok(Self {
                group: group?,
                person: person?,
            })
        };
        problems.into_result(requested())
    }
}

/// Returns a request for a group that cannot exist, since its id has just been made up.
///
/// # Errors
///
/// Never fails: the id is valid.
pub(super) fn unknown_group() -> Result<ApiRequest, InvalidRequest> {
    group_request(&made_up_id())
}

/// Returns a request for a person that cannot exist, since its id has just been made up.
///
/// # Errors
///
/// Never fails: the id is valid.
pub(super) fn unknown_person() -> Result<ApiRequest, InvalidRequest> {
    person_request(&made_up_id())
}

fn made_up_id() -> String {
    format!("iai-facade-check-{}", Uuid::new_v4())
}

fn group_request(id: &str) -> Result<ApiRequest, InvalidRequest> {
    request::<GetGroupInfo>(&GetGroupInfoRequest {
        group_id: id.to_owned(),
    })
}

fn person_request(id: &str) -> Result<ApiRequest, InvalidRequest> {
    request::<GetPersonGroupInfo>(&GetPersonGroupInfoRequest {
        person_id: id.to_owned(),
        offset: 0,
        limit: 0,
    })
}

#[expect(
    clippy::expect_used,
    reason = "parameters are made of strings and whole numbers"
)]
fn request<O: Operation>(request: &O::Request) -> Result<ApiRequest, InvalidRequest> {
    let parameters = serde_json::to_vec(&O::parameters(request)?).expect("JSON");
    Ok(ApiRequest {
        action: O::ACTION,
        parameters: parameters.into(),
        id: |_| None,
    })
}

fn text(InvalidRequest { violations }: &InvalidRequest) -> String {
    let descriptions = violations.iter().map(|violation| violation.description);
    descriptions.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_ids_are_valid_and_differ() {
        let [first, second] = [unknown_group(), unknown_group()].map(Result::unwrap);

        assert_ne!(first.parameters, second.parameters);
        assert_eq!(unknown_person().unwrap().action, "GetPersonGroupInfo");
    }

    #[test]
    fn an_invalid_id_is_not_repeated() {
        let problems = Requested::new(Some("a b"), Some("")).err().unwrap();

        let problems = problems.to_string();
        assert!(
            problems.contains("--group-id: must contain only"),
            "{problems}"
        );
        assert!(problems.contains("--person-id: is required"), "{problems}");
        assert!(!problems.contains("a b"), "{problems}");
    }
}
