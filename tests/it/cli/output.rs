//! Where `seal` and others write: standard output, and files.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use super::shell::{Shell, value};

const SECRET: &str =
    "apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {password: correct horse}\n";

#[test]
fn broken_pipe_is_not_reported_and_not_a_success() {
    let shell = Shell::new();
    let mut child = shell
        .command(env!("CARGO_BIN_EXE_envelope"))
        .arg("crd")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    let signal = std::os::unix::process::ExitStatusExt::signal(&output.status);
    assert_eq!((signal, output.stderr.as_slice()), (Some(13), &b""[..]));
}

#[test]
fn a_full_standard_output_is_an_error() {
    let shell = Shell::new();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
    // macOS has no such device.
    let Ok(full) = full else { return };
    for argument in ["crd", "--help", "--version"] {
        let output = shell
            .command(env!("CARGO_BIN_EXE_envelope"))
            .arg(argument)
            .stdout(full.try_clone().unwrap())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{argument}");
        assert!(
            output
                .stderr
                .starts_with(b"error: cannot write to standard output: "),
            "{output:?}"
        );
    }
}

#[test]
fn a_directory_that_cannot_be_synced_is_only_a_warning() {
    use std::os::unix::process::CommandExt as _;

    let shell = Shell::new();
    let sealed = |mode: u32, user: Option<u32>| {
        let directory = shell.path("out");
        std::fs::create_dir(&directory).unwrap();
        std::fs::set_permissions(&directory, Permissions::from_mode(mode)).unwrap();
        std::fs::set_permissions(shell.path("."), Permissions::from_mode(0o755)).unwrap();
        let mut command = shell.command(env!("CARGO_BIN_EXE_envelope"));
        shell.write("secret.yaml", SECRET);
        command.args([
            "seal",
            "--keyring",
            "keyring",
            "-n",
            "prod",
            "secret.yaml",
            "-w",
            "out/sealed.yaml",
        ]);
        if let Some(user) = user {
            for path in ["out", "keyring", "secret.yaml"] {
                std::os::unix::fs::chown(shell.path(path), Some(user), Some(user)).unwrap();
            }
            command.uid(user).gid(user);
        }
        command.output().unwrap()
    };
    // Permissions do not bind root.
    let root = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) == 0;
    let output = sealed(0o300, root.then_some(65534));
    let stderr = String::from_utf8(output.stderr).unwrap();
    if stderr.contains("cannot execute") {
        return;
    }
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(
        stderr.contains("warning: wrote out/sealed.yaml, but could not sync its directory"),
        "{stderr}"
    );
    std::fs::set_permissions(shell.path("out"), Permissions::from_mode(0o700)).unwrap();
    assert!(shell.path("out/sealed.yaml").exists());
}

#[test]
fn missing_directory_device_or_existing_file_as_destination_is_refused() {
    let shell = Shell::new();
    shell.write("secret.yaml", SECRET);
    let seal = |file: &str, more: &[&str]| {
        let args = [
            "seal",
            "--keyring",
            "keyring",
            "-n",
            "prod",
            "secret.yaml",
            "-w",
            file,
        ];
        shell.run(&[&args[..], more].concat(), b"")
    };
    seal("none/sealed.yaml", &[]).failed(1, "the directory none does not exist");
    seal("/dev/stdout", &[]).failed(1, "leave out --write to write to standard output");
    seal("sealed.yaml", &[]).ok();
    seal("sealed.yaml", &[]).failed(1, "replace the whole file with --force");
    seal("sealed.yaml", &["--force"]).ok();
    assert_eq!(
        value(&shell.open(&shell.read("sealed.yaml")), "password"),
        b"correct horse"
    );
}

#[test]
fn a_closed_standard_output_is_an_error() {
    let shell = Shell::new();
    shell.write(
        "secret.yaml",
        SECRET.replace("{name: db}", "{name: db, namespace: prod}"),
    );
    shell.write("sealed.yaml", shell.seal(&["secret.yaml"], b"").stdout);
    for command in [
        "seal --keyring keyring secret.yaml",
        "open --keyring keyring sealed.yaml",
        "keys create --keyring keyring",
        "crd",
        "--version",
    ] {
        for closed in [">&-", ">&- <&-", ">&- <&- 2>&-"] {
            let output = shell
                .command("sh")
                .args(["-c", &format!("exec \"$ENVELOPE\" {command} {closed}")])
                .env("ENVELOPE", env!("CARGO_BIN_EXE_envelope"))
                .output()
                .unwrap();
            assert_eq!(output.status.code(), Some(1), "{command} {closed}");
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert!(!stderr.contains("sealed prod/db"), "{stderr}");
            if !closed.contains("2>") {
                assert!(
                    stderr.contains("error: cannot write to standard output: "),
                    "{command} {closed}: {stderr}"
                );
            }
        }
    }
    // Nothing is written to a standard output that is not used.
    let script = "exec \"$ENVELOPE\" seal -q --keyring keyring secret.yaml -w written.yaml >&-";
    let status = shell
        .command("sh")
        .args(["-c", script])
        .env("ENVELOPE", env!("CARGO_BIN_EXE_envelope"))
        .status()
        .unwrap();
    assert!(status.success());
    assert!(shell.path("written.yaml").exists());
    // Both of these discard the output on purpose.
    for null in [">/dev/null", "<>/dev/null >&0"] {
        let script = format!("exec \"$ENVELOPE\" crd {null}");
        let status = shell
            .command("sh")
            .args(["-c", &script])
            .env("ENVELOPE", env!("CARGO_BIN_EXE_envelope"))
            .status()
            .unwrap();
        assert!(status.success(), "{null}");
    }
}

#[test]
fn a_directory_as_destination_is_refused_before_work() {
    let shell = Shell::new();
    std::fs::create_dir(shell.path("d")).unwrap();
    for path in ["d", "d/", "new/", "d/.", ".."] {
        for force in [&["-w", path][..], &["-w", path, "--force"]] {
            let args = [&["seal", "--keyring", "keyring", "-n", "prod"], force].concat();
            shell.run(&args, SECRET.as_bytes()).failed(
                2,
                &format!("--write needs the name of a file, but {path} is a directory"),
            );
        }
    }
}
