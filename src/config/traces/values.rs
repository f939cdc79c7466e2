//! Values of the variables that need no other variable.

use std::time::Duration;

use super::super::parsed;

/// The samplers: whether the flag of the client precedes them, and what they sample.
const SAMPLERS: [(&str, bool, Share); 6] = [
    ("always_on", false, Share::All),
    ("always_off", false, Share::None),
    ("traceidratio", false, Share::Argument),
    ("parentbased_always_on", true, Share::All),
    ("parentbased_always_off", true, Share::None),
    ("parentbased_traceidratio", true, Share::Argument),
];

/// The share that a sampler samples.
#[derive(Clone, Copy)]
pub(super) enum Share {
    All,
    Argument,
    None,
}

pub(super) fn propagators(text: &str) -> Result<bool, String> {
    let mut reads_parent = false;
    for name in text.split(',').map(str::trim) {
        match name {
            "tracecontext" => reads_parent = true,
            // Accepted since it is in the default. Baggage is neither read nor sent on.
            "baggage" | "none" => {}
            _ => {
                return Err(format!(
                    "`{name}` is not supported: only tracecontext, baggage (which has no effect) and none are"
                ));
            }
        }
    }
    Ok(reads_parent)
}

pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(format!("`{text}` is neither true nor false")),
    }
}

pub(super) fn exporter_is_otlp(text: &str) -> Result<bool, String> {
    match text {
        "otlp" => Ok(true),
        "none" => Ok(false),
        _ => Err(format!("`{text}` is not supported: only otlp and none are")),
    }
}

pub(super) fn compression(text: &str) -> Result<bool, String> {
    match text {
        "gzip" => Ok(true),
        "none" => Ok(false),
        _ => Err(format!("`{text}` is not supported: only gzip and none are")),
    }
}

pub(super) fn sampler(text: &str) -> Result<(bool, Share), String> {
    let found = SAMPLERS.iter().find(|(name, ..)| *name == text);
    let names = SAMPLERS.map(|(name, ..)| name).join(", ");
    found
        .map(|(_, is_parent_based, share)| (*is_parent_based, *share))
        .ok_or_else(|| format!("`{text}` is not supported: only {names} are"))
}

pub(super) fn ratio(text: &str) -> Result<f64, String> {
    parsed::number(text, 0.0..=1.0)
}

pub(super) fn milliseconds(text: &str) -> Result<Duration, String> {
    parsed::number(text, 1..=600_000)
        .map(Duration::from_millis)
        .map_err(|problem| format!("{problem}, in milliseconds"))
}

pub(super) fn queue_size(text: &str) -> Result<usize, String> {
    parsed::number(text, 1..=65_536)
}

pub(super) fn count(text: &str) -> Result<usize, String> {
    parsed::number(text, 0..=10_000)
}
