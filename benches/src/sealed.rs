//! Sealed documents, made by the measured binary from a stream of Secrets.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::lab::Lab;

/// What to seal.
pub(crate) struct Batch<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) prefix: &'a str,
    pub(crate) count: usize,
    /// The size of each Secret in bytes; `None` for three small values.
    pub(crate) bytes: Option<usize>,
    /// The KMS keys; empty for the keyring.
    pub(crate) keys: &'a [String],
    /// The environment of the KMS.
    pub(crate) env: &'a [(&'a str, String)],
}

impl<'a> Batch<'a> {
    /// Secrets with three small values, sealed with the keyring.
    pub(crate) fn small(namespace: &'a str, count: usize) -> Self {
        Batch {
            namespace,
            prefix: "s",
            count,
            bytes: None,
            keys: &[],
            env: &[],
        }
    }

    pub(crate) fn seal(&self, lab: &Lab) -> Result<Vec<Value>> {
        let (input, output) = (
            lab.directory.join("secrets.yaml"),
            lab.directory.join("sealed.json"),
        );
        std::fs::write(&input, self.manifests())?;
        let mut words = vec!["seal", "--quiet", "-o", "json"];
        for key in self.keys {
            words.extend(["--key", key]);
        }
        if self.keys.is_empty() {
            words.push("--keyring");
            lab.envelope(&words, &[&lab.keyring, &input], self.env, Some(&output))?;
        } else {
            lab.envelope(&words, &[&input], self.env, Some(&output))?;
        }
        let objects = read(&output)?;
        std::fs::remove_file(&input)?;
        std::fs::remove_file(&output)?;
        Ok(objects)
    }

    /// The Secrets as a YAML stream.
    pub(crate) fn manifests(&self) -> String {
        let mut text = String::new();
        for number in 0..self.count {
            let Batch {
                namespace, prefix, ..
            } = self;
            let _ = write!(
                text,
                "---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: {prefix}{number}\n  namespace: {namespace}\nstringData:\n"
            );
            let _ = match self.bytes {
                None => write!(
                    text,
                    "  username: user-{number}\n  password: correct-horse-{number}-battery\n  url: postgres://db-{number}.example:5432/app\n"
                ),
                // A hundred different characters would be as good: the values are not compressed.
                Some(bytes) => writeln!(text, "  large: \"{}\"", "v".repeat(bytes)),
            };
        }
        text
    }
}

fn read(path: &Path) -> Result<Vec<Value>> {
    let text = std::fs::read(path)?;
    let value: Value = serde_json::from_slice(&text).context("the output of envelope seal")?;
    match value {
        Value::Object(mut list) => match list.remove("items") {
            Some(Value::Array(items)) => Ok(items),
            _ => Ok(vec![Value::Object(list)]),
        },
        _ => anyhow::bail!("envelope seal did not print an object"),
    }
}

/// The objects as request bodies.
pub(crate) fn bodies(objects: &[Value]) -> Vec<String> {
    objects.iter().map(Value::to_string).collect()
}
