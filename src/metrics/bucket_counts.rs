//! Buckets of durations, and their counts, read from histograms, whose crate only writes them as text.

use std::{collections::BTreeMap, fmt};

use prometheus_client::registry::Registry;

use super::scrape;

/// The upper bounds of the buckets of every duration, in seconds: the same for calls and for what they wait
/// for, so that a slow call can be matched with its cause.
pub const LATENCY_BUCKETS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// The number of buckets, with that of all longer durations.
const COUNT: usize = LATENCY_BUCKETS.len() + 1;

/// The number of durations in each of [`LATENCY_BUCKETS`], and of longer ones.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct BucketCounts([u64; COUNT]);

impl BucketCounts {
    /// Reads the histograms of `registry`, added up for each value of `label`. All histograms must have
    /// [`LATENCY_BUCKETS`].
    ///
    /// # Errors
    ///
    /// Fails if a metric cannot be written as text.
    pub fn read(registry: &Registry, label: &str) -> Result<BTreeMap<String, Self>, fmt::Error> {
        let text = scrape(registry, None)?.text;
        let mut read = BTreeMap::<_, Self>::new();
        for (value, place, count) in text.lines().filter_map(|line| bucket(line, label)) {
            match read.get_mut(value) {
                Some(counts) => counts.0[place] += count,
                None => {
                    let mut counts = Self::default();
                    counts.0[place] = count;
                    read.insert(value.to_owned(), counts);
                }
            }
        }
        for Self(counts) in read.values_mut() {
            // As text, each bucket contains those before it.
            for place in (1..COUNT).rev() {
                counts[place] -= counts[place - 1];
            }
        }
        read.retain(|_, counts| counts.total() > 0);
        Ok(read)
    }

    /// Returns the number of all durations.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Adds the counts of `other`.
    pub fn add(&mut self, other: &Self) {
        for (count, added) in self.0.iter_mut().zip(other.0) {
            *count += added;
        }
    }

    /// Returns the counts since `earlier`.
    #[must_use]
    pub fn since(mut self, earlier: &Self) -> Self {
        for (count, before) in self.0.iter_mut().zip(earlier.0) {
            *count = count.saturating_sub(before);
        }
        self
    }

    /// Returns the duration in seconds that a share of all durations, from 0 to 1, does not exceed. It is
    /// interpolated within its bucket as Prometheus does, and at most the bound of the last bucket. Returns
    /// `None` without any duration.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let rank = share * self.total() as f64;
        let (mut lower, mut before) = (0.0, 0.0);
        for (upper, count) in LATENCY_BUCKETS.into_iter().zip(self.0) {
            let count = count as f64;
            if count > 0.0 && before + count >= rank {
                return Some(lower + (upper - lower) * ((rank - before) / count).clamp(0.0, 1.0));
            }
            (lower, before) = (upper, before + count);
        }
        (self.total() > 0).then_some(lower)
    }
}

/// Parses the line of a bucket: returns the value of `label`, the place of the bucket, and how many
/// durations it and those before it contain.
fn bucket<'a>(line: &'a str, label: &str) -> Option<(&'a str, usize, u64)> {
    let (name, rest) = line.split_once('{')?;
    let (labels, count) = rest.rsplit_once("} ")?;
    let value = |name: &str| {
        let mut labels = labels.split(',').filter_map(|label| label.split_once('='));
        let (_, value) = labels.find(|(key, _)| *key == name)?;
        Some(value.trim_matches('"'))
    };
    let bound = value("le").filter(|_| name.ends_with("_bucket"))?;
    let bound: f64 = bound.parse().ok()?;
    let place = LATENCY_BUCKETS.iter().position(|upper| bound <= *upper);
    Some((
        value(label)?,
        place.unwrap_or(COUNT - 1),
        count.parse().ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Histograms, Labels, latency_histograms};

    fn read(observed: &[(&'static str, &'static str, f64)]) -> BTreeMap<String, BucketCounts> {
        let histograms: Histograms<2> = latency_histograms();
        for (method, status, seconds) in observed {
            let labels: Labels<2> = [("method", method), ("status", status)];
            histograms.get_or_create(&labels).observe(*seconds);
        }
        let mut registry = Registry::default();
        registry.register("duration", "Durations", histograms);
        BucketCounts::read(&registry, "status").unwrap()
    }

    #[test]
    fn histograms_are_added_up_by_the_values_of_a_label() {
        let counts = read(&[
            ("a", "OK", 0.0001),
            ("b", "OK", 0.0001),
            ("b", "OK", 60.0),
            ("a", "NOT_FOUND", 0.002),
        ]);

        assert_eq!(counts.len(), 2);
        let mut expected = [0; COUNT];
        (expected[0], expected[COUNT - 1]) = (2, 1);
        assert_eq!(counts["OK"], BucketCounts(expected));
        assert_eq!(counts["NOT_FOUND"].total(), 1);
        assert_eq!(counts["OK"].since(&counts["OK"]).total(), 0);
    }

    #[test]
    fn a_quantile_is_interpolated_within_its_bucket() {
        let counts = read(&[("a", "OK", 0.02); 100])["OK"];
        let slow = read(&[("a", "OK", 60.0)])["OK"];

        assert_eq!(counts.quantile(0.5), Some(0.0175));
        assert_eq!(counts.quantile(1.0), Some(0.025));
        assert_eq!(slow.quantile(0.5), Some(10.0));
        assert_eq!(BucketCounts::default().quantile(0.5), None);
    }
}
