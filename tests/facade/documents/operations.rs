//! What each operation needs beside its code, and nothing in the program demands.

use std::{collections::BTreeSet, fs, path::Path};

use clap::{Args, Command};
use iai_facade::cli::call::CallArgs;

use super::markdown::table;
use crate::harness::operation::operations;

#[test]
fn every_operation_has_its_module_tests_fuzz_target_and_documentation() {
    for operation in operations() {
        let module = operation.words('_');
        for path in [
            format!("src/operation/{module}.rs"),
            format!("tests/facade/operations/{module}.rs"),
            format!("tests/data/documentation/{}.txt", operation.name()),
            format!("fuzz/fuzz_targets/{module}.rs"),
            format!("fuzz/corpus/{module}"),
        ] {
            assert!(Path::new(&path).exists(), "{path} does not exist");
        }
        for (path, line) in [
            ("tests/facade/operations.rs", format!("mod {module};")),
            ("fuzz/Cargo.toml", format!("name = \"{module}\"")),
        ] {
            let text = fs::read_to_string(path).unwrap();
            assert!(text.contains(&line), "{path} does not have `{line}`");
        }
    }
}

#[test]
fn every_operation_has_its_row_with_the_limits_of_its_fields() {
    let rows = table("docs/calling.md", "| method | upstream action | limits |");
    let named: BTreeSet<_> = rows.iter().map(|row| row[0].clone()).collect();
    let names = operations()
        .into_iter()
        .map(|operation| operation.name().to_owned());
    assert_eq!(named, names.collect());

    for operation in operations() {
        let row = rows.iter().find(|row| row[0] == operation.name()).unwrap();
        for field in operation.fields() {
            assert!(row[2].contains(&format!("{field}: ")), "{field} in {row:?}");
        }
    }
}

#[test]
fn call_has_a_subcommand_for_every_operation_with_all_fields() {
    let command = CallArgs::augment_args(Command::new("call"));
    for operation in operations() {
        let name = operation.words('-');
        let subcommand = command.find_subcommand(&name).expect(&name);
        let flags: Vec<_> = subcommand
            .get_arguments()
            .map(|argument| argument.get_id().as_str())
            .collect();
        assert_eq!(flags, operation.fields(), "{name}");
    }
}
