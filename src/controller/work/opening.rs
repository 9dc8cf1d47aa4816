//! The worker of the opening queue ([`super::opener`]): opens documents with the KMS.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt as _;
use serde_json::value::RawValue;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::context::Context;
use super::document::document;
use super::opener::{Opening, Requests};
use super::reader::{open_label, outcome_of};
use crate::api::{KmsKey, KmsResponse, Outcome};
use crate::controller::key::ObjectKey;
use crate::controller::observe::object::Object;
use crate::controller::slots::{Slot, Slots};
use crate::envelope::{OpenError, Opened};
use crate::kms::KmsError;
use crate::lanes::Bounds;

/// Maximum number of documents that are being opened or are open until their Secrets are written. It bounds both the KMS
/// calls in flight and the plaintexts in memory. No namespace can hold those that another one needs.
const MAX_OPEN: Bounds = Bounds {
    total: 32,
    contended: 8,
};

/// Serves requests until `stop`. Openings in flight are then aborted, which changes nothing in the cluster.
pub(in crate::controller) async fn run(
    context: Arc<Context>,
    mut requests: Requests,
    stop: CancellationToken,
) {
    let slots = Slots::new(MAX_OPEN);
    let mut running = JoinSet::new();
    let work = async {
        while let Some(key) = requests.0.recv().await {
            while running.try_join_next().is_some() {}
            let (context, slots) = (context.clone(), slots.clone());
            running.spawn(async move {
                let (slot, waited) = slots.acquire(&key.namespace).await;
                context.metrics.lane_waited("open", waited);
                serve(context, key, slot).await;
            });
        }
    };
    stop.run_until_cancelled(work).await;
}

/// Finishes the request for `key` on drop, even without a result.
struct AnswerGuard {
    context: Arc<Context>,
    key: ObjectKey,
    opening: Option<Opening>,
}

impl Drop for AnswerGuard {
    fn drop(&mut self) {
        self.context.opener.finish(&self.key, self.opening.take());
        self.context.queue.add(self.key.clone());
    }
}

async fn serve(context: Arc<Context>, key: ObjectKey, slot: Slot) {
    let mut guard = AnswerGuard {
        context,
        key,
        opening: None,
    };
    let (context, key) = (&*guard.context, &guard.key);
    let Some(object) = context.stores.cache(key).and_then(|cache| cache.object(key)) else {
        return;
    };
    let (uid, generation) = (object.uid.clone(), object.generation);
    // A panic is a failure with backoff like any other: without a result, the object would be opened again immediately.
    let result = match AssertUnwindSafe(open(context, key, &object)).catch_unwind().await {
        Ok(Some(result)) => result,
        // Without a result, the object is planned again.
        Ok(None) => return,
        Err(_) => Err(broken(context, key, &object)),
    };
    guard.opening = Some(Opening {
        uid,
        generation,
        result,
        _slot: slot,
    });
}

/// Reports a panic. Its payload may quote the document.
fn broken(context: &Context, key: &ObjectKey, object: &Object) -> Outcome {
    context.metrics.opened("broken");
    let (namespace, name, uid) = (&*key.namespace, &*key.name, &*object.uid);
    let generation = object.generation;
    tracing::error!(
        namespace,
        name,
        uid,
        generation,
        "opening the document panicked; retrying with backoff; report this as a bug"
    );
    Outcome::KmsUnavailable {
        key: Box::new(KmsKey {
            service: "the KMS".to_owned(),
            ..KmsKey::default()
        }),
        response: KmsResponse {
            message: Some("opening the document failed inside the controller; see its log".to_owned()),
            ..KmsResponse::default()
        },
    }
}

/// Opens the document; `None` if the object has changed.
async fn open(context: &Context, key: &ObjectKey, object: &Object) -> Option<Result<Opened, Outcome>> {
    let spec = match document(context, key, &object.uid, object.generation).await {
        Ok(spec) => spec?,
        Err(outcome) => return Some(Err(outcome)),
    };
    Some(open_document(context, key, object, &spec).await)
}

async fn open_document(
    context: &Context,
    key: &ObjectKey,
    object: &Object,
    spec: &RawValue,
) -> Result<Opened, Outcome> {
    context.metrics.document_parsed("opening");
    let accepted = context.reader.accept(key, spec)?;
    match context.reader.open(accepted).await {
        Ok(opened) => {
            context.metrics.opened("opened");
            Ok(opened)
        }
        Err(error) => {
            context.metrics.opened(open_label(&error));
            log_details(&error, key, object);
            Err(outcome_of(error, key, object))
        }
    }
}

/// Logs, at debug level only, the details that conditions, events and metrics must not reveal (docs/format-es1.md section
/// 9).
fn log_details(error: &OpenError<KmsError>, key: &ObjectKey, object: &Object) {
    let (namespace, name, generation) = (&*key.namespace, &*key.name, object.generation);
    let stage = error.stage();
    tracing::debug!(namespace, name, generation, %stage, "the document cannot be opened");
    let failures = match error {
        OpenError::Integrity { refusals, .. } => refusals,
        OpenError::Unavailable { failures, .. } => failures,
        OpenError::Render(_) => return,
    };
    for failure in failures {
        let (kms_key, class) = (failure.key.as_str(), failure.class.as_str());
        let (code, request_id) = (failure.code.as_deref(), failure.request_id.as_deref());
        tracing::debug!(namespace, name, kms_key, class, code, request_id, "{failure}");
    }
}
