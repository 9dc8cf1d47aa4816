//! Finds the executables of the control plane, or builds them once.
//!
//! Each one is searched in `KUBEBUILDER_ASSETS` (used whatever its version, because the user chose it), then in `PATH` (used only if its
//! version fits), then in a cache directory named by a hash of `tests/controlplane/go.mod` and `go.sum`. Go builds missing ones there.

mod build;
mod cache;
pub(crate) mod modules;
pub(crate) mod tools;
mod version;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context as _, Result, bail};
use rustix::fs::FlockOperation;

use version::{GO_MOD, GO_SUM, Pins, check_skew};
pub use version::{Part, Version};

/// Increase this when the build commands change, to invalidate existing caches.
const RECIPE: u32 = 1;

/// An executable that was found or built.
#[derive(Clone, Debug)]
struct Binary {
    path: PathBuf,
    version: Version,
}

/// The executables that a control plane needs.
#[derive(Clone, Debug)]
pub struct Binaries(BTreeMap<Part, Binary>);

impl Binaries {
    /// Finds or builds the executables, once per process. Reports to `say` the path and version of each, why a candidate is rejected, and
    /// the progress of builds.
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
    let cache = cache::directory("controlplane", RECIPE, GO_MOD, GO_SUM)?;
    let assets = std::env::var_os("KUBEBUILDER_ASSETS").filter(|directory| !directory.is_empty());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found = BTreeMap::new();
    for part in Part::ALL {
        if let Some(binary) = search(part, assets.as_deref(), &path, &cache, &pins, say) {
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
            let version = read_version(part, &binary).map_err(anyhow::Error::msg)?;
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
    check_skew(
        binaries.version(Part::Apiserver),
        binaries.version(Part::ControllerManager),
    )
    .map_err(|error| {
        anyhow::anyhow!(
            "{error}; put a kube-controller-manager with the API server's version into KUBEBUILDER_ASSETS"
        )
    })?;
    Ok(binaries)
}

fn search(
    part: Part,
    assets: Option<&OsStr>,
    path: &OsStr,
    cache: &Path,
    pins: &Pins,
    say: &dyn Fn(&str),
) -> Option<Binary> {
    let reject = |file: &Path, why: &str| say(&format!("rejected: {}: {why}", file.display()));
    if let Some(directory) = assets {
        let file = std::path::absolute(Path::new(directory).join(part.file_name())).ok()?;
        match read_version(part, &file) {
            Ok(version) => return Some(Binary { path: file, version }),
            Err(why) => reject(&file, &format!("KUBEBUILDER_ASSETS: {why}")),
        }
    }
    let mut seen = BTreeSet::new();
    for directory in std::env::split_paths(path).filter(|directory| directory.is_absolute()) {
        let file = directory.join(part.file_name());
        // `/bin` and `/usr/bin` are often the same directory.
        if !file.is_file() || !seen.insert(std::fs::canonicalize(&file).ok()) {
            continue;
        }
        match read_version(part, &file)
            .and_then(|version| part.fits(&version, pins.of(part)).map(|()| version))
        {
            Ok(version) => return Some(Binary { path: file, version }),
            Err(why) => reject(&file, &why),
        }
    }
    cached(part, cache, pins)
}

/// Files are moved into the cache after their build, so they are complete. A file with another version is rebuilt.
fn cached(part: Part, cache: &Path, pins: &Pins) -> Option<Binary> {
    let file = cache.join(part.file_name());
    let version = read_version(part, &file).ok()?;
    (version == *pins.of(part)).then_some(Binary { path: file, version })
}

/// Runs the executable to find out its version.
fn read_version(part: Part, file: &Path) -> std::result::Result<Version, String> {
    let mut command = Command::new(file);
    command
        .args(part.version_arguments())
        .env_remove("KUBECONFIG")
        .stdin(Stdio::null());
    let output = command.output().map_err(|error| error.to_string())?;
    part.parse_version(&String::from_utf8_lossy(&output.stdout))
}

/// Builds under a lock file next to the cache directory: of several test processes, one builds and the others use the result.
fn build_missing(missing: &[Part], cache: &Path, pins: &Pins, say: &dyn Fn(&str)) -> Result<Vec<Part>> {
    std::fs::create_dir_all(cache).with_context(|| format!("cache directory {}", cache.display()))?;
    let lock_path = cache.with_extension("lock");
    let lock = File::create(&lock_path).with_context(|| format!("lock file {}", lock_path.display()))?;
    if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
        say("waiting for another process that is building the control plane");
        rustix::fs::flock(&lock, FlockOperation::LockExclusive)?;
    }
    remove_leftovers(cache)?;
    let still_missing: Vec<Part> = missing
        .iter()
        .copied()
        .filter(|part| cached(*part, cache, pins).is_none())
        .collect();
    if !still_missing.is_empty() {
        build::build(&still_missing, cache, pins, say)?;
    }
    for part in &still_missing {
        if cached(*part, cache, pins).is_none() {
            bail!(
                "built {}, but its version is not {}",
                part.file_name(),
                pins.of(*part)
            );
        }
    }
    Ok(missing.to_vec())
}

/// Removes the directories of builds that were killed. The caller holds the lock, so none is running.
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

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// Writes a program that prints `output`, whatever its arguments.
    fn fake(directory: &Path, part: Part, output: &str) {
        std::fs::create_dir_all(directory).unwrap();
        let file = directory.join(part.file_name());
        std::fs::write(&file, format!("#!/bin/sh\necho '{output}'\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        // A process that another test is starting may briefly inherit the open file.
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

    /// Returns what a search finds and what it reports.
    fn found(part: Part, assets: Option<&Path>, path: &[&Path], cache: &Path) -> (Option<PathBuf>, String) {
        let reported = RefCell::new(String::new());
        let say = |line: &str| reported.borrow_mut().push_str(line);
        let pins = Pins::read(
            "go 1.24.0\nrequire (\n\tgo.etcd.io/etcd/server/v3 v3.6.4\n\tk8s.io/kubernetes v1.34.4 // indirect\n)\n",
        );
        let path = std::env::join_paths(path).unwrap();
        let found = search(
            part,
            assets.map(Path::as_os_str),
            &path,
            cache,
            &pins.unwrap(),
            &say,
        );
        (found.map(|binary| binary.path), reported.into_inner())
    }

    #[test]
    fn executables_in_path_with_other_versions_are_rejected_with_the_reason() {
        let temporary = tempfile::tempdir().unwrap();
        let [vendor, good, cache] = ["vendor", "good", "cache"].map(|name| temporary.path().join(name));
        fake(&vendor, Part::Kubectl, &kubectl("v1.32.4-dispatcher"));
        fake(&vendor, Part::Apiserver, "Kubernetes v1.34.5");
        fake(&good, Part::Kubectl, &kubectl("v1.33.9"));
        let (file, report) = found(Part::Kubectl, None, &[&vendor, &good], &cache);
        assert_eq!(file, Some(good.join("kubectl")));
        assert!(
            report.contains("vendor/kubectl: v1.32.4-dispatcher is not a plain release"),
            "{report}"
        );
        let (file, report) = found(Part::Apiserver, None, &[&vendor, &good], &cache);
        assert_eq!(file, None);
        assert!(report.contains("v1.34.5 is not v1.34.4"), "{report}");
        assert_eq!(
            found(Part::Etcd, None, &[&vendor, &good], &cache),
            (None, String::new())
        );
    }

    #[test]
    fn search_order_is_assets_of_any_version_then_path_then_cache() {
        let temporary = tempfile::tempdir().unwrap();
        let [assets, path, cache] = ["assets", "path", "cache"].map(|name| temporary.path().join(name));
        for directory in [&path, &cache] {
            fake(directory, Part::Etcd, "etcd Version: 3.6.4");
        }
        fake(&assets, Part::Etcd, "etcd Version: 3.5.21");
        let at = |directory: &Path| Some(directory.join("etcd"));
        assert_eq!(found(Part::Etcd, Some(&assets), &[&path], &cache).0, at(&assets));
        assert_eq!(found(Part::Etcd, None, &[&path], &cache).0, at(&path));
        assert_eq!(found(Part::Etcd, None, &[], &cache).0, at(&cache));
        // If the assets lack the executable, this is reported and the search goes on.
        let (file, report) = found(Part::Etcd, Some(&temporary.path().join("none")), &[], &cache);
        assert_eq!(file, at(&cache));
        assert!(report.contains("KUBEBUILDER_ASSETS"), "{report}");
        // A file in the cache with another version than the pinned one is not used.
        fake(&cache, Part::Etcd, "etcd Version: 3.6.5");
        assert_eq!(found(Part::Etcd, None, &[], &cache).0, None);
    }
}
