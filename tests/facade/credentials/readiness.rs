//! Readiness, as far as it depends on credentials.

use std::fs;

use iai_emulator::{Account, Action, Emulator, Fault, FaultKind};
use iai_facade::credentials::Unavailable;
use tempfile::TempDir;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::SECRETS;
use crate::harness::{
    DeadUpstream, Facade, Program, client, credentials, errors, group, http, run, start_emulator,
    trace_log::TraceLog,
};

#[tokio::test]
async fn with_verify_upstream_a_wrong_secret_keeps_the_service_not_ready() {
    let log = TraceLog::listen(SECRETS);
    let emulator = start_emulator().await;
    emulator.replace_account(Account::new("AKIDEMULATOR", "another-secret"));
    let facade = start(emulator, &["--verify-upstream"]).await;
    let admin = facade.addresses.admin;
    let mut watch = HealthClient::new(facade.channel())
        .watch(HealthCheckRequest::default())
        .await
        .unwrap()
        .into_inner();
    let first = watch.message().await.unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::NotServing);
    // The second call starts after the response to the first has been processed.
    facade.emulator.wait_for_requests(2).await;

    assert_eq!(http(admin, "GET", "/livez", "").await.0, 200);
    let unready = "[+] credential obtained\n[-] credential accepted by upstream: upstream returned \
                   an API error: AuthFailure.SignatureFailure\n[+] listening\n[+] not stopping\n\
                   not ready\n";
    let page = http(admin, "GET", "/readyz?verbose", "").await;
    assert_eq!(page, (503, unready.to_owned()));

    facade.emulator.replace_account(Account::default());
    let second = watch.message().await.unwrap().unwrap();
    assert_eq!(second.status(), ServingStatus::Serving);
    assert_eq!(http(admin, "GET", "/readyz", "").await.0, 200);
    // A verified credential is not verified again.
    facade
        .emulator
        .replace_account(Account::new("AKIDEMULATOR", "another-secret"));
    facade
        .client()
        .get_group_info(group("aaa"))
        .await
        .unwrap_err();
    assert_eq!(http(admin, "GET", "/readyz", "").await.0, 200);
    log.assert_is_harmless();
}

#[tokio::test]
async fn any_upstream_response_but_a_signature_error_verifies_credentials() {
    let responses = [
        (FaultKind::api_error("UnauthorizedOperation"), 200),
        (FaultKind::api_error("ResourceUnavailable.InArrears"), 200),
        (
            FaultKind::api_error("AuthFailure.UnauthorizedOperation"),
            503,
        ),
        (FaultKind::api_error("AuthFailure"), 503),
        (FaultKind::status(http::StatusCode::BAD_GATEWAY), 503),
        (FaultKind::Garbage, 503),
    ];
    for (kind, expected) in responses {
        let emulator = start_emulator().await;
        let case = format!("{kind:?}");
        emulator.script(Fault::from(kind).on(Action::GetGroupInfo).times(1_000));
        let flags = ["--verify-upstream", "--max-attempts", "1"];
        let facade = start(emulator, &flags).await;
        match expected {
            200 => serving(&facade).await,
            _ => drop(facade.emulator.wait_for_requests(2).await),
        }
        let page = http(facade.addresses.admin, "GET", "/readyz?verbose", "").await;
        assert_eq!(page.0, expected, "{case}: {}", page.1);
    }
}

#[tokio::test]
async fn without_a_remote_credential_the_service_is_live_and_retries() {
    let emulator = start_emulator().await;
    let account = Account::default();
    let fault = FaultKind::api_error("InternalError.SystemError");
    emulator.script(Fault::from(fault).on(Action::AssumeRole).times(2));
    let endpoint = emulator.endpoint();
    let flags = ["--endpoint", &endpoint, "--sts-endpoint", &endpoint];
    let role = ["--role-arn", "qcs::cam::uin/1:roleName/iai"];
    let variables = [
        ("TENCENTCLOUD_SECRET_ID", account.secret_id()),
        ("TENCENTCLOUD_SECRET_KEY", account.secret_key()),
    ];

    let flags = [&flags[..], &role].concat();
    let (mut program, addresses) = Program::serve(&flags, &variables).await;

    assert_eq!(http(addresses.admin, "GET", "/livez", "").await.0, 200);
    program.line("credentials loaded").await;
    client(addresses.grpc)
        .get_group_info(group("aaa"))
        .await
        .unwrap();
}

#[tokio::test]
async fn sighup_reloads_credentials_at_once() {
    let emulator = start_emulator().await;
    let folder = TempDir::new().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let account = Account::default();
    let (id, key) = (file("id", "AKIDold"), file("key", account.secret_key()));
    let endpoint = emulator.endpoint();
    let flags = ["--endpoint", &endpoint, "--credentials-interval", "1h"];
    let files = ["--secret-id-file", &id, "--secret-key-file", &key];
    let (mut program, addresses) = Program::serve(&[&flags[..], &files].concat(), &[]).await;

    file("id", account.secret_id());
    program.signal("HUP").await;
    program.line("credential rotated").await;

    client(addresses.grpc)
        .get_group_info(group("aaa"))
        .await
        .unwrap();
    assert_eq!(emulator.requests().len(), 1);
}

#[tokio::test]
async fn a_broken_local_credential_source_exits_with_1_and_is_reported() {
    let dead_upstream = DeadUpstream::new();
    let metadata = format!("http://{}", dead_upstream.address());
    let variables = [("TKE_REGION", "ap-shanghai"), ("HOME", "/nowhere")];

    let output = run(&["serve", "--metadata-endpoint", &metadata], &variables).await;

    let report = errors(&output);
    assert_eq!(output.status.code(), Some(1), "{report}");
    assert!(
        report.contains("TKE web identity: not set: TKE_PROVIDER_ID"),
        "{report}"
    );
    // The failed source ended the search.
    assert!(!report.contains("the instance role"), "{report}");
}

#[test]
fn an_error_names_each_credential_source_and_its_failure() {
    let error = Unavailable {
        report: vec!["one: nothing".to_owned(), "two: broken".to_owned()],
        is_transient: false,
    };

    let text = "no credential available; tried one: nothing; two: broken";
    assert_eq!(error.to_string(), text);
}

async fn start(emulator: Emulator, flags: &[&str]) -> Facade {
    let endpoint = emulator.endpoint();
    let flags = [&["--endpoint", &endpoint], flags].concat();
    let clock = iai_facade::clock::Clock::system();
    Facade::start_at(clock, credentials(), emulator, &flags).await
}

/// Waits until the service reports SERVING.
async fn serving(facade: &Facade) {
    let mut health = HealthClient::new(facade.channel());
    let watch = health.watch(HealthCheckRequest::default()).await;
    let mut watch = watch.unwrap().into_inner();
    while watch.message().await.unwrap().unwrap().status() != ServingStatus::Serving {}
}
