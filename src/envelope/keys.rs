//! The data key and the key schedule of format-es1 section 4.

use hkdf::Hkdf;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize as _, Zeroizing};

use super::binding::Binding;
use super::encoding::to_hex;

/// Bytes of a data key, a commitment and every derived key.
pub const KEY_LEN: usize = 32;

/// A data key (DEK): 32 bytes, wiped on drop, without Debug. Boxed, so that a move leaves no copy behind.
#[derive(Clone)]
pub struct DataKey(Box<Zeroizing<[u8; KEY_LEN]>>);

impl DataKey {
    /// Takes exactly 32 bytes; `None` for another length.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != KEY_LEN {
            return None;
        }
        let mut key = DataKey::zero();
        key.0.copy_from_slice(bytes);
        Some(key)
    }

    /// Draws a key from the OS RNG.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut key = DataKey::zero();
        getrandom::fill(&mut key.0[..])?;
        Ok(key)
    }

    fn zero() -> Self {
        DataKey(Box::new(Zeroizing::new([0; KEY_LEN])))
    }

    /// The key itself, for wrapping it.
    pub fn expose(&self) -> &[u8; KEY_LEN] {
        &self.0
    }
}

/// Bytes that nobody may print: a decrypted value, a rendered text, an unwrapped data key of whatever length.
/// Wiped on drop, without Debug.
#[derive(Clone)]
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// Takes the buffer over; it is wiped when this is dropped.
    pub fn new(bytes: Vec<u8>) -> Self {
        SecretBytes(Zeroizing::new(bytes))
    }

    /// The bytes themselves.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In constant time for two of one length; the length is no secret here.
    pub fn ct_eq(&self, other: &SecretBytes) -> bool {
        self.expose().ct_eq(other.expose()).into()
    }
}

/// The commitment of a data key to a document id and binding. Public: it stands in the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Commitment(pub [u8; KEY_LEN]);

impl Commitment {
    /// `dataKeys[].id`: hex of the first four bytes.
    pub fn key_id(&self) -> String {
        to_hex(&self.0[..4])
    }

    /// In constant time.
    pub fn matches(&self, other: &Commitment) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// What one data key gives in one document: PRK = HKDF-Extract(salt = id, ikm = DEK), expanded by purpose.
/// Holds the PRK inside the HMAC state, which `hmac/zeroize` wipes.
pub struct KeySchedule<'b> {
    hkdf: Hkdf<Sha256>,
    binding: &'b Binding,
}

impl<'b> KeySchedule<'b> {
    /// `id` is the document's, decoded.
    pub fn new(key: &DataKey, id: &[u8; 32], binding: &'b Binding) -> Self {
        let (mut prk, hkdf) = Hkdf::extract(Some(id), key.expose());
        prk.as_mut_slice().zeroize();
        KeySchedule { hkdf, binding }
    }

    /// Compared with the document's before anything else is derived.
    pub fn commitment(&self) -> Commitment {
        Commitment(*self.expand("commit", ""))
    }

    pub(super) fn seal_key(&self) -> Zeroizing<[u8; KEY_LEN]> {
        self.expand("seal", "")
    }

    pub(super) fn template_key(&self) -> Zeroizing<[u8; KEY_LEN]> {
        self.expand("template", "")
    }

    /// `K_value(name)`, and `info("value", name)`, which is the AAD too.
    pub(super) fn value_key(&self, name: &str) -> (Zeroizing<[u8; KEY_LEN]>, Vec<u8>) {
        let info = self.binding.info("value", name);
        (self.expand_info(&info), info)
    }

    fn expand(&self, purpose: &str, item: &str) -> Zeroizing<[u8; KEY_LEN]> {
        self.expand_info(&self.binding.info(purpose, item))
    }

    fn expand_info(&self, info: &[u8]) -> Zeroizing<[u8; KEY_LEN]> {
        let mut out = Zeroizing::new([0; KEY_LEN]);
        #[expect(
            clippy::expect_used,
            reason = "HKDF-SHA256 expands up to 8160 bytes; 32 are asked for"
        )]
        self.hkdf
            .expand(info, out.as_mut())
            .expect("32 bytes are not too many");
        out
    }
}
