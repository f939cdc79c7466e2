//! The table of docs/metrics.md, compared with a scrape.

use std::{collections::BTreeSet, fs};

use crate::harness::{Facade, authority::Authority, bearer_tokens::tokens, http};

const DOCUMENT: &str = "docs/metrics.md";
const BEGIN: &str = "<!-- metrics -->\n";
const END: &str = "<!-- end of metrics -->\n";

#[tokio::test]
async fn the_documented_metrics_are_those_of_the_program() {
    // A metric without a sample shows no labels, or is absent.
    let authority = Authority::new();
    let server = authority.server();
    let tokens = tokens(&[("orders", "token")]);
    let client_ca = authority.path();
    let flags = [
        "--upstream-rate=100",
        "--tls-cert",
        &server.cert,
        "--tls-key",
        &server.key,
        "--tls-client-ca",
        &client_ca,
        "--tokens-file",
        tokens.path().to_str().unwrap(),
    ];
    let facade = Facade::start_with(&flags).await;
    let (_, text) = http(facade.addresses.admin, "GET", "/metrics", "").await;
    let document = fs::read_to_string(DOCUMENT).unwrap();
    let (before, rest) = document.split_once(BEGIN).unwrap();
    let (written, after) = rest.split_once(END).unwrap();
    let expected = table(&text);

    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(DOCUMENT, [before, BEGIN, &expected, END, after].concat()).unwrap();
    } else {
        assert!(
            written == expected,
            "the metrics have changed: run UPDATE_DOCS=1 cargo test --test facade documents"
        );
    }
}

/// Returns a table with a row for each metric of a scrape.
fn table(text: &str) -> String {
    let mut table = "| metric | type | labels | |\n| --- | --- | --- | --- |\n".to_owned();
    let lines: Vec<_> = text.lines().collect();
    let heads = lines.iter().enumerate().filter_map(|(place, line)| {
        let head = line.strip_prefix("# HELP ")?.split_once(' ')?;
        Some((place, head))
    });
    for (place, (name, help)) in heads {
        let kind = lines[place + 1].strip_prefix("# TYPE ").unwrap();
        let kind = kind.strip_prefix(name).unwrap().trim();
        let samples = lines[place + 2..]
            .iter()
            .take_while(|line| !line.starts_with('#'));
        let labels: BTreeSet<_> = samples.flat_map(|sample| labels(sample)).collect();
        let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
        let help = help.trim_end_matches('.');
        table.push_str(&format!(
            "| `{name}` | {kind} | {} | {help} |\n",
            labels.join(", ")
        ));
    }
    table
}

/// Returns the names of the labels of a sample, without that of a bucket.
fn labels(sample: &str) -> Vec<&str> {
    let Some((_, rest)) = sample.split_once('{') else {
        return Vec::new();
    };
    let (labels, _) = rest.rsplit_once('}').unwrap();
    let labels = labels.split(',').filter_map(|label| label.split_once('='));
    labels
        .map(|(name, _)| name)
        .filter(|name| *name != "le")
        .collect()
}
