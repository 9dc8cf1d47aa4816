//! The test vectors of the format: `tests/vectors/es1.json`, or the file that `ES1_VECTORS` names.
//!
//! Members that are not known here are ignored, so that vectors of a later date still run.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// Names another file of vectors.
pub const VARIABLE: &str = "ES1_VECTORS";

/// A file of vectors.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Vectors {
    /// The reader's clock.
    pub now: String,
    /// The keys that wrap in the cases.
    pub local_keyring: Vec<LocalKey>,
    /// Lists of pieces and their encoding.
    #[serde(default)]
    pub pae: Vec<Pae>,
    /// Bindings and their encryption context.
    #[serde(default)]
    pub encryption_context: Vec<Context>,
    /// Documents that open.
    #[serde(default)]
    pub positive: Vec<Case>,
    /// Documents that do not.
    #[serde(default)]
    pub negative: Vec<Case>,
    /// Whether this is the project's own file, of which more is asked than of others.
    #[serde(skip)]
    pub own: bool,
}

/// A key of the keyring, in clear: these are public.
#[derive(Deserialize)]
pub struct LocalKey {
    /// `local://KID`.
    pub uri: String,
    /// 32 bytes in hex.
    pub key: String,
}

/// One case of the pre-authentication encoding, in hex.
#[derive(Deserialize)]
pub struct Pae {
    /// What is encoded.
    pub pieces: Vec<String>,
    /// The encoding.
    pub pae: String,
}

/// One case of the encryption context.
#[derive(Deserialize)]
pub struct Context {
    /// The word in `spec.scope`.
    pub scope: String,
    /// The object's namespace.
    #[serde(default)]
    pub namespace: String,
    /// The object's name.
    #[serde(default)]
    pub name: String,
    /// "" for none.
    #[serde(default)]
    pub audience: String,
    /// The context.
    pub json: String,
}

/// A document, and what comes of it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Case {
    /// The case's name.
    pub name: String,
    /// The object's namespace.
    pub namespace: Option<String>,
    /// The object's name.
    pub object_name: String,
    /// What the reader accepts; "" stands for documents without audience.
    #[serde(default)]
    pub accepted_audiences: Vec<String>,
    /// The reader's clock in this case, where it is not that of the file.
    pub now: Option<String>,
    spec: Option<Box<RawValue>>,
    spec_json: Option<String>,
    /// The entries of the Secret in base64, of a positive case.
    pub plaintext: Option<BTreeMap<String, String>>,
    /// Every value on the way, of a positive case.
    pub intermediate: Option<Value>,
    /// The stage of the failure, of a negative case.
    pub error: Option<String>,
    /// How many KMS calls opening makes.
    pub kms_calls: Option<usize>,
}

impl Case {
    /// The spec as text, exactly as it stands in the file.
    pub fn spec(&self) -> anyhow::Result<&str> {
        match (&self.spec_json, &self.spec) {
            (Some(text), _) => Ok(text),
            (None, Some(spec)) => Ok(spec.get()),
            (None, None) => anyhow::bail!("neither spec nor specJson"),
        }
    }
}

/// Reads the file that [`VARIABLE`] names, else the project's own; a file without cases is an error.
pub fn load() -> anyhow::Result<Vectors> {
    match std::env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
        Some(path) => read(Path::new(&path)),
        None => load_own(),
    }
}

/// Reads the project's own file, for tests that need a certain case.
pub fn load_own() -> anyhow::Result<Vectors> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors/es1.json");
    let vectors = read(Path::new(path))?;
    Ok(Vectors { own: true, ..vectors })
}

fn read(path: &Path) -> anyhow::Result<Vectors> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let vectors: Vectors =
        serde_json::from_str(&text).with_context(|| format!("{} holds no vectors", path.display()))?;
    let cases = vectors.positive.len() + vectors.negative.len();
    ensure!(cases > 0, "{} has no case", path.display());
    Ok(vectors)
}

/// Bytes of a hex text.
pub fn hex(text: &str) -> anyhow::Result<Vec<u8>> {
    ensure!(text.is_ascii() && text.len().is_multiple_of(2), "no hex");
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).context("no hex"))
        .collect()
}
