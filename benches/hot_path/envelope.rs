//! What opening the envelope of an answer costs: of a small one, of the largest, and of a refusal.
//!
//! The baseline is reading the same bytes as JSON and keeping nothing of them.

use std::hint::black_box;

use iai_facade::upstream::envelope::{Opened, open};

use crate::data::{GROUP, PAGE, REFUSED};

#[divan::bench]
#[inline(never)]
fn group() -> Opened {
    open(black_box(&GROUP)).unwrap()
}

#[divan::bench]
#[inline(never)]
fn page_of_100_groups() -> Opened {
    open(black_box(&PAGE)).unwrap()
}

#[divan::bench]
#[inline(never)]
fn refusal() -> Opened {
    open(black_box(&REFUSED)).unwrap()
}

mod baseline {
    use std::hint::black_box;

    use serde::de::IgnoredAny;

    use crate::data::{GROUP, PAGE, REFUSED};

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
    fn refusal() -> IgnoredAny {
        serde_json::from_slice(black_box(&REFUSED)).unwrap()
    }
}
