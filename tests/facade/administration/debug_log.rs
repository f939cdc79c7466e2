//! The log at level DEBUG: how many lines a call has.

use std::collections::BTreeMap;

use serde_json::Value;
use tempfile::NamedTempFile;

use crate::harness::{Program, client, group};

/// The lines of the service, without those of the emulator.
const DEBUG: [(&str, &str); 1] = [(
    "IAI_FACADE_LOG_LEVEL",
    "info,iai_facade=debug,iai_emulator=off",
)];

/// Two requests that fail and are retried.
const RETRIED: &str =
    "[[faults]]\ntimes = 2\napi_error = { code = 'FailedOperation.ServerError' }\n";
/// A request that is slow, so that another call joins it.
const HELD: &str = "[[faults]]\ndelay = '300ms'\n";
const GROUP: &str = "[[groups]]\ngroup_id = 'aaa'\ngroup_name = 'aaa'\ncreation_timestamp = 0\n";

/// Makes calls for the ids of each round at the same time. Returns the number of lines that these calls may have by
/// their attempts, and the number of lines of each message.
async fn lines(flags: &[&str], faults: &str, rounds: &[&[&str]]) -> (u64, BTreeMap<String, u64>) {
    let fixtures = NamedTempFile::new().unwrap();
    std::fs::write(&fixtures, format!("{faults}{GROUP}")).unwrap();
    let path = fixtures.path().to_str().unwrap();
    let flags = [&["--emulate", "--fixtures", path], flags].concat();
    let (program, addresses) = Program::serve(&flags, &DEBUG).await;
    let client = client(addresses.grpc);
    for ids in rounds {
        let calls = ids.iter().map(|id| {
            let (mut client, id) = (client.clone(), (*id).to_owned());
            tokio::spawn(async move { client.get_group_info(group(&id)).await })
        });
        for call in calls.collect::<Vec<_>>() {
            let _ = call.await.unwrap();
        }
    }
    program.signal("TERM").await;
    let (_, log) = program.ended().await;
    let lines = log.lines().map(|line| serde_json::from_str(line).unwrap());
    let lines = lines.skip_while(|line: &Value| line["message"] != "listening");
    let lines = lines.skip(1);
    let lines: Vec<_> = lines
        .take_while(|line| line["message"] != "stopping")
        .collect();
    let mut messages = BTreeMap::new();
    let mut allowed = 0;
    for line in &lines {
        *messages
            .entry(line["message"].as_str().unwrap().to_owned())
            .or_default() += 1;
        if line["message"] == "call" {
            allowed += 2 + line["upstream.attempts"].as_u64().unwrap();
        }
    }
    (allowed, messages)
}

/// Calls, and the lines that they have.
struct Case {
    name: &'static str,
    flags: &'static [&'static str],
    faults: &'static str,
    /// The ids of calls that are made at the same time, round after round.
    rounds: &'static [&'static [&'static str]],
    failed_attempts: u64,
}

#[tokio::test]
async fn a_call_has_at_most_two_lines_and_one_for_each_attempt() {
    let twice: &[&[&str]] = &[&["aaa"], &["aaa"]];
    let case = |name, flags, faults, rounds, failed_attempts| Case {
        name,
        flags,
        faults,
        rounds,
        failed_attempts,
    };
    let cases = [
        case("uncached", &[], "", twice, 0),
        case("hit", &["--cache-ttl", "1m"], "", twice, 0),
        case("shared", &["--share-calls"], HELD, &[&["aaa", "aaa"]], 0),
        case("retried", &["--max-attempts", "3"], RETRIED, &[&["aaa"]], 2),
        case("rejected", &[], "", &[&["a b"], &["a b"]], 0),
    ];

    for case in cases {
        let (allowed, messages) = lines(case.flags, case.faults, case.rounds).await;
        let name = case.name;
        let count = |message: &str| messages.get(message).copied().unwrap_or_default();
        let calls: usize = case.rounds.iter().map(|ids| ids.len()).sum();
        assert_eq!(count("call"), calls as u64, "{name}");
        assert_eq!(count("attempt failed"), case.failed_attempts, "{name}");
        let total: u64 = messages.values().sum();
        assert!(total <= allowed, "{name}: {messages:?}");
    }
}
