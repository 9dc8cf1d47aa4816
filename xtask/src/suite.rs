//! The core suite: what every change must pass, locally and in CI.

use std::{
    env,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    generate::generate_with_built,
    prerequisites::{Need, check},
    run::{cargo, output, profile_directory, root, run, run_lines, succeeds},
};

/// The result of a step that did not fail.
enum Outcome {
    Done,
    /// Passed, but part of the step could not run on this host; the report says which part and why.
    NotRun(String),
}

type Step = (&'static str, fn(&mut Tally) -> Result<Outcome>);

/// Cheap steps first. Tests last, so that the log ends with their closing line.
const STEPS: &[Step] = &[
    ("formatting", |_| plain("fmt --all --check", &[])),
    ("one TLS provider", |_| one_tls_provider()),
    ("licenses, bans, sources", |_| deny()),
    ("clippy", |_| {
        let args = "clippy --workspace --all-targets --all-features --locked -- -D warnings";
        plain(args, &[]) // all features, to check the suite `live`, which this suite does not run
    }),
    ("rustdoc", |_| {
        plain(
            "doc --workspace --no-deps --locked",
            &[("RUSTDOCFLAGS", "-D warnings")],
        )
    }),
    ("build tests", |_| {
        plain("test --workspace --locked --no-run", &[])
    }),
    ("generated files", |_| {
        generate_with_built(true).map(|()| Outcome::Done)
    }),
    ("control plane", |_| control_plane()),
    ("tests", tests),
];

pub(crate) fn core() -> Result<()> {
    check(&[Need::Components, Need::CCompiler, Need::ControlPlane])?;
    let mut tally = Tally::default();
    let mut report = Vec::new();
    let start = Instant::now();
    for (number, (name, step)) in STEPS.iter().enumerate() {
        let title = format!("[{}/{}] {name}", number + 1, STEPS.len());
        println!("\n{title}");
        let begun = Instant::now();
        let outcome = step(&mut tally);
        let took = seconds(begun.elapsed());
        match outcome {
            Ok(outcome) => {
                let line = match outcome {
                    Outcome::Done => format!("{took:>8}  {name}"),
                    Outcome::NotRun(why) => format!("{took:>8}  {name}; not run: {why}"),
                };
                println!("{title}: done in {took}");
                report.push(line);
            }
            Err(error) => {
                println!("{title}: FAILED after {took}");
                return Err(error.context(format!("step {} of {}, {name}, failed", number + 1, STEPS.len())));
            }
        }
    }
    println!("\ncore: {} steps, {}", STEPS.len(), seconds(start.elapsed()));
    for line in report {
        println!("{line}");
    }
    println!("\n{}", tally.closing_line());
    Ok(())
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

fn plain(args: &str, env: &[(&str, &str)]) -> Result<Outcome> {
    run(cargo(args.split(' ')).envs(env.iter().copied()))?;
    Ok(Outcome::Done)
}

/// Two TLS stacks in one process mean two sets of trusted roots and security advisories. A feature of any dependency of
/// kube or rustls can add a second one.
fn one_tls_provider() -> Result<Outcome> {
    for banned in ["ring", "openssl", "openssl-sys", "native-tls"] {
        let mut tree = cargo([
            "tree",
            "--locked",
            "--workspace",
            "--target",
            "all",
            "--edges",
            "normal,build,dev",
        ]);
        let found = output(tree.args(["--invert", banned]))?;
        ensure!(
            found.trim().is_empty(),
            "{banned} is in the dependency tree:\n{found}"
        );
    }
    // Guards against a `cargo tree` that always prints nothing.
    let expected = output(&mut cargo(["tree", "--locked", "--invert", "aws-lc-rs"]))?;
    ensure!(
        !expected.trim().is_empty(),
        "aws-lc-rs is not in the dependency tree: this check no longer works"
    );
    Ok(Outcome::Done)
}

/// Checks `deny.toml` with cargo-deny, if it is installed. Downloads nothing.
fn deny() -> Result<Outcome> {
    if !succeeds(&mut cargo(["deny", "--version"])) {
        return Ok(Outcome::NotRun(
            "cargo-deny is not installed (cargo install --locked cargo-deny)".to_owned(),
        ));
    }
    let deny = || {
        cargo([
            "deny",
            "--offline",
            "--workspace",
            "check",
            "--hide-inclusion-graph",
        ])
    };
    run(deny().args(["bans", "licenses", "sources"]))?;
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")));
    let has_database = home.is_some_and(|home| {
        ["advisory-db", "advisory-dbs"]
            .iter()
            .any(|name| home.join(name).read_dir().is_ok_and(|mut it| it.next().is_some()))
    });
    if !has_database {
        return Ok(Outcome::NotRun(
            "advisories: there is no advisory database on this host (cargo deny fetch)".to_owned(),
        ));
    }
    run(deny().arg("advisories"))?;
    Ok(Outcome::Done)
}

/// Finds or builds the control plane's executables. The first build takes minutes, which no test should be charged for.
fn control_plane() -> Result<Outcome> {
    run(Command::new(profile_directory()?.join("testkit")).arg("build"))?;
    Ok(Outcome::Done)
}

/// Runs every test in the workspace, doc examples included, and checks that the tests do not change the work tree.
fn tests(tally: &mut Tally) -> Result<Outcome> {
    let status = || {
        output(
            Command::new("git")
                .args(["status", "--porcelain"])
                .current_dir(root()),
        )
    };
    let before = status();
    let done = run_lines(
        &mut cargo(["test", "--workspace", "--locked", "--no-fail-fast"]),
        |line| tally.read(line),
    );
    done.with_context(|| tally.failures())?;
    ensure!(tally.passed > 0, "no test ran");
    ensure!(
        tally.ignored == 0,
        "{} tests are ignored; remove #[ignore] or the test",
        tally.ignored
    );
    match (before, status()) {
        (Ok(before), Ok(after)) => ensure!(before == after, "the tests changed the work tree:\n{after}"),
        (Err(error), _) | (_, Err(error)) => {
            return Ok(Outcome::NotRun(format!("the check of the work tree: {error:#}")));
        }
    }
    Ok(Outcome::Done)
}

/// The sum of the closing lines that cargo test prints, one for each test binary.
#[derive(Default)]
struct Tally {
    binaries: usize,
    passed: u64,
    failed: u64,
    ignored: u64,
    measured: u64,
    filtered_out: u64,
    seconds: f64,
    failed_tests: Vec<String>,
}

impl Tally {
    /// `test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.52s`
    fn read(&mut self, line: &str) {
        if let Some(name) = line
            .strip_prefix("test ")
            .and_then(|rest| rest.strip_suffix(" ... FAILED"))
        {
            self.failed_tests.push(name.to_owned());
        }
        let Some((_, counts)) = line
            .strip_prefix("test result: ")
            .and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        self.binaries += 1;
        for part in counts.split("; ") {
            if let Some(time) = part.strip_prefix("finished in ") {
                self.seconds += time.trim_end_matches('s').parse::<f64>().unwrap_or_default();
            } else if let Some((count, what)) = part.split_once(' ') {
                let count = count.parse::<u64>().unwrap_or_default();
                match what {
                    "passed" => self.passed += count,
                    "failed" => self.failed += count,
                    "ignored" => self.ignored += count,
                    "measured" => self.measured += count,
                    "filtered out" => self.filtered_out += count,
                    _ => {}
                }
            }
        }
    }

    fn failures(&self) -> String {
        match &self.failed_tests[..] {
            [] => "cargo test failed outside a test".to_owned(),
            tests => format!("{} tests failed: {}", tests.len(), tests.join(", ")),
        }
    }

    /// One line in the format of cargo test, so that the end of the log has the total count.
    fn closing_line(&self) -> String {
        let Self {
            passed,
            failed,
            ignored,
            measured,
            filtered_out,
            seconds,
            ..
        } = self;
        let word = if *failed == 0 { "ok" } else { "FAILED" };
        format!(
            "test result: {word}. {passed} passed; {failed} failed; {ignored} ignored; {measured} measured; \
             {filtered_out} filtered out; finished in {seconds:.2}s"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_are_summed() {
        let mut tally = Tally::default();
        for line in [
            "running 3 tests",
            "test a::b ... ok",
            "test a::c ... FAILED",
            "test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 4 filtered out; finished in 0.50s",
            "test result: ok. 40 passed; 0 failed; 1 ignored; 2 measured; 0 filtered out; finished in 12.25s",
            "another program's test result: ok. 7 passed; is not a closing line",
        ] {
            tally.read(line);
        }
        assert_eq!(tally.binaries, 2);
        assert_eq!(tally.failures(), "1 tests failed: a::c");
        assert_eq!(
            tally.closing_line(),
            "test result: FAILED. 42 passed; 1 failed; 1 ignored; 2 measured; 4 filtered out; finished in 12.75s"
        );
    }
}
