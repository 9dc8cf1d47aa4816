//! The software bill of materials, in `CycloneDX` 1.5 (<https://cyclonedx.org/docs/1.5/json/>).
//!
//! It has no time and no serial number, so that a release built twice has the same bytes.

use anyhow::Result;
use cargo_metadata::{Package, PackageId};
use serde_json::{Value, json};

use super::dependencies::{Dependencies, dependencies};

/// The document, for all platforms of the release.
pub(crate) fn document() -> Result<String> {
    Ok(format!("{:#}\n", describe(&dependencies()?)))
}

fn describe(all: &Dependencies) -> Value {
    let component = |package: &Package, kind: &str| {
        let mut component = json!({
            "type": kind,
            "bom-ref": purl(package),
            "name": package.name.as_str(),
            "version": package.version.to_string(),
            "purl": purl(package),
        });
        if let Some(license) = &package.license {
            component["licenses"] = json!([{ "expression": license }]);
        }
        component
    };
    let packages: Vec<&Package> = std::iter::once(&all.root).chain(&all.crates).collect();
    let reference = |id: &PackageId| {
        packages
            .iter()
            .find(|package| package.id == *id)
            .map(|package| purl(package))
    };
    let dependencies = packages.iter().map(|package| {
        let direct = all.direct.get(&package.id).into_iter().flatten();
        let mut direct: Vec<String> = direct.filter_map(reference).collect();
        direct.sort();
        json!({ "ref": purl(package), "dependsOn": direct })
    });
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": component(&all.root, "application") },
        "components": all.crates.iter().map(|package| component(package, "library")).collect::<Vec<_>>(),
        "dependencies": dependencies.collect::<Vec<_>>(),
    })
}

/// The package URL (<https://github.com/package-url/purl-spec>).
fn purl(package: &Package) -> String {
    format!("pkg:cargo/{}@{}", package.name, package.version)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_reference_names_a_component_and_every_crate_is_reachable() {
        let document: Value = serde_json::from_str(&document().unwrap()).unwrap();
        let root = document["metadata"]["component"]["bom-ref"].as_str().unwrap();
        let components = document["components"].as_array().unwrap();
        let known: BTreeSet<&str> = components
            .iter()
            .filter_map(|it| it["bom-ref"].as_str())
            .collect();
        assert_eq!(known.len(), components.len(), "references are unique");

        let mut reached = BTreeSet::new();
        let mut open = vec![root];
        while let Some(reference) = open.pop() {
            let edges = document["dependencies"].as_array().unwrap();
            let edge = edges.iter().find(|edge| edge["ref"] == reference).unwrap();
            for dependency in edge["dependsOn"].as_array().unwrap() {
                let dependency = dependency.as_str().unwrap();
                assert!(known.contains(dependency), "{dependency} is not a component");
                if reached.insert(dependency) {
                    open.push(dependency);
                }
            }
        }
        assert_eq!(reached, known);
    }
}
