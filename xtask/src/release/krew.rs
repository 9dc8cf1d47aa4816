//! The manifest of the kubectl plugin for krew (<https://krew.sigs.k8s.io/docs/developer-guide/plugin-manifest/>).

use std::fmt::Write as _;

/// An archive of the release.
pub(crate) struct Download {
    /// `amd64` or `arm64`.
    pub(crate) arch: String,
    /// The name of its file, and of the directory in it.
    pub(crate) file: String,
    pub(crate) directory: String,
    /// Lower-case hex.
    pub(crate) sha256: String,
}

/// The manifest; the archives are below `base_url`.
pub(crate) fn manifest(version: &str, base_url: &str, homepage: &str, downloads: &[Download]) -> String {
    let mut manifest = format!(
        "apiVersion: krew.googlecontainertools.github.com/v1alpha2\n\
         kind: Plugin\n\
         metadata:\n  name: envelope\n\
         spec:\n  version: v{version}\n  homepage: {homepage}\n  \
         shortDescription: Seal Secrets for GitOps with a cloud KMS\n  \
         description: |\n    \
         Seals Kubernetes Secrets into documents that are safe to commit to Git, and opens them\n    \
         again. The key is in a cloud KMS; a controller in the cluster creates the Secrets.\n  \
         platforms:\n"
    );
    for download in downloads {
        let Download {
            arch,
            file,
            directory,
            sha256,
        } = download;
        let base_url = base_url.trim_end_matches('/');
        let _ = write!(
            manifest,
            "  - selector:\n      matchLabels: {{os: linux, arch: {arch}}}\n    \
             uri: {base_url}/{file}\n    \
             sha256: {sha256}\n    \
             files:\n    \
             - {{from: {directory}/envelope, to: .}}\n    \
             - {{from: {directory}/LICENSE, to: .}}\n    \
             bin: envelope\n"
        );
    }
    manifest
}
