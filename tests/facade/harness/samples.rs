//! Samples of a scrape, parsed from the text format of Prometheus.

use std::{collections::BTreeMap, net::SocketAddr};

use super::http;

/// The samples of one scrape, by name and labels as they are written: `name{label="value"}`.
#[derive(Debug)]
pub(crate) struct Samples(BTreeMap<String, f64>);

impl Samples {
    /// Scrapes the admin port at `address`.
    pub(crate) async fn scrape(address: SocketAddr) -> Self {
        let (status, text) = http(address, "GET", "/metrics", "").await;
        assert_eq!(status, 200);
        Self::parse(&text)
    }

    /// Parses the text of a scrape.
    pub(crate) fn parse(text: &str) -> Self {
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        Self(
            samples
                .map(|line| {
                    let (name, value) = line.rsplit_once(' ').unwrap();
                    (name.to_owned(), value.parse().unwrap())
                })
                .collect(),
        )
    }

    /// Returns the value of a sample.
    pub(crate) fn get(&self, name: &str) -> f64 {
        *self
            .0
            .get(name)
            .unwrap_or_else(|| panic!("no sample {name}"))
    }

    /// Returns all samples.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }
}
