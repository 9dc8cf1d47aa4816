//! The crates that are linked into the released binaries.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, PackageId};

use crate::run::root;

/// The platforms of the released binaries.
pub(crate) const TARGETS: [&str; 2] = ["x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl"];

/// The crates and which of them depend on which others. Neither dependencies of tests nor those of build scripts.
pub(crate) struct Dependencies {
    /// This package.
    pub(crate) root: Package,
    /// All others, by name and version.
    pub(crate) crates: Vec<Package>,
    /// Direct dependencies, of this package too.
    pub(crate) direct: BTreeMap<PackageId, BTreeSet<PackageId>>,
}

/// Reads them from cargo, for all platforms together. Cargo.lock has to be up to date, and its crates downloaded.
pub(crate) fn dependencies() -> Result<Dependencies> {
    let mut direct: BTreeMap<PackageId, BTreeSet<PackageId>> = BTreeMap::new();
    let mut packages = BTreeMap::new();
    let mut root_id = None;
    for target in TARGETS {
        let metadata = metadata(target)?;
        let (root, edges) = linked(&metadata).context("cargo metadata does not describe this package")?;
        for (id, dependencies) in edges {
            packages.insert(id.clone(), metadata[&id].clone());
            direct.entry(id).or_default().extend(dependencies);
        }
        root_id = Some(root);
    }
    let root = root_id
        .and_then(|id| packages.remove(&id))
        .context("the root package is missing")?;
    let mut crates: Vec<Package> = packages.into_values().collect();
    crates.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    Ok(Dependencies { root, crates, direct })
}

fn metadata(target: &str) -> Result<Metadata> {
    let mut command = MetadataCommand::new();
    command.current_dir(root());
    command.other_options(
        ["--locked", "--filter-platform", target]
            .map(str::to_owned)
            .to_vec(),
    );
    command.exec().context("cargo metadata")
}

/// The root package, and the edges from each crate that it links.
fn linked(metadata: &Metadata) -> Option<(PackageId, BTreeMap<PackageId, BTreeSet<PackageId>>)> {
    let resolve = metadata.resolve.as_ref()?;
    let root = resolve.root.clone()?;
    let mut edges = BTreeMap::new();
    let mut open = vec![root.clone()];
    while let Some(id) = open.pop() {
        if edges.contains_key(&id) {
            continue;
        }
        let node = resolve.nodes.iter().find(|node| node.id == id)?;
        let normal = node.deps.iter().filter(|dependency| {
            let kinds = &dependency.dep_kinds;
            kinds.iter().any(|kind| kind.kind == DependencyKind::Normal)
        });
        // A procedural macro runs in the compiler; nothing of it is linked.
        let normal: BTreeSet<PackageId> = normal
            .map(|dependency| dependency.pkg.clone())
            .filter(|id| {
                !metadata[id]
                    .targets
                    .iter()
                    .any(cargo_metadata::Target::is_proc_macro)
            })
            .collect();
        open.extend(normal.iter().cloned());
        edges.insert(id, normal);
    }
    Some((root, edges))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linked_crates_exclude_those_of_tests_builds_and_macros() {
        let dependencies = dependencies().unwrap();
        let names: BTreeSet<&str> = dependencies
            .crates
            .iter()
            .map(|package| package.name.as_str())
            .collect();
        for linked in ["kube", "aes-gcm", "aws-lc-sys", "tokio", "clap"] {
            assert!(names.contains(linked), "{linked} is missing");
        }
        for other in ["trycmd", "cc", "serde_derive", "envelope-secrets", "testkit"] {
            assert!(!names.contains(other), "{other} is not linked");
        }
    }
}
