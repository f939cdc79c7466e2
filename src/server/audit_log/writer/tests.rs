//! The writer with files that are rotated and disks that are full.

use std::{fs, os::unix::fs::symlink, path::PathBuf};

use serde_json::Value;
use tempfile::TempDir;
use time::UtcDateTime;

use super::*;

fn event() -> Line {
    Line::event("call", UtcDateTime::UNIX_EPOCH)
}

fn target() -> (TempDir, PathBuf, AuditTarget) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("audit");
    let target = AuditTarget::File(path.clone());
    (folder, path, target)
}

/// Returns the numbers of the lines of a file.
fn numbers(path: &Path) -> Vec<u64> {
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines();
    let lines = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines
        .map(|line| line["audit.sequence"].as_u64().unwrap())
        .collect()
}

#[test]
fn a_file_is_appended_to_and_rotated_without_a_lost_line() {
    let (_folder, path, target) = target();
    let rotated = path.with_extension("1");
    let writer = Writer::start(&target).unwrap();

    writer.push(&event()).unwrap().blocking_recv().unwrap();
    fs::rename(&path, &rotated).unwrap();
    writer.push(&event()).unwrap().blocking_recv().unwrap();
    writer.reopen();
    writer.push(&event()).unwrap().blocking_recv().unwrap();

    assert_eq!(numbers(&rotated), [1, 2]);
    assert_eq!(numbers(&path), [3]);
    assert_eq!(writer.counts(), (3, 0));
}

#[test]
fn lines_for_a_full_disk_are_written_once_it_has_space() {
    let (_folder, path, target) = target();
    symlink("/dev/full", &path).unwrap();
    let writer = Writer::start(&target).unwrap();
    let written: Vec<_> = (0..3).map(|_| writer.push(&event()).unwrap()).collect();
    while writer.is_writable() {
        thread::yield_now();
    }

    fs::remove_file(&path).unwrap();
    writer.reopen();

    for written in written {
        written.blocking_recv().unwrap();
    }
    assert!(writer.is_writable());
    assert_eq!(numbers(&path), [1, 2, 3]);
}

#[test]
fn lines_beyond_the_queue_are_counted_and_their_number_is_a_line() {
    let (_folder, path, target) = target();
    symlink("/dev/full", &path).unwrap();
    let writer = Writer::start(&target).unwrap();
    let mut queued = 0;
    let mut last = None;
    while let Some(written) = writer.push(&event()) {
        queued += 1;
        last = Some(written);
    }
    assert!(writer.push(&event()).is_none());

    fs::remove_file(&path).unwrap();
    writer.reopen();
    last.unwrap().blocking_recv().unwrap();
    writer.push(&event()).unwrap().blocking_recv().unwrap();

    let text = fs::read_to_string(&path).unwrap();
    let line = text.lines().find(|line| line.contains("\"lost\"")).unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    let (written, lost) = writer.counts();
    assert_eq!((written, lost), (queued + 2, 2));
    assert_eq!(line["lines"], 2);
}

#[test]
fn a_pipe_is_refused_since_opening_it_would_wait_for_a_reader() {
    let (_folder, path, target) = target();
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.unwrap().success());

    let error = Writer::start(&target).unwrap_err();

    assert!(error.to_string().contains("--audit-log stdout"), "{error}");
}
