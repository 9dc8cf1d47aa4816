//! The executables of the control plane: found, or built once.
//!
//! Each is looked for in `KUBEBUILDER_ASSETS` (taken as it is: somebody chose it), then in `PATH` (taken only if its version fits), then
//! in a cache folder named by the content of `tests/controlplane/go.mod` and `go.sum`. What is missing is built there by Go.

mod build;
mod version;

use std::collections::{BTreeMap, BTreeSet};
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
        let file = std::path::absolute(Path::new(folder).join(part.file_name())).ok()?;
        match ask_version(part, &file) {
            Ok(version) => return Some(Binary { path: file, version }),
            Err(why) => reject(&file, &format!("KUBEBUILDER_ASSETS: {why}")),
        }
    }
    let mut seen = BTreeSet::new();
    for folder in std::env::split_paths(path).filter(|folder| folder.is_absolute()) {
        let file = folder.join(part.file_name());
        // `/bin` and `/usr/bin` are often one folder.
        if !file.is_file() || !seen.insert(std::fs::canonicalize(&file).ok()) {
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
    remove_leftovers(cache)?;
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

/// Work folders of builds that were killed; the lock says that none is running.
fn remove_leftovers(cache: &Path) -> Result<()> {
    for entry in std::fs::read_dir(cache)? {
        let entry = entry?;
        if entry
            .file_name()
            .to_string_lossy()
            .starts_with(build::WORK_PREFIX)
        {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A program that prints a text, whatever it is asked.
    fn fake(folder: &Path, part: Part, prints: &str) {
        std::fs::create_dir_all(folder).unwrap();
        let file = folder.join(part.file_name());
        std::fs::write(&file, format!("#!/bin/sh\necho '{prints}'\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        // Another test's new process may for a moment hold the file open as we wrote it.
        crate::until(
            std::time::Duration::from_secs(10),
            "program",
            || match Command::new(&file).output() {
                Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => Ok(None),
                output => Ok(Some(output?)),
            },
        )
        .unwrap();
    }

    fn kubectl(version: &str) -> String {
        format!(r#"{{"clientVersion": {{"gitVersion": "{version}"}}}}"#)
    }

    /// What a search finds, and what it says.
    fn look(part: Part, chosen: Option<&Path>, path: &[&Path], cache: &Path) -> (Option<PathBuf>, String) {
        let said = RefCell::new(String::new());
        let say = |line: &str| said.borrow_mut().push_str(line);
        let pins = Pins::read(
            "go 1.24.0\nrequire (\n\tgo.etcd.io/etcd/server/v3 v3.6.4\n\tk8s.io/kubernetes v1.34.4 // indirect\n)\n",
        );
        let path = std::env::join_paths(path).unwrap();
        let found = search(
            part,
            chosen.map(Path::as_os_str),
            &path,
            cache,
            &pins.unwrap(),
            &say,
        );
        (found.map(|binary| binary.path), said.into_inner())
    }

    #[test]
    fn the_path_gives_only_what_fits_and_says_why_not() {
        let temporary = tempfile::tempdir().unwrap();
        let [vendor, good, cache] = ["vendor", "good", "cache"].map(|name| temporary.path().join(name));
        fake(&vendor, Part::Kubectl, &kubectl("v1.32.4-dispatcher"));
        fake(&vendor, Part::Apiserver, "Kubernetes v1.34.5");
        fake(&good, Part::Kubectl, &kubectl("v1.33.9"));
        let (found, said) = look(Part::Kubectl, None, &[&vendor, &good], &cache);
        assert_eq!(found, Some(good.join("kubectl")));
        assert!(
            said.contains("vendor/kubectl: v1.32.4-dispatcher is not a plain release"),
            "{said}"
        );
        let (found, said) = look(Part::Apiserver, None, &[&vendor, &good], &cache);
        assert_eq!(found, None);
        assert!(said.contains("v1.34.5 is not v1.34.4"), "{said}");
        assert_eq!(
            look(Part::Etcd, None, &[&vendor, &good], &cache),
            (None, String::new())
        );
    }

    #[test]
    fn chosen_assets_come_first_whatever_their_version_then_the_path_then_the_cache() {
        let temporary = tempfile::tempdir().unwrap();
        let [assets, path, cache] = ["assets", "path", "cache"].map(|name| temporary.path().join(name));
        for folder in [&path, &cache] {
            fake(folder, Part::Etcd, "etcd Version: 3.6.4");
        }
        fake(&assets, Part::Etcd, "etcd Version: 3.5.21");
        let at = |folder: &Path| Some(folder.join("etcd"));
        assert_eq!(look(Part::Etcd, Some(&assets), &[&path], &cache).0, at(&assets));
        assert_eq!(look(Part::Etcd, None, &[&path], &cache).0, at(&path));
        assert_eq!(look(Part::Etcd, None, &[], &cache).0, at(&cache));
        // A folder that lacks the part is said to, and passed over.
        let (found, said) = look(Part::Etcd, Some(&temporary.path().join("none")), &[], &cache);
        assert_eq!(found, at(&cache));
        assert!(said.contains("KUBEBUILDER_ASSETS"), "{said}");
        // The cache never gives another version than its name promises.
        fake(&cache, Part::Etcd, "etcd Version: 3.6.5");
        assert_eq!(look(Part::Etcd, None, &[], &cache).0, None);
    }
}
