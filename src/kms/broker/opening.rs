//! One opening: drives a [`PendingUnwrap`], one attempt per call.

use std::time::Instant;

use tokio::sync::oneshot;

use super::answer::{Answer, Document, Host, Note, Slot};
use super::cache::UnwrapId;
use super::core::Call;
use super::integrity::Charge;
use super::request::Request;
use super::shared::{Shareable, Shared, now};
use crate::envelope::{
    Accepted, DataKey, OpenError, Opened, PendingUnwrap, Progress, SecretBytes, UnwrapFailure,
};
use crate::kms::{Class, KeyUri, KmsError, Registry, action};
use crate::sync::lock;

/// Why an opening ends without a document.
enum Stop {
    Failed(OpenError<KmsError>),
    /// The integrity budget of the namespace was used up meanwhile: it waits again.
    Requeue,
}

/// What is known about a data key besides its bytes.
struct Unwrapped {
    response: Result<SecretBytes, UnwrapFailure<KmsError>>,
    /// A failure is reserved from the integrity budget.
    charged: bool,
    /// The epoch of the cache when the call was made; `None` if there was no call.
    called_in: Option<u64>,
}

/// The opening of one request.
pub(super) struct Opening<'a, R> {
    pub(super) shared: &'a Shared<R>,
    pub(super) host: &'a dyn Host<Refusal = R>,
    pub(super) registry: &'a Registry,
    pub(super) request: &'a Request,
    /// The key whose token is taken already.
    pub(super) grant: Option<KeyUri>,
}

impl<R: Send + 'static> Opening<'_, R> {
    /// Opens the document. Returns `None` if the request has to wait again.
    pub(super) async fn run(mut self, mut slot: Slot) -> Option<Answer<R>> {
        let accepted = match self.host.document(self.request).await {
            Document::Accepted(accepted, permit) => {
                slot.keep(permit);
                *accepted
            }
            Document::Refused(refusal) => return Some(Answer::Refused(refusal)),
            Document::Gone => return Some(Answer::Gone),
        };
        match self.open(accepted).await {
            Ok(opened) => {
                lock(&self.shared.core).opened(&self.request.object);
                Some(Answer::Opened(Box::new(opened), slot))
            }
            Err(Stop::Failed(error)) => Some(Answer::Failed(error)),
            Err(Stop::Requeue) => None,
        }
    }

    async fn open(&mut self, accepted: Accepted) -> Result<Opened, Stop> {
        let mut pending = accepted.start();
        loop {
            self.prefer_usable(&mut pending);
            let key = key_of(pending.key());
            let id = self.id(pending.key(), pending.ciphertext(), &pending);
            let unwrapped = self.unwrap(&key, id, &pending).await?;
            let data_key = pending.data_key().to_owned();
            let copy = unwrapped.response.as_ref().ok();
            let copy = copy.and_then(|bytes| DataKey::from_slice(bytes.expose()));
            let unavailable = matches!(unwrapped.response, Err(UnwrapFailure::Unavailable(_)));
            let progress = pending.resume(unwrapped.response);
            let verified = match &progress {
                Ok(Progress::Unwrap(next)) => next.data_key() != data_key,
                Ok(Progress::Opened(_)) | Err(OpenError::Render(_)) => true,
                Err(_) => false,
            };
            if unwrapped.charged {
                self.settle(verified || unavailable);
            }
            if let (true, Some(epoch), Some(copy)) = (verified, unwrapped.called_in, copy) {
                self.remember(&key, id, copy, epoch);
            }
            match progress {
                Ok(Progress::Unwrap(next)) => pending = next,
                Ok(Progress::Opened(opened)) => return Ok(opened),
                Err(error) => return Err(Stop::Failed(error)),
            }
        }
    }

    fn id(&self, key: &str, ciphertext: &str, pending: &PendingUnwrap<KmsError>) -> UnwrapId {
        let namespace = &self.request.object.namespace;
        UnwrapId::new(namespace, key, ciphertext, pending.context())
    }

    /// Tries the wraps first that need no call, then those whose keys can be reached.
    fn prefer_usable(&self, pending: &mut PendingUnwrap<KmsError>) {
        let context = pending.context().clone();
        let core = lock(&self.shared.core);
        let now = now();
        let namespace = &self.request.object.namespace;
        pending.prefer(|wrap| {
            let id = UnwrapId::new(namespace, &wrap.key, &wrap.ciphertext, &context);
            core.rank(self.request, &key_of(&wrap.key), &id, now)
        });
    }

    /// Returns the charge that was reserved, or counts it.
    fn settle(&self, refund: bool) {
        if refund {
            lock(&self.shared.core).integrity.refund(&self.request.object);
        } else {
            self.host.note(Note::BudgetUsed);
        }
    }

    /// Stores a data key that commitment and seal have verified.
    fn remember(&self, key: &KeyUri, id: UnwrapId, data_key: DataKey, epoch: u64) {
        let object = &self.request.object;
        let mut core = lock(&self.shared.core);
        core.integrity.opened(&object.namespace, id);
        if core.caches(key) {
            core.cache.insert(id, data_key, object, epoch, now());
        }
    }

    /// Unwraps a data key: from the cache, with the result of a call in flight, or with a call.
    async fn unwrap(
        &mut self,
        key: &KeyUri,
        id: UnwrapId,
        pending: &PendingUnwrap<KmsError>,
    ) -> Result<Unwrapped, Stop> {
        let without_call = |response| Unwrapped {
            response,
            charged: false,
            called_in: None,
        };
        let mut flight = loop {
            {
                let mut core = lock(&self.shared.core);
                let now = now();
                // A cached data key would prove nothing about a wrap.
                if core.caches(key) && self.request.class != super::request::Class::Verify {
                    if let Some(bytes) = core.cache.get(&id, now) {
                        self.host.note(Note::CacheHit);
                        return Ok(without_call(Ok(bytes)));
                    }
                    self.host.note(Note::CacheMiss);
                }
                if let Some(fault) = core.blocking_fault(self.request, now) {
                    return Ok(without_call(Err(UnwrapFailure::Unavailable(fault))));
                }
            }
            let joined = lock(&self.shared.flights).join(id, oneshot::channel);
            match joined {
                None => {
                    break Flight {
                        shared: self.shared,
                        id,
                        result: None,
                    };
                }
                // Otherwise it is not shareable, or its leader was cancelled: everybody makes their own call.
                Some(result) => {
                    if let Ok(Some(shared)) = result.await {
                        return Ok(without_call(shared.map_err(UnwrapFailure::Unavailable)));
                    }
                }
            }
        };
        let charge = self.reserve(&id);
        let charged = charge == Charge::Reserved;
        match charge {
            Charge::Exempt | Charge::Reserved => {}
            Charge::Wait => return Err(Stop::Requeue),
            Charge::Refused => {
                let message = "the integrity budget is used up";
                let error = KmsError::new(Class::Integrity, key, action::DECRYPT, message);
                return Ok(without_call(Err(UnwrapFailure::Rejected(error))));
            }
        }
        let (result, epoch) = match self.call(key, pending).await {
            Ok(called) => called,
            Err(unavailable) => {
                let response = Err(UnwrapFailure::Unavailable(*unavailable));
                return Ok(Unwrapped {
                    charged,
                    ..without_call(response)
                });
            }
        };
        flight.result = match &result {
            Ok(bytes) => Some(Ok(bytes.clone())),
            Err(error) => error.class.is_retryable().then(|| Err(error.clone())),
        };
        drop(flight);
        let response = result.map_err(|error| {
            if error.class.is_permanent() {
                UnwrapFailure::Rejected(error)
            } else {
                UnwrapFailure::Unavailable(error)
            }
        });
        Ok(Unwrapped {
            response,
            charged,
            called_in: Some(epoch),
        })
    }

    fn reserve(&self, id: &UnwrapId) -> Charge {
        if self.request.opened_before {
            return Charge::Exempt;
        }
        let mut core = lock(&self.shared.core);
        core.integrity.reserve(&self.request.object, id, now())
    }

    /// Makes one call, and a second one if the provider has corrected what prevented the first.
    async fn call(
        &mut self,
        key: &KeyUri,
        pending: &PendingUnwrap<KmsError>,
    ) -> Result<(Result<SecretBytes, KmsError>, u64), Box<KmsError>> {
        let (result, epoch) = self.attempt(key, pending).await?;
        if result.as_ref().is_err_and(|error| error.repeat_now) {
            return self.attempt(key, pending).await;
        }
        Ok((result, epoch))
    }

    /// Makes one attempt, as soon as budgets allow it. Fails without one while the breaker is open.
    async fn attempt(
        &mut self,
        key: &KeyUri,
        pending: &PendingUnwrap<KmsError>,
    ) -> Result<(Result<SecretBytes, KmsError>, u64), Box<KmsError>> {
        let namespace = &self.request.object.namespace;
        let granted = self.grant.take_if(|grant| grant == key).is_some();
        let epoch = loop {
            let at: Instant = {
                let mut core = lock(&self.shared.core);
                match core.call(key, namespace, granted, now()) {
                    Call::Now => break core.cache.epoch(),
                    Call::At(at) => at,
                    Call::Unavailable(error) => return Err(error),
                }
            };
            tokio::time::sleep_until(at.into()).await;
        };
        let result = match self.registry.require_entry(key, action::DECRYPT) {
            Ok((scheme, kms)) => {
                let call = kms.decrypt(key, pending.ciphertext(), pending.context());
                self.registry.observe(scheme, action::DECRYPT, call).await
            }
            Err(error) => Err(error),
        };
        let error = result.as_ref().err();
        let closed = lock(&self.shared.core).called(self.request, key, error, now());
        if closed {
            self.host.reached(key);
        }
        Ok((result, epoch))
    }
}

impl<R> Drop for Opening<'_, R> {
    fn drop(&mut self) {
        if let Some(key) = self.grant.take() {
            lock(&self.shared.core).return_grant(&key);
        }
    }
}

/// An unwrap that others wait for. On drop they get its result.
struct Flight<'a, R> {
    shared: &'a Shared<R>,
    id: UnwrapId,
    result: Shareable,
}

impl<R> Drop for Flight<'_, R> {
    fn drop(&mut self) {
        for waiting in lock(&self.shared.flights).land(&self.id) {
            let _ = waiting.send(self.result.clone());
        }
    }
}

fn key_of(key: &str) -> KeyUri {
    #[expect(
        clippy::expect_used,
        reason = "a document has passed the structure check, whose pattern is KeyUri's"
    )]
    KeyUri::parse(key).expect("a key URI")
}
