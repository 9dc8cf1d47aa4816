//! The parts of `src/controller` depend on one another in one direction, and decisions are pure
//! (ARCHITECTURE.md#modules).

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::reader::{ModulePath, Source};
use super::{module_of, sources_in};

/// The rules for one part of the controller: a directory or file.
struct Part {
    name: &'static str,
    /// What it may use of the other parts, as a prefix of the path.
    uses: &'static [&'static str],
    /// Paths of other crates that it must not use outside its tests.
    forbidden: &'static [&'static str],
}

/// Kubernetes and everything asynchronous.
const IMPURE: &[&str] = &[
    "tokio",
    "tokio_util",
    "futures",
    "kube",
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
];

/// `run` ties the parts together; `mod` only declares them. A new part needs an entry here.
const PARTS: &[Part] = &[
    Part {
        name: "key",
        uses: &[],
        forbidden: IMPURE,
    },
    Part {
        name: "backoff",
        uses: &[],
        forbidden: IMPURE,
    },
    Part {
        name: "timings",
        uses: &["decide"],
        forbidden: IMPURE,
    },
    Part {
        name: "slots",
        uses: &[],
        forbidden: &["kube"],
    },
    Part {
        name: "client",
        uses: &[],
        forbidden: &[],
    },
    // For `keys create-secret`, apart from the controller: it creates one Secret, once.
    Part {
        name: "keyring_secret",
        uses: &["client"],
        forbidden: &[],
    },
    // For the metrics server, apart from the controller: who may read them.
    Part {
        name: "access_review",
        uses: &["client", "observe::requests", "timings"],
        forbidden: &[],
    },
    Part {
        name: "schema",
        uses: &[],
        forbidden: &["kube"],
    },
    Part {
        name: "schema_check",
        uses: &["backoff", "schema", "timings"],
        forbidden: &[],
    },
    Part {
        name: "observe",
        uses: &["backoff", "client", "key"],
        forbidden: &[],
    },
    // Decisions: functions of observed facts and of the time, which is an argument.
    Part {
        name: "decide",
        uses: &[
            "backoff",
            "key",
            "observe::object",
            "observe::secret_facts",
            "observe::fields",
            "observe::summary",
            "observe::wishes",
        ],
        forbidden: IMPURE,
    },
    // The only part that writes to the cluster.
    Part {
        name: "act",
        uses: &["client", "decide", "key", "observe", "slots"],
        forbidden: &[],
    },
    Part {
        name: "work",
        uses: &[
            "act", "backoff", "decide", "key", "observe", "schema", "slots", "timings",
        ],
        forbidden: &["kube"],
    },
    Part {
        name: "health",
        uses: &["observe", "schema"],
        forbidden: &["kube"],
    },
];

/// What ties the parts together.
const TOP: [&str; 2] = ["run", "mod"];

/// Plain data, of which decisions are functions.
const PLAIN: [&str; 6] = [
    "object",
    "status_facts",
    "secret_facts",
    "fields",
    "summary",
    "wishes",
];

/// Every violation, as `file:line: text`.
fn violations(sources: &BTreeMap<PathBuf, String>) -> Vec<String> {
    let read: Vec<(&PathBuf, ModulePath, Source)> = sources
        .iter()
        .map(|(file, text)| (file, module_of(file), Source::read(&module_of(file), text)))
        .filter(|(_, path, _)| path.first().is_some_and(|first| first == "controller"))
        .collect();
    let test_modules: Vec<&ModulePath> = read
        .iter()
        .flat_map(|(_, _, source)| &source.test_modules)
        .collect();
    let mut violations = Vec::new();
    for (file, path, source) in &read {
        let name = path.get(1).map_or("mod", String::as_str);
        let part = PARTS.iter().find(|part| part.name == name);
        if part.is_none() && !TOP.contains(&name) {
            violations.push(format!(
                "{}: {name} has no entry in the table of parts",
                file.display()
            ));
        }
        let Some(part) = part else { continue };
        let plain = name == "observe" && path.get(2).is_some_and(|file| PLAIN.contains(&file.as_str()));
        let forbidden = if plain { IMPURE } else { part.forbidden };
        let is_test_file = (1..=path.len()).any(|end| test_modules.contains(&&path[..end].to_vec()));
        if is_test_file {
            continue;
        }
        for used in source.paths.iter().filter(|used| !used.in_tests) {
            let at = format!("{}:{}", file.display(), used.line);
            let written = used.segments.join("::");
            if !used.absolute {
                if let Some(hit) = forbidden.iter().find(|prefix| starts_with(&written, prefix)) {
                    violations.push(format!("{at}: {name} must not depend on {hit}"));
                }
            } else if let Some(of_controller) = written.strip_prefix("controller::")
                && !starts_with(of_controller, name)
                && !part
                    .uses
                    .iter()
                    .any(|allowed| starts_with(of_controller, allowed))
            {
                violations.push(format!("{at}: {name} must not use {of_controller}"));
            }
        }
    }
    violations
}

/// Whether `path` is `prefix` or in it.
fn starts_with(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

#[test]
fn parts_of_the_controller_depend_in_one_direction_and_decisions_are_pure() {
    let sources = sources_in("src");
    for part in PARTS {
        let exists = |file: &PathBuf| {
            module_of(file)
                .get(..2)
                .is_some_and(|path| path[0] == "controller" && path[1] == part.name)
        };
        assert!(sources.keys().any(exists), "{} does not exist", part.name);
    }
    let violations = violations(&sources);
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

#[test]
fn planted_violations_are_found_in_the_controller() {
    // File, source, and the expected violation, if any.
    let cases = r"
        decide/plan.rs | use tokio::time::Instant; | decide must not depend on tokio
        decide/plan.rs | fn f() { ::kube::Client::new() } | decide must not depend on kube
        decide/plan.rs | use std::{time::Instant, fs}; | decide must not depend on std::fs
        decide/plan.rs | use crate::controller::observe::store::Stores; | decide must not use observe::store::Stores
        decide/plan.rs | use super::super::act::cluster::Cluster; | decide must not use act::cluster::Cluster
        decide/plan.rs | use crate::controller::observe::{object::Object, fields}; use std::time::Instant; |
        decide/plan.rs | #[cfg(test)] mod tests { use tokio::time; use crate::controller::observe::decode; } |
        observe/object.rs | use kube::Client; | observe must not depend on kube
        observe/source.rs | use kube::Client; |
        observe/store/mod.rs | use crate::controller::decide::plan::Plan; | observe must not use decide::plan::Plan
        act/cluster.rs | use crate::controller::work::context::Context; | act must not use work::context::Context
        act/cluster.rs | use crate::controller::{decide::plan::Plan, observe::decode::Meta}; |
        work/apply.rs | use kube::api::Patch; | work must not depend on kube
        work/apply.rs | use crate::controller::run::run; | work must not use run::run
        health.rs | use super::work::context::Context; | health must not use work::context::Context
        run.rs | use super::work::context::Context; use kube::Client; |
        garden.rs | fn f() {} | garden has no entry
    ";
    for case in cases.lines().map(str::trim).filter(|case| !case.is_empty()) {
        let [file, source, expected] = case.split('|').map(str::trim).collect::<Vec<_>>()[..] else {
            panic!("not three columns: {case}")
        };
        let file = PathBuf::from("controller").join(file);
        let found = violations(&BTreeMap::from([(file, source.to_owned())]));
        if expected.is_empty() {
            assert!(found.is_empty(), "{case}\n{found:?}");
        } else {
            assert!(
                found.len() == 1 && found[0].contains(expected),
                "{case}\n{found:?}"
            );
        }
    }
}
