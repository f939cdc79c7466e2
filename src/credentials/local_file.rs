//! Reads the small files that credentials are in.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

/// The most that is read of a file.
const MAX_BYTES: u64 = 64 << 10;

/// Reads the whole of a file of up to 64 KiB.
///
/// # Errors
///
/// Fails if it cannot be read, is larger, is no regular file (a pipe would be waited for), or holds
/// what is not UTF-8.
pub(super) fn read(path: &Path) -> io::Result<String> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut text = String::new();
    File::open(path)?
        .take(MAX_BYTES + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(io::Error::other("larger than 64 KiB"));
    }
    Ok(text)
}
