//! How the service ends.

use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use http_body_util::StreamBody;
use iai_facade::emulator::FaultKind;
use tokio::{net::TcpStream, time::timeout};
use tonic::{Code, Status, body::Body};
use tower::{Service, ServiceExt};

use crate::harness::{Facade, Program, client, group};

#[tokio::test]
async fn a_call_in_progress_is_answered_before_the_service_ends() {
    let mut facade = Facade::start().await;
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
    let mut facade = Facade::start_with(&["--drain-timeout", "50ms"]).await;
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
    let mut facade = Facade::start().await;
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
    let mut facade = Facade::start().await;
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
async fn the_emulator_ends_with_0_too() {
    let mut program = Program::start(&["emulate", "--listen", "127.0.0.1:0"], &[]);
    let line = program.line("emulating").await;
    assert_eq!(line["secret_id"], "AKIDEMULATOR");
    assert_eq!(line["secret_key"], "emulator-secret");

    program.signal("TERM").await;

    assert_eq!(program.ended().await.0.code(), Some(0));
}
