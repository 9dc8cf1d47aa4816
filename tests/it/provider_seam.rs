//! A provider is one directory (or one file) and one entry in the registry: `examples/custom_provider.rs` adds one to the
//! program without touching any other module, and everything works with it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

use k8s_openapi::api::core::v1::Secret;
use kube::Api;

use crate::support::crd::plane_with_crd;
use crate::support::{client, wait_for};

const VALUE: &str = "planted-provider-9Kq";

/// The program with the additional provider. `cargo test --test it` does not build examples, so this does.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let directory = Path::new(env!("CARGO_BIN_EXE_envelope")).parent().unwrap();
        let mut build = Command::new(env!("CARGO"));
        build
            .args(["build", "--quiet", "--locked", "--example", "custom_provider"])
            .current_dir(env!("CARGO_MANIFEST_DIR"));
        if directory.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().unwrap().success(), "the example does not build");
        directory.join("examples/custom_provider")
    })
}

/// A directory with one KMS key.
struct Workspace(tempfile::TempDir);

impl Workspace {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("demo.key"), "the key of a demo").unwrap();
        Workspace(directory)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(program());
        command
            .args(args)
            .current_dir(self.0.path())
            .env_clear()
            .env("HOME", self.path("home"))
            .env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Seals a Secret of this namespace and returns the manifest.
    fn seal(&self, namespace: &str) -> String {
        let secret = format!(
            "apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\n  namespace: {namespace}\n\
             stringData:\n  password: {VALUE}\n"
        );
        fs::write(self.path("secret.yaml"), secret).unwrap();
        let sealed = self.run(&[
            "seal",
            "-f",
            "secret.yaml",
            "--key",
            "file-kms://demo",
            "--file-kms-dir",
            ".",
        ]);
        assert!(sealed.status.success(), "{sealed:?}");
        String::from_utf8(sealed.stdout).unwrap()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_registered_provider_seals_opens_and_is_examined() {
    let workspace = Workspace::new();
    let sealed = workspace.seal("prod");
    assert!(sealed.contains("key: file-kms://demo"), "{sealed}");
    assert!(!sealed.contains(VALUE));
    fs::write(workspace.path("sealed.yaml"), sealed).unwrap();

    let open = |more: &[&str]| {
        let mut command = workspace.command(&["open", "-f", "sealed.yaml", "--value", "password"]);
        command
            .args(more)
            .env("ENVELOPE_FILE_KMS_DIR", ".")
            .output()
            .unwrap()
    };
    let opened = open(&["--key", "file-kms://demo"]);
    assert_eq!(text(&opened.stdout), VALUE, "{opened:?}");
    let refused = open(&[]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let said = text(&refused.stderr);
    assert!(said.contains("--key file-kms://demo"), "the advice: {said}");

    let doctor = |key: &str| workspace.run(&["doctor", "--key", key, "--file-kms-dir", "."]);
    let healthy = doctor("file-kms://demo");
    assert!(healthy.status.success(), "{healthy:?}");
    let report = text(&healthy.stdout);
    assert!(
        report.contains("file-kms://demo") && report.contains("pass  encrypt"),
        "{report}"
    );
    assert_eq!(doctor("file-kms://missing").status.code(), Some(3));
    let malformed = doctor("file-kms://UPPER");
    let said = text(&malformed.stderr);
    assert!(said.contains("write it as file-kms://NAME"), "{said}");
}

#[test]
fn flags_of_a_registered_provider_are_in_the_help_and_belong_to_it() {
    let workspace = Workspace::new();
    let help = text(&workspace.run(&["seal", "--help"]).stdout);
    assert!(
        help.contains("--file-kms-dir <DIR>") && help.contains("ENVELOPE_FILE_KMS_DIR"),
        "{help}"
    );
    let misplaced = workspace.run(&["keys", "list", "--file-kms-dir", "."]);
    assert_eq!(misplaced.status.code(), Some(2), "{misplaced:?}");
    let said = text(&misplaced.stderr);
    assert!(
        said.contains("--file-kms-dir does not apply to the provider local"),
        "{said}"
    );
}

/// The controller, until it is dropped.
struct Controller(Child);

impl Drop for Controller {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registered_provider_opens_documents_in_the_controller() {
    let workspace = Workspace::new();
    let plane = plane_with_crd();
    let namespace = plane.namespace("provider").unwrap();
    let kubeconfig = plane.kubeconfig();
    let mut command = workspace.command(&[
        "controller",
        "--file-kms-dir",
        ".",
        "--allow-key",
        "file-kms://demo",
        "--namespaces",
        &namespace,
        "--metrics-addr",
        "127.0.0.1:0",
        "--probe-addr",
        "127.0.0.1:0",
    ]);
    command.arg("--kubeconfig").arg(&kubeconfig).stderr(Stdio::null());
    let _controller = Controller(command.spawn().unwrap());
    plane
        .kubectl_with_input(["apply", "--server-side", "-f", "-"], &workspace.seal(&namespace))
        .unwrap();
    let secrets: Api<Secret> = Api::namespaced(client().await, &namespace);
    let holds = |secret: Option<&Secret>| {
        let data = secret.and_then(|secret| secret.data.as_ref());
        data.is_some_and(|data| data["password"].0 == VALUE.as_bytes())
    };
    wait_for(&secrets, "db", "it holds what was sealed", holds)
        .await
        .unwrap();
}
