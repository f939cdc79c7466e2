//! Status page: what it shows of calls, quota and errors, and to whom.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http_body_util::Full;
use iai_emulator::{Account, FaultKind};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::harness::{
    DeadUpstream, Facade, Program,
    bearer_tokens::{tokens, with_headers, with_token},
    group, http, request, send, start_emulator,
};

/// What would be a script if it were not escaped.
const SCRIPT: &str = "<script>alert(1)</script>";

#[tokio::test]
async fn the_status_shows_calls_by_status_with_their_latency() {
    let facade = Facade::start().await;
    let mut client = facade.client();

    client.get_group_info(group("aaa")).await.unwrap();
    client.get_group_info(group("aaa")).await.unwrap();
    client.get_group_info(group("")).await.unwrap_err();

    let status = status(&facade).await;
    assert_eq!(status["ready"], true);
    let endpoint = format!("{}/", facade.emulator.endpoint());
    assert_eq!(status["upstream"]["endpoint"], endpoint);
    assert_eq!(status["credential"]["source"], "the callback");
    assert_eq!(
        selected(&status["calls"]["by_status"], &["status", "calls"]),
        [json!(["OK", 2]), json!(["INVALID_ARGUMENT", 1])]
    );
    assert!(status["calls"]["by_status"][0]["p99_ms"].as_f64().unwrap() > 0.0);
    assert_eq!(
        selected(
            &status["callers"],
            &["name", "calls", "share", "caller_fault"]
        ),
        [json!(["address", 3, 1.0, 1])]
    );
    let intervals = selected(&status["intervals"], &["ok", "caller_fault", "admitted"]);
    assert_eq!(intervals.last().unwrap(), &json!([2, 1, 2]));
}

#[tokio::test]
async fn the_status_shows_callers_whose_attempts_wait() {
    let file = tokens(&[("orders", "token-of-orders")]);
    let flags = [
        "--tokens-file",
        file.path().to_str().unwrap(),
        "--upstream-rate",
        "1",
    ];
    let facade = Facade::start_with(&flags).await;
    let mut first = facade.client();
    first
        .get_group_info(with_token("token-of-orders"))
        .await
        .unwrap();
    let mut second = facade.client();
    let waiting =
        tokio::spawn(async move { second.get_group_info(with_token("token-of-orders")).await });

    let status = loop {
        let status = status(&facade).await;
        if status["quota"]["waiting_attempts"] == 1 {
            break status;
        }
        tokio::task::yield_now().await;
    };

    assert_eq!(status["quota"]["configured_rate"], 1);
    assert_eq!(status["quota"]["waiting_callers"], 1);
    assert_eq!(
        selected(&status["callers"], &["name", "calls", "waiting_attempts"]),
        [json!(["token:orders", 1, 1])]
    );
    assert!(status["callers"][0]["longest_wait_ms"].is_u64());
    waiting.await.unwrap().unwrap();
}

#[tokio::test]
async fn the_status_shows_an_outage() {
    let upstream = DeadUpstream::new();
    let endpoint = format!("http://{}", upstream.address());
    let facade = Facade::start_before(start_emulator().await, &["--endpoint", &endpoint]).await;
    let mut client = facade.client();

    let status = loop {
        client.get_group_info(group("aaa")).await.unwrap_err();
        let status = status(&facade).await;
        if status["circuit_breaker"]["rejected_ratio"]
            .as_f64()
            .unwrap()
            > 0.0
        {
            break status;
        }
    };

    assert_eq!(status["circuit_breaker"]["opened"], 1);
    let error = &status["errors"][0];
    assert_eq!(
        error["method"],
        "iaifacade.v1.FaceRecognitionService/GetGroupInfo"
    );
    assert_eq!(
        (&error["status"], &error["upstream_code"]),
        (&json!("UNAVAILABLE"), &Value::Null)
    );
    assert_eq!(error["reason"], "UPSTREAM_UNREACHABLE");
}

#[tokio::test]
async fn the_last_50_errors_are_kept_with_tencents_code_and_request_id() {
    let facade = Facade::start_plain().await;
    let mut client = facade.client();

    for _ in 0..60 {
        client.get_group_info(group("")).await.unwrap_err();
    }
    facade.emulator.script(FaultKind::api_error(
        "InvalidParameterValue.GroupIdNotExist",
    ));
    let trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace_id}-00f067aa0ba902b7-01");
    let request = with_headers(&[("traceparent", &parent)]);
    client.get_group_info(request).await.unwrap_err();

    let status = status(&facade).await;
    let errors = selected(&status["errors"], &["status", "reason", "upstream_code"]);
    assert_eq!(errors.len(), 50);
    let reason = "INVALID_PARAMETER_VALUE_GROUP_ID_NOT_EXIST";
    let code = "InvalidParameterValue.GroupIdNotExist";
    assert_eq!(errors[0], json!(["NOT_FOUND", reason, code]));
    assert_eq!(status["errors"][0]["trace_id"], trace_id);
    assert_eq!(
        errors[1],
        json!(["INVALID_ARGUMENT", "INVALID_REQUEST", null])
    );
    assert!(
        status["errors"][0]["upstream_request_id"]
            .as_str()
            .unwrap()
            .len()
            > 30
    );
}

#[tokio::test]
async fn the_status_contains_no_secret_and_no_id() {
    let file = tokens(&[("orders", "token-of-orders")]);
    let path = file.path().to_str().unwrap();
    let flags = ["--tokens-file", path, "--cache-ttl", "1m"];
    let facade = Facade::start_with(&flags).await;
    let mut client = facade.client();

    client
        .get_group_info(with_token("token-of-orders"))
        .await
        .unwrap();
    client
        .get_group_info(with_token("another-token"))
        .await
        .unwrap_err();
    let mut request = with_token("token-of-orders");
    request.get_mut().group_id = "group-of-alice".to_owned();
    // Upstream repeats the id in its code.
    facade
        .emulator
        .script(FaultKind::api_error("InvalidParameter.group-of-alice"));
    client.get_group_info(request).await.unwrap_err();

    let (_, text) = http(facade.addresses.admin, "GET", "/status.json", "").await;
    let account = Account::default();
    for secret in [
        account.secret_id(),
        account.secret_key(),
        "token-of-orders",
        "another-token",
        "group-of-alice",
    ] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}

#[tokio::test]
async fn the_status_says_why_it_is_not_ready_and_hides_the_proxys_password() {
    let variables = [
        ("HTTPS_PROXY", "http://user:hunter2@127.0.0.1:9"),
        ("TENCENTCLOUD_SECRET_ID", "AKIDstatus"),
        ("TENCENTCLOUD_SECRET_KEY", "key-of-status"),
    ];
    let (mut program, addresses) = Program::serve(&["--verify-upstream"], &variables).await;
    program.line("credential verification failed").await;

    let (_, text) = http(addresses.admin, "GET", "/status.json", "").await;

    let status: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(status["upstream"]["proxy"], "http://127.0.0.1:9");
    assert_eq!(status["credential"]["source"], "the environment");
    assert_eq!(status["ready"], false);
    let condition = &status["conditions"][1];
    assert_eq!(condition["name"], "credential accepted by upstream");
    assert_eq!(condition["met"], false);
    assert!(
        condition["reason"].as_str().unwrap().len() > 10,
        "{condition}"
    );
    for secret in ["user", "hunter2", "AKIDstatus", "key-of-status"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}

#[tokio::test]
async fn the_status_is_for_loopback_hosts_only() {
    let facade = Facade::start().await;

    for path in ["/", "/status.json"] {
        for (host, expected) in [
            ("Host: localhost\r\n", 200),
            ("Host: 127.0.0.1:9464\r\n", 200),
            ("Host: rebound.example:9464\r\n", 403),
            ("Host: localhost\r\nOrigin: http://rebound.example\r\n", 403),
            ("", 400),
        ] {
            let request = format!("GET {path} HTTP/1.1\r\n{host}\r\n");
            let response = raw(&facade, &request).await;
            let status = format!("HTTP/1.1 {expected} ");
            assert!(response.starts_with(&status), "{request}: {response}");
        }
    }
}

#[tokio::test]
async fn what_clients_and_upstream_write_stays_text_in_the_status() {
    let facade = Facade::start_with(&["--trust-forwarded-identity"]).await;
    let mut client = facade.client();
    let path = format!("/{}", SCRIPT.replace('<', "%3C").replace('>', "%3E"));
    send(
        facade.addresses.grpc,
        request(&path).body(Full::<Bytes>::default()).unwrap(),
    )
    .await;
    let name = format!("URI=\"{SCRIPT}\"");
    facade
        .emulator
        .script(FaultKind::api_error(format!("Code.{SCRIPT}")));
    client
        .get_group_info(with_headers(&[("x-forwarded-client-cert", &name)]))
        .await
        .unwrap_err();

    let response = raw(
        &facade,
        "GET /status.json HTTP/1.1\r\nHost: localhost\r\n\r\n",
    )
    .await;

    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("content-type: application/json"), "{head}");
    assert!(head.contains("x-content-type-options: nosniff"), "{head}");
    assert!(head.contains("cache-control: no-store"), "{head}");
    let status: Value = serde_json::from_str(body).unwrap();
    assert_eq!(
        status["errors"][0]["upstream_code"],
        format!("Code.{SCRIPT}")
    );
    let names = selected(&status["callers"], &["name"]);
    assert!(
        names.contains(&json!([format!("forwarded:{SCRIPT}")])),
        "{names:?}"
    );
}

#[tokio::test]
async fn the_page_escapes_what_clients_and_upstream_write() {
    let facade = Facade::start_with(&["--trust-forwarded-identity"]).await;
    let mut client = facade.client();
    let text = format!("\"&'{SCRIPT}");
    facade.emulator.script(FaultKind::api_error(text));
    let path = request("/path\"'&").body(Full::<Bytes>::default());
    send(facade.addresses.grpc, path.unwrap()).await;
    let name = format!("URI={SCRIPT}");
    client
        .get_group_info(with_headers(&[("x-forwarded-client-cert", &name)]))
        .await
        .unwrap_err();

    let (_, page) = http(facade.addresses.admin, "GET", "/", "").await;

    // With the places where a browser may break the text.
    let page = page.replace("<wbr>", "");
    let escaped = "&lt;script&gt;alert(1)&lt;/script&gt;";
    assert!(page.contains(&format!("forwarded:{escaped}")), "{page}");
    assert!(page.contains(&format!("&quot;&amp;'{escaped}")), "{page}");
    assert!(page.contains("path&quot;'&amp;"), "{page}");
    assert_eq!(page.matches("<script>").count(), 1, "{page}");
}

#[tokio::test]
async fn the_policy_of_the_page_allows_its_own_style_and_script_only() {
    let facade = Facade::start().await;

    let response = raw(&facade, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;

    let (head, page) = response.split_once("\r\n\r\n").unwrap();
    let hash = |name: &str| {
        let (_, rest) = page.split_once(&format!("<{name}>")).unwrap();
        let (text, _) = rest.split_once(&format!("</{name}>")).unwrap();
        STANDARD.encode(Sha256::digest(text))
    };
    let policy = format!(
        "content-security-policy: default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; \
         connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n",
        hash("style"),
        hash("script")
    );
    assert!(head.contains(&policy), "{head}");
    for header in [
        "content-type: text/html; charset=utf-8",
        "cache-control: no-store",
        "x-content-type-options: nosniff",
        "referrer-policy: no-referrer",
        "cross-origin-resource-policy: same-origin",
    ] {
        assert!(head.contains(header), "{head}");
    }
    for link in ["src=", "url(", "@import", "style="] {
        assert!(!page.contains(link), "{link}: {page}");
    }
}

async fn status(facade: &Facade) -> Value {
    let (status, json) = http(facade.addresses.admin, "GET", "/status.json", "").await;
    assert_eq!(status, 200, "{json}");
    serde_json::from_str(&json).unwrap()
}

/// Returns the values of these fields of each item of an array.
fn selected(items: &Value, fields: &[&str]) -> Vec<Value> {
    let items = items.as_array().unwrap();
    let select = |item: &Value| fields.iter().map(|field| item[*field].clone()).collect();
    items.iter().map(select).collect()
}

/// Sends a raw request to the admin port and returns the whole response.
async fn raw(facade: &Facade, request: &str) -> String {
    let mut stream = TcpStream::connect(facade.addresses.admin).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    response
}
