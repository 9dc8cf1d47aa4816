//! Streams of YAML and JSON documents, the Secrets in them, and writing both. Pure.
//!
//! *Document* means a YAML document here, or one JSON value in its place, sealed or not. The content of an
//! `EnvelopeSecret` is called a sealed document.
//!
//! YAML is read from parser events under the YAML 1.2 core schema; every document keeps its byte range, so that
//! documents can pass through unchanged. What is read may be plaintext: [`Node`] has no Debug, its strings are wiped,
//! and no error of this module carries a value.

mod base64_std;
mod buffer;
mod comments;
mod error;
mod json_read;
pub mod leak;
mod lookalike;
mod node;
mod schema;
mod secret;
mod secret_manifest;
mod shown;
mod stream;
mod unpack;
mod write;
mod yaml_read;

pub use base64_std::{from_base64, to_base64};
pub use buffer::SecretBuffer;
pub use comments::Comment;
pub use error::{Ambiguity, ManifestError};
pub use json_read::from_json;
pub use lookalike::PlaintextFinding;
pub use node::{Member, Node};
pub use secret::{Dropped, ENTRY_NAME, NAMESPACE, OBJECT_NAME, SecretInput};
pub use secret_manifest::{SecretManifest, Values, is_text};
pub use shown::{quoted, shown};
pub use stream::{Content, Item, Part, Syntax, read, read_each};
pub use unpack::Treatment;
pub use write::{to_json, to_json_pretty, to_yaml};
pub use yaml_read::{AliasBudget, Aliases};
