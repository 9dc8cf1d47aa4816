//! The cache directory of built executables.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

/// `~/.cache/envelope-secrets/<kind>/<recipe>-<hash of go.mod and go.sum>`.
pub(super) fn directory(kind: &str, recipe: u32, go_mod: &str, go_sum: &str) -> Result<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    let base = match base {
        Some(base) => base,
        None => PathBuf::from(std::env::var_os("HOME").context("neither HOME nor XDG_CACHE_HOME is set")?)
            .join(".cache"),
    };
    let mut hash = Sha256::new();
    hash.update(go_mod);
    hash.update(go_sum);
    let key = crate::to_hex(&hash.finalize()[..8]);
    Ok(base
        .join("envelope-secrets")
        .join(kind)
        .join(format!("{recipe}-{key}")))
}
