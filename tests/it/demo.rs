//! `cargo xtask demo` checks its own results; these tests run it everywhere that it can run and check that it leaves nothing behind.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use testkit::{
    ControlPlane, Options,
    demo::{Place, Provider, run},
    until,
};

const ENVELOPE: &str = env!("CARGO_BIN_EXE_envelope");
const CRD: &str = "envelopesecrets.envelope-secrets.io";
const TIMEOUT: Duration = Duration::from_mins(2);

/// Runs the demo and returns its output.
fn output_of(provider: Provider, place: &Place) -> String {
    let mut out = Vec::new();
    let done = run(Path::new(ENVELOPE), provider, place, &mut out);
    let text = String::from_utf8(out).expect("text");
    done.unwrap_or_else(|error| panic!("{error:#}\n{text}"));
    text
}

fn testkit() -> Command {
    Command::new(testkit::testkit_binary().expect("testkit"))
}

/// Creates the CRD unless it exists, and returns its UID.
fn create_crd(plane: &ControlPlane) -> String {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/crds/envelopesecrets.yaml");
    plane
        .kubectl(["apply", "--server-side", "-f", file])
        .expect("the CRD");
    plane
        .kubectl([
            "wait",
            "--for=condition=Established",
            "--timeout=60s",
            &format!("crd/{CRD}"),
        ])
        .expect("established");
    uid_of_crd(plane)
}

/// The UID of the CRD; empty if there is none.
fn uid_of_crd(plane: &ControlPlane) -> String {
    plane
        .kubectl([
            "get",
            "crd",
            CRD,
            "--ignore-not-found",
            "-o",
            "jsonpath={.metadata.uid}",
        ])
        .expect("kubectl")
}

fn demo_namespaces(plane: &ControlPlane) -> Vec<String> {
    let names = plane
        .kubectl(["get", "namespaces", "-o", "name"])
        .expect("kubectl");
    names
        .lines()
        .filter(|name| name.contains("/envelope-demo-"))
        .map(str::to_owned)
        .collect()
}

/// A sealed document for namespace `default`.
fn sealed() -> String {
    let directory = tempfile::tempdir().expect("a directory");
    let envelope = |args: &[&str]| {
        let mut command = Command::new(ENVELOPE);
        let output = command
            .args(args)
            .current_dir(directory.path())
            .env("HOME", directory.path())
            .stdin(Stdio::null())
            .output();
        let output = output.expect("envelope starts");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).expect("text")
    };
    let secret =
        "{apiVersion: v1, kind: Secret, metadata: {name: elsewhere, namespace: default}, stringData: {a: b}}";
    std::fs::write(directory.path().join("secret.yaml"), secret).expect("a file");
    envelope(&["keys", "create", "--keyring", "keyring"]);
    envelope(&["seal", "--keyring", "keyring", "-f", "secret.yaml"])
}

/// The value of a variable in the demo's output.
fn variable<'a>(text: &'a str, name: &str) -> &'a str {
    let start = format!("$ export {name}=");
    text.lines()
        .find_map(|line| line.strip_prefix(&start))
        .unwrap_or_else(|| panic!("{name} is not in the output:\n{text}"))
}

#[test]
fn demo_without_cluster_ignores_the_callers_settings() {
    for (provider, lines) in [
        ("local", &["$ envelope keys create --keyring keyring"][..]),
        (
            "tencent-kms",
            &[
                "$ envelope keys create --provider tencent-kms --alias prod",
                "ResourceUnavailable.CmkDisabled",
            ],
        ),
    ] {
        let mut command = testkit();
        command.args([
            "demo",
            "--no-cluster",
            "--provider",
            provider,
            "--envelope",
            ENVELOPE,
        ]);
        for name in [
            "KUBECONFIG",
            "ENVELOPE_KEYRING",
            "ENVELOPE_KEY",
            "ENVELOPE_CONFIG",
            "ENVELOPE_TENCENT_CREDENTIALS",
            "TENCENTCLOUD_TOKEN",
            "XDG_CONFIG_HOME",
        ] {
            command.env(name, "/nowhere");
        }
        for name in [
            "HTTPS_PROXY",
            "https_proxy",
            "HTTP_PROXY",
            "http_proxy",
            "ALL_PROXY",
        ] {
            command.env(name, "http://127.0.0.1:9");
        }
        let output = command.output().expect("testkit starts");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "{text}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        for line in [
            "$ envelope seal",
            "$ envelope open",
            "kind: EnvelopeSecret",
            "error: tampered.yaml: ",
            "# Nothing is left behind",
        ]
        .iter()
        .chain(lines)
        {
            assert!(text.contains(line), "{line} is not in the output:\n{text}");
        }
    }
}

#[test]
fn demo_with_tencent_kms_on_a_new_control_plane_leaves_nothing() {
    let text = output_of(Provider::TencentKms, &Place::Own);
    for line in [
        "source=\"tke-oidc\"} 1",
        "ap-singapore 1 (0 failed)",
        "Ready=False KmsKeyUnusable",
        "Ready=False NoUsableKey",
        "KMS calls: 0",
        "Ready=False IntegrityError",
    ] {
        assert!(text.contains(line), "{line} is not in the output:\n{text}");
    }
    for name in ["HOME", "KUBECONFIG"] {
        assert!(
            !Path::new(variable(&text, name)).exists(),
            "{name} was not removed"
        );
    }
}

#[test]
fn demo_on_an_existing_cluster_removes_only_what_it_created() {
    let plane = testkit::own(&Options::default());
    let existing = Place::Existing {
        kubeconfig: plane.kubeconfig(),
        yes: true,
    };

    // Without the CRD: the demo creates and deletes it.
    let text = output_of(Provider::Local, &existing);
    assert!(text.contains("$ kubectl create -f crd.yaml"), "{text}");
    assert!(text.contains("Ready=False IntegrityError"), "{text}");
    assert_eq!(uid_of_crd(&plane), "", "the demo did not delete its CRD");
    assert_eq!(demo_namespaces(&plane), Vec::<String>::new());
    assert!(
        !Path::new(variable(&text, "HOME")).exists(),
        "the demo did not remove its directory"
    );

    // With the CRD: the demo keeps it.
    let uid = create_crd(&plane);
    let text = output_of(Provider::Local, &existing);
    assert!(!text.contains("kubectl create -f crd.yaml"), "{text}");
    assert_eq!(uid_of_crd(&plane), uid);
    assert_eq!(demo_namespaces(&plane), Vec::<String>::new());

    // If another user has re-created the demo's CRD or uses it, the cleaner keeps it.
    let clean = |uid: &str| {
        let mut command = testkit();
        command
            .arg("demo-cleaner")
            .env_clear()
            .envs(plane.environment())
            .stdin(Stdio::piped());
        let mut cleaner = command.spawn().expect("the cleaner");
        let line = format!("{{\"crd_uid\":\"{uid}\"}}\n");
        cleaner
            .stdin
            .take()
            .expect("its input")
            .write_all(line.as_bytes())
            .expect("it reads its input");
        assert!(cleaner.wait().expect("its exit status").success());
    };
    clean("00000000-0000-0000-0000-000000000000");
    assert_eq!(uid_of_crd(&plane), uid, "a CRD with another UID was deleted");
    plane
        .kubectl_with_input(["create", "-f", "-"], &sealed())
        .expect("an object in another namespace");
    clean(&uid);
    assert_eq!(uid_of_crd(&plane), uid, "a CRD that is in use was deleted");
    plane
        .kubectl(["delete", "-n", "default", "envsec", "elsewhere"])
        .expect("kubectl");
    clean(&uid);
    until(TIMEOUT, "the CRD is deleted", || {
        Ok(uid_of_crd(&plane).is_empty().then_some(()))
    })
    .expect("deleted");
}

#[test]
fn killed_demo_leaves_nothing() {
    let plane = testkit::shared();
    let uid = create_crd(plane);
    let mut command = testkit();
    command
        .args(["demo", "--yes", "--envelope", ENVELOPE, "--kubeconfig"])
        .arg(plane.kubeconfig());
    let mut demo = command.stdout(Stdio::piped()).spawn().expect("testkit starts");
    let mut lines = BufReader::new(demo.stdout.take().expect("its output")).lines();
    let mut text = String::new();
    // Until the namespace exists and the controller runs.
    while !text.contains("$ kubectl apply -f db.sealed.yaml") {
        let line = lines
            .next()
            .unwrap_or_else(|| panic!("the demo exited too early:\n{text}"))
            .expect("text");
        text.push_str(&line);
        text.push('\n');
    }
    let created = text
        .lines()
        .find_map(|line| line.strip_prefix("$ kubectl create namespace "))
        .expect("a namespace");
    let namespace = format!("namespace/{}", created.split(' ').next().unwrap_or_default());
    assert!(demo_namespaces(plane).contains(&namespace));
    demo.kill().expect("SIGKILL");
    demo.wait().expect("its exit status");
    until(TIMEOUT, "the namespace is deleted", || {
        Ok((!demo_namespaces(plane).contains(&namespace)).then_some(()))
    })
    .expect("deleted");
    until(TIMEOUT, "the directory is removed", || {
        Ok((!Path::new(variable(&text, "HOME")).exists()).then_some(()))
    })
    .expect("removed");
    assert_eq!(uid_of_crd(plane), uid);
}

#[test]
fn demo_without_confirmation_does_not_use_the_cluster() {
    let plane = testkit::shared();
    let mut command = testkit();
    command
        .args(["demo", "--envelope", ENVELOPE, "--kubeconfig"])
        .arg(plane.kubeconfig())
        .stdin(Stdio::null());
    let output = command.output().expect("testkit starts");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(text.contains(plane.server()) && text.contains("--yes"), "{text}");
}
