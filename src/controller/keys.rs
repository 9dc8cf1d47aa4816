//! The KMS keys that documents are opened with.

use std::path::PathBuf;
use std::sync::Arc;

use super::metered::Metered;
use super::reconcile::Context;
use crate::kms::local::{self, LocalKms, Refresh};
use crate::kms::tencent::{self, TencentKms};
use crate::kms::{Kms, Registry};
use crate::metrics::Metrics;

/// The KMSs, their calls counted.
pub(super) fn providers(
    keyring: Option<&Arc<LocalKms>>,
    tencent: Option<&Arc<TencentKms>>,
    metrics: &Arc<Metrics>,
) -> Registry {
    let mut registry = Registry::new();
    let mut provide = |scheme, kms: Arc<dyn Kms>| {
        registry.insert(scheme, Arc::new(Metered::new(scheme, kms, metrics.clone())));
    };
    if let Some(keyring) = keyring {
        provide(local::SCHEME, keyring.clone());
    }
    if let Some(tencent) = tencent {
        provide(tencent::SCHEME, tencent.clone());
    }
    registry
}

/// For the log: the keys of the keyring, and what is allowed of others.
pub(super) fn in_use(keyring: Option<&LocalKms>, tencent: Option<&TencentKms>) -> String {
    let local = keyring.map(LocalKms::kids).unwrap_or_default();
    let others = tencent.into_iter().flat_map(|tencent| tencent.allowed().iter());
    joined(
        local
            .iter()
            .map(ToString::to_string)
            .chain(others.map(str::to_owned)),
    )
}

fn joined(keys: impl Iterator<Item = String>) -> String {
    keys.collect::<Vec<_>>().join(",")
}

/// Looks for credentials now and then while there are none, and at their file; others are reason to try every object
/// that was refused for them.
pub(super) async fn follow_credentials(tencent: Arc<TencentKms>, context: Arc<Context>) {
    loop {
        tokio::time::sleep(context.timings.keyring).await;
        if tencent.credentials_revived().await {
            context.try_all_anew();
        }
    }
}

/// Looks at the keyring file now and then; another keyring is reason to look at every object.
pub(super) async fn follow_keyring(keyring: Arc<LocalKms>, path: PathBuf, context: Arc<Context>) {
    let mut said = String::new();
    loop {
        tokio::time::sleep(context.timings.keyring).await;
        let look = keyring.clone();
        let found = tokio::task::spawn_blocking(move || look.refresh_if_changed()).await;
        match found {
            Ok(Refresh::Unchanged) | Err(_) => {}
            Ok(Refresh::Reloaded(held)) => {
                said.clear();
                tracing::info!(keyring = %path.display(), keys = joined(held.iter().map(ToString::to_string)), "the keyring changed");
                context.try_all_anew();
            }
            Ok(Refresh::Failed(error)) => {
                let message =
                    format!("the keyring changed and cannot be used; the keys held before stay: {error}");
                if said != message {
                    tracing::error!(keyring = %path.display(), "{message}");
                    said = message;
                }
            }
        }
    }
}
