//! What becomes of the calls of tonic's own client as its connections end.
//!
//! It hands a call that it has not sent when a connection ends back to its caller as an error. Such a
//! call is safe to make again, and is here. One that reached the service is never lost.

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
async fn no_call_is_lost_while_a_thousand_connections_end() {
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
            // The last of each channel has not ended yet.
            while opened.load(Ordering::Relaxed) < 1_020 {
                outcomes.call(&channel).await;
            }
            outcomes
        });
    }

    let outcomes = Outcomes::sum(callers).await;

    assert_eq!(
        facade.emulator.tally().values().sum::<u64>(),
        outcomes.answered
    );
}

#[tokio::test]
async fn no_call_is_lost_as_the_service_stops_and_another_takes_its_place() {
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
    facade.emulator.called(100).await;

    facade.begin_shutdown();
    endpoint.send(next.addresses.grpc).unwrap();

    next.emulator.called(100).await;
    stop.send(true).unwrap();
    let outcomes = Outcomes::sum(callers).await;
    let received =
        facade.emulator.tally().values().sum::<u64>() + next.emulator.tally().values().sum::<u64>();
    assert_eq!(received, outcomes.answered);
    facade.stopped().await;
}

/// What became of calls.
#[derive(Debug, Default)]
struct Outcomes {
    answered: u64,
    unsent: usize,
}

impl Outcomes {
    /// Makes a call, and makes it again if it was not sent.
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

/// Tells whether a call did not leave the client: its connection had ended, or was told to end.
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

/// Returns a channel that connects to where `endpoints` points, and counts how often it does.
fn channel(endpoints: watch::Receiver<std::net::SocketAddr>, opened: Arc<AtomicUsize>) -> Channel {
    Endpoint::from_static("http://facade").connect_with_connector_lazy(service_fn(move |_| {
        opened.fetch_add(1, Ordering::Relaxed);
        let address = *endpoints.borrow();
        async move { TcpStream::connect(address).await.map(TokioIo::new) }
    }))
}
