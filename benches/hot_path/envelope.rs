//! Parsing the envelope of a response: of a small one, of the largest page, and of an API error.
//!
//! The baseline parses the same bytes as JSON and discards the values.

use std::hint::black_box;

use iai_facade::upstream::envelope::{Parsed, parse};

use crate::data::{ERROR_RESPONSE, GROUP, PAGE};

#[divan::bench]
#[inline(never)]
fn group() -> Parsed {
    parse(black_box(&GROUP)).unwrap()
}

#[divan::bench]
#[inline(never)]
fn page_of_100_groups() -> Parsed {
    parse(black_box(&PAGE)).unwrap()
}

#[divan::bench]
#[inline(never)]
fn api_error() -> Parsed {
    parse(black_box(&ERROR_RESPONSE)).unwrap()
}

mod baseline {
    use std::hint::black_box;

    use serde::de::IgnoredAny;

    use crate::data::{ERROR_RESPONSE, GROUP, PAGE};

    #[divan::bench]
    #[inline(never)]
    fn group() -> IgnoredAny {
        serde_json::from_slice(black_box(&GROUP)).unwrap()
    }

    #[divan::bench]
    #[inline(never)]
    fn page_of_100_groups() -> IgnoredAny {
        serde_json::from_slice(black_box(&PAGE)).unwrap()
    }

    #[divan::bench]
    #[inline(never)]
    fn api_error() -> IgnoredAny {
        serde_json::from_slice(black_box(&ERROR_RESPONSE)).unwrap()
    }
}
