//! Calls that are cancelled while they wait in the fair queue.

use std::time::Duration;

use iai_facade::proto::{
    GetGroupInfoRequest, face_recognition_service_client::FaceRecognitionServiceClient,
};
use tokio::{task::JoinSet, time::timeout};
use tonic::Request;

use crate::{open_loop::Caller, replica::Replica, report::Report, upstream};

/// Number of calls that wait at the same time, and the number of their connections.
const WAITING: usize = 800;
const CONNECTIONS: usize = 8;

/// How long a client waits before it cancels a call.
const CANCEL_AFTER: Duration = Duration::from_millis(20);

/// Lower bound of the memory of one waiting call, in bytes: queue entry, timer and waker.
const BYTES_PER_WAITER: f64 = 256.0;

pub(crate) async fn run(is_short: bool) -> Report {
    let calls: usize = if is_short { 300_000 } else { 1_000_000 };
    let emulator = upstream::start().await;
    let flags = ["--upstream-rate", "2", "--max-call-time", "10m"];
    let replica = Replica::start(&emulator.endpoint(), &flags);

    // The first tenth lets buffers and tables grow to their final size.
    make_and_cancel(&replica, calls / 10).await;
    let before = replica.resident();
    make_and_cancel(&replica, calls - calls / 10).await;
    let after = replica.resident();

    let mut report = Report::default();
    report.note("calls that were made and cancelled", calls as f64);
    report.note("upstream calls", upstream::counts(&emulator).total as f64);
    report.note("resident after a tenth of them, MiB", mebibytes(before));
    report.note("resident at the end, MiB", mebibytes(after));
    let growth = after.saturating_sub(before) as f64 / (calls - calls / 10) as f64;
    report.at_most(
        BYTES_PER_WAITER / 4.0,
        "growth of resident memory, bytes per call",
        growth,
    );
    // Calls that are still queued are served before a new one.
    let mut client = FaceRecognitionServiceClient::new(caller(&replica, 0).channel());
    let outcome = timeout(Duration::from_secs(3), client.get_group_info(request(0))).await;
    let is_served = outcome.is_ok_and(|response| response.is_ok());
    report.at_least(
        1.0,
        "new calls served within 3 s, of 1",
        f64::from(u8::from(is_served)),
    );
    report
}

async fn make_and_cancel(replica: &Replica, calls: usize) {
    let mut waiting = JoinSet::new();
    for connection in 0..CONNECTIONS {
        let client = FaceRecognitionServiceClient::new(caller(replica, connection).channel());
        for _ in 0..WAITING / CONNECTIONS {
            let mut client = client.clone();
            waiting.spawn(async move {
                for number in 0..calls / WAITING {
                    let _ = timeout(CANCEL_AFTER, client.get_group_info(request(number))).await;
                }
            });
        }
    }
    waiting.join_all().await;
}

fn request(number: usize) -> Request<GetGroupInfoRequest> {
    let group_id = format!("group-{}", number % upstream::GROUPS);
    let mut request = Request::new(GetGroupInfoRequest { group_id });
    // Long enough that the rate limiter queues every call instead of rejecting it.
    request.set_timeout(Duration::from_secs(600));
    request
}

fn caller(replica: &Replica, number: usize) -> Caller {
    Caller {
        number,
        service: replica.address,
        rate: 1.0,
        timeout: CANCEL_AFTER,
    }
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
