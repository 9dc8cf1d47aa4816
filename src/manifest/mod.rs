//! Manifests: streams of YAML and JSON documents, the Secrets in them, and the writing of both. Pure.
//!
//! YAML is read by the YAML 1.2 core schema from parser events, each document by itself; its other documents
//! keep their bytes. What is read may be plaintext: [`Node`] has no Debug, its strings are wiped, and no error
//! of this room carries a value.

mod base64_std;
mod buffer;
mod error;
mod json_read;
pub mod leak;
mod node;
mod schema;
mod secret;
mod stream;
mod write;
mod yaml_read;

pub use base64_std::{from_base64, to_base64};
pub use buffer::SecretBuffer;
pub use error::ManifestError;
pub use node::{Member, Node};
pub use secret::{Dropped, SecretInput};
pub use stream::{Content, Item, Kind, Part, Syntax, read};
pub use write::{to_json, to_json_pretty, to_yaml};
