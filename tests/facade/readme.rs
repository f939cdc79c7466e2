//! The tables of the README against the program.

use std::{fs, net::Ipv4Addr, time::Duration};

use clap::{Args, Command};
use iai_facade::{
    code,
    config::ServeArgs,
    context::{Context, Subject},
    credentials::Unavailable,
    deadline::Deadline,
    identity::Identity,
    operation::{InvalidReply, InvalidRequest},
    proto::ErrorReason,
    service::{Failure, Unidentified},
    upstream::{Error, envelope::Refusal},
};
use tokio::time::Instant;
use tonic::Status;
use tonic_types::StatusExt;

use crate::harness::{own_reason, text};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
const BEGIN: &str = "<!-- settings -->\n";
const END: &str = "<!-- end of settings -->\n";

#[test]
fn the_settings_are_those_of_the_program() {
    let readme = fs::read_to_string(PATH).unwrap();
    let (before, rest) = readme.split_once(BEGIN).unwrap();
    let (written, after) = rest.split_once(END).unwrap();
    let expected = settings();

    if std::env::var_os("IAI_FACADE_WRITE_README").is_some() {
        fs::write(PATH, [before, BEGIN, &expected, END, after].concat()).unwrap();
    } else {
        assert_eq!(written, expected);
    }
}

#[test]
fn the_tests_that_the_threat_model_names_exist() {
    let text = include_str!("../../THREAT_MODEL.md");
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

#[tokio::test]
async fn our_own_errors_have_the_statuses_and_delays_that_are_written() {
    let failures = [
        Failure::InvalidRequest(InvalidRequest {
            violations: Vec::new(),
        }),
        Failure::InvalidReply(InvalidReply::PersonNotFound, "r".to_owned()),
        Failure::Upstream(Error::Credentials(Unavailable {
            report: Vec::new(),
            is_passing: true,
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
        Failure::CallerUnauthenticated(Unidentified::NoToken),
        Failure::CallerNotAllowed,
        Failure::MethodUnknown,
    ];
    let rows = table("| reason | status |");
    assert_eq!(rows.len(), failures.len());

    for (row, failure) in rows.into_iter().zip(failures) {
        let status = failure.into_status(&context());
        assert_eq!(own_reason(&status), row[0]);
        assert_eq!(code::name(status.code()), row[1], "{row:?}");
        assert_eq!(retry(&status), row[2].split(',').next().unwrap(), "{row:?}");
        ErrorReason::from_str_name(&format!("ERROR_REASON_{}", row[0])).unwrap();
    }
}

#[tokio::test]
async fn every_code_has_the_status_and_the_delay_that_are_written_for_its_class() {
    let rows = table("| class | status |");
    let policy = include_str!("../data/error_codes.csv").lines().skip(1);
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
        let (refused, class) = (columns[0], columns[3]);
        let row = rows.iter().find(|row| row[0] == class).unwrap();
        let refusal = Refusal {
            code: refused.to_owned(),
            ..Refusal::default()
        };
        let status = Failure::Upstream(Error::Refused(refusal)).into_status(&context());

        assert_eq!(code::name(status.code()), row[1], "{refused}");
        let is_lookup = class == "transient" && refused.starts_with("ResourceUnavailable.");
        let delay = if is_lookup {
            "1000 ms"
        } else {
            row[2].as_str()
        };
        assert_eq!(retry(&status), delay, "{refused}");
    }
}

/// Returns the table of settings, from the program's own help.
fn settings() -> String {
    let command = ServeArgs::augment_args(Command::new("serve"));
    let mut rows = String::from("| setting | default | |\n| --- | --- | --- |\n");
    for argument in command.get_arguments() {
        let help = argument.get_help().unwrap().to_string();
        // Where the parser has no default, the help says what happens instead.
        let (help, said) = match help.split_once(" [default: ") {
            Some((help, said)) => (help.to_owned(), said.trim_end_matches(']').to_owned()),
            None => (help, String::new()),
        };
        let default = argument.get_default_values().first();
        let default = default.map(|value| format!("`{}`", value.to_str().unwrap()));
        let names = argument.get_value_names().unwrap().join(" ");
        let flag = argument.get_long().unwrap();
        rows.push_str(&format!(
            "| `--{flag} {names}` | {} | {help} |\n",
            default.unwrap_or(said)
        ));
    }
    rows
}

/// Returns the cells of the table of the README that begins so, without marks of code.
fn table(header: &str) -> Vec<Vec<String>> {
    let readme = fs::read_to_string(PATH).unwrap();
    let (_, rest) = readme.split_once(header).unwrap();
    let rows = rest
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells = row.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().replace('`', "")).collect()
    })
    .collect()
}

/// Returns what an error says of trying again, as the README writes it.
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

/// Returns the context of a call that has all fields there are.
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
