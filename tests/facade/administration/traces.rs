//! Trace context: what the log, the request id and upstream requests have of the `traceparent` of a client.

use tokio::{io::AsyncReadExt, sync::mpsc};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::harness::{
    Facade, Program, bearer_tokens::with_headers, channel, client, raw_upstream::RawUpstream,
    start_emulator, text,
};

const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN_ID: &str = "00f067aa0ba902b7";
const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test]
async fn the_log_has_the_ids_of_the_traceparent_without_an_exporter() {
    let flags = ["--emulate", "--log-slow", "0s"];
    let (mut program, addresses) = Program::serve(&flags, &[]).await;
    let mut client = client(addresses.grpc);

    for (traceparent, trace_id) in [
        (TRACEPARENT, Some(TRACE_ID)),
        (&TRACEPARENT.replace("00-", "ff-"), None),
        (&TRACEPARENT.to_uppercase(), None),
    ] {
        let request = with_headers(&[("traceparent", traceparent)]);
        let response = client.get_group_info(request).await.unwrap();
        let line = program.line("call").await;
        assert_eq!(line["trace_id"].as_str(), trace_id, "{line}");
        assert_eq!(line["span_id"].as_str(), trace_id.map(|_| SPAN_ID));
        // Without a request id of the client, it is the trace id.
        let request_id = text(response.metadata(), "x-request-id");
        assert_eq!(line["request_id"], request_id);
        assert_eq!(request_id == TRACE_ID, trace_id.is_some());
    }

    let request = with_headers(&[("traceparent", TRACEPARENT), ("x-request-id", "own")]);
    client.get_group_info(request).await.unwrap();
    let line = program.line("call").await;
    assert_eq!(line["trace_id"], TRACE_ID);
    assert_eq!(line["request_id"], "own");
}

#[tokio::test]
async fn the_propagators_decide_whether_traceparent_is_read() {
    let flags = ["--emulate", "--log-slow", "0s"];
    for (propagators, is_read) in [("none", false), ("baggage,tracecontext", true)] {
        let variables = [("OTEL_PROPAGATORS", propagators)];
        let (mut program, addresses) = Program::serve(&flags, &variables).await;
        let request = with_headers(&[("traceparent", TRACEPARENT)]);
        client(addresses.grpc)
            .get_group_info(request)
            .await
            .unwrap();
        let line = program.line("call").await;
        assert_eq!(line["trace_id"] == TRACE_ID, is_read, "{line}");
    }
}

#[tokio::test]
async fn health_checks_have_no_trace() {
    let facade = Facade::start().await;
    let mut health = HealthClient::new(channel(facade.addresses.grpc));
    let mut request = tonic::Request::new(HealthCheckRequest::default());
    let metadata = request.metadata_mut();
    metadata.insert("traceparent", TRACEPARENT.parse().unwrap());

    let response = health.check(request).await.unwrap();

    assert!(!format!("{:?}", response.metadata()).contains(TRACE_ID));
}

#[tokio::test]
async fn the_trace_context_is_sent_upstream_only_if_it_is_asked_for() {
    for (flags, is_sent) in [(&[][..], false), (&["--trace-upstream"], true)] {
        let (heads, mut received) = mpsc::unbounded_channel();
        let upstream = RawUpstream::start(move |mut stream| {
            let heads = heads.clone();
            async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                heads.send(String::from_utf8(head).unwrap()).unwrap();
            }
        })
        .await;
        let endpoint = upstream.endpoint();
        let once = ["--endpoint", &endpoint, "--max-attempts", "1"];
        let flags = [&once, flags].concat();
        let facade = Facade::start_before(start_emulator().await, &flags).await;

        let headers = [
            ("traceparent", TRACEPARENT),
            ("tracestate", "rojo=1"),
            ("baggage", "user=alice"),
        ];
        let request = with_headers(&headers);
        facade.client().get_group_info(request).await.unwrap_err();

        let head = received.recv().await.unwrap();
        let sent = format!("traceparent: {TRACEPARENT}\r\n");
        assert_eq!(head.contains(&sent), is_sent, "{head}");
        assert_eq!(head.contains("tracestate: rojo=1\r\n"), is_sent, "{head}");
        assert!(!head.contains("baggage"), "{head}");
    }
}
