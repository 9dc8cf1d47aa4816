//! Credentials from environment variables, and the other variables that the provider reads.

use std::collections::BTreeMap;

use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};
use zeroize::Zeroizing;

use super::source::{CredentialSource, Fetched, Lookup, Source};
use crate::kms::tencent::error::TencentError;
use crate::kms::tencent::transport::credentials_provider::{Credentials, Part};

const SECRET_ID: &str = "TENCENTCLOUD_SECRET_ID";
const SECRET_KEY: &str = "TENCENTCLOUD_SECRET_KEY";
/// The names of the session token in Tencent's SDKs and tools.
const TOKENS: [&str; 3] = [
    "TENCENTCLOUD_TOKEN",
    "TENCENTCLOUD_SESSION_TOKEN",
    "TENCENTCLOUD_SECURITY_TOKEN",
];

/// The region of STS calls that have none.
pub(super) const REGION: &str = "TENCENTCLOUD_REGION";
/// The path of the profile file.
pub(super) const PROFILE: &str = "TENCENTCLOUD_CREDENTIALS_FILE";
pub(super) const HOME: &str = "HOME";
/// Set by TKE's pod-identity-webhook in a pod with an identity.
pub(super) const TKE_REGION: &str = "TKE_REGION";
pub(super) const TKE_PROVIDER_ID: &str = "TKE_PROVIDER_ID";
pub(super) const TKE_ROLE_ARN: &str = "TKE_ROLE_ARN";
pub(super) const TKE_TOKEN_FILE: &str = "TKE_WEB_IDENTITY_TOKEN_FILE";
const OTHER_VARIABLES: [&str; 7] = [
    REGION,
    PROFILE,
    HOME,
    TKE_REGION,
    TKE_PROVIDER_ID,
    TKE_ROLE_ARN,
    TKE_TOKEN_FILE,
];

/// A snapshot of the variables that this provider reads. No Debug: it holds keys.
#[derive(Clone, Default)]
pub struct Environment {
    values: BTreeMap<&'static str, Zeroizing<String>>,
    /// A variable whose value is not UTF-8.
    not_utf_8: Option<&'static str>,
}

impl Environment {
    /// Reads the variables of the process. A blank one counts as not set.
    pub fn of_process() -> Self {
        let is_not_utf_8 = |name: &&str| std::env::var_os(name).is_some_and(|value| value.to_str().is_none());
        Environment {
            // A home directory may have any name; it has no profile then.
            not_utf_8: names().filter(|name| *name != HOME).find(is_not_utf_8),
            ..Self::from_lookup(|name| std::env::var(name).ok())
        }
    }

    /// Reads the variables that `lookup` returns. A blank one counts as not set.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let set = names().filter_map(|name| {
            let value = Zeroizing::new(lookup(name)?);
            (!value.trim().is_empty()).then_some((name, value))
        });
        Environment {
            values: set.collect(),
            not_utf_8: None,
        }
    }

    /// Returns `TENCENTCLOUD_REGION`.
    pub(in crate::kms::tencent) fn region(&self) -> Option<&str> {
        self.text(REGION)
    }

    fn get(&self, name: &str) -> Option<&Zeroizing<String>> {
        self.values.get(name)
    }

    /// Returns a variable that is not a secret.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.get(name).map(|value| value.as_str())
    }

    /// Returns `None` if neither the secret id nor the secret key is set.
    fn credentials(&self) -> Option<Result<Credentials, TencentError>> {
        let invalid = |why: String, advice: &str| Some(Err(TencentError::credentials(why, advice)));
        if let Some(name) = self.not_utf_8 {
            let why = format!("{name}: the value is not valid UTF-8");
            return invalid(why, "set it to plain text, or unset it");
        }
        let incomplete = |missing: &str, set: &str| {
            invalid(
                format!("{set} is set, but {missing} is not"),
                "set both or neither",
            )
        };
        let (id, key) = match (self.get(SECRET_ID), self.get(SECRET_KEY)) {
            (None, None) => return None,
            (Some(_), None) => return incomplete(SECRET_KEY, SECRET_ID),
            (None, Some(_)) => return incomplete(SECRET_ID, SECRET_KEY),
            (Some(id), Some(key)) => (id, key),
        };
        let token = match self.token() {
            Ok(token) => token,
            Err(why) => return invalid(why, "set only one of them: TENCENTCLOUD_TOKEN"),
        };
        match Credentials::new(id.to_string(), key.clone(), token) {
            Ok(credentials) => Some(Ok(credentials)),
            Err(error) => {
                let name = match error.part {
                    Part::SecretId => SECRET_ID,
                    Part::SecretKey => SECRET_KEY,
                    Part::Token => TOKENS
                        .into_iter()
                        .find(|name| self.get(name).is_some())
                        .unwrap_or(TOKENS[0]),
                };
                invalid(
                    format!("{name}: the value {}", error.fault),
                    "set the variable to the value alone, without quotes, blanks and line breaks",
                )
            }
        }
    }

    /// Returns the session token. Variables that are set must agree.
    fn token(&self) -> Result<Option<Zeroizing<String>>, String> {
        let set: Vec<_> = TOKENS
            .iter()
            .filter_map(|name| Some((name, self.get(name)?)))
            .collect();
        let Some(((name, token), others)) = set.split_first() else {
            return Ok(None);
        };
        match others.iter().find(|(_, other)| other != token) {
            Some((other, _)) => Err(format!("{name} and {other} contain different session tokens")),
            None => Ok(Some((*token).clone())),
        }
    }
}

fn names() -> impl Iterator<Item = &'static str> {
    [SECRET_ID, SECRET_KEY]
        .into_iter()
        .chain(TOKENS)
        .chain(OTHER_VARIABLES)
}

impl CredentialSource for Environment {
    fn source(&self) -> Source {
        Source::Environment
    }

    fn fetch(&self) -> BoxFuture<'_, Lookup> {
        let found = match self.credentials() {
            None => Lookup::NotConfigured(format!("{SECRET_ID} is not set")),
            Some(Ok(credentials)) => Lookup::Found(Fetched::permanent(credentials)),
            Some(Err(error)) => Lookup::Failed(error),
        };
        ready(found).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(set: &[(&str, &str)]) -> Environment {
        Environment::from_lookup(|name| {
            let found = set.iter().rev().find(|(set, _)| *set == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn error(set: &[(&str, &str)]) -> String {
        let found = environment(set).credentials().expect("a variable is set");
        found.err().expect("an error").message.into()
    }

    fn token(set: &[(&str, &str)]) -> Option<String> {
        let found = environment(set).credentials().expect("set").expect("valid");
        assert_eq!(
            (found.secret_id.as_str(), found.secret_key.as_str()),
            ("id", "key")
        );
        found.token.map(|token| token.to_string())
    }

    const ID: (&str, &str) = (SECRET_ID, "id");
    const KEY: (&str, &str) = (SECRET_KEY, "key");

    #[test]
    fn unset_and_empty_variables_are_not_credentials() {
        for set in [&[][..], &[(SECRET_ID, ""), (SECRET_KEY, " ")]] {
            assert!(environment(set).credentials().is_none());
        }
    }

    #[test]
    fn id_without_key_and_invalid_values_are_errors() {
        assert_eq!(
            error(&[ID]),
            "TENCENTCLOUD_SECRET_ID is set, but TENCENTCLOUD_SECRET_KEY is not"
        );
        assert_eq!(
            error(&[KEY]),
            "TENCENTCLOUD_SECRET_KEY is set, but TENCENTCLOUD_SECRET_ID is not"
        );
        for (name, value, fault) in [
            (SECRET_KEY, "key ", "contains a blank"),
            (
                SECRET_KEY,
                "key\r",
                "contains a control character, such as a line break",
            ),
            (SECRET_KEY, "\"key\"", "has quotes around it"),
            (SECRET_KEY, "k\u{e9}y", "contains a character that is not ASCII"),
            (TOKENS[1], "'t'", "has quotes around it"),
        ] {
            assert_eq!(
                error(&[ID, KEY, (name, value)]),
                format!("{name}: the value {fault}")
            );
        }
        assert_eq!(
            error(&[(SECRET_ID, "'id'"), KEY]),
            format!("{SECRET_ID}: the value has quotes around it")
        );
    }

    #[test]
    fn token_is_read_under_each_of_its_names() {
        assert_eq!(token(&[ID, KEY]), None);
        assert_eq!(token(&[ID, KEY, (TOKENS[1], "")]), None);
        for name in TOKENS {
            assert_eq!(token(&[ID, KEY, (name, "t")]).as_deref(), Some("t"), "{name}");
        }
    }

    #[test]
    fn tokens_under_several_names_must_agree() {
        let agreeing = [ID, KEY, (TOKENS[0], "t"), (TOKENS[1], "t")];
        assert_eq!(token(&agreeing).as_deref(), Some("t"));
        assert_eq!(
            error(&[ID, KEY, (TOKENS[0], "a"), (TOKENS[2], "b")]),
            "TENCENTCLOUD_TOKEN and TENCENTCLOUD_SECURITY_TOKEN contain different session tokens"
        );
    }
}
