//! Credential providers: each directory of `tests/data/credentials` is one scenario.
//!
//! The emulator replaces IAI, STS and the metadata service. The set-up, events and expected
//! outcome of a scenario are in its `scenario.toml`.

use std::{fs, path::Path, sync::Arc};

use tokio::{sync::Semaphore, task::JoinSet};

use super::{SECRETS, scenario::Scenario};
use crate::harness::trace_log::TraceLog;

/// Number of concurrent scenarios. More would let temporary credentials of a few seconds expire for
/// lack of CPU time.
const MAX_CONCURRENT: usize = 8;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/credentials");

#[tokio::test]
async fn every_scenario_has_its_expected_outcome() {
    let log = TraceLog::listen(SECRETS);
    let mut names: Vec<_> = fs::read_dir(FOLDER)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(names.len() >= 30, "{} scenarios", names.len());

    let permits = Arc::new(Semaphore::new(MAX_CONCURRENT));
    let mut running = JoinSet::new();
    for name in names {
        let permits = Arc::clone(&permits);
        running.spawn(async move {
            let _permit = permits.acquire_owned().await.unwrap();
            let scenario = Scenario::read(&Path::new(FOLDER).join(&name));
            let outcome = tokio::spawn(scenario.run()).await;
            outcome.is_err().then_some(name)
        });
    }
    let failed: Vec<_> = running.join_all().await.into_iter().flatten().collect();
    assert!(failed.is_empty(), "{failed:?}");
    log.assert_is_harmless();
}
