//! Metrics: what `/metrics` counts.

use iai_emulator::FaultKind;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::harness::{
    DeadUpstream, Facade,
    bearer_tokens::{tokens, with_token},
    group, person, start_emulator,
};

const METHOD: &str = "iaifacade.v1.FaceRecognitionService";

#[tokio::test]
async fn calls_are_counted_by_method_status_and_reason() {
    let facade = Facade::start().await;
    let mut client = facade.client();

    client.get_group_info(group("aaa")).await.unwrap();
    client.get_group_info(group("")).await.unwrap_err();
    let unknown = client.get_person_group_info(person("1002")).await;
    assert_eq!(unknown.unwrap_err().code(), Code::NotFound);
    let mut health = HealthClient::new(facade.channel());
    health.check(HealthCheckRequest::default()).await.unwrap();

    let samples = facade.samples().await;
    let started = |method: &str| {
        samples.get(&format!(
            "grpc_server_call_started_total{{grpc_method=\"{method}\"}}"
        ))
    };
    let ended = |method: &str, code: &str| {
        let labels = format!("grpc_method=\"{METHOD}/{method}\",grpc_status=\"{code}\"");
        samples.get(&format!(
            "grpc_server_call_duration_seconds_count{{{labels}}}"
        ))
    };
    let failed = |method: &str, reason: &str| {
        let labels = format!("grpc_method=\"{METHOD}/{method}\",domain=\"iaifacade.v1\"");
        samples.get(&format!(
            "iai_facade_errors_total{{{labels},reason=\"{reason}\"}}"
        ))
    };
    assert_eq!(started(&format!("{METHOD}/GetGroupInfo")), 2.0);
    assert_eq!(started(&format!("{METHOD}/GetPersonGroupInfo")), 1.0);
    assert_eq!(ended("GetGroupInfo", "OK"), 1.0);
    assert_eq!(ended("GetGroupInfo", "INVALID_ARGUMENT"), 1.0);
    assert_eq!(ended("GetGroupInfo", "UNAVAILABLE"), 0.0);
    assert_eq!(failed("GetGroupInfo", "INVALID_REQUEST"), 1.0);
    assert_eq!(failed("GetPersonGroupInfo", "PERSON_NOT_FOUND"), 1.0);
    assert_eq!(failed("GetPersonGroupInfo", "INVALID_REQUEST"), 0.0);
    assert!(!samples.iter().any(|(name, _)| name.contains("grpc.health")));
}

#[tokio::test]
async fn calls_are_counted_by_caller_without_its_token() {
    let file = tokens(&[("orders", "token-of-orders")]);
    let flags = ["--tokens-file", file.path().to_str().unwrap()];
    let facade = Facade::start_with(&flags).await;
    let mut client = facade.client();

    client
        .get_group_info(with_token("token-of-orders"))
        .await
        .unwrap();
    client
        .get_group_info(with_token("another"))
        .await
        .unwrap_err();

    let samples = facade.samples().await;
    for (caller, outcome) in [("token:orders", "ok"), ("address", "caller_fault")] {
        let labels = format!("caller=\"{caller}\",outcome=\"{outcome}\"");
        let sample = format!("iai_facade_caller_calls_total{{{labels}}}");
        assert_eq!(samples.get(&sample), 1.0, "{sample}");
    }
    assert!(!samples.iter().any(|(name, _)| name.contains("token-of")));
}

#[tokio::test]
async fn a_cancelled_call_is_counted_as_one_and_so_is_its_attempt() {
    let facade = Facade::start_plain().await;
    let mut client = facade.client();
    facade.emulator.script(FaultKind::Hold);
    let call = tokio::spawn(async move { client.get_group_info(group("aaa")).await });
    facade.emulator.wait_for_requests(1).await;
    assert_eq!(
        facade.samples().await.get("iai_facade_calls_in_progress"),
        1.0
    );

    call.abort();

    let cancelled = format!(
        "grpc_server_call_duration_seconds_count{{grpc_method=\"{METHOD}/GetGroupInfo\",\
         grpc_status=\"CANCELLED\"}}"
    );
    let attempt = "iai_facade_upstream_attempts_total{action=\"GetGroupInfo\",class=\"cancelled\"}";
    loop {
        let samples = facade.samples().await;
        if samples.get(&cancelled) == 1.0 && samples.get(attempt) == 1.0 {
            break;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn attempts_and_retries_are_counted_with_their_reasons() {
    let facade = Facade::start_with(&["--max-attempts", "2"]).await;
    let mut client = facade.client();
    let server_error = || FaultKind::api_error("FailedOperation.ServerError");

    facade.emulator.script(server_error());
    client.get_group_info(group("aaa")).await.unwrap();
    facade.emulator.script(server_error());
    facade.emulator.script(server_error());
    client.get_group_info(group("aaa")).await.unwrap_err();

    let samples = facade.samples().await;
    let attempts = |class: &str| {
        let labels = format!("action=\"GetGroupInfo\",class=\"{class}\"");
        samples.get(&format!("iai_facade_upstream_attempts_total{{{labels}}}"))
    };
    let durations = |outcome: &str| {
        let labels = format!("action=\"GetGroupInfo\",outcome=\"{outcome}\"");
        samples.get(&format!(
            "iai_facade_upstream_attempt_duration_seconds_count{{{labels}}}"
        ))
    };
    assert_eq!((attempts("ok"), attempts("transient")), (1.0, 3.0));
    assert_eq!((durations("ok"), durations("rejected")), (1.0, 3.0));
    let retries = "iai_facade_upstream_retries_total{reason=\"transient\"}";
    assert_eq!(samples.get(retries), 2.0);
    let withheld = "iai_facade_upstream_retries_withheld_total{reason=\"attempts\"}";
    assert_eq!(samples.get(withheld), 1.0);
}

#[tokio::test]
async fn retries_that_the_budget_forbids_are_counted() {
    let upstream = DeadUpstream::new();
    let endpoint = format!("http://{}", upstream.address());
    let flags = [
        "--endpoint",
        &endpoint,
        "--circuit",
        "off",
        "--max-attempts",
        "2",
    ];
    let facade = Facade::start_before(start_emulator().await, &flags).await;
    let mut client = facade.client();

    let withheld = "iai_facade_upstream_retries_withheld_total{reason=\"budget\"}";
    while facade.samples().await.get(withheld) == 0.0 {
        client.get_group_info(group("aaa")).await.unwrap_err();
    }

    let samples = facade.samples().await;
    for failed in [
        "iai_facade_upstream_attempts_total{action=\"GetGroupInfo\",class=\"unreachable\"}",
        "iai_facade_upstream_connections_failed_total",
    ] {
        assert!(samples.get(failed) > 10.0, "{failed}");
    }
}

#[tokio::test]
async fn the_quota_the_cache_and_the_credential_are_measured() {
    let flags = [
        "--upstream-rate",
        "50",
        "--cache-ttl",
        "1m",
        "--cache-max-bytes",
        "1MiB",
    ];
    let facade = Facade::start_with(&flags).await;
    let mut client = facade.client();

    client.get_group_info(group("aaa")).await.unwrap();
    client.get_group_info(group("aaa")).await.unwrap();

    let samples = facade.samples().await;
    for (name, expected) in [
        ("iai_facade_quota_rate{kind=\"configured\"}", 50.0),
        ("iai_facade_quota_admitted_total", 1.0),
        ("iai_facade_quota_wait_seconds_count", 1.0),
        ("iai_facade_quota_waiting_attempts", 0.0),
        ("iai_facade_circuit_breaker_rejected_ratio", 0.0),
        ("iai_facade_cache_requests_total{result=\"miss\"}", 1.0),
        ("iai_facade_cache_requests_total{result=\"hit\"}", 1.0),
        ("iai_facade_cache_response_age_seconds_count", 1.0),
        ("iai_facade_cache_max_size_bytes", 1_048_576.0),
        ("iai_facade_clock_offset_seconds", 0.0),
        (
            "iai_facade_credential_refreshes_total{outcome=\"replaced\"}",
            1.0,
        ),
        ("iai_facade_ready{condition=\"listening\"}", 1.0),
        ("iai_facade_ready{condition=\"not_stopping\"}", 1.0),
        ("iai_facade_connections_limit", 16_384.0),
        ("iai_facade_upstream_connections_opened_total", 1.0),
        ("iai_facade_upstream_connections_failed_total", 0.0),
    ] {
        assert_eq!(samples.get(name), expected, "{name}");
    }
    assert!(samples.get("process_resident_memory_bytes") > 1e6);
    assert!(samples.get("iai_facade_connections") >= 1.0);
}

#[tokio::test]
async fn a_scraper_may_ask_for_openmetrics() {
    let facade = Facade::start().await;

    for (accept, content_type, end) in [
        ("*/*", "text/plain; version=0.0.4; charset=utf-8", "\n"),
        (
            "application/openmetrics-text",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            "# EOF\n",
        ),
    ] {
        let request = format!(
            "GET /metrics HTTP/1.1\r\nhost: admin\r\nconnection: close\r\naccept: {accept}\r\n\r\n"
        );
        let mut stream = TcpStream::connect(facade.addresses.admin).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();

        assert!(response.contains(&format!("content-type: {content_type}\r\n")));
        assert!(response.ends_with(end));
    }
}
