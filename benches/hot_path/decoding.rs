//! What it costs to turn the inside of an envelope into a response, for both operations.
//!
//! The baseline is what a program without types would do: it reads the same bytes into a
//! [`Value`](serde_json::Value). The decodings are to stay below it.

use std::hint::black_box;

use iai_facade::{
    operation::{
        Operation, get_group_info::GetGroupInfo, get_person_group_info::GetPersonGroupInfo,
    },
    proto::{GetGroupInfoResponse, GetPersonGroupInfoResponse},
};

use crate::data::{GROUP_INSIDE, PAGE_INSIDE, PERSON_INSIDE, REQUEST_ID};

#[divan::bench]
#[inline(never)]
fn group() -> GetGroupInfoResponse {
    GetGroupInfo::response(black_box(&GROUP_INSIDE), black_box(REQUEST_ID)).unwrap()
}

#[divan::bench]
#[inline(never)]
fn person() -> GetPersonGroupInfoResponse {
    GetPersonGroupInfo::response(black_box(&PERSON_INSIDE), black_box(REQUEST_ID)).unwrap()
}

#[divan::bench]
#[inline(never)]
fn page_of_100_groups() -> GetPersonGroupInfoResponse {
    GetPersonGroupInfo::response(black_box(&PAGE_INSIDE), black_box(REQUEST_ID)).unwrap()
}

mod baseline {
    use std::hint::black_box;

    use serde_json::Value;

    use crate::data::{GROUP_INSIDE, PAGE_INSIDE, PERSON_INSIDE};

    #[divan::bench]
    #[inline(never)]
    fn group() -> Value {
        serde_json::from_slice(black_box(&GROUP_INSIDE)).unwrap()
    }

    #[divan::bench]
    #[inline(never)]
    fn person() -> Value {
        serde_json::from_slice(black_box(&PERSON_INSIDE)).unwrap()
    }

    #[divan::bench]
    #[inline(never)]
    fn page_of_100_groups() -> Value {
        serde_json::from_slice(black_box(&PAGE_INSIDE)).unwrap()
    }
}
