//! KMS keys that can be reached again after an outage.

use std::collections::BTreeSet;
use std::sync::Mutex;

use tokio::sync::Notify;

use crate::kms::KeyUri;
use crate::sync::lock;

/// The keys whose circuit breakers have closed and whose failures are to be retried.
#[derive(Default)]
pub(in crate::controller) struct ReachedKeys {
    keys: Mutex<BTreeSet<KeyUri>>,
    news: Notify,
}

impl ReachedKeys {
    pub(in crate::controller) fn add(&self, key: &KeyUri) {
        lock(&self.keys).insert(key.clone());
        self.news.notify_one();
    }

    /// Waits for keys and removes them.
    pub(in crate::controller) async fn next(&self) -> BTreeSet<KeyUri> {
        loop {
            let keys = std::mem::take(&mut *lock(&self.keys));
            if !keys.is_empty() {
                return keys;
            }
            self.news.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    #[test]
    fn keys_that_are_reached_before_someone_waits_are_kept() {
        let reached = ReachedKeys::default();
        let [first, second] = ["nokms://1", "nokms://2"].map(|uri| KeyUri::parse(uri).expect("a key URI"));
        for key in [&first, &second, &first] {
            reached.add(key);
        }
        assert_eq!(reached.next().now_or_never(), Some([first, second].into()));
        assert_eq!(reached.next().now_or_never(), None);
    }
}
