//! The guard terminates its children however its owner exits.
//!
//! This test is also the reason why a plain `cargo test` builds the `testkit` binary: cargo builds binaries only for the integration tests
//! of the same package.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "test helpers")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process_group};
use testkit::{Exits, Guard, Spec, Started, State, until};

const TIMEOUT: Duration = Duration::from_secs(20);

fn shell(guard: &Guard, script: &str, log: Option<&Path>) -> Started {
    let args = vec!["-c".to_owned(), script.to_owned()];
    let env = vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())];
    guard
        .spawn(Spec {
            program: "/bin/sh".into(),
            args,
            env,
            dir: "/".into(),
            log: log.map(Path::to_owned),
        })
        .unwrap()
}

/// Starts a process that owns a guard with one child running `script`. Returns the process and the IDs of the child and the guard.
fn start_owner(script: &str) -> (Child, u32, u32) {
    let mut owner = Command::new(env!("CARGO_BIN_EXE_testkit"))
        .args(["run", "--", "/bin/sh", "-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(owner.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let mut ids = line.split_whitespace().map(|word| word.parse().unwrap());
    let (child, guard) = (ids.next().unwrap(), ids.next().unwrap());
    (owner, child, guard)
}

fn kill(pid: u32) {
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), Signal::KILL).unwrap();
}

fn wait_for_empty_group(pid: u32) {
    let group = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    until(TIMEOUT, "the process group is empty", || {
        Ok(test_kill_process_group(group).is_err().then_some(()))
    })
    .unwrap();
}

#[test]
fn killed_owner_leaves_no_process_even_if_one_ignores_sigterm() {
    let (mut owner, child, guard) = start_owner("trap '' TERM; sleep 1000 & while :; do sleep 1000; done");
    let exits = Exits::of(&[child, guard]).unwrap();
    owner.kill().unwrap();
    owner.wait().unwrap();
    exits.wait(TIMEOUT).unwrap();
    wait_for_empty_group(child);
}

#[test]
fn owner_that_exits_at_end_of_input_leaves_no_process() {
    let (mut owner, child, guard) = start_owner("exec sleep 1000");
    let exits = Exits::of(&[child, guard]).unwrap();
    drop(owner.stdin.take());
    assert!(owner.wait().unwrap().success());
    exits.wait(TIMEOUT).unwrap();
}

#[test]
fn killed_guard_leaves_no_children() {
    let (mut owner, child, guard) = start_owner("trap '' TERM; while :; do sleep 1000; done");
    let exits = Exits::of(&[child, guard]).unwrap();
    kill(guard);
    exits.wait(TIMEOUT).unwrap();
    owner.kill().unwrap();
    owner.wait().unwrap();
}

#[test]
fn dropped_guard_waits_for_its_children_and_removes_its_directories() {
    let guard = Guard::start().unwrap();
    let directory = guard.temporary_directory("testkit-guard-").unwrap();
    let log = directory.join("log");
    let child = shell(&guard, "echo up; exec sleep 1000", Some(&log));
    until(TIMEOUT, "log", || {
        Ok(std::fs::read_to_string(&log)?.contains("up").then_some(()))
    })
    .unwrap();
    drop(guard);
    wait_for_empty_group(child.pid);
    assert!(!directory.exists());
}

#[test]
fn exited_process_is_reported_with_its_status() {
    let guard = Guard::start().unwrap();
    let exit_of = |started: Started| {
        until(TIMEOUT, "exit", || {
            Ok(match guard.state(started.id)? {
                State::Exited(status) => Some(status),
                State::Running => None,
            })
        })
        .unwrap()
    };
    assert_eq!(exit_of(shell(&guard, "exit 7", None)), "exit status: 7");
    let child = shell(&guard, "exec sleep 1000", None);
    assert_eq!(guard.state(child.id).unwrap(), State::Running);
    guard.signal(child.id, Signal::KILL).unwrap();
    assert_eq!(exit_of(child), "signal: 9 (SIGKILL)");
    // Nothing is sent after the exit: another process may have the ID now.
    assert!(matches!(
        guard.signal(child.id, Signal::KILL).unwrap(),
        State::Exited(_)
    ));
}

#[test]
fn stop_sends_sigterm_and_kills_after_the_grace_period() {
    let guard = Guard::start().unwrap();
    let directory = guard.temporary_directory("testkit-guard-").unwrap();
    let start = |name: &str, script: &str| {
        let log = directory.join(name);
        let child = shell(&guard, script, Some(&log));
        until(TIMEOUT, "log", || {
            Ok(std::fs::read_to_string(&log)?.contains("up").then_some(()))
        })
        .unwrap();
        child
    };
    let graceful = start(
        "graceful",
        "trap 'exit 3' TERM; echo up; while :; do sleep 0.05; done",
    );
    assert_eq!(
        guard.stop(graceful.id, TIMEOUT).unwrap(),
        State::Exited("exit status: 3".to_owned())
    );
    let stubborn = start("stubborn", "trap '' TERM; echo up; while :; do sleep 1000; done");
    let killed = State::Exited("signal: 9 (SIGKILL)".to_owned());
    assert_eq!(
        guard.stop(stubborn.id, Duration::from_millis(50)).unwrap(),
        killed
    );
}

#[test]
fn program_that_is_missing_or_not_executable_is_an_error() {
    let guard = Guard::start().unwrap();
    let start = |program: &str| {
        let spec = Spec {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            dir: "/".into(),
            log: None,
        };
        format!("{:#}", guard.spawn(spec).unwrap_err())
    };
    assert!(
        start("/nowhere/etcd").contains("/nowhere/etcd"),
        "{}",
        start("/nowhere/etcd")
    );
    assert!(start("/etc/passwd").contains("not an executable file"));
    // The guard still serves.
    shell(&guard, "exit 0", None);
}

#[test]
fn children_inherit_no_environment() {
    let guard = Guard::start().unwrap();
    let directory = guard.temporary_directory("testkit-guard-").unwrap();
    let log = directory.join("env");
    shell(&guard, "env; echo end", Some(&log));
    let text = until(TIMEOUT, "log", || {
        let text = std::fs::read_to_string(&log)?;
        Ok(text.contains("end").then_some(text))
    })
    .unwrap();
    assert!(text.contains("PATH=/usr/bin:/bin"), "{text}");
    assert!(!text.contains("HOME=") && !text.contains("CARGO"), "{text}");
}
