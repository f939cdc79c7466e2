//! Tests that hold the OpenAPI document to the routes.

use std::{collections::BTreeSet, sync::LazyLock};

use serde_json::Value;

use super::{super::program::OPENAPI, *};

#[test]
fn the_openapi_document_describes_exactly_the_routes() {
    let described = operations().map(|(path, method, operation, item)| {
        let query = parameters(operation, item, "query");
        (path, method.to_uppercase(), query)
    });
    let in_world = WORLD.iter().map(|route| ("/v1/worlds/{secret_id}/", route));
    let others = PROGRAM.iter().chain(WORLDS).chain(WORLD);
    let routes = in_world.chain(others.map(|route| ("/v1/", route)));
    let served = routes.flat_map(|(prefix, route)| {
        route.operations.iter().map(move |operation| {
            let query = operation.query.iter().map(|&name| name.to_owned());
            let path = format!("{prefix}{}", route.path);
            (path, operation.method.to_owned(), query.collect())
        })
    });
    assert_eq!(
        described.collect::<BTreeSet<_>>(),
        served.collect::<BTreeSet<_>>()
    );
}

#[test]
fn the_openapi_document_describes_the_parameters_of_each_path() {
    for (path, method, operation, item) in operations() {
        let segments = path.split('/');
        let names = segments.filter_map(|it| it.strip_prefix('{')?.strip_suffix('}'));
        let names = names.map(str::to_owned).collect();
        assert_eq!(
            parameters(operation, item, "path"),
            names,
            "{method} {path}"
        );
    }
}

#[test]
fn an_operation_on_an_isolated_world_is_described_as_on_the_main_one() {
    let all: Vec<_> = operations().collect();
    let isolated = all.iter().filter_map(|(path, method, operation, _)| {
        let path = path.strip_prefix("/v1/worlds/{secret_id}/")?;
        Some((format!("/v1/{path}"), method, *operation))
    });
    let mut count = 0;
    for (path, method, isolated) in isolated {
        let main = all
            .iter()
            .find(|it| it.0 == path && it.1 == *method)
            .unwrap();
        // The world may not exist.
        let common = |operation: &Value| {
            let mut operation = operation.clone();
            operation["operationId"] = Value::Null;
            let responses = operation["responses"].as_object_mut().unwrap();
            responses.remove("404");
            operation
        };
        assert_eq!(common(isolated), common(main.2), "{method} {path}");
        assert!(isolated["responses"]["404"].is_object(), "{method} {path}");
        count += 1;
    }
    let operations = WORLD.iter().flat_map(|route| route.operations);
    assert_eq!(count, operations.count());
}

/// Returns the path, method and description of each operation, and the description of its path.
fn operations() -> impl Iterator<Item = (String, String, &'static Value, &'static Value)> {
    let paths = document()["paths"].as_object().unwrap().iter();
    paths.flat_map(|(path, item)| {
        let entries = item.as_object().unwrap().iter();
        let operations = entries.filter(|(key, _)| *key != "parameters");
        operations.map(move |(method, operation)| (path.clone(), method.clone(), operation, item))
    })
}

/// Returns the names of the parameters that are in the query or in the path.
fn parameters(operation: &Value, item: &Value, place: &str) -> BTreeSet<String> {
    let lists = [operation, item].map(|it| it["parameters"].as_array());
    let references = lists.into_iter().flatten().flatten();
    let parameters = references.map(|it| {
        let reference = it["$ref"].as_str().unwrap();
        document()
            .pointer(reference.strip_prefix('#').unwrap())
            .unwrap()
    });
    let parameters = parameters.filter(|parameter| parameter["in"] == place);
    parameters
        .map(|it| it["name"].as_str().unwrap().to_owned())
        .collect()
}

fn document() -> &'static Value {
    static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(OPENAPI).unwrap());
    &DOCUMENT
}
