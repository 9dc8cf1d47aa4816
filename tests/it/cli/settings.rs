//! Flags and environment variables, and the end of the process when its output is not read.

use std::ffi::OsStr;
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;

use super::shell::{Ran, Shell};

const SECRET: &[u8] = b"apiVersion: v1\nkind: Secret\nmetadata: {name: db, namespace: prod}\n\
    stringData: {password: correct horse}\n";
const CLOUD_KEY: &str = "tencent-kms://ap-guangzhou/23e80852-1e38-11e9-b129-5cb9019b4b01";
const PROGRAM: &str = env!("CARGO_BIN_EXE_envelope");

/// Runs a controller that stops at its first configuration error. Its kubeconfig does not exist.
fn controller(shell: &Shell, args: &[&str], environment: &[(&str, &str)]) -> Ran {
    let base = ["controller", "--keyring", "keyring", "--kubeconfig", "absent"];
    let ports = ["--metrics-addr", "127.0.0.1:0", "--probe-addr", "127.0.0.1:0"];
    shell.run_with(&[&base[..], &ports, args].concat(), b"", environment)
}

#[test]
fn metrics_over_tls_need_both_files_and_authentication_needs_tls() {
    // Arguments, variables, and a text of the error.
    type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a str);
    let shell = Shell::new();
    shell.write("cert", "not a certificate");
    let key = [("ENVELOPE_METRICS_TLS_KEY", "absent")];
    let cases: [Case<'_>; 7] = [
        (
            &["--metrics-tls-cert=cert"],
            &[],
            "--metrics-tls-cert: there is no private key",
        ),
        (&[], &key, "ENVELOPE_METRICS_TLS_KEY: there is no certificate"),
        (
            &["--metrics-auth"],
            &[],
            "--metrics-auth: bearer tokens must not cross the network unencrypted",
        ),
        (
            &["--metrics-tls-cert=cert"],
            &key,
            "--metrics-tls-cert: cert contains no valid certificate in PEM",
        ),
        (
            &["--metrics-tls-cert=none"],
            &key,
            "--metrics-tls-cert: cannot read the certificate none: ",
        ),
        (&["--metrics-auth=perhaps"], &[], "perhaps"),
        // Not this error, but the next one.
        (&["--metrics-auth=false"], &[], "kubeconfig"),
    ];
    for (args, environment, expected) in cases {
        controller(&shell, args, environment).failed(2, expected);
    }
}

#[test]
fn broken_pipe_ends_the_process_silently_and_as_a_failure() {
    let shell = Shell::new();
    shell.write("secret.yaml", SECRET);
    let sealed = shell.seal(&[], SECRET).stdout;
    shell.write("sealed.yaml", sealed);
    for args in [
        &["seal", "--keyring", "keyring", "secret.yaml"][..],
        &["open", "--keyring", "keyring", "sealed.yaml"],
        &["crd"],
        &["keys", "list", "--keyring", "keyring"],
        &["doctor", "--keyring", "keyring", "-q"],
        &["--help"],
        &["completions", "bash"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = shell.command(PROGRAM);
        let child = command
            .args(args)
            .stdout(Stdio::from(writer))
            .stderr(Stdio::piped());
        let output = child.spawn().unwrap().wait_with_output().unwrap();
        assert_eq!(output.status.signal(), Some(13), "{args:?}: {output:?}");
        assert!(output.stderr.is_empty(), "{args:?}: {output:?}");
    }
    let script = format!("{{ sleep 1; {PROGRAM} crd; echo $? > status; }} | true");
    shell.command("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(shell.read("status"), b"141\n");
}

#[test]
fn tilde_is_the_home_directory_in_flags_and_variables() {
    let shell = Shell::new();
    std::fs::create_dir(shell.path("home")).unwrap();
    shell.run(&["keys", "create", "--keyring=~/k"], b"").ok();
    let variable = [("ENVELOPE_KEYRING", "~/k2")];
    shell.run_with(&["keys", "create"], b"", &variable).ok();
    assert!(shell.path("home/k").exists() && shell.path("home/k2").exists());
    shell.write("home/secret.yaml", SECRET);
    let seal = [
        "seal",
        "--keyring=~/k",
        "--filename=~/secret.yaml",
        "--write=~/sealed.yaml",
    ];
    shell.run(&seal, b"").ok();
    assert!(shell.path("home/sealed.yaml").exists());
    for entries in ["--from-file=a=~/secret.yaml", "--from-env-file=~/a.env"] {
        shell.write("home/a.env", "A=1\n");
        let args = ["seal", "--keyring=~/k", "--name", "db", "-n", "prod", entries];
        shell.run(&args, b"").ok();
    }
    let positional = shell.run(&["seal", "--keyring=~/k", "~/secret.yaml"], b"");
    positional.ok();
    let missing = ["seal", "--keyring=~/none", "--filename=~/secret.yaml"];
    let refused = shell.run(&missing, b"").failed(2, "no such file");
    assert!(refused.stderr.contains("home/none"), "{}", refused.stderr);
    let absent = ["controller", "--keyring=~/k", "--kubeconfig=~/absent"];
    let refused = shell.run(&absent, b"").failed(2, "cannot load the kubeconfig");
    assert!(refused.stderr.contains("home/absent"), "{}", refused.stderr);
    assert!(!shell.path("~").exists());
}

#[test]
fn path_that_is_not_meant_literally_is_refused_and_creates_nothing() {
    let shell = Shell::new();
    std::fs::create_dir(shell.path("home")).unwrap();
    for (path, message) in [
        ("~nouser/k", "starts with a ~ that is not expanded: only ~/ is"),
        ("$HOME/k", "has a variable that is not expanded"),
        ("${XDG_CONFIG_HOME}/k", "has a variable that is not expanded"),
        ("file:///x/k", "is a URL, not a path"),
        ("https://example.com/k", "is a URL, not a path"),
        ("{{ .Values.keyring }}", "has a template that is not rendered"),
        ("\"x/k\"", "has quotes around it"),
        ("x/k\r", "has a blank before or after it"),
        ("x/\u{1b}[31mk", "has a control character"),
    ] {
        let create = ["keys", "create", "--keyring", path];
        let ran = shell.run(&create, b"").failed(2, message);
        assert!(ran.stderr.contains("error: --keyring: "), "{}", ran.stderr);
        assert!(
            ran.stderr.contains("help: write the whole path"),
            "{}",
            ran.stderr
        );
        let variable = [("ENVELOPE_KEYRING", path)];
        let ran = shell.run_with(&["keys", "create"], b"", &variable);
        ran.failed(2, "error: ENVELOPE_KEYRING: ");
        for args in [
            &["seal", "--keyring", "keyring", "-w", path][..],
            &["seal", "--keyring", "keyring", path],
            &["seal", "--keyring", "keyring", "-f", path],
            &["keys", "retire", "--keyring", "keyring", "fa1975b2", path],
            &["controller", "--kubeconfig", path],
            &["seal", "--tencent-ca-file", path, "--key", CLOUD_KEY],
        ] {
            shell.run(args, SECRET).failed(2, message);
        }
        let names = std::fs::read_dir(shell.path(".")).unwrap().count();
        assert_eq!(names, 2, "{path}: only the keyring and home exist");
    }
    let literal = ["keys", "create", "--keyring", "./$HOME/k"];
    shell.run(&literal, b"").ok();
    assert!(shell.path("$HOME/k").exists());
    // It exists, so it is meant.
    shell.run(&["keys", "list", "--keyring", "$HOME/k"], b"").ok();
}

#[test]
fn arguments_with_line_feeds_stay_on_one_line_in_errors() {
    let shell = Shell::new();
    let forged = "x\n::error file=x::forged\n\u{1b}[31m##[error]forged";
    let flag = format!("--{forged}");
    let value = format!("--scope={forged}");
    for args in [
        &["seal", &flag][..],
        &["seal", &value],
        &["seal", "--scope", forged],
        &[forged],
        &["seal", "-n", forged],
        &["seal", "-w", forged, "--keyring", "keyring"],
        &["seal", "--keyring", forged],
        &["seal", "--key", forged],
        &["seal", "--keyring", "keyring", forged],
        &["keys", forged],
        &["keys", "retire", forged],
        &["keys", "create", "--provider", forged],
        &["keys", "create", forged],
        &["controller", "--metrics-addr", forged],
        &["controller", "--namespaces", forged],
        &["open", "--value", forged, "-o", forged],
        &["completions", forged],
    ] {
        let ran = shell.run(args, b"");
        assert_ne!(ran.code, Some(0), "{args:?}");
        for line in ran.stderr.lines() {
            assert!(!line.trim_start().starts_with("::"), "{args:?}: {}", ran.stderr);
        }
        let is_harmful = ran.stderr.contains("##[") || ran.stderr.contains('\u{1b}');
        assert!(!is_harmful, "{args:?}: {:?}", ran.stderr);
    }
}

#[test]
fn keyring_given_as_a_path_or_argument_is_not_repeated() {
    let shell = Shell::new();
    let keyring = String::from_utf8(shell.read("keyring")).unwrap();
    let line = keyring
        .lines()
        .find(|line| line.starts_with("ES-LOCAL-KEY-1"))
        .unwrap();
    let key = line.rsplit(' ').next().unwrap();
    shell.write("a.yaml", SECRET);
    for content in [keyring.as_str(), line, key] {
        for args in [
            &["keys", "create", "--keyring", content][..],
            &["keys", "create", content],
            &["keys", content],
            &[content],
            &["keys", "retire", content],
            &["keys", "retire", "fa1975b2", content],
            &["keys", "create", "--provider", content],
            &["seal", "--key", content, "a.yaml"],
            &["seal", "--keyring", content, "a.yaml"],
            &["seal", "--keyring", "keyring", "a.yaml", "-w", content],
            &["seal", "--keyring", "keyring", content],
            &["open", "--keyring", content, "a.yaml"],
            &["controller", "--keyring", content],
            &["controller", "--allow-key", content],
            &["doctor", "--key", content],
        ] {
            let ran = shell.run(args, b"");
            assert_ne!(ran.code, Some(0), "{args:?}");
            assert!(
                !ran.stderr.contains(key) && !ran.text().contains(key),
                "{}",
                ran.stderr
            );
        }
        let variable = [("ENVELOPE_KEYRING", content)];
        let ran = shell.run_with(&["keys", "create"], b"", &variable);
        let ran = ran.failed(2, "error: ENVELOPE_KEYRING: a text of ");
        assert!(ran.stderr.contains("help: write it to a file"), "{}", ran.stderr);
        assert!(!ran.stderr.contains(key), "{}", ran.stderr);
    }
}

#[test]
fn advice_for_misplaced_and_unknown_flags_is_not_to_pass_them_as_files() {
    let shell = Shell::new();
    shell.write("a.yaml", SECRET);
    let ran = shell.run(
        &["seal", "--keyring", "keyring", "--", "a.yaml", "-n", "prod"],
        b"",
    );
    assert!(
        ran.stderr.contains("help: write flags before `--`"),
        "{}",
        ran.stderr
    );
    for flag in ["--dry-run", "-R", "--context=x"] {
        let ran = shell
            .run(&["seal", flag, "a.yaml"], b"")
            .failed(2, "unexpected argument");
        assert!(!ran.stderr.contains("as a value"), "{}", ran.stderr);
    }
}

#[test]
fn blank_flags_and_variables_count_as_unset() {
    let shell = Shell::new();
    for variable in [
        "ENVELOPE_KEY",
        "ENVELOPE_TENCENT_SITE",
        "ENVELOPE_TENCENT_ALLOW_HTTP",
        "ENVELOPE_TENCENT_CREDENTIALS",
    ] {
        for blank in ["", " "] {
            let args = ["seal", "--keyring", "keyring"];
            shell.run_with(&args, SECRET, &[(variable, blank)]).ok();
        }
    }
    let blank = [
        "seal",
        "--keyring",
        "keyring",
        "-n",
        "",
        "--name=",
        "--key",
        "",
        "--audience",
        " ",
        "--type=",
    ];
    shell.run(&blank, SECRET).ok();
    for variable in [
        "ENVELOPE_AUDIENCE",
        "ENVELOPE_ALLOW_KEY",
        "ENVELOPE_NAMESPACES",
        "ENVELOPE_LOG_LEVEL",
        "ENVELOPE_LOG_FORMAT",
        "ENVELOPE_METRICS_ADDR",
        "ENVELOPE_PROBE_ADDR",
    ] {
        let ran = controller(&shell, &["--log-level", ""], &[(variable, "")]);
        ran.failed(2, "cannot load the kubeconfig absent");
    }
}

#[test]
fn variable_that_is_not_utf_8_is_refused_by_name() {
    let shell = Shell::new();
    for (variable, args) in [
        ("ENVELOPE_KEY", &["seal", "--keyring", "keyring"][..]),
        ("ENVELOPE_KEYRING", &["seal"]),
        ("ENVELOPE_TENCENT_SITE", &["seal", "--keyring", "keyring"]),
        ("ENVELOPE_LOG_LEVEL", &["controller"]),
        ("ENVELOPE_KUBECONFIG", &["controller"]),
    ] {
        let mut command = shell.command(PROGRAM);
        command.args(args).env(variable, OsStr::from_bytes(b"a\xff"));
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{variable}: {output:?}");
        let message = String::from_utf8(output.stderr).unwrap();
        let expected = format!("error: {variable}: the value is not valid UTF-8");
        assert!(message.starts_with(&expected), "{message}");
    }
}

#[test]
fn invalid_value_of_a_variable_names_the_variable() {
    let shell = Shell::new();
    for (variable, value) in [
        ("ENVELOPE_LOG_LEVEL", "loud"),
        ("ENVELOPE_LOG_FORMAT", "xml"),
        ("ENVELOPE_METRICS_ADDR", "nowhere"),
        ("ENVELOPE_PROBE_ADDR", "x:y"),
        ("ENVELOPE_ALLOW_KEY", "tencent-kms://"),
        ("ENVELOPE_NAMESPACES", "A B"),
        ("ENVELOPE_AUDIENCE", "A B"),
    ] {
        let args = ["controller", "--keyring", "keyring", "--kubeconfig", "absent"];
        let ran = shell.run_with(&args, b"", &[(variable, value)]);
        let ran = ran.failed(2, &format!("error: {variable}: "));
        assert!(!ran.stderr.contains("Usage:"), "{}", ran.stderr);
    }
    let flag = ["controller", "--keyring", "keyring", "--log-level", "loud"];
    let ran = shell.run_with(&flag, b"", &[("ENVELOPE_LOG_LEVEL", "info")]);
    ran.failed(2, "invalid value 'loud' for '--log-level <LEVEL>'");
}

#[test]
fn log_level_may_have_any_letter_case() {
    let shell = Shell::new();
    for level in ["DEBUG", "Info", "warn"] {
        let ran = controller(&shell, &[], &[("ENVELOPE_LOG_LEVEL", level)]);
        ran.failed(2, "cannot load the kubeconfig absent");
    }
}

#[test]
fn address_in_use_is_a_usage_error_that_names_its_flag() {
    let shell = Shell::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let base = ["controller", "--keyring", "keyring", "--kubeconfig", "absent"];
    for (flag, other) in [
        ("--metrics-addr", "--probe-addr"),
        ("--probe-addr", "--metrics-addr"),
    ] {
        let args = [&base[..], &[flag, &address, other, "127.0.0.1:0"]].concat();
        let ran = shell
            .run(&args, b"")
            .failed(2, &format!("{flag}: cannot listen on {address}"));
        assert!(
            ran.stderr.contains(&format!("choose another one with {flag}")),
            "{}",
            ran.stderr
        );
    }
}

#[test]
fn malformed_key_uri_is_reported_with_its_fault_and_form() {
    let shell = Shell::new();
    for (key, message, form) in [
        (
            "local://fa1975b2 ",
            "has a blank before or after it",
            "local://KEY-ID",
        ),
        (
            "tencent-kms:ap-guangzhou/x",
            "is not a KMS key URI",
            "tencent-kms://REGION/KEY-ID",
        ),
        (
            "tencent-kms://23e80852-1e38-11e9-b129-5cb9019b4b01",
            "the region is missing",
            "tencent-kms://REGION/KEY-ID",
        ),
        (
            "tencent-kms:///23e80852-1e38-11e9-b129-5cb9019b4b01",
            "the region is missing",
            "tencent-kms://REGION/KEY-ID",
        ),
        (
            "tencent-kms://ap-guangzhou-3/23e80852-1e38-11e9-b129-5cb9019b4b01",
            "ap-guangzhou-3 is a zone, not a region",
            "tencent-kms://REGION/KEY-ID",
        ),
    ] {
        let ran = shell.run(&["seal", "--key", key], SECRET).failed(2, message);
        assert!(ran.stderr.contains(form), "{key}: {}", ran.stderr);
    }
}
