//! Releases: what is linked into the binaries, and the files that are published.

pub(crate) mod archive;
pub(crate) mod binary;
pub(crate) mod dependencies;
pub(crate) mod krew;
pub(crate) mod licenses;
pub(crate) mod reproducible;
pub(crate) mod sbom;

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::run::root;

    /// The actions of a workflow that are not written as `NAME@COMMIT # vTAG`.
    fn unpinned(workflow: &str) -> Vec<&str> {
        let actions = workflow.lines().filter_map(|line| line.split_once("uses: "));
        let pinned = |action: &str| {
            let (commit, tag) = action.split_once('@')?.1.split_once(" # v")?;
            (commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()) && !tag.is_empty())
                .then_some(())
        };
        actions
            .map(|(_, action)| action)
            .filter(|action| pinned(action).is_none())
            .collect()
    }

    // Anyone who controls an action's repository can move its tags, and the release workflow may sign and publish.
    #[test]
    fn workflows_pin_actions_to_commits() {
        for name in ["ci.yml", "release.yml"] {
            let workflow = fs::read_to_string(root().join(".github/workflows").join(name)).unwrap();
            assert!(workflow.contains("uses: "), "{name}");
            assert_eq!(unpinned(&workflow), Vec::<&str>::new(), "{name}");
        }
    }

    #[test]
    fn a_tag_or_a_short_commit_is_not_pinned() {
        for action in [
            "actions/checkout@v4",
            "actions/checkout@11bd719 # v4.2.2",
            "actions/checkout",
        ] {
            assert_eq!(unpinned(&format!("      - uses: {action}\n")), [action]);
        }
    }
}
