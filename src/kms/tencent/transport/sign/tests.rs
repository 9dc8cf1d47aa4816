//! Every vector with every intermediate value, and properties that the vectors do not cover.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::*;

#[derive(Deserialize)]
struct Vectors {
    vectors: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    input: Input,
    #[serde(default)]
    request_headers: BTreeMap<String, Value>,
    expected: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct Input {
    secret_id: String,
    secret_key: Option<String>,
    timestamp: i64,
    service: String,
    host: String,
    method: String,
    #[serde(default)]
    action: Option<String>,
    #[serde(default)]
    content_type: Option<String>,
    signed_headers: Option<String>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    query: Option<String>,
    #[serde(default)]
    unsigned_payload: bool,
}

impl Case {
    /// Returns a header's value from the input, else from the headers that the case says were sent.
    fn header(&self, name: &str) -> Result<&str, String> {
        let given = match name {
            "content-type" => self.input.content_type.as_deref(),
            "host" => Some(self.input.host.as_str()),
            "x-tc-action" => self.input.action.as_deref(),
            _ => None,
        };
        given
            .or_else(|| {
                let sent = self.request_headers.iter();
                sent.clone()
                    .find(|(sent, _)| sent.eq_ignore_ascii_case(name))
                    .and_then(|(_, value)| value.as_str())
            })
            .ok_or_else(|| format!("the case has no value for signed header {name}"))
    }

    fn run(&self) -> Result<(), String> {
        let input = &self.input;
        let expected = |field: &str| self.expected.get(field).and_then(Value::as_str);
        if expected("authorization") == Some(UNSIGNED) {
            return Ok(()); // unsigned
        }
        let names = input.signed_headers.as_deref().unwrap_or("content-type;host");
        let mut headers = Vec::new();
        for name in names.split(';') {
            headers.push((name, self.header(name)?));
        }
        let body = match (input.unsigned_payload, input.method.as_str()) {
            (true, _) => "UNSIGNED-PAYLOAD",
            (false, "GET") => "",
            (false, _) => input.body.as_deref().unwrap_or(""),
        };
        let signable = Signable {
            method: &input.method,
            query: input.query.as_deref().unwrap_or(""),
            headers: &headers,
            body: body.as_bytes(),
            timestamp: input.timestamp,
            service: &input.service,
        };
        let derived = input.secret_key.as_deref();
        let derived = derived.map(|key| SigningKeys::derive(key, &signable.date(), &input.service));
        let published = expected("secret_date_hex").and_then(bytes_of_hex);
        // A page that masks its secret key may publish keys derived from the real one.
        let masked = input.secret_key.as_ref().is_none_or(|key| key.ends_with('*'));
        let keys = match (derived, published) {
            (Some(keys), Some(date)) if masked && *keys.date != date => {
                SigningKeys::from_date_key(&Zeroizing::new(date), &input.service)
            }
            (Some(keys), _) => keys,
            (None, Some(date)) => SigningKeys::from_date_key(&Zeroizing::new(date), &input.service),
            (None, None) => return Err("neither a secret key nor a date key".to_owned()),
        };
        let signature = to_hex(&*hmac(&keys.signing[..], signable.string_to_sign().as_bytes()));
        let authorization = signable.authorization_with(&input.secret_id, &keys);
        let computed = [
            ("hashed_payload", sha256_hex(body.as_bytes())),
            ("canonical_request", signable.canonical_request()),
            (
                "hashed_canonical_request",
                sha256_hex(signable.canonical_request().as_bytes()),
            ),
            ("credential_scope", signable.scope()),
            ("string_to_sign", signable.string_to_sign()),
            ("secret_date_hex", to_hex(&*keys.date)),
            ("secret_service_hex", to_hex(&*keys.service)),
            ("secret_signing_hex", to_hex(&*keys.signing)),
            ("signature", signature),
            ("authorization", authorization),
        ];
        let mut compared = 0;
        for (field, computed) in &computed {
            let Some(expected) = expected(field) else { continue };
            compared += 1;
            if expected != computed {
                return Err(format!("{field}: {computed:?} instead of {expected:?}"));
            }
        }
        if compared == 0 {
            return Err("the case expects nothing".to_owned());
        }
        Ok(())
    }
}

fn bytes_of_hex(text: &str) -> Option<[u8; 32]> {
    let bytes: Option<Vec<u8>> = (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect();
    bytes?.try_into().ok()
}

/// The variable `TC3_VECTORS` names another file of the same format.
#[test]
fn tc3_vectors_match() {
    let text = match std::env::var_os("TC3_VECTORS") {
        Some(path) => std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("TC3_VECTORS {}: {error}", path.display())),
        None => include_str!("../../../../../tests/vectors/tc3.json").to_owned(),
    };
    let vectors: Vectors = serde_json::from_str(&text).expect("a valid vector file");
    assert!(!vectors.vectors.is_empty(), "the file has no cases");
    let failures: Vec<String> = vectors
        .vectors
        .iter()
        .filter_map(|case| case.run().err().map(|why| format!("{}: {why}", case.name)))
        .collect();
    assert!(
        failures.is_empty(),
        "{} of {} cases fail:\n{}",
        failures.len(),
        vectors.vectors.len(),
        failures.join("\n")
    );
}

#[test]
fn tc3_signature_changes_with_each_part() {
    let headers = [
        ("content-type", "application/json"),
        ("host", "kms.tencentcloudapi.com"),
        ("x-tc-action", "Decrypt"),
    ];
    let moved = [headers[0], headers[1], ("x-tc-action", "Encrypt")];
    let signable = || Signable {
        method: "POST",
        query: "",
        headers: &headers,
        body: b"{}",
        timestamp: 1_700_000_000,
        service: "kms",
    };
    let first = signable().authorization("id", "key");
    assert_eq!(first, signable().authorization("id", "key"));
    for other in [
        signable().authorization("id", "kez"),
        Signable {
            method: "GET",
            ..signable()
        }
        .authorization("id", "key"),
        Signable {
            query: "a=b",
            ..signable()
        }
        .authorization("id", "key"),
        Signable {
            headers: &moved,
            ..signable()
        }
        .authorization("id", "key"),
        Signable {
            body: b"{ }",
            ..signable()
        }
        .authorization("id", "key"),
        Signable {
            timestamp: 1_700_000_001,
            ..signable()
        }
        .authorization("id", "key"),
        Signable {
            service: "sts",
            ..signable()
        }
        .authorization("id", "key"),
    ] {
        let signature = |text: &str| text.rsplit_once("Signature=").map(|(_, hex)| hex.to_owned());
        assert_ne!(signature(&first), signature(&other));
    }
}

#[test]
fn tc3_scope_has_the_utc_date() {
    let date = |timestamp| {
        let signable = Signable {
            method: "",
            query: "",
            headers: &[],
            body: b"",
            timestamp,
            service: "kms",
        };
        signable.date()
    };
    assert_eq!(date(1_767_225_599), "2025-12-31");
    assert_eq!(date(1_767_225_600), "2026-01-01");
    assert_eq!(date(1_551_113_065), "2019-02-25");
}
