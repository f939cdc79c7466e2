//! Environment variables: each one on the list takes effect, counts as unset if empty, and is
//! validated.

use std::{collections::BTreeSet, fs, process::Output, time::Duration};

use clap::{Args, Command};
use iai_facade::{
    cli::{call::CallArgs, probe::ProbeArgs},
    config::{EmulateArgs, ServeArgs},
};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::harness::{Program, authority::Authority, client, errors, group, run, start_emulator};

const LIST: &str = include_str!("../../data/variables.csv");

/// Variables of the vendor's tools that credential providers read.
const VENDOR_LIST: &str = include_str!("../../data/vendor_credentials.csv");

/// One variable. Values may name files that the test creates, such as `{cert}`.
struct Row {
    name: &'static str,
    owner: &'static str,
    /// Flags for all cases of the variable.
    flags: &'static str,
    /// Other variables that this one depends on, set in all cases.
    with: &'static str,
    good: &'static str,
    /// Empty if every value is valid.
    bad: &'static str,
    /// The exit code and error message for an invalid value.
    exit: i32,
    error: &'static str,
}

fn rows() -> impl Iterator<Item = Row> {
    LIST.lines().skip(1).map(|line| {
        let cells: Vec<_> = line.split(',').collect();
        let [name, owner, _, flags, with, good, bad, exit, error] = cells[..] else {
            panic!("{line}");
        };
        Row {
            name,
            owner,
            flags,
            with,
            good,
            bad,
            exit: exit.parse().unwrap(),
            error,
        }
    })
}

#[test]
fn no_variable_is_missing_from_the_list() {
    let listed: BTreeSet<_> = rows().map(|row| row.name.to_owned()).collect();
    let commands = [
        ServeArgs::augment_args(Command::new("serve")),
        EmulateArgs::augment_args(Command::new("emulate")),
        CallArgs::augment_args(Command::new("call")),
        ProbeArgs::augment_args(Command::new("probe")),
    ];
    let arguments = commands.iter().flat_map(Command::get_arguments);
    let settings: BTreeSet<_> = arguments
        .filter_map(|argument| argument.get_env())
        .map(|name| name.to_str().unwrap().to_owned())
        .collect();
    let vendors: BTreeSet<_> = VENDOR_LIST
        .lines()
        .filter_map(|line| line.strip_prefix("variable,"))
        .map(|line| line.split(',').next().unwrap().to_owned())
        .collect();

    let ours = listed.iter().filter(|name| name.starts_with("IAI_FACADE_"));
    let ours: BTreeSet<_> = ours.cloned().collect();
    let differing: Vec<_> = ours.symmetric_difference(&settings).collect();
    assert!(differing.is_empty(), "{differing:?}");
    assert!(vendors.is_subset(&listed), "{vendors:?}");
}

#[tokio::test]
async fn each_variable_takes_effect_unless_empty_and_is_validated() {
    let files = Files::new();
    for row in rows() {
        let with: Vec<_> = row
            .with
            .split(';')
            .filter_map(|it| it.split_once('='))
            .collect();
        for value in ["", row.good] {
            let output = files.run(&row, &with, value, true).await;
            let errors = errors(&output);
            let is_rejected = match row.owner {
                "iai-facade probe" => output.status.code() == Some(row.exit),
                // The intentionally invalid setting must be the only error.
                _ => errors.lines().count() != 1 || !errors.contains(alone(&row)[0]),
            };
            // One file of a pair is rejected if the other is empty or missing.
            let is_half = value.is_empty() && row.with.starts_with("IAI_FACADE_");
            assert!(!is_rejected || is_half, "{}=`{value}`: {errors}", row.name);
            if is_half {
                let unset = files.run_without(&row, &with).await;
                assert_eq!(errors, self::errors(&unset), "{}", row.name);
            }
        }
        if !row.bad.is_empty() {
            let output = files.run(&row, &with, row.bad, false).await;
            let errors = errors(&output);
            let code = output.status.code();
            assert_eq!(code, Some(row.exit), "{}: {errors}", row.name);
            assert!(errors.contains(row.error), "{}: {errors}", row.name);
            assert!(!errors.contains("panicked"), "{}: {errors}", row.name);
        }
    }
}

#[tokio::test]
async fn all_configuration_errors_are_reported_at_once_with_exit_code_64() {
    // Fixtures are not read while --emulate is invalid.
    let is_checked = |row: &Row| row.exit == 64 && row.name != "IAI_FACADE_FIXTURES";
    let invalid = rows().filter(|row| row.owner == "iai-facade" && is_checked(row));
    let invalid = invalid.map(|row| (flag(row.name), row.bad, row.error));
    let half = (
        "--secret-id-file".to_owned(),
        "/nowhere",
        "--secret-key-file: ",
    );
    let cases: Vec<_> = invalid.chain([half]).collect();
    let flags = cases.iter().flat_map(|(flag, bad, _)| [flag.as_str(), bad]);
    let arguments: Vec<_> = ["serve"].into_iter().chain(flags).collect();

    let output = run(&arguments, &[]).await;

    let errors = errors(&output);
    assert_eq!(output.status.code(), Some(64), "{errors}");
    for (flag, _, error) in &cases {
        assert!(
            errors.contains(error),
            "{flag}: {error} is not in:\n{errors}"
        );
    }
    assert_eq!(errors.lines().count(), cases.len(), "{errors}");
}

#[tokio::test]
async fn empty_variables_leave_the_defaults() {
    let variables: Vec<_> = rows().map(|row| (row.name, "")).collect();
    let flags = ["--emulate", "--log-format", "json", "--unready-delay", "0s"];
    let (_program, addresses) = Program::serve(&flags, &variables).await;

    let mut client = client(addresses.grpc);
    client.get_group_info(group("aaa")).await.unwrap();
}

#[tokio::test]
async fn an_empty_ca_file_variable_counts_as_unset() {
    let authority = Authority::new();
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("authority.pem"), authority.pem()).unwrap();
    let variables = [
        ("TENCENTCLOUD_SECRET_ID", "id"),
        ("TENCENTCLOUD_SECRET_KEY", "key"),
        ("SSL_CERT_FILE", ""),
        ("SSL_CERT_DIR", folder.path().to_str().unwrap()),
    ];

    Program::serve(&[], &variables).await;
}

#[tokio::test]
async fn the_region_flag_overrides_the_variables() {
    let emulator = start_emulator().await;
    let endpoint = emulator.endpoint();
    let [ours, theirs] = ["IAI_FACADE_REGION", "TENCENTCLOUD_REGION"];
    type Named<'a> = &'a [&'a str];
    let cases: [(Named<'_>, &str, &str, Option<&str>); 6] = [
        (&["--region", "ap-a"], "ap-b", "ap-c", Some("ap-a")),
        (&["--region", "none"], "ap-b", "ap-c", None),
        (&[], "ap-b", "ap-c", Some("ap-b")),
        (&[], "none", "ap-c", None),
        (&[], "", "ap-c", Some("ap-c")),
        (&[], "", "", None),
    ];
    for (flags, our, their, expected) in cases {
        let variables = [
            ("TENCENTCLOUD_SECRET_ID", "AKIDEMULATOR"),
            ("TENCENTCLOUD_SECRET_KEY", "emulator-secret"),
            (ours, our),
            (theirs, their),
        ];
        let flags = [&["--endpoint", &endpoint], flags].concat();
        let (_program, addresses) = Program::serve(&flags, &variables).await;

        let mut client = client(addresses.grpc);
        client.get_group_info(group("aaa")).await.unwrap();

        let calls = emulator.requests();
        let region = &calls.last().unwrap().region;
        assert_eq!(region.as_deref(), expected, "{flags:?} {our} {their}");
    }
}

/// Returns the flag of a variable.
fn flag(variable: &str) -> String {
    let name = variable.strip_prefix("IAI_FACADE_").unwrap();
    format!("--{}", name.replace('_', "-").to_lowercase())
}

/// Returns flags that make the command fail with a single error besides the variable.
fn alone(row: &Row) -> [&'static str; 2] {
    match (row.owner, row.name) {
        ("iai-facade emulate", _) => ["--log-level", "loud"],
        (_, "IAI_FACADE_LANGUAGE") => ["--max-attempts", "0"],
        _ => ["--language", "de-DE"],
    }
}

/// The files that the list refers to.
struct Files {
    folder: TempDir,
    paths: Vec<(&'static str, String)>,
    _authority: Authority,
}

impl Files {
    fn new() -> Self {
        let authority = Authority::new();
        let server = authority.server();
        let folder = TempDir::new().unwrap();
        let mut paths = vec![
            ("{ca}", authority.path()),
            ("{cert}", server.cert),
            ("{key}", server.key),
            ("{folder}", folder.path().to_str().unwrap().to_owned()),
        ];
        for (name, text) in [
            ("{id}", "AKIDtest".to_owned()),
            ("{tokens}", format!("orders {}\n", "0".repeat(64))),
            ("{hash_key}", "0".repeat(16)),
            ("{fixtures}", String::new()),
            (
                "{profile}",
                "[default]\nsecret_id = a\nsecret_key = b\n[tests]\nsecret_id = a\nsecret_key = b\n"
                    .to_owned(),
            ),
        ] {
            let path = folder.path().join(&name[1..name.len() - 1]);
            fs::write(&path, text).unwrap();
            paths.push((name, path.to_str().unwrap().to_owned()));
        }
        Self {
            folder,
            paths,
            _authority: authority,
        }
    }

    /// Runs the command of `row` with its variable set to `value`.
    async fn run(&self, row: &Row, with: &[(&str, &str)], value: &str, fails: bool) -> Output {
        let variables = [with, &[(row.name, value)]].concat();
        self.start(row, &variables, fails).await
    }

    async fn run_without(&self, row: &Row, with: &[(&str, &str)]) -> Output {
        self.start(row, with, true).await
    }

    /// Runs the program until it exits; `serve` and `emulate` exit because of an invalid setting if
    /// `fails`.
    async fn start(&self, row: &Row, variables: &[(&str, &str)], fails: bool) -> Output {
        assert!(self.folder.path().exists());
        let command = row.owner.strip_prefix("iai-facade ").unwrap_or("serve");
        let mut arguments: Vec<_> = [command]
            .into_iter()
            .chain(row.flags.split_whitespace())
            .collect();
        if fails && command != "probe" {
            arguments.extend(alone(row));
        }
        let variables: Vec<_> = variables
            .iter()
            .map(|(name, value)| (*name, self.filled(value)))
            .collect();
        let variables: Vec<_> = variables
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let ended = timeout(Duration::from_secs(30), run(&arguments, &variables)).await;
        ended.unwrap_or_else(|_| panic!("{} does not end", row.name))
    }

    fn filled(&self, value: &str) -> String {
        let mut value = value.to_owned();
        for (name, path) in &self.paths {
            value = value.replace(name, path);
        }
        value
    }
}
