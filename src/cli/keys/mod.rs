//! `keys`: KMS keys, in a keyring or in a cloud.

mod keyring;
mod tencent;
mod users;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum, ValueHint};

use super::args::KeyringArgs;
use super::failure::{Failure, Result};
use super::keychain::KeyringFile;
use super::printer::Printer;
use super::tencent::TencentArgs;
use crate::kms::KeyUri;
use crate::kms::tencent::SCHEME;

/// Manage KMS keys: create, list, describe, promote, retire, rotate
///
/// The provider `local` keeps its keys in a keyring file. The first key of the file seals, all of them open. The keys of
/// `tencent-kms` stay in Tencent Cloud KMS.
#[derive(Args)]
pub(super) struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Subcommand)]
enum KeysCommand {
    /// Create a key and print its URI
    ///
    /// In a new keyring it is the key that seals. In one that has keys it comes last and only opens, until
    /// `keys promote` moves it first: so that every controller has it before anything is sealed with it. With
    /// `--provider tencent-kms` it is a symmetric key whose material never leaves the KMS.
    Create {
        #[command(flatten)]
        common: Common,
        /// The alias of a key of Tencent Cloud KMS: 1 to 60 letters, digits, - and _, unique in its region
        #[arg(long, value_name = "ALIAS")]
        alias: Option<String>,
        /// What it is for, of a key of Tencent Cloud KMS
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
        #[command(flatten)]
        region: RegionArgs,
        #[command(flatten)]
        tencent: TencentArgs,
    },
    /// List the keys
    List {
        #[command(flatten)]
        common: Common,
        /// Of Tencent Cloud KMS: only keys whose alias or id contains this
        #[arg(long, value_name = "TEXT")]
        alias: Option<String>,
        #[command(flatten)]
        region: RegionArgs,
        #[command(flatten)]
        output: TableArgs,
        #[command(flatten)]
        tencent: TencentArgs,
    },
    /// Show what is known of a key
    Describe {
        /// The key's URI
        key: String,
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        output: TableArgs,
        #[command(flatten)]
        tencent: TencentArgs,
    },
    /// Make a key the one that seals
    Promote {
        /// The key, as local://fa1975b2 or fa1975b2
        key: String,
        #[command(flatten)]
        common: Common,
    },
    /// Remove a key for good
    ///
    /// What was sealed with it alone never opens again. Therefore manifests are searched for it first, and it stays
    /// while one uses it. Old versions in Git are not searched.
    Retire {
        /// The key, as local://fa1975b2 or fa1975b2
        key: String,
        /// Where to search for manifests that use the key; what Git ignores is left out
        #[arg(value_name = "PATH", default_value = ".", value_hint = ValueHint::AnyPath)]
        paths: Vec<PathBuf>,
        /// Remove it without a search
        #[arg(long)]
        no_check: bool,
        #[command(flatten)]
        common: Common,
    },
    /// Let the KMS give a key new material now and then
    ///
    /// The key keeps its URI. What was sealed before still opens, new seals use the new material.
    EnableRotation {
        /// The key's URI
        key: String,
        /// How often, in days; without it, once a year
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(7..=365))]
        days: Option<u16>,
        #[command(flatten)]
        provider: ProviderArgs,
        #[command(flatten)]
        tencent: TencentArgs,
    },
    /// Let a key keep the material that it has
    DisableRotation {
        /// The key's URI
        key: String,
        #[command(flatten)]
        provider: ProviderArgs,
        #[command(flatten)]
        tencent: TencentArgs,
    },
}

#[derive(Args)]
struct Common {
    #[command(flatten)]
    provider: ProviderArgs,
    #[command(flatten)]
    keyring: KeyringArgs,
}

#[derive(Args)]
struct ProviderArgs {
    /// The KMS that keeps the keys; without it, the one of the key's URI, else `local`
    #[arg(long, value_enum)]
    provider: Option<Provider>,
}

#[derive(Args)]
struct RegionArgs {
    /// The region of Tencent Cloud, such as ap-guangzhou; without it, TENCENTCLOUD_REGION
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
}

#[derive(Args)]
struct TableArgs {
    /// The format
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    output: TableFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Provider {
    /// A keyring file on this machine
    Local,
    /// Keys in Tencent Cloud KMS
    TencentKms,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum TableFormat {
    /// For people
    #[default]
    Table,
    /// For programs
    Json,
}

/// Runs it.
pub(super) async fn run(args: &KeysArgs, printer: Printer) -> Result<()> {
    match &args.command {
        KeysCommand::Create {
            common,
            alias,
            description,
            region,
            tencent,
        } => {
            if common.is_tencent(None)? {
                return tencent::create(tencent, region, alias.as_deref(), description.as_deref(), printer)
                    .await;
            }
            local_only(region, [("--alias", alias), ("--description", description)])?;
            keyring::create(&common.file()?, printer)
        }
        KeysCommand::List {
            common,
            alias,
            region,
            output,
            tencent,
        } => {
            if common.is_tencent(None)? {
                return tencent::list(tencent, region, alias.as_deref(), output.output, printer).await;
            }
            local_only(region, [("--alias", alias)])?;
            keyring::list(&common.file()?, output.output).await
        }
        KeysCommand::Describe {
            key,
            common,
            output,
            tencent,
        } => {
            if common.is_tencent(Some(key))? {
                return tencent::describe(tencent, key, output.output, printer).await;
            }
            keyring::describe(&common.file()?, key, output.output).await
        }
        KeysCommand::Promote { key, common } => {
            if common.is_tencent(Some(key))? {
                return Err(
                    Failure::usage("only a keyring has a KMS key that seals where none is named")
                        .help("name the KMS key when sealing: --key URI, or ENVELOPE_KEY"),
                );
            }
            keyring::promote(&common.file()?, key, printer)
        }
        KeysCommand::Retire {
            key,
            paths,
            no_check,
            common,
        } => {
            if common.is_tencent(Some(key))? {
                return Err(
                    Failure::usage("a KMS key of Tencent Cloud is not removed from here").help(
                        "disable it in the Tencent Cloud console; if nothing misses it, schedule its deletion there",
                    ),
                );
            }
            let paths = if *no_check { &[] } else { paths.as_slice() };
            keyring::retire(&common.file()?, key, paths, printer)
        }
        KeysCommand::EnableRotation {
            key,
            days,
            provider,
            tencent,
        } => {
            provider.must_be_tencent(key)?;
            tencent::enable_rotation(tencent, key, *days, printer).await
        }
        KeysCommand::DisableRotation {
            key,
            provider,
            tencent,
        } => {
            provider.must_be_tencent(key)?;
            tencent::disable_rotation(tencent, key, printer).await
        }
    }
}

impl ProviderArgs {
    /// Whether the keys are those of Tencent Cloud KMS: by the flag, else by the key's URI.
    fn is_tencent(&self, key: Option<&str>) -> Result<bool> {
        if let Some(provider) = self.provider {
            return Ok(provider == Provider::TencentKms);
        }
        let Some(key) = key else {
            return Ok(false);
        };
        match KeyUri::parse(key) {
            Ok(uri) => Ok(uri.scheme() == SCHEME),
            // What is meant for a URI is no short name of a local key.
            Err(error) if key.contains("://") => Err(Failure::usage(error.to_string())
                .help("a KMS key of Tencent Cloud is written as tencent-kms://REGION/KEY-ID")),
            Err(_) => Ok(false),
        }
    }

    fn must_be_tencent(&self, key: &str) -> Result<()> {
        if self.is_tencent(Some(key))? {
            return Ok(());
        }
        Err(Failure::usage("KMS keys of a keyring are not rotated by themselves").help(
            "create a new KMS key and make it the one that seals: envelope keys create, envelope keys promote",
        ))
    }
}

impl Common {
    /// Whether the keys are those of Tencent Cloud KMS, which are in no keyring.
    fn is_tencent(&self, key: Option<&str>) -> Result<bool> {
        let is_tencent = self.provider.is_tencent(key)?;
        if is_tencent && self.keyring.keyring.is_some() {
            return Err(
                Failure::usage("--keyring is for local keys").help("leave it out, or use --provider local")
            );
        }
        Ok(is_tencent)
    }

    fn file(&self) -> Result<PathBuf> {
        Ok(KeyringFile::choose(&self.keyring).path()?.clone())
    }
}

/// Refuses flags that a keyring has no use for: whoever gives them wants a key of a cloud.
fn local_only<const N: usize>(region: &RegionArgs, others: [(&str, &Option<String>); N]) -> Result<()> {
    let mut flags = std::iter::once(("--region", &region.region)).chain(others);
    match flags.find(|(_, value)| value.is_some()) {
        None => Ok(()),
        Some((flag, _)) => Err(Failure::usage(format!(
            "{flag} is for KMS keys of a cloud, and the provider is local"
        ))
        .help("add --provider tencent-kms")),
    }
}
