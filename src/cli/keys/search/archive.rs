//! Files whose text is not visible: compressed, encrypted or stored elsewhere.

use memchr::memmem;

/// The format of such a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Can be searched.
    Gzip,
    /// Can be searched, unless it is encrypted.
    Zip,
    /// Cannot be searched, for this reason.
    Opaque(&'static str),
}

impl Format {
    /// By the first bytes; `None` for everything else.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        const MAGIC: [(&[u8], Format); 9] = [
            (b"\x1f\x8b\x08", Format::Gzip),
            (b"PK\x03\x04", Format::Zip),
            (b"\xfd7zXZ\0", Format::Opaque("compressed with xz")),
            (b"BZh91AY&SY", Format::Opaque("compressed with bzip2")),
            (b"\x28\xb5\x2f\xfd", Format::Opaque("compressed with zstd")),
            (b"7z\xbc\xaf\x27\x1c", Format::Opaque("a 7z archive")),
            (b"Rar!\x1a\x07", Format::Opaque("a rar archive")),
            (b"\0GITCRYPT\0", Format::Opaque("encrypted with git-crypt")),
            (
                b"version https://git-lfs.github.com/spec/",
                Format::Opaque("a Git LFS pointer"),
            ),
        ];
        let found = MAGIC.iter().find(|(magic, _)| bytes.starts_with(magic));
        found.map(|(_, format)| *format)
    }
}

/// An entry of a zip file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ZipEntry<'z> {
    /// Begins with a deflate stream, which marks its own end.
    Deflated(&'z [u8]),
    /// Cannot be searched.
    Opaque(&'static str),
}

/// The entries of a zip file that are not stored as they are (APPNOTE.TXT 6.3.10, section 4.3.7).
pub(super) fn zip_entries(zip: &[u8]) -> impl Iterator<Item = ZipEntry<'_>> {
    memmem::find_iter(zip, b"PK\x03\x04").filter_map(|at| {
        let header = &zip[at..];
        let field = |at: usize| Some(u16::from_le_bytes([*header.get(at)?, *header.get(at + 1)?]));
        let (flags, method) = (field(6)?, field(8)?);
        let content = 30 + usize::from(field(26)?) + usize::from(field(28)?);
        let is_encrypted = flags & 1 != 0;
        match method {
            _ if is_encrypted => Some(ZipEntry::Opaque("encrypted")),
            0 => None,
            8 => header.get(content..).map(ZipEntry::Deflated),
            _ => Some(ZipEntry::Opaque("compressed with a rare method")),
        }
    })
}
