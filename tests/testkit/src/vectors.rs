//! The test vectors of the format: `tests/vectors/es1.json`, or the file that `ES1_VECTORS` names.
//!
//! Unknown members are ignored, so that later versions of the vectors still run.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// The environment variable that names another vector file.
pub const VARIABLE: &str = "ES1_VECTORS";

/// A vector file.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Vectors {
    /// The reader's clock.
    pub now: String,
    /// The keys that wrap the data keys in the cases.
    pub local_keyring: Vec<LocalKey>,
    /// Pre-authentication encodings.
    #[serde(default)]
    pub pae: Vec<Pae>,
    /// Bindings and their encryption contexts.
    #[serde(default)]
    pub encryption_context: Vec<Context>,
    /// Documents that open.
    #[serde(default)]
    pub positive: Vec<Case>,
    /// Documents that do not open.
    #[serde(default)]
    pub negative: Vec<Case>,
    /// Whether this is the project's own file, for which tests have stricter requirements.
    #[serde(skip)]
    pub own: bool,
}

/// A key of the keyring, in plaintext: these keys are public.
#[derive(Deserialize)]
pub struct LocalKey {
    /// `local://KID`.
    pub uri: String,
    /// 32 bytes in hex.
    pub key: String,
}

/// A case of the pre-authentication encoding, in hex.
#[derive(Deserialize)]
pub struct Pae {
    /// The input.
    pub pieces: Vec<String>,
    /// The encoding.
    pub pae: String,
}

/// A case of the encryption context.
#[derive(Deserialize)]
pub struct Context {
    /// The value of `spec.scope`.
    pub scope: String,
    /// The object's namespace.
    #[serde(default)]
    pub namespace: String,
    /// The object's name.
    #[serde(default)]
    pub name: String,
    /// Empty for none.
    #[serde(default)]
    pub audience: String,
    /// The encryption context, as its exact JSON text.
    pub json: String,
}

/// A document and the expected result of opening it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Case {
    /// The case's name.
    pub name: String,
    /// The object's namespace.
    pub namespace: Option<String>,
    /// The object's name.
    pub object_name: String,
    /// The audiences that the reader accepts; "" stands for documents without audience.
    #[serde(default)]
    pub accepted_audiences: Vec<String>,
    /// The reader's clock in this case, if it differs from that of the file.
    pub now: Option<String>,
    spec: Option<Box<RawValue>>,
    spec_json: Option<String>,
    /// The entries of the Secret in base64, in a positive case.
    pub plaintext: Option<BTreeMap<String, String>>,
    /// Every intermediate value, in a positive case.
    pub intermediate: Option<Value>,
    /// The stage of the failure, in a negative case.
    pub error: Option<String>,
    /// The number of KMS calls that opening makes.
    pub kms_calls: Option<usize>,
}

impl Case {
    /// Returns the exact text of the spec in the file.
    pub fn spec(&self) -> anyhow::Result<&str> {
        match (&self.spec_json, &self.spec) {
            (Some(text), _) => Ok(text),
            (None, Some(spec)) => Ok(spec.get()),
            (None, None) => anyhow::bail!("neither spec nor specJson"),
        }
    }
}

/// Reads the file that [`VARIABLE`] names, otherwise the project's own.
///
/// # Errors
/// If the file cannot be read or has no cases.
pub fn load() -> anyhow::Result<Vectors> {
    match std::env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
        Some(path) => read(Path::new(&path)),
        None => load_bundled(),
    }
}

/// Reads the project's own file, for tests that need a particular case.
pub fn load_bundled() -> anyhow::Result<Vectors> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors/es1.json");
    let vectors = read(Path::new(path))?;
    Ok(Vectors { own: true, ..vectors })
}

fn read(path: &Path) -> anyhow::Result<Vectors> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let vectors: Vectors =
        serde_json::from_str(&text).with_context(|| format!("{} is not a vector file", path.display()))?;
    let cases = vectors.positive.len() + vectors.negative.len();
    ensure!(cases > 0, "{} has no cases", path.display());
    Ok(vectors)
}

/// Decodes hex.
pub fn hex(text: &str) -> anyhow::Result<Vec<u8>> {
    ensure!(
        text.is_ascii() && text.len().is_multiple_of(2),
        "not a hex string"
    );
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).context("not a hex string"))
        .collect()
}
