//! `GetPersonGroupInfo`, from the client to the emulator and back.

use iai_emulator::{Emulator, Fixtures};
use iai_facade::proto::{GetPersonGroupInfoRequest, PersonGroupInfo};
use serde_json::json;
use tonic::Code;
use tonic_types::StatusExt;

use crate::harness::{Facade, LOOPBACK, person, text};

#[tokio::test]
async fn the_documented_persons_are_returned_as_documented() {
    let facade = Facade::start().await;
    let cases = [
        (
            "2001",
            "ZhuYuanDormitoryNo1",
            vec![
                "School of Computer Science",
                "Software Engineering",
                "Class of 2015",
                "3150108080",
            ],
        ),
        (
            "1001",
            "TencentShenZhenEmployee",
            vec![
                "Cloud & Smart Industries Group",
                "Big Data and AI Products Center",
                "Face Recognition Products Group",
            ],
        ),
    ];

    for (id, group_id, descriptions) in cases {
        let response = facade
            .client()
            .get_person_group_info(person(id))
            .await
            .unwrap()
            .into_inner();

        let expected = PersonGroupInfo {
            group_id: group_id.to_owned(),
            person_ex_descriptions: descriptions.into_iter().map(str::to_owned).collect(),
        };
        assert_eq!(response.person_group_infos, [expected]);
        assert_eq!(response.group_num, Some(1));
        assert_eq!(response.face_model_version.as_deref(), Some("3.0"));
        assert!(!response.request_id.is_empty());
    }
}

#[tokio::test]
async fn a_response_with_only_a_request_id_means_person_not_found() {
    let facade = Facade::start().await;

    let status = facade
        .client()
        .get_person_group_info(person("1002"))
        .await
        .unwrap_err();

    assert_eq!(status.code(), Code::NotFound);
    let details = status.get_error_details();
    let error = details.error_info().unwrap();
    assert_eq!(
        (error.domain.as_str(), error.reason.as_str()),
        ("iaifacade.v1", "PERSON_NOT_FOUND")
    );
    let resource = details.resource_info().unwrap();
    assert_eq!(
        (
            resource.resource_type.as_str(),
            resource.resource_name.as_str()
        ),
        ("iai.Person", "1002")
    );
    let request_id = &details.request_info().unwrap().request_id;
    assert_eq!(text(status.metadata(), "x-tc-request-id"), request_id);
}

#[tokio::test]
async fn consecutive_pages_return_all_groups() {
    let facade = facade_with_a_person_in_25_groups().await;
    let mut found = Vec::new();

    for (offset, limit, expected) in [(0, 0, 10), (10, 0, 10), (20, 100, 5), (25, 1, 0)] {
        let request = GetPersonGroupInfoRequest {
            offset,
            limit,
            ..person("busy")
        };
        let response = facade
            .client()
            .get_person_group_info(request)
            .await
            .unwrap()
            .into_inner();

        assert_eq!(response.group_num, Some(25));
        assert_eq!(response.person_group_infos.len(), expected, "from {offset}");
        found.extend(
            response
                .person_group_infos
                .into_iter()
                .map(|group| group.group_id),
        );
    }
    assert_eq!(
        found,
        (0..25)
            .map(|number| format!("group{number}"))
            .collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn an_offset_beyond_the_end_is_out_of_range() {
    let facade = facade_with_a_person_in_25_groups().await;

    let request = GetPersonGroupInfoRequest {
        offset: 26,
        ..person("busy")
    };
    let status = facade
        .client()
        .get_person_group_info(request)
        .await
        .unwrap_err();

    assert_eq!(status.code(), Code::OutOfRange);
    let details = status.get_error_details();
    assert_eq!(
        details.bad_request().unwrap().field_violations[0].field,
        "offset"
    );
}

#[tokio::test]
async fn zero_offset_and_limit_are_omitted_from_the_request() {
    let facade = Facade::start().await;

    let request = GetPersonGroupInfoRequest {
        offset: 1,
        limit: 7,
        ..person("2001")
    };
    facade
        .client()
        .get_person_group_info(person("2001"))
        .await
        .unwrap();
    facade
        .client()
        .get_person_group_info(request)
        .await
        .unwrap();

    let parameters: Vec<_> = facade
        .emulator
        .requests()
        .into_iter()
        .map(|request| request.parameters)
        .collect();
    let expected = [
        json!({"PersonId": "2001"}),
        json!({"PersonId": "2001", "Offset": 1, "Limit": 7}),
    ];
    assert_eq!(parameters, expected);
}

#[tokio::test]
async fn all_violations_are_reported_without_an_upstream_request() {
    let facade = Facade::start().await;

    for limit in [-1, 101, i32::MIN, i32::MAX] {
        let request = GetPersonGroupInfoRequest {
            person_id: "?".to_owned(),
            offset: -1,
            limit,
        };
        let status = facade
            .client()
            .get_person_group_info(request)
            .await
            .unwrap_err();

        assert_eq!(status.code(), Code::InvalidArgument);
        let details = status.get_error_details();
        let violations = &details.bad_request().unwrap().field_violations;
        let fields: Vec<_> = violations
            .iter()
            .map(|violation| violation.field.as_str())
            .collect();
        assert_eq!(fields, ["person_id", "offset", "limit"]);
        assert_eq!(details.error_info().unwrap().metadata["attempts"], "0");
    }
    assert!(facade.emulator.requests().is_empty());
}

async fn facade_with_a_person_in_25_groups() -> Facade {
    let groups: String = (0..25)
        .map(|number| format!("[[persons.groups]]\ngroup_id = \"group{number}\"\n"))
        .collect();
    let fixtures = format!("[[persons]]\nperson_id = \"busy\"\n{groups}");
    let emulator = Emulator::start(LOOPBACK, Fixtures::parse(&fixtures).unwrap())
        .await
        .unwrap();
    let endpoint = emulator.endpoint();
    Facade::start_before(emulator, &["--endpoint", &endpoint]).await
}
