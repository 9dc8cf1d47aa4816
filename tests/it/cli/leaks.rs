//! The leak check: a sealed value in a name, a comment or another document.

use super::shell::Shell;

const SECRET: &str =
    "apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {password: correct horse}\n";
const GOOD: &str = "apiVersion: v1\nkind: Secret\nmetadata: {name: db, namespace: prod}\nstringData: {password: correct horse}\n";

#[test]
fn a_value_in_a_readable_place_is_refused() {
    let shell = Shell::new();
    for (place, encoded) in [
        ("annotations", "say correct horse"),
        ("annotations", "Y29ycmVjdCBob3JzZQ=="),
        ("annotations", "x636f727265637420686f727365"),
        ("labels", "Y29ycmVjdCBob3JzZQ"),
    ] {
        let metadata = format!("{{name: db, namespace: prod, {place}: {{note: \"{encoded}\"}}}}");
        let ran = shell.run(
            &["seal", "--keyring", "keyring"],
            SECRET.replace("{name: db}", &metadata).as_bytes(),
        );
        let ran = ran.failed(1, "contains the value of entry \"password\"");
        assert!(
            !ran.stderr.contains(encoded) && !ran.stderr.contains("correct horse"),
            "{}",
            ran.stderr
        );
    }
    let named = SECRET
        .replace("{name: db}", "{name: correct-horse, namespace: prod}")
        .replace("correct horse", "correct-horse");
    shell
        .run(&["seal", "--keyring", "keyring"], named.as_bytes())
        .failed(1, "the Secret's name contains the value");
}

#[test]
fn a_sealed_value_in_another_spelling_of_yaml_is_refused() {
    let shell = Shell::new();
    for (value, spelled) in [
        ("it's-my-password!", "{url: 'pg://u:it''s-my-password!@h'}"),
        (
            "correct horse battery staple",
            "{p: correct horse\n    battery staple}",
        ),
        (
            "USER=a\nPASS=hunter2xx\n",
            "{.env: \"USER=a\\n\\\n  PASS=hunter2xx\"}",
        ),
    ] {
        let secret = GOOD.replace("correct horse", &format!("{value:?}"));
        let input = format!(
            "{secret}---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: app}}\ndata: {spelled}\n"
        );
        let ran = shell.run(&["seal", "--keyring", "keyring"], input.as_bytes());
        assert!(
            ran.stderr.contains("contains the value of entry"),
            "{}",
            ran.stderr
        );
        assert_eq!(ran.code, Some(1));
        let printed = String::from_utf8_lossy(&ran.stdout);
        assert!(!printed.contains("ConfigMap"), "{printed}");
    }
}

#[test]
fn a_sealed_value_anywhere_in_the_output_is_refused() {
    let shell = Shell::new();
    let secret = GOOD.replace("correct horse", "\"p&ss/word 1234\\n\"");
    let config = |text: &str| {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: app}}\ndata:\n  x: {text}\n")
    };
    for (what, text) in [
        (
            "a comment above",
            format!("{}# password: p&ss/word 1234\n---\n{secret}", config("y")),
        ),
        (
            "a comment of a ConfigMap",
            format!("{secret}---\n# was: p&ss/word 1234\n{}", config("y")),
        ),
        ("raw", format!("{secret}---\n{}", config("p&ss/word 1234"))),
        (
            "a URL",
            format!("{secret}---\n{}", config("https://u:p%26ss%2fword%201234@db")),
        ),
        (
            "Go's JSON",
            format!("{secret}---\n{}", config("'{\"p\":\"p\\u0026ss/word 1234\"}'")),
        ),
        (
            "base64",
            format!("{secret}---\n{}", config("cCZzcy93b3JkIDEyMzQ=")),
        ),
        (
            "a list",
            format!(
                "kind: List\napiVersion: v1\nitems:\n- {}- {}",
                secret.replace('\n', "\n  ").trim_end_matches(' '),
                config("p&ss/word 1234").replace('\n', "\n  ")
            ),
        ),
        (
            "another Secret's label",
            format!(
                "{secret}---\n{}",
                "apiVersion: v1\nkind: Secret\nmetadata: {name: b, namespace: prod, annotations: {a: p&ss/word 1234}}\nstringData: {q: x}\n"
            ),
        ),
    ] {
        for format in ["yaml", "json"] {
            let ran = shell.run(&["seal", "--keyring", "keyring", "-o", format], text.as_bytes());
            assert_eq!(ran.code, Some(1), "{what}: {}\n{}", ran.stderr, ran.text());
            assert!(!ran.text().contains("1234"), "{what}: {}", ran.text());
            assert!(
                ran.stderr
                    .contains("contains the value of entry \"password\" of Secret prod/db"),
                "{what}: {}",
                ran.stderr
            );
            assert!(!ran.stderr.contains("word 1234"), "{what}: {}", ran.stderr);
        }
    }
}

#[test]
fn a_value_of_short_lines_in_a_comment_is_refused() {
    let shell = Shell::new();
    let secret = GOOD.replace("correct horse", "\"USER=app\\nPASS=hunter2xx\\n\"");
    for comment in [
        "# USER=app\n# PASS=hunter2xx\n",
        "  # USER=app\r\n  # PASS=hunter2xx\r\n",
        "# was PASS=hunter2xx\n",
        "data: {a: b} # PASS=hunter2xx\n",
    ] {
        let input = format!("{secret}---\nkind: ConfigMap\nmetadata: {{name: c}}\n{comment}");
        let ran = shell.run(&["seal", "--keyring", "keyring"], input.as_bytes());
        assert_eq!(ran.code, Some(1), "{comment}{}", ran.text());
        assert!(
            !ran.text().contains("hunter2") && !ran.stderr.contains("hunter2"),
            "{}",
            ran.stderr
        );
        assert!(
            ran.stderr.contains("line 8: a ") || ran.stderr.contains("line 6: a "),
            "{}",
            ran.stderr
        );
    }
    // A setting that is not a comment may be shared.
    let input = format!("{secret}---\nkind: ConfigMap\nmetadata: {{name: c}}\ndata: {{env: USER=app}}\n");
    shell.seal(&[], input.as_bytes());
}

#[test]
fn a_leak_message_does_not_repeat_a_name_that_is_the_value() {
    let shell = Shell::new();
    let secret = |metadata: &str, entry: &str| {
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {metadata}\nstringData: {{{entry}: hunter2-correct-horse}}\n"
        )
    };
    let in_prod = secret("{name: db, namespace: prod}", "p");
    for input in [
        secret("{name: hunter2-correct-horse, namespace: prod}", "p"),
        secret("{name: x-hunter2-correct-horse, namespace: prod}", "p"),
        secret("{name: db, namespace: hunter2-correct-horse}", "p"),
        secret("{name: db, namespace: prod}", "hunter2-correct-horse"),
        secret(
            "{name: db, namespace: prod, labels: {hunter2-correct-horse: a}}",
            "p",
        ),
        secret(
            "{name: db, namespace: prod, annotations: {hunter2-correct-horse: hunter2-correct-horse}}",
            "p",
        ),
        format!(
            "{in_prod}---\nkind: ConfigMap\nmetadata: {{name: hunter2-correct-horse, namespace: prod}}\n"
        ),
        format!("{in_prod}---\nkind: hunter2-correct-horse\nmetadata: {{name: c}}\n"),
        format!(
            "kind: List\nitems:\n- {}- kind: ConfigMap\n  metadata: {{name: hunter2-correct-horse}}\n",
            in_prod.replace('\n', "\n  ").trim_end_matches(' ')
        ),
    ] {
        for format in ["yaml", "json"] {
            let ran = shell.run(&["seal", "--keyring", "keyring", "-o", format], input.as_bytes());
            assert_eq!(ran.code, Some(1), "{input}{}", ran.stderr);
            assert!(!ran.stderr.contains("hunter2"), "{input}{}", ran.stderr);
            assert!(
                ran.stderr
                    .contains("would stay readable\nhelp: change that text or the value"),
                "{}",
                ran.stderr
            );
        }
    }
}

#[test]
fn a_refused_document_is_not_reported_as_passed_through() {
    let shell = Shell::new();
    let input = format!(
        "{GOOD}---\nkind: ConfigMap\nmetadata: {{name: leaks}}\ndata: {{a: correct horse}}\n---\nkind: ConfigMap\nmetadata: {{name: passes}}\n"
    );
    let ran = shell.run(&["seal", "--keyring", "keyring"], input.as_bytes());
    assert_eq!(ran.code, Some(1));
    assert!(ran.text().contains("name: passes"), "{}", ran.text());
    assert!(
        ran.stderr.contains("passed through: ConfigMap passes\n"),
        "{}",
        ran.stderr
    );
    assert!(
        !ran.stderr.contains("passed through: ConfigMap leaks"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_value_among_numbers_merged_members_and_tags_is_refused() {
    let shell = Shell::new();
    let secret = GOOD.replace("correct horse", "\"0x12345678\"");
    for data in [
        "{a: 0x12345678}",
        "{<<: {a: \"0x12345678\"}, a: b}",
        "{a: !0x12345678 b}",
        "{a: &0x12345678 b}",
    ] {
        let input = format!("{secret}---\nkind: ConfigMap\nmetadata: {{name: c}}\ndata: {data}\n");
        let ran = shell.run(&["seal", "--keyring", "keyring"], input.as_bytes());
        assert_eq!(ran.code, Some(1), "{data}{}", ran.text());
        assert!(
            ran.stderr
                .contains("line 8: a document that passes through contains the value"),
            "{}",
            ran.stderr
        );
    }
}
