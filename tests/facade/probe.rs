//! `iai-facade probe`, by the exit codes that grpc_health_probe documents.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use hyper::{server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use iai_facade::emulator::FaultKind;
use tempfile::NamedTempFile;
use tokio::net::TcpListener;
use tonic::{body::Body, service::Routes};
use tonic_health::ServingStatus;
use tower::ServiceExt;

use crate::harness::{Facade, LOOPBACK, Nobody, errors, run};

const SERVICE: &str = "iaifacade.v1.FaceRecognitionService";

#[tokio::test]
async fn it_ends_with_0_if_the_server_is_serving() {
    let facade = Facade::start().await;
    let address = facade.addresses.grpc.to_string();

    for service in [&[][..], &["--service", SERVICE]] {
        let output = run(&[&["probe", "--address", &address], service].concat(), &[]).await;
        assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
        assert_eq!(output.stdout, b"SERVING\n");
    }
}

#[tokio::test]
async fn it_ends_with_1_for_bad_arguments() {
    let arguments: [&[&str]; 6] = [
        &["--adress", "localhost:1"],
        &["--address", "localhost"],
        &["--connect-timeout", "soon"],
        &["--call-timeout", "2h"],
        &["--token-file", "/nowhere"],
        &["--cert", "/nowhere"],
    ];

    for flags in arguments {
        let output = run(&[&["probe"], flags].concat(), &[]).await;
        assert_eq!(
            output.status.code(),
            Some(1),
            "{flags:?}: {}",
            errors(&output)
        );
    }
}

#[tokio::test]
async fn it_ends_with_2_if_nobody_is_there_or_nobody_speaks_in_time() {
    let mute = TcpListener::bind(LOOPBACK).await.unwrap();
    let mute = mute.local_addr().unwrap();
    let nobody = Nobody::new();

    let output = run(&["probe", "--address", &nobody.address().to_string()], &[]).await;
    assert_eq!(output.status.code(), Some(2), "{}", errors(&output));

    let address = format!("https://{mute}");
    let flags = ["probe", "--address", &address, "--connect-timeout", "50ms"];
    let output = run(&flags, &[]).await;
    assert_eq!(output.status.code(), Some(2), "{}", errors(&output));
}

#[tokio::test]
async fn it_ends_with_3_if_the_call_fails_or_does_not_end_in_time() {
    let facade = Facade::start().await;
    facade.emulator.script(FaultKind::Hold);
    let address = facade.addresses.grpc.to_string();
    let output = run(
        &[
            "probe",
            "--address",
            &address,
            "--service",
            "another.Service",
        ],
        &[],
    )
    .await;
    assert_eq!(output.status.code(), Some(3), "{}", errors(&output));

    // Accepts, and says nothing.
    let mute = TcpListener::bind(LOOPBACK).await.unwrap();
    let address = mute.local_addr().unwrap().to_string();
    let output = run(
        &["probe", "--address", &address, "--call-timeout", "50ms"],
        &[],
    )
    .await;
    assert_eq!(output.status.code(), Some(3), "{}", errors(&output));
}

#[tokio::test]
async fn it_ends_with_4_if_the_server_is_not_serving() {
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter
        .set_service_status("", ServingStatus::NotServing)
        .await;
    let seen = Arc::new(Mutex::new(None));
    let address = serve(Routes::new(health), Arc::clone(&seen))
        .await
        .to_string();
    let token = NamedTempFile::new().unwrap();
    std::fs::write(&token, "a-token\n").unwrap();

    let token = token.path().to_str().unwrap();
    let output = run(
        &["probe", "--address", &address, "--token-file", token],
        &[],
    )
    .await;

    assert_eq!(output.status.code(), Some(4), "{}", errors(&output));
    assert_eq!(errors(&output), "NOT_SERVING\n");
    assert_eq!(seen.lock().unwrap().as_deref(), Some("Bearer a-token"));
}

/// Serves routes on one connection after the other, and keeps the last token that was shown.
async fn serve(routes: Routes, seen: Arc<Mutex<Option<String>>>) -> SocketAddr {
    let listener = TcpListener::bind(LOOPBACK).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (routes, seen) = (routes.clone(), Arc::clone(&seen));
            let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let token = request.headers().get("authorization");
                *seen.lock().unwrap() = token.map(|token| token.to_str().unwrap().to_owned());
                routes.clone().oneshot(request.map(Body::new))
            });
            let connection = http2::Builder::new(TokioExecutor::new());
            tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}
