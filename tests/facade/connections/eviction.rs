//! Maximum number of connections: the longest idle one is closed for a new one.

use std::time::Duration;

use http_body_util::Full;
use iai_emulator::FaultKind;
use tokio::{net::TcpStream, task::JoinSet};
use tonic::Code;

use crate::harness::{
    Facade, Program,
    bearer_tokens::tokens,
    connection::{call, connection},
    errors, request, run,
};

#[tokio::test]
async fn the_longest_idle_connection_is_evicted() {
    let facade = Facade::start_with(&["--max-connections", "2"]).await;
    let address = facade.addresses.grpc;
    let (mut first, first_ended) = connection(address).await;
    assert_eq!(call(&mut first, None).await, Code::Ok);
    let (mut second, second_ended) = connection(address).await;
    assert_eq!(call(&mut second, None).await, Code::Ok);
    assert_eq!(call(&mut first, None).await, Code::Ok);

    let (mut third, _third_ended) = connection(address).await;

    // It receives GOAWAY first.
    second_ended.await.unwrap().unwrap();
    assert_eq!(call(&mut third, None).await, Code::Ok);
    assert_eq!(call(&mut first, None).await, Code::Ok);
    assert!(!first_ended.is_finished());
}

#[tokio::test]
async fn a_connection_with_a_call_in_progress_is_not_evicted() {
    let facade = Facade::start_with(&["--max-connections", "1"]).await;
    let delay = Duration::from_millis(500);
    facade.emulator.script(FaultKind::Delay(delay));
    let (mut first, _ended) = connection(facade.addresses.grpc).await;
    let response = tokio::spawn(async move { call(&mut first, None).await });
    facade.emulator.wait_for_requests(1).await;

    for _ in 0..50 {
        let (mut other, _ended) = connection(facade.addresses.grpc).await;
        assert_eq!(call(&mut other, None).await, Code::Ok);
    }

    assert_eq!(response.await.unwrap(), Code::Ok);
}

#[tokio::test]
async fn a_probe_is_served_although_every_connection_is_busy() {
    let facade = Facade::start_with(&["--max-connections", "2"]).await;
    let address = facade.addresses.grpc;
    let mut calls = JoinSet::new();
    for number in 1..=20 {
        facade.emulator.script(FaultKind::Hold);
        calls.spawn(async move {
            let (mut sender, _ended) = connection(address).await;
            call(&mut sender, None).await
        });
        facade.emulator.wait_for_requests(number).await;
    }

    let output = run(&["probe", "--address", &address.to_string()], &[]).await;

    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
}

#[tokio::test]
async fn unauthenticated_clients_lock_out_neither_probes_nor_callers() {
    let tokens = tokens(&[("orders", "correct-horse")]);
    let flags = ["--emulate", "--max-connections", "16", "--tokens-file"];
    let flags = [&flags[..], &[tokens.path().to_str().unwrap()]].concat();
    let (program, addresses) = Program::serve(&flags, &[]).await;
    let address = addresses.grpc;
    let token = Some("correct-horse");
    let (mut settled, settled_ended) = connection(address).await;
    assert_eq!(call(&mut settled, token).await, Code::Ok);

    let mut silent = Vec::new();
    let mut strangers = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(address).await.unwrap());
        strangers.push(connection(address).await);
        let (mut sender, ended) = connection(address).await;
        assert_eq!(call(&mut sender, None).await, Code::Unauthenticated);
        strangers.push((sender, ended));
        let (mut sender, ended) = connection(address).await;
        let watch = request("/grpc.health.v1.Health/Watch");
        let watch = watch.body(Full::from(&[0; 5][..])).unwrap();
        let _watch = sender.send_request(watch).await.unwrap();
        strangers.push((sender, ended));

        let output = run(&["probe", "--address", &address.to_string()], &[]).await;
        assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
        let (mut new, _ended) = connection(address).await;
        assert_eq!(call(&mut new, token).await, Code::Ok);
        assert_eq!(call(&mut settled, token).await, Code::Ok);
    }

    assert!(!settled_ended.is_finished());
    program.signal("TERM").await;
    let log = program.ended().await.1;
    // Logged at once, and then once a minute.
    let warnings = log.matches("connection limit reached").count();
    assert_eq!(warnings, 1, "{log}");
}
