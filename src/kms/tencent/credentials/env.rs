//! Credentials from the environment of the process.

use std::collections::BTreeMap;

use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};
use zeroize::Zeroizing;

use super::{Credentials, Fetched, Found, Provide, Source, Trouble};

const SECRET_ID: &str = "TENCENTCLOUD_SECRET_ID";
const SECRET_KEY: &str = "TENCENTCLOUD_SECRET_KEY";
/// The names that Tencent's SDKs and tools have for the session token.
const TOKENS: [&str; 3] = [
    "TENCENTCLOUD_TOKEN",
    "TENCENTCLOUD_SESSION_TOKEN",
    "TENCENTCLOUD_SECURITY_TOKEN",
];

/// A region, for calls of STS that have none of their own.
pub(super) const REGION: &str = "TENCENTCLOUD_REGION";
/// Where the profile file is.
pub(super) const PROFILE: &str = "TENCENTCLOUD_CREDENTIALS_FILE";
pub(super) const HOME: &str = "HOME";
/// What TKE's webhook puts into a pod with an identity.
pub(super) const TKE_REGION: &str = "TKE_REGION";
pub(super) const TKE_PROVIDER_ID: &str = "TKE_PROVIDER_ID";
pub(super) const TKE_ROLE_ARN: &str = "TKE_ROLE_ARN";
pub(super) const TKE_TOKEN_FILE: &str = "TKE_WEB_IDENTITY_TOKEN_FILE";
const OTHERS: [&str; 7] = [
    REGION,
    PROFILE,
    HOME,
    TKE_REGION,
    TKE_PROVIDER_ID,
    TKE_ROLE_ARN,
    TKE_TOKEN_FILE,
];

/// The variables that this provider reads, taken once. No Debug: it holds keys.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<&'static str, Zeroizing<String>>);

impl Environment {
    /// The process's own. A variable that is empty counts as not set.
    pub fn of_process() -> Self {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// Of any source of variables.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let names = [SECRET_ID, SECRET_KEY].into_iter().chain(TOKENS).chain(OTHERS);
        let set = names.filter_map(|name| {
            let value = Zeroizing::new(lookup(name)?);
            (!value.is_empty()).then_some((name, value))
        });
        Environment(set.collect())
    }

    /// `TENCENTCLOUD_REGION`.
    pub(in crate::kms::tencent) fn region(&self) -> Option<&str> {
        self.text(REGION)
    }

    fn get(&self, name: &str) -> Option<&Zeroizing<String>> {
        self.0.get(name)
    }

    /// A variable that is no secret.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.get(name).map(|value| value.as_str())
    }

    /// `None` when neither id nor key is set.
    fn credentials(&self) -> Option<Result<Credentials, Trouble>> {
        let wrong = |why: String, advice| Some(Err(Trouble::new(why, advice)));
        let missing =
            |name: &str, there: &str| wrong(format!("{there} is set, {name} is not"), "set both, or neither");
        let (id, key) = match (self.get(SECRET_ID), self.get(SECRET_KEY)) {
            (None, None) => return None,
            (Some(_), None) => return missing(SECRET_KEY, SECRET_ID),
            (None, Some(_)) => return missing(SECRET_ID, SECRET_KEY),
            (Some(id), Some(key)) => (id, key),
        };
        let token = match self.token() {
            Ok(token) => token,
            Err(why) => return wrong(why, "set one of the names only: TENCENTCLOUD_TOKEN"),
        };
        match Credentials::new(id.to_string(), key.clone(), token) {
            Ok(credentials) => Some(Ok(credentials)),
            Err(why) => wrong(
                why.to_owned(),
                "look for a line break or a blank at the end of the variable, and set it anew",
            ),
        }
    }

    /// The session token under any of its names, which must agree.
    fn token(&self) -> Result<Option<Zeroizing<String>>, String> {
        let set: Vec<_> = TOKENS
            .iter()
            .filter_map(|name| Some((name, self.get(name)?)))
            .collect();
        let Some(((name, token), others)) = set.split_first() else {
            return Ok(None);
        };
        match others.iter().find(|(_, other)| other != token) {
            Some((other, _)) => Err(format!("{name} and {other} hold different session tokens")),
            None => Ok(Some((*token).clone())),
        }
    }
}

impl Provide for Environment {
    fn source(&self) -> Source {
        Source::Environment
    }

    fn fetch(&self) -> BoxFuture<'_, Found> {
        let found = match self.credentials() {
            None => Found::Absent(format!("{SECRET_ID} is not set")),
            Some(Ok(credentials)) => Found::Credentials(Fetched::for_good(credentials)),
            Some(Err(trouble)) => Found::Unusable(trouble),
        };
        ready(found).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(set: &[(&str, &str)]) -> Environment {
        Environment::from_lookup(|name| {
            let found = set.iter().find(|(set, _)| *set == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn id_and_key_are_there_together_and_the_token_has_three_names() {
        let (id, key) = ((SECRET_ID, "id"), (SECRET_KEY, "key"));
        assert!(environment(&[]).credentials().is_none());
        assert!(
            environment(&[(SECRET_ID, ""), (SECRET_KEY, "")])
                .credentials()
                .is_none()
        );
        let error = |set: &[(&str, &str)]| {
            let found = environment(set).credentials().expect("something is set");
            found.err().expect("an error").why
        };
        assert_eq!(
            error(&[id]),
            "TENCENTCLOUD_SECRET_ID is set, TENCENTCLOUD_SECRET_KEY is not"
        );
        assert_eq!(
            error(&[key]),
            "TENCENTCLOUD_SECRET_KEY is set, TENCENTCLOUD_SECRET_ID is not"
        );
        assert_eq!(
            error(&[id, (SECRET_KEY, "key ")]),
            "the secret key is empty or has blanks or other stray characters"
        );
        assert_eq!(
            error(&[id, key, (TOKENS[0], "a"), (TOKENS[2], "b")]),
            "TENCENTCLOUD_TOKEN and TENCENTCLOUD_SECURITY_TOKEN hold different session tokens"
        );
        let token = |set: &[(&str, &str)]| {
            let found = environment(set).credentials().expect("set").expect("good");
            assert_eq!(
                (found.secret_id.as_str(), found.secret_key.as_str()),
                ("id", "key")
            );
            found.token.map(|token| token.to_string())
        };
        assert_eq!(token(&[id, key]), None);
        assert_eq!(token(&[id, key, (TOKENS[1], "")]), None);
        for name in TOKENS {
            assert_eq!(token(&[id, key, (name, "t")]).as_deref(), Some("t"), "{name}");
        }
        assert_eq!(
            token(&[id, key, (TOKENS[0], "t"), (TOKENS[1], "t")]).as_deref(),
            Some("t")
        );
    }
}
