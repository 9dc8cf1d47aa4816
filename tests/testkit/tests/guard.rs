//! The guard, as its owners live and die.
//!
//! This is also why a plain `cargo test` builds the `testkit` binary: cargo does so for an integration test of the same package only.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process_group};
use testkit::{Ends, Guard, Spec, Started, State, until};

const LIMIT: Duration = Duration::from_secs(20);

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

/// Starts another process that owns a guard with one child running `script`; gives it with the ids of child and guard.
fn other_owner(script: &str) -> (Child, u32, u32) {
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
    until(LIMIT, "process group", || {
        Ok(test_kill_process_group(group).is_err().then_some(()))
    })
    .unwrap();
}

#[test]
fn an_owner_that_is_killed_leaves_nothing_not_even_what_ignores_sigterm() {
    let (mut owner, child, guard) = other_owner("trap '' TERM; sleep 1000 & while :; do sleep 1000; done");
    let ends = Ends::of(&[child, guard]).unwrap();
    owner.kill().unwrap();
    owner.wait().unwrap();
    ends.wait(LIMIT).unwrap();
    wait_for_empty_group(child);
}

#[test]
fn an_owner_whose_input_ends_leaves_nothing() {
    let (mut owner, child, guard) = other_owner("exec sleep 1000");
    let ends = Ends::of(&[child, guard]).unwrap();
    drop(owner.stdin.take());
    assert!(owner.wait().unwrap().success());
    ends.wait(LIMIT).unwrap();
}

#[test]
fn a_guard_that_is_killed_takes_its_children_along() {
    let (mut owner, child, guard) = other_owner("trap '' TERM; while :; do sleep 1000; done");
    let ends = Ends::of(&[child, guard]).unwrap();
    kill(guard);
    ends.wait(LIMIT).unwrap();
    owner.kill().unwrap();
    owner.wait().unwrap();
}

#[test]
fn dropping_a_guard_waits_for_its_children_and_removes_its_folders() {
    let guard = Guard::start().unwrap();
    let folder = guard.folder("testkit-guard-").unwrap();
    let log = folder.join("log");
    let child = shell(&guard, "echo up; exec sleep 1000", Some(&log));
    until(LIMIT, "log", || {
        Ok(std::fs::read_to_string(&log)?.contains("up").then_some(()))
    })
    .unwrap();
    drop(guard);
    wait_for_empty_group(child.pid);
    assert!(!folder.exists());
}

#[test]
fn ends_are_told_with_their_status() {
    let guard = Guard::start().unwrap();
    let ended = |started: Started| {
        until(LIMIT, "end", || {
            Ok(match guard.state(started.id)? {
                State::Ended(how) => Some(how),
                State::Running => None,
            })
        })
        .unwrap()
    };
    assert_eq!(ended(shell(&guard, "exit 7", None)), "exit status: 7");
    let child = shell(&guard, "exec sleep 1000", None);
    assert_eq!(guard.state(child.id).unwrap(), State::Running);
    guard.signal(child.id, Signal::KILL).unwrap();
    assert_eq!(ended(child), "signal: 9 (SIGKILL)");
    // An ended process is left alone, whoever has its id now.
    assert!(matches!(
        guard.signal(child.id, Signal::KILL).unwrap(),
        State::Ended(_)
    ));
}

#[test]
fn stop_asks_first_and_kills_after_the_grace() {
    let guard = Guard::start().unwrap();
    let folder = guard.folder("testkit-guard-").unwrap();
    let start = |name: &str, script: &str| {
        let log = folder.join(name);
        let child = shell(&guard, script, Some(&log));
        until(LIMIT, "log", || {
            Ok(std::fs::read_to_string(&log)?.contains("up").then_some(()))
        })
        .unwrap();
        child
    };
    let polite = start(
        "polite",
        "trap 'exit 3' TERM; echo up; while :; do sleep 0.05; done",
    );
    assert_eq!(
        guard.stop(polite.id, LIMIT).unwrap(),
        State::Ended("exit status: 3".to_owned())
    );
    let deaf = start("deaf", "trap '' TERM; echo up; while :; do sleep 1000; done");
    let killed = State::Ended("signal: 9 (SIGKILL)".to_owned());
    assert_eq!(guard.stop(deaf.id, Duration::from_millis(50)).unwrap(), killed);
}

#[test]
fn what_cannot_be_started_is_refused() {
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
fn children_get_the_environment_that_was_named_and_no_other() {
    let guard = Guard::start().unwrap();
    let folder = guard.folder("testkit-guard-").unwrap();
    let log = folder.join("env");
    shell(&guard, "env; echo end", Some(&log));
    let text = until(LIMIT, "log", || {
        let text = std::fs::read_to_string(&log)?;
        Ok(text.contains("end").then_some(text))
    })
    .unwrap();
    assert!(text.contains("PATH=/usr/bin:/bin"), "{text}");
    assert!(!text.contains("HOME=") && !text.contains("CARGO"), "{text}");
}
