//! Runs the program in a temporary directory with a clean environment.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use envelope_secrets::manifest::from_base64;
use serde_json::Value;

/// A temporary directory with an empty home directory.
pub(super) struct Shell {
    directory: tempfile::TempDir,
}

/// The result of a command.
pub(super) struct Ran {
    pub(super) code: Option<i32>,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: String,
}

impl Shell {
    /// With a keyring at `keyring`.
    pub(super) fn new() -> Self {
        let shell = Shell::without_keyring();
        shell.run(&["keys", "create", "--keyring", "keyring"], b"").ok();
        shell
    }

    pub(super) fn without_keyring() -> Self {
        Shell {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(super) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    pub(super) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// Returns a command that runs here.
    pub(super) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command
            .current_dir(self.directory.path())
            .env_clear()
            .env("HOME", self.path("home"));
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
    }

    pub(super) fn run(&self, args: &[&str], stdin: &[u8]) -> Ran {
        self.run_with(args, stdin, &[])
    }

    pub(super) fn run_with(&self, args: &[&str], stdin: &[u8], environment: &[(&str, &str)]) -> Ran {
        let mut command = self.command(env!("CARGO_BIN_EXE_envelope"));
        command.args(args).envs(environment.iter().copied());
        let output = assert_cmd::Command::from_std(command)
            .write_stdin(stdin)
            .output()
            .unwrap();
        Ran {
            code: output.status.code(),
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs `seal` with the keyring.
    pub(super) fn seal(&self, args: &[&str], stdin: &[u8]) -> Ran {
        self.run(&[&["seal", "--keyring", "keyring"], args].concat(), stdin)
            .ok()
    }

    /// Opens a sealed text and returns the Secret as JSON.
    pub(super) fn open(&self, sealed: &[u8]) -> Value {
        let ran = self
            .run(&["open", "--keyring", "keyring", "-o", "json", "-"], sealed)
            .ok();
        serde_json::from_slice(&ran.stdout).unwrap()
    }
}

impl Ran {
    #[track_caller]
    pub(super) fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self
    }

    #[track_caller]
    pub(super) fn failed(self, code: i32, message: &str) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        assert!(self.stderr.contains(message), "{}", self.stderr);
        assert!(self.stdout.is_empty(), "a failure prints no document");
        self
    }

    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }
}

/// Returns the decoded value of a Secret's entry.
#[track_caller]
pub(super) fn value(secret: &Value, name: &str) -> Vec<u8> {
    let text = secret["data"][name]
        .as_str()
        .unwrap_or_else(|| panic!("no entry {name}"));
    from_base64(text).unwrap().expose().to_vec()
}
