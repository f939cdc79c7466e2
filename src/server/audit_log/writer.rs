//! Writer of the audit log: a thread that writes queued lines in their order, and writes them again until they are
//! written. Lines are lost only if the queue is full; their number is a line of its own. It does not know
//! what the lines say.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::{
        fd::AsFd,
        unix::fs::{FileTypeExt, OpenOptionsExt},
    },
    path::Path,
    sync::Arc,
    thread,
    time::Duration,
};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::line::Line;
use crate::{clock::Clock, config::AuditTarget};

/// Maximum size of the queue, in bytes: the lines of about 8,000 calls.
const MAX_QUEUED_BYTES: usize = 4 << 20;

/// The time between two attempts to write.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Completes when a line is written.
pub(super) type Written = oneshot::Receiver<()>;

/// A queue of lines, and the thread that writes them.
#[derive(Clone, Debug)]
pub(super) struct Writer(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    target: AuditTarget,
    state: Mutex<State>,
    /// Signalled when lines are queued, and when the file is to be opened again.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    queue: Vec<Entry>,
    queued_bytes: usize,
    /// Lines that the thread has taken and not written yet.
    in_hand: u64,
    /// The number of the last line.
    sequence: u64,
    written: u64,
    lost: u64,
    /// Whether lines cannot be written.
    is_failing: bool,
    is_reopening: bool,
}

#[derive(Debug)]
struct Entry {
    line: Vec<u8>,
    written: oneshot::Sender<()>,
}

impl Writer {
    /// Opens the target, and starts the thread, which runs until the process ends.
    ///
    /// # Errors
    ///
    /// Fails if the target cannot be opened, or no thread can be started.
    pub(super) fn start(target: &AuditTarget) -> io::Result<Self> {
        let output = open(target)?;
        let writer = Self::new(target.clone());
        let thread = writer.clone();
        thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || thread.run(output, RETRY_INTERVAL))?;
        Ok(writer)
    }

    fn new(target: AuditTarget) -> Self {
        Self(Arc::new(Shared {
            target,
            state: Mutex::default(),
            changed: Condvar::new(),
        }))
    }

    /// Queues a line. Returns `None` if the queue is full: the line is lost and counted.
    pub(super) fn push(&self, line: &Line) -> Option<Written> {
        let text = serde_json::to_vec(line).unwrap_or_default();
        let mut state = self.0.state.lock();
        state.sequence += 1;
        if state.queued_bytes + text.len() > MAX_QUEUED_BYTES {
            state.lost += 1;
            return None;
        }
        let (sender, written) = oneshot::channel();
        let line = numbered(state.sequence, &text);
        state.queued_bytes += line.len();
        state.queue.push(Entry {
            line,
            written: sender,
        });
        drop(state);
        self.0.changed.notify_one();
        Some(written)
    }

    /// Returns whether lines can be written.
    pub(super) fn is_writable(&self) -> bool {
        !self.0.state.lock().is_failing
    }

    /// Returns the number of lines written, and of those lost.
    pub(super) fn counts(&self) -> (u64, u64) {
        let state = self.0.state.lock();
        (state.written, state.lost)
    }

    /// Returns the number of lines that wait to be written.
    pub(super) fn unwritten(&self) -> u64 {
        let state = self.0.state.lock();
        state.in_hand + state.queue.len() as u64
    }

    /// Opens the file again before the next line.
    pub(super) fn reopen(&self) {
        self.0.state.lock().is_reopening = true;
        self.0.changed.notify_one();
    }

    /// Records that a line was not written in time: the reader of a pipe does not read, or the disk hangs.
    pub(super) fn stalled(&self) {
        self.fail("not written within 1 s");
    }

    fn fail(&self, error: &str) {
        let mut state = self.0.state.lock();
        if !state.is_failing {
            state.is_failing = true;
            drop(state);
            tracing::error!(
                error.message = error,
                "audit log cannot be written, rejecting calls"
            );
        }
    }

    fn run(&self, mut output: File, retry_interval: Duration) {
        let mut reported = 0;
        loop {
            let entries = self.take();
            for Entry { line, written } in entries {
                self.write(&mut output, &line, retry_interval);
                // Fails if the call no longer waits for its line.
                let _ = written.send(());
            }
            reported = self.report_lost(&mut output, reported, retry_interval);
        }
    }

    /// Waits for lines, and takes all of them.
    fn take(&self) -> Vec<Entry> {
        let mut state = self.0.state.lock();
        let is_idle = |state: &mut State| state.queue.is_empty();
        self.0.changed.wait_while(&mut state, is_idle);
        state.queued_bytes = 0;
        let entries = std::mem::take(&mut state.queue);
        state.in_hand = entries.len() as u64;
        entries
    }

    /// Writes a line, again and again until it is written. After a rotation it is written as a whole.
    fn write(&self, output: &mut File, line: &[u8], retry_interval: Duration) {
        let mut rest = line;
        while !rest.is_empty() {
            if std::mem::take(&mut self.0.state.lock().is_reopening) {
                match open(&self.0.target) {
                    Ok(file) => (*output, rest) = (file, line),
                    Err(error) => tracing::error!(
                        error.message = %error,
                        "audit log cannot be opened again, keeping the previous file"
                    ),
                }
            }
            match output.write(rest) {
                Ok(length) if length > 0 => rest = &rest[length..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => {
                    let error = outcome
                        .err()
                        .map_or("nothing written".to_owned(), |error| error.to_string());
                    self.fail(&error);
                    let mut state = self.0.state.lock();
                    let is_waiting = |state: &mut State| !state.is_reopening;
                    self.0
                        .changed
                        .wait_while_for(&mut state, is_waiting, retry_interval);
                }
            }
        }
        let mut state = self.0.state.lock();
        state.written += 1;
        state.in_hand = state.in_hand.saturating_sub(1);
        if std::mem::take(&mut state.is_failing) {
            let lines = state.in_hand + state.queue.len() as u64;
            drop(state);
            tracing::info!(lines, "audit log written again");
        }
    }

    /// Writes how many lines were lost since the last such line. Returns the number since the start.
    fn report_lost(&self, output: &mut File, reported: u64, retry_interval: Duration) -> u64 {
        let (_, lost) = self.counts();
        if lost > reported {
            tracing::error!(lines = lost - reported, "audit lines lost");
            let line = Line::lost(lost - reported, Clock::system().now());
            let text = serde_json::to_vec(&line).unwrap_or_default();
            let sequence = {
                let mut state = self.0.state.lock();
                state.sequence += 1;
                state.sequence
            };
            self.write(output, &numbered(sequence, &text), retry_interval);
        }
        lost
    }
}

/// Returns a line that begins with its number.
fn numbered(sequence: u64, text: &[u8]) -> Vec<u8> {
    let mut line = format!("{{\"audit.sequence\":{sequence},").into_bytes();
    line.extend_from_slice(text.strip_prefix(b"{").unwrap_or(text));
    line.push(b'\n');
    line
}

fn open(target: &AuditTarget) -> io::Result<File> {
    match target {
        AuditTarget::File(path) => open_file(path),
        // Not `io::stdout`, whose lock would be held while its reader is stuck.
        AuditTarget::Stdout => Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?)),
    }
}

/// Opens a file to append to, readable by its owner only if it is created.
fn open_file(path: &Path) -> io::Result<File> {
    // Opening a pipe would wait for its reader.
    if path.metadata().is_ok_and(|file| file.file_type().is_fifo()) {
        return Err(io::Error::other("it is a pipe; use --audit-log stdout"));
    }
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests;
