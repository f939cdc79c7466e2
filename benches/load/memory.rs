//! How much memory the cache takes that a hundred thousand answers were put into.

use std::{
    fmt::Write,
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use iai_facade::{
    emulator::{Emulator, Fixtures},
    proto::{
        GetPersonGroupInfoRequest, face_recognition_service_client::FaceRecognitionServiceClient,
    },
};
use tokio::task::JoinSet;

use crate::{callers::Caller, replica::Replica, report::Report};

const ENTRIES: usize = 100_000;

/// The connections over which they are asked for.
const CALLERS: usize = 16;

const MEBIBYTE: f64 = (1 << 20) as f64;

/// Measures the memory of the process once the cache is full, and what share of the answers it keeps.
pub(crate) async fn run(_is_short: bool) -> Report {
    let emulator = Emulator::start((Ipv4Addr::LOCALHOST, 0).into(), fixtures());
    let emulator = emulator.await.unwrap();
    let replica = Replica::start(&emulator.endpoint(), &["--cache-ttl=1d"]);
    let before = replica.resident();

    ask(&replica, 1).await;
    let kept = ask(&replica, 10).await;

    let mut report = Report::default();
    let share = 100.0 * kept as f64 / (ENTRIES / 10) as f64;
    report.at_least(
        99.9,
        "answers of the documented size that are kept, %",
        share,
    );
    let resident = replica.resident() as f64 / MEBIBYTE;
    report.at_most(1.5 * 64.0, "memory of the process, MiB", resident);
    report.note("before, MiB", before as f64 / MEBIBYTE);
    report
}

/// Asks for one of so many persons, and returns how many answers were kept ones.
async fn ask(replica: &Replica, one_of: usize) -> usize {
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
            for person in (number * one_of..ENTRIES).step_by(CALLERS * one_of) {
                let request = GetPersonGroupInfoRequest {
                    person_id: format!("person-{person:06}"),
                    offset: 0,
                    limit: 0,
                };
                let answer = client.get_person_group_info(request).await.unwrap();
                let is_hit = answer.metadata().get("x-iai-cache").unwrap() == "hit";
                hits.fetch_add(is_hit.into(), Ordering::Relaxed);
            }
        });
    }
    workers.join_all().await;
    hits.load(Ordering::Relaxed)
}

/// Returns an account of persons who are in the documented group.
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
