use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

use super::*;
use crate::envelope::encoding::to_hex;

fn found(text: &str, value: &[u8]) -> bool {
    let values = [
        SecretBytes::new(b"another value".to_vec()),
        SecretBytes::new(value.to_vec()),
    ];
    match Scanner::new(&values, b"").find(text.as_bytes()) {
        Some(leak) => {
            assert_eq!(leak.value, 1);
            if let Some(offset) = leak.offset {
                assert!(offset < text.len());
            }
            true
        }
        None => false,
    }
}

#[test]
fn base64_and_hex_are_found_at_every_alignment() {
    let value = b"hunter2?\xc3\xbf\xc3\xbe>>";
    assert!(found("x hunter2?ÿþ>> y", value));
    assert!(found(&format!("0x{}", to_hex(value)), value));
    assert!(found(&to_hex(value).to_uppercase(), value));
    for before in 0..4 {
        for after in 0..4 {
            let whole = [&b"{{{{"[..before], value, &b"}}}}"[..after]].concat();
            assert!(found(&STANDARD.encode(&whole), value), "{before} {after}");
            assert!(found(&URL_SAFE.encode(&whole), value), "{before} {after}");
        }
    }
    assert!(!found("something else entirely", value));
}

#[test]
fn the_common_forms_of_a_value_are_found() {
    let password = b"p&ss/w<rd \"q\" 1\n";
    let pem = b"-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nBKcwggSjAgEAAoIBAQ==\n-----END PRIVATE KEY-----\n";
    for (what, text, value) in [
        (
            "without the final line feed",
            "x: p&ss/w<rd \"q\" 1",
            &password[..],
        ),
        ("in a JSON string", r#"{"a": "p&ss\/w<rd \"q\" 1"}"#, password),
        (
            "as Go writes JSON",
            r#""p\u0026ss/w\u003crd \"q\" 1\n""#,
            password,
        ),
        (
            "as JSON inside JSON",
            r#""{\"a\":\"p\\u0026ss/w<rd \\\"q\\\" 1\"}""#,
            password,
        ),
        (
            "percent-encoded",
            "https://u:p%26ss%2Fw%3Crd%20%22q%22%201@db",
            password,
        ),
        ("in lower case", "p%26ss%2fw%3crd%20%22q%22%201", password),
        ("in a form", "p=p%26ss%2Fw%3Crd+%22q%22+1&x", password),
        ("base64 without the line feed", "cCZzcy93PHJkICJxIiAx", password),
        ("base64url", "cCZzcy93PHJkICJxIiAx", password),
        ("base64 twice", "Y0NaemN5OTNQSEprSUNKeElpQXg=", password),
        (
            "base64, wrapped",
            "    cCZzcy93\n    PHJkICJx\n    IiAx\n",
            password,
        ),
        ("base64, percent-encoded", "cCZzcy93PHJkICJxIiAx%0A", password),
        (
            "one line of a PEM file",
            "x MIIEvQIBADANBgkqhkiG9w0BAQEFAASC y",
            pem,
        ),
        (
            "a PEM file in JSON",
            r#"{"k":"-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n"}"#,
            pem,
        ),
        (
            "an indented PEM file",
            "  k: |\n    MIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n    BKc",
            pem,
        ),
        (
            "outside the BMP",
            r#""\ud83d\ude00\ud83d\ude00!""#,
            "😀😀!".as_bytes(),
        ),
        (
            "a folded YAML string",
            "\"correct \\\n   horse battery\"",
            b"correct horse battery",
        ),
    ] {
        assert!(found(text, value), "{what}");
    }
}

#[test]
fn what_occurs_by_chance_is_not_reported() {
    let certificate = b"-----BEGIN CERTIFICATE-----\nMIIB1\n-----END CERTIFICATE-----\n";
    assert!(!found(
        "-----BEGIN CERTIFICATE-----\nMIIC2\n-----END CERTIFICATE-----\n",
        certificate
    ));
    assert!(!found("postgre", b"postgre"));
    assert!(found("postgres", b"postgres"));
    assert!(!found("    \n        ", b"          "));
    assert!(!found("", b"12345678"));
    assert!(found("\u{1}/////////////////////w==", &[255; 16]));
    let values = [SecretBytes::new(b"ap-guangzhou".to_vec())];
    let scanner = Scanner::new(&values, b"tencent-kms://ap-guangzhou/x");
    assert_eq!(scanner.find(b"region: ap-guangzhou"), None);
}

#[test]
fn many_values_and_long_texts_take_little_time() {
    let started = Instant::now();
    let values: Vec<SecretBytes> = (0..1024)
        .map(|n| SecretBytes::new(format!("https://user-{n}:password@example.com/{n}").into_bytes()))
        .collect();
    let text = "https://example.com/ and \\n %20 + more of it\n".repeat(25_000);
    assert_eq!(Scanner::new(&values, b"").find(text.as_bytes()), None);
    // A value that nearly matches everywhere.
    let values = [SecretBytes::new([vec![b'a'; 1 << 20], vec![b'b']].concat())];
    let text = vec![b'a'; 1 << 20];
    assert_eq!(Scanner::new(&values, b"").find(&text), None);
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "{:?}",
        started.elapsed()
    );
}
