//! The memory of open documents. An open document takes several times its size until its Secret is written: the plaintext,
//! the request body and what the connection buffers. Small ones are bounded by their number alone.

use std::sync::Arc;

use crate::controller::slots::Slots;
use crate::kms::broker::Permit;
use crate::lanes::Bounds;

/// The size from which a document is large, in bytes of its JSON.
const LARGE: usize = 64 << 10;
/// How many large documents are open at a time, and the most of one namespace while others wait.
const OPEN: Bounds = Bounds {
    total: 4,
    contended: 1,
};

/// Bounds how many large documents are open.
pub(in crate::controller) struct LargeDocuments(Slots);

impl Default for LargeDocuments {
    fn default() -> Self {
        LargeDocuments(Slots::new(OPEN))
    }
}

impl LargeDocuments {
    /// Waits until a document of this size may be opened. Returns what has to be kept while it is open.
    pub(in crate::controller) async fn admit(&self, namespace: &Arc<str>, bytes: usize) -> Option<Permit> {
        if bytes < LARGE {
            return None;
        }
        let (slot, _) = self.0.acquire(namespace).await;
        Some(Box::new(slot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    #[tokio::test(start_paused = true)]
    async fn few_large_documents_are_open_at_a_time() {
        let large = LargeDocuments::default();
        let admit = |namespace: &str, bytes| large.admit(&namespace.into(), bytes).now_or_never();
        let mut open = Vec::new();
        for index in 0..100 {
            open.extend(admit(&index.to_string(), 900_000).flatten());
        }
        assert_eq!(open.len(), OPEN.total);
        assert!(admit("small", LARGE - 1).is_some(), "small ones do not wait");
        open.pop();
        assert!(admit("next", LARGE).is_some());
    }
}
