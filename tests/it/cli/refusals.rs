//! What `seal` refuses, in which order, and how its errors read.

use super::shell::{Shell, value};

const SECRET: &str =
    "apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {password: correct horse}\n";

#[test]
fn arguments_are_checked_before_prompts_and_reads() {
    let shell = Shell::new();
    let seal = |args: &[&str]| shell.run(&[&["seal", "--keyring", "keyring"], args].concat(), b"");
    seal(&["--from-literal", "password", "-n", "prod"]).failed(2, "need the Secret's name");
    seal(&["--from-file", "a=missing", "-n", "prod"]).failed(2, "need the Secret's name");
    let ran = seal(&["--from-file", "password=hunter2", "--name", "db", "-n", "prod"]);
    let ran = ran.failed(1, "--from-literal password");
    assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
    shell.write("a.yaml", SECRET);
    seal(&["--", "a.yaml"]).failed(2, "help: envelope seal --keyring keyring -n NAMESPACE -- a.yaml");
}

#[test]
fn limits_are_checked_before_the_leak_check() {
    let shell = Shell::new();
    let entries: Vec<String> = (0..20_000)
        .map(|n| format!("  entry-{n}: value-{n}-{n}\n"))
        .collect();
    let entries = entries.concat();
    let started = std::time::Instant::now();
    let text = format!(
        "{}{entries}",
        SECRET.replace("stringData: {password: correct horse}\n", "stringData:\n")
    );
    let ran = shell.run(&["seal", "--keyring", "keyring", "-n", "prod"], text.as_bytes());
    ran.failed(1, "at most 1024");
    assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
}

#[test]
fn error_names_the_field_and_line_of_the_input_on_one_line() {
    let shell = Shell::new();
    let head = "apiVersion: v1\nkind: Secret\nmetadata: {name: db, namespace: prod}\n";
    for (text, message) in [
        (
            format!("{head}stringdata: {{a: hunter2}}\ndata: {{b: aGk=}}\n"),
            "line 4: a Secret has no field stringdata\nhelp: did you mean `stringData`?",
        ),
        (
            format!("{head}stringData: {{\"pass word\": x}}\n"),
            "line 4: stringData[\"pass word\"] must have",
        ),
        (
            format!("{head}\"a\\n::error::x\": y\n"),
            "a Secret has no field \"a\\n::error::x\"\n",
        ),
        (
            head.replace("name: db", "name: Db_1"),
            "line 3: metadata.name \"Db_1\" must have at most 253 lower-case",
        ),
        (
            head.replace("namespace: prod", "namespace: a.b"),
            "line 3: metadata.namespace \"a.b\" must have at most 63 lower-case",
        ),
        (
            head.replace("name: db", "name: db, labels: {app: \"a b\"}"),
            "line 3: metadata.labels.app must have a value of at most 63",
        ),
        (
            head.replace("name: db", "name: db, annotations: {\"a b\": x}"),
            "line 3: metadata.annotations[\"a b\"] must be a name",
        ),
        (
            format!("{head}type: kubernetes.io/tls\nstringData: {{tls.crt: x}}\n"),
            "line 4: a Secret of type kubernetes.io/tls needs the entry \"tls.key\"",
        ),
        (
            format!("{head}stringData: {{yes: x}}\n"),
            "line 4: kubectl does not read this key as a string",
        ),
        (
            format!("{head}stringData: {{a: x}}\n<<: {{type: t}}\n"),
            "line 5: in kubectl this merge key overrides",
        ),
        (
            format!("{head}stringData: {{a: {{{{ .Values.x }}}}}}\n"),
            "render it first",
        ),
        (
            format!(
                "kind: \"Config\\n::error::Map\"\nmetadata: {{name: \"x\\ny\"}}\n---\n{head}stringData: {{1: 2}}\n"
            ),
            "line 7: ",
        ),
    ] {
        let ran = shell.run(&["seal", "--keyring", "keyring"], text.as_bytes());
        assert_eq!(ran.code, Some(1), "{text}");
        assert!(ran.stderr.contains(message), "{text}\n{}", ran.stderr);
        assert!(
            ran.stderr.lines().all(|line| !line.starts_with("::")),
            "{}",
            ran.stderr
        );
        assert!(
            !ran.stderr.contains("hunter2") && !ran.stderr.contains("spec."),
            "{}",
            ran.stderr
        );
    }
}

#[test]
fn a_bad_document_does_not_stop_the_others() {
    let shell = Shell::new();
    let good = SECRET.replace("{name: db}", "{name: db, namespace: prod}");
    for bad in [
        "a: [\n",
        "kind: Secret\napiVersion: v1\nmetadata: {name: x}\nstringData: {a: 1}\n",
    ] {
        let ran = shell.run(
            &["seal", "--keyring", "keyring"],
            format!("{bad}---\n{good}---\n{bad}").as_bytes(),
        );
        assert_eq!(ran.code, Some(1));
        assert_eq!(value(&shell.open(&ran.stdout), "password"), b"correct horse");
        assert!(
            ran.stderr.contains("error: 2 failed, see above"),
            "{}",
            ran.stderr
        );
    }
}

#[test]
fn an_alias_bomb_over_many_documents_is_refused_quickly() {
    let shell = Shell::new();
    let mut bomb = String::from(
        "a: &a [x, x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]\n",
    );
    bomb.push_str("c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]\nd: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c]\n---\n");
    let bomb = bomb.repeat(500);
    let started = std::time::Instant::now();
    let sealed = shell.run(&["seal", "--keyring", "keyring", "-w", "out"], bomb.as_bytes());
    sealed.failed(1, "aliases expand to more than this reader accepts");
    shell
        .run(&["open", "--keyring", "keyring"], bomb.as_bytes())
        .failed(1, "there is no EnvelopeSecret in the input");
    assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
}

#[test]
fn every_syntax_error_comes_with_advice() {
    let shell = Shell::new();
    for (text, advice) in [
        ("a: b: c\n", "help: put a value in quotes if it contains `: `"),
        ("a: @b\n", "help: put a value in quotes if it contains `: `"),
        (
            "a: \"b\n",
            "help: check that every quote, bracket and brace is closed",
        ),
        (
            "a: [b\n",
            "help: check that every quote, bracket and brace is closed",
        ),
        ("a:\n\t- b\n", "help: indent with blanks"),
        ("a: 1\na: 2\n", "help: remove one of the two, or rename it"),
        ("a: *b\n", "help: write the values out"),
        ("a:\n    b: c\n  d: e\n", "help: check the indentation"),
        ("{\"a\": 1", "help: the text ends too early"),
        ("{\"a\": 1,}", "help: check the commas and quotes"),
    ] {
        shell
            .run(&["seal", "--keyring", "keyring"], text.as_bytes())
            .failed(1, advice);
    }
}

#[test]
fn the_advice_on_a_bad_entry_name_fits_the_flag() {
    let shell = Shell::new();
    for literal in ["a b", "password:hunter2"] {
        let args = [
            "seal",
            "--keyring",
            "keyring",
            "--name",
            "db",
            "-n",
            "prod",
            "--from-literal",
            literal,
        ];
        let ran = shell
            .run(&args, b"")
            .failed(2, "help: write --from-literal NAME and nothing else");
        assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
    }
}

#[test]
fn deeply_nested_json_is_refused_early() {
    let shell = Shell::new();
    let text = format!("{}1{}", "{\"a\":".repeat(300_000), "}".repeat(300_000));
    let started = std::time::Instant::now();
    shell
        .run(&["seal", "--keyring", "keyring"], text.as_bytes())
        .failed(1, "line 1: too many levels of nesting");
    // It took 24 s when each level was read again.
    assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
}
