//! Searches the content of one file, and what it holds in base64, gzip and zip.

use std::io::{self, Cursor, Read};

use flate2::read::{DeflateDecoder, MultiGzDecoder};
use memchr::memchr_iter;

use super::archive::{Format, ZipEntry, zip_entries};
use super::text::{Traits, decode_base64, unescaped, without_nul};

/// Files are read in pieces, so that their size does not matter.
pub(super) const PIECE: usize = 16 << 20;
/// The end of a piece is searched again with the next one. Longer than anything that is searched for, in UTF-32 and
/// base64.
const OVERLAP: usize = 4 << 10;
/// Archives in base64 in archives. Helm keeps a release as gzip in base64 in the base64 of a Secret.
const MAX_DEPTH: usize = 6;
/// The limit of decompressed bytes in one file.
const MAX_INFLATED: u64 = 256 << 20;

/// The findings in one file.
pub(super) struct Scan<'i> {
    id: &'i [u8],
    pub(super) traits: Traits,
    /// The line that names the KMS key, unless it is encoded.
    pub(super) line: Option<usize>,
    /// Why some of the content was not searched.
    pub(super) unsearched: Option<&'static str>,
    inflated: u64,
}

impl<'i> Scan<'i> {
    /// Searches everything that `from` returns.
    pub(super) fn of(from: &mut dyn Read, id: &'i str) -> io::Result<Self> {
        let mut scan = Scan {
            id: id.as_bytes(),
            traits: Traits::default(),
            line: None,
            unsearched: None,
            inflated: 0,
        };
        scan.stream(from, 0)?;
        Ok(scan)
    }

    fn stream(&mut self, from: &mut dyn Read, depth: usize) -> io::Result<()> {
        let (mut window, mut line) = (Vec::new(), 1);
        (&mut *from).take(PIECE as u64).read_to_end(&mut window)?;
        match Format::of(&window) {
            Some(Format::Opaque(why)) => self.unsearched = Some(why),
            Some(Format::Gzip) => {
                self.compressed(MultiGzDecoder::new(Cursor::new(&window).chain(from)), depth);
                return Ok(());
            }
            Some(Format::Zip) => {
                from.take(MAX_INFLATED).read_to_end(&mut window)?;
                self.zip(&window, depth);
            }
            None => {}
        }
        loop {
            let found = self.text(&window, depth);
            if depth == 0 && self.line.is_none() {
                self.line =
                    found.map(|at| line + memchr_iter(b'\n', &window[..at.min(window.len())]).count());
            }
            let done = window.len().saturating_sub(OVERLAP);
            line += memchr_iter(b'\n', &window[..done]).count();
            window.drain(..done);
            if (&mut *from).take(PIECE as u64).read_to_end(&mut window)? == 0 {
                return Ok(());
            }
        }
    }

    /// Returns the offset of the KMS key, unless it is encoded.
    fn text(&mut self, bytes: &[u8], depth: usize) -> Option<usize> {
        let text = without_nul(bytes);
        let at = self.traits.add(&text, self.id);
        let unescaped = unescaped(&text);
        if let Some(text) = &unescaped {
            self.traits.add(text, self.id);
        }
        decode_base64(unescaped.as_deref().unwrap_or(&text), |decoded| {
            self.decoded(decoded, depth + 1);
        });
        at.filter(|_| text.len() == bytes.len())
    }

    /// Searches what was base64, or only looks like it.
    fn decoded(&mut self, bytes: &[u8], depth: usize) {
        if depth > MAX_DEPTH {
            self.unsearched = Some("nested too deeply");
            return;
        }
        match Format::of(bytes) {
            Some(Format::Gzip) => self.compressed(MultiGzDecoder::new(bytes), depth),
            Some(Format::Zip) => self.zip(bytes, depth),
            Some(Format::Opaque(why)) => self.unsearched = Some(why),
            None => {}
        }
        self.text(bytes, depth);
    }

    fn zip(&mut self, bytes: &[u8], depth: usize) {
        if bytes.len() as u64 > MAX_INFLATED {
            self.unsearched = Some("too large an archive");
            return;
        }
        for entry in zip_entries(bytes) {
            match entry {
                ZipEntry::Deflated(content) => self.compressed(DeflateDecoder::new(content), depth),
                ZipEntry::Opaque(why) => self.unsearched = Some(why),
            }
        }
    }

    fn compressed(&mut self, from: impl Read, depth: usize) {
        if depth >= MAX_DEPTH {
            self.unsearched = Some("nested too deeply");
            return;
        }
        let mut limited = Limited {
            from,
            left: MAX_INFLATED.saturating_sub(self.inflated),
        };
        let searched = self.stream(&mut limited, depth + 1);
        self.inflated = MAX_INFLATED - limited.left;
        if let Err(error) = searched {
            self.unsearched = Some(match error.kind() {
                io::ErrorKind::FileTooLarge => "it expands to more than 256 MiB",
                _ => "a damaged archive",
            });
        }
    }
}

/// A reader that fails at a limit.
struct Limited<R> {
    from: R,
    left: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(into)?;
        self.left = self
            .left
            .checked_sub(read as u64)
            .ok_or(io::ErrorKind::FileTooLarge)?;
        Ok(read)
    }
}
