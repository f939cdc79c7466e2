//! `iai-facade probe`: exit codes as grpc_health_probe documents them.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http_body_util::StreamBody;
use hyper::{body::Frame, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use iai_emulator::FaultKind;
use tempfile::{NamedTempFile, TempDir};
use tokio::net::TcpListener;
use tonic::{body::Body, service::Routes};
use tonic_health::ServingStatus;
use tower::ServiceExt;

use crate::harness::{DeadUpstream, Facade, LOOPBACK, Program, authority::Authority, errors, run};

const SERVICE: &str = "iaifacade.v1.FaceRecognitionService";

#[tokio::test]
async fn probe_exits_with_0_if_the_server_is_serving() {
    let facade = Facade::start().await;
    let address = facade.addresses.grpc.to_string();

    for service in [&[][..], &["--service", SERVICE]] {
        let output = run(&[&["probe", "--address", &address], service].concat(), &[]).await;
        assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
        assert_eq!(output.stdout, b"SERVING\n");
    }
}

#[tokio::test]
async fn probe_exits_with_1_for_invalid_arguments() {
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
async fn probe_exits_with_2_if_the_connection_fails_or_times_out() {
    let mute = TcpListener::bind(LOOPBACK).await.unwrap();
    let mute = mute.local_addr().unwrap();
    let dead_upstream = DeadUpstream::new();

    let output = run(
        &["probe", "--address", &dead_upstream.address().to_string()],
        &[],
    )
    .await;
    assert_eq!(output.status.code(), Some(2), "{}", errors(&output));

    let address = format!("https://{mute}");
    let flags = ["probe", "--address", &address, "--connect-timeout", "50ms"];
    let output = run(&flags, &[]).await;
    assert_eq!(output.status.code(), Some(2), "{}", errors(&output));
}

#[tokio::test]
async fn probe_exits_with_3_if_the_call_fails_or_times_out() {
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

    // Accepts the connection and sends nothing.
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
async fn probe_exits_with_4_if_the_server_is_not_serving() {
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

#[tokio::test]
async fn probe_reads_the_variables_of_the_server() {
    let authority = Authority::new();
    let (server, other) = (authority.server(), authority.server());
    let tokens = NamedTempFile::new().unwrap();
    let line = format!("orders {}\n", "0".repeat(64));
    std::fs::write(&tokens, line).unwrap();
    let ca = authority.path();
    let encrypted = [
        ("IAI_FACADE_TLS_CERT", server.cert.as_str()),
        ("IAI_FACADE_TLS_KEY", server.key.as_str()),
        ("IAI_FACADE_TLS_CLIENT_CA", ca.as_str()),
        ("IAI_FACADE_TOKENS_FILE", tokens.path().to_str().unwrap()),
    ];
    for variables in [&[][..], &encrypted] {
        let (_program, addresses) = Program::serve(&["--emulate"], variables).await;
        let listen = addresses.grpc.to_string();
        let of_server = [variables, &[("IAI_FACADE_LISTEN", listen.as_str())]].concat();

        let output = run(&["probe"], &of_server).await;
        assert_eq!(output.status.code(), Some(0), "{}", errors(&output));

        // The certificate is not the configured one, so this is another server.
        let mut of_other = of_server.clone();
        of_other.push(("IAI_FACADE_TLS_CERT", other.cert.as_str()));
        let output = run(&["probe"], &of_other).await;
        assert_eq!(output.status.code(), Some(2), "{}", errors(&output));
    }
}

#[tokio::test]
async fn probe_names_a_certificate_for_another_host() {
    let authority = Authority::new();
    let server = authority.server();
    let tls = ["--tls-cert", &server.cert, "--tls-key", &server.key];
    let (_program, addresses) = Program::serve(&[&["--emulate"], &tls[..]].concat(), &[]).await;
    let (address, ca) = (format!("https://{}", addresses.grpc), authority.path());
    let variables = [
        ("IAI_FACADE_ADDRESS", address.as_str()),
        ("IAI_FACADE_CLIENT_CA", ca.as_str()),
    ];

    let output = run(&["probe"], &variables).await;
    assert_eq!(output.status.code(), Some(2), "{}", errors(&output));

    let named = [
        &variables[..],
        &[("IAI_FACADE_CLIENT_SERVER_NAME", "localhost")],
    ]
    .concat();
    let output = run(&["probe"], &named).await;
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
}

#[tokio::test]
async fn probe_takes_an_empty_ca_file_variable_as_unset() {
    let authority = Authority::new();
    let server = authority.server();
    let tls = ["--tls-cert", &server.cert, "--tls-key", &server.key];
    let (_program, addresses) = Program::serve(&[&["--emulate"], &tls[..]].concat(), &[]).await;
    let address = format!("https://localhost:{}", addresses.grpc.port());
    let folder = TempDir::new().unwrap();
    let folder = folder.path();

    for (authorities, expected) in [(None, 1), (Some(authority.pem()), 0)] {
        if let Some(pem) = authorities {
            std::fs::write(folder.join("authority.pem"), pem).unwrap();
        }
        let variables = [
            ("SSL_CERT_FILE", ""),
            ("SSL_CERT_DIR", folder.to_str().unwrap()),
        ];
        let output = run(&["probe", "--address", &address], &variables).await;
        let errors = errors(&output);
        assert_eq!(output.status.code(), Some(expected), "{errors}");
        assert_eq!(errors.contains("SSL_CERT_FILE or --ca"), expected == 1);
    }
}

#[tokio::test]
async fn probe_stops_waiting_for_an_endless_response_at_its_timeout() {
    let endless = service_fn(|_: http::Request<hyper::body::Incoming>| async {
        let response = http::Response::builder().header("content-type", "application/grpc");
        let body = StreamBody::new(tokio_stream::pending::<Result<Frame<Bytes>, Infallible>>());
        response.body(body)
    });
    let listener = TcpListener::bind(LOOPBACK).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let connection = http2::Builder::new(TokioExecutor::new());
            tokio::spawn(connection.serve_connection(TokioIo::new(stream), endless));
        }
    });
    let flags = ["--address", &address, "--call-timeout", "100ms"];

    let output = run(&[&["probe"], &flags[..]].concat(), &[]).await;
    assert_eq!(output.status.code(), Some(3), "{}", errors(&output));
    let call = ["call", "get-group-info", "--group-id", "aaa"];
    let output = run(&[&call[..], &flags].concat(), &[]).await;
    assert_eq!(output.status.code(), Some(1), "{}", errors(&output));
    assert!(errors(&output).starts_with("DEADLINE_EXCEEDED"));
}

#[tokio::test]
async fn a_hostile_server_cannot_send_control_characters_to_the_terminal() {
    let hostile = service_fn(|_: http::Request<hyper::body::Incoming>| async {
        http::Response::builder()
            .header("content-type", "application/grpc")
            .header("grpc-status", "13")
            // The gRPC encoding of ESC, a line feed, and CSI in UTF-8.
            .header("grpc-message", "%1B[2J%0Aforged%C2%9B1m")
            .body(http_body_util::Empty::<Bytes>::new())
    });
    let listener = TcpListener::bind(LOOPBACK).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let connection = http2::Builder::new(TokioExecutor::new());
            tokio::spawn(connection.serve_connection(TokioIo::new(stream), hostile));
        }
    });

    let call = ["call", "get-group-info", "--group-id", "aaa", "--address"];
    for command in [&["probe", "--address"][..], &call] {
        let output = run(&[command, &[&address]].concat(), &[]).await;
        let expected = "INTERNAL: \\u001b[2J\\u000aforged\\u009b1m\n";
        assert_eq!(errors(&output), expected);
    }
}

/// Serves routes on successive connections and records the last token.
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
