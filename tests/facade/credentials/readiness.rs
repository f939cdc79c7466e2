//! Whether the service is ready, as far as its credential decides.

use std::fs;

use iai_facade::{
    credentials::Unavailable,
    emulator::{Account, Action, Emulator, Fault, FaultKind},
};
use tempfile::TempDir;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::SECRETS;
use crate::{
    harness::{
        Facade, Nobody, Program, client, credentials, errors, group, http, run, start_emulator,
    },
    loud_log::LoudLog,
};

#[tokio::test]
async fn a_secret_that_is_wrong_keeps_a_verified_service_from_being_ready() {
    let log = LoudLog::listen(SECRETS);
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
    // The second call is made when the answer to the first has been told.
    facade.emulator.called(2).await;

    assert_eq!(http(admin, "GET", "/livez", "").await.0, 200);
    let unready = "[+] credential obtained\n[-] credential accepted by upstream: upstream refused \
                   the call with AuthFailure.SignatureFailure\n[+] listening\n[+] not stopping\n\
                   not ready\n";
    let page = http(admin, "GET", "/readyz?verbose", "").await;
    assert_eq!(page, (503, unready.to_owned()));

    facade.emulator.replace_account(Account::default());
    let second = watch.message().await.unwrap().unwrap();
    assert_eq!(second.status(), ServingStatus::Serving);
    assert_eq!(http(admin, "GET", "/readyz", "").await.0, 200);
    // What has been accepted once is not asked for again.
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
async fn any_answer_of_upstream_but_one_about_who_signed_verifies() {
    let answers = [
        (FaultKind::refuse("UnauthorizedOperation"), 200),
        (FaultKind::refuse("ResourceUnavailable.InArrears"), 200),
        (FaultKind::refuse("AuthFailure.UnauthorizedOperation"), 503),
        (FaultKind::refuse("AuthFailure"), 503),
        (FaultKind::status(http::StatusCode::BAD_GATEWAY), 503),
        (FaultKind::Garbage, 503),
    ];
    for (kind, expected) in answers {
        let emulator = start_emulator().await;
        let case = format!("{kind:?}");
        emulator.script(Fault::from(kind).on(Action::GetGroupInfo).times(1_000));
        let flags = ["--verify-upstream", "--max-attempts", "1"];
        let facade = start(emulator, &flags).await;
        match expected {
            200 => serving(&facade).await,
            _ => drop(facade.emulator.called(2).await),
        }
        let page = http(facade.addresses.admin, "GET", "/readyz?verbose", "").await;
        assert_eq!(page.0, expected, "{case}: {}", page.1);
    }
}

#[tokio::test]
async fn a_program_without_a_remote_credential_serves_health_and_tries_on() {
    let emulator = start_emulator().await;
    let account = Account::default();
    let refusal = FaultKind::refuse("InternalError.SystemError");
    emulator.script(Fault::from(refusal).on(Action::AssumeRole).times(2));
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
    program.line("there is a credential to sign with").await;
    client(addresses.grpc)
        .get_group_info(group("aaa"))
        .await
        .unwrap();
}

#[tokio::test]
async fn sighup_has_credentials_read_again_at_once() {
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
    program.line("the credential was replaced").await;

    client(addresses.grpc)
        .get_group_info(group("aaa"))
        .await
        .unwrap();
    assert_eq!(emulator.calls().len(), 1);
}

#[tokio::test]
async fn a_local_source_that_is_broken_ends_the_program_with_1_and_a_report() {
    let nobody = Nobody::new();
    let metadata = format!("http://{}", nobody.address());
    let variables = [("TKE_REGION", "ap-shanghai"), ("HOME", "/nowhere")];

    let output = run(&["serve", "--metadata-endpoint", &metadata], &variables).await;

    let report = errors(&output);
    assert_eq!(output.status.code(), Some(1), "{report}");
    assert!(
        report.contains("TKE web identity: not set: TKE_PROVIDER_ID"),
        "{report}"
    );
    // It has stopped the search.
    assert!(!report.contains("the instance role"), "{report}");
}

#[test]
fn an_error_names_every_source_and_what_it_said() {
    let error = Unavailable {
        report: vec!["one: nothing".to_owned(), "two: broken".to_owned()],
        is_passing: false,
    };

    let text = "no credential to sign calls with; looked at one: nothing; two: broken";
    assert_eq!(error.to_string(), text);
}

async fn start(emulator: Emulator, flags: &[&str]) -> Facade {
    let endpoint = emulator.endpoint();
    let flags = [&["--endpoint", &endpoint], flags].concat();
    let clock = iai_facade::clock::Clock::system();
    Facade::start_at(clock, credentials(), emulator, &flags).await
}

/// Waits until the service says that it is serving.
async fn serving(facade: &Facade) {
    let mut health = HealthClient::new(facade.channel());
    let watch = health.watch(HealthCheckRequest::default()).await;
    let mut watch = watch.unwrap().into_inner();
    while watch.message().await.unwrap().unwrap().status() != ServingStatus::Serving {}
}
