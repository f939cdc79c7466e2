//! Audit log: one line for every call but those of health and reflection, with caller, method, hashed id and
//! result. Lines are neither sampled nor dropped silently: a call receives its response once its line is written,
//! and calls are rejected while lines cannot be written. It does not know how calls are served.

mod line;
mod writer;

use std::{fmt, io, sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

pub(super) use self::line::Call;
use self::{line::Line, writer::Writer};
use super::subject_hash::SubjectHash;
use crate::{clock::Clock, config::AuditTarget, files::reload_requests::ReloadRequests};

/// The time for which a call, and the end of the process, waits for its line.
const WRITE_TIMEOUT: Duration = Duration::from_secs(1);

/// The audit log. Clones share it.
#[derive(Clone)]
pub(super) struct AuditLog(Arc<Shared>);

struct Shared {
    writer: Writer,
    hash: SubjectHash,
    clock: Clock,
    /// Calls in progress, whose lines are not queued yet.
    in_progress: watch::Sender<u64>,
}

/// The line of a call is not written, so that the response must not be sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct NotWritten;

impl AuditLog {
    /// Opens the audit log, and writes its first line.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be opened, or no thread can be started.
    pub(super) fn open(target: &AuditTarget, hash: SubjectHash, clock: Clock) -> io::Result<Self> {
        let log = Self(Arc::new(Shared {
            writer: Writer::start(target)?,
            hash,
            clock,
            in_progress: watch::Sender::new(0),
        }));
        log.0
            .writer
            .push(&Line::event("started", log.0.clock.now()));
        Ok(log)
    }

    /// Returns whether lines can be written. Calls must be rejected if not.
    pub(super) fn is_writable(&self) -> bool {
        self.0.writer.is_writable()
    }

    /// Returns the number of lines that were written, and of those that were lost.
    pub(super) fn counts(&self) -> (u64, u64) {
        self.0.writer.counts()
    }

    /// Begins the audit of a call, which is recorded as cancelled if it is dropped.
    pub(super) fn begin(&self, call: Call) -> AuditedCall {
        self.0.in_progress.send_modify(|calls| *calls += 1);
        AuditedCall {
            log: self.clone(),
            call,
            is_recorded: false,
        }
    }

    /// Opens the file again at each of `requests`, so that it can be rotated, for as long as it is polled.
    pub(super) async fn reopen_at(self, mut requests: ReloadRequests) {
        loop {
            requests.next().await;
            self.0.writer.reopen();
        }
    }

    /// Waits for the lines of the calls in progress, and writes the last line, for up to 1 s each.
    pub(super) async fn close(&self) {
        let mut in_progress = self.0.in_progress.subscribe();
        let is_idle = in_progress.wait_for(|calls| *calls == 0);
        let _ = timeout(WRITE_TIMEOUT, is_idle).await;
        let unrecorded = *self.0.in_progress.borrow();
        let (_, lost) = self.counts();
        let line = Line::stopped(self.0.clock.now(), unrecorded, lost);
        let is_written = match self.0.writer.push(&line) {
            Some(written) => timeout(WRITE_TIMEOUT, written).await.is_ok(),
            None => false,
        };
        if !is_written || unrecorded > 0 {
            tracing::error!(
                lines = self.0.writer.unwritten() + unrecorded,
                "audit lines lost at the end of the process"
            );
        }
    }
}

impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLog").finish_non_exhaustive()
    }
}

/// A call in progress that is audited.
#[derive(Debug)]
pub(super) struct AuditedCall {
    log: AuditLog,
    call: Call,
    is_recorded: bool,
}

impl AuditedCall {
    /// Records the status of the call, and waits until its line is written. Cancel safe: the line is queued
    /// at once.
    ///
    /// # Errors
    ///
    /// Fails if the line is not written within 1 s. It stays queued.
    pub(super) async fn record(
        mut self,
        code: tonic::Code,
        upstream_request_id: Option<&str>,
    ) -> Result<(), NotWritten> {
        let written = self.push(code, upstream_request_id).ok_or(NotWritten)?;
        if !self.log.is_writable() {
            return Err(NotWritten);
        }
        match timeout(WRITE_TIMEOUT, written).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => {
                self.log.0.writer.stalled();
                Err(NotWritten)
            }
        }
    }

    fn push(
        &mut self,
        code: tonic::Code,
        upstream_request_id: Option<&str>,
    ) -> Option<writer::Written> {
        self.is_recorded = true;
        let shared = &self.log.0;
        let (now, at) = (shared.clock.now(), Instant::now());
        let line = Line::of_call(&self.call, code, upstream_request_id, &shared.hash, now, at);
        let written = shared.writer.push(&line);
        shared.in_progress.send_modify(|calls| *calls -= 1);
        written
    }
}

impl Drop for AuditedCall {
    fn drop(&mut self) {
        if !self.is_recorded {
            self.push(tonic::Code::Cancelled, None);
        }
    }
}
