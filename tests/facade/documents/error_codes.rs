//! The program's table of error codes, compared with tests/data/error_codes.csv and the vendor's pages.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use iai_emulator::Fixtures;
use iai_facade::upstream::error_code::{Class, Field, documented, documented_codes};

#[test]
fn the_program_and_the_table_list_the_same_codes() {
    let table = table();
    for (code, (class, in_field)) in &table {
        let row = documented(code).unwrap_or_else(|| panic!("{code} has no row"));
        let found = (row.name(), field(row));
        assert_eq!(found, (class.as_str(), in_field.as_str()), "{code}");
    }
    let rows: BTreeSet<_> = documented_codes().collect();
    assert_eq!(rows, table.keys().map(String::as_str).collect());
}

#[test]
fn the_emulator_accepts_every_listed_code_in_fixtures() {
    let faults = table()
        .into_keys()
        .map(|code| format!("[[faults]]\napi_error = {{ code = '{code}' }}\n"));
    Fixtures::parse(&faults.collect::<String>()).unwrap();
}

#[test]
fn every_code_of_the_vendor_pages_has_a_row() {
    for entry in fs::read_dir("tests/data/documentation").unwrap() {
        let path = entry.unwrap().path();
        let page = fs::read_to_string(&path).unwrap();
        let (_, list) = page.split_once("Error Code Description\n").unwrap();
        let rows = list.lines().take_while(|line| !line.is_empty());
        let codes: Vec<_> = rows.map(|row| row.split_once(' ').unwrap().0).collect();

        // A page in another format would have none.
        assert!(!codes.is_empty(), "{}", path.display());
        for code in codes {
            let is_listed = documented(code).is_some();
            assert!(is_listed, "{code} of {} has no row", path.display());
        }
    }
}

/// Returns the class and field of each code of the table.
fn table() -> BTreeMap<String, (String, String)> {
    let csv = include_str!("../../data/error_codes.csv");
    let rows = csv.lines().skip(1).map(|line| {
        let columns: Vec<_> = line.split(',').collect();
        (
            columns[0].to_owned(),
            (columns[3].to_owned(), columns[5].to_owned()),
        )
    });
    rows.collect()
}

/// Returns the field that the table names for a class.
fn field(class: Class) -> &'static str {
    if let Class::BadField(field) | Class::NotFound(Some(field)) | Class::OutOfRange(field) = class
    {
        name(field)
    } else if class == Class::ResponseTooLarge {
        name(Field::Limit)
    } else {
        ""
    }
}

fn name(field: Field) -> &'static str {
    match field {
        Field::GroupId => "group_id",
        Field::Limit => "limit",
        Field::Offset => "offset",
        Field::PersonId => "person_id",
        Field::RequiredId => "(the id the method requires)",
    }
}
