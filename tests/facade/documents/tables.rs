//! Tables of docs/ and the threat model, compared with the program and the tests.

use std::{collections::BTreeSet, fs, net::Ipv4Addr, time::Duration};

use clap::{Args, Command, ValueEnum};
use iai_facade::{
    config::{CredentialSource, ServeArgs},
    context::{Context, Deadline, Identity, Subject},
    credentials::Unavailable,
    operation::{InvalidReply, InvalidRequest, get_person_group_info::PERSON_NOT_FOUND},
    proto::ErrorReason,
    proto::grpc_code,
    service::{Failure, Unauthenticated},
    upstream::{ApiError, Error},
};
use tokio::time::Instant;
use tonic::Status;
use tonic_types::StatusExt;

use super::markdown::table;
use crate::harness::{own_reason, text};

const CONFIGURATION: &str = "docs/configuration.md";
const BEGIN: &str = "<!-- settings -->\n";
const END: &str = "<!-- end of settings -->\n";

#[test]
fn the_documented_settings_are_those_of_the_program() {
    let document = fs::read_to_string(CONFIGURATION).unwrap();
    let (before, rest) = document.split_once(BEGIN).unwrap();
    let (written, after) = rest.split_once(END).unwrap();
    let expected = settings();

    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(
            CONFIGURATION,
            [before, BEGIN, &expected, END, after].concat(),
        )
        .unwrap();
    } else {
        assert!(
            written == expected,
            "the settings have changed: run UPDATE_DOCS=1 cargo test --test facade documents"
        );
    }
}

#[test]
fn the_chart_sets_or_accepts_every_setting() {
    let chart = "deploy/helm/iai-facade";
    let pod = fs::read_to_string(format!("{chart}/templates/_pod.tpl")).unwrap();
    let schema = fs::read_to_string(format!("{chart}/values.schema.json")).unwrap();
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    let accepted = &schema["properties"]["settings"]["properties"];
    let settings = settings();
    let names: Vec<_> = settings
        .split("\n| `--")
        .skip(1)
        .map(|row| row.split_once(' ').unwrap().0)
        .collect();
    assert!(names.len() > 40);
    for name in names {
        let variable = name.to_uppercase().replace('-', "_");
        assert!(
            accepted.get(name).is_some() || pod.contains(&format!("IAI_FACADE_{variable}\n")),
            "{name} is no value of the chart: run .ci/chart.py --write"
        );
    }
}

#[test]
fn the_tests_that_the_threat_model_names_exist() {
    let text = include_str!("../../../THREAT_MODEL.md");
    let quoted = text.split('`').skip(1).step_by(2);
    let named: Vec<_> = quoted
        .filter_map(|name| name.rsplit_once("::"))
        .filter(|(chapter, _)| *chapter != "chapter")
        .collect();
    assert!(named.len() > 20);

    for (chapter, test) in named {
        let path = format!("tests/facade/{}.rs", chapter.replace("::", "/"));
        let source = fs::read_to_string(&path).expect(&path);
        assert!(
            source.contains(&format!("fn {test}()")),
            "{chapter}::{test}"
        );
    }
}

#[test]
fn each_control_loop_has_its_row_and_a_test_of_its_recovery() {
    let rows = table("docs/quota.md", "| control loop | learns |");
    let loops: Vec<Vec<_>> = include_str!("../../data/control_loops.csv")
        .lines()
        .skip(1)
        .map(|row| row.split(';').collect())
        .collect();
    assert_eq!(rows.len(), loops.len());

    for (row, columns) in rows.iter().zip(&loops) {
        assert_eq!(row, &columns[..4]);
        let source = fs::read_to_string(columns[4]).expect(columns[4]);
        assert!(
            source.contains(&format!("fn {}(", columns[5])),
            "{columns:?}"
        );
    }
}

#[test]
fn each_credential_source_has_its_row_in_order_and_scenarios() {
    let sources = CredentialSource::all().iter();
    let sources = sources.filter_map(CredentialSource::to_possible_value);
    let sources: Vec<_> = sources.map(|it| it.get_name().to_owned()).collect();
    let rows = table("docs/credentials.md", "| `--credentials` | source | |");
    let documented: Vec<_> = rows.iter().map(|row| row[0].clone()).collect();
    assert_eq!(documented, sources);

    let folders: Vec<_> = fs::read_dir("tests/data/credentials")
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    for source in sources {
        let start = format!("{}_", source.replace('-', "_"));
        let mut scenarios = folders.iter().filter(|name| name.starts_with(&start));
        assert!(scenarios.next().is_some(), "no scenario {start}…");
    }
}

#[tokio::test]
async fn errors_of_the_service_have_their_documented_status_and_delay() {
    let failures = [
        Failure::InvalidRequest(InvalidRequest {
            violations: Vec::new(),
        }),
        Failure::InvalidReply(InvalidReply::NotFound(&PERSON_NOT_FOUND), "r".to_owned()),
        Failure::Upstream(Error::Credentials(Unavailable {
            report: Vec::new(),
            is_transient: true,
        })),
        Failure::TimedOut,
        Failure::Upstream(Error::Malformed {
            reason: String::new(),
            is_server_error: false,
        }),
        Failure::Upstream(Error::RateLimited {
            wait: Duration::from_millis(1_000),
        }),
        Failure::Overloaded,
        Failure::Upstream(Error::CircuitOpen),
        Failure::DeadlineExceeded,
        Failure::CallerUnauthenticated(Unauthenticated::NoToken),
        Failure::CallerNotAllowed,
        Failure::MethodUnknown,
        Failure::AuditUnavailable,
    ];
    let rows = table("docs/errors.md", "| reason | status |");
    let documented: BTreeSet<_> = rows.iter().map(|row| row[0].clone()).collect();
    assert_eq!(documented, reasons().collect());

    let mut shown = BTreeSet::new();
    for failure in failures {
        let status = failure.into_status(&context());
        let reason = own_reason(&status);
        let row = rows.iter().find(|row| row[0] == reason).unwrap();
        assert_eq!(grpc_code::name(status.code()), row[1], "{row:?}");
        assert_eq!(retry(&status), row[2].split(',').next().unwrap(), "{row:?}");
        shown.insert(reason);
    }
    assert_eq!(shown, documented, "a reason without a failure above");
}

#[tokio::test]
async fn every_error_class_has_its_documented_status_and_delay() {
    let rows = table("docs/errors.md", "| class | status |");
    let policy = include_str!("../../data/error_codes.csv").lines().skip(1);
    let policy: Vec<Vec<_>> = policy.map(|row| row.split(',').collect()).collect();
    for row in &rows {
        assert!(
            policy
                .iter()
                .any(|code| code[0] == row[3] && code[3] == row[0]),
            "{row:?}"
        );
    }

    for columns in policy {
        let (error_code, class) = (columns[0], columns[3]);
        let row = rows.iter().find(|row| row[0] == class).expect(class);
        let error = ApiError {
            code: error_code.to_owned(),
            ..ApiError::default()
        };
        let status = Failure::Upstream(Error::Api(error)).into_status(&context());

        assert_eq!(grpc_code::name(status.code()), row[1], "{error_code}");
        let is_lookup = class == "transient" && error_code.starts_with("ResourceUnavailable.");
        let delay = if is_lookup {
            "1000 ms"
        } else {
            row[2].as_str()
        };
        assert_eq!(retry(&status), delay, "{error_code}");
    }
}

/// Returns the tables of settings, one for each group of the program's help.
fn settings() -> String {
    let command = ServeArgs::augment_args(Command::new("serve"));
    let mut tables = String::new();
    let mut group = None;
    for argument in command.get_arguments() {
        if group != argument.get_help_heading() {
            group = argument.get_help_heading();
            let heading = group.unwrap();
            tables.push_str(&format!(
                "\n### {heading}\n\n| setting | default | |\n| --- | --- | --- |\n"
            ));
        }
        let help = argument.get_help().unwrap().to_string();
        // Without a default value in the parser, the help states the default.
        let (help, stated) = match help.split_once(" [default: ") {
            Some((help, stated)) => (help.to_owned(), stated.trim_end_matches(']').to_owned()),
            None => (help, String::new()),
        };
        let default = argument.get_default_values().first();
        let default = default.map(|value| format!("`{}`", value.to_str().unwrap()));
        let names = argument.get_value_names().unwrap().join(" ");
        let flag = argument.get_long().unwrap();
        tables.push_str(&format!(
            "| `--{flag} {names}` | {} | {help} |\n",
            default.unwrap_or(stated)
        ));
    }
    tables.push('\n');
    tables
}

/// Returns the names of all error reasons that are sent.
pub(super) fn reasons() -> impl Iterator<Item = String> {
    let reasons = (1..).map_while(|number| ErrorReason::try_from(number).ok());
    reasons.map(|reason| reason.as_str_name().replace("ERROR_REASON_", ""))
}

/// Returns the retry column of an error, as docs/errors.md writes it.
fn retry(status: &Status) -> String {
    let delay = status
        .get_details_retry_info()
        .and_then(|retry| retry.retry_delay);
    match text(status.metadata(), "grpc-retry-pushback-ms") {
        "" => String::new(),
        "-1" => "no".to_owned(),
        milliseconds => {
            assert_eq!(
                delay,
                Some(Duration::from_millis(milliseconds.parse().unwrap()))
            );
            format!("{milliseconds} ms")
        }
    }
}

/// Returns the context of a call with all optional fields set.
fn context() -> Context {
    let context = Context::new(
        Deadline::new(Instant::now(), None, Duration::from_secs(1)),
        false,
        Identity::Address(Ipv4Addr::LOCALHOST.into()),
    );
    let fields = &["person_id", "offset", "limit"];
    context.set_subject(Subject {
        action: "GetPersonGroupInfo",
        fields,
        id: "2001".to_owned(),
    });
    context
}
