//! The byte strings to search for, and the search.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use memchr::memmem;
use zeroize::Zeroizing;

use crate::envelope::encoding::to_hex;

/// Bytes. Shorter values occur by chance.
pub const MIN_LEN: usize = 8;
/// Bytes. Shorter lines of a value occur by chance.
pub const MIN_LINE: usize = 16;
/// After so many partial matches, a needle is searched for by an algorithm that is linear in every case.
const MAX_ATTEMPTS: u32 = 64;
/// Bits of the filter for each needle, as a power of two: so few of its bits are set that it passes few other windows.
const FILTER_BITS_PER_NEEDLE: u32 = 5;
/// The least and the largest size of the filter, as powers of two, in bits: 8 KiB, 8 MiB.
const FILTER_BITS: (u32, u32) = (16, 26);
/// The size of the table in which windows are counted, as a power of two: 8 MiB.
const COUNTED_BITS: u32 = 22;

/// Of so many bytes of a needle, the window that fewest needles share identifies it.
const MAX_ANCHOR: usize = 64;

/// Byte strings of at least [`MIN_LEN`] bytes, each found by a window of eight bytes in it.
#[derive(Default)]
pub(super) struct Needles {
    all: Vec<Needle>,
    /// The window of each needle and its index, sorted.
    anchors: Zeroizing<Vec<(u64, usize)>>,
    /// One bit for the hash of each window, of so many bits.
    filter: Zeroizing<Vec<u64>>,
    filter_bits: u32,
}

struct Needle {
    value: usize,
    bytes: Zeroizing<Vec<u8>>,
    /// The end of its window.
    anchor_end: usize,
}

impl Needles {
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Adds every form of a value, of its trimmed form and of its longer lines, the value without its white space, and the
    /// value in base64 twice, unless `public` contains it.
    pub(super) fn add(&mut self, value: usize, bytes: &[u8], public: &[u8]) {
        if bytes.len() < MIN_LEN || bytes.trim_ascii().is_empty() {
            return;
        }
        // Text that contains the value contains its trimmed form.
        let trimmed = bytes.trim_ascii();
        let whole = if trimmed.len() >= MIN_LEN { trimmed } else { bytes };
        let lines = whole
            .split(|byte| matches!(byte, b'\n' | b'\r'))
            .map(<[u8]>::trim_ascii)
            .filter(|line| line.len() >= MIN_LINE && line.len() < whole.len() && !is_pem_marker(line));
        for part in std::iter::once(whole).chain(lines) {
            if memmem::find(public, part).is_none() {
                self.add_forms(value, part);
            }
        }
        if memmem::find(public, whole).is_none() {
            self.add_encoded_twice(value, whole);
        }
        // As text is read without line breaks and indentation.
        let mut packed = Zeroizing::new(whole.to_vec());
        packed.retain(|byte| !byte.is_ascii_whitespace());
        if packed.len() >= MIN_LINE && packed.len() < whole.len() && memmem::find(public, &packed).is_none() {
            self.push(value, packed.to_vec());
        }
    }

    /// Adds the lines of a value that are too short to be searched for everywhere, but are settings: `PASS=hunter2`.
    pub(super) fn add_short_settings(&mut self, value: usize, bytes: &[u8], public: &[u8]) {
        let lines = bytes
            .split(|byte| matches!(byte, b'\n' | b'\r'))
            .map(<[u8]>::trim_ascii)
            .filter(|line| (MIN_LEN..MIN_LINE).contains(&line.len()) && is_setting(line));
        for line in lines {
            if memmem::find(public, line).is_none() {
                self.push(value, line.to_vec());
            }
        }
    }

    fn push(&mut self, value: usize, bytes: Vec<u8>) {
        self.all.push(Needle {
            value,
            bytes: Zeroizing::new(bytes),
            anchor_end: MIN_LEN,
        });
    }

    fn add_forms(&mut self, value: usize, part: &[u8]) {
        let mut push = |bytes| self.push(value, bytes);
        push(part.to_vec());
        let hex = to_hex(part);
        push(hex.to_uppercase().into_bytes());
        push(hex.into_bytes());
        for before in 0..3 {
            let mut aligned = Zeroizing::new(vec![0; before]);
            aligned.extend_from_slice(part);
            // The characters at the ends also depend on the neighbouring bytes.
            let first = (before * 8).div_ceil(6);
            let last = aligned.len() * 8 / 6;
            let standard = Zeroizing::new(STANDARD_NO_PAD.encode(aligned.as_slice()));
            let url_safe = Zeroizing::new(URL_SAFE_NO_PAD.encode(aligned.as_slice()));
            if standard != url_safe {
                push(url_safe.as_bytes()[first..last].to_vec());
            }
            push(standard.as_bytes()[first..last].to_vec());
        }
    }

    /// Adds the base64 of the base64 of a value: a value of `data` that is encoded once more.
    fn add_encoded_twice(&mut self, value: usize, whole: &[u8]) {
        let inner = Zeroizing::new(STANDARD_NO_PAD.encode(whole));
        // Without the last character, which may depend on the byte behind.
        let inner = &inner.as_bytes()[..whole.len() * 8 / 6];
        for before in 0..3 {
            let mut aligned = Zeroizing::new(vec![0; before]);
            aligned.extend_from_slice(inner);
            let outer = Zeroizing::new(STANDARD_NO_PAD.encode(aligned.as_slice()));
            let (first, last) = ((before * 8).div_ceil(6), aligned.len() * 8 / 6);
            self.push(value, outer.as_bytes()[first..last].to_vec());
        }
    }

    /// Must follow the last `add`.
    pub(super) fn sort(&mut self) {
        self.all
            .sort_by(|a, b| a.bytes.cmp(&b.bytes).then(a.value.cmp(&b.value)));
        self.all.dedup_by(|a, b| a.bytes == b.bytes);
        // Windows are counted by their hash: one that shares its hash with others only seems less rare.
        let mut shared = vec![0_u16; 1 << COUNTED_BITS];
        for needle in &self.all {
            for (_, window) in windows(&needle.bytes) {
                let count = &mut shared[hash(window, COUNTED_BITS)];
                *count = count.saturating_add(1);
            }
        }
        for (index, needle) in self.all.iter_mut().enumerate() {
            let rarest = windows(&needle.bytes).min_by_key(|(_, window)| shared[hash(*window, COUNTED_BITS)]);
            let (end, window) = rarest.unwrap_or_default();
            needle.anchor_end = end;
            self.anchors.push((window, index));
        }
        self.anchors.sort_unstable();
        let (least, largest) = FILTER_BITS;
        self.filter_bits = (self.all.len().max(1).ilog2() + 1 + FILTER_BITS_PER_NEEDLE).clamp(least, largest);
        self.filter = Zeroizing::new(vec![0; 1 << (self.filter_bits - 6)]);
        for (window, _) in self.anchors.iter() {
            let bit = hash(*window, self.filter_bits);
            self.filter[bit >> 6] |= 1 << (bit & 63);
        }
    }

    /// Returns the value of the first needle in the text, and its offset. `failed` counts partial matches.
    pub(super) fn find(&self, text: &[u8], failed: &mut HashMap<usize, u32>) -> Option<(usize, usize)> {
        let mut window = 0_u64;
        for (at, byte) in text.iter().enumerate() {
            window = window << 8 | u64::from(*byte);
            let bit = hash(window, self.filter_bits);
            if self.filter[bit >> 6] & (1 << (bit & 63)) == 0 {
                continue;
            }
            let from = self.anchors.partition_point(|(anchor, _)| *anchor < window);
            let same = self.anchors[from..]
                .iter()
                .take_while(|(anchor, _)| *anchor == window);
            for (_, index) in same {
                let needle = &self.all[*index];
                let Some(start) = (at + 1).checked_sub(needle.anchor_end) else {
                    continue;
                };
                let attempts = failed.entry(*index).or_default();
                if *attempts > MAX_ATTEMPTS {
                    continue;
                }
                if text[start..].starts_with(&needle.bytes) {
                    return Some((needle.value, start));
                }
                *attempts += 1;
                if *attempts > MAX_ATTEMPTS
                    && let Some(offset) = memmem::find(&text[start..], &needle.bytes)
                {
                    return Some((needle.value, start + offset));
                }
            }
        }
        None
    }
}

/// The windows of a needle that may identify it, with their ends.
fn windows(bytes: &[u8]) -> impl Iterator<Item = (usize, u64)> {
    let considered = &bytes[..bytes.len().min(MAX_ANCHOR)];
    considered
        .windows(MIN_LEN)
        .zip(MIN_LEN..)
        .map(|(window, end)| (end, window_of(window)))
}

fn window_of(bytes: &[u8]) -> u64 {
    bytes[..MIN_LEN]
        .iter()
        .fold(0, |window, byte| window << 8 | u64::from(*byte))
}

/// A number of so many bits.
fn hash(window: u64, bits: u32) -> usize {
    // Fibonacci hashing: the high bits of a product depend on all bits.
    let mixed = window.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - bits);
    usize::try_from(mixed).unwrap_or_default()
}

/// `PASS=hunter2`, `pass: hunter2`.
fn is_setting(line: &[u8]) -> bool {
    line.iter()
        .position(|byte| matches!(byte, b'=' | b':'))
        .is_some_and(|at| at > 0 && !line[at + 1..].trim_ascii().is_empty())
}

/// `-----BEGIN CERTIFICATE-----` is in every certificate.
fn is_pem_marker(line: &[u8]) -> bool {
    let inner = line
        .strip_prefix(b"-----BEGIN ")
        .or_else(|| line.strip_prefix(b"-----END "))
        .and_then(|rest| rest.strip_suffix(b"-----"));
    inner.is_some_and(|label| {
        label
            .iter()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b' ')
    })
}
