//! How the service ends.

use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use http_body_util::StreamBody;
use iai_facade::{emulator::FaultKind, server::shutdown::Signal};
use tokio::{net::TcpStream, time::timeout};
use tonic::{Code, Status, Streaming, body::Body};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
    health_client::HealthClient,
};
use tower::{Service, ServiceExt};

use crate::harness::{Facade, Program, client, group, start_emulator};

#[tokio::test]
async fn a_call_in_progress_is_answered_before_the_service_ends() {
    let facade = Facade::start().await;
    facade
        .emulator
        .script(FaultKind::Delay(Duration::from_millis(300)));
    let mut client = facade.client();
    let call = tokio::spawn(async move { client.get_group_info(group("aaa")).await });
    facade.emulator.called(1).await;

    facade.begin_shutdown();

    let address = facade.addresses.grpc;
    let answer = call.await.unwrap().unwrap();
    assert_eq!(answer.into_inner().group_id, "aaa");
    facade.stopped().await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_call_that_outlasts_the_drain_is_cut() {
    let facade = Facade::start_with(&["--drain-timeout", "50ms"]).await;
    facade.emulator.script(FaultKind::Hold);
    let mut client = facade.client();
    let call = tokio::spawn(async move { client.get_group_info(group("aaa")).await });
    facade.emulator.called(1).await;

    facade.begin_shutdown();

    facade.stopped().await;
    let status = call.await.unwrap().unwrap_err();
    assert_ne!(status.code(), Code::Ok);
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_up_the_end() {
    let facade = Facade::start().await;
    facade.client().get_group_info(group("aaa")).await.unwrap();
    let idle = TcpStream::connect(facade.addresses.grpc).await.unwrap();

    facade.begin_shutdown();

    timeout(Duration::from_secs(10), facade.stopped())
        .await
        .expect("it ends");
    drop(idle);
}

#[tokio::test]
async fn what_is_no_call_does_not_hold_up_the_end() {
    let facade = Facade::start().await;
    let questions = [
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.health.v1.Health/Check",
    ];
    let mut open = Vec::new();
    for path in questions {
        let endless = tokio_stream::pending::<Result<Frame<Bytes>, Status>>();
        let request = http::Request::post(path)
            .header("content-type", "application/grpc")
            .body(Body::new(StreamBody::new(endless)))
            .unwrap();
        let mut channel = facade.channel();
        channel.ready().await.unwrap();
        open.push(tokio::spawn(channel.call(request)));
    }
    // Answered on the same server, so the ones before have arrived by now.
    facade.client().get_group_info(group("aaa")).await.unwrap();

    facade.begin_shutdown();

    timeout(Duration::from_secs(10), facade.stopped())
        .await
        .expect("it ends");
    drop(open);
}

#[tokio::test]
async fn both_signals_end_the_program_with_0() {
    for signal in ["TERM", "INT"] {
        let (mut program, addresses) = Program::serve(&["--emulate"], &[]).await;
        client(addresses.grpc)
            .get_group_info(group("aaa"))
            .await
            .unwrap();

        program.signal(signal).await;

        assert_eq!(
            program.line("stopping").await["signal"],
            format!("SIG{signal}")
        );
        let (status, log) = program.ended().await;
        assert_eq!(status.code(), Some(0), "{log}");
    }
}

#[tokio::test]
async fn during_the_delay_calls_are_answered_on_connections_old_and_new() {
    let facade = Facade::start_with(&["--unready-delay", "1h"]).await;
    let mut health = HealthClient::new(facade.channel());
    let watch = health.watch(HealthCheckRequest::default()).await.unwrap();
    let mut watch = watch.into_inner();
    assert_eq!(serving(&mut watch).await, Some(ServingStatus::Serving));
    let mut client = facade.client();
    client.get_group_info(group("aaa")).await.unwrap();

    facade.signal(Signal::Terminate);

    assert_eq!(serving(&mut watch).await, Some(ServingStatus::NotServing));
    client.get_group_info(group("aaa")).await.unwrap();
    facade.client().get_group_info(group("aaa")).await.unwrap();
    facade.signal(Signal::Terminate);
    assert_eq!(serving(&mut watch).await, None);
    facade.stopped().await;
}

#[tokio::test]
async fn an_interrupt_skips_the_delay_and_another_cuts_what_is_in_progress() {
    let flags = ["--unready-delay", "1h", "--drain-timeout", "1h"];
    let facade = Facade::start_with(&flags).await;
    let mut health = HealthClient::new(facade.channel());
    let watch = health.watch(HealthCheckRequest::default()).await.unwrap();
    let mut watch = watch.into_inner();
    assert_eq!(serving(&mut watch).await, Some(ServingStatus::Serving));
    facade.emulator.script(FaultKind::Hold);
    let mut client = facade.client();
    let call = tokio::spawn(async move { client.get_group_info(group("aaa")).await });
    facade.emulator.called(1).await;

    facade.signal(Signal::Interrupt);

    assert_eq!(serving(&mut watch).await, Some(ServingStatus::NotServing));
    assert_eq!(serving(&mut watch).await, None);
    facade.signal(Signal::Terminate);
    facade.signal(Signal::Interrupt);
    facade.stopped().await;
    call.await.unwrap().unwrap_err();
}

#[tokio::test]
async fn the_program_says_how_long_its_end_may_take_and_a_second_signal_shortens_it() {
    let flags = ["serve", "--emulate", "--listen", "127.0.0.1:0"];
    let more = ["--admin-listen", "127.0.0.1:0", "--unready-delay", "1h"];
    let mut program = Program::start(&[flags, more].concat(), &[]);
    let line = program.line("listening").await;
    assert_eq!(line["shutdown.max_seconds"], 3_620.0);

    program.signal("TERM").await;
    program.line("stopping").await;
    program.signal("TERM").await;

    program.line("the delay is skipped").await;
    assert_eq!(program.ended().await.0.code(), Some(0));
}

/// Returns what a watch is told next, if it is told anything.
async fn serving(watch: &mut Streaming<HealthCheckResponse>) -> Option<ServingStatus> {
    let answer = watch.message().await.unwrap();
    answer.map(|answer| answer.status())
}

#[tokio::test]
async fn the_program_ends_with_0_though_a_call_had_no_end() {
    let emulator = start_emulator().await;
    emulator.script(FaultKind::Hold);
    let flags = [
        "--endpoint",
        &emulator.endpoint(),
        "--drain-timeout",
        "50ms",
    ];
    let credential = [
        ("TENCENTCLOUD_SECRET_ID", "AKIDEMULATOR"),
        ("TENCENTCLOUD_SECRET_KEY", "emulator-secret"),
    ];
    let (mut program, addresses) = Program::serve(&flags, &credential).await;
    let mut client = client(addresses.grpc);
    let call = tokio::spawn(async move { client.get_group_info(group("aaa")).await });
    emulator.called(1).await;

    program.signal("TERM").await;

    program
        .line("calls are still in progress, and are cut")
        .await;
    let (status, log) = program.ended().await;
    assert_eq!(status.code(), Some(0), "{log}");
    call.await.unwrap().unwrap_err();
}

#[tokio::test]
async fn the_emulator_ends_with_0_too() {
    let mut program = Program::start(&["emulate", "--listen", "127.0.0.1:0"], &[]);
    let line = program.line("emulating").await;
    assert_eq!(line["secret_id"], "AKIDEMULATOR");
    assert_eq!(line["secret_key"], "emulator-secret");

    program.signal("TERM").await;

    assert_eq!(program.ended().await.0.code(), Some(0));
}
