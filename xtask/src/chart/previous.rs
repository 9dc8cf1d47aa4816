//! The chart before its last change, from Git.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, ensure};

use super::support::CHART;
use crate::run::{output, root, run, succeeds};

/// Extracts the chart of HEAD if the work tree differs, otherwise the one before the last commit that changed it. `None` if the
/// history is not available.
pub(crate) fn previous_chart(work: &Path) -> Result<Option<PathBuf>> {
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        git.args(arguments).current_dir(root());
        git
    };
    let commit = if succeeds(&mut git(&["diff", "--quiet", "HEAD", "--", CHART])) {
        let last = output(&mut git(&["log", "-1", "--format=%H", "--", CHART]))?;
        format!("{}^", last.trim())
    } else {
        "HEAD".to_owned()
    };
    if !succeeds(&mut git(&["cat-file", "-e", &format!("{commit}:{CHART}")])) {
        return Ok(None);
    }
    let directory = work.join("previous");
    fs::create_dir_all(&directory)?;
    let archive = directory.join("chart.tar");
    let file = archive.display().to_string();
    run(&mut git(&[
        "archive",
        "--format=tar",
        "--output",
        &file,
        &commit,
        CHART,
    ]))?;
    run(Command::new("tar")
        .arg("-xf")
        .arg(&archive)
        .arg("-C")
        .arg(&directory))?;
    let chart = directory.join(CHART);
    ensure!(chart.is_dir(), "{} is not in the archive", chart.display());
    Ok(Some(chart))
}
