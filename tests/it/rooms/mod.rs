//! The rooms of `src/` and the direction between them: the map of `lib.rs`, enforced.

mod reader;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use reader::Reader;

/// The rules of one room, which is one module at the root of the crate.
struct Room {
    name: &'static str,
    /// The rooms that it may use, itself left out.
    uses: &'static [&'static str],
    /// Paths of other crates that it may not use outside its tests.
    shuns: &'static [&'static str],
}

/// Whatever waits, or touches the world.
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
/// `IO`, and Kubernetes.
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

/// `main → cli → controller, probes, lease → kms, api, manifest → envelope`; config, metrics and telemetry serve
/// controller and cli; files, backoff and sync are leaves. A new room takes a line here.
const ROOMS: &[Room] = &[
    Room {
        name: "envelope",
        uses: &[],
        shuns: IO_AND_KUBE,
    },
    Room {
        name: "files",
        uses: &[],
        shuns: &["kube", "k8s_openapi"],
    },
    Room {
        name: "backoff",
        uses: &[],
        shuns: IO_AND_KUBE,
    },
    Room {
        name: "sync",
        uses: &[],
        shuns: IO_AND_KUBE,
    },
    Room {
        name: "kms",
        uses: &["envelope", "files", "backoff", "sync"],
        shuns: &["kube", "k8s_openapi"],
    },
    Room {
        name: "api",
        uses: &["envelope"],
        shuns: IO,
    },
    Room {
        name: "manifest",
        uses: &["envelope"],
        shuns: IO_AND_KUBE,
    },
    Room {
        name: "telemetry",
        uses: &[],
        shuns: &["kube"],
    },
    Room {
        name: "config",
        uses: &["kms", "api", "envelope"],
        shuns: &["kube"],
    },
    Room {
        name: "metrics",
        uses: &["kms", "api", "envelope", "sync"],
        shuns: &["kube"],
    },
    Room {
        name: "probes",
        uses: &["metrics", "telemetry", "config"],
        shuns: &["kube"],
    },
    Room {
        name: "controller",
        uses: &[
            "config",
            "metrics",
            "telemetry",
            "files",
            "backoff",
            "sync",
            "kms",
            "api",
            "manifest",
            "envelope",
        ],
        shuns: &[],
    },
    Room {
        name: "cli",
        uses: &[
            "controller",
            "probes",
            "config",
            "metrics",
            "telemetry",
            "files",
            "kms",
            "api",
            "manifest",
            "envelope",
        ],
        shuns: &[],
    },
];

/// `kms/local/mod.rs` and `kms/local.rs` are `["kms", "local"]`; `lib.rs` is `[]`.
fn module_of(file: &Path) -> Vec<String> {
    let mut parts: Vec<String> = file
        .with_extension("")
        .components()
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect();
    if parts.last().is_some_and(|last| last == "mod" || last == "lib") {
        parts.pop();
    }
    parts
}

/// Every fault of the sources, as `file:line: text`.
fn faults(rooms: &[Room], sources: &BTreeMap<PathBuf, String>) -> Vec<String> {
    let by_name: BTreeMap<&str, &Room> = rooms.iter().map(|room| (room.name, room)).collect();
    let read: Vec<(&PathBuf, Vec<String>, Reader)> = sources
        .iter()
        .filter(|(file, _)| file.as_path() != Path::new("main.rs"))
        .map(|(file, source)| (file, module_of(file), Reader::read(&module_of(file), source)))
        .collect();
    let test_modules: BTreeSet<&Vec<String>> = read
        .iter()
        .flat_map(|(_, _, reader)| &reader.test_modules)
        .collect();
    let mut faults = Vec::new();
    for (file, module, reader) in &read {
        let Some(name) = module.first() else { continue }; // lib.rs names all rooms
        let Some(room) = by_name.get(name.as_str()) else {
            faults.push(format!(
                "{}: {name} has no line in the table of rooms",
                file.display()
            ));
            continue;
        };
        let test_file = (1..=module.len()).any(|end| test_modules.contains(&module[..end].to_vec()));
        for one in &reader.uses {
            let at = format!("{}:{}", file.display(), one.line);
            if one.own {
                match one.path.first().map_or("*", String::as_str) {
                    own if own == room.name => {}
                    "*" => faults.push(format!(
                        "{at}: a glob of the crate's root hides which rooms are used"
                    )),
                    other if room.uses.contains(&other) => {}
                    other if by_name.contains_key(other) => {
                        faults.push(format!("{at}: {name} uses {other}, which is not to its right"));
                    }
                    other => faults.push(format!("{at}: {other} is no room")),
                }
            } else if !test_file && !one.in_tests {
                let path = one.path.join("::");
                for shunned in room.shuns {
                    if path
                        .strip_prefix(shunned)
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
                    {
                        faults.push(format!("{at}: {name} uses {path}, which this room does without"));
                    }
                }
            }
        }
    }
    faults
}

fn sources_below(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the package") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).expect("below the root").to_owned();
                found.insert(name, fs::read_to_string(&path).expect("a source in UTF-8"));
            }
        }
    }
    found
}

#[test]
fn rooms_have_no_back_edge() {
    let sources = sources_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(
        sources.len() > 20,
        "the sources were not found: {}",
        sources.len()
    );
    let edges = sources
        .iter()
        .map(|(file, text)| Reader::read(&module_of(file), text).uses.len())
        .sum::<usize>();
    assert!(edges > 100, "the reader sees next to nothing: {edges} paths");
    let faults = faults(ROOMS, &sources);
    assert!(
        faults.is_empty(),
        "{} faults between rooms:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

#[test]
fn rooms_are_ordered() {
    // Repeatedly take away the rooms whose every edge leads to one taken away already: a cycle would stay.
    let mut left: Vec<&Room> = ROOMS.iter().collect();
    let mut taken: BTreeSet<&str> = BTreeSet::new();
    while !left.is_empty() {
        let (free, rest): (Vec<&Room>, Vec<&Room>) = left
            .iter()
            .partition(|room| room.uses.iter().all(|used| taken.contains(used)));
        assert!(
            !free.is_empty(),
            "a cycle among {:?}",
            rest.iter().map(|room| room.name).collect::<Vec<_>>()
        );
        taken.extend(free.iter().map(|room| room.name));
        left = rest;
    }
}

#[test]
fn rooms_checker_catches_what_is_planted() {
    // File, source and the fault found there, if any.
    let cases = r#"
        envelope/seal.rs | use crate::kms::Kms; | envelope/seal.rs:1: envelope uses kms
        kms/mod.rs | use crate::{envelope::keys, api::{self, Reason}}; | kms uses api
        kms/local/ring.rs | fn f() { super::super::super::cli::run() } | kms/local/ring.rs:1: kms uses cli
        kms/local.rs | mod a { use super::super::super::manifest as m; } | kms uses manifest
        api/mod.rs | fn f() { g!(x, crate::controller::plan::<u8>()) } | api uses controller
        manifest/mod.rs | fn f(a: &crate::cli::Io) -> u8 { match x { a::B => 1 } } | manifest uses cli
        controller/mod.rs | pub(in crate::cli) fn f() {} | controller uses cli
        probes.rs | use super::{telemetry, cli as c}; | probes uses cli
        probes.rs | use super::*; | a glob of the crate's root
        probes.rs | use crate::{metrics, *}; | a glob of the crate's root
        cli/mod.rs | use crate::leases::Lease; | leases is no room
        garden.rs | fn f() {} | garden has no line
        envelope/open.rs | use std::{fmt, fs}; | envelope uses std::fs
        envelope/open.rs | async fn f() { ::tokio::spawn(g()) } | envelope uses tokio::spawn
        envelope/open.rs | #[cfg(test)] use std::fmt; use std::fs::File; | envelope uses std::fs::File
        kms/mod.rs | use kube::Client; | kms uses kube::Client
        kms/mod.rs | #[cfg(test)] mod tests { use crate::cli::Io; } | kms uses cli
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
        let found = faults(ROOMS, &BTreeMap::from([(PathBuf::from(file), source.to_owned())]));
        if expected.is_empty() {
            assert!(found.is_empty(), "{case}\n{found:?}");
        } else {
            assert!(
                !found.is_empty() && found.iter().all(|fault| fault.contains(expected)),
                "{case}\n{found:?}"
            );
        }
    }
    // A test module in a file of its own.
    let sources = BTreeMap::from([
        (
            PathBuf::from("envelope/mod.rs"),
            "#[cfg(test)]\nmod cases;".to_owned(),
        ),
        (PathBuf::from("envelope/cases.rs"), "use std::fs;".to_owned()),
        (PathBuf::from("envelope/wire.rs"), "use std::fs;".to_owned()),
    ]);
    assert_eq!(
        faults(ROOMS, &sources),
        ["envelope/wire.rs:1: envelope uses std::fs, which this room does without"]
    );
}

#[test]
fn rooms_outside_the_library_keep_apart() {
    // xtask stays light (it starts testkit's binaries), and testkit never depends on the root package: its guard must
    // build when the product does not.
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (member, shunned) in [
        ("xtask", &["envelope-secrets", "testkit", "tokio", "kube"][..]),
        ("tests/testkit", &["envelope-secrets", "kube"]),
    ] {
        let manifest = fs::read_to_string(root.join(member).join("Cargo.toml")).expect("a member's manifest");
        let (_, dependencies) = manifest.split_once("[dependencies]").expect("dependencies");
        for line in dependencies.lines() {
            let name = line.split(['=', '.', ' ']).next().unwrap_or_default();
            assert!(!shunned.contains(&name), "{member} depends on {name}");
        }
    }
}
