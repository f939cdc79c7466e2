//! The public interface of the last release, compared with the present one: what exists in a baseline must
//! not be removed or renamed, or docs/upgrading.md must say so.

use std::{collections::BTreeSet, fs};

use iai_facade::proto::DESCRIPTOR_SET;
use prost::Message;
use prost_types::{DescriptorProto, FileDescriptorSet};
use serde_json::Value;

const FOLDER: &str = "tests/data/baseline";

/// Reads a part of the public interface.
type Read = fn() -> BTreeSet<String>;

/// The parts of the public interface, each with the name of its baseline.
const PARTS: [(&str, Read); 5] = [
    ("chart_values", chart_values),
    ("log_fields", log_fields),
    ("metrics", metrics),
    ("protocol", protocol),
    ("settings", settings),
];

#[test]
fn nothing_of_the_public_interface_was_removed_or_is_missing() {
    for (name, read) in PARTS {
        let path = format!("{FOLDER}/{name}.txt");
        let present = read();
        assert!(present.len() > 5, "{name}: {present:?}");
        if std::env::var_os("UPDATE_BASELINE").is_some() {
            let lines: Vec<_> = present.into_iter().collect();
            fs::write(&path, lines.join("\n") + "\n").unwrap();
            continue;
        }
        let baseline = fs::read_to_string(&path).unwrap();
        let baseline: BTreeSet<_> = baseline.lines().map(str::to_owned).collect();
        let removed: Vec<_> = baseline.difference(&present).collect();
        assert!(
            removed.is_empty(),
            "{path}: removed or changed, which is breaking: {removed:?}; see docs/upgrading.md"
        );
        let added: Vec<_> = present.difference(&baseline).collect();
        assert!(
            added.is_empty(),
            "{path}: added: {added:?}; run UPDATE_BASELINE=1 cargo test --test facade baseline"
        );
    }
}

/// Returns the methods, fields with their numbers and types, and enum values of the protocol.
fn protocol() -> BTreeSet<String> {
    let descriptors = FileDescriptorSet::decode(DESCRIPTOR_SET).unwrap();
    let ours = descriptors
        .file
        .iter()
        .filter(|file| file.package() == "iaifacade.v1");
    let mut found = BTreeSet::new();
    for file in ours {
        for service in &file.service {
            for method in &service.method {
                let (input, output) = (method.input_type(), method.output_type());
                let name = format!("{}.{}", service.name(), method.name());
                found.insert(format!("{name}({input}) returns {output}"));
            }
        }
        file.message_type
            .iter()
            .for_each(|it| fields(it, &mut found));
        for it in &file.enum_type {
            let values = it.value.iter();
            found.extend(values.map(|value| format!("{} = {}", value.name(), value.number())));
        }
    }
    found
}

fn fields(message: &DescriptorProto, found: &mut BTreeSet<String>) {
    for field in &message.field {
        let (label, kind) = (field.label().as_str_name(), field.r#type().as_str_name());
        let name = format!("{}.{} = {}", message.name(), field.name(), field.number());
        let optional = if field.proto3_optional() {
            " optional"
        } else {
            ""
        };
        found.insert(format!(
            "{name} {label} {kind} {}{optional}",
            field.type_name()
        ));
    }
}

/// Returns the settings with their kind and default.
fn settings() -> BTreeSet<String> {
    rows("docs/configuration.md", "| `--", 2)
}

/// Returns the metrics with their type and labels.
fn metrics() -> BTreeSet<String> {
    rows("docs/metrics.md", "| `", 3)
        .into_iter()
        .filter(|row| {
            row.starts_with("`grpc_") || row.starts_with("`iai_") || row.starts_with("`process_")
        })
        .collect()
}

/// Returns the fields of the log.
fn log_fields() -> BTreeSet<String> {
    let rows = rows("docs/logging.md", "| `", 1);
    rows.iter()
        .flat_map(|row| row.split(", "))
        .filter(|name| !name.contains(' '))
        .map(str::to_owned)
        .collect()
}

/// Returns the paths of the values of the chart.
fn chart_values() -> BTreeSet<String> {
    let schema = fs::read_to_string("deploy/helm/iai-facade/values.schema.json").unwrap();
    let mut found = BTreeSet::new();
    collect(&serde_json::from_str(&schema).unwrap(), "", &mut found);
    found
}

fn collect(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
    let Some(properties) = schema["properties"].as_object() else {
        found.insert(path.to_owned());
        return;
    };
    for (name, value) in properties {
        let separator = if path.is_empty() { "" } else { "." };
        collect(value, &format!("{path}{separator}{name}"), found);
    }
}

/// Returns the first cells of the rows of a document that begin with `beginning`.
fn rows(path: &str, beginning: &str, cells: usize) -> BTreeSet<String> {
    let document = fs::read_to_string(path).unwrap();
    let rows = document.lines().filter(|line| line.starts_with(beginning));
    rows.map(|row| {
        let cells: Vec<_> = row.split(" | ").take(cells).collect();
        cells.join(" | ").trim_start_matches("| ").to_owned()
    })
    .collect()
}
