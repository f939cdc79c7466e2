//! The response to a scrape, in the format that the scraper accepts.

use std::fmt;

use prometheus_client::{
    encoding::{prometheus_text, text},
    registry::Registry,
};

/// The media type of [OpenMetrics 1.0].
///
/// [OpenMetrics 1.0]: https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md
const OPENMETRICS: &str = "application/openmetrics-text";

/// The response to a scrape.
#[derive(Debug)]
pub struct Scrape {
    /// The media type of the text.
    pub content_type: &'static str,
    /// All metrics.
    pub text: String,
}

/// Returns all metrics in the format that the header `accept` prefers: OpenMetrics, or else the [text format
/// of Prometheus].
///
/// # Errors
///
/// Fails if a collector fails.
///
/// [text format of Prometheus]: https://prometheus.io/docs/instrumenting/exposition_formats/
pub fn scrape(registry: &Registry, accept: Option<&str>) -> Result<Scrape, fmt::Error> {
    let mut text = String::new();
    let content_type = if prefers_openmetrics(accept.unwrap_or_default()) {
        text::encode(&mut text, registry)?;
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    } else {
        prometheus_text::encode(&mut text, registry)?;
        prometheus_text::CONTENT_TYPE
    };
    Ok(Scrape { content_type, text })
}

/// Returns whether `accept` has a higher quality for OpenMetrics than for plain text ([RFC 9110], section
/// 12.5.1). A wildcard stands for plain text, which every scraper reads.
///
/// [RFC 9110]: https://www.rfc-editor.org/rfc/rfc9110
fn prefers_openmetrics(accept: &str) -> bool {
    let (mut openmetrics, mut plain) = (0.0, 0.0);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default();
        let quality = parts
            .find_map(|parameter| parameter.strip_prefix("q="))
            .map_or(Some(1.0), |quality| quality.parse().ok())
            .filter(|quality| (0.0..=1.0).contains(quality))
            .unwrap_or(0.0);
        let best: &mut f64 = match media_type {
            OPENMETRICS => &mut openmetrics,
            "text/plain" | "text/*" | "*/*" => &mut plain,
            _ => continue,
        };
        *best = best.max(quality);
    }
    openmetrics > plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openmetrics_is_written_if_the_scraper_prefers_it() {
        let cases = [
            ("", false),
            ("*/*", false),
            ("text/plain;version=0.0.4;q=0.5,*/*;q=0.1", false),
            ("application/openmetrics-text", true),
            ("application/openmetrics-text; version=1.0.0", true),
            ("application/openmetrics-text;q=0", false),
            ("application/openmetrics-text;q=2", false),
            ("application/openmetrics-text;q=0.3,text/plain;q=0.4", false),
            // What Prometheus 2 sends.
            (
                "application/openmetrics-text;version=1.0.0;q=0.5,\
                 application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,\
                 */*;q=0.2",
                true,
            ),
        ];

        for (accept, expected) in cases {
            assert_eq!(prefers_openmetrics(accept), expected, "{accept}");
        }
    }
}
