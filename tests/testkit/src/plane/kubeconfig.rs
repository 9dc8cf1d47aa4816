//! Self-contained kubeconfig files, with certificates and tokens inline.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::pki::Pair;

/// The user that the file authenticates as.
pub(super) enum Identity<'a> {
    Certificate(&'a Pair),
    Token(&'a str),
}

pub(super) fn write(path: &Path, server: &str, authority: &str, identity: &Identity<'_>) -> Result<()> {
    let user = match identity {
        Identity::Certificate(pair) => format!(
            "client-certificate-data: {}\n    client-key-data: {}",
            STANDARD.encode(&pair.certificate),
            STANDARD.encode(&pair.key)
        ),
        Identity::Token(token) => format!("token: {token}"),
    };
    let text = format!(
        "apiVersion: v1
kind: Config
clusters:
- name: testkit
  cluster:
    server: {server}
    certificate-authority-data: {}
users:
- name: testkit
  user:
    {user}
contexts:
- name: testkit
  context:
    cluster: testkit
    user: testkit
current-context: testkit
",
        STANDARD.encode(authority)
    );
    write_private(path, &text)
}

/// Writes a file with mode 0600.
pub(super) fn write_private(path: &Path, text: &str) -> Result<()> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| path.display().to_string())
}
