//! The settings of providers: declared as data, so that the command line can offer them as flags without knowing any
//! provider.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use super::ProviderError;
use crate::paths;

/// The kind of a setting's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingKind {
    /// A text. The placeholder in help: `URL`.
    Text(&'static str),
    /// A file, or a directory. The placeholder in help: `FILE`.
    Path(&'static str),
    /// `true` or `false`. The flag alone means `true`.
    Switch,
}

/// One flag of a provider and its environment variable. The flag wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The flag without dashes: `tencent-site`. Unique among all providers, and starts with the provider's name unless
    /// the provider is built in and older than this rule.
    pub flag: &'static str,
    /// `ENVELOPE_` and the flag. An empty or blank variable counts as unset.
    pub variable: &'static str,
    /// What the value is.
    pub kind: SettingKind,
    /// One sentence for `-h`, without a full stop.
    pub help: &'static str,
    /// More for `--help`, or empty.
    pub details: &'static str,
    /// Only shown by `--help`: most users never need it.
    pub advanced: bool,
}

/// An environment variable that a provider reads besides its settings, for the reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variable {
    /// One or several names of one meaning.
    pub names: &'static [&'static str],
    /// What it means. Markdown.
    pub meaning: &'static str,
}

/// A value, and where it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given<T> {
    /// The value.
    pub value: T,
    /// The flag with its dashes, or the variable.
    pub source: String,
    /// Whether it was given as a flag.
    pub is_flag: bool,
}

/// The values of all providers' settings, by flag. A setting without a value is absent. Holds no secret: secrets are
/// in files and in variables that the provider itself reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings(BTreeMap<&'static str, Given<OsString>>);

impl Settings {
    /// Sets a value. Blank values count as unset.
    pub fn set(&mut self, setting: &Setting, value: OsString, is_flag: bool) {
        if value.to_str().is_some_and(|text| text.trim().is_empty()) {
            return;
        }
        let source = if is_flag {
            format!("--{}", setting.flag)
        } else {
            setting.variable.to_owned()
        };
        self.0.insert(
            setting.flag,
            Given {
                value,
                source,
                is_flag,
            },
        );
    }

    /// The same as a flag on the command line.
    #[must_use]
    pub fn with(mut self, setting: &Setting, value: impl Into<OsString>) -> Self {
        self.set(setting, value.into(), true);
        self
    }

    /// A text. An error if it is not UTF-8.
    pub fn text(&self, flag: &str) -> Result<Option<Given<&str>>, ProviderError> {
        let Some(given) = self.0.get(flag) else {
            return Ok(None);
        };
        match given.value.to_str() {
            Some(value) => Ok(Some(Given {
                value,
                source: given.source.clone(),
                is_flag: given.is_flag,
            })),
            None => Err(ProviderError::configuration(
                format!("{}: the value is not valid UTF-8", given.source),
                "set it to plain text",
            )),
        }
    }

    /// A path. `~/` at its start is the home directory. An error if it is not meant literally: a URL, an unexpanded
    /// variable.
    pub fn path(&self, flag: &str) -> Result<Option<PathBuf>, ProviderError> {
        let Some(given) = self.0.get(flag) else {
            return Ok(None);
        };
        paths::resolve(&given.value).map(Some).map_err(|error| {
            ProviderError::configuration(format!("{}: {}", given.source, error.reason()), error.advice())
        })
    }

    /// A switch; `false` if absent.
    pub fn switch(&self, flag: &str) -> Result<bool, ProviderError> {
        match self.text(flag)? {
            None => Ok(false),
            Some(given) => given.value.parse().map_err(|_| {
                ProviderError::configuration(
                    format!("{}: {:?} is neither true nor false", given.source, given.value),
                    "set it to true or false, or leave it unset",
                )
            }),
        }
    }

    /// The settings that were given as flags.
    pub fn flags(&self) -> impl Iterator<Item = &'static str> {
        let flags = self.0.iter().filter(|(_, given)| given.is_flag);
        flags.map(|(flag, _)| *flag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SITE: Setting = Setting {
        flag: "demo-site",
        variable: "ENVELOPE_DEMO_SITE",
        kind: SettingKind::Text("SITE"),
        help: "A site",
        details: "",
        advanced: false,
    };
    const ALLOW: Setting = Setting {
        flag: "demo-allow",
        variable: "ENVELOPE_DEMO_ALLOW",
        kind: SettingKind::Switch,
        help: "A switch",
        details: "",
        advanced: true,
    };

    #[test]
    fn blank_values_count_as_unset() {
        let settings = Settings::default().with(&SITE, " ").with(&ALLOW, "");
        assert_eq!(settings, Settings::default());
        assert_eq!(settings.text("demo-site"), Ok(None));
        assert_eq!(settings.switch("demo-allow"), Ok(false));
        assert_eq!(settings.path("demo-site"), Ok(None));
    }

    #[test]
    fn a_value_names_its_flag_or_variable() {
        let mut settings = Settings::default().with(&SITE, "here");
        settings.set(&ALLOW, "yes".into(), false);
        let site = settings.text("demo-site").expect("UTF-8").expect("given");
        assert_eq!((site.value, site.source.as_str()), ("here", "--demo-site"));
        let error = settings.switch("demo-allow").expect_err("neither true nor false");
        assert_eq!(
            error.message,
            "ENVELOPE_DEMO_ALLOW: \"yes\" is neither true nor false"
        );
        assert_eq!(settings.flags().collect::<Vec<_>>(), ["demo-site"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_value_that_is_not_utf_8_is_refused_by_name() {
        use std::os::unix::ffi::OsStringExt as _;
        let mut settings = Settings::default();
        settings.set(&SITE, OsString::from_vec(vec![0xff]), false);
        let error = settings.text("demo-site").expect_err("not UTF-8");
        assert!(error.message.starts_with("ENVELOPE_DEMO_SITE:"), "{error}");
        assert!(
            settings.path("demo-site").is_ok_and(|path| path.is_some()),
            "a path may be any bytes"
        );
    }
}
