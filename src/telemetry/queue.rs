//! Log queue: a bounded buffer of lines, which a dedicated thread writes to standard error. The threads
//! that serve calls never wait for the reader of the log. Lines that do not fit or cannot be written are
//! dropped and counted; a later line reports their number.
//!
//! A line after a pause is written at once, and those that follow it within [`WRITE_INTERVAL`] together:
//! under load, a write and a wake-up for each line would cost more than the line itself.

use std::{
    fs::File,
    io::{self, Write},
    mem,
    os::fd::AsFd,
    sync::Arc,
    thread,
    time::Duration,
};

use parking_lot::{Condvar, Mutex};
use tracing_subscriber::fmt::MakeWriter;

use crate::config::ALWAYS_LOGGED;

/// Maximum size of the queue, in bytes. The writer thread may hold another as much.
const MAX_QUEUED_BYTES: usize = 4 << 20;

/// Capacity of the buffer that is reused for the next lines, in bytes.
const RETAINED_BYTES: usize = 64 << 10;

/// The time after a write for which further lines are collected.
const WRITE_INTERVAL: Duration = Duration::from_millis(5);

/// A queue of log lines for standard error.
#[derive(Clone, Debug, Default)]
pub(super) struct LogQueue(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Signalled when lines are queued and the writer thread waits for lines.
    filled: Condvar,
    /// Signalled when a flush begins.
    flushing: Condvar,
    /// Signalled when every line is written.
    emptied: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Complete lines with line feeds.
    lines: Vec<u8>,
    is_writing: bool,
    is_waiting: bool,
    /// The number of flushes in progress.
    flushes: u32,
    /// The number of lines dropped since the start.
    dropped: u64,
}

impl LogQueue {
    /// Starts the thread that writes to standard error until the process ends.
    ///
    /// # Errors
    ///
    /// Fails if no thread or no file descriptor is available.
    pub(super) fn start() -> io::Result<Self> {
        // Not `io::stderr`, whose lock would be held while its reader is stuck.
        let output = File::from(io::stderr().as_fd().try_clone_to_owned()?);
        let queue = Self::default();
        let writer = queue.clone();
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || writer.write_to(output, WRITE_INTERVAL))?;
        Ok(queue)
    }

    /// Waits until every line is written, up to `timeout`.
    pub(super) fn flush(&self, timeout: Duration) {
        let is_busy = |state: &mut State| state.is_writing || !state.lines.is_empty();
        let mut state = self.0.state.lock();
        state.flushes += 1;
        self.0.flushing.notify_one();
        self.0.emptied.wait_while_for(&mut state, is_busy, timeout);
        state.flushes -= 1;
    }

    /// Returns the number of lines that were dropped since the start.
    pub(super) fn dropped(&self) -> u64 {
        self.0.state.lock().dropped
    }

    /// Appends a line, or drops it if the queue is full.
    pub(super) fn push(&self, line: &[u8]) {
        let mut state = self.0.state.lock();
        if state.lines.len() + line.len() > MAX_QUEUED_BYTES {
            state.dropped += 1;
            return;
        }
        state.lines.extend_from_slice(line);
        let is_waiting = state.is_waiting;
        drop(state);
        if is_waiting {
            self.0.filled.notify_one();
        }
    }

    /// Writes queued lines until the process ends, at most once in each `interval` unless a flush is in
    /// progress.
    fn write_to(&self, mut output: impl Write, interval: Duration) {
        let mut lines = Vec::new();
        let mut reported = 0;
        let mut is_mid_line = false;
        loop {
            lines.clear();
            lines.shrink_to(RETAINED_BYTES);
            self.take(&mut lines);
            if is_mid_line && output.write_all(b"\n").is_ok() {
                is_mid_line = false;
            }
            let unwritten = write(&mut output, &lines);
            if unwritten.len() < lines.len() {
                is_mid_line = lines[lines.len() - unwritten.len() - 1] != b'\n';
            }
            let lost = unwritten.iter().filter(|byte| **byte == b'\n').count() as u64;
            let dropped = self.drop_lines(lost);
            if lost == 0 && dropped > reported {
                tracing::warn!(
                    target: ALWAYS_LOGGED,
                    lines = dropped - reported,
                    "log lines dropped: standard error was not read or could not be written"
                );
                // If this line was dropped as well, the next report counts these lines again.
                if self.drop_lines(0) == dropped {
                    reported = dropped;
                }
            }
            self.pause(interval);
        }
    }

    /// Waits for `interval`, or less if a flush is in progress.
    fn pause(&self, interval: Duration) {
        let mut state = self.0.state.lock();
        state.is_writing = false;
        if state.lines.is_empty() {
            self.0.emptied.notify_all();
        }
        let is_unhurried = |state: &mut State| state.flushes == 0;
        self.0
            .flushing
            .wait_while_for(&mut state, is_unhurried, interval);
    }

    /// Waits for lines, and takes all of them.
    fn take(&self, lines: &mut Vec<u8>) {
        let mut state = self.0.state.lock();
        state.is_waiting = true;
        let is_empty = |state: &mut State| state.lines.is_empty();
        self.0.filled.wait_while(&mut state, is_empty);
        state.is_waiting = false;
        state.is_writing = true;
        mem::swap(&mut state.lines, lines);
    }

    /// Adds lines that could not be written, and returns the number of lines dropped since the start.
    fn drop_lines(&self, lines: u64) -> u64 {
        let mut state = self.0.state.lock();
        state.dropped += lines;
        state.dropped
    }
}

/// Writes as many bytes as possible, and returns the rest.
fn write<'a>(output: &mut impl Write, mut lines: &'a [u8]) -> &'a [u8] {
    while !lines.is_empty() {
        match output.write(lines) {
            Ok(0) => break,
            Ok(length) => lines = &lines[length..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    lines
}

impl<'a> MakeWriter<'a> for LogQueue {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

/// Each write is one line, because the formatter writes complete lines.
impl Write for &LogQueue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// A writer that waits for a message before each write, and fails if the message is `false`.
    struct Gate {
        writes: mpsc::Receiver<bool>,
        written: mpsc::Sender<Vec<u8>>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.writes.recv() {
                Ok(true) => {
                    self.written.send(bytes.to_vec()).unwrap();
                    Ok(bytes.len())
                }
                _ => Err(io::ErrorKind::StorageFull.into()),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_do_not_fit_or_cannot_be_written_are_counted() {
        let queue = LogQueue::default();
        let (gate, writes) = mpsc::channel();
        let (written, lines) = mpsc::channel();
        let writer = queue.clone();
        thread::spawn(move || writer.write_to(Gate { writes, written }, Duration::ZERO));

        queue.push(b"lost\n");
        gate.send(false).unwrap();
        queue.flush(Duration::from_secs(10));
        assert_eq!(queue.drop_lines(0), 1);

        let line = vec![b'x'; MAX_QUEUED_BYTES];
        queue.push(b"first\n");
        gate.send(true).unwrap();
        assert_eq!(lines.recv().unwrap(), b"first\n");
        queue.push(&line);
        queue.push(&line);
        queue.push(&line);
        assert!(queue.drop_lines(0) >= 2);
        gate.send(true).unwrap();
        assert_eq!(lines.recv().unwrap(), line);
    }

    #[test]
    fn lines_after_a_write_are_collected_until_a_flush() {
        let queue = LogQueue::default();
        let (gate, writes) = mpsc::channel();
        let (written, lines) = mpsc::channel();
        let writer = queue.clone();
        let interval = Duration::from_secs(3_600);
        thread::spawn(move || writer.write_to(Gate { writes, written }, interval));

        gate.send(true).unwrap();
        queue.push(b"first\n");
        assert_eq!(lines.recv().unwrap(), b"first\n");

        gate.send(true).unwrap();
        queue.push(b"second\n");
        queue.push(b"third\n");
        queue.flush(Duration::from_secs(10));
        assert_eq!(lines.recv().unwrap(), b"second\nthird\n");
    }

    #[test]
    fn a_flush_times_out_if_nothing_is_written() {
        let queue = LogQueue::default();
        queue.push(b"never written\n");

        queue.flush(Duration::from_millis(1));

        assert_eq!(queue.0.state.lock().lines, b"never written\n");
    }
}
