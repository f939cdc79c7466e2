//! A thousand connections of tonic's clients that end with their age, under calls that leave a pause
//! now and then.
//!
//! tonic returns a call that it was about to send as failed if the connection was told to go away
//! while another call was in progress on it. The service looks for a moment in which there is none, but
//! cannot know of a call that begins in that moment.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hyper_util::rt::TokioIo;
use iai_facade::{
    emulator::{Action, Fault, FaultKind},
    proto::{GetGroupInfoRequest, face_recognition_service_client::FaceRecognitionServiceClient},
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

/// How many call over each.
const CALLERS: usize = 2;

/// How often each of them calls, and how long upstream takes to answer.
const PERIOD: Duration = Duration::from_millis(200);
const UPSTREAM: Duration = Duration::from_millis(15);

/// How long connections last, and how many must have ended.
const AGE: &str = "4s";
const ENDINGS: usize = 1_000;

/// How many calls may begin in the moment in which the service has just seen none.
const MAX_UNSENT: f64 = 10.0;

pub(crate) async fn run() -> Report {
    let emulator = upstream::start().await;
    let delay = Fault::from(FaultKind::Delay(UPSTREAM)).times(u32::MAX);
    emulator.script(delay.on(Action::GetGroupInfo));
    let replica = Replica::start(&emulator.endpoint(), &["--max-connection-age", AGE]);
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
    let (received, _) = upstream::answered(&emulator);
    let lost = received as f64 - (made - failed) as f64;
    let mut report = Report::default();
    let endings = opened.load(Ordering::Relaxed) - CHANNELS;
    report.at_least(
        ENDINGS as f64,
        "connections that have ended",
        endings as f64,
    );
    report.note("calls", made as f64);
    report.at_most(0.0, "calls that were lost", lost);
    report.at_most(MAX_UNSENT, "calls that came back unsent", failed as f64);
    report
}

/// Calls until enough connections have ended, and returns how many calls were made and how many failed.
async fn calls(channel: Channel, opened: Arc<AtomicUsize>) -> [usize; 2] {
    let mut client = FaceRecognitionServiceClient::new(channel);
    let mut ticks = interval_at(Instant::now() + PERIOD.mul_f64(fastrand::f64()), PERIOD);
    let [mut made, mut failed] = [0, 0];
    // The last of each channel has not ended.
    while opened.load(Ordering::Relaxed) < ENDINGS + CHANNELS {
        ticks.tick().await;
        let group_id = format!("group-{}", fastrand::usize(..upstream::GROUPS));
        let answer = client.get_group_info(GetGroupInfoRequest { group_id });
        made += 1;
        failed += usize::from(answer.await.is_err());
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
