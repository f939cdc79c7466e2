//! Metrics: what the layers share to declare and count them, and the text of a scrape. Each layer declares
//! its metrics in a file named `metrics.rs`; `docs/metrics.md` has all of them.

mod process;
mod scrape;
mod values;

pub use self::{
    process::ProcessMetrics,
    scrape::{Scrape, scrape},
    values::{Labels, Values},
};
pub use prometheus_client::{
    collector::Collector,
    encoding::DescriptorEncoder,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::{Registry, Unit},
};

/// A histogram for each combination of label values.
pub type Histograms<const N: usize> = Family<Labels<N>, Histogram, fn() -> Histogram>;

/// The upper bounds of the buckets of every duration, in seconds: the same for calls and for what they wait
/// for, so that a slow call can be matched with its cause.
pub const LATENCY_BUCKETS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// The upper bounds of the buckets of the ages of cached responses, in seconds.
pub const RESPONSE_AGE_BUCKETS: [f64; 9] =
    [1.0, 5.0, 15.0, 30.0, 60.0, 300.0, 900.0, 3_600.0, 86_400.0];

/// Creates an empty histogram of durations in seconds.
pub fn latency_histogram() -> Histogram {
    Histogram::new(LATENCY_BUCKETS)
}

/// Creates histograms of durations in seconds.
pub fn latency_histograms<const N: usize>() -> Histograms<N> {
    Family::new_with_constructor(latency_histogram as fn() -> Histogram)
}
