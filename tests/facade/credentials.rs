//! Where credentials come from: each folder of `tests/data/credentials` is one scenario.
//!
//! The emulator stands for IAI, for STS and for the metadata service. What a scenario does and
//! expects is in its `scenario.toml`; nothing here knows one of them.

mod readiness;
mod rotation;
mod scenario;
mod vendor_names;
mod ways;

use std::{fs, path::Path, sync::Arc};

use tokio::{sync::Semaphore, task::JoinSet};

use self::scenario::Scenario;
use crate::loud_log::LoudLog;

/// How many run at the same time: temporary credentials of seconds must not expire for want of a
/// processor.
const AT_ONCE: usize = 8;

/// Every secret has one of these in it: of the scenarios, of the rotations, and of what the emulator
/// has by itself or issues.
const SECRETS: [&str; 5] = [
    "correct-horse",
    "key-of-round",
    "emulator-secret",
    "temporary-key",
    "temporary-token",
];

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/credentials");

#[tokio::test]
async fn every_scenario_goes_as_it_is_written() {
    let log = LoudLog::listen(SECRETS);
    let mut names: Vec<_> = fs::read_dir(FOLDER)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(names.len() >= 30, "{} scenarios", names.len());

    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    for name in names {
        let places = Arc::clone(&places);
        running.spawn(async move {
            let _place = places.acquire_owned().await.unwrap();
            let scenario = Scenario::read(&Path::new(FOLDER).join(&name));
            let outcome = tokio::spawn(scenario.run()).await;
            outcome.is_err().then_some(name)
        });
    }
    let failed: Vec<_> = running.join_all().await.into_iter().flatten().collect();
    assert!(failed.is_empty(), "{failed:?}");
    log.assert_is_harmless();
}
