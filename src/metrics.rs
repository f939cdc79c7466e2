//! Metrics: what the layers share to declare and count them, and the text of a scrape. Each layer declares
//! its metrics in a file named `metrics.rs`; `docs/metrics.md` has all of them.

mod bucket_counts;
mod process;
mod scrape;
mod values;

pub use self::{
    bucket_counts::{BucketCounts, LATENCY_BUCKETS},
    process::ProcessMetrics,
    scrape::{Scrape, scrape},
    values::{Labels, Values},
};
pub use prometheus_client::{
    collector::Collector,
    encoding::DescriptorEncoder,
    metrics::{
        counter::Counter, exemplar::HistogramWithExemplars, family::Family, gauge::Gauge,
        histogram::Histogram,
    },
    registry::{Registry, Unit},
};

/// A histogram whose buckets name the trace of a call, in OpenMetrics.
pub type TracedHistogram = HistogramWithExemplars<[(&'static str, String); 1]>;

/// A histogram with traces for each combination of label values.
pub type TracedHistograms<const N: usize> =
    Family<Labels<N>, TracedHistogram, fn() -> TracedHistogram>;

/// A histogram for each combination of label values.
pub type Histograms<const N: usize> = Family<Labels<N>, Histogram, fn() -> Histogram>;

/// The upper bounds of the buckets of the ages of cached responses, in seconds.
pub const RESPONSE_AGE_BUCKETS: [f64; 9] =
    [1.0, 5.0, 15.0, 30.0, 60.0, 300.0, 900.0, 3_600.0, 86_400.0];

/// Creates an empty histogram of durations in seconds.
pub fn latency_histogram() -> Histogram {
    Histogram::new(LATENCY_BUCKETS)
}

/// Creates histograms of durations in seconds whose buckets name the trace of a call.
pub fn traced_latency_histograms<const N: usize>() -> TracedHistograms<N> {
    let empty = || TracedHistogram::new(LATENCY_BUCKETS.into_iter());
    Family::new_with_constructor(empty as fn() -> TracedHistogram)
}

/// Creates histograms of durations in seconds.
pub fn latency_histograms<const N: usize>() -> Histograms<N> {
    Family::new_with_constructor(latency_histogram as fn() -> Histogram)
}
