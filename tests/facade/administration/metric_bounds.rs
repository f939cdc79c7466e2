//! Bounds of the metrics: whatever clients and upstream send, the number of samples is bounded, and no
//! label has a text that they make up.

use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use iai_emulator::FaultKind;
use tokio::net::TcpSocket;
use tonic::{Code, Request};

use crate::harness::{
    Facade, GET_GROUP_INFO,
    connection::{connection, status_of},
    group, request, send,
};

/// The maximum number of samples of one scrape.
const MAX_SAMPLES: usize = 2_000;

#[tokio::test]
async fn ten_thousand_addresses_and_names_stay_within_2000_samples() {
    let flags = ["--trust-forwarded-identity", "--cache-ttl", "1h"];
    let facade = Facade::start_with(&flags).await;
    let address = facade.addresses.grpc;

    let (mut sender, _ended) = connection(address).await;
    for name in 0..10_000 {
        let uri = format!("URI=spiffe://example.org/caller-{name}");
        let call = request(GET_GROUP_INFO).header("x-forwarded-client-cert", uri);
        assert_eq!(status_of(&mut sender, call).await.code(), Code::Ok);
    }
    for number in 0..10_000_u32 {
        let [_, _, third, fourth] = number.to_be_bytes();
        let socket = TcpSocket::new_v4().unwrap();
        let source = SocketAddr::from((Ipv4Addr::new(127, 1, third, fourth), 0));
        socket.bind(source).unwrap();
        let stream = socket.connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let executor = TokioExecutor::new();
        let handshake = hyper::client::conn::http2::handshake(executor, TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.unwrap();
        tokio::spawn(connection);
        let call = request(GET_GROUP_INFO);
        assert_eq!(status_of(&mut sender, call).await.code(), Code::Ok);
    }

    let samples = facade.samples().await;
    assert!(samples.iter().count() <= MAX_SAMPLES);
    let names = samples.iter().map(|(name, _)| name);
    let callers = names.filter(|name| name.starts_with("iai_facade_caller_calls_total"));
    // The default of --metrics-callers, `other` and `address`, with four outcomes each.
    assert_eq!(callers.count(), (50 + 2) * 4);
    for (caller, calls) in [("other", 9_950.0), ("address", 10_000.0)] {
        let labels = format!("caller=\"{caller}\",outcome=\"ok\"");
        let sample = format!("iai_facade_caller_calls_total{{{labels}}}");
        assert_eq!(samples.get(&sample), calls, "{sample}");
    }
    assert!(!samples.iter().any(|(name, _)| name.contains("127.1.")));
}

#[tokio::test]
async fn what_clients_make_up_adds_no_samples() {
    let facade = Facade::start().await;
    let address = facade.addresses.grpc;
    let mut client = facade.client();
    client.get_group_info(group("aaa")).await.unwrap();
    let unknown = |name: u32| {
        let request = request(&format!("/unknown.Service{name}/Method{name}"));
        send(address, request.body(Full::<Bytes>::default()).unwrap())
    };
    unknown(0).await;
    let before = facade.samples().await.iter().count();
    assert!(before <= MAX_SAMPLES, "{before}");

    for name in 1..200 {
        unknown(name).await;
        let mut request = Request::new(group(&format!("group-{name}")));
        let request_id = format!("request-{name}").parse().unwrap();
        request.metadata_mut().insert("x-request-id", request_id);
        let code = format!("InvalidParameter.Code{name}");
        facade.emulator.script(FaultKind::api_error(&code));
        client.get_group_info(request).await.unwrap_err();
    }

    let samples = facade.samples().await;
    assert_eq!(
        samples.get("grpc_server_call_started_total{grpc_method=\"other\"}"),
        200.0
    );
    let unknown = "iai_facade_errors_total{grpc_method=\"other\",domain=\"iaifacade.v1\",\
                   reason=\"METHOD_UNKNOWN\"}";
    assert_eq!(samples.get(unknown), 200.0);
    // One for the reason of undocumented codes.
    assert!(samples.iter().count() <= before + 1);
    let text: String = samples.iter().map(|(name, _)| name).collect();
    for made_up in [
        "unknown.Service",
        "group-1",
        "request-1",
        "CODE1",
        "AKIDEMULATOR",
    ] {
        assert!(!text.contains(made_up), "{made_up}");
    }
}
