//! Graceful close: calls of tonic's client while its connections receive GOAWAY.
//!
//! If a connection closes before the client has sent a call, tonic returns an error to its caller.
//! Such a call is safe to retry, and the tests retry it. A call that reached the service is never
//! lost.

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use hyper_util::rt::TokioIo;
use iai_facade::proto::face_recognition_service_client::FaceRecognitionServiceClient;
use tokio::{net::TcpStream, sync::watch, task::JoinSet};
use tonic::{
    Status,
    transport::{Channel, Endpoint},
};
use tower::service_fn;

use crate::harness::{Facade, group};

#[tokio::test]
async fn no_call_is_lost_while_a_thousand_connections_close() {
    let flags = ["--max-connection-age", "30ms", "--max-attempts", "1"];
    let facade = Facade::start_with(&flags).await;
    let (_endpoint, endpoints) = watch::channel(facade.addresses.grpc);
    let opened = Arc::new(AtomicUsize::new(0));
    let mut callers = JoinSet::new();
    for _ in 0..20 {
        let channel = channel(endpoints.clone(), Arc::clone(&opened));
        let opened = Arc::clone(&opened);
        callers.spawn(async move {
            let mut outcomes = Outcomes::default();
            // The last connection of each channel is still open.
            while opened.load(Ordering::Relaxed) < 1_020 {
                outcomes.call(&channel).await;
            }
            outcomes
        });
    }

    let outcomes = Outcomes::sum(callers).await;

    assert_eq!(
        facade.emulator.counts_by_code().values().sum::<u64>(),
        outcomes.answered
    );
}

#[tokio::test]
async fn no_call_is_lost_while_a_replica_replaces_another() {
    let facade = Facade::start_with(&["--unready-delay", "200ms"]).await;
    let next = Facade::start().await;
    let (endpoint, endpoints) = watch::channel(facade.addresses.grpc);
    let channel = channel(endpoints, Arc::default());
    let (stop, stopping) = watch::channel(false);
    let mut callers = JoinSet::new();
    for _ in 0..8 {
        let (channel, stopping) = (channel.clone(), stopping.clone());
        callers.spawn(async move {
            let mut outcomes = Outcomes::default();
            while !*stopping.borrow() {
                outcomes.call(&channel).await;
            }
            outcomes
        });
    }
    facade.emulator.wait_for_requests(100).await;

    facade.begin_shutdown();
    endpoint.send(next.addresses.grpc).unwrap();

    next.emulator.wait_for_requests(100).await;
    stop.send(true).unwrap();
    let outcomes = Outcomes::sum(callers).await;
    let received = facade.emulator.counts_by_code().values().sum::<u64>()
        + next.emulator.counts_by_code().values().sum::<u64>();
    assert_eq!(received, outcomes.answered);
    facade.stopped().await;
}

/// Counters of call outcomes.
#[derive(Debug, Default)]
struct Outcomes {
    answered: u64,
    unsent: usize,
}

impl Outcomes {
    /// Sends a call, and sends it again if it did not leave the client.
    async fn call(&mut self, channel: &Channel) {
        let mut client = FaceRecognitionServiceClient::new(channel.clone());
        while let Err(status) = client.get_group_info(group("aaa")).await {
            assert!(is_unsent(&status), "{status:?}");
            self.unsent += 1;
        }
        self.answered += 1;
    }

    async fn sum(callers: JoinSet<Self>) -> Self {
        let outcomes = callers.join_all().await;
        let total = outcomes.into_iter().reduce(|sum, one| Self {
            answered: sum.answered + one.answered,
            unsent: sum.unsent + one.unsent,
        });
        total.unwrap()
    }
}

/// Returns whether a call did not leave the client because its connection was closed or had
/// received GOAWAY.
fn is_unsent(status: &Status) -> bool {
    let transport = status.source().and_then(Error::source);
    let Some(error) = transport.and_then(|error| error.downcast_ref::<hyper::Error>()) else {
        return false;
    };
    let goes_away = error
        .source()
        .and_then(|error| error.downcast_ref::<h2::Error>());
    error.is_canceled() || goes_away.is_some_and(|error| error.is_go_away() && error.is_remote())
}

/// Returns a channel that connects to the address in `endpoints`, and counts its connections.
fn channel(endpoints: watch::Receiver<std::net::SocketAddr>, opened: Arc<AtomicUsize>) -> Channel {
    Endpoint::from_static("http://facade").connect_with_connector_lazy(service_fn(move |_| {
        opened.fetch_add(1, Ordering::Relaxed);
        let address = *endpoints.borrow();
        async move { TcpStream::connect(address).await.map(TokioIo::new) }
    }))
}
