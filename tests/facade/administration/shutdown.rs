//! Graceful shutdown: drain, delay, signals and exit codes.

use std::{fs::OpenOptions, time::Duration};

use bytes::Bytes;
use http_body::Frame;
use http_body_util::StreamBody;
use iai_emulator::{Fault, FaultKind};
use iai_facade::server::shutdown::Signal;
use tempfile::TempDir;
use tokio::{
    net::{TcpListener, TcpStream},
    task::spawn_blocking,
    time::timeout,
};
use tonic::{Code, Status, Streaming, body::Body};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
    health_client::HealthClient,
};
use tower::{Service, ServiceExt};

use crate::harness::{Facade, LOOPBACK, Program, client, fifo, group, start_emulator};

#[tokio::test]
async fn a_call_in_progress_completes_before_the_service_stops() {
    let facade = Facade::start().await;
    facade
        .emulator
        .script(FaultKind::Delay(Duration::from_millis(300)));
    let mut client = facade.client();
    let call = tokio::spawn(async move { client.get_group_info(group("aaa")).await });
    facade.emulator.wait_for_requests(1).await;

    facade.begin_shutdown();

    let address = facade.addresses.grpc;
    let response = call.await.unwrap().unwrap();
    assert_eq!(response.into_inner().group_id, "aaa");
    facade.stopped().await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_call_that_outlasts_the_drain_is_cancelled() {
    let facade = Facade::start_with(&["--drain-timeout", "50ms"]).await;
    facade.emulator.script(FaultKind::Hold);
    let mut client = facade.client();
    let call = tokio::spawn(async move { client.get_group_info(group("aaa")).await });
    facade.emulator.wait_for_requests(1).await;

    facade.begin_shutdown();

    facade.stopped().await;
    let status = call.await.unwrap().unwrap_err();
    assert_ne!(status.code(), Code::Ok);
}

#[tokio::test]
async fn an_idle_connection_does_not_delay_shutdown() {
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
async fn a_request_that_is_not_a_call_does_not_delay_shutdown() {
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
    // The response shows that the earlier requests have arrived at the same server.
    facade.client().get_group_info(group("aaa")).await.unwrap();

    facade.begin_shutdown();

    timeout(Duration::from_secs(10), facade.stopped())
        .await
        .expect("it ends");
    drop(open);
}

#[tokio::test]
async fn both_signals_stop_the_program_with_exit_code_0() {
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
async fn during_the_delay_old_and_new_connections_serve_calls() {
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
async fn an_interrupt_skips_the_delay_and_a_second_one_cancels_calls() {
    let flags = ["--unready-delay", "1h", "--drain-timeout", "1h"];
    let facade = Facade::start_with(&flags).await;
    let mut health = HealthClient::new(facade.channel());
    let watch = health.watch(HealthCheckRequest::default()).await.unwrap();
    let mut watch = watch.into_inner();
    assert_eq!(serving(&mut watch).await, Some(ServingStatus::Serving));
    facade.emulator.script(FaultKind::Hold);
    let mut client = facade.client();
    let call = tokio::spawn(async move { client.get_group_info(group("aaa")).await });
    facade.emulator.wait_for_requests(1).await;

    facade.signal(Signal::Interrupt);

    assert_eq!(serving(&mut watch).await, Some(ServingStatus::NotServing));
    assert_eq!(serving(&mut watch).await, None);
    facade.signal(Signal::Terminate);
    facade.signal(Signal::Interrupt);
    facade.stopped().await;
    call.await.unwrap().unwrap_err();
}

#[tokio::test]
async fn the_log_states_the_shutdown_time_and_a_second_signal_shortens_it() {
    let flags = ["serve", "--emulate", "--listen", "127.0.0.1:0"];
    let more = ["--admin-listen", "127.0.0.1:0", "--unready-delay", "1h"];
    let mut program = Program::start(&[flags, more].concat(), &[]);
    let line = program.line("listening").await;
    assert_eq!(line["shutdown.max_seconds"], 3_620.0);

    program.signal("TERM").await;
    program.line("stopping").await;
    program.signal("TERM").await;

    program.line("unready delay skipped").await;
    assert_eq!(program.ended().await.0.code(), Some(0));
}

/// Returns the next status of a watch, or `None` at its end.
async fn serving(watch: &mut Streaming<HealthCheckResponse>) -> Option<ServingStatus> {
    let response = watch.message().await.unwrap();
    response.map(|response| response.status())
}

#[tokio::test]
async fn the_program_exits_with_0_although_a_call_never_ended() {
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
    emulator.wait_for_requests(1).await;

    program.signal("TERM").await;

    program
        .line("drain ended, cancelling the calls in progress")
        .await;
    let (status, log) = program.ended().await;
    assert_eq!(status.code(), Some(0), "{log}");
    call.await.unwrap().unwrap_err();
}

#[tokio::test]
async fn the_emulator_exits_with_0_too() {
    for signal in ["TERM", "INT"] {
        let mut program = Program::start(&["emulate", "--listen", "127.0.0.1:0"], &[]);
        let line = program.line("emulating").await;
        assert_eq!(line["secret_id"], "AKIDEMULATOR");
        assert_eq!(line["secret_key"], "emulator-secret");

        program.signal(signal).await;

        assert_eq!(program.ended().await.0.code(), Some(0));
    }
}

#[tokio::test]
async fn a_signal_during_the_start_stops_the_service_at_once() {
    let silent = TcpListener::bind(LOOPBACK).await.unwrap();
    let silent_url = format!("http://{}", silent.local_addr().unwrap());
    let sts = [
        "--role-arn",
        "qcs::cam::uin/1:roleName/r",
        "--sts-endpoint",
        &silent_url,
    ];
    let metadata = [
        "--credentials",
        "instance-role",
        "--metadata-endpoint",
        &silent_url,
    ];
    let credential = [
        ("TENCENTCLOUD_SECRET_ID", "AKIDEMULATOR"),
        ("TENCENTCLOUD_SECRET_KEY", "emulator-secret"),
    ];

    for source in [&sts[..], &metadata] {
        for signal in ["TERM", "INT"] {
            let ports = [
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--admin-listen",
                "127.0.0.1:0",
            ];
            let delays = ["--unready-delay", "1h", "--drain-timeout", "1h"];
            let flags = [&ports[..], &delays, source].concat();
            let mut program = Program::start(&flags, &credential);
            let _question = silent.accept().await.unwrap();

            program.signal(signal).await;

            let line = program.line("stopping").await;
            assert_eq!(line["signal"], format!("SIG{signal}"));
            program.line("stopped").await;
            let (status, log) = program.ended().await;
            assert_eq!(status.code(), Some(0), "{log}");
            assert!(!log.contains("listening"), "{log}");
        }
    }
}

#[tokio::test]
async fn a_reload_signal_during_the_start_does_not_stop_it() {
    let folder = TempDir::new().unwrap();
    let fifo = fifo(folder.path());
    let ports = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
    let emulate = ["serve", "--emulate", "--fixtures", fifo.to_str().unwrap()];
    let mut program = Program::start(&[&emulate[..], &ports].concat(), &[]);
    // Opens once the program reads the settings.
    let open = spawn_blocking(move || OpenOptions::new().write(true).open(fifo).unwrap());
    let fixtures = open.await.unwrap();

    program.signal("HUP").await;
    drop(fixtures);

    program.line("listening").await;
}

#[tokio::test]
async fn a_service_that_was_never_ready_stops_at_once() {
    for signal in ["TERM", "INT"] {
        let emulator = start_emulator().await;
        // One call verifies the credential, the other comes from a client.
        emulator.script(Fault::from(FaultKind::Hold).times(2));
        let delays = ["--unready-delay", "1h", "--drain-timeout", "1h"];
        let flags = ["--verify-upstream", "--endpoint", &emulator.endpoint()];
        let credential = [
            ("TENCENTCLOUD_SECRET_ID", "AKIDEMULATOR"),
            ("TENCENTCLOUD_SECRET_KEY", "emulator-secret"),
        ];
        let (mut program, addresses) =
            Program::serve(&[&flags[..], &delays].concat(), &credential).await;
        let mut client = client(addresses.grpc);
        let call = tokio::spawn(async move { client.get_group_info(group("aaa")).await });
        emulator.wait_for_requests(2).await;

        program.signal(signal).await;

        assert_eq!(program.line("stopping").await["unready_delay"], "0s");
        let (status, log) = program.ended().await;
        assert_eq!(status.code(), Some(0), "{log}");
        call.await.unwrap().unwrap_err();
    }
}

#[tokio::test]
async fn a_signal_stops_a_command_that_waits_for_a_server() {
    let silent = TcpListener::bind(LOOPBACK).await.unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let call = ["call", "get-group-info", "--group-id", "aaa"];

    for command in [&["probe"][..], &call] {
        for (signal, code) in [("INT", 130), ("TERM", 143)] {
            let patience = ["--connect-timeout", "1h", "--call-timeout", "1h"];
            let flags = [command, &patience, &["--address", &address]].concat();
            let program = Program::start(&flags, &[]);
            let _connection = silent.accept().await.unwrap();

            program.signal(signal).await;

            assert_eq!(program.ended().await.0.code(), Some(code), "{command:?}");
        }
    }
}
