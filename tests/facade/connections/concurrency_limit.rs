//! Concurrency limit: calls in progress, and rejection of the next one.

use std::io::Write;

use bytes::Bytes;
use http_body_util::Full;
use iai_emulator::FaultKind;
use tempfile::NamedTempFile;
use tokio::task::JoinSet;
use tonic::{Code, Status};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_types::StatusExt;

use crate::harness::{Facade, Program, channel, client, group, own_reason, request, send, text};

const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

#[tokio::test]
async fn the_call_after_the_1024th_is_rejected_and_the_others_continue() {
    let mut fixtures = NamedTempFile::new().unwrap();
    fixtures
        .write_all(b"[[faults]]\nhold = true\ntimes = 2000\n")
        .unwrap();
    let path = fixtures.path().to_str().unwrap();
    let mut flags = vec!["--emulate", "--fixtures", path, "--max-call-time", "10m"];
    // On a busy machine, the last of 1,024 connections at once takes longer than the default.
    flags.extend(["--upstream-connect-timeout", "1m"]);
    let (_program, addresses) = Program::serve(&flags, &[]).await;
    let mut calls = JoinSet::new();
    for _ in 0..5 {
        let client = client(addresses.grpc);
        for _ in 0..206 {
            let mut client = client.clone();
            calls.spawn(async move { client.get_group_info(group("aaa")).await });
        }
    }

    for _ in 0..6 {
        let rejected = calls.join_next().await.unwrap().unwrap().unwrap_err();
        check_overloaded(&rejected);
    }

    check_overloaded(
        &client(addresses.grpc)
            .get_group_info(group("aaa"))
            .await
            .unwrap_err(),
    );
    let empty = Full::from(Bytes::new());
    let reflection = send(addresses.grpc, request(REFLECTION).body(empty).unwrap()).await;
    check_overloaded(&Status::from_header_map(reflection.headers()).unwrap());
    let mut health = HealthClient::new(channel(addresses.grpc));
    let response = health.check(HealthCheckRequest::default()).await.unwrap();
    assert_eq!(response.into_inner().status(), ServingStatus::Serving);
    assert_eq!(calls.len(), 1_024);
    assert!(calls.try_join_next().is_none());
}

#[tokio::test]
async fn a_cancelled_call_releases_its_permit() {
    let facade = Facade::start_with(&["--max-concurrent-calls", "1"]).await;
    facade.emulator.script(FaultKind::Hold);
    let mut first = facade.client();
    let first = tokio::spawn(async move { first.get_group_info(group("aaa")).await });
    facade.emulator.wait_for_requests(1).await;
    let mut client = facade.client();
    check_overloaded(&client.get_group_info(group("aaa")).await.unwrap_err());

    first.abort();
    facade.emulator.wait_for_disconnects(1).await;

    client.get_group_info(group("aaa")).await.unwrap();
}

fn check_overloaded(status: &Status) {
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert_eq!(own_reason(status), "OVERLOADED");
    let delay = status.get_details_retry_info().unwrap().retry_delay;
    assert_eq!(delay.unwrap().as_millis(), 100);
    assert_eq!(text(status.metadata(), "grpc-retry-pushback-ms"), "100");
    assert_eq!(text(status.metadata(), "retry-after"), "1");
}
