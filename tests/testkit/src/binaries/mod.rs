//! The executables of the control plane: found, or built once.
//!
//! Each is looked for in `KUBEBUILDER_ASSETS` (taken as it is: somebody chose it), then in `PATH` (taken only if its version fits), then
//! in a cache folder named by the content of `tests/controlplane/go.mod` and `go.sum`. What is missing is built there by Go.

mod build;
mod version;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context as _, Result, bail};
use rustix::fs::FlockOperation;
use sha2::{Digest as _, Sha256};

pub use version::{Part, Version};
use version::{Pins, skew};

const GO_MOD: &str = include_str!("../../../controlplane/go.mod");
const GO_SUM: &str = include_str!("../../../controlplane/go.sum");
/// Raised when the way of building changes: older caches no longer count.
const RECIPE: u32 = 1;

/// One found executable.
#[derive(Clone, Debug)]
struct Binary {
    path: PathBuf,
    version: Version,
}

/// All executables that a control plane needs.
#[derive(Clone, Debug)]
pub struct Binaries(BTreeMap<Part, Binary>);

impl Binaries {
    /// Finds or builds them once a process, telling `say` the path and version of each, why a candidate was not taken, and how a build goes.
    pub fn get(say: &dyn Fn(&str)) -> Result<Self> {
        static FOUND: OnceLock<std::result::Result<Binaries, String>> = OnceLock::new();
        FOUND
            .get_or_init(|| find(say).map_err(|error| format!("{error:#}")))
            .clone()
            .map_err(anyhow::Error::msg)
    }

    pub fn path(&self, part: Part) -> &Path {
        &self.0[&part].path
    }

    pub fn version(&self, part: Part) -> &Version {
        &self.0[&part].version
    }
}

fn find(say: &dyn Fn(&str)) -> Result<Binaries> {
    let pins = Pins::read(GO_MOD).map_err(anyhow::Error::msg)?;
    let cache = cache_folder()?;
    let chosen = std::env::var_os("KUBEBUILDER_ASSETS").filter(|folder| !folder.is_empty());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found = BTreeMap::new();
    for part in Part::ALL {
        if let Some(binary) = search(part, chosen.as_deref(), &path, &cache, &pins, say) {
            found.insert(part, binary);
        }
    }
    let missing: Vec<Part> = Part::ALL
        .into_iter()
        .filter(|part| !found.contains_key(part))
        .collect();
    if !missing.is_empty() {
        for part in build_missing(&missing, &cache, &pins, say)? {
            let binary = cache.join(part.file_name());
            let version = ask_version(part, &binary).map_err(anyhow::Error::msg)?;
            found.insert(
                part,
                Binary {
                    path: binary,
                    version,
                },
            );
        }
    }
    let binaries = Binaries(found);
    for (part, binary) in &binaries.0 {
        say(&format!(
            "{} {} {}",
            part.file_name(),
            binary.version,
            binary.path.display()
        ));
    }
    skew(
        binaries.version(Part::Apiserver),
        binaries.version(Part::ControllerManager),
    )
    .map_err(|error| {
        anyhow::anyhow!(
            "{error}; put a kube-controller-manager of the API server's version into KUBEBUILDER_ASSETS"
        )
    })?;
    Ok(binaries)
}

fn search(
    part: Part,
    chosen: Option<&OsStr>,
    path: &OsStr,
    cache: &Path,
    pins: &Pins,
    say: &dyn Fn(&str),
) -> Option<Binary> {
    let reject = |file: &Path, why: &str| say(&format!("not taken: {}: {why}", file.display()));
    if let Some(folder) = chosen {
        let file = Path::new(folder).join(part.file_name());
        match ask_version(part, &file) {
            Ok(version) => return Some(Binary { path: file, version }),
            Err(why) => reject(&file, &format!("KUBEBUILDER_ASSETS: {why}")),
        }
    }
    for folder in std::env::split_paths(path).filter(|folder| folder.is_absolute()) {
        let file = folder.join(part.file_name());
        if !file.is_file() {
            continue;
        }
        match ask_version(part, &file)
            .and_then(|version| part.fits(&version, pins.of(part)).map(|()| version))
        {
            Ok(version) => return Some(Binary { path: file, version }),
            Err(why) => reject(&file, &why),
        }
    }
    cached(part, cache, pins)
}

/// What the cache holds was moved there whole after its build; a file of another version is one to build again.
fn cached(part: Part, cache: &Path, pins: &Pins) -> Option<Binary> {
    let file = cache.join(part.file_name());
    let version = ask_version(part, &file).ok()?;
    (version == *pins.of(part)).then_some(Binary { path: file, version })
}

fn ask_version(part: Part, file: &Path) -> std::result::Result<Version, String> {
    let mut command = Command::new(file);
    command
        .args(part.version_arguments())
        .env_remove("KUBECONFIG")
        .stdin(Stdio::null());
    let output = command.output().map_err(|error| error.to_string())?;
    part.read_version(&String::from_utf8_lossy(&output.stdout))
}

/// Builds under a lock beside the cache folder, so that of several test processes one builds and the others find its work.
fn build_missing(missing: &[Part], cache: &Path, pins: &Pins, say: &dyn Fn(&str)) -> Result<Vec<Part>> {
    std::fs::create_dir_all(cache).with_context(|| format!("cache folder {}", cache.display()))?;
    let lock_path = cache.with_extension("lock");
    let lock = File::create(&lock_path).with_context(|| format!("lock file {}", lock_path.display()))?;
    if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
        say("another process builds the control plane; waiting for it");
        rustix::fs::flock(&lock, FlockOperation::LockExclusive)?;
    }
    let still: Vec<Part> = missing
        .iter()
        .copied()
        .filter(|part| cached(*part, cache, pins).is_none())
        .collect();
    if !still.is_empty() {
        build::build(&still, cache, pins, say)?;
    }
    for part in &still {
        if cached(*part, cache, pins).is_none() {
            bail!(
                "{} was built but is not version {}",
                part.file_name(),
                pins.of(*part)
            );
        }
    }
    Ok(missing.to_vec())
}

/// `~/.cache/envelope-secrets/controlplane/<recipe>-<hash>`.
fn cache_folder() -> Result<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    let base = match base {
        Some(base) => base,
        None => PathBuf::from(std::env::var_os("HOME").context("neither HOME nor XDG_CACHE_HOME is set")?)
            .join(".cache"),
    };
    let mut hash = Sha256::new();
    hash.update(GO_MOD);
    hash.update(GO_SUM);
    let key = crate::to_hex(&hash.finalize()[..8]);
    Ok(base
        .join("envelope-secrets/controlplane")
        .join(format!("{RECIPE}-{key}")))
}
