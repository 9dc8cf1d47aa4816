//! The test vectors of the client's signing: accepted unchanged, rejected if any signed part changes.

use serde_json::Value;

use super::*;

const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors/tc3.json");

/// A request that can be changed before it is checked.
#[derive(Clone)]
struct Case {
    name: String,
    method: String,
    query: String,
    service: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    credential: Credential,
    now: i64,
}

impl Case {
    fn of(vector: &Value) -> Self {
        let input = &vector["input"];
        let text = |name: &str| input[name].as_str().expect(name).to_owned();
        let now = input["timestamp"].as_i64().expect("a timestamp");
        let mut headers = vec![
            ("Content-Type".to_owned(), text("content_type")),
            ("Host".to_owned(), text("host")),
            ("X-TC-Action".to_owned(), text("action")),
            ("X-TC-Timestamp".to_owned(), now.to_string()),
            (
                "Authorization".to_owned(),
                vector["expected"]["authorization"]
                    .as_str()
                    .expect("signed")
                    .to_owned(),
            ),
        ];
        let token = input["token"].as_str().map(str::to_owned);
        headers.extend(token.iter().map(|token| ("X-TC-Token".to_owned(), token.clone())));
        if input["unsigned_payload"] == true {
            headers.push(("X-TC-Content-SHA256".to_owned(), UNSIGNED_PAYLOAD.to_owned()));
        }
        Case {
            name: text("name_or_empty"),
            method: text("method"),
            query: text("query"),
            service: text("service"),
            headers,
            body: text("body").into_bytes(),
            credential: Credential {
                secret_id: text("secret_id"),
                secret_key: text("secret_key"),
                token,
                expires: None,
                actions: None,
            },
            now,
        }
    }

    fn header(&mut self, name: &str) -> &mut String {
        let found = self.headers.iter_mut().find(|(other, _)| other == name);
        &mut found.expect("the header").1
    }

    /// The error code; empty if the request is accepted.
    fn code(&self) -> String {
        let headers: Vec<(&str, &str)> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let request = Request::new(&self.method, &self.query, &headers, &self.body);
        let known = |id: &str| (id == self.credential.secret_id).then_some(&self.credential);
        match verify(&request, &self.service, self.now, known) {
            Ok(_) => String::new(),
            Err(error) => error.code,
        }
    }

    /// The error code after a change.
    fn changed(&self, change: impl FnOnce(&mut Case)) -> String {
        let mut case = self.clone();
        change(&mut case);
        case.code()
    }
}

/// Every vector with a signature.
fn cases() -> Vec<Case> {
    let text = std::fs::read_to_string(VECTORS).expect("the vectors");
    let mut file: Value = serde_json::from_str(&text).expect("JSON");
    let mut cases = Vec::new();
    for vector in file["vectors"].as_array_mut().expect("a list") {
        let signed = vector["expected"]["authorization"]
            .as_str()
            .is_some_and(|text| text != "SKIP");
        if signed {
            vector["input"]["name_or_empty"] = vector["name"].clone();
            cases.push(Case::of(vector));
        }
    }
    assert!(cases.len() >= 12, "{} signed vectors", cases.len());
    cases
}

#[test]
fn tc3_vectors_are_accepted_within_the_clock_tolerance() {
    for case in cases() {
        assert_eq!(case.code(), "", "{}", case.name);
        for seconds in [-300, 300] {
            assert_eq!(
                case.changed(|case| case.now += seconds),
                "",
                "{}: {seconds}",
                case.name
            );
        }
    }
}

#[test]
fn tc3_vectors_with_any_signed_part_changed_are_rejected() {
    for case in cases() {
        let name = &case.name;
        let failure = "AuthFailure.SignatureFailure";
        let malformed = "AuthFailure.InvalidAuthorization";
        let unsigned = case.headers.iter().any(|(name, _)| name == "X-TC-Content-SHA256");
        for at in 0..case.body.len() {
            let code = case.changed(|case| case.body[at] ^= 1);
            assert_eq!(code, if unsigned { "" } else { failure }, "{name}: byte {at}");
        }
        let signature = case.clone().header("Authorization").len() - 1;
        for at in signature - 63..=signature {
            let code = case.changed(|case| {
                let text = case.header("Authorization");
                let digit = if text.as_bytes()[at] == b'0' { "1" } else { "0" };
                text.replace_range(at..=at, digit);
            });
            assert_eq!(code, failure, "{name}: digit {at}");
        }
        for (code, what, change) in changes(failure, malformed) {
            assert_eq!(case.changed(change), code, "{name}: {what}");
        }
        for seconds in [-301, 301] {
            let code = case.changed(|case| case.now += seconds);
            assert_eq!(code, "AuthFailure.SignatureExpire", "{name}: {seconds}");
        }
        let signs_action = case.clone().header("Authorization").contains("x-tc-action");
        let code = case.changed(|case| case.header("X-TC-Action").push('s'));
        assert_eq!(
            code,
            if signs_action { failure } else { "" },
            "{name}: another action"
        );
    }
}

type Change = fn(&mut Case);

fn changes<'a>(failure: &'a str, malformed: &'a str) -> Vec<(&'a str, &'static str, Change)> {
    vec![
        (failure, "one second earlier", |case| {
            let later = (case.now - 1).to_string();
            *case.header("X-TC-Timestamp") = later;
        }),
        (failure, "another date in the scope", |case| {
            let text = case.header("Authorization");
            *text = text.replacen("/20", "/21", 1);
        }),
        (failure, "another service in the scope", |case| {
            let text = case.header("Authorization");
            *text = text.replacen("/tc3_request", "x/tc3_request", 1);
        }),
        (failure, "another service is called", |case| {
            case.service.push('x');
        }),
        (failure, "another secret key", |case| {
            case.credential.secret_key.push('x');
        }),
        (failure, "another method", |case| case.method = "PUT".to_owned()),
        (failure, "a query", |case| case.query.push_str("a=b")),
        (failure, "another content type", |case| {
            case.header("Content-Type").push_str("; x");
        }),
        (failure, "another host", |case| case.header("Host").insert(0, 'x')),
        ("AuthFailure.SecretIdNotFound", "an unknown id", |case| {
            case.credential.secret_id.push('x');
        }),
        (
            "AuthFailure.InvalidSecretId",
            "not the ID of a cloud API key",
            |case| {
                let text = case.header("Authorization");
                *text = text.replacen("=AKID", "=XKID", 1);
            },
        ),
        ("AuthFailure.TokenFailure", "another token", |case| {
            case.credential.token = Some("another".to_owned());
        }),
        ("AuthFailure.TokenFailure", "it has expired", |case| {
            case.credential.expires = Some(case.now);
        }),
        ("MissingParameter", "no timestamp", |case| {
            case.headers.retain(|(name, _)| name != "X-TC-Timestamp");
        }),
        ("InvalidParameterValue", "not a number", |case| {
            case.header("X-TC-Timestamp").push('x');
        }),
        (malformed, "no Authorization", |case| {
            case.headers.retain(|(name, _)| name != "Authorization");
        }),
        (malformed, "two Authorizations", |case| {
            let twice = case.header("Authorization").clone();
            case.headers.push(("authorization".to_owned(), twice));
        }),
        (malformed, "another algorithm", |case| {
            let text = case.header("Authorization");
            *text = text.replacen("TC3-", "TC4-", 1);
        }),
        (malformed, "not signed", |case| {
            *case.header("Authorization") = "SKIP".to_owned();
        }),
        (malformed, "another ending of the scope", |case| {
            let text = case.header("Authorization");
            *text = text.replacen("/tc3_request", "/tc4_request", 1);
        }),
        (malformed, "no host among the signed headers", |case| {
            let text = case.header("Authorization");
            *text = text.replacen("content-type;host", "content-type", 1);
        }),
        (malformed, "no content type among the signed headers", |case| {
            let text = case.header("Authorization");
            *text = text.replacen("content-type;host", "host", 1);
        }),
        (malformed, "a signed header that is missing", |case| {
            let text = case.header("Authorization");
            *text = text.replacen("content-type;host", "content-type;host;x-other", 1);
        }),
    ]
}

#[test]
fn temporary_credentials_without_token_and_permanent_ones_with_token_are_rejected() {
    for case in cases() {
        let code = case.changed(|case| match case.credential.token {
            Some(_) => case.headers.retain(|(name, _)| name != "X-TC-Token"),
            None => case.headers.push(("X-TC-Token".to_owned(), "token".to_owned())),
        });
        assert_eq!(code, "AuthFailure.TokenFailure", "{}", case.name);
    }
}

#[test]
fn authorization_without_spaces_after_commas_is_accepted() {
    for case in cases() {
        let code = case.changed(|case| {
            let text = case.header("Authorization");
            *text = text.replace(", ", ",");
        });
        assert_eq!(code, "", "{}", case.name);
    }
}

/// The `Authorization` header of a client that signs `content-type;host` and a JSON body.
pub(in crate::kms) fn authorization(
    id: &str,
    key: &str,
    host: &str,
    service: &str,
    body: &[u8],
    now: i64,
) -> String {
    let request = Request::new("POST", "", &[("content-type", "application/json")], body);
    let date = utc_date(now);
    let claim = Authorization {
        secret_id: id,
        date: &date,
        service,
        signed: vec!["content-type", "host"],
        signature: "",
    };
    let text = string_to_sign(&request, &claim, host, now).expect("signable");
    let signature = hex(hmac(signing_key(key, &date, service).as_ref(), text.as_bytes()).as_ref());
    format!(
        "{ALGORITHM} Credential={id}/{date}/{service}/{TERMINATOR}, SignedHeaders=content-type;host, Signature={signature}"
    )
}

#[test]
fn signature_of_the_host_without_port_and_with_its_name_as_service_is_accepted() {
    let local = cases()
        .into_iter()
        .find(|case| case.name == "kms-local-emulator-host");
    let local = local.expect("the vector with a port");
    for (host, service, code) in [
        ("127.0.0.1:8099", "kms", ""),
        ("127.0.0.1", "127", ""),
        ("127.0.0.1", "kms", ""),
        ("127.0.0.2", "kms", "AuthFailure.SignatureFailure"),
        ("127.0.0.1:8099", "sts", "AuthFailure.SignatureFailure"),
    ] {
        let received = local.changed(|case| {
            let Credential {
                secret_id,
                secret_key,
                ..
            } = &case.credential;
            let text = authorization(secret_id, secret_key, host, service, &case.body, case.now);
            *case.header("Authorization") = text;
        });
        assert_eq!(received, code, "{host} {service}");
    }
}
