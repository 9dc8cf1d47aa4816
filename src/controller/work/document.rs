//! The document of an object: kept in memory, or read.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::context::Context;
use super::reconciler::{Reconciler, Snapshot};
use crate::api::Finding;
use crate::controller::act::api_error::ApiError;
use crate::controller::key::ObjectKey;
use crate::envelope::Accepted;

/// Returns the document of this generation of the object `key`; `None` if the object is gone or has changed, which the
/// next reconcile finds out.
pub(in crate::controller) async fn document(
    context: &Context,
    key: &ObjectKey,
    uid: &str,
    generation: i64,
) -> Result<Option<Arc<RawValue>>, Finding> {
    if let Some(kept) = context.stores.documents().get(key, uid, generation) {
        return Ok(Some(kept));
    }
    match context.cluster.object(key).await {
        Ok(Some(read)) if *read.uid == *uid && read.generation == generation => Ok(Some(read.spec.into())),
        Ok(_) => {
            if let Some(cache) = context.stores.cache(key) {
                cache.object_outdated(key);
            }
            Ok(None)
        }
        Err(ApiError::Reportable(refusal)) => Err(refusal.finding),
        Err(_) => Ok(None),
    }
}

impl Reconciler<'_> {
    /// Parses the document that was planned on; `None` if it is not available or not acceptable.
    pub(in crate::controller) async fn accepted(&self, snapshot: &Snapshot) -> Option<Accepted> {
        let object = &snapshot.object;
        let spec = document(self.context, self.key, &object.uid, object.generation).await;
        let spec = spec.ok().flatten()?;
        self.context.metrics.document_parsed("probe");
        self.context.reader.accept(self.key, &spec).ok()
    }
}
