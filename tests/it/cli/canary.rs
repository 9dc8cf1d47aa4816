//! Planted values never appear in messages or sealed output, in any encoding.

use std::fmt::Write as _;

use envelope_secrets::manifest::to_base64;

use super::shell::{Ran, Shell};

const PLANTED: [&str; 3] = [
    "canary-4f1d9c2b7e",
    "kanarie ünïcode 8a6e",
    "line one 77aa\nline two 88bb",
];

/// Returns every encoding in which a value could appear.
fn forms(value: &str) -> Vec<String> {
    let hex = value.bytes().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    let mut forms = vec![
        value.to_owned(),
        format!("{value:?}").trim_matches('"').to_owned(),
        hex.to_uppercase(),
        hex,
    ];
    // Base64 at the three alignments, without the characters that depend on neighbouring bytes.
    for before in 0..3 {
        let encoded = to_base64(format!("{}{value}", &"  "[..before]).as_bytes());
        let inner = encoded.trim_end_matches('=');
        let inner = &inner[(before * 8).div_ceil(6)..inner.len() - 1];
        forms.extend([inner.to_owned(), inner.replace('+', "-").replace('/', "_")]);
    }
    forms.extend(value.lines().map(str::to_owned));
    forms
}

#[track_caller]
fn clean(what: &str, ran: &Ran) {
    let stdout = String::from_utf8_lossy(&ran.stdout);
    for form in PLANTED.iter().flat_map(|value| forms(value)) {
        assert!(!ran.stderr.contains(&form), "{what}: {form:?} in {}", ran.stderr);
        assert!(!stdout.contains(&form), "{what}: {form:?} in {stdout}");
    }
}

fn secret() -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\n  namespace: prod\n  annotations: {{a: b}}\n\
         stringData:\n  one: {}\n  two: {:?}\n  three: {:?}\ndata:\n  four: {}\n",
        PLANTED[0],
        PLANTED[1],
        PLANTED[2],
        to_base64(PLANTED[0].as_bytes()).as_str()
    )
}

#[test]
fn sealing_reveals_no_planted_value() {
    let shell = Shell::new();
    let secret = secret();
    let seal = |args: &[&str], text: &str| {
        shell.run(
            &[&["seal", "--keyring", "keyring", "-v"], args].concat(),
            text.as_bytes(),
        )
    };
    for args in [&[][..], &["-o", "json"], &["--scope", "cluster-wide"]] {
        let sealed = seal(args, &secret).ok();
        clean("sealed", &sealed);
    }
    // Each line is damaged in several ways: most are refused, and no message contains a value.
    let mut refused = 0;
    for (index, line) in secret.lines().enumerate() {
        for (from, to) in [
            (line.to_owned(), format!("{line}\n{line}")),
            (line.to_owned(), format!("  {line}")),
            (line.to_owned(), format!("{line} \"")),
            (line.to_owned(), format!("{line}: {line}")),
            (line.to_owned(), line.replacen(": ", ": [", 1)),
            (line.to_owned(), line.replacen(": ", ": &x ", 1)),
            (line.to_owned(), line.replacen(": ", ": *", 1)),
            (line.to_owned(), line.replacen(": ", ": !!int ", 1)),
            (line.to_owned(), line.replacen(": ", ": @", 1)),
            (line.to_owned(), line.replacen(": ", ":\t", 1)),
            (line.to_owned(), line.replacen(": ", " ", 1)),
            (line.to_owned(), line.replacen(": ", ": true #", 1)),
            (line.to_owned(), line.replacen("stringData", "data", 1)),
        ] {
            let broken: Vec<&str> = secret
                .lines()
                .enumerate()
                .map(|(at, old)| if at == index { to.as_str() } else { old })
                .collect();
            let ran = seal(&[], &broken.join("\n"));
            refused += usize::from(ran.code != Some(0));
            clean(&format!("{from:?} became {to:?}"), &ran);
        }
    }
    assert!(
        refused > 80,
        "only {refused} were refused: the cases test nothing"
    );
}

#[test]
fn invalid_json_and_flags_print_no_planted_value() {
    let shell = Shell::new();
    let json = format!(
        "{{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{{\"name\":\"db\",\"namespace\":\"prod\"}},\"stringData\":{{\"a\":\"{}\"}}}}",
        PLANTED[0]
    );
    for (from, to) in [
        ("\"a\":", "\"a\":["),
        ("}}", "}"),
        ("\"a\"", "\"a\":1,\"a\""),
        ("\"stringData\"", "\"data\""),
        ("\"stringData\"", "\"immutable\":\"x\",\"metadata\""),
        ("canary", "\\ud800canary"),
        ("canary", "\u{1}canary"),
        ("\"a\":", "\"a\":1"),
    ] {
        let broken = json.replacen(from, to, 1);
        let ran = shell.run(&["seal", "--keyring", "keyring", "-v"], broken.as_bytes());
        assert_ne!(ran.code, Some(0), "{broken}");
        clean(to, &ran);
    }
    for args in [
        &["--from-literal", &format!("a={}", PLANTED[0])][..],
        &["--from-literal", &format!("a b={}", PLANTED[0])],
        &["--from-file", "-"],
        &["--from-env-file", "-"],
        &["--from-literal", "a=-", "--from-file", "b=-"],
    ] {
        let all = [
            &["seal", "--keyring", "keyring", "--name", "db", "-n", "prod"],
            args,
        ]
        .concat();
        let ran = shell.run(&all, format!("{} x\n", PLANTED[0]).as_bytes());
        assert_ne!(ran.code, Some(0), "{args:?}");
        clean("flags", &ran);
    }
    // A value in a field that stays readable is refused without repeating it.
    for place in ["labels: {a: X}", "annotations: {a: X}", "labels: {X: a}"] {
        let metadata = format!("name: db\n  {}", place.replace('X', PLANTED[0]));
        let ran = shell.run(
            &["seal", "--keyring", "keyring"],
            secret()
                .replace("name: db", &metadata)
                .replace("\n  annotations: {a: b}", "")
                .as_bytes(),
        );
        clean(place, &ran.failed(1, "and would stay readable"));
    }
}

#[test]
fn failed_opening_prints_no_planted_value() {
    let shell = Shell::new();
    let sealed = shell.seal(&[], secret().as_bytes());
    for (from, to) in [
        ("name: db", "name: web"),
        ("scope: strict", "scope: cluster-wide"),
        ("mac: ", "mac: A"),
        ("one: ", "five: "),
        ("time: \"2", "time: \"3"),
        ("esl1.", "esl1.A"),
        ("annotations:\n        a: b", "annotations:\n        a: c"),
        ("  encryptedData:", "  encryptedData: &x"),
    ] {
        let broken = sealed.text().replacen(from, to, 1);
        assert_ne!(broken, sealed.text(), "{from}");
        for more in [&[][..], &["--string-data"], &["--value", "one"]] {
            let ran = shell.run(
                &[&["open", "--keyring", "keyring", "-v"], more].concat(),
                broken.as_bytes(),
            );
            assert_eq!(ran.code, Some(1), "{to}");
            assert!(ran.stdout.is_empty());
            clean(to, &ran);
        }
    }
    clean(
        "a missing entry",
        &shell.run(
            &["open", "--keyring", "keyring", "--value", "six"],
            &sealed.stdout,
        ),
    );
}
