//! Recent errors: the last calls that failed, for the status page. Contains no message and no id of a group or
//! person.

use std::{borrow::Cow, collections::VecDeque, time::Duration};

use parking_lot::Mutex;
use time::UtcDateTime;

use crate::trace::TraceId;

/// The number of errors that are kept.
const CAPACITY: usize = 50;

/// The last calls that failed, up to 50.
#[derive(Debug, Default)]
pub(super) struct RecentErrors(Mutex<VecDeque<FailedCall>>);

/// A call that failed.
#[derive(Clone, Debug)]
pub(super) struct FailedCall {
    /// When it ended.
    pub(super) time: UtcDateTime,
    /// The method as the client wrote it, truncated.
    pub(super) method: String,
    /// The name of its status.
    pub(super) status: &'static str,
    /// Its duration.
    pub(super) duration: Duration,
    /// `ErrorInfo.reason`; `None` if it was cancelled.
    pub(super) reason: Option<Cow<'static, str>>,
    /// The error code of Tencent Cloud, sanitized.
    pub(super) upstream_code: Option<String>,
    /// Tencent's RequestId, sanitized.
    pub(super) upstream_request_id: Option<String>,
    /// The id of its trace, if it has one.
    pub(super) trace_id: Option<TraceId>,
}

impl RecentErrors {
    /// Adds a call, and drops the oldest if there are more than 50.
    pub(super) fn add(&self, call: FailedCall) {
        let mut calls = self.0.lock();
        if calls.len() == CAPACITY {
            calls.pop_front();
        }
        calls.push_back(call);
    }

    /// Returns the calls, the latest first.
    pub(super) fn latest_first(&self) -> Vec<FailedCall> {
        self.0.lock().iter().rev().cloned().collect()
    }
}
