//! `cargo xtask dist`: everything that a release publishes besides the image and the chart.

use std::{
    env,
    fmt::Write as _,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};

use super::{
    binary::{self, Place},
    krew::{self, Download},
    licenses, sbom,
};
use crate::{
    args::Dist,
    git,
    prerequisites::{Need, check},
    run::{checked_output, root, run, target_directory},
};

/// Files of the repository that each archive contains.
const FILES: [&str; 5] = ["LICENSE", "NOTICE", licenses::FILE, "README.md", "CHANGELOG.md"];
const SHELLS: [(&str, &str); 3] = [
    ("bash", "envelope.bash"),
    ("zsh", "_envelope"),
    ("fish", "envelope.fish"),
];

/// Builds the archive for this host's architecture, and writes the bill of materials, the krew manifest and checksums of
/// all archives that are in the directory.
pub(crate) fn dist(arguments: &Dist) -> Result<()> {
    check(&[Need::Musl])?;
    let out = arguments
        .output
        .clone()
        .unwrap_or_else(|| target_directory().join("dist"));
    fs::create_dir_all(&out).with_context(|| out.display().to_string())?;

    let version = env!("CARGO_PKG_VERSION");
    let name = format!("envelope-secrets-{version}-linux-{}", architecture());
    let staging = target_directory().join("dist-staging");
    let directory = staging.join(&name);
    if directory.exists() {
        fs::remove_dir_all(&directory).with_context(|| directory.display().to_string())?;
    }
    fs::create_dir_all(&directory)?;
    fill(&directory)?;
    pack(&staging, &name, &out.join(format!("{name}.tar.gz")))?;

    fs::write(
        out.join(format!("envelope-secrets-{version}.cdx.json")),
        sbom::document()?,
    )?;
    if let Some(base_url) = &arguments.base_url {
        let manifest = krew::manifest(version, base_url, homepage(base_url), &downloads(&out, version)?);
        fs::write(out.join("envelope.krew.yaml"), manifest)?;
    }
    let sums = checksums(&out)?;
    print!("{sums}");
    println!("in {}", out.display());
    Ok(())
}

/// Writes the contents of the archive.
fn fill(directory: &Path) -> Result<()> {
    let built = binary::build("release", &Place::here(), &git::short_commit())?;
    let program = directory.join("envelope");
    fs::copy(&built, &program).with_context(|| built.display().to_string())?;
    for name in FILES {
        fs::copy(root().join(name), directory.join(name)).with_context(|| name.to_owned())?;
    }
    let completions = directory.join("completions");
    fs::create_dir(&completions)?;
    for (shell, file) in SHELLS {
        let script = checked_output(Command::new(&program).args(["completions", shell]))?;
        fs::write(completions.join(file), script)?;
    }
    let kubectl = checked_output(Command::new(&program).args(["completions", "bash", "--kubectl"]))?;
    fs::write(completions.join("kubectl_complete-envelope"), kubectl)?;
    let man = directory.join("man");
    fs::create_dir(&man)?;
    run(Command::new(&program).arg("man").arg(&man))
}

/// Packs `staging/name`. gzip stores no name, so equal contents give equal bytes.
fn pack(staging: &Path, name: &str, archive: &Path) -> Result<()> {
    let file = create(archive)?;
    let mut tar = tar(staging)
        .arg(name)
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start tar")?;
    let plain = tar.stdout.take().context("no standard output")?;
    run(Command::new("gzip")
        .args(["-9", "--no-name"])
        .stdin(plain)
        .stdout(file))?;
    anyhow::ensure!(tar.wait()?.success(), "tar failed");
    Ok(())
}

/// tar in a directory, which writes to its standard output. Owner, order and times are fixed.
pub(crate) fn tar(directory: &Path) -> Command {
    let mut tar = Command::new("tar");
    tar.args([
        "--create",
        "--format=ustar",
        "--sort=name",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
        "--mode=u=rwX,go=rX",
    ])
    .arg(format!("--mtime=@{}", git::commit_time()))
    .arg("--directory")
    .arg(directory);
    tar
}

/// Creates a file that tar or gzip writes to.
pub(crate) fn create(path: &Path) -> Result<File> {
    File::create(path).with_context(|| path.display().to_string())
}

/// The archives in the directory, of every architecture.
fn downloads(out: &Path, version: &str) -> Result<Vec<Download>> {
    let mut downloads = Vec::new();
    for arch in ["amd64", "arm64"] {
        let directory = format!("envelope-secrets-{version}-linux-{arch}");
        let file = format!("{directory}.tar.gz");
        if out.join(&file).is_file() {
            downloads.push(Download {
                arch: arch.to_owned(),
                sha256: sha256(&out.join(&file))?,
                file,
                directory,
            });
        }
    }
    Ok(downloads)
}

/// Writes SHA256SUMS, in the format of sha256sum, over all other files in the directory.
fn checksums(out: &Path) -> Result<String> {
    let mut names: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(out)? {
        let path = entry?.path();
        if path.is_file() && path.file_name().is_some_and(|name| name != "SHA256SUMS") {
            names.push(path);
        }
    }
    names.sort();
    let mut sums = String::new();
    for path in names {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let _ = writeln!(sums, "{}  {name}", sha256(&path)?);
    }
    fs::write(out.join("SHA256SUMS"), &sums)?;
    Ok(sums)
}

/// The SHA-256 of a file in lower-case hex, as sha256sum prints it.
pub(crate) fn sha256(path: &Path) -> Result<String> {
    let line = checked_output(Command::new("sha256sum").arg("--").arg(path))?;
    let line = String::from_utf8(line)?;
    let sum = line
        .split_whitespace()
        .next()
        .context("sha256sum printed nothing")?;
    Ok(sum.trim_start_matches('\\').to_owned())
}

/// The repository that a URL of GitHub's release downloads belongs to, or the URL.
fn homepage(base_url: &str) -> &str {
    base_url
        .split_once("/releases/download/")
        .map_or(base_url, |(repository, _)| repository)
}

/// This host's architecture, as Kubernetes and Docker name it.
fn architecture() -> &'static str {
    match env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
