//! The `local` provider: keys in a keyring file (format-es1 section 10). For a first try, for air-gapped clusters, and
//! for tests. One key both seals and opens, so it cannot separate these duties.

mod client;
mod edit;
mod error;
mod file;
mod key;
mod keyring;
mod manage;
mod provider;
mod wrap;

pub use client::{LocalKms, Refresh};
pub use edit::{create_key, promote, retire};
pub use error::{KeyringError, Problem};
pub use file::FileRules;
pub use key::{Kid, LineError, LocalKey, SCHEME};
pub use keyring::{GrammarError, Keyring};
pub use provider::{KEYRING, LocalProvider, PROVIDER};

#[cfg(test)]
pub(super) use keyring::tests::line as keyring_line;
#[cfg(test)]
mod tests;
