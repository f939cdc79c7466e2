//! docs/check.md, compared with the program.

use std::collections::BTreeSet;

use super::markdown::table;
use crate::harness::{checked::Checked, run};

const DOCUMENT: &str = "docs/check.md";

#[tokio::test]
async fn the_documented_steps_of_a_check_are_those_that_it_makes() {
    let flags = ["--emulate", "--group-id", "aaa", "--person-id", "2001"];
    let checked = Checked::run(&flags, &[]).await;

    let steps = table(DOCUMENT, "| step | what it does | what it finds |");
    let compared = table(DOCUMENT, "| step | with | compares |");
    let documented: Vec<_> = steps.iter().chain(&compared).map(|row| &*row[0]).collect();

    let made = checked.steps.iter();
    let made: Vec<_> = made.map(|step| step["step"].as_str().unwrap()).collect();
    assert_eq!(documented, made);
}

#[tokio::test]
async fn the_documented_members_of_a_step_are_those_of_the_report() {
    let flags = ["--emulate", "--group-id", "no-such-group"];
    let checked = Checked::run(&flags, &[]).await;

    let rows = table(DOCUMENT, "| member of a step | |");
    let documented = rows.iter().flat_map(|row| row[0].split(", "));
    let documented: BTreeSet<_> = documented.map(|name| name.trim_matches('`')).collect();

    let members = checked
        .steps
        .iter()
        .flat_map(|step| step.as_object().unwrap().keys());
    assert_eq!(documented, members.map(String::as_str).collect());
}

#[tokio::test]
async fn the_documented_exit_codes_of_a_check_are_those_of_its_help() {
    let help = run(&["check", "--help"], &[]).await.stdout;
    let help = String::from_utf8(help).unwrap();
    let help: Vec<_> = help.split_whitespace().collect();
    let help = help.join(" ");
    let (_, codes) = help.split_once("Exit codes: ").unwrap();
    let (codes, _) = codes.split_once(" Usage: ").unwrap();
    let codes: BTreeSet<_> = codes
        .split(", ")
        .map(|code| code.split(' ').next().unwrap())
        .collect();

    let rows = table(DOCUMENT, "| exit code | |");
    let documented: BTreeSet<_> = rows.iter().map(|row| &*row[0]).collect();
    assert_eq!(documented, codes);
}
