//! The client against a scripted server: the requests it sends, how it reads the responses, and what it retries.

mod credentials;
mod faults;
mod key_management;
mod requests;
pub(super) mod server;

use std::time::Duration;

use super::*;
use crate::envelope::{Binding, DataKey, EncryptionContext, Scope, SecretBytes};
use crate::kms::{AllowedKeys, Class, KeyUri, Kms as _, KmsError};
use server::Server;

pub(super) const KEY_ID: &str = "23e80852-1e38-11e9-b129-5cb9019b4b01";
pub(super) const OTHER_ID: &str = "5b7c1d3e-2a44-11ea-8c11-5cb9019b4b01";
pub(super) const BLOB: &str = "AAAA-k-BBBB-k-CCCC";
/// 32 bytes with the value 7, in base64.
pub(super) const SEVENS: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";

fn key() -> KeyUri {
    KeyUri::parse(&format!("tencent-kms://ap-guangzhou/{KEY_ID}")).expect("a key URI")
}

fn other_key() -> KeyUri {
    KeyUri::parse(&format!("tencent-kms://ap-guangzhou/{OTHER_ID}")).expect("a key URI")
}

fn far_key() -> KeyUri {
    KeyUri::parse(&format!("tencent-kms://ap-shanghai/{OTHER_ID}")).expect("a key URI")
}

fn context() -> EncryptionContext {
    Binding::new(Scope::Strict, Some("prod-gz"), "prod", "db").context()
}

pub(super) fn environment() -> Environment {
    Environment::from_lookup(|name| {
        let value = match name {
            "TENCENTCLOUD_SECRET_ID" => "AKIDEXAMPLE00000000000000000000kms01",
            "TENCENTCLOUD_SECRET_KEY" => "EXAMPLEsecretKEYforTestsOnly0123",
            _ => return None,
        };
        Some(value.to_owned())
    })
}

/// Limits without noticeable pauses.
pub(super) fn limits() -> Limits {
    Limits {
        pause: Duration::from_millis(1),
        ..Limits::default()
    }
}

/// An endpoint that nothing listens on.
fn unreachable() -> Endpoint {
    Endpoint::parse("http://127.0.0.1:1", false).expect("loopback")
}

fn settings(server: &Server) -> TencentSettings {
    TencentSettings {
        endpoint: Some(server.endpoint()),
        sts_endpoint: Some(server.endpoint()),
        metadata_endpoint: Some(unreachable()),
        environment: environment(),
        limits: limits(),
        ..TencentSettings::default()
    }
}

fn kms(server: &Server) -> TencentKms {
    TencentKms::new(settings(server)).expect("a client")
}

#[test]
fn only_listed_keys_are_allowed() {
    let kms = |entries: &[&str]| {
        let allowed = AllowedKeys::parse(entries).expect("a list");
        let settings = TencentSettings {
            allowed,
            ..TencentSettings::default()
        };
        TencentKms::new(settings).expect("a client")
    };
    let prefix = kms(&["tencent-kms://ap-guangzhou/"]);
    assert!(prefix.allows(&key()) && !prefix.allows(&far_key()));
    let odd = KeyUri::parse("tencent-kms://ap-guangzhou/../ap-shanghai").expect("a key URI");
    assert!(!prefix.allows(&odd), "has the prefix, but is not a key");
    let exact = kms(&[far_key().as_str()]);
    assert!(exact.allows(&far_key()) && !exact.allows(&other_key()));
    assert!(!kms(&[]).allows(&key()));
}

/// The API limits the context to 1024 bytes.
#[test]
fn context_of_the_longest_names_fits_the_limit() {
    let longest = Binding::new(
        Scope::Strict,
        Some(&"a".repeat(63)),
        &"n".repeat(63),
        &"d".repeat(253),
    );
    assert!(longest.context().as_str().len() <= 1024);
}
