//! Man pages, generated from the same definitions as the help.

use std::path::{Path, PathBuf};

use clap::{Args, Command};

use super::failure::{Failure, Result};

/// Write the man pages, one for each command, to a directory (for packages)
#[derive(Args)]
pub(super) struct ManArgs {
    /// An existing directory; pages of the same names are replaced
    #[arg(value_name = "DIRECTORY")]
    directory: PathBuf,
}

/// Runs `man`.
pub(super) fn run(args: &ManArgs, command: Command) -> Result<()> {
    write(&args.directory, command).map_err(|error| {
        let directory = args.directory.display();
        Failure::failed(format!("cannot write man pages to {directory}: {error}"))
            .help("name an existing directory with write permission")
    })
}

fn write(directory: &Path, command: Command) -> std::io::Result<()> {
    // The pages of `help` and its subcommands would only repeat the others.
    clap_mangen::generate_to(command.disable_help_subcommand(true), directory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::root;

    #[test]
    fn each_visible_command_has_a_page_with_its_examples() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), root::command("envelope")).unwrap();
        let page = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap_or_default();
        for command in root::command("envelope").get_subcommands() {
            let name = format!("envelope-{}.1", command.get_name());
            assert_eq!(page(&name).is_empty(), command.is_hide_set(), "{name}");
        }
        assert!(
            page("envelope-seal.1").contains("Examples:"),
            "{}",
            page("envelope-seal.1")
        );
        assert!(!page("envelope-keys-create.1").is_empty());
    }

    #[test]
    fn a_missing_directory_is_reported_with_its_name() {
        let args = ManArgs {
            directory: "/nonexistent/man".into(),
        };
        let failure = run(&args, root::command("envelope")).unwrap_err();
        assert!(
            failure.message.contains("/nonexistent/man"),
            "{}",
            failure.message
        );
    }
}
