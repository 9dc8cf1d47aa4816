//! The recipes of docs/templates.md over hostile values. A parser of each output format must recover the values.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};

use super::docs::recipe;
use super::support::{percent_decode, render_over};

/// Values that break any template that does not escape them.
const HOSTILE: [&str; 16] = [
    "",
    "plain",
    " two  spaces ",
    "quote\" apostrophe' backslash\\ \\n",
    "line\nend\r\nand tab\t.",
    "\0\u{1}\u{8}\u{c}\u{1b}\u{7f}\u{85}\u{9f}",
    "\u{2028}\u{2029}\u{feff}\u{a0}",
    "\u{e9}\u{6f22}\u{1f511}e\u{301}",
    "a: b # c",
    "- a\n- b",
    "{a}[b]&c*d!e|f>g%h@i`j",
    "</script><!-- ]]>",
    "?a=b&c=d+e/f;g",
    "yes",
    "012345678e9",
    "<%= v.user %>${x}$(y)",
];

fn rendered(text: &str, values: &[(&str, &str)]) -> String {
    let values: Vec<(&str, &[u8])> = values
        .iter()
        .map(|(name, value)| (*name, value.as_bytes()))
        .collect();
    String::from_utf8(render_over(text, &values).expect("renders")).expect("text")
}

/// Pairs each hostile value with the next one, so that the two entries differ.
fn pairs() -> impl Iterator<Item = (&'static str, &'static str)> {
    HOSTILE.into_iter().zip(HOSTILE.into_iter().cycle().skip(1))
}

#[test]
fn pull_secret_recipe() {
    let text = recipe("Pull secret", ".dockerconfigjson");
    for (username, password) in pairs() {
        for registry in ["registry.example.com", "https://index.docker.io/v1/"] {
            let values = [
                ("registry", registry),
                ("username", username),
                ("password", password),
            ];
            let read: Value = serde_json::from_str(&rendered(&text, &values)).expect("JSON");
            let auth = STANDARD.encode(format!("{username}:{password}"));
            let entry = json!({"username": username, "password": password, "auth": auth});
            assert_eq!(read, json!({"auths": {registry: entry}}));
        }
    }
}

#[test]
fn jdbc_url_recipe() {
    let text = recipe("JDBC URL", "jdbc-url");
    for (user, password) in pairs() {
        for sslmode in [None, Some("verify-full")] {
            let mut values = vec![
                ("host", "db.prod.svc"),
                ("database", "my app"),
                ("user", user),
                ("password", password),
            ];
            values.extend(sslmode.map(|mode| ("sslmode", mode)));
            let url = rendered(&text, &values);
            let uri: http::Uri = url.strip_prefix("jdbc:").expect("JDBC").parse().expect("a URI");
            assert_eq!(
                (uri.scheme_str(), uri.host(), uri.port_u16()),
                (Some("postgresql"), Some("db.prod.svc"), Some(5432))
            );
            assert_eq!(percent_decode(uri.path().as_bytes()), b"/my app");
            let parameters: Vec<(&str, Vec<u8>)> = uri
                .query()
                .expect("parameters")
                .split('&')
                .map(|parameter| parameter.split_once('=').expect("name and value"))
                .map(|(name, value)| (name, percent_decode(value.as_bytes())))
                .collect();
            let mut expected = vec![
                ("user", user.as_bytes().to_vec()),
                ("password", password.as_bytes().to_vec()),
            ];
            expected.extend(sslmode.map(|mode| ("sslmode", mode.as_bytes().to_vec())));
            assert_eq!(parameters, expected);
        }
    }
    let values = [
        ("host", "h"),
        ("port", "6432"),
        ("database", "d"),
        ("user", "u"),
        ("password", "p"),
    ];
    assert_eq!(
        rendered(&text, &values),
        "jdbc:postgresql://h:6432/d?user=u&password=p"
    );
}

/// Splits a line like libpq: a colon ends a field, a backslash escapes the next character.
fn parse_pgpass(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        let field = fields.last_mut().expect("at least one field");
        match character {
            ':' => fields.push(String::new()),
            '\\' => field.extend(characters.next()),
            other => field.push(other),
        }
    }
    fields
}

#[test]
fn pgpass_recipe() {
    let text = recipe(".pgpass", ".pgpass");
    for (user, password) in pairs().chain([("a:b", "\\:"), ("\\", "::\\\\"), ("a\\", ":")]) {
        if user.contains(['\n', '\r']) || password.contains(['\n', '\r']) {
            continue; // the page states that the format cannot represent line breaks
        }
        let file = rendered(
            &text,
            &[("host", "db.prod.svc"), ("user", user), ("password", password)],
        );
        let line = file.strip_suffix('\n').expect("the line ends");
        assert_eq!(parse_pgpass(line), ["db.prod.svc", "5432", "*", user, password]);
    }
}

/// Returns the content of both configuration recipes.
fn expected_configuration(password: &str, token: Option<&str>) -> Value {
    let mut expected = json!({"database": {"host": "db:5432", "password": password}});
    if let Some(token) = token {
        expected["token"] = token.into();
    }
    expected
}

fn configuration_values<'a>(password: &'a str, token: Option<&'a str>) -> Vec<(&'a str, &'a str)> {
    let mut values = vec![("host", "db:5432"), ("password", password)];
    values.extend(token.map(|token| ("token", token)));
    values
}

#[test]
fn json_configuration_recipe() {
    let text = recipe("JSON configuration", "config.json");
    for (password, token) in pairs() {
        for token in [None, Some(token)] {
            let file = rendered(&text, &configuration_values(password, token));
            let read: Value = serde_json::from_str(&file).expect("JSON");
            assert_eq!(read, expected_configuration(password, token));
        }
    }
}

#[test]
fn yaml_configuration_recipe() {
    let text = recipe("YAML configuration", "config.yaml");
    for (password, token) in pairs() {
        for token in [None, Some(token)] {
            let file = rendered(&text, &configuration_values(password, token));
            let read: Value = serde_saphyr::from_str(&file).expect("YAML");
            assert_eq!(read, expected_configuration(password, token));
        }
    }
}

fn pem(label: &str, content: &[u8]) -> String {
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----",
        STANDARD.encode(content)
    )
}

#[test]
fn tls_bundle_recipe() {
    let text = recipe("TLS bundle", "bundle.pem");
    let (leaf, issuer, root) = (
        pem("CERTIFICATE", b"leaf"),
        pem("CERTIFICATE", b"issuer"),
        pem("CERTIFICATE", b"root"),
    );
    let key = pem("PRIVATE KEY", b"key");
    // Without and with a final line break, with CRLF, and surrounded by blank lines.
    for padding in ["", "\n", "\r\n", "\n\n  \n"] {
        for issuers in [None, Some(format!("{issuer}\n{root}"))] {
            let [certificate, key] = [&leaf, &key].map(|part| format!("{padding}{part}{padding}"));
            let issuers = issuers.map(|issuers| issuers + padding);
            let mut values = vec![("tls.crt", certificate.as_str()), ("tls.key", &key)];
            values.extend(issuers.as_deref().map(|issuers| ("ca.crt", issuers)));
            let bundle = rendered(&text, &values);
            let chain: Vec<Vec<u8>> = CertificateDer::pem_slice_iter(bundle.as_bytes())
                .map(|certificate| certificate.expect("a certificate").to_vec())
                .collect();
            let expected: &[&[u8]] = if issuers.is_some() {
                &[b"leaf", b"issuer", b"root"]
            } else {
                &[b"leaf"]
            };
            assert_eq!(chain, expected);
            let key = PrivateKeyDer::from_pem_slice(bundle.as_bytes()).expect("a key");
            assert_eq!(key.secret_der(), b"key");
            assert!(bundle.ends_with("-----\n") && !bundle.contains("\n\n"));
        }
    }
}
