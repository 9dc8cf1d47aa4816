//! The flags of all KMS providers, generated from their declarations.

use std::ffi::OsString;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, ValueHint, value_parser};

use super::failure::{Failure, Result};
use crate::kms::{self, Capability, Provider, Setting, SettingKind, Settings};

/// The settings of every provider, from flags and their environment variables.
#[derive(Clone, Debug, Default)]
pub(super) struct ProviderArgs(Settings);

impl ProviderArgs {
    pub(super) fn settings(&self) -> &Settings {
        &self.0
    }

    /// Refuses flags of other providers: they would have no effect.
    pub(super) fn only_for(&self, provider: &dyn Provider) -> Result<()> {
        let own = provider.settings();
        match self
            .0
            .flags()
            .find(|flag| own.iter().all(|setting| setting.flag != *flag))
        {
            None => Ok(()),
            Some(flag) => {
                let scheme = provider.scheme();
                let failure = Failure::usage(format!("--{flag} does not apply to the provider {scheme}"));
                Err(match owner(flag) {
                    Some(owner) => failure.help(format!("leave it out, or add --provider {owner}")),
                    None => failure,
                })
            }
        }
    }
}

fn owner(flag: &str) -> Option<&'static str> {
    let owns =
        |provider: &&'static dyn Provider| provider.settings().iter().any(|setting| setting.flag == flag);
    kms::providers().into_iter().find(owns).map(Provider::scheme)
}

impl Args for ProviderArgs {
    fn augment_args(mut command: Command) -> Command {
        for provider in kms::providers() {
            let heading = heading(provider);
            let args = provider
                .settings()
                .iter()
                .map(|setting| argument(setting).help_heading(heading.clone()));
            command = command.args(args);
        }
        command
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ProviderArgs {
    fn from_arg_matches(matches: &ArgMatches) -> std::result::Result<Self, clap::Error> {
        let mut settings = Settings::default();
        for setting in kms::providers().into_iter().flat_map(Provider::settings) {
            let value = matches.get_raw(setting.flag).and_then(|mut values| values.next());
            if let Some(value) = value {
                let is_flag = matches.value_source(setting.flag) == Some(ValueSource::CommandLine);
                settings.set(setting, value.to_owned(), is_flag);
            }
        }
        Ok(ProviderArgs(settings))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> std::result::Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn argument(setting: &Setting) -> Arg {
    let arg = Arg::new(setting.flag)
        .long(setting.flag)
        .env(setting.variable)
        .hide_env_values(true)
        .hide_short_help(setting.advanced)
        .help(setting.help);
    let arg = if setting.details.is_empty() {
        arg
    } else {
        arg.long_help(format!("{}\n\n{}", setting.help, setting.details))
    };
    match setting.kind {
        SettingKind::Text(placeholder) => arg.value_name(placeholder).value_parser(value_parser!(OsString)),
        SettingKind::Path(placeholder) => arg
            .value_name(placeholder)
            .value_hint(ValueHint::AnyPath)
            .value_parser(value_parser!(OsString)),
        SettingKind::Switch => arg
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .value_name("true|false")
            .value_parser(value_parser!(OsString)),
    }
}

/// `the local keyring` as a heading: `Local keyring`.
fn heading(provider: &dyn Provider) -> String {
    let title = provider.title();
    let title = title.strip_prefix("the ").unwrap_or(title);
    let mut chars = title.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + chars.as_str()
}

/// The providers that use [only their configured keys](Capability::ConfiguredKeysOnly). They are used even if no flag names them.
pub(super) fn holders() -> impl Iterator<Item = &'static dyn Provider> {
    kms::providers()
        .into_iter()
        .filter(|provider| provider.can(Capability::ConfiguredKeysOnly))
}
