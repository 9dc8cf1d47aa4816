//! The controller's image as an OCI archive, without a Docker engine.
//!
//! cargo builds the static binary. The image is the last stage of the Dockerfile, built by buildah, so both ways produce the same image.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::{
    args::Image,
    git,
    prerequisites::{CERTIFICATE_AUTHORITIES, Need, check},
    release::{
        archive::{create, tar},
        binary::{Place, build},
    },
    run::{root, run, target_directory},
};

/// Where the images of this repository are named, as they are pushed nowhere.
const REGISTRY: &str = "localhost";
/// What the last stage of the Dockerfile copies from the build stage, and how it is called in buildah's context.
const FROM_BUILD: (&str, &str) = ("COPY --from=build /rootfs/ /", "COPY rootfs/ /");

/// An image in an OCI archive.
pub(crate) struct Archive {
    pub(crate) path: PathBuf,
    /// The name with its tag.
    pub(crate) name: String,
}

/// `cargo xtask image`.
pub(crate) fn image(arguments: &Image) -> Result<()> {
    let archive = controller(&arguments.profile, arguments.output.clone())?;
    let bytes = fs::metadata(&archive.path)?.len();
    println!(
        "{}: {} ({} kB)\nimport it into containerd: ctr -n k8s.io images import {}",
        archive.name,
        archive.path.display(),
        bytes / 1000,
        archive.path.display()
    );
    Ok(())
}

/// Builds the controller's image with a profile of cargo: `release`, or `dev`, which is larger and slower but compiles in half the time.
pub(crate) fn controller(profile: &str, archive: Option<PathBuf>) -> Result<Archive> {
    check(&[Need::Musl, Need::Buildah, Need::CertificateAuthorities])?;
    let binary = build(profile, &Place::here(), &git::short_commit())?;
    let version = env!("CARGO_PKG_VERSION");
    let tag = if profile == "release" {
        version.to_owned()
    } else {
        format!("{version}-{profile}")
    };
    of_binary(&binary, &tag, archive)
}

/// Puts a binary into the controller's image.
pub(crate) fn of_binary(binary: &Path, tag: &str, archive: Option<PathBuf>) -> Result<Archive> {
    let dockerfile = fs::read_to_string(root().join("Dockerfile")).context("Dockerfile")?;
    package(
        "envelope-secrets",
        tag,
        &last_stage(&dockerfile)?,
        &[
            (binary, "envelope"),
            (Path::new(CERTIFICATE_AUTHORITIES), &CERTIFICATE_AUTHORITIES[1..]),
        ],
        &[
            ("VERSION", env!("CARGO_PKG_VERSION")),
            ("COMMIT", &git::short_commit()),
        ],
        archive,
    )
}

/// The last stage of the Dockerfile, with files from the context instead of from the build stage.
fn last_stage(dockerfile: &str) -> Result<String> {
    let start = dockerfile
        .rfind("\nFROM scratch\n")
        .context("the last stage of the Dockerfile is not `FROM scratch`")?;
    let stage = &dockerfile[start + 1..];
    let (from_build, from_context) = FROM_BUILD;
    stage
        .contains(from_build)
        .then(|| stage.replace(from_build, from_context))
        .with_context(|| format!("the last stage of the Dockerfile has no line `{from_build}`"))
}

/// Builds an image with buildah and writes it to an archive; by default `target/image/<name>-<tag>.tar`.
///
/// `files` are put below `rootfs/` of the context. buildah's storage is in `target/image/` too: nothing else on the host changes.
pub(crate) fn package(
    name: &str,
    tag: &str,
    dockerfile: &str,
    files: &[(&Path, &str)],
    build_args: &[(&str, &str)],
    archive: Option<PathBuf>,
) -> Result<Archive> {
    let directory = target_directory().join("image");
    let context = directory.join(name);
    if context.exists() {
        fs::remove_dir_all(&context).with_context(|| context.display().to_string())?;
    }
    for (from, to) in files {
        let to = context.join("rootfs").join(to);
        fs::create_dir_all(to.parent().context("a file name")?)?;
        fs::copy(from, &to).with_context(|| format!("cannot copy {} to the image", from.display()))?;
    }
    fs::write(context.join("Dockerfile"), dockerfile)?;

    let image = format!("{REGISTRY}/{name}:{tag}");
    let buildah = || {
        let mut command = Command::new("buildah");
        // The default driver, overlay, does not work on top of an overlay file system, as in a container.
        command.args(["--storage-driver", "vfs", "--root"]);
        command.arg(directory.join("storage")).arg("--runroot");
        command.arg(directory.join("run"));
        command
    };
    let mut build = buildah();
    // chroot needs no namespaces; nothing runs in this build anyway. A fixed time makes the image reproducible.
    build.args(["bud", "--quiet", "--isolation", "chroot", "--format", "oci"]);
    build.args(["--timestamp", &git::commit_time(), "--tag", &image]);
    for (name, value) in build_args {
        build.args(["--build-arg", &format!("{name}={value}")]);
    }
    run(build.arg(&context).stdout(std::process::Stdio::null()))?;

    let path = archive.unwrap_or_else(|| directory.join(format!("{name}-{tag}.tar")));
    let layout = directory.join(format!("{name}.oci"));
    if layout.exists() {
        fs::remove_dir_all(&layout).with_context(|| layout.display().to_string())?; // buildah would add to it
    }
    let target = format!("oci:{}:{image}", layout.display());
    run(buildah().args(["push", "--quiet", &image, &target]))?;
    // buildah's own archives contain the time at which they were written.
    run(tar(&layout).arg(".").stdout(create(&path)?))?;
    fs::remove_dir_all(&layout).with_context(|| layout.display().to_string())?;
    // The storage would keep every image that was ever built.
    run(buildah()
        .args(["rmi", "--all", "--force"])
        .stdout(std::process::Stdio::null()))?;
    Ok(Archive { path, name: image })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dockerfile() -> String {
        fs::read_to_string(root().join("Dockerfile")).unwrap()
    }

    #[test]
    fn the_last_stage_of_the_dockerfile_copies_only_from_the_context() {
        let stage = last_stage(&dockerfile()).unwrap();
        assert!(stage.starts_with("FROM scratch\n"), "{stage}");
        assert!(stage.contains("\nCOPY rootfs/ /\n"), "{stage}");
        assert!(!stage.contains("--from"), "{stage}");
        assert!(stage.contains("\nUSER 65532:65532\n"), "{stage}");
        assert!(!stage.contains("\nRUN "), "{stage}");
        for other in ["FROM scratch\nCOPY rootfs/ /\n", "FROM x\n\nFROM scratch\n"] {
            assert!(last_stage(other).is_err(), "{other}");
        }
    }

    #[test]
    fn dockerfile_and_rust_toolchain_have_the_same_version() {
        let toolchain = fs::read_to_string(root().join("rust-toolchain.toml")).unwrap();
        let channel = toolchain
            .lines()
            .find_map(|line| line.strip_prefix("channel = \""))
            .and_then(|rest| rest.strip_suffix('"'))
            .unwrap();
        let dockerfile = dockerfile();
        for line in [
            format!("FROM rust:{channel}-slim-bookworm AS build"),
            format!("ENV RUSTUP_TOOLCHAIN={channel}"),
            format!("ARG VERSION=\"{}\"", env!("CARGO_PKG_VERSION")),
        ] {
            assert!(dockerfile.lines().any(|it| it == line), "{line}");
        }
    }
}
