//! Suite `image`: the image is built twice, in different places, and both have the same bytes.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};

use super::{
    archive::sha256,
    binary::{self, Place},
};
use crate::{
    git, image,
    prerequisites::{Need, check},
    run::{checked_output, root, run, target_directory},
};

/// Builds the image of the committed sources from two checkouts with different paths of sources, target and cargo's home.
pub(crate) fn image_suite() -> Result<()> {
    check(&[Need::Musl, Need::Buildah, Need::CertificateAuthorities])?;
    let base = target_directory().join("reproducible");
    if base.exists() {
        fs::remove_dir_all(&base).with_context(|| base.display().to_string())?;
    }
    let mut sums = Vec::new();
    for name in ["first", "a/longer/second"] {
        let archive = build_in(&base.join(name))?;
        println!("{name}: {} {}", sha256(&archive)?, archive.display());
        sums.push(sha256(&archive)?);
    }
    fs::remove_dir_all(&base)?;
    ensure!(
        sums[0] == sums[1],
        "the image is not reproducible: the archives of two builds differ"
    );
    println!(
        "\nimage: two builds in different directories, one archive: sha256 {}",
        sums[0]
    );
    Ok(())
}

fn build_in(place: &Path) -> Result<std::path::PathBuf> {
    let sources = place.join("src");
    fs::create_dir_all(&sources)?;
    checkout(&sources)?;
    // The downloaded crates are shared; their path differs.
    let cargo_home = place.join("cargo");
    fs::create_dir_all(&cargo_home)?;
    symlink(binary::cargo_home().join("registry"), cargo_home.join("registry"))?;
    let place = Place {
        target_directory: place.join("target"),
        sources,
        cargo_home,
    };
    let binary = binary::build("release", &place, &git::short_commit())?;
    let archive = place.target_directory.join("image.tar");
    image::of_binary(&binary, env!("CARGO_PKG_VERSION"), Some(archive)).map(|archive| archive.path)
}

/// Writes the sources of the current commit, without Git's directory.
fn checkout(to: &Path) -> Result<()> {
    let archive = to.with_extension("tar");
    let mut git = Command::new("git");
    git.args(["archive", "--format=tar", "HEAD"]).current_dir(root());
    fs::write(&archive, checked_output(&mut git)?)?;
    run(Command::new("tar")
        .arg("--extract")
        .arg("--file")
        .arg(&archive)
        .arg("--directory")
        .arg(to))?;
    fs::remove_file(&archive)?;
    Ok(())
}
