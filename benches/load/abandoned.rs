//! Callers who get in line and go away.

use std::time::Duration;

use iai_facade::proto::{
    GetGroupInfoRequest, face_recognition_service_client::FaceRecognitionServiceClient,
};
use tokio::{task::JoinSet, time::timeout};
use tonic::Request;

use crate::{callers::Caller, replica::Replica, report::Report, upstream};

/// How many wait at a time, and over how many connections.
const WAITING: usize = 800;
const CONNECTIONS: usize = 8;

/// When they have lost patience.
const PATIENCE: Duration = Duration::from_millis(20);

/// What one who waits takes up, in bytes, at the least: its place, its timer, its bell.
const PLACE: f64 = 256.0;

pub(crate) async fn run(is_short: bool) -> Report {
    let calls: usize = if is_short { 300_000 } else { 1_000_000 };
    let emulator = upstream::start().await;
    let flags = ["--upstream-rate", "2", "--max-call-time", "10m"];
    let replica = Replica::start(&emulator.endpoint(), &flags);

    // Buffers and tables have their size after the first tenth, but for what the allocator keeps.
    abandon(&replica, calls / 10).await;
    let before = replica.resident();
    abandon(&replica, calls - calls / 10).await;
    let after = replica.resident();

    let mut report = Report::default();
    report.note("calls that waited and were abandoned", calls as f64);
    report.note(
        "made upstream meanwhile",
        upstream::answered(&emulator).0 as f64,
    );
    report.note("resident after a tenth of them, MiB", mebibytes(before));
    report.note("resident at the end, MiB", mebibytes(after));
    let growth = after.saturating_sub(before) as f64 / (calls - calls / 10) as f64;
    report.at_most(PLACE / 4.0, "resident more, bytes for each call", growth);
    // Whoever is left in line is served before a newcomer.
    let mut client = FaceRecognitionServiceClient::new(caller(&replica, 0).channel());
    let outcome = timeout(Duration::from_secs(3), client.get_group_info(request(0))).await;
    let is_served = outcome.is_ok_and(|answer| answer.is_ok());
    report.at_least(
        1.0,
        "newcomers served within 3 s, of 1",
        f64::from(u8::from(is_served)),
    );
    report
}

async fn abandon(replica: &Replica, calls: usize) {
    let mut waiting = JoinSet::new();
    for connection in 0..CONNECTIONS {
        let client = FaceRecognitionServiceClient::new(caller(replica, connection).channel());
        for _ in 0..WAITING / CONNECTIONS {
            let mut client = client.clone();
            waiting.spawn(async move {
                for number in 0..calls / WAITING {
                    let _ = timeout(PATIENCE, client.get_group_info(request(number))).await;
                }
            });
        }
    }
    waiting.join_all().await;
}

fn request(number: usize) -> Request<GetGroupInfoRequest> {
    let group_id = format!("group-{}", number % upstream::GROUPS);
    let mut request = Request::new(GetGroupInfoRequest { group_id });
    // Long enough for everybody to get in line.
    request.set_timeout(Duration::from_secs(600));
    request
}

fn caller(replica: &Replica, number: usize) -> Caller {
    Caller {
        number,
        service: replica.address,
        rate: 1.0,
        timeout: PATIENCE,
    }
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
