//! Outbound HTTP proxies from environment variables, and invalid ones.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::harness::{
    DeadUpstream, LOOPBACK, Program, TRACE_LOG, client, errors, group, run, start_emulator,
    tls_proxy::TlsProxy,
};

const CREDENTIAL: [(&str, &str); 2] = [
    ("TENCENTCLOUD_SECRET_ID", "AKIDEMULATOR"),
    ("TENCENTCLOUD_SECRET_KEY", "emulator-secret"),
];

/// A CONNECT proxy that records the head of each tunnel request. Dropping it stops the proxy.
struct Tunnels {
    address: String,
    heads: Arc<Mutex<Vec<String>>>,
    _server: JoinSet<()>,
}

impl Tunnels {
    async fn start() -> Self {
        let listener = TcpListener::bind(LOOPBACK).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let mut server = JoinSet::new();
        server.spawn(accept(listener, Arc::clone(&heads)));
        Self {
            address,
            heads,
            _server: server,
        }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

async fn accept(listener: TcpListener, heads: Arc<Mutex<Vec<String>>>) {
    let mut tunnels = JoinSet::new();
    while let Ok((mut stream, _)) = listener.accept().await {
        let heads = Arc::clone(&heads);
        tunnels.spawn(async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            let target = head.split(' ').nth(1).unwrap().to_owned();
            heads.lock().unwrap().push(head);
            let mut upstream = TcpStream::connect(target).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            let _ = copy_bidirectional(&mut stream, &mut upstream).await;
        });
    }
}

#[tokio::test]
async fn tls_calls_go_through_the_https_proxy_and_its_password_is_hidden() {
    let emulator = start_emulator().await;
    let tls = TlsProxy::start(emulator.address(), "localhost", "http/1.1").await;
    let proxy = Tunnels::start().await;
    let url = format!("http://user:hunter%402@{}", proxy.address);
    let variables = [
        &CREDENTIAL[..],
        &TRACE_LOG,
        &[("https_proxy", url.as_str())],
    ]
    .concat();
    let flags = [
        "--endpoint",
        &tls.endpoint,
        "--upstream-ca",
        tls.authority(),
    ];
    let flags = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
    ]
    .into_iter()
    .chain(flags);
    let mut program = Program::start(&flags.collect::<Vec<_>>(), &variables);
    let line = program.line("listening").await;
    let address = line["grpc.address"].as_str().unwrap().parse().unwrap();

    client(address).get_group_info(group("aaa")).await.unwrap();

    assert_eq!(line["upstream.proxy"], format!("http://{}", proxy.address));
    let heads = proxy.heads();
    let host = tls.endpoint.strip_prefix("https://").unwrap();
    assert!(
        heads[0].starts_with(&format!("CONNECT {host} ")),
        "{heads:?}"
    );
    // user:hunter@2
    let secret = "dXNlcjpodW50ZXJAMg==";
    assert!(heads[0].contains(&format!("Basic {secret}")), "{heads:?}");
    assert_eq!(emulator.requests().len(), 1);
    let secrets = ["hunter", secret].map(str::to_owned);
    program.ended_without(&secrets).await;
}

#[tokio::test]
async fn plaintext_calls_go_through_the_http_proxy() {
    // The emulator accepts the absolute-form URLs that proxies receive.
    let proxy = start_emulator().await;
    let endpoint = proxy.endpoint();
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        let variables = [
            &CREDENTIAL[..],
            &[(name, endpoint.as_str()), ("HTTPS_PROXY", "")],
        ];
        // Set in CGI programs; this is not one.
        let variables = [&variables.concat()[..], &[("REQUEST_METHOD", "GET")]].concat();
        let flags = ["--endpoint", "http://iai.example.invalid"];
        let (_program, addresses) = Program::serve(&flags, &variables).await;

        let mut client = client(addresses.grpc);
        client.get_group_info(group("aaa")).await.unwrap();

        let calls = proxy.requests();
        assert_eq!(calls.last().unwrap().host, "iai.example.invalid", "{name}");
    }
    assert_eq!(proxy.requests().len(), 4);
}

#[tokio::test]
async fn no_proxy_bypasses_the_proxy() {
    let emulator = start_emulator().await;
    let dead_upstream = DeadUpstream::new();
    let proxy = format!("http://{}", dead_upstream.address());
    let port = emulator.address().port();
    for (no_proxy, host) in [
        ("example.com,127.0.0.0/8", "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1"),
        ("localhost", "localhost"),
        ("*", "localhost"),
    ] {
        let proxies = [("HTTP_PROXY", proxy.as_str()), ("NO_PROXY", no_proxy)];
        let endpoint = format!("http://{host}:{port}");
        let variables = [CREDENTIAL, proxies].concat();
        let (_program, addresses) = Program::serve(&["--endpoint", &endpoint], &variables).await;

        let mut client = client(addresses.grpc);
        client.get_group_info(group("aaa")).await.expect(no_proxy);
    }
}

#[tokio::test]
async fn an_invalid_proxy_stops_the_start_and_its_password_is_hidden() {
    for address in [
        "http://user:hunter2@proxy:3128 ",
        "\"http://user:hunter2@proxy:3128\"",
        "http//user:hunter2@proxy:3128",
        "socks5://user:hunter2@proxy:1080",
        "http://user:hunter2@proxy:port",
        "http://user:hunter2",
    ] {
        for name in ["HTTPS_PROXY", "http_proxy", "ALL_PROXY"] {
            let output = run(&["serve"], &[(name, address)]).await;

            let errors = errors(&output);
            assert_eq!(output.status.code(), Some(64), "{address}: {errors}");
            assert!(errors.contains(&format!("{name}: `")), "{errors}");
            assert!(!errors.contains("hunter2"), "{errors}");
        }
    }
}
