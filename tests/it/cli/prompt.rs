//! The prompt for a value, on a pseudo-terminal.

#![cfg(target_os = "linux")]

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

use super::shell::Shell;

const PATIENCE: Duration = Duration::from_secs(30);
const SEAL: &str = "seal --keyring keyring --name db -n prod --from-literal password -w sealed.yaml";
const PROMPT: &str = "value of password: ";
const MARK_PASTES: &str = "\x1b[?2004h";
const LEAVE_PASTES: &str = "\x1b[?2004l";

/// A command on a terminal of its own.
struct Terminal {
    master: File,
    child: Child,
    output: Arc<Mutex<String>>,
}

impl Terminal {
    /// Starts `command` as a session leader with this terminal.
    fn start(shell: &Shell, command: &[&str]) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = OpenOptions::new()
            .read(true)
            .write(true)
            .open(std::ffi::OsStr::from_bytes(name.as_bytes()))
            .unwrap();
        let stream = || Stdio::from(OwnedFd::from(slave.try_clone().unwrap()));
        let mut setsid: Command = shell.command("setsid");
        // A background job, or a run under `nohup`, passes ignored signals on to its children.
        let default_signals = ["env", "--default-signal=HUP,INT,QUIT,TERM,USR1,USR2,ALRM,XCPU"];
        setsid
            .args(["--ctty", "--wait"])
            .args(default_signals)
            .args(command)
            .env("PS1", "$ ");
        setsid.env("ENVELOPE", env!("CARGO_BIN_EXE_envelope"));
        let child = setsid
            .stdin(stream())
            .stdout(stream())
            .stderr(stream())
            .spawn()
            .unwrap();
        let master = File::from(master);
        let output = Arc::new(Mutex::new(String::new()));
        let (mut reader, sink) = (master.try_clone().unwrap(), Arc::clone(&output));
        thread::spawn(move || {
            let mut chunk = [0; 1024];
            while let Ok(read @ 1..) = reader.read(&mut chunk) {
                let text = String::from_utf8_lossy(&chunk[..read]).into_owned();
                sink.lock().unwrap().push_str(&text);
            }
        });
        Terminal {
            master,
            child,
            output,
        }
    }

    /// Runs the program without a shell.
    fn program(shell: &Shell) -> Self {
        let words: Vec<&str> = SEAL.split(' ').collect();
        let terminal = Terminal::start(
            shell,
            &[&[env!("CARGO_BIN_EXE_envelope")], words.as_slice()].concat(),
        );
        terminal.wait_for(PROMPT, 1);
        terminal
    }

    fn output(&self) -> String {
        self.output.lock().unwrap().clone()
    }

    /// Waits until the terminal shows `text` so many times.
    #[track_caller]
    fn wait_for(&self, text: &str, times: usize) {
        self.wait_until(&format!("{times} times {text:?}"), |terminal| {
            terminal.output().matches(text).count() >= times
        });
    }

    #[track_caller]
    fn wait_until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let started = Instant::now();
        while !condition(self) {
            assert!(started.elapsed() < PATIENCE, "no {what} in {:?}", self.output());
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn send(&self, input: &[u8]) {
        (&self.master).write_all(input).unwrap();
    }

    fn echoes(&self) -> bool {
        let modes = tcgetattr(&self.master).unwrap().local_modes;
        modes.contains(LocalModes::ECHO | LocalModes::ICANON)
    }

    /// The foreground process of the terminal.
    fn program_id(&self) -> i32 {
        rustix::termios::tcgetpgrp(&self.master)
            .unwrap()
            .as_raw_nonzero()
            .get()
    }

    /// Waits for the end of the program.
    #[track_caller]
    fn end(&mut self) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(started.elapsed() < PATIENCE, "still running: {:?}", self.output());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[track_caller]
fn password(shell: &Shell) -> Vec<u8> {
    super::shell::value(&shell.open(&shell.read("sealed.yaml")), "password")
}

#[test]
fn entered_line_is_sealed_and_never_shown() {
    let shell = Shell::new();
    let mut terminal = Terminal::program(&shell);
    assert!(!terminal.echoes());
    terminal.send(b"wrong\x7f\x7f\x7f\x7f\x7fplanted 4xT9q\n");
    assert!(terminal.end().success(), "{}", terminal.output());
    assert_eq!(password(&shell), b"planted 4xT9q");
    assert!(terminal.echoes());
    assert!(!terminal.output().contains("planted"), "{}", terminal.output());
}

#[test]
fn line_longer_than_the_limit_of_the_terminal_is_sealed() {
    let shell = Shell::new();
    let mut terminal = Terminal::program(&shell);
    let value = "planted7".repeat(1000);
    for chunk in value.as_bytes().chunks(1000) {
        terminal.send(chunk);
        thread::sleep(Duration::from_millis(20));
    }
    terminal.send(b"\n");
    assert!(terminal.end().success(), "{}", terminal.output());
    assert_eq!(password(&shell), value.as_bytes());
}

/// Starts an interactive shell, and in it a `seal` that prompts.
fn prompt_in_a_shell(shell: &Shell) -> Terminal {
    let terminal = Terminal::start(shell, &["sh", "-i"]);
    terminal.wait_for("$ ", 1);
    terminal.send(format!("\"$ENVELOPE\" {SEAL}\n").as_bytes());
    terminal.wait_for(PROMPT, 1);
    terminal
}

/// Fails unless the shell is alive, has neither shown nor run a pasted line, and nothing was sealed.
fn assert_no_paste_reached_the_shell(shell: &Shell, terminal: &Terminal) {
    terminal.send(b"echo alive-$((40+2))\n");
    terminal.wait_for("alive-42", 1);
    assert!(!terminal.output().contains("planted"), "{}", terminal.output());
    assert!(!terminal.output().contains("END KEY"), "{}", terminal.output());
    assert!(!shell.path("sealed.yaml").exists());
}

#[test]
fn pasted_lines_are_refused_and_never_reach_the_shell() {
    let shell = Shell::new();
    let terminal = prompt_in_a_shell(&shell);
    terminal.send(b"-----BEGIN KEY-----\necho planted-$((40+2))\n");
    // The rest of a paste over a slow connection.
    thread::sleep(Duration::from_millis(50));
    terminal.send(b"echo planted-$((40+2))\n-----END KEY-----\n");
    terminal.wait_for("more input follows the first line", 1);
    terminal.wait_for("--from-file password=PATH", 1);
    assert_no_paste_reached_the_shell(&shell, &terminal);
}

#[test]
fn slow_paste_is_refused_as_a_whole() {
    let shell = Shell::new();
    let terminal = prompt_in_a_shell(&shell);
    terminal.wait_for(MARK_PASTES, 1);
    terminal.send(b"\x1b[200~-----BEGIN KEY-----\n");
    for line in ["echo planted-$((40+2))\n", "-----END KEY-----\n\x1b[201~"] {
        // Each line arrives later than input that is typed right after another line would.
        thread::sleep(Duration::from_millis(500));
        terminal.send(line.as_bytes());
    }
    terminal.wait_for("more input follows the first line", 1);
    terminal.wait_for(LEAVE_PASTES, 1);
    assert_no_paste_reached_the_shell(&shell, &terminal);
}

#[test]
fn pasted_line_is_sealed_without_the_marks_of_the_paste() {
    for paste in [
        "\x1b[200~planted 3fQ8z\x1b[201~\n",
        "\x1b[200~planted 3fQ8z\n\x1b[201~",
        "\x1b[200~planted 3fQ8z\r\n\x1b[201~",
    ] {
        let shell = Shell::new();
        let mut terminal = Terminal::program(&shell);
        terminal.send(paste.as_bytes());
        assert!(terminal.end().success(), "{}", terminal.output());
        assert_eq!(password(&shell), b"planted 3fQ8z");
        terminal.wait_for(LEAVE_PASTES, 1);
    }
}

#[test]
fn dumb_terminal_gets_no_control_sequences() {
    let shell = Shell::new();
    let words: Vec<&str> = SEAL.split(' ').collect();
    let command = ["env", "TERM=dumb", env!("CARGO_BIN_EXE_envelope")];
    let mut terminal = Terminal::start(&shell, &[&command, words.as_slice()].concat());
    terminal.wait_for(PROMPT, 1);
    terminal.send(b"planted 5vR1x\n");
    assert!(terminal.end().success(), "{}", terminal.output());
    assert_eq!(password(&shell), b"planted 5vR1x");
    assert!(!terminal.output().contains('\u{1b}'), "{:?}", terminal.output());
}

#[test]
fn input_that_is_not_utf_8_is_refused() {
    let shell = Shell::new();
    let mut terminal = Terminal::program(&shell);
    terminal.send(b"planted\xff\xfe\n");
    assert_eq!(terminal.end().code(), Some(2));
    terminal.wait_for("the input is not valid UTF-8; nothing was used", 1);
    terminal.wait_for("--from-file password=PATH", 1);
    assert!(terminal.echoes() && !shell.path("sealed.yaml").exists());
}

#[test]
fn tab_is_refused_and_not_lost() {
    let shell = Shell::new();
    let mut terminal = Terminal::program(&shell);
    terminal.send(b"planted\tvalue\n");
    assert_eq!(terminal.end().code(), Some(2));
    terminal.wait_for("control characters, such as a tab", 1);
    assert!(!terminal.output().contains("planted"), "{}", terminal.output());
    assert!(terminal.echoes() && !shell.path("sealed.yaml").exists());
}

#[test]
fn every_signal_that_ends_the_prompt_restores_the_terminal() {
    for (signal, number) in [
        ("INT", 2),
        ("QUIT", 3),
        ("HUP", 1),
        ("TERM", 15),
        ("USR1", 10),
        ("USR2", 12),
        ("ALRM", 14),
        ("XCPU", 24),
    ] {
        let shell = Shell::new();
        // dash does not restore the terminal itself.
        let terminal = Terminal::start(&shell, &["sh", "-i"]);
        terminal.wait_for("$ ", 1);
        terminal.send(format!("\"$ENVELOPE\" {SEAL}; echo status-$?\n").as_bytes());
        terminal.wait_for(PROMPT, 1);
        terminal.send(b"planted");
        match signal {
            "INT" => terminal.send(b"\x03"),
            "QUIT" => terminal.send(b"\x1c"),
            name => {
                let kill = format!("kill -{name} {}", terminal.program_id());
                let killed = shell.command("sh").args(["-c", &kill]).status().unwrap();
                assert!(killed.success());
            }
        }
        match number {
            // dash abandons the list on SIGINT and SIGQUIT.
            2 | 3 => terminal.wait_for("$ ", 2),
            number => terminal.wait_for(&format!("status-{}", 128 + number), 1),
        }
        terminal.wait_for(LEAVE_PASTES, 1);
        terminal.wait_until("echo", Terminal::echoes);
        assert!(!terminal.output().contains("planted"), "{}", terminal.output());
    }
}

#[test]
fn stopped_prompt_restores_the_terminal_and_continues() {
    let shell = Shell::new();
    let terminal = prompt_in_a_shell(&shell);
    terminal.send(b"\x1a");
    terminal.wait_for("$ ", 2);
    terminal.wait_until("echo", Terminal::echoes);
    terminal.wait_for(LEAVE_PASTES, 1);
    terminal.send(b"fg\n");
    terminal.wait_for(PROMPT, 2);
    terminal.wait_for(MARK_PASTES, 2);
    terminal.wait_until("hidden input", |terminal| !terminal.echoes());
    terminal.send(b"planted 8mK2w\n");
    terminal.wait_for("sealed prod/db", 1);
    assert_eq!(password(&shell), b"planted 8mK2w");
    assert!(!terminal.output().contains("planted"), "{}", terminal.output());
}

#[test]
fn prompt_without_a_terminal_fails_with_advice() {
    let shell = Shell::new();
    let mut setsid = shell.command("setsid");
    setsid
        .arg("--wait")
        .arg(env!("CARGO_BIN_EXE_envelope"))
        .args(SEAL.split(' '));
    let output = setsid.stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("there is no terminal"), "{message}");
    assert!(message.contains("--from-literal password=-"), "{message}");
}

#[test]
fn closed_terminal_ends_the_prompt() {
    let shell = Shell::new();
    let mut terminal = Terminal::program(&shell);
    terminal.send(b"\x04");
    assert_eq!(terminal.end().code(), Some(2), "{}", terminal.output());
    terminal.wait_for("nothing was entered", 1);
    assert!(terminal.end().signal().is_none());
}
