//! TLS and mutual TLS: handshakes, client certificates and caller names.

use std::{fs, iter, net::SocketAddr, sync::Arc};

use iai_facade::proto::face_recognition_service_client::FaceRecognitionServiceClient;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        HandshakeKind,
        pki_types::ServerName,
        version::{TLS12, TLS13},
    },
};
use tonic::{Code, Status, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::harness::{
    Facade, Program, TRACE_LOG,
    authority::{Authority, Issued},
    bearer_tokens::{tokens, with_token},
    errors, group, own_reason, run,
    tls_client::{channel, hello, open},
    trace_log::TraceLog,
};

const ORDERS: &str = "spiffe://example.org/orders";

/// The content type of a TLS record, its first byte.
const ALERT: u8 = 21;
const SERVER_HANDSHAKE: u8 = 22;

/// The descriptions of TLS alerts.
const FATAL: u8 = 2;
const PROTOCOL_VERSION: u8 = 70;

/// The start of an HTTP/2 connection: the preface and an empty SETTINGS frame.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// The `supported_versions` extension of a client that offers TLS 1.2 only.
const SUPPORTED_VERSIONS: [u8; 7] = [0, 43, 0, 3, 2, 3, 3];

#[tokio::test]
async fn the_caller_is_named_by_its_client_certificate() {
    let authority = Authority::new();
    let server = authority.server();
    let cases: [(&[&str], &[&str], &str); 5] = [
        (&[ORDERS], &[], "certificate:spiffe://example.org/orders"),
        (&["Orders.Example"], &[], "certificate:orders.example"),
        (
            &["a.example", ORDERS],
            &[],
            "certificate:spiffe://example.org/orders",
        ),
        // The second name is the allowed one.
        (
            &["a.example", ORDERS],
            &["--allow-san", "x,A.example"],
            "certificate:a.example",
        ),
        // Issued by the authority, without a name.
        (&[], &[], "address:127.0.0.1"),
    ];

    for (names, flags, caller) in cases {
        let flags = [&["--emulate", "--log-slow", "0s"], flags].concat();
        let flags = with_authority(&authority, &server, &flags);
        let (mut program, addresses) = serve(&flags).await;
        let channel = channel(addresses, &authority, Some(&authority.client(names)));

        call(channel).await.unwrap();

        assert_eq!(program.line("call").await["caller"], caller, "{names:?}");
    }
}

#[tokio::test]
async fn expired_self_signed_and_foreign_client_certificates_are_rejected() {
    let authority = Authority::new();
    let server = authority.server();
    let flags = with_authority(&authority, &server, &["--emulate"]);
    let imposter = Authority::new();
    let certificates = [
        (
            authority.expired_client(&[ORDERS]),
            "expired or not yet valid",
            "expired",
        ),
        (
            authority.self_signed_client(&[ORDERS]),
            "unknown CA",
            "UnknownIssuer",
        ),
        // Issued by another authority with the same name.
        (
            imposter.client(&[ORDERS]),
            "bad certificate",
            "BadSignature",
        ),
        // The server's own certificate, which is not valid for clients.
        (authority.server(), "bad certificate", "extended key usage"),
    ];

    for (certificate, cause, reason) in certificates {
        let (mut program, address) = serve(&flags).await;
        let status = call(channel(address, &authority, Some(&certificate))).await;

        assert!(status.unwrap_err().details().is_empty(), "{reason}");
        let line = program.line("TLS handshakes failed").await;
        assert_eq!(line["error.type"], format!("client certificate: {cause}"));
        assert_eq!(
            (&line["level"], &line["count"]),
            (&"WARN".into(), &1.into())
        );
        assert!(
            line["error.message"].as_str().unwrap().contains(reason),
            "{line}"
        );
        let known = authority.client(&[ORDERS]);
        call(channel(address, &authority, Some(&known)))
            .await
            .unwrap();
        program.ended_without(&server.key_forms()).await;
    }
}

#[tokio::test]
async fn failed_handshakes_are_logged_once_for_each_cause() {
    let authority = Authority::new();
    let server = authority.server();
    let flags = [
        "--emulate",
        "--tls-cert",
        &server.cert,
        "--tls-key",
        &server.key,
    ];
    let (mut program, address) = serve(&flags.map(str::to_owned)).await;

    // Each handshake ends with an alert or a closed connection: by then it is counted.
    let foreign = Authority::new().connector(&[&TLS13]);
    let mut http1 = (*authority.connector(&[&TLS13])).clone();
    http1.alpn_protocols = vec![b"http/1.1".to_vec()];
    for connector in [foreign, Arc::new(http1)] {
        for _ in 0..20 {
            let stream = TcpStream::connect(address).await.unwrap();
            let name = ServerName::try_from("localhost").unwrap();
            let connector = TlsConnector::from(Arc::clone(&connector));
            connector.connect(name, stream).await.unwrap_err();
        }
    }
    for _ in 0..20 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(PREFACE).await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }

    let causes = [
        // Issued by another authority with the same name.
        "server certificate rejected by the client: bad certificate",
        "no shared protocol version, cipher suite or ALPN protocol",
        "not TLS",
    ];
    for cause in causes {
        let line = program.line("TLS handshakes failed").await;
        assert_eq!(line["error.type"], cause);
        assert_eq!(
            (&line["level"], &line["count"]),
            (&"WARN".into(), &1.into())
        );
    }
    call(channel(address, &authority, None)).await.unwrap();
    let log = program.ended_without(&[]).await;
    assert_eq!(log.matches("TLS handshakes failed").count(), 3, "{log}");
}

#[tokio::test]
async fn unlisted_and_missing_client_certificates_fail_the_call() {
    let authority = Authority::new();
    let server = authority.server();
    let log = TraceLog::listen(server.key_forms());
    let flags = with_authority(&authority, &server, &["--allow-san", ORDERS]);
    let facade = Facade::start_with(&flags.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let address = facade.addresses.grpc;
    let unlisted = [
        authority.client(&["spiffe://example.org/Orders"]),
        authority.client(&["spiffe://example.org/orders/x", "example.org"]),
        authority.client(&[]),
    ];

    for certificate in &unlisted {
        let status = call(channel(address, &authority, Some(certificate))).await;
        let status = status.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied);
        assert_eq!(own_reason(&status), "CALLER_NOT_ALLOWED");
    }
    let status = call(channel(address, &authority, None)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(own_reason(&status), "CALLER_UNAUTHENTICATED");
    assert!(facade.emulator.requests().is_empty());

    // Health checks need no authentication.
    for shown in [None, Some(&unlisted[0])] {
        let mut health = HealthClient::new(channel(address, &authority, shown));
        health.check(HealthCheckRequest::default()).await.unwrap();
    }
    let listed = authority.client(&[ORDERS]);
    call(channel(address, &authority, Some(&listed)))
        .await
        .unwrap();
    log.assert_is_harmless();
}

#[tokio::test]
async fn with_mutual_tls_and_tokens_both_are_required() {
    let authority = Authority::new();
    let server = authority.server();
    let secrets = [server.key_forms(), vec!["correct-horse".to_owned()]];
    let log = TraceLog::listen(secrets.concat());
    let tokens = tokens(&[("orders", "correct-horse")]);
    let path = tokens.path().to_str().unwrap();
    let flags = with_authority(&authority, &server, &["--tokens-file", path]);
    let facade = Facade::start_with(&flags.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let certificate = authority.client(&[ORDERS]);

    for shown in [None, Some(&certificate)] {
        for token in ["horse", "correct-horse"] {
            let channel = channel(facade.addresses.grpc, &authority, shown);
            let mut client = FaceRecognitionServiceClient::new(channel);
            let response = client.get_group_info(with_token(token)).await;

            let is_whole = shown.is_some() && token == "correct-horse";
            assert_eq!(response.is_ok(), is_whole, "{response:?}");
            if let Err(status) = response {
                assert_eq!(status.code(), Code::Unauthenticated);
            }
        }
    }
    log.assert_is_harmless();
}

#[tokio::test]
async fn call_and_probe_send_a_certificate_and_a_token() {
    let authority = Authority::new();
    let server = authority.server();
    let tokens = tokens(&[("orders", "correct-horse")]);
    let path = tokens.path().to_str().unwrap();
    let flags = with_authority(&authority, &server, &["--tokens-file", path]);
    let facade = Facade::start_with(&flags.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let token = tempfile::NamedTempFile::new().unwrap();
    fs::write(&token, "correct-horse\n").unwrap();

    let address = format!("https://localhost:{}", facade.addresses.grpc.port());
    let (ca, client) = (authority.path(), authority.client(&[ORDERS]));
    let connection = ["--address", &address, "--ca", &ca];
    let shown = ["--cert", &client.cert, "--key", &client.key];
    let token = ["--token-file", token.path().to_str().unwrap()];
    let group = ["call", "get-group-info", "--group-id", "aaa"];

    let whole = [&group[..], &connection, &shown, &token].concat();
    let output = run(&whole, &[]).await;
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    let half = [&group[..], &connection, &shown].concat();
    let output = run(&half, &[]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(
        errors(&output).starts_with("UNAUTHENTICATED: "),
        "{}",
        errors(&output)
    );
    let output = run(&[&["probe"], &connection[..]].concat(), &[]).await;
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
}

#[tokio::test]
async fn tls_1_2_and_1_3_are_supported_and_1_1_is_not() {
    let authority = Authority::new();
    let server = authority.server();
    let facade = Facade::start_with(&["--tls-cert", &server.cert, "--tls-key", &server.key]).await;
    for version in [&TLS12, &TLS13] {
        let stream = open(facade.addresses.grpc, authority.connector(&[version])).await;
        assert_eq!(stream.get_ref().1.protocol_version(), Some(version.version));
    }

    // The ClientHello of TLS 1.2, and the same bytes with version 1.1 throughout.
    let hello = hello(&authority, &TLS12);
    assert_eq!(
        response(facade.addresses.grpc, &hello).await[0],
        SERVER_HANDSHAKE
    );
    let mut older = hello;
    let list = older.windows(SUPPORTED_VERSIONS.len());
    let list = list
        .into_iter()
        .position(|bytes| bytes == SUPPORTED_VERSIONS);
    for version in iter::once(9).chain(list.map(|list| list + 5)) {
        assert_eq!(older[version..version + 2], [3, 3]);
        older[version + 1] = 2;
    }
    let alert = response(facade.addresses.grpc, &older).await;
    assert_eq!(
        (alert[0], &alert[5..]),
        (ALERT, &[FATAL, PROTOCOL_VERSION][..])
    );
}

#[tokio::test]
async fn tls_sessions_are_not_resumed_so_each_connection_authenticates() {
    let authority = Authority::new();
    let server = authority.server();
    let facade = Facade::start_with(&["--tls-cert", &server.cert, "--tls-key", &server.key]).await;

    for version in [&TLS12, &TLS13] {
        let remembering = authority.connector(&[version]);
        for _ in 0..2 {
            let mut stream = open(facade.addresses.grpc, Arc::clone(&remembering)).await;
            let kind = stream.get_ref().1.handshake_kind();
            assert!(matches!(
                kind,
                Some(HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest)
            ));
            // Session tickets would arrive before this response.
            stream.write_all(PREFACE).await.unwrap();
            stream.read_u8().await.unwrap();
        }
    }
}

#[tokio::test]
async fn alpn_selects_http_2_only() {
    let authority = Authority::new();
    let server = authority.server();
    let facade = Facade::start_with(&["--tls-cert", &server.cert, "--tls-key", &server.key]).await;
    let address = facade.addresses.grpc;

    let stream = open(address, authority.connector(&[&TLS13])).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));

    let mut http1 = (*authority.connector(&[&TLS13])).clone();
    http1.alpn_protocols = vec![b"http/1.1".to_vec()];
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let rejected = TlsConnector::from(Arc::new(http1))
        .connect(name, stream)
        .await;
    assert!(
        rejected
            .unwrap_err()
            .to_string()
            .contains("NoApplicationProtocol")
    );
}

/// Returns flags that require client certificates of this authority, and other flags.
fn with_authority(authority: &Authority, server: &Issued, flags: &[&str]) -> Vec<String> {
    let ca = authority.path();
    let tls = [
        "--tls-cert",
        &server.cert,
        "--tls-key",
        &server.key,
        "--tls-client-ca",
        &ca,
    ];
    [&tls, flags]
        .concat()
        .into_iter()
        .map(str::to_owned)
        .collect()
}

async fn serve(flags: &[String]) -> (Program, SocketAddr) {
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    let (program, addresses) = Program::serve(&flags, &TRACE_LOG).await;
    (program, addresses.grpc)
}

async fn call(channel: Channel) -> Result<(), Status> {
    let mut client = FaceRecognitionServiceClient::new(channel);
    client.get_group_info(group("aaa")).await.map(drop)
}

/// Sends bytes and returns the first TLS record of the response.
async fn response(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut record = vec![0; 5];
    stream.read_exact(&mut record).await.unwrap();
    record.resize(5 + usize::from(record[3]) * 256 + usize::from(record[4]), 0);
    stream.read_exact(&mut record[5..]).await.unwrap();
    record
}
