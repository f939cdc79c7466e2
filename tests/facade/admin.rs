//! The admin port.

use iai_facade::emulator::FaultKind;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::harness::{Facade, Program, client, group, http};

const MET: &str = "[+] credential obtained\n[+] listening\n[+] not stopping\nready\n";

#[tokio::test]
async fn the_service_is_live_and_ready() {
    let facade = Facade::start().await;
    let pages = [
        ("/livez", 200, "live\n"),
        ("/readyz", 200, "ready\n"),
        ("/readyz?verbose", 200, MET),
        ("/readyz?verbose=1", 200, MET),
        ("/env", 404, ""),
    ];

    for (path, status, text) in pages {
        let page = http(facade.addresses.admin, "GET", path, "").await;
        assert_eq!(page, (status, text.to_owned()), "{path}");
    }
}

#[tokio::test]
async fn a_service_that_stops_is_live_and_not_ready() {
    let facade = Facade::start().await;
    let mut health = HealthClient::new(facade.channel());
    let mut watch = health
        .watch(HealthCheckRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert!(watch.message().await.unwrap().is_some());
    facade.emulator.script(FaultKind::Hold);
    let mut caller = facade.client();
    let call = tokio::spawn(async move { caller.get_group_info(group("aaa")).await });
    facade.emulator.called(1).await;

    facade.begin_shutdown();

    let last = watch.message().await.unwrap().unwrap();
    assert_eq!(last.status(), ServingStatus::NotServing);
    let admin = facade.addresses.admin;
    assert_eq!(http(admin, "GET", "/livez", "").await.0, 200);
    assert_eq!(
        http(admin, "GET", "/readyz", "").await,
        (503, "not ready\n".to_owned())
    );
    let verbose = "[+] credential obtained\n[+] listening\n[-] not stopping\nnot ready\n";
    assert_eq!(
        http(admin, "GET", "/readyz?verbose", "").await,
        (503, verbose.to_owned())
    );
    call.abort();
    facade.stopped().await;
}

#[tokio::test]
async fn the_log_level_changes_while_the_program_runs() {
    let (mut program, addresses) = Program::serve(&["--emulate"], &[]).await;
    let admin = addresses.admin;
    assert_eq!(
        http(admin, "GET", "/log-level", "").await,
        (200, "info\n".to_owned())
    );

    let (status, problem) = http(admin, "PUT", "/log-level", "loud=,=").await;
    assert_eq!(status, 400);
    assert!(problem.contains("is not a level"), "{problem}");

    let changed = http(admin, "PUT", "/log-level", "debug\n").await;
    assert_eq!(changed, (200, "debug\n".to_owned()));
    client(addresses.grpc)
        .get_group_info(group("aaa"))
        .await
        .unwrap();

    let line = program.line("call").await;
    assert_eq!(
        (line["level"].as_str(), line["code"].as_str()),
        (Some("DEBUG"), Some("OK"))
    );
}

#[tokio::test]
async fn directives_beyond_all_measure_are_refused() {
    let (_program, addresses) = Program::serve(&["--emulate"], &[]).await;

    let (status, _) = http(addresses.admin, "PUT", "/log-level", &"x".repeat(2_000)).await;

    assert_eq!(status, 413);
}
