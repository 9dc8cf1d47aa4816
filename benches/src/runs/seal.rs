//! `envelope seal` as a whole process, against `kubeseal`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use serde::{Deserialize, Serialize};
use serde_json::json;
use wait4::Wait4 as _;

use super::{Quantity, Target, row};
use crate::args::{FULL_SIZE, Name, Seals};
use crate::lab::{Lab, say};
use crate::record::Record;
use crate::sealed::Batch;
use crate::stats::{commas, median};
use crate::usage;

/// Runs of each program with one Secret.
const RUNS: usize = 100;

/// A run of a program.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Process {
    ms: f64,
    cpu_ms: f64,
    mib: f64,
}

pub(super) fn run(lab: &mut Lab) -> Result<Record> {
    let kubeseal = testkit::Tool::Kubeseal.get(&testkit::say)?;
    let certificate = lab.directory.join("kubeseal.crt");
    std::fs::write(&certificate, rsa_certificate()?)?;
    let envelope = std::fs::canonicalize(&lab.settings.envelope)?;
    let words = |program: PathBuf, args: &[&str]| {
        let mut words = vec![program.display().to_string()];
        words.extend(args.iter().map(|word| (*word).to_owned()));
        words
    };
    let keyring = lab.keyring.display().to_string();
    let ours = words(envelope, &["seal", "--quiet", "--keyring", &keyring]);
    let cert = certificate.display().to_string();
    let theirs = words(kubeseal, &["--format", "yaml", "--cert", &cert]);

    let one = processes(lab, RUNS, &[&ours, &theirs], 1)?;
    let count = lab.settings.objects;
    let stream = processes(lab, lab.settings.runs, &[&ours], count)?;
    let (envelope, kubeseal, stream) = (&one[0], &one[1], &stream[0]);
    let each = |runs: &[Process], value: fn(&Process) -> f64| runs.iter().map(value).collect::<Vec<f64>>();
    let ratio = |value: fn(&Process) -> f64| median(&each(kubeseal, value)) / median(&each(envelope, value));
    say(&format!(
        "seal: envelope {:.1} ms, kubeseal {:.1} ms; {} in one stream: {:.2} s",
        median(&each(envelope, |run| run.ms)),
        median(&each(kubeseal, |run| run.ms)),
        commas(count),
        median(&each(stream, |run| run.ms)) / 1_000.0
    ));
    let quantity = |metric: String, unit, decimals| Quantity {
        metric,
        unit,
        decimals,
    };
    let keep = |text, limit| {
        Some(Target {
            text,
            limit,
            applies: true,
        })
    };
    let limit = "start of the process; reading the keyring";
    let rows = vec![
        row(
            quantity("one Secret, `envelope seal`: time".to_owned(), " ms", 1),
            &each(envelope, |run| run.ms),
            keep("less than `kubeseal`", median(&each(kubeseal, |run| run.ms))),
            limit,
        ),
        row(
            quantity("one Secret, `kubeseal --cert`: time".to_owned(), " ms", 1),
            &each(kubeseal, |run| run.ms),
            None,
            &format!("{:.1} × the time of `envelope seal`", ratio(|run| run.ms)),
        ),
        row(
            quantity("one Secret, `envelope seal`: peak memory".to_owned(), " MiB", 1),
            &each(envelope, |run| run.mib),
            keep("less than `kubeseal`", median(&each(kubeseal, |run| run.mib))),
            "the pages of the executable that are used",
        ),
        row(
            quantity("one Secret, `kubeseal --cert`: peak memory".to_owned(), " MiB", 1),
            &each(kubeseal, |run| run.mib),
            None,
            "",
        ),
        row(
            quantity(format!("{} Secrets in one stream: time", commas(count)), " s", 2),
            &each(stream, |run| run.ms / 1_000.0),
            Some(Target {
                text: "< 1 s",
                limit: 0.999,
                applies: count == FULL_SIZE,
            }),
            "one core: reading, sealing and printing are not concurrent",
        ),
        row(
            quantity(
                format!("{} Secrets in one stream: peak memory", commas(count)),
                " MiB",
                1,
            ),
            &each(stream, |run| run.mib),
            None,
            "",
        ),
    ];
    Ok(Record {
        name: Name::Seal.text(),
        what: format!(
            "Whole processes, from their start to their exit. Standard input is a file with Secrets of three small values; output is \
             discarded. `envelope seal` uses a keyring, `kubeseal` a certificate with an RSA key of 4,096 bits; the two alternate. \
             `kubeseal` is built from the Go module {KUBESEAL}."
        ),
        environment: lab.environment.clone(),
        rows,
        notes: Vec::new(),
        curves: Vec::new(),
        samples: json!({"envelope": envelope, "kubeseal": kubeseal, "stream": stream}),
    })
}

const KUBESEAL: &str = "github.com/bitnami-labs/sealed-secrets v0.40.0";

/// What `bench seals` prints.
#[derive(Serialize, Deserialize)]
struct Measured {
    /// The peak memory of `bench seals` itself in MiB, below which no process can be measured.
    own: f64,
    results: Vec<Vec<Process>>,
}

/// Runs the commands alternately, `runs` times each, with this many Secrets on standard input.
fn processes(lab: &Lab, runs: usize, commands: &[&Vec<String>], secrets: usize) -> Result<Vec<Vec<Process>>> {
    let input = lab.directory.join("secrets.yaml");
    let manifests = Batch::small("bench", secrets).manifests();
    std::fs::write(&input, manifests)?;
    let output = Command::new(std::env::current_exe()?)
        .args(["seals", "--runs", &runs.to_string(), "--commands"])
        .arg(serde_json::to_string(commands)?)
        .arg("--input")
        .arg(&input)
        .env("HOME", &lab.directory)
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(
        output.status.success(),
        "measuring processes failed: {}",
        output.status
    );
    let Measured { own, results } = serde_json::from_slice(&output.stdout)?;
    let smallest = results
        .iter()
        .flatten()
        .map(|run| run.mib)
        .fold(f64::MAX, f64::min);
    if smallest < own * 1.05 {
        say(&format!(
            "seal: peak memory of less than {own:.1} MiB cannot be measured in this build"
        ));
    }
    Ok(results)
}

/// `bench seals`.
pub(crate) fn measure(args: &Seals) -> Result<()> {
    let commands: Vec<Vec<String>> = serde_json::from_str(&args.commands)?;
    let mut results = vec![Vec::new(); commands.len()];
    // The first run of each reads the executable from disk and is not measured.
    for number in 0..=args.runs {
        for (command, results) in commands.iter().zip(&mut results) {
            let (program, words) = command.split_first().context("no program")?;
            let input = std::fs::File::open(&args.input)?;
            let start = Instant::now();
            let child = Command::new(program)
                .args(words)
                .stdin(input)
                .stdout(Stdio::null())
                .spawn()?;
            let used = child.wait4()?;
            let ms = start.elapsed().as_secs_f64() * 1_000.0;
            ensure!(used.status.success(), "{program}: {}", used.status);
            let cpu = used.rusage.utime + used.rusage.stime;
            if number > 0 {
                results.push(Process {
                    ms,
                    cpu_ms: cpu.as_secs_f64() * 1_000.0,
                    mib: mib(used.rusage.maxrss),
                });
            }
        }
    }
    // Between fork and exec, a child has the memory of this process, which the kernel counts.
    let own = usage::memory(std::process::id())?.peak;
    let measured = Measured { own, results };
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&measured)?)?;
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// A certificate as the controller of sealed-secrets creates one.
fn rsa_certificate() -> Result<String> {
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_4096)?;
    Ok(CertificateParams::default().self_signed(&key)?.pem())
}
