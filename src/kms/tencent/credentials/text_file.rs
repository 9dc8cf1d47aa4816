//! Small text files that hold secrets.

use std::io;
use std::path::Path;

use zeroize::Zeroizing;

use crate::files::{self, ReadError};

/// The largest file that is read, in bytes. Real ones are much smaller.
const MAX_LEN: u64 = 64 << 10;

/// Reads a regular file of UTF-8 text, without the byte order mark that some editors write.
pub(super) fn read_text(path: &Path) -> io::Result<Zeroizing<String>> {
    let file = files::open(path)?;
    let (bytes, _) = files::read(&file, MAX_LEN).map_err(|error| match error {
        ReadError::Io(error) => error,
        ReadError::NotRegular => io::Error::other(
            "not a regular file (a pipe does not work: credentials are re-read when their file changes)",
        ),
        error => io::Error::other(error),
    })?;
    let text = std::str::from_utf8(&bytes).map_err(|_| io::Error::other("not valid UTF-8"))?;
    Ok(Zeroizing::new(
        text.strip_prefix('\u{feff}').unwrap_or(text).to_owned(),
    ))
}
