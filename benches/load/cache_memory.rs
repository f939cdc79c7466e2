//! Memory of a cache with a hundred thousand responses.

use std::{
    fmt::Write,
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use iai_emulator::{Emulator, Fixtures};
use iai_facade::proto::{
    GetPersonGroupInfoRequest, face_recognition_service_client::FaceRecognitionServiceClient,
};
use tokio::task::JoinSet;

use crate::{open_loop::Caller, replica::Replica, report::Report};

const ENTRIES: usize = 100_000;

/// Number of connections.
const CALLERS: usize = 16;

const MEBIBYTE: f64 = (1 << 20) as f64;

/// Measures the share of the responses that the cache holds, and the memory of the process.
pub(crate) async fn run() -> Report {
    let emulator = Emulator::start((Ipv4Addr::LOCALHOST, 0).into(), fixtures());
    let emulator = emulator.await.unwrap();
    let replica = Replica::start(&emulator.endpoint(), &["--cache-ttl=1d"]);
    let before = replica.resident();

    request_every(1, &replica).await;
    let hits = request_every(10, &replica).await;

    let mut report = Report::default();
    let share = 100.0 * hits as f64 / (ENTRIES / 10) as f64;
    report.at_least(99.9, "responses of the documented size cached, %", share);
    let resident = replica.resident() as f64 / MEBIBYTE;
    report.at_most(1.5 * 64.0, "resident with a full cache, MiB", resident);
    report.note("resident before, MiB", before as f64 / MEBIBYTE);
    report
}

/// Requests every `step`th person, and returns the number of cache hits.
async fn request_every(step: usize, replica: &Replica) -> usize {
    let hits = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    for number in 0..CALLERS {
        let caller = Caller {
            number,
            service: replica.address,
            rate: 0.0,
            timeout: Duration::from_secs(10),
        };
        let mut client = FaceRecognitionServiceClient::new(caller.channel());
        let hits = Arc::clone(&hits);
        workers.spawn(async move {
            for person in (number * step..ENTRIES).step_by(CALLERS * step) {
                let request = GetPersonGroupInfoRequest {
                    person_id: format!("person-{person:06}"),
                    offset: 0,
                    limit: 0,
                };
                let response = client.get_person_group_info(request).await.unwrap();
                let is_hit = response.metadata().get("x-iai-cache").unwrap() == "hit";
                hits.fetch_add(is_hit.into(), Ordering::Relaxed);
            }
        });
    }
    workers.join_all().await;
    hits.load(Ordering::Relaxed)
}

/// Returns an account whose persons are in the documented group.
fn fixtures() -> Fixtures {
    let mut text = String::new();
    for person in 0..ENTRIES {
        write!(
            text,
            "[[persons]]\nperson_id = \"person-{person:06}\"\n[[persons.groups]]\n\
             group_id = \"ZhuYuanDormitoryNo1\"\nperson_ex_descriptions = \
             [\"School of Computer Science\", \"Software Engineering\", \"Class of 2015\", \
             \"3150108080\"]\n"
        )
        .unwrap();
    }
    Fixtures::parse(&text).unwrap()
}
