//! The provider against a scripted server: what is sent, what is made of the answers, what is tried again.

mod admin;
mod credentials;
mod faults;
mod requests;
pub(super) mod server;

use std::time::Duration;

use super::*;
use crate::envelope::{Binding, EncryptionContext, Scope};
use server::Server;

pub(super) const KEY_ID: &str = "23e80852-1e38-11e9-b129-5cb9019b4b01";
pub(super) const OTHER_ID: &str = "5b7c1d3e-2a44-11ea-8c11-5cb9019b4b01";
pub(super) const BLOB: &str = "AAAA-k-BBBB-k-CCCC";
/// 32 bytes of 7, in base64.
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

/// Limits that no test waits for.
pub(super) fn limits() -> Limits {
    Limits {
        pause: Duration::from_millis(1),
        ..Limits::default()
    }
}

/// An endpoint where nothing listens.
fn nobody() -> Endpoint {
    Endpoint::parse("http://127.0.0.1:1", false).expect("loopback")
}

fn settings(server: &Server) -> TencentSettings {
    TencentSettings {
        endpoint: Some(server.endpoint()),
        sts_endpoint: Some(server.endpoint()),
        metadata_endpoint: Some(nobody()),
        environment: environment(),
        limits: limits(),
        ..TencentSettings::default()
    }
}

fn kms(server: &Server) -> TencentKms {
    TencentKms::new(settings(server)).expect("a client")
}

#[test]
fn only_keys_on_the_list_are_allowed() {
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
    assert!(!prefix.allows(&odd), "on the list by its beginning, but no key");
    let exact = kms(&[far_key().as_str()]);
    assert!(exact.allows(&far_key()) && !exact.allows(&other_key()));
    assert!(!kms(&[]).allows(&key()));
}

/// The KMS takes 1024 bytes; the longest names that a document may have fit.
#[test]
fn no_context_is_too_long() {
    let longest = Binding::new(
        Scope::Strict,
        Some(&"a".repeat(63)),
        &"n".repeat(63),
        &"d".repeat(253),
    );
    assert!(longest.context().as_str().len() <= 1024);
}
