//! Decoding a response without its envelope, for each operation.
//!
//! The baseline parses the same bytes into a [`Value`](serde_json::Value). Decoding should take less.

use std::hint::black_box;

use iai_facade::{
    operation::{
        Operation, get_group_info::GetGroupInfo, get_person_group_info::GetPersonGroupInfo,
    },
    proto::{GetGroupInfoResponse, GetPersonGroupInfoResponse},
};

use crate::data::{GROUP_RESPONSE, PAGE_RESPONSE, PERSON_RESPONSE, REQUEST_ID};

#[divan::bench]
#[inline(never)]
fn group() -> GetGroupInfoResponse {
    GetGroupInfo::response(black_box(&GROUP_RESPONSE), black_box(REQUEST_ID)).unwrap()
}

#[divan::bench]
#[inline(never)]
fn person() -> GetPersonGroupInfoResponse {
    GetPersonGroupInfo::response(black_box(&PERSON_RESPONSE), black_box(REQUEST_ID)).unwrap()
}

#[divan::bench]
#[inline(never)]
fn page_of_100_groups() -> GetPersonGroupInfoResponse {
    GetPersonGroupInfo::response(black_box(&PAGE_RESPONSE), black_box(REQUEST_ID)).unwrap()
}

mod baseline {
    use std::hint::black_box;

    use serde_json::Value;

    use crate::data::{GROUP_RESPONSE, PAGE_RESPONSE, PERSON_RESPONSE};

    #[divan::bench]
    #[inline(never)]
    fn group() -> Value {
        serde_json::from_slice(black_box(&GROUP_RESPONSE)).unwrap()
    }

    #[divan::bench]
    #[inline(never)]
    fn person() -> Value {
        serde_json::from_slice(black_box(&PERSON_RESPONSE)).unwrap()
    }

    #[divan::bench]
    #[inline(never)]
    fn page_of_100_groups() -> Value {
        serde_json::from_slice(black_box(&PAGE_RESPONSE)).unwrap()
    }
}
