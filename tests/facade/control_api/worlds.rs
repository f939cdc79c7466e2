//! Isolated worlds: each sees only its own data, faults, settings and requests.

use std::net::SocketAddr;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use iai_emulator::Account;
use serde_json::{Value, json};

use crate::harness::{
    Program,
    controlled_emulator::{ControlledEmulator, connect},
};

#[tokio::test]
async fn a_world_sees_nothing_of_the_others() {
    let emulator = ControlledEmulator::start().await;
    let worlds = [
        create(&emulator, &json!({})).await,
        create(&emulator, &json!({})).await,
    ];
    let [(first, first_path), (second, second_path)] = &worlds;
    let path = |rest: &str| format!("{first_path}{rest}");
    let group = json!({"group_name": "first"});
    emulator
        .expect(200, "PUT", &path("/groups/aaa"), &group)
        .await;
    let fault = json!({"api_error": {"code": "InternalError"}, "action": "GetPersonGroupInfo"});
    emulator.expect(201, "POST", &path("/faults"), &fault).await;

    let name = async |account: &Account| {
        let parameters = json!({"GroupId": "aaa"});
        let response = emulator.call_as(account, "GetGroupInfo", &parameters).await;
        response.unwrap()["GroupName"].clone()
    };
    assert_eq!(name(first).await, "first");
    assert_eq!(name(second).await, "aaa");
    assert_eq!(name(&Account::default()).await, "aaa");
    let code = async |account: &Account| {
        let parameters = json!({"PersonId": "2001"});
        let response = emulator
            .call_as(account, "GetPersonGroupInfo", &parameters)
            .await;
        response.unwrap()["Error"]["Code"].clone()
    };
    assert_eq!(code(second).await, Value::Null);
    assert_eq!(code(first).await, "InternalError");

    let limit = json!({"requests_per_second": 0});
    emulator
        .expect(200, "PUT", &path("/rate-limit"), &limit)
        .await;
    assert_eq!(code(first).await, "RequestLimitExceeded");
    emulator
        .expect(200, "PUT", &path("/clock"), &json!({"offset": "1h"}))
        .await;
    assert_eq!(code(first).await, "AuthFailure.SignatureExpire");
    assert_eq!(code(second).await, Value::Null);

    for (path, count) in [(first_path.as_str(), 4), (second_path, 3), ("/v1", 1)] {
        let path = format!("{path}/requests/wait?count={count}&timeout_seconds=0");
        let page = emulator.expect(200, "GET", &path, &Value::Null).await;
        assert_eq!(page["count"], count, "{path}");
        assert_eq!(page["is_reached"], true);
    }
    emulator
        .expect(204, "POST", &path("/reset"), &Value::Null)
        .await;
    assert_eq!(name(first).await, "aaa");
}

#[tokio::test]
async fn a_world_is_created_with_given_values_or_from_nothing() {
    let emulator = ControlledEmulator::start().await;
    let body = json!({"secret_id": "AKID-a_1", "secret_key": "k", "from": "nothing"});
    let (account, path) = create(&emulator, &body).await;
    assert_eq!(
        (account.secret_id(), account.secret_key()),
        ("AKID-a_1", "k")
    );
    let groups = emulator
        .expect(200, "GET", &format!("{path}/groups"), &Value::Null)
        .await;
    assert_eq!(groups, json!({"groups": [], "next": null}));
    let parameters = json!({"GroupId": "aaa"});
    let response = emulator
        .call_as(&account, "GetGroupInfo", &parameters)
        .await
        .unwrap();
    assert!(response["Error"]["Code"].is_string(), "{response}");

    emulator.expect(409, "POST", "/v1/worlds", &body).await;
    emulator
        .expect(
            409,
            "POST",
            "/v1/worlds",
            &json!({"secret_id": "AKIDEMULATOR"}),
        )
        .await;
    for body in [
        json!([]),
        json!({"secret_id": ""}),
        json!({"secret_id": "a/b"}),
        json!({"secret_id": "AKIDtemporary1"}),
        json!({"secret_id": "x".repeat(65)}),
        json!({"secret_id": null}),
        json!({"secret_key": "two words"}),
        json!({"secret_key": 1}),
        json!({"from": "now"}),
        json!({"secretId": "a"}),
    ] {
        emulator.expect(422, "POST", "/v1/worlds", &body).await;
    }
}

#[tokio::test]
async fn a_deleted_world_is_gone_with_its_account() {
    let emulator = ControlledEmulator::start().await;
    let (account, path) = create(&emulator, &json!({})).await;
    let id = emulator.expect(200, "GET", &path, &Value::Null).await;
    assert_eq!(id, json!({"secret_id": account.secret_id()}));

    emulator.expect(204, "DELETE", &path, &Value::Null).await;

    for (method, path) in [
        ("DELETE", path.clone()),
        ("GET", path.clone()),
        ("GET", format!("{path}/groups")),
        ("PUT", format!("{path}/groups/a")),
        ("GET", format!("{path}/requests/wait?count=1")),
    ] {
        emulator.expect(404, method, &path, &Value::Null).await;
    }
    let response = emulator
        .call_as(&account, "GetGroupInfo", &json!({"GroupId": "aaa"}))
        .await;
    let code = &response.unwrap()["Error"]["Code"];
    assert_eq!(*code, "AuthFailure.SecretIdNotFound");
}

#[tokio::test]
async fn a_temporary_credential_belongs_to_the_world_that_issued_it() {
    let emulator = ControlledEmulator::start().await;
    let (account, path) = create(&emulator, &json!({})).await;
    let role = json!({"RoleArn": "qcs::cam::uin/1:roleName/r", "RoleSessionName": "s"});
    let issued = emulator
        .call_as(&account, "AssumeRole", &role)
        .await
        .unwrap();
    let text = |key: &str| issued["Credentials"][key].as_str().unwrap();
    let temporary = Account::new(text("TmpSecretId"), text("TmpSecretKey"));
    let temporary = temporary.with_token(text("Token"));

    let parameters = json!({"GroupId": "aaa"});
    let response = emulator
        .call_as(&temporary, "GetGroupInfo", &parameters)
        .await
        .unwrap();
    assert_eq!(response["GroupName"], "aaa");
    let page = emulator
        .expect(200, "GET", &format!("{path}/requests"), &Value::Null)
        .await;
    assert_eq!(page["count"], 2);
    assert_eq!(page["requests"][1]["role"], "qcs::cam::uin/1:roleName/r");
}

/// Maximum growth of the emulator's memory by [`WORLDS`] worlds with a group each, in bytes. An unoptimized
/// build takes about 4 KB for each.
const MAX_GROWTH: u64 = 80 << 20;

const WORLDS: usize = 10_000;

#[tokio::test]
async fn ten_thousand_worlds_created_at_once_are_all_kept() {
    let ports = ["--listen", "127.0.0.1:0", "--control-listen", "127.0.0.1:0"];
    let mut program = Program::start(&[&["emulate"], &ports[..]].concat(), &[]);
    let line = program.line("emulating").await;
    let control = line["control.address"].as_str().unwrap().parse().unwrap();
    let before = program.peak_memory();

    let clients = (0..10).map(|client| {
        tokio::spawn(async move {
            let requests = (client..WORLDS).step_by(10).flat_map(|number| {
                let id = format!("AKID{number:05}");
                let group = format!("/v1/worlds/{id}/groups/g");
                [
                    ("POST", "/v1/worlds".to_owned(), json!({"secret_id": id})),
                    ("PUT", group, json!({"group_name": id})),
                ]
            });
            assert_created(control, requests).await;
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }

    let grown = program.peak_memory() - before;
    assert!(grown < MAX_GROWTH, "{grown} bytes");
    let mut sender = connect(control).await;
    let mut listed = 0;
    let mut next = String::new();
    loop {
        let target = format!("/v1/worlds?limit=1000&after={next}");
        let request = Request::get(target).header("host", "localhost");
        let request = request.body(Full::default()).unwrap();
        sender.ready().await.unwrap();
        let body = sender.send_request(request).await.unwrap().into_body();
        let body = body.collect().await.unwrap().to_bytes();
        let page: Value = serde_json::from_slice(&body).unwrap();
        listed += page["worlds"].as_array().unwrap().len();
        match page["next"].as_str() {
            Some(last) => next = last.to_owned(),
            None => break,
        }
    }
    assert_eq!(listed, WORLDS);
}

/// Sends requests over one connection, each of which must create something.
async fn assert_created(
    control: SocketAddr,
    requests: impl Iterator<Item = (&'static str, String, Value)>,
) {
    let mut sender = connect(control).await;
    for (method, target, body) in requests {
        let request = Request::builder().method(method).uri(target);
        let request = request
            .header("host", "localhost")
            .header("content-type", "application/json");
        let body = Full::new(Bytes::from(body.to_string()));
        sender.ready().await.unwrap();
        let response = sender
            .send_request(request.body(body).unwrap())
            .await
            .unwrap();
        assert_eq!(response.status(), 201);
        response.into_body().collect().await.unwrap();
    }
}

/// Creates a world, and returns its account and its path.
async fn create(emulator: &ControlledEmulator, body: &Value) -> (Account, String) {
    let world = emulator.expect(201, "POST", "/v1/worlds", body).await;
    let text = |key: &str| world[key].as_str().unwrap();
    let account = Account::new(text("secret_id"), text("secret_key"));
    let path = format!("/v1/worlds/{}", account.secret_id());
    (account, path)
}
