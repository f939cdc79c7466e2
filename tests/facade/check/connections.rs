//! DNS, TCP, proxies, TLS and HTTP.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpSocket, TcpStream},
};

use crate::harness::{
    DeadUpstream, LOOPBACK,
    authority::Authority,
    checked::{CREDENTIAL, Checked},
    raw_upstream::{RawUpstream, hold},
    start_emulator,
    tls_proxy::TlsProxy,
};

/// Starts a proxy that responds to each CONNECT with this status line. Returns its address, and the heads
/// that it has received. With `200`, it is a tunnel.
async fn proxy(status: &'static str) -> (RawUpstream, Arc<Mutex<Vec<String>>>) {
    let heads: Arc<Mutex<Vec<String>>> = Arc::default();
    let received = Arc::clone(&heads);
    let proxy = RawUpstream::start(move |stream| serve(stream, status, Arc::clone(&received)));
    (proxy.await, heads)
}

async fn serve(mut stream: TcpStream, status: &'static str, heads: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else {
            return;
        };
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let target = head.split(' ').nth(1).unwrap().to_owned();
    heads.lock().unwrap().push(head);
    let response = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
    if status != "200 OK" {
        let _ = stream.write_all(response.as_bytes()).await;
        return;
    }
    let mut upstream = TcpStream::connect(target).await.unwrap();
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    let _ = copy_bidirectional(&mut stream, &mut upstream).await;
}

async fn tls(name: &str) -> (iai_emulator::Emulator, TlsProxy) {
    let emulator = start_emulator().await;
    let tls = TlsProxy::start(emulator.address(), name, "http/1.1").await;
    (emulator, tls)
}

#[tokio::test]
async fn a_host_without_an_address_fails_in_dns() {
    let checked = Checked::at("http://iai.example.invalid", &[]).await;

    checked.assert_failed("dns", 2, &["iai.example.invalid cannot be resolved"]);
}

#[tokio::test]
async fn a_refused_port_fails_in_tcp() {
    let dead_upstream = DeadUpstream::new();
    let address = dead_upstream.address();

    let checked = Checked::at(&format!("http://{address}"), &[]).await;

    checked.assert_failed("tcp", 2, &["Connection refused", &address.to_string()]);
}

#[tokio::test]
async fn a_connection_that_is_not_accepted_fails_in_tcp() {
    // The queue has place for one connection; the kernel drops further attempts.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(LOOPBACK).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let _queued = TcpStream::connect(address).await.unwrap();
    let endpoint = format!("http://{address}");

    let checked = Checked::at(&endpoint, &["--upstream-connect-timeout", "100ms"]).await;

    checked.assert_failed("tcp", 2, &["no response within 100ms", "firewall"]);
}

#[tokio::test]
async fn an_endpoint_with_tls_is_described() {
    let (emulator, tls) = tls("localhost").await;

    let checked = Checked::at(&tls.endpoint, &["--upstream-ca", tls.authority()]).await;

    assert_eq!(checked.code, 0, "{}", checked.output);
    assert_eq!(checked.with_status("skipped"), ["proxy"]);
    let dns = checked.step("dns")["summary"].as_str().unwrap();
    assert!(dns.starts_with("localhost is "), "{dns}");
    let summary = checked.step("tls")["summary"].as_str().unwrap();
    let start = "TLS 1.3, trusted chain of 1 certificate, valid until ";
    assert!(summary.starts_with(start), "{summary}");
    assert!(summary.ends_with(" days)"), "{summary}");
    assert_eq!(emulator.requests().len(), 2);
}

#[tokio::test]
async fn an_untrusted_certificate_fails_in_tls_with_its_cause() {
    let emulator = start_emulator().await;
    let (_, replaced) = tls("localhost").await;
    let other = Authority::new();
    let other = other.path();
    let unknown = TlsProxy::start(emulator.address(), "localhost", "http/1.1").await;
    let misnamed = TlsProxy::start(emulator.address(), "iai.example", "http/1.1").await;
    let expired = TlsProxy::start_expired(emulator.address()).await;
    let early = TlsProxy::start_in(emulator.address(), 2090..2091).await;
    let cases = [
        (
            &early,
            early.authority(),
            [
                "not valid before 2090-01-01T00:00:00Z",
                "The clock of this machine is behind",
            ],
        ),
        (&unknown, other.as_str(), ["UnknownIssuer", "--upstream-ca"]),
        (
            &unknown,
            replaced.authority(),
            ["BadSignature", "--upstream-ca"],
        ),
        (
            &misnamed,
            misnamed.authority(),
            ["iai.example", "--endpoint names another host"],
        ),
        (
            &expired,
            expired.authority(),
            [
                "expired at 2020-01-01T00:00:00Z",
                "the clock of this machine is wrong",
            ],
        ),
    ];

    for (server, trusted, words) in cases {
        let checked = Checked::at(&server.endpoint, &["--upstream-ca", trusted]).await;

        checked.assert_failed("tls", 2, &words);
    }
    assert!(emulator.requests().is_empty());
}

#[tokio::test]
async fn a_server_that_speaks_plain_text_fails_in_tls() {
    let emulator = start_emulator().await;
    let (_, other) = tls("localhost").await;
    let endpoint = format!("https://{}", emulator.address());

    let checked = Checked::at(&endpoint, &["--upstream-ca", other.authority()]).await;

    checked.assert_failed("tls", 2, &["speaks plain text", "http://"]);
}

#[tokio::test]
async fn a_server_that_speaks_no_http_or_nothing_fails_in_http() {
    let banner = RawUpstream::start(|mut stream| async move {
        let _ = stream.read_u8().await;
        let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").await;
        hold(stream).await;
    })
    .await;
    let mute = RawUpstream::start(hold).await;

    let checked = Checked::at(&banner.endpoint(), &[]).await;
    checked.assert_failed("http", 2, &["Another server than the API"]);

    let checked = Checked::at(&mute.endpoint(), &["--max-call-time", "100ms"]).await;
    checked.assert_failed("http", 2, &["no complete response within 100ms"]);
}

#[tokio::test]
async fn a_proxy_opens_a_tunnel_with_its_password_hidden() {
    let (emulator, tls) = tls("localhost").await;
    let (proxy, heads) = proxy("200 OK").await;
    let address = proxy.endpoint().replace("http://", "");
    let url = format!("http://user:hunter%402@{address}");
    let variables = [&CREDENTIAL[..], &[("HTTPS_PROXY", url.as_str())]].concat();
    let flags = [
        "--endpoint",
        &tls.endpoint,
        "--upstream-ca",
        tls.authority(),
    ];

    let checked = Checked::run(&flags, &variables).await;

    assert_eq!(checked.code, 0, "{}", checked.output);
    let expected = format!("http://{address} opened a tunnel");
    assert_eq!(checked.step("proxy")["summary"], expected);
    assert_eq!(
        checked.step("dns")["summary"],
        "the host of the proxy is an address"
    );
    let heads = heads.lock().unwrap();
    let [ours, theirs] = [&heads[0], &heads[1]].map(|head| {
        let lines = head.lines().map(str::to_lowercase);
        lines
            .filter(|line| !line.is_empty())
            .collect::<BTreeSet<_>>()
    });
    // The check asks as the HTTP client does.
    assert!(ours.is_subset(&theirs), "{ours:?} {theirs:?}");
    checked.assert_hides(&["hunter", "dXNlcjpodW50ZXJAMg=="]);
    assert_eq!(emulator.requests().len(), 2);
}

#[tokio::test]
async fn a_proxy_that_refuses_fails_with_its_status() {
    let (_emulator, tls) = tls("localhost").await;
    let flags = [
        "--endpoint",
        &tls.endpoint,
        "--upstream-ca",
        tls.authority(),
    ];
    let cases = [
        (
            "407 Proxy Authentication Required",
            ["HTTP 407", "USER:PASSWORD"],
        ),
        (
            "502 Bad Gateway",
            [
                "HTTP 502",
                "does not allow the endpoint, or cannot reach it",
            ],
        ),
        ("403 Forbidden", ["HTTP 403", "does not allow the endpoint"]),
    ];

    for (status, words) in cases {
        let (proxy, _) = proxy(status).await;
        let url = proxy.endpoint();
        let variables = [&CREDENTIAL[..], &[("HTTPS_PROXY", url.as_str())]].concat();

        let checked = Checked::run(&flags, &variables).await;

        checked.assert_failed("proxy", 2, &words);
    }
}

#[tokio::test]
async fn a_proxy_that_is_no_proxy_or_speaks_no_tls_fails() {
    let (_emulator, tls) = tls("localhost").await;
    let flags = [
        "--endpoint",
        &tls.endpoint,
        "--upstream-ca",
        tls.authority(),
    ];
    let mute = RawUpstream::start(hold).await;
    let address = mute.endpoint().replace("http://", "");
    let plain = start_emulator().await;
    let plain_address = plain.address();
    let cases = [
        (
            format!("http://{address}"),
            "200ms",
            "not that of an HTTP proxy",
        ),
        (
            format!("https://{plain_address}"),
            "10s",
            "Use http:// if the proxy is reached in plain text",
        ),
    ];

    for (url, limit, words) in cases {
        let variables = [&CREDENTIAL[..], &[("HTTPS_PROXY", url.as_str())]].concat();
        let flags = [&flags[..], &["--upstream-connect-timeout", limit]].concat();

        let checked = Checked::run(&flags, &variables).await;

        checked.assert_failed("proxy", 2, &[words]);
    }
}

#[tokio::test]
async fn a_proxy_of_an_http_endpoint_is_shown_by_the_request() {
    let (proxy, _) = proxy("407 Proxy Authentication Required").await;
    let url = proxy.endpoint();
    let variables = [&CREDENTIAL[..], &[("HTTP_PROXY", url.as_str())]].concat();

    let checked = Checked::run(&["--endpoint", "http://iai.example.invalid"], &variables).await;

    assert!(checked.with_status("skipped").contains(&"proxy"));
    checked.assert_failed("http", 2, &["HTTP 407", "USER:PASSWORD"]);
}
