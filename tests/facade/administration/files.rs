//! Special files: pipes, devices, directories, oversized files, and files of another user.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command, Stdio},
};

use rustix::process::geteuid;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::harness::{Program, authority::Authority, errors, fifo, http, run, start_emulator};

/// An unprivileged user id that owns no files.
const UNPRIVILEGED: u32 = 65_534;

#[tokio::test]
async fn a_path_that_is_not_a_regular_file_stops_the_start_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = fifo(folder.path());
    let huge = folder.path().join("huge");
    fs::File::create(&huge).unwrap().set_len(1 << 40).unwrap();
    let authority = Authority::new();
    let server = authority.server();
    let pair = ["--tls-cert", &server.cert, "--tls-key", &server.key];
    let cases: [(&str, &[&str], &str); 9] = [
        ("--tls-cert", &["--tls-key", &server.key], "4 MiB"),
        ("--tls-key", &["--tls-cert", &server.cert], "64 KiB"),
        ("--tls-client-ca", &pair, "4 MiB"),
        ("--tokens-file", &[], "4 MiB"),
        ("--upstream-ca", &[], "4 MiB"),
        ("--log-hash-key-file", &[], "64 KiB"),
        ("--fixtures", &["--emulate"], "16 MiB"),
        (
            "--secret-id-file",
            &["--secret-key-file", &server.key],
            "64 KiB",
        ),
        (
            "--secret-key-file",
            &["--secret-id-file", &server.key],
            "64 KiB",
        ),
    ];
    let mut running = JoinSet::new();
    for (flag, beside, limit) in cases {
        for (file, problem) in [
            (&fifo, "a pipe"),
            (
                &PathBuf::from("/dev/zero"),
                "not a regular file but a device",
            ),
            (
                &folder.path().to_owned(),
                "not a regular file but a directory",
            ),
            (&huge, limit),
        ] {
            let file = file.to_str().unwrap().to_owned();
            let arguments = [&["serve", flag, &file], beside].concat();
            let arguments: Vec<_> = arguments.into_iter().map(str::to_owned).collect();
            let problem = match problem {
                // These files are read once; a read of a pipe waits for its writer.
                "a pipe" if READ_ONCE.contains(&flag) => "not read within 5s",
                problem => problem,
            };
            running.spawn(async move {
                let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
                let output = run(&arguments, &[]).await;
                let report = errors(&output);
                let expected = match flag {
                    "--secret-id-file" | "--secret-key-file" => 1,
                    _ => 64,
                };
                assert_eq!(output.status.code(), Some(expected), "{report}");
                for words in [&file, problem] {
                    assert!(report.contains(words), "{flag}: {words} is not in {report}");
                }
            });
        }
    }
    running.join_all().await;
}

/// Settings whose files are not reloaded.
const READ_ONCE: [&str; 3] = ["--upstream-ca", "--log-hash-key-file", "--fixtures"];

#[tokio::test]
async fn a_shell_pipe_works_for_files_that_are_read_once() {
    let script = r#"exec "$0" serve --emulate --log-format json --listen 127.0.0.1:0 \
        --admin-listen 127.0.0.1:0 --log-hash-key-file <(echo a-key-of-16-bytes) \
        --fixtures <(echo 'clock_offset = "0s"')"#;
    let mut child = tokio::process::Command::new("bash")
        .args(["-c", script, env!("CARGO_BIN_EXE_iai-facade")])
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut log = tokio::io::BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("listening") {
        line.clear();
        let count = tokio::io::AsyncBufReadExt::read_line(&mut log, &mut line);
        assert_ne!(count.await.unwrap(), 0, "it ended");
    }
}

#[tokio::test]
async fn an_unreadable_default_profile_is_skipped_with_a_warning() {
    let emulator = start_emulator().await;
    emulator.set_instance_role(Some("iai-reader"));
    let endpoint = emulator.endpoint();
    let home = Home::new();
    let flags = ["--endpoint", &endpoint, "--metadata-endpoint", &endpoint];
    let variables = [("HOME", home.path())];

    let program = home.program(&flags, &variables);
    let (program, addresses) = Program::of(program).await;
    let log = program.read().join("\n");
    assert!(log.contains("Permission denied"), "{log}");
    assert_eq!(http(addresses.admin, "GET", "/readyz", "").await.0, 200);
    let warnings = log.matches("profile file not readable, skipped");
    assert_eq!(warnings.count(), 1, "{log}");

    // An explicit file or profile must be readable.
    let named = home.file();
    let variables = [("TENCENTCLOUD_CREDENTIALS_FILE", named.as_str())];
    let report = home.startup_error(&flags, &variables);
    assert!(
        report.contains("the file of TENCENTCLOUD_CREDENTIALS_FILE, "),
        "{report}"
    );
    let flags = [&flags[..], &["--profile", "default"]].concat();
    let report = home.startup_error(&flags, &[("HOME", home.path())]);
    assert!(report.contains("the profile file: "), "{report}");
}

/// A home directory that the program may not read.
struct Home {
    folder: TempDir,
    /// A copy of the program in a readable directory, since the checkout may be in an unreadable
    /// home.
    copy: TempDir,
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let profile = folder.path().join(".tencentcloud");
        fs::create_dir(&profile).unwrap();
        let text = "[default]\nsecret_id = AKIDhome\nsecret_key = correct-horse\n";
        fs::write(profile.join("credentials"), text).unwrap();
        fs::set_permissions(&profile, Permissions::from_mode(0o000)).unwrap();
        let copy = tempfile::tempdir().unwrap();
        fs::set_permissions(&copy, Permissions::from_mode(0o755)).unwrap();
        fs::copy(
            env!("CARGO_BIN_EXE_iai-facade"),
            copy.path().join("program"),
        )
        .unwrap();
        Self { folder, copy }
    }

    fn path(&self) -> &str {
        self.folder.path().to_str().unwrap()
    }

    fn file(&self) -> String {
        format!("{}/.tencentcloud/credentials", self.path())
    }

    /// Returns a command that runs `serve` on free ports, as another user if this one is root.
    fn program(&self, flags: &[&str], variables: &[(&str, &str)]) -> Command {
        let mut program = Command::new(self.copy.path().join("program"));
        let ports = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
        program
            .arg("serve")
            .args(ports)
            .args(flags)
            .env_clear()
            .envs(variables.iter().copied());
        if geteuid().is_root() {
            std::os::unix::process::CommandExt::uid(&mut program, UNPRIVILEGED);
        }
        program
    }

    /// Returns the error with which the start fails.
    fn startup_error(&self, flags: &[&str], variables: &[(&str, &str)]) -> String {
        let output = self.program(flags, variables).output().unwrap();
        let report = errors(&output);
        assert_eq!(output.status.code(), Some(1), "{report}");
        assert!(report.contains("Permission denied"), "{report}");
        report
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let profile = self.folder.path().join(".tencentcloud");
        let _ = fs::set_permissions(profile, Permissions::from_mode(0o700));
    }
}
