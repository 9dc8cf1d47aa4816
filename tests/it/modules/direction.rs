//! The modules at the root of `src/` depend on one another in one direction: the module map of `lib.rs`, enforced.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use super::{
    module_of,
    reader::{ModulePath, Source},
    sources_in,
};

/// The rules for one module at the root of the crate.
struct Module {
    name: &'static str,
    /// The other modules that it may use.
    uses: &'static [&'static str],
    /// Paths of other crates that it must not use outside its tests.
    forbidden: &'static [&'static str],
}

/// Everything asynchronous and all I/O.
const IO: &[&str] = &[
    "tokio",
    "futures",
    "axum",
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::io::stdin",
];
/// `IO` and Kubernetes.
const IO_AND_KUBE: &[&str] = &[
    "tokio",
    "futures",
    "axum",
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::io::stdin",
    "kube",
    "k8s_openapi",
];

/// `main → cli → controller, probes → kms, api, manifest → envelope`; config, metrics and telemetry serve
/// controller and cli; access (decisions about clients of the metrics) serves probes, controller and cli;
/// backoff, lanes, paths and sync depend on nothing, signals on sync, files on both. A new module needs an entry here.
const MODULES: &[Module] = &[
    Module {
        name: "envelope",
        uses: &[],
        forbidden: IO_AND_KUBE,
    },
    Module {
        name: "files",
        uses: &["signals", "sync"],
        forbidden: &["kube", "k8s_openapi"],
    },
    Module {
        name: "backoff",
        uses: &[],
        forbidden: IO_AND_KUBE,
    },
    Module {
        name: "lanes",
        uses: &[],
        forbidden: IO_AND_KUBE,
    },
    Module {
        name: "paths",
        uses: &[],
        forbidden: &["kube", "k8s_openapi"],
    },
    Module {
        name: "signals",
        uses: &["sync"],
        forbidden: &["kube", "k8s_openapi"],
    },
    Module {
        name: "sync",
        uses: &[],
        forbidden: IO_AND_KUBE,
    },
    Module {
        name: "kms",
        uses: &["envelope", "files", "backoff", "lanes", "paths", "sync"],
        forbidden: &["kube", "k8s_openapi"],
    },
    Module {
        name: "api",
        uses: &["envelope"],
        forbidden: IO,
    },
    Module {
        name: "manifest",
        uses: &["envelope"],
        forbidden: IO_AND_KUBE,
    },
    Module {
        name: "access",
        uses: &["sync"],
        forbidden: &[
            "axum",
            "std::fs",
            "std::net",
            "std::env",
            "std::process",
            "kube",
            "k8s_openapi",
        ],
    },
    Module {
        name: "telemetry",
        uses: &[],
        forbidden: &["kube"],
    },
    Module {
        name: "config",
        uses: &["kms", "api", "envelope"],
        forbidden: &["kube"],
    },
    Module {
        name: "metrics",
        uses: &["kms", "api", "envelope", "sync"],
        forbidden: &["kube"],
    },
    Module {
        name: "probes",
        uses: &["access", "metrics", "telemetry", "config", "files", "sync"],
        forbidden: &["kube"],
    },
    Module {
        name: "controller",
        uses: &[
            "access",
            "config",
            "metrics",
            "telemetry",
            "files",
            "backoff",
            "lanes",
            "sync",
            "kms",
            "api",
            "manifest",
            "envelope",
        ],
        forbidden: &[],
    },
    Module {
        name: "cli",
        uses: &[
            "controller",
            "probes",
            "access",
            "config",
            "metrics",
            "telemetry",
            "files",
            "paths",
            "signals",
            "kms",
            "api",
            "manifest",
            "envelope",
        ],
        forbidden: &[],
    },
];

/// The modules of the KMS providers. Only `kms` names them, through its registry: a new provider changes no other module.
const PROVIDERS: [&str; 2] = ["local", "tencent"];

/// Every violation, as `file:line: text`.
fn violations(sources: &BTreeMap<PathBuf, String>) -> Vec<String> {
    let by_name: BTreeMap<&str, &Module> = MODULES.iter().map(|module| (module.name, module)).collect();
    let read: Vec<(&PathBuf, ModulePath, Source)> = sources
        .iter()
        .filter(|(file, _)| file.as_path() != Path::new("main.rs"))
        .map(|(file, source)| (file, module_of(file), Source::read(&module_of(file), source)))
        .collect();
    let test_modules: BTreeSet<&ModulePath> = read
        .iter()
        .flat_map(|(_, _, source)| &source.test_modules)
        .collect();
    let mut violations = Vec::new();
    for (file, path, source) in &read {
        let Some(name) = path.first() else { continue }; // lib.rs declares all modules
        let Some(module) = by_name.get(name.as_str()) else {
            violations.push(format!(
                "{}: {name} has no entry in the table of modules",
                file.display()
            ));
            continue;
        };
        let is_test_file = (1..=path.len()).any(|end| test_modules.contains(&path[..end].to_vec()));
        for used in &source.paths {
            let at = format!("{}:{}", file.display(), used.line);
            if used.absolute {
                if name != "kms"
                    && !is_test_file
                    && !used.in_tests
                    && let [kms, provider, ..] = &used.segments[..]
                    && kms == "kms"
                    && PROVIDERS.contains(&provider.as_str())
                {
                    violations.push(format!("{at}: {name} must not name the provider {provider}"));
                }
                match used.segments.first().map_or("*", String::as_str) {
                    own if own == module.name => {}
                    "*" => violations.push(format!(
                        "{at}: a glob import of the crate root hides which modules are used"
                    )),
                    other if module.uses.contains(&other) => {}
                    other if by_name.contains_key(other) => {
                        violations.push(format!("{at}: {name} must not use {other}"));
                    }
                    other => violations.push(format!("{at}: {other} is not in the table of modules")),
                }
            } else if !is_test_file && !used.in_tests {
                let path = used.segments.join("::");
                for forbidden in module.forbidden {
                    if path
                        .strip_prefix(forbidden)
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
                    {
                        violations.push(format!("{at}: {name} must not depend on {path}"));
                    }
                }
            }
        }
    }
    violations
}

#[test]
fn modules_depend_in_one_direction() {
    let sources = sources_in("src");
    assert!(sources.len() > 20, "only {} source files found", sources.len());
    let paths = sources
        .iter()
        .map(|(file, text)| Source::read(&module_of(file), text).paths.len())
        .sum::<usize>();
    assert!(paths > 100, "the reader finds only {paths} paths");
    let violations = violations(&sources);
    assert!(
        violations.is_empty(),
        "{} violations:\n{}",
        violations.len(),
        violations.join("\n")
    );
}

#[test]
fn table_of_modules_has_no_cycle() {
    // Repeatedly remove the modules that only use removed ones; a cycle would remain.
    let mut left: Vec<&Module> = MODULES.iter().collect();
    let mut removed: BTreeSet<&str> = BTreeSet::new();
    while !left.is_empty() {
        let (free, rest): (Vec<&Module>, Vec<&Module>) = left
            .iter()
            .partition(|module| module.uses.iter().all(|used| removed.contains(used)));
        assert!(
            !free.is_empty(),
            "a cycle among {:?}",
            rest.iter().map(|module| module.name).collect::<Vec<_>>()
        );
        removed.extend(free.iter().map(|module| module.name));
        left = rest;
    }
}

#[test]
fn planted_violations_are_found() {
    // File, source, and the expected violation, if any.
    let cases = r#"
        envelope/seal.rs | use crate::kms::Kms; | envelope/seal.rs:1: envelope must not use kms
        kms/mod.rs | use crate::{envelope::keys, api::{self, Reason}}; | kms must not use api
        kms/local/ring.rs | fn f() { super::super::super::cli::run() } | kms/local/ring.rs:1: kms must not use cli
        kms/local.rs | mod a { use super::super::super::manifest as m; } | kms must not use manifest
        api/mod.rs | fn f() { g!(x, crate::controller::plan::<u8>()) } | api must not use controller
        manifest/mod.rs | fn f(a: &crate::cli::Io) -> u8 { match x { a::B => 1 } } | manifest must not use cli
        controller/mod.rs | pub(in crate::cli) fn f() {} | controller must not use cli
        probes.rs | use super::{telemetry, cli as c}; | probes must not use cli
        probes.rs | use super::*; | a glob import of the crate root
        probes.rs | use crate::{metrics, *}; | a glob import of the crate root
        cli/mod.rs | use crate::leases::Lease; | leases is not in the table of modules
        garden.rs | fn f() {} | garden has no entry
        envelope/open.rs | use std::{fmt, fs}; | envelope must not depend on std::fs
        envelope/open.rs | async fn f() { ::tokio::spawn(g()) } | envelope must not depend on tokio::spawn
        envelope/open.rs | #[cfg(test)] use std::fmt; use std::fs::File; | envelope must not depend on std::fs::File
        envelope/open.rs | const A: &'static std::fs::File = 1; | envelope must not depend on std::fs::File
        kms/mod.rs | use kube::Client; | kms must not depend on kube::Client
        cli/keys.rs | use crate::kms::{self, tencent::SCHEME}; | cli must not name the provider tencent
        cli/keys.rs | #[cfg(test)] mod tests { use crate::kms::local::Kid; } |
        kms/registry.rs | use crate::kms::local; |
        kms/mod.rs | #[cfg(test)] mod tests { use crate::cli::Io; } | kms must not use cli
        kms/mod.rs | const A: &str = "crate::cli::x"; /* crate::cli */ /** [crate::cli::x] */ fn f() {} |
        kms/mod.rs | use crate::{envelope::{keys, names as n}, kms::error}; use self::uri::KeyUri; |
        kms/mod.rs | use super::files; |
        envelope/open.rs | #[cfg(test)] mod tests { use std::fs; } |
        envelope/open.rs | fn f() { let tokio: u8 = kubes::x(); a.kube(); } |
        main.rs | use envelope_secrets::cli; |
    "#;
    let cases = cases.lines().map(str::trim).filter(|case| !case.is_empty());
    for case in cases {
        let [file, source, expected] = case.split('|').map(str::trim).collect::<Vec<_>>()[..] else {
            panic!("not three columns: {case}")
        };
        let found = violations(&BTreeMap::from([(PathBuf::from(file), source.to_owned())]));
        if expected.is_empty() {
            assert!(found.is_empty(), "{case}\n{found:?}");
        } else {
            assert!(
                !found.is_empty() && found.iter().all(|violation| violation.contains(expected)),
                "{case}\n{found:?}"
            );
        }
    }
    // A test module in a separate file.
    let sources = BTreeMap::from([
        (
            PathBuf::from("envelope/mod.rs"),
            "#[cfg(test)]\nmod cases;".to_owned(),
        ),
        (PathBuf::from("envelope/cases.rs"), "use std::fs;".to_owned()),
        (PathBuf::from("envelope/wire.rs"), "use std::fs;".to_owned()),
    ]);
    assert_eq!(
        violations(&sources),
        ["envelope/wire.rs:1: envelope must not depend on std::fs"]
    );
}

#[test]
fn xtask_and_testkit_stay_independent_of_the_root_package() {
    // xtask stays light: it starts testkit's binary instead of linking it. testkit must build when the product does not,
    // because its guard runs the control plane of the tests.
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (member, forbidden) in [
        ("xtask", &["envelope-secrets", "testkit", "tokio", "kube"][..]),
        ("tests/testkit", &["envelope-secrets", "kube"]),
    ] {
        let manifest =
            fs::read_to_string(root.join(member).join("Cargo.toml")).expect("the member's manifest");
        let (_, dependencies) = manifest.split_once("[dependencies]").expect("dependencies");
        for line in dependencies.lines() {
            let name = line.split(['=', '.', ' ']).next().unwrap_or_default();
            assert!(!forbidden.contains(&name), "{member} depends on {name}");
        }
    }
}
