//! A thousand connections of tonic clients reach their maximum age, under calls with pauses between them.
//!
//! tonic fails a call that it was about to send if GOAWAY arrives while another call is in progress on the
//! connection. The service therefore sends GOAWAY in a pause between calls, but cannot detect a call that
//! the client starts at the same time.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hyper_util::rt::TokioIo;
use iai_emulator::{Action, Fault, FaultKind};
use iai_facade::proto::{
    GetGroupInfoRequest, face_recognition_service_client::FaceRecognitionServiceClient,
};
use tokio::{
    net::TcpStream,
    task::JoinSet,
    time::{Instant, interval_at},
};
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use crate::{replica::Replica, report::Report, upstream};

const CHANNELS: usize = 250;

/// Callers per channel.
const CALLERS: usize = 2;

/// The period of each caller's calls, and the latency of upstream.
const PERIOD: Duration = Duration::from_millis(200);
const UPSTREAM_LATENCY: Duration = Duration::from_millis(15);

/// The maximum age of connections, and how many of them must reach it.
const MAX_AGE: &str = "4s";
const CLOSED: usize = 1_000;

/// Upper bound of the calls that the clients fail because GOAWAY arrives as they start.
const MAX_UNSENT: f64 = 10.0;

pub(crate) async fn run() -> Report {
    let emulator = upstream::start().await;
    let delay = Fault::from(FaultKind::Delay(UPSTREAM_LATENCY)).times(u32::MAX);
    emulator.script(delay.on(Action::GetGroupInfo));
    let replica = Replica::start(&emulator.endpoint(), &["--max-connection-age", MAX_AGE]);
    let opened = Arc::new(AtomicUsize::new(0));
    let mut callers = JoinSet::new();
    for _ in 0..CHANNELS {
        let channel = channel(replica.address, Arc::clone(&opened));
        for _ in 0..CALLERS {
            callers.spawn(calls(channel.clone(), Arc::clone(&opened)));
        }
    }

    let outcomes = callers.join_all().await;

    let [made, failed] = outcomes
        .into_iter()
        .reduce(|sum, one| [sum[0] + one[0], sum[1] + one[1]])
        .unwrap();
    let received = upstream::counts(&emulator).total;
    let lost = received as f64 - (made - failed) as f64;
    let mut report = Report::default();
    let closed = opened.load(Ordering::Relaxed) - CHANNELS;
    report.at_least(CLOSED as f64, "connections closed", closed as f64);
    report.note("calls", made as f64);
    report.at_most(0.0, "calls lost", lost);
    report.at_most(
        MAX_UNSENT,
        "calls that the client did not send",
        failed as f64,
    );
    report
}

/// Makes calls until enough connections are closed, and returns the number of calls and of failed calls.
async fn calls(channel: Channel, opened: Arc<AtomicUsize>) -> [usize; 2] {
    let mut client = FaceRecognitionServiceClient::new(channel);
    let mut ticks = interval_at(Instant::now() + PERIOD.mul_f64(fastrand::f64()), PERIOD);
    let [mut made, mut failed] = [0, 0];
    // The last connection of each channel is still open.
    while opened.load(Ordering::Relaxed) < CLOSED + CHANNELS {
        ticks.tick().await;
        let group_id = format!("group-{}", fastrand::usize(..upstream::GROUPS));
        let response = client.get_group_info(GetGroupInfoRequest { group_id });
        made += 1;
        failed += usize::from(response.await.is_err());
    }
    [made, failed]
}

/// Returns a channel that counts its connections.
fn channel(service: SocketAddr, opened: Arc<AtomicUsize>) -> Channel {
    Endpoint::from_static("http://facade").connect_with_connector_lazy(service_fn(move |_| {
        opened.fetch_add(1, Ordering::Relaxed);
        async move { TcpStream::connect(service).await.map(TokioIo::new) }
    }))
}
