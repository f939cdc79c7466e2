//! `GetGroupInfo`, from the client to the emulator and back.

use iai_facade::proto::GetGroupInfoResponse;
use prost_types::Timestamp;
use serde_json::json;
use tonic::Code;
use tonic_types::StatusExt;

use crate::harness::{Facade, group, text};

#[tokio::test]
async fn the_documented_group_is_returned_as_documented() {
    let facade = Facade::start().await;

    let response = facade.client().get_group_info(group("aaa")).await.unwrap();

    let request_id = response
        .metadata()
        .get("x-tc-request-id")
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    let expected = GetGroupInfoResponse {
        group_name: "aaa".to_owned(),
        group_id: "aaa".to_owned(),
        group_ex_descriptions: vec!["24".to_owned()],
        tag: "fdsaf".to_owned(),
        face_model_version: "3.0".to_owned(),
        creation_timestamp: Some(Timestamp {
            seconds: 1_559_530_931,
            nanos: 613_000_000,
        }),
        request_id,
    };
    assert_eq!(response.into_inner(), expected);
    let requests = facade.emulator.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].parameters, json!({"GroupId": "aaa"}));
}

#[tokio::test]
async fn an_unknown_group_is_not_found_and_named_only_in_resource_info() {
    let facade = Facade::start().await;

    let status = facade
        .client()
        .get_group_info(group("zzz"))
        .await
        .unwrap_err();

    assert_eq!(status.code(), Code::NotFound);
    assert!(!status.message().contains("zzz"), "{}", status.message());
    let details = status.get_error_details();
    let error = details.error_info().unwrap();
    assert_eq!(error.domain, "iai.tencentcloudapi.com");
    assert_eq!(error.reason, "INVALID_PARAMETER_VALUE_GROUP_ID_NOT_EXIST");
    assert_eq!(
        error.metadata["code"],
        "InvalidParameterValue.GroupIdNotExist"
    );
    assert_eq!(error.metadata["action"], "GetGroupInfo");
    assert_eq!(error.metadata["attempts"], "1");
    let request_id = &details.request_info().unwrap().request_id;
    assert_eq!(error.metadata["request_id"], *request_id);
    assert_eq!(text(status.metadata(), "x-tc-request-id"), request_id);
    let resource = details.resource_info().unwrap();
    assert_eq!(
        (
            resource.resource_type.as_str(),
            resource.resource_name.as_str()
        ),
        ("iai.Group", "zzz")
    );
}

#[tokio::test]
async fn an_invalid_id_is_rejected_without_an_upstream_request() {
    let facade = Facade::start().await;

    for id in ["", "a b", "\u{7ec4}", &"a".repeat(65)] {
        let status = facade.client().get_group_info(group(id)).await.unwrap_err();

        assert_eq!(status.code(), Code::InvalidArgument, "{id}");
        let details = status.get_error_details();
        assert_eq!(details.error_info().unwrap().reason, "INVALID_REQUEST");
        assert_eq!(details.error_info().unwrap().domain, "iaifacade.v1");
        assert_eq!(
            details.bad_request().unwrap().field_violations[0].field,
            "group_id"
        );
    }
    assert!(facade.emulator.requests().is_empty());
}
