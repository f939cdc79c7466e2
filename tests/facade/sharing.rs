//! One upstream call for equal calls that are under way at the same time.

use std::{sync::Arc, time::Duration};

use iai_facade::proto::GetGroupInfoResponse;
use tokio::{
    io::AsyncWriteExt,
    sync::watch,
    task::{JoinHandle, JoinSet, yield_now},
};
use tonic::{Code, Request, Response, Status};

use crate::{
    harness::{Facade, group, start_emulator, text},
    raw_upstream::{RawUpstream, hold, read_request},
};

const GROUP: &str = r#"{"Response":{"GroupId":"aaa","RequestId":"r"}}"#;

const REFUSAL: &str =
    r#"{"Response":{"Error":{"Code":"UnauthorizedOperation","Message":"m"},"RequestId":"r"}}"#;

#[tokio::test]
async fn a_thousand_equal_calls_at_once_make_one_upstream_call() {
    let gated = Gated::start(&["--share-calls"]).await;
    let mut calls = JoinSet::new();
    for _ in 0..10 {
        // A connection has room for 200 calls.
        let client = gated.facade.client();
        for _ in 0..100 {
            let mut client = client.clone();
            calls.spawn(async move { client.get_group_info(group("aaa")).await.unwrap() });
        }
    }
    gated.waited_for_by(1_000).await;

    gated.answer(GROUP);

    let answers = calls.join_all().await;
    assert_eq!(answers.len(), 1_000);
    let of = |origin| {
        let is_of = |answer: &&Response<GetGroupInfoResponse>| cache(answer) == (origin, "0");
        answers.iter().filter(is_of).count()
    };
    assert_eq!((of("miss"), of("shared")), (1, 999));
    assert_eq!(gated.requests(), 1);
    gated.waited_for_by(0).await;
}

#[tokio::test]
async fn neither_the_first_caller_nor_all_but_one_end_anything_for_the_rest() {
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
    gated.answer(GROUP);

    assert_eq!(cache(&last.await.unwrap().unwrap()), ("shared", "0"));
    assert_eq!(gated.requests(), 1);
}

#[tokio::test]
async fn a_flight_that_all_have_left_ends() {
    let mut gated = Gated::start(&["--share-calls"]).await;
    let calls = [(); 10].map(|()| gated.call(&[]));
    gated.waited_for_by(10).await;
    gated.requested(1).await;

    calls.iter().for_each(JoinHandle::abort);

    gated.upstream.abandoned().await;
    gated.waited_for_by(0).await;
    assert_eq!(gated.facade.upstream.statistics().flights_in_progress, 0);
}

#[tokio::test]
async fn those_with_a_later_deadline_than_the_flights_get_their_answer_from_one_more() {
    let gated = Gated::start(&["--share-calls", "--max-call-time", "60s"]).await;
    let hasty = gated.call(&[("grpc-timeout", "500m")]);
    gated.waited_for_by(1).await;
    let patient = [(); 5].map(|()| gated.call(&[]));

    // The deadline of the first has passed, and the flight with it.
    gated.requested(2).await;
    gated.waited_for_by(5).await;
    gated.answer(GROUP);

    // The second is tonic's own, should its clock be the first.
    let codes = [Code::DeadlineExceeded, Code::Cancelled];
    let status = hasty.await.unwrap().unwrap_err();
    assert!(codes.contains(&status.code()), "{status}");
    for call in patient {
        call.await.unwrap().unwrap();
    }
    assert_eq!(gated.requests(), 2);
}

#[tokio::test]
async fn a_flight_that_fails_fails_all_with_the_same_error_and_is_not_kept() {
    let gated = Gated::start(&["--share-calls", "--cache-ttl", "1h"]).await;
    let calls = [(); 10].map(|()| gated.call(&[]));
    gated.waited_for_by(10).await;

    gated.answer(REFUSAL);

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

    gated.answer(GROUP);
    let answer = gated.call(&[]).await.unwrap().unwrap();
    assert_eq!(cache(&answer), ("miss", "0"));
}

#[tokio::test]
async fn a_call_with_no_cache_shares_nothing_with_others() {
    let gated = Gated::start(&["--share-calls"]).await;
    let no_cache = [("cache-control", "No-Cache")];

    let calls = [gated.call(&no_cache), gated.call(&no_cache)];
    gated.requested(2).await;
    let shared = gated.call(&[]);
    gated.requested(3).await;
    let after = gated.call(&no_cache);
    gated.requested(4).await;
    gated.waited_for_by(1).await;
    gated.answer(GROUP);

    for call in calls.into_iter().chain([shared, after]) {
        assert_eq!(cache(&call.await.unwrap().unwrap()), ("miss", "0"));
    }
}

#[tokio::test]
async fn without_the_setting_each_call_is_its_own() {
    let gated = Gated::start(&["--cache-ttl", "1h"]).await;

    let calls = [gated.call(&[]), gated.call(&[])];
    gated.requested(2).await;
    gated.answer(GROUP);

    for call in calls {
        assert_eq!(cache(&call.await.unwrap().unwrap()), ("miss", "0"));
    }
}

/// A service whose upstream answers when it is told to.
struct Gated {
    facade: Facade,
    upstream: RawUpstream,
    requests: watch::Receiver<usize>,
    gate: watch::Sender<Option<&'static str>>,
}

impl Gated {
    async fn start(flags: &[&str]) -> Self {
        let (count, requests) = watch::channel(0);
        let (gate, answer) = watch::channel(None);
        let count = Arc::new(count);
        let upstream = RawUpstream::start(move |mut stream| {
            let (count, mut answer) = (Arc::clone(&count), answer.clone());
            async move {
                if !read_request(&mut stream).await {
                    return;
                }
                count.send_modify(|requests| *requests += 1);
                let body: &str = tokio::select! {
                    body = answer.wait_for(Option::is_some) => body.unwrap().unwrap(),
                    // Whoever gave up has closed the connection.
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

    /// Answers all requests, those that wait and those that follow.
    fn answer(&self, body: &'static str) {
        self.gate.send_replace(Some(body));
    }

    /// Asks for the group, over a connection of its own.
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

    /// Waits until upstream has received so many requests.
    async fn requested(&self, number: usize) {
        let mut requests = self.requests.clone();
        requests.wait_for(|count| *count >= number).await.unwrap();
    }

    /// Waits until so many calls wait for flights.
    async fn waited_for_by(&self, number: usize) {
        let wait = async {
            while self.facade.upstream.statistics().waiters != number {
                yield_now().await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(60), wait).await;
        waited.unwrap_or_else(|_| panic!("{:?}", self.facade.upstream.statistics()));
    }
}

/// Returns what an answer says of the cache.
fn cache<T>(answer: &Response<T>) -> (&str, &str) {
    let metadata = answer.metadata();
    (text(metadata, "x-iai-cache"), text(metadata, "age"))
}
