//! Admin port: health, readiness, log level and limits.

use std::net::SocketAddr;

use iai_emulator::FaultKind;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};
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
async fn a_draining_service_is_live_and_not_ready() {
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
    facade.emulator.wait_for_requests(1).await;

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
        (
            line["level"].as_str(),
            line["rpc.response.status_code"].as_str()
        ),
        (Some("DEBUG"), Some("OK"))
    );
}

/// `tracing` directives may filter fields by regular expressions: this one of 24 bytes took 500 MB
/// to compile.
#[tokio::test]
async fn a_log_directive_with_a_regular_expression_is_rejected() {
    let (program, addresses) = Program::serve(&["--emulate"], &[]).await;
    let before = program.peak_memory();

    for directive in [
        "[{a=.*a.................}]=off",
        "a[{b=c}]=info",
        "[a]=info",
    ] {
        for _ in 0..2 {
            let (status, problem) = http(addresses.admin, "PUT", "/log-level", directive).await;
            assert_eq!(status, 400, "{problem}");
        }
    }

    let levels = http(addresses.admin, "GET", "/log-level", "").await.1;
    assert_eq!(levels, "info\n");
    let grown = program.peak_memory() - before;
    assert!(grown < 8 << 20, "{grown} bytes");
}

#[tokio::test]
async fn a_log_level_change_is_logged_before_and_after_at_any_level() {
    let (mut program, addresses) = Program::serve(&["--emulate"], &[]).await;

    let changes = [
        ("info", "off"),
        ("off", "off"),
        ("off", "iai_facade_always_logged=off"),
        ("iai_facade_always_logged=off", "debug"),
    ];
    for (previous, level) in changes {
        let page = http(addresses.admin, "PUT", "/log-level", level).await;
        assert_eq!(page, (200, format!("{level}\n")));
        for message in ["changing log level", "log level changed"] {
            let line = program.line(message).await;
            assert_eq!(line["log.level"], level);
            assert_eq!(line["log.previous_level"], previous);
            assert_eq!(line["network.peer.address"], "127.0.0.1");
        }
    }
}

/// DNS rebinding: a web page whose host name resolves to this machine runs in the operator's
/// browser.
#[tokio::test]
async fn the_log_level_is_for_loopback_hosts_and_probes_are_for_any_host() {
    let (_program, addresses) = Program::serve(&["--emulate"], &[]).await;
    let admin = addresses.admin;
    let hosts = [
        ("Host: localhost\r\n", 200),
        ("Host: [::1]:9464\r\n", 200),
        ("Host: rebound.example:9464\r\n", 403),
        ("Host: localhost\r\nOrigin: http://rebound.example\r\n", 403),
        ("Host: localhost\r\nHost: rebound.example\r\n", 400),
        ("", 400),
    ];

    for (headers, expected) in hosts {
        for request in ["GET /log-level", "PUT /log-level"] {
            let head = format!("{request} HTTP/1.1\r\n{headers}Content-Length: 4\r\n\r\n");
            assert_eq!(raw(admin, &format!("{head}info")).await, expected, "{head}");
        }
        for path in ["/livez", "/readyz"] {
            let head = format!("GET {path} HTTP/1.1\r\n{headers}\r\n");
            assert_eq!(raw(admin, &head).await, 200, "{head}");
        }
    }
    let target = "GET http://rebound.example/log-level HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(raw(admin, target).await, 403);
}

/// Sends a raw request and returns the status of the response.
async fn raw(address: SocketAddr, request: &str) -> u16 {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = [0; "HTTP/1.1 200".len()];
    stream.read_exact(&mut head).await.unwrap();
    let head = String::from_utf8(head.to_vec()).unwrap();
    head.rsplit_once(' ').unwrap().1.parse().unwrap()
}

#[tokio::test]
async fn idle_admin_connections_do_not_block_probes() {
    let (program, addresses) = Program::serve(&["--emulate"], &[]).await;

    let mut open = Vec::new();
    for number in 0..600 {
        let mut stream = TcpStream::connect(addresses.admin).await.unwrap();
        if number % 2 == 0 {
            stream
                .write_all(b"GET /livez HTTP/1.1\r\nHost:")
                .await
                .unwrap();
        }
        open.push(stream);
        if number % 50 == 0 || (250..270).contains(&number) {
            let page = http(addresses.admin, "GET", "/livez", "").await;
            assert_eq!(page, (200, "live\n".to_owned()));
        }
    }

    drop(open);
    program.signal("TERM").await;
    let log = program.ended().await.1;
    // Logged at once, and then once a minute.
    assert_eq!(log.matches("connection limit reached").count(), 1, "{log}");
}

#[tokio::test]
async fn admin_request_headers_must_arrive_within_2_s() {
    let facade = Facade::start().await;

    for beginning in ["", "GET /livez HTTP/1.1\r\nHost: a"] {
        let mut stream = TcpStream::connect(facade.addresses.admin).await.unwrap();
        stream.write_all(beginning.as_bytes()).await.unwrap();
        let start = Instant::now();

        let _ = stream.read_to_end(&mut Vec::new()).await;

        let elapsed = start.elapsed().as_secs_f64();
        assert!((1.9..10.0).contains(&elapsed), "{elapsed} s");
    }
}

#[tokio::test]
async fn admin_request_headers_beyond_16_kib_are_rejected() {
    let facade = Facade::start().await;
    let request = |bytes: usize| {
        let filling = "x".repeat(bytes);
        format!("GET /livez HTTP/1.1\r\nHost: a\r\nFilling: {filling}\r\n\r\n")
    };

    assert_eq!(raw(facade.addresses.admin, &request(15 << 10)).await, 200);
    assert_eq!(raw(facade.addresses.admin, &request(17 << 10)).await, 431);
}

#[tokio::test]
async fn log_directives_beyond_the_size_limit_are_rejected() {
    let (_program, addresses) = Program::serve(&["--emulate"], &[]).await;

    let (status, _) = http(addresses.admin, "PUT", "/log-level", &"x".repeat(2_000)).await;

    assert_eq!(status, 413);
}
