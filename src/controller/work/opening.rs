//! The controller as the host of the KMS broker: it provides documents and turns answers into findings.

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::context::Context;
use super::document::document;
use super::opener::Opening;
use super::reader::finding_of;
use crate::api::{Finding, Unsupported};
use crate::controller::key::ObjectKey;
use crate::controller::observe::object::Object;
use crate::envelope::OpenError;
use crate::kms::broker::{Answer, Document, Host, Note, ObjectName, Request};
use crate::kms::{KeyUri, KmsError};

impl Host for Context {
    type Refusal = Finding;

    fn document<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Document<Finding>> {
        async move {
            let key = key_of(&request.object);
            let object = self.stores.cache(&key).and_then(|cache| cache.object(&key));
            let is_current = object.as_ref().is_some_and(|object| {
                object.uid == request.uid && object.generation == request.generation && !object.deleting
            });
            if !is_current {
                return Document::Gone;
            }
            let bytes = object.map_or(0, |object| object.summary.bytes);
            let permit = self.large.admit(&key.namespace, bytes).await;
            let spec = match document(self, &key, &request.uid, request.generation).await {
                Ok(Some(spec)) => spec,
                Ok(None) => return Document::Gone,
                Err(finding) => return Document::Refused(finding),
            };
            self.metrics.document_parsed("opening");
            match self.reader.accept(&key, &spec) {
                Ok(accepted) => Document::Accepted(Box::new(accepted), permit),
                Err(finding) => Document::Refused(finding),
            }
        }
        .boxed()
    }

    fn answered(&self, request: &Request) {
        self.queue.add(key_of(&request.object));
    }

    fn reached(&self, key: &KeyUri) {
        self.reached.add(key);
    }

    fn note(&self, note: Note) {
        let metrics = &self.metrics;
        match note {
            Note::Started(waited) => metrics.lane_waited("open", waited),
            Note::Answered(outcome) => metrics.opened(outcome),
            Note::CacheHit => metrics.data_key_looked_up("hit"),
            Note::CacheMiss => metrics.data_key_looked_up("miss"),
            Note::BudgetUsed => metrics.integrity_budget_used(),
        }
    }
}

fn key_of(name: &ObjectName) -> ObjectKey {
    ObjectKey {
        namespace: name.namespace.clone(),
        name: name.name.clone(),
    }
}

/// Converts an answer for the document of `object`; `None` if there was nothing to open any more.
pub(in crate::controller) fn opening_of(
    answer: Answer<Finding>,
    key: &ObjectKey,
    object: &Object,
) -> Option<Opening> {
    let (result, slot) = match answer {
        Answer::Opened(opened, slot) => (Ok(opened), Some(slot)),
        Answer::Refused(finding) => (Err(finding), None),
        Answer::Failed(error) => {
            log_details(&error, key, object);
            (Err(finding_of(error, key, object)), None)
        }
        Answer::Broken => (Err(broken(key, object)), None),
        Answer::Gone => return None,
    };
    Some(Opening {
        uid: object.uid.clone(),
        generation: object.generation,
        result,
        _slot: slot,
    })
}

/// Reports a panic. Its payload may quote the document.
fn broken(key: &ObjectKey, object: &Object) -> Finding {
    let (namespace, name, uid) = (&*key.namespace, &*key.name, &*object.uid);
    let generation = object.generation;
    tracing::error!(
        namespace,
        name,
        uid,
        generation,
        "opening the document panicked; retrying with backoff; report this as a bug"
    );
    Finding::UnsupportedDocument {
        unsupported: Unsupported::Panic,
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
