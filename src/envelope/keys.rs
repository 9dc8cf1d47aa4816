//! Data keys and the key schedule (docs/format-es1.md#4-keys).

use hkdf::Hkdf;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize as _, Zeroizing};

use super::binding::Binding;
use super::encoding::to_hex;

/// Length in bytes of a data key, a commitment and every derived key.
pub const KEY_LEN: usize = 32;

/// A data key (DEK) of exactly 32 bytes.
///
/// Zeroized on drop and without `Debug`. Boxed, so that moving it leaves no copy on the stack.
///
/// ```
/// use envelope_secrets::envelope::DataKey;
///
/// let key = DataKey::from_slice(&[7; 32]).expect("32 bytes");
/// assert_eq!(key.expose(), &[7; 32]);
/// assert!(DataKey::from_slice(&[7; 31]).is_none());
/// ```
#[derive(Clone)]
pub struct DataKey(Box<Zeroizing<[u8; KEY_LEN]>>);

impl DataKey {
    /// Copies a key of exactly 32 bytes; returns `None` for any other length.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != KEY_LEN {
            return None;
        }
        let mut key = DataKey::zero();
        key.0.copy_from_slice(bytes);
        Some(key)
    }

    /// Generates a key with the random number generator of the operating system.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut key = DataKey::zero();
        getrandom::fill(&mut key.0[..])?;
        Ok(key)
    }

    fn zero() -> Self {
        DataKey(Box::new(Zeroizing::new([0; KEY_LEN])))
    }

    /// Returns the key material, to be wrapped by a KMS.
    pub fn expose(&self) -> &[u8; KEY_LEN] {
        &self.0
    }
}

/// The commitment of a data key to a document id and binding. Public: it is part of the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Commitment(pub [u8; KEY_LEN]);

impl Commitment {
    /// Returns `dataKeys[].id`: the first four bytes in hex.
    pub fn key_id(&self) -> String {
        to_hex(&self.0[..4])
    }

    /// Compares in constant time.
    pub fn matches(&self, other: &Commitment) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// The keys derived from one data key in one document: PRK = HKDF-Extract(salt = id, ikm = DEK), expanded by purpose.
///
/// Holds the PRK inside the HMAC state, which `hmac/zeroize` zeroizes.
///
/// ```
/// use envelope_secrets::envelope::keys::KeySchedule;
/// use envelope_secrets::envelope::{Binding, DataKey, Scope};
///
/// let data_key = DataKey::from_slice(&[7; 32]).expect("32 bytes");
/// let commitment = |name| {
///     let binding = Binding::new(Scope::Strict, None, "prod", name);
///     KeySchedule::new(&data_key, &[1; 32], &binding).commitment()
/// };
/// // Under another name, the same data key derives other keys and another commitment.
/// assert!(commitment("db").matches(&commitment("db")));
/// assert!(!commitment("db").matches(&commitment("cache")));
/// ```
pub struct KeySchedule<'b> {
    hkdf: Hkdf<Sha256>,
    binding: &'b Binding,
}

impl<'b> KeySchedule<'b> {
    /// Extracts the PRK. `id` is the decoded document id.
    pub fn new(key: &DataKey, id: &[u8; 32], binding: &'b Binding) -> Self {
        let (mut prk, hkdf) = Hkdf::extract(Some(id), key.expose());
        prk.as_mut_slice().zeroize();
        KeySchedule { hkdf, binding }
    }

    /// Returns the commitment, which readers compare with the document's before they use any other derived key.
    pub fn commitment(&self) -> Commitment {
        Commitment(*self.expand("commit", ""))
    }

    pub(super) fn seal_key(&self) -> Zeroizing<[u8; KEY_LEN]> {
        self.expand("seal", "")
    }

    pub(super) fn template_key(&self) -> Zeroizing<[u8; KEY_LEN]> {
        self.expand("template", "")
    }

    /// Returns `K_value(name)` and `info("value", name)`, which is also the AAD.
    pub(super) fn value_key(&self, name: &str) -> (Zeroizing<[u8; KEY_LEN]>, Vec<u8>) {
        let info = self.binding.info("value", name);
        (self.expand_info(&info), info)
    }

    fn expand(&self, purpose: &str, item: &str) -> Zeroizing<[u8; KEY_LEN]> {
        self.expand_info(&self.binding.info(purpose, item))
    }

    fn expand_info(&self, info: &[u8]) -> Zeroizing<[u8; KEY_LEN]> {
        let mut out = Zeroizing::new([0; KEY_LEN]);
        #[expect(clippy::expect_used, reason = "HKDF-SHA256 expands up to 8160 bytes")]
        self.hkdf
            .expand(info, out.as_mut())
            .expect("32 bytes are within the limit of HKDF");
        out
    }
}
