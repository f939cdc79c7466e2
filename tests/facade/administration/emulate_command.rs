//! The command `emulate`: its log, its variables, and its fixtures on SIGHUP.

use std::fs;

use tempfile::NamedTempFile;
use tonic::Code;

use crate::harness::{Program, client, errors, group, run};

const CREDENTIAL: [(&str, &str); 2] = [
    ("TENCENTCLOUD_SECRET_ID", "AKIDEMULATOR"),
    ("TENCENTCLOUD_SECRET_KEY", "emulator-secret"),
];

#[tokio::test]
async fn sighup_reads_the_fixtures_again() {
    let file = NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    fs::write(path, fixture("a")).unwrap();
    let flags = ["emulate", "--listen", "127.0.0.1:0", "--fixtures", path];
    let mut emulator = Program::start(&flags, &[]);
    let endpoint = emulator.line("emulating").await["endpoint"].clone();
    let flags = ["--endpoint", endpoint.as_str().unwrap()];
    let (_service, addresses) = Program::serve(&flags, &CREDENTIAL).await;
    let mut client = client(addresses.grpc);
    client.get_group_info(group("a")).await.unwrap();

    fs::write(path, "rate_limits = 1\n[[groups]]\ngroup_id = 'b'\n").unwrap();
    emulator.signal("HUP").await;
    for mistake in [
        "line 1, column 1: ",
        "line 2, column 1: ",
        "line 2, column 1: ",
    ] {
        let line = emulator
            .line("reload failed, keeping previous version")
            .await;
        assert_eq!(line["what"], "fixtures");
        let reason = line["error.message"].as_str().unwrap();
        assert!(
            reason.starts_with(&format!("{path}: {mistake}")),
            "{reason}"
        );
    }
    client.get_group_info(group("a")).await.unwrap();

    fs::write(path, fixture("b")).unwrap();
    emulator.signal("HUP").await;
    let line = emulator.line("files reloaded").await;
    assert_eq!(line["changes"], "1 group added, 1 group removed");
    client.get_group_info(group("b")).await.unwrap();
    let error = client.get_group_info(group("a")).await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
}

#[tokio::test]
async fn the_log_has_a_line_for_each_call() {
    let listen = [("IAI_FACADE_EMULATOR_LISTEN", "127.0.0.1:0")];
    let mut emulator = Program::start(&["emulate"], &listen);
    let endpoint = emulator.line("emulating").await["endpoint"].clone();
    let flags = ["--endpoint", endpoint.as_str().unwrap()];
    let (_service, addresses) = Program::serve(&flags, &CREDENTIAL).await;
    let mut client = client(addresses.grpc);
    client.get_group_info(group("aaa")).await.unwrap();
    client.get_group_info(group("bbb")).await.unwrap_err();

    for result in ["success", "InvalidParameterValue.GroupIdNotExist"] {
        let line = emulator.line("emulated call").await;
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["action"], "GetGroupInfo");
        assert_eq!(line["result"], result);
        assert!(line["duration_ms"].is_f64(), "{line}");
    }
}

#[tokio::test]
async fn all_mistakes_of_fixtures_are_configuration_errors() {
    let file = NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    fs::write(path, "rate_limit = 0\n[[faults]]\ncut = 'late'\n").unwrap();

    for command in [&["emulate"][..], &["serve", "--emulate"]] {
        let flags = [command, &["--fixtures", path]].concat();
        let output = run(&flags, &[]).await;
        assert_eq!(output.status.code(), Some(64));
        let errors = errors(&output);
        for mistake in ["line 1, column 14: ", "line 3, column 7: "] {
            assert!(
                errors.contains(&format!("--fixtures: {path}: {mistake}")),
                "{errors}"
            );
        }
    }
}

fn fixture(group: &str) -> String {
    format!("[[groups]]\ngroup_id = '{group}'\ngroup_name = 'a'\ncreation_timestamp = 0\n")
}
