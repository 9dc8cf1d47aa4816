//! No dependency cycles between files.
//!
//! A file depends on the file that defines an item it names. An item that a `mod.rs` only re-exports (`pub use
//! child::Item`) is the child's: naming it is a dependency on the child, and the re-export is none. A module's name
//! alone (`use super::wire;`) is no dependency either; the items named through it are. Test code does not count.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use super::{
    module_of,
    reader::{self, ModulePath, Source},
    sources_in,
};

/// The crates whose files are checked.
const CRATES: [&str; 3] = ["src", "tests/testkit/src", "xtask/src"];

/// A dependency: the file that names the item, the file that defines it, and where and what it is.
type Edges = BTreeMap<(PathBuf, PathBuf), String>;

/// All files of a crate, read.
struct Crate {
    files: BTreeMap<PathBuf, Source>,
    /// The file in which each module is, inline modules too.
    modules: BTreeMap<ModulePath, PathBuf>,
    test_modules: BTreeSet<ModulePath>,
}

impl Crate {
    fn read(sources: &BTreeMap<PathBuf, String>) -> Self {
        let files: BTreeMap<PathBuf, Source> = sources
            .iter()
            .map(|(file, text)| (file.clone(), Source::read(&module_of(file), text)))
            .collect();
        let mut modules = BTreeMap::new();
        let mut test_modules = BTreeSet::new();
        for (file, source) in &files {
            test_modules.extend(source.test_modules.iter().cloned());
            modules.extend(source.modules.iter().map(|module| (module.clone(), file.clone())));
        }
        Self {
            files,
            modules,
            test_modules,
        }
    }

    fn is_test_file(&self, file: &Path) -> bool {
        let module = module_of(file);
        (1..=module.len()).any(|end| self.test_modules.contains(&module[..end]))
    }

    fn edges(&self) -> Edges {
        let mut edges = Edges::new();
        for (file, source) in self.files.iter().filter(|(file, _)| !self.is_test_file(file)) {
            for path in source.paths.iter().filter(|path| !path.in_tests) {
                let only_reexports = path.import.as_ref().is_some_and(|import| {
                    import.is_reexport && !source.names.contains(&(path.module.clone(), import.name.clone()))
                });
                if only_reexports {
                    continue;
                }
                if let Some(defining) = self.defining_file(&path.module, &path.segments, path.absolute, 0)
                    && defining != file
                {
                    let what = format!("line {}: {}", path.line, path.segments.join("::"));
                    edges.entry((file.clone(), defining.clone())).or_insert(what);
                }
            }
        }
        edges
    }

    /// The file that defines the item of a path; `None` for modules and for items of other crates.
    fn defining_file(
        &self,
        module: &[String],
        segments: &[String],
        absolute: bool,
        depth: usize,
    ) -> Option<&PathBuf> {
        if depth > 16 {
            return None; // imports that name each other, such as two globs
        }
        let mut current = if absolute { Vec::new() } else { module.to_vec() };
        for (at, segment) in segments.iter().enumerate() {
            let inner = [&current[..], std::slice::from_ref(segment)].concat();
            if self.modules.contains_key(&inner) {
                current = inner;
                continue;
            }
            if let Some(import) = self.import(&current, segment) {
                let longer = [&import.segments[..], &segments[at + 1..]].concat();
                return self.defining_file(&current, &longer, import.absolute, depth + 1);
            }
            let file = self.modules.get(&current)?;
            if self.files[file]
                .items
                .contains(&(current.clone(), segment.clone()))
                || segment == "*"
            {
                return Some(file);
            }
            for glob in self.imports(&current).filter(|path| is_glob(path)) {
                let prefix = &glob.segments[..glob.segments.len() - 1];
                let longer = [prefix, &segments[at..]].concat();
                let found = self.defining_file(&current, &longer, glob.absolute, depth + 1);
                if found.is_some() {
                    return found;
                }
            }
            // An item that a macro defines, if the path certainly leads into this crate.
            return (absolute && depth == 0 || at > 0).then_some(file);
        }
        None
    }

    fn imports(&self, module: &[String]) -> impl Iterator<Item = &reader::Path> {
        let source = self.modules.get(module).and_then(|file| self.files.get(file));
        source
            .into_iter()
            .flat_map(|source| &source.paths)
            .filter(move |path| path.module == module && path.import.is_some() && !path.in_tests)
    }

    fn import(&self, module: &[String], name: &str) -> Option<&reader::Path> {
        self.imports(module)
            .find(|path| !is_glob(path) && path.import.as_ref().is_some_and(|import| import.name == name))
    }
}

fn is_glob(path: &reader::Path) -> bool {
    path.segments.last().is_some_and(|last| last == "*")
}

/// The files that depend on each other, directly or not: each set of more than one.
fn cycles(edges: &Edges) -> BTreeSet<BTreeSet<PathBuf>> {
    let mut uses: BTreeMap<&PathBuf, BTreeSet<&PathBuf>> = BTreeMap::new();
    for (from, to) in edges.keys() {
        uses.entry(from).or_default().insert(to);
    }
    let reached_from = |start: &PathBuf| {
        let mut reached = BTreeSet::new();
        let mut left: Vec<&PathBuf> = uses.get(start).into_iter().flatten().copied().collect();
        while let Some(file) = left.pop() {
            if reached.insert(file) {
                left.extend(uses.get(file).into_iter().flatten());
            }
        }
        reached
    };
    let reached: BTreeMap<&PathBuf, BTreeSet<&PathBuf>> =
        uses.keys().map(|file| (*file, reached_from(file))).collect();
    let in_cycle_with = |file: &PathBuf| -> BTreeSet<PathBuf> {
        let back = |other: &&&PathBuf| reached.get(**other).is_some_and(|reached| reached.contains(file));
        reached[file]
            .iter()
            .filter(back)
            .map(|other| (*other).clone())
            .collect()
    };
    uses.keys()
        .map(|file| in_cycle_with(file))
        .filter(|cycle| cycle.len() > 1)
        .collect()
}

/// Every cycle, with the dependencies that form it.
fn violations(sources: &BTreeMap<PathBuf, String>) -> Vec<String> {
    let edges = Crate::read(sources).edges();
    let mut violations = Vec::new();
    for cycle in cycles(&edges) {
        let names: Vec<String> = cycle.iter().map(|file| file.display().to_string()).collect();
        violations.push(format!("a cycle of {} files: {}", cycle.len(), names.join(", ")));
        for ((from, to), what) in &edges {
            if cycle.contains(from) && cycle.contains(to) {
                violations.push(format!("  {} uses {} ({what})", from.display(), to.display()));
            }
        }
    }
    violations
}

#[test]
fn files_have_no_dependency_cycles() {
    let mut all = Vec::new();
    for directory in CRATES {
        let violations = violations(&sources_in(directory));
        all.extend(
            violations
                .iter()
                .map(|violation| format!("{directory}: {violation}")),
        );
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
}

fn sources(files: &[(&str, &str)]) -> BTreeMap<PathBuf, String> {
    files
        .iter()
        .map(|(file, text)| (PathBuf::from(file), (*text).to_owned()))
        .collect()
}

#[test]
fn dependencies_lead_to_the_file_that_defines_the_item() {
    let edges = |files: &[(&str, &str)]| -> Vec<String> {
        Crate::read(&sources(files))
            .edges()
            .keys()
            .map(|(from, to)| format!("{} {}", from.display(), to.display()))
            .collect()
    };
    let child = ("a/child.rs", "pub struct Item; pub fn make() {}");
    for (parent, user, expected) in [
        (
            "mod child; pub use child::Item;",
            "use crate::a::Item;",
            &["b.rs a/child.rs"][..],
        ),
        (
            "mod child; pub use child::*;",
            "use crate::a::Item;",
            &["b.rs a/child.rs"],
        ),
        (
            "mod child; pub use child::Item as Thing;",
            "use crate::a::Thing;",
            &["b.rs a/child.rs"],
        ),
        (
            "pub mod child;",
            "use crate::a::child; fn f() { child::make() }",
            &["b.rs a/child.rs"],
        ),
        ("pub mod child;", "use crate::a::child;", &[]),
        (
            "pub mod child; pub fn f() {}",
            "use super::a; fn g() { a::f() }",
            &["b.rs a/mod.rs"],
        ),
        (
            "mod child; pub use child::Item; fn f() -> Item {}",
            "",
            &["a/mod.rs a/child.rs"],
        ),
        ("mod child; use child::make;", "", &["a/mod.rs a/child.rs"]),
        (
            "mod child; fn f() { child::make() }",
            "",
            &["a/mod.rs a/child.rs"],
        ),
        ("#[cfg(test)] mod child; #[cfg(test)] use child::make;", "", &[]),
        (
            "mod child;",
            "#[cfg(test)] mod tests { use crate::a::child::Item; }",
            &[],
        ),
        ("mod child;", "use std::fmt; fn f() { fmt::g(); other::h() }", &[]),
        (
            "pub mod inline { pub struct X; }",
            "use crate::a::inline::X;",
            &["b.rs a/mod.rs"],
        ),
        (
            "pub struct X;",
            "mod inline { use super::super::a::X; }",
            &["b.rs a/mod.rs"],
        ),
    ] {
        let files = [
            ("lib.rs", "mod a; mod b;"),
            ("a/mod.rs", parent),
            child,
            ("b.rs", user),
        ];
        assert_eq!(edges(&files), expected, "{parent} | {user}");
    }
}

#[test]
fn a_cycle_is_reported_with_its_dependencies() {
    const PARENT: &str = "mod child; pub use child::Item; pub struct Own; fn f() { child::make() }";
    // Allowed: the parent re-exports what the child defines. A cycle: the child uses what the parent defines and the
    // parent uses the child.
    let files = |child| sources(&[("lib.rs", "mod a;"), ("a/mod.rs", PARENT), ("a/child.rs", child)]);
    assert_eq!(
        violations(&files("pub struct Item; pub fn make() {}")),
        Vec::<String>::new()
    );
    let cycle = files("use super::Own; pub struct Item; pub fn make() {}");
    assert_eq!(
        violations(&cycle),
        [
            "a cycle of 2 files: a/child.rs, a/mod.rs",
            "  a/child.rs uses a/mod.rs (line 1: a::Own)",
            "  a/mod.rs uses a/child.rs (line 1: child::make)",
        ]
    );
}
