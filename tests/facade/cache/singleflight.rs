//! Singleflight: equal concurrent calls share one upstream call.

use std::{sync::Arc, time::Duration};

use iai_facade::proto::GetGroupInfoResponse;
use tokio::{
    io::AsyncWriteExt,
    sync::watch,
    task::{JoinHandle, JoinSet, yield_now},
};
use tonic::{Code, Request, Response, Status};

use crate::harness::{
    Facade, group,
    raw_upstream::{RawUpstream, hold, read_request},
    start_emulator, text,
};

const GROUP: &str = r#"{"Response":{"GroupId":"aaa","RequestId":"r"}}"#;

const REFUSAL: &str =
    r#"{"Response":{"Error":{"Code":"UnauthorizedOperation","Message":"m"},"RequestId":"r"}}"#;

#[tokio::test]
async fn a_thousand_equal_calls_at_once_make_one_upstream_call() {
    let gated = Gated::start(&["--share-calls"]).await;
    let mut calls = JoinSet::new();
    for _ in 0..10 {
        // A connection allows 200 concurrent calls.
        let client = gated.facade.client();
        for _ in 0..100 {
            let mut client = client.clone();
            calls.spawn(async move { client.get_group_info(group("aaa")).await.unwrap() });
        }
    }
    gated.waited_for_by(1_000).await;

    gated.respond(GROUP);

    let responses = calls.join_all().await;
    assert_eq!(responses.len(), 1_000);
    let of = |origin| {
        let is_of = |response: &&Response<GetGroupInfoResponse>| cache(response) == (origin, "0");
        responses.iter().filter(is_of).count()
    };
    assert_eq!((of("miss"), of("shared")), (1, 999));
    assert_eq!(gated.requests(), 1);
    gated.waited_for_by(0).await;
}

#[tokio::test]
async fn waiters_that_leave_do_not_affect_the_others() {
    let gated = Gated::start(&["--share-calls"]).await;
    let first = gated.call(&[]);
    gated.waited_for_by(1).await;
    let others = [(); 8].map(|()| gated.call(&[]));
    let last = gated.call(&[]);
    gated.waited_for_by(10).await;
    gated.requested(1).await;

    first.abort();
    gated.waited_for_by(9).await;
    others.iter().for_each(JoinHandle::abort);
    gated.waited_for_by(1).await;
    gated.respond(GROUP);

    assert_eq!(cache(&last.await.unwrap().unwrap()), ("shared", "0"));
    assert_eq!(gated.requests(), 1);
}

#[tokio::test]
async fn an_upstream_call_ends_when_its_last_waiter_leaves() {
    let mut gated = Gated::start(&["--share-calls"]).await;
    let calls = [(); 10].map(|()| gated.call(&[]));
    gated.waited_for_by(10).await;
    gated.requested(1).await;

    calls.iter().for_each(JoinHandle::abort);

    gated.upstream.wait_until_closed().await;
    gated.waited_for_by(0).await;
    assert_eq!(
        gated.facade.upstream.cache_statistics().requests_in_flight,
        0
    );
}

#[tokio::test]
async fn waiters_with_a_later_deadline_share_one_more_upstream_call() {
    let gated = Gated::start(&["--share-calls", "--max-call-time", "60s"]).await;
    let hasty = gated.call(&[("grpc-timeout", "500m")]);
    gated.waited_for_by(1).await;
    let patient = [(); 5].map(|()| gated.call(&[]));

    // The deadline of the first waiter has passed, and with it that of the upstream call.
    gated.requested(2).await;
    gated.waited_for_by(5).await;
    gated.respond(GROUP);

    // The second message is that of the tonic client, whose timer may fire first.
    let codes = [Code::DeadlineExceeded, Code::Cancelled];
    let status = hasty.await.unwrap().unwrap_err();
    assert!(codes.contains(&status.code()), "{status}");
    for call in patient {
        call.await.unwrap().unwrap();
    }
    assert_eq!(gated.requests(), 2);
}

#[tokio::test]
async fn a_failed_upstream_call_fails_all_waiters_and_is_not_cached() {
    let gated = Gated::start(&["--share-calls", "--cache-ttl", "1h"]).await;
    let calls = [(); 10].map(|()| gated.call(&[]));
    gated.waited_for_by(10).await;

    gated.respond(REFUSAL);

    let mut misses = 0;
    for call in calls {
        let status = call.await.unwrap().unwrap_err();
        assert_eq!(status.code(), Code::FailedPrecondition);
        assert_eq!(text(status.metadata(), "x-tc-request-id"), "r");
        assert_eq!(text(status.metadata(), "age"), "0");
        match text(status.metadata(), "x-iai-cache") {
            "miss" => misses += 1,
            other => assert_eq!(other, "shared"),
        }
    }
    assert_eq!((misses, gated.requests()), (1, 1));

    gated.respond(GROUP);
    let response = gated.call(&[]).await.unwrap().unwrap();
    assert_eq!(cache(&response), ("miss", "0"));
}

#[tokio::test]
async fn a_call_with_no_cache_is_not_shared() {
    let gated = Gated::start(&["--share-calls"]).await;
    let no_cache = [("cache-control", "No-Cache")];

    let calls = [gated.call(&no_cache), gated.call(&no_cache)];
    gated.requested(2).await;
    let shared = gated.call(&[]);
    gated.requested(3).await;
    let after = gated.call(&no_cache);
    gated.requested(4).await;
    gated.waited_for_by(1).await;
    gated.respond(GROUP);

    for call in calls.into_iter().chain([shared, after]) {
        assert_eq!(cache(&call.await.unwrap().unwrap()), ("miss", "0"));
    }
}

#[tokio::test]
async fn without_singleflight_each_call_goes_upstream() {
    let gated = Gated::start(&["--cache-ttl", "1h"]).await;

    let calls = [gated.call(&[]), gated.call(&[])];
    gated.requested(2).await;
    gated.respond(GROUP);

    for call in calls {
        assert_eq!(cache(&call.await.unwrap().unwrap()), ("miss", "0"));
    }
}

/// A service whose upstream responds when the test releases it.
struct Gated {
    facade: Facade,
    upstream: RawUpstream,
    requests: watch::Receiver<usize>,
    gate: watch::Sender<Option<&'static str>>,
}

impl Gated {
    async fn start(flags: &[&str]) -> Self {
        let (count, requests) = watch::channel(0);
        let (gate, response) = watch::channel(None);
        let count = Arc::new(count);
        let upstream = RawUpstream::start(move |mut stream| {
            let (count, mut response) = (Arc::clone(&count), response.clone());
            async move {
                if !read_request(&mut stream).await {
                    return;
                }
                count.send_modify(|requests| *requests += 1);
                let body: &str = tokio::select! {
                    body = response.wait_for(Option::is_some) => body.unwrap().unwrap(),
                    // A cancelled call has closed its connection.
                    () = async { stream.readable().await.unwrap() } => return,
                };
                let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json";
                let length = body.len();
                let text = format!("{head}\r\ncontent-length: {length}\r\n\r\n{body}");
                stream.write_all(text.as_bytes()).await.unwrap();
                hold(stream).await;
            }
        })
        .await;
        let endpoint = upstream.endpoint();
        let flags = [&["--endpoint", &endpoint], flags].concat();
        Self {
            facade: Facade::start_before(start_emulator().await, &flags).await,
            upstream,
            requests,
            gate,
        }
    }

    /// Sends responses to all pending and future requests.
    fn respond(&self, body: &'static str) {
        self.gate.send_replace(Some(body));
    }

    /// Sends a `GetGroupInfo` call over a new connection.
    fn call(
        &self,
        metadata: &[(&'static str, &str)],
    ) -> JoinHandle<Result<Response<GetGroupInfoResponse>, Status>> {
        let mut request = Request::new(group("aaa"));
        for (key, value) in metadata {
            request.metadata_mut().insert(*key, value.parse().unwrap());
        }
        let mut client = self.facade.client();
        tokio::spawn(async move { client.get_group_info(request).await })
    }

    fn requests(&self) -> usize {
        *self.requests.borrow()
    }

    /// Waits until upstream has received this many requests.
    async fn requested(&self, number: usize) {
        let mut requests = self.requests.clone();
        requests.wait_for(|count| *count >= number).await.unwrap();
    }

    /// Waits until this many calls wait for upstream calls.
    async fn waited_for_by(&self, number: usize) {
        let wait = async {
            while self.facade.upstream.cache_statistics().waiters != number {
                yield_now().await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(60), wait).await;
        waited.unwrap_or_else(|_| panic!("{:?}", self.facade.upstream.cache_statistics()));
    }
}

/// Returns the cache headers of a response.
fn cache<T>(response: &Response<T>) -> (&str, &str) {
    let metadata = response.metadata();
    (text(metadata, "x-iai-cache"), text(metadata, "age"))
}
