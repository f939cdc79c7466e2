//! Variables of OpenTelemetry: each one on the list changes the export of spans, and is rejected if it is
//! invalid.

use std::{collections::BTreeMap, fs};

use clap::Parser;
use iai_facade::config::{Problems, Serve, ServeArgs, Traces};
use tempfile::TempDir;

use crate::harness::{authority::Authority, errors, run};

const LIST: &str = include_str!("../../data/otel_variables.csv");

/// The collector of all cases.
const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9");

struct Row {
    name: &'static str,
    /// Another variable that this one depends on, set in all cases.
    with: Option<(&'static str, String)>,
    good: String,
    /// Empty if every value is valid.
    bad: String,
    /// What the valid value changes: the export, the propagation, or nothing.
    changes: &'static str,
}

/// Files that the values of the list name.
struct Files {
    _authority: Authority,
    folder: TempDir,
    paths: [(&'static str, String); 3],
}

impl Files {
    fn new() -> Self {
        let authority = Authority::new();
        let [one, other] = [authority.client(&["a"]), authority.client(&["b"])];
        let folder = TempDir::new().unwrap();
        Self {
            paths: [
                ("{cert}", one.cert.clone()),
                ("{key}", one.key.clone()),
                ("{other_key}", other.key.clone()),
            ],
            _authority: authority,
            folder,
        }
    }

    fn filled(&self, text: &str) -> String {
        let paths = self.paths.iter();
        paths.fold(text.to_owned(), |text, (name, path)| {
            text.replace(name, path)
        })
    }

    fn rows(&self) -> Vec<Row> {
        let row = |line: &'static str| {
            let cells: Vec<_> = line.split(';').collect();
            let [name, with, good, bad, changes] = cells[..] else {
                panic!("{line}");
            };
            Row {
                name,
                with: with
                    .split_once('=')
                    .map(|(name, value)| (name, self.filled(value))),
                good: self.filled(good),
                bad: self.filled(bad),
                changes,
            }
        };
        LIST.lines().skip(1).map(row).collect()
    }
}

fn checked(variables: &BTreeMap<&str, String>) -> Result<Serve, Problems> {
    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        serve: ServeArgs,
    }
    let args = Cli::try_parse_from(["serve"]).unwrap();
    args.serve.checked(|name| variables.get(name).cloned())
}

/// Returns the traces of these settings, without the id that differs between processes.
fn traces(variables: &BTreeMap<&str, String>) -> Traces {
    let mut traces = checked(variables).unwrap().traces;
    if let Some(export) = &mut traces.export {
        export
            .resource
            .retain(|(name, _)| name != "service.instance.id");
    }
    traces
}

#[test]
fn each_variable_is_obeyed_or_rejected_with_its_name() {
    let files = Files::new();
    for row in files.rows() {
        let mut variables = BTreeMap::from([(ENDPOINT.0, ENDPOINT.1.to_owned())]);
        variables.extend(row.with.clone());
        // A client key without its certificate is an error.
        let default = match row
            .with
            .as_ref()
            .is_some_and(|(name, _)| name.contains("CLIENT"))
        {
            true => traces(&BTreeMap::from([(ENDPOINT.0, ENDPOINT.1.to_owned())])),
            false => traces(&variables),
        };

        variables.insert(row.name, row.good.clone());
        let set = traces(&variables);
        let changed = match (
            set.export == default.export,
            set.reads_parent == default.reads_parent,
        ) {
            (true, true) => "nothing",
            (false, true) => "export",
            (true, false) => "propagation",
            (false, false) => "both",
        };
        assert_eq!(changed, row.changes, "{}", row.name);

        if row.bad.is_empty() {
            continue;
        }
        variables.insert(row.name, row.bad.clone());
        let problems = checked(&variables).unwrap_err().to_string();
        assert!(problems.contains(&format!("{}: ", row.name)), "{problems}");
        assert!(!problems.contains("password"), "{problems}");
    }
    drop(files.folder);
}

#[test]
fn variables_of_traces_precede_those_of_all_signals() {
    let files = Files::new();
    for row in files.rows() {
        let Some(rest) = row.name.strip_prefix("OTEL_EXPORTER_OTLP_TRACES_") else {
            continue;
        };
        let general = format!("OTEL_EXPORTER_OTLP_{rest}");
        let mut variables = BTreeMap::from([(ENDPOINT.0, ENDPOINT.1.to_owned())]);
        variables.extend(row.with.clone());
        variables.insert(row.name, row.good.clone());
        let alone = traces(&variables);
        // An invalid value shows that it is not read.
        variables.insert(&general, "\u{0}".to_owned());
        assert_eq!(traces(&variables), alone, "{}", row.name);
    }
}

#[test]
fn invalid_variables_of_an_export_that_is_off_do_not_matter() {
    let variables = BTreeMap::from([("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json".to_owned())]);
    assert!(traces(&variables).export.is_none());
    let variables = [
        ENDPOINT,
        ("OTEL_SDK_DISABLED", "TRUE"),
        ("OTEL_BSP_SCHEDULE_DELAY", "x"),
    ];
    let variables = variables.map(|(name, value)| (name, value.to_owned()));
    assert!(traces(&BTreeMap::from(variables)).export.is_none());
}

#[tokio::test]
async fn all_invalid_variables_are_reported_together_with_code_64() {
    let files = Files::new();
    let rows: Vec<_> = files
        .rows()
        .into_iter()
        .filter(|row| {
            let is_switch = ["OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER"].contains(&row.name);
            let is_overridden = row.name.starts_with("OTEL_EXPORTER_OTLP_")
                && !row.name.starts_with("OTEL_EXPORTER_OTLP_TRACES_");
            !(is_switch || is_overridden || row.bad.is_empty())
        })
        .collect();
    let mut variables = vec![ENDPOINT];
    variables.extend(rows.iter().map(|row| (row.name, row.bad.as_str())));
    // The key depends on its certificate, the argument on the sampler, the endpoint on its protocol, and the batch on the queue.
    let dependent = [
        "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY",
        "OTEL_TRACES_SAMPLER_ARG",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
    ];

    let output = run(&["serve", "--emulate", "--log-slow", "never"], &variables).await;

    assert_eq!(output.status.code(), Some(64));
    let errors = errors(&output);
    assert!(errors.contains("--log-slow: "), "{errors}");
    for row in rows.iter().filter(|row| !dependent.contains(&row.name)) {
        assert!(
            errors.contains(&format!("{}: ", row.name)),
            "{}: {errors}",
            row.name
        );
    }
}

#[test]
fn the_document_names_each_variable_of_the_list() {
    let document = fs::read_to_string("docs/tracing.md").unwrap();
    let table: Vec<_> = document
        .lines()
        .filter(|line| line.starts_with("| `OTEL_"))
        .collect();
    for line in LIST.lines().skip(1) {
        let name = line.split(';').next().unwrap();
        let general = name.replace("_OTLP_TRACES_", "_OTLP_[TRACES_]");
        let general = match general.strip_prefix("OTEL_EXPORTER_OTLP_") {
            Some(rest) if !rest.starts_with('[') => format!("OTEL_EXPORTER_OTLP_[TRACES_]{rest}"),
            _ => general,
        };
        let quoted = format!("`{general}`");
        assert!(table.iter().any(|line| line.contains(&quoted)), "{general}");
    }
}
