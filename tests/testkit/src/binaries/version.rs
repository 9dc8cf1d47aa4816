//! Parses the versions of the parts and decides whether one fits. Pure.

use std::fmt;
use std::str::FromStr;

pub(super) const GO_MOD: &str = include_str!("../../../controlplane/go.mod");
pub(super) const GO_SUM: &str = include_str!("../../../controlplane/go.sum");

/// A version such as `v1.34.4`, with or without the `v`, and a suffix (`-dispatcher`, `+k3s1`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub major: u32,
    pub minor: u32,
    pub patch: u32,
    /// Empty for a plain release.
    pub suffix: String,
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || format!("{text:?} is not a version");
        let bare = text.strip_prefix('v').unwrap_or(text);
        let end = bare
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(bare.len());
        let (numbers, suffix) = bare.split_at(end);
        let mut parts = numbers.split('.').map(str::parse::<u32>);
        let (Some(Ok(major)), Some(Ok(minor)), Some(Ok(patch)), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(error());
        };
        Ok(Self {
            major,
            minor,
            patch,
            suffix: suffix.to_owned(),
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}.{}.{}{}", self.major, self.minor, self.patch, self.suffix)
    }
}

/// An executable of the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Etcd,
    Apiserver,
    ControllerManager,
    Kubectl,
}

impl Part {
    pub const ALL: [Self; 4] = [
        Self::Etcd,
        Self::Apiserver,
        Self::ControllerManager,
        Self::Kubectl,
    ];

    /// The name of the executable file.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::Apiserver => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Kubectl => "kubectl",
        }
    }

    /// The Go package that it is built from.
    pub(super) fn package(self) -> &'static str {
        match self {
            Self::Etcd => "go.etcd.io/etcd/server/v3",
            Self::Apiserver => "k8s.io/kubernetes/cmd/kube-apiserver",
            Self::ControllerManager => "k8s.io/kubernetes/cmd/kube-controller-manager",
            Self::Kubectl => "k8s.io/kubernetes/cmd/kubectl",
        }
    }

    /// The arguments with which it prints its version.
    pub(super) fn version_arguments(self) -> &'static [&'static str] {
        match self {
            Self::Kubectl => &["version", "--client", "--output=json"],
            _ => &["--version"],
        }
    }

    /// Parses the output of [`Self::version_arguments`].
    pub(super) fn parse_version(self, output: &str) -> Result<Version, String> {
        let text = match self {
            Self::Etcd => output
                .lines()
                .find_map(|line| line.strip_prefix("etcd Version: "))
                .map(str::to_owned),
            Self::Apiserver | Self::ControllerManager => output
                .lines()
                .find_map(|line| line.strip_prefix("Kubernetes "))
                .map(str::to_owned),
            Self::Kubectl => serde_json::from_str::<serde_json::Value>(output)
                .ok()
                .and_then(|value| {
                    value
                        .pointer("/clientVersion/gitVersion")?
                        .as_str()
                        .map(str::to_owned)
                }),
        };
        text.ok_or_else(|| "does not print a version".to_owned())?
            .trim()
            .parse()
    }

    /// Checks whether an executable in `PATH` can be used instead of the pinned version. Servers must have exactly that version; kubectl
    /// may be one minor version older or newer (Kubernetes' version skew policy).
    ///
    /// # Errors
    /// The reason why it does not fit.
    pub(super) fn fits(self, found: &Version, pinned: &Version) -> Result<(), String> {
        if self != Self::Kubectl {
            return if found == pinned {
                Ok(())
            } else {
                Err(format!("{found} is not {pinned}"))
            };
        }
        // Build metadata (`+k3s1`) marks a rebuilt release. A dash marks a pre-release, or a vendor's wrapper that selects another version.
        if found.suffix.starts_with('-') {
            return Err(format!(
                "{found} is not a plain release (a pre-release or a vendor's wrapper)"
            ));
        }
        if found.major != pinned.major || found.minor.abs_diff(pinned.minor) > 1 {
            return Err(format!(
                "{found} is more than one minor version away from {pinned}"
            ));
        }
        Ok(())
    }
}

/// The versions that `tests/controlplane/go.mod` pins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pins {
    pub(super) kubernetes: Version,
    pub(super) etcd: Version,
    /// The oldest Go version that builds them.
    pub(super) go: Version,
}

impl Pins {
    pub(super) fn read(go_mod: &str) -> Result<Self, String> {
        let word_after = |name: &str| {
            let line = go_mod.lines().map(str::split_whitespace).find_map(|mut words| {
                (words.next() == Some(name))
                    .then(|| words.next())
                    .flatten()
                    .filter(|word| *word != "=>")
            });
            line.ok_or_else(|| format!("go.mod has no version of {name}"))?
                .parse()
        };
        Ok(Self {
            kubernetes: word_after("k8s.io/kubernetes")?,
            etcd: word_after("go.etcd.io/etcd/server/v3")?,
            go: word_after("go")?,
        })
    }

    pub(super) fn of(&self, part: Part) -> &Version {
        match part {
            Part::Etcd => &self.etcd,
            _ => &self.kubernetes,
        }
    }
}

/// Checks that the controller manager is not newer than its API server and at most one minor version older (Kubernetes' version skew
/// policy).
pub(super) fn check_skew(apiserver: &Version, controller_manager: &Version) -> Result<(), String> {
    let fits = apiserver.major == controller_manager.major
        && (controller_manager.minor == apiserver.minor || controller_manager.minor + 1 == apiserver.minor);
    if fits {
        return Ok(());
    }
    Err(format!(
        "kube-controller-manager {controller_manager} is not compatible with kube-apiserver {apiserver}"
    ))
}

/// Parses `go version go1.26.8 linux/amd64`; reads `go1.26` as 1.26.0 and `go1.27rc1` as 1.27.0.
pub(super) fn parse_go_version(output: &str) -> Result<Version, String> {
    let error = || format!("{:?} is not the output of `go version`", output.trim());
    let word = output
        .split_whitespace()
        .nth(2)
        .and_then(|word| word.strip_prefix("go"))
        .ok_or_else(error)?;
    let end = word
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(word.len());
    let numbers = &word[..end];
    let padded = if numbers.matches('.').count() == 1 {
        format!("{numbers}.0")
    } else {
        numbers.to_owned()
    };
    padded.parse().map_err(|_| error())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn versions_are_parsed() {
        assert_eq!(version("v1.34.4").to_string(), "v1.34.4");
        assert_eq!(
            version("3.6.4"),
            Version {
                major: 3,
                minor: 6,
                patch: 4,
                suffix: String::new()
            }
        );
        assert_eq!(version("v1.32.4-dispatcher").suffix, "-dispatcher");
        assert_eq!(version("v1.34.1+k3s1").suffix, "+k3s1");
        for bad in [
            "",
            "v",
            "v1.34",
            "1.34.4.5",
            "v1..4",
            "one",
            "v-1.2.3",
            "v1.34.",
            "v99999999999.1.1",
        ] {
            assert!(bad.parse::<Version>().is_err(), "{bad}");
        }
    }

    #[test]
    fn version_output_of_each_part_is_parsed() {
        let kubectl = r#"{"clientVersion": {"major": "1", "minor": "32+", "gitVersion": "v1.32.4-dispatcher"}, "kustomizeVersion": "v5"}"#;
        let cases = [
            (
                Part::Etcd,
                "etcd Version: 3.6.4\nGit SHA: Not provided\nGo Version: go1.26.8\n",
                "v3.6.4",
            ),
            (Part::Apiserver, "Kubernetes v1.34.4\n", "v1.34.4"),
            (
                Part::ControllerManager,
                "Kubernetes v1.35.0-alpha.1\n",
                "v1.35.0-alpha.1",
            ),
            (Part::Kubectl, kubectl, "v1.32.4-dispatcher"),
        ];
        for (part, output, expected) in cases {
            assert_eq!(
                part.parse_version(output).unwrap().to_string(),
                expected,
                "{part:?}"
            );
        }
        for part in Part::ALL {
            for garbage in [
                "",
                "error: unknown flag: --version",
                "{}",
                "Kubernetes \n",
                "etcd Version: \n",
            ] {
                assert!(part.parse_version(garbage).is_err(), "{part:?} {garbage:?}");
            }
        }
    }

    #[test]
    fn servers_in_path_must_match_exactly_and_kubectl_within_one_minor() {
        let kubernetes = "v1.34.4";
        let cases = [
            (Part::Etcd, "3.6.4", "3.6.4", true),
            (Part::Etcd, "3.6.5", "3.6.4", false),
            (Part::Etcd, "3.5.21", "3.6.4", false),
            (Part::Apiserver, "v1.34.4", kubernetes, true),
            (Part::Apiserver, "v1.34.5", kubernetes, false),
            (Part::Apiserver, "v1.34.4+k3s1", kubernetes, false),
            (Part::ControllerManager, "v1.33.4", kubernetes, false),
            (Part::Kubectl, "v1.34.4", kubernetes, true),
            (Part::Kubectl, "v1.33.0", kubernetes, true),
            (Part::Kubectl, "v1.35.9", kubernetes, true),
            (Part::Kubectl, "v1.34.1+k3s1", kubernetes, true),
            (Part::Kubectl, "v1.32.9", kubernetes, false),
            (Part::Kubectl, "v1.36.0", kubernetes, false),
            (Part::Kubectl, "v2.34.4", kubernetes, false),
            (Part::Kubectl, "v1.32.4-dispatcher", kubernetes, false),
            (Part::Kubectl, "v1.34.4-dispatcher", kubernetes, false),
            (Part::Kubectl, "v1.35.0-rc.1", kubernetes, false),
        ];
        for (part, found, pinned, expected) in cases {
            let result = part.fits(&version(found), &version(pinned));
            assert_eq!(result.is_ok(), expected, "{part:?} {found}: {result:?}");
        }
    }

    #[test]
    fn pins_are_read_from_the_go_module_that_is_built() {
        let pins = Pins::read(GO_MOD).unwrap();
        assert_eq!(pins.kubernetes.major, 1);
        assert_eq!(pins.etcd.major, 3);
        assert!(
            Pins::read("module x\n\ngo 1.24.0\n")
                .unwrap_err()
                .contains("k8s.io/kubernetes")
        );
    }

    #[test]
    fn controller_manager_newer_than_its_api_server_is_rejected() {
        for (apiserver, manager, expected) in [
            ("1.34.4", "1.34.1", true),
            ("1.35.0", "1.34.4", true),
            ("1.33.4", "1.34.4", false),
            ("1.36.0", "1.34.4", false),
        ] {
            assert_eq!(
                check_skew(&version(apiserver), &version(manager)).is_ok(),
                expected,
                "{apiserver} {manager}"
            );
        }
    }

    #[test]
    fn output_of_go_version_is_parsed() {
        for (output, expected) in [
            ("go version go1.26.8 linux/amd64\n", "v1.26.8"),
            ("go version go1.24 darwin/arm64\n", "v1.24.0"),
            ("go version go1.27rc1 linux/amd64\n", "v1.27.0"),
        ] {
            assert_eq!(parse_go_version(output).unwrap().to_string(), expected);
        }
        assert!(parse_go_version("bash: go: command not found").is_err());
    }
}
