//! The commands of `docs/benchmarks.md`, compared with the load scenarios and the tests.

use std::{collections::BTreeSet, fs};

use super::sources::{names, sources};

#[test]
fn the_benchmarks_have_results_of_every_load_scenario() {
    let main = fs::read_to_string("benches/load/main.rs").unwrap();
    let (_, list) = main.split_once("const SCENARIOS: ").unwrap();
    let (list, _) = list.split_once("];\n").unwrap();
    let scenarios: BTreeSet<String> = list
        .split('"')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect();
    assert_eq!(commands("load"), scenarios);
}

#[test]
fn every_test_that_the_benchmarks_name_exists() {
    let tests: Vec<String> = sources(&["tests/facade"])
        .iter()
        .flat_map(|(path, text)| {
            let module = path.strip_prefix("tests/facade").unwrap();
            let module = module.with_extension("").display().to_string();
            let module = module.replace('/', "::");
            let names: Vec<_> = names(text)
                .map(|name| format!("{module}::{name}"))
                .collect();
            names
        })
        .collect();
    for filter in commands("facade") {
        assert!(tests.iter().any(|test| test.contains(&filter)), "{filter}");
    }
}

/// Returns the arguments of a command in the document, except its explanation.
fn commands(command: &str) -> BTreeSet<String> {
    let text = fs::read_to_string("docs/benchmarks.md").unwrap();
    let arguments = text
        .split(&format!("`{command} "))
        .skip(1)
        .map(|rest| rest.split_once('`').unwrap().0.to_owned())
        .filter(|argument| argument != "NAME")
        .collect::<BTreeSet<_>>();
    assert!(arguments.len() > 3);
    arguments
}
