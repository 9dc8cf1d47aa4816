//! Faults of the service while it read a ciphertext.
//!
//! A new generation of an object is normally tried immediately. Not after a service fault on its ciphertext: an outage
//! would otherwise be an oracle that answers each edit (docs/design/controller.md#integrity-budget).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::request::{ObjectName, Request};
use crate::backoff::ExponentialBackoff;
use crate::kms::{Class, KmsError};

/// Faults beyond which those that are over are dropped.
const PRUNE_ABOVE: usize = 1024;

/// The last service fault of each object.
pub(super) struct Faults {
    by_object: HashMap<ObjectName, Fault>,
    /// How long another generation waits, by the number of faults in succession.
    wait: ExponentialBackoff,
}

struct Fault {
    uid: Arc<str>,
    generation: i64,
    count: u32,
    until: Instant,
    error: KmsError,
}

/// Whether the service itself failed, after it had received the ciphertext.
pub(super) fn is_service_fault(error: &KmsError) -> bool {
    error.class == Class::Transient && error.code.is_some()
}

impl Faults {
    pub(super) fn new((first, cap): (Duration, Duration)) -> Self {
        Faults {
            by_object: HashMap::new(),
            wait: ExponentialBackoff { first, cap },
        }
    }

    /// Returns the fault that the request has to wait for: that of another generation or uid. Retries of the same
    /// generation have their own backoff.
    pub(super) fn blocking(&self, request: &Request, now: Instant) -> Option<&KmsError> {
        let fault = self.by_object.get(&request.object)?;
        let other = !request.is_same(&fault.uid, fault.generation);
        (other && now < fault.until).then_some(&fault.error)
    }

    /// Records a service fault.
    pub(super) fn failed(&mut self, request: &Request, error: &KmsError, now: Instant) {
        if self.by_object.len() > PRUNE_ABOVE {
            self.by_object.retain(|_, fault| now < fault.until);
        }
        let before = self.by_object.get(&request.object);
        let count = before.map_or(1, |fault| fault.count.saturating_add(1));
        let fault = Fault {
            uid: request.uid.clone(),
            generation: request.generation,
            count,
            until: now + self.wait.delay(count),
            error: error.clone(),
        };
        self.by_object.insert(request.object.clone(), fault);
    }

    /// The number of objects with a fault.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_object.len()
    }

    /// Forgets the faults of an object whose document opened.
    pub(super) fn opened(&mut self, object: &ObjectName) {
        self.by_object.remove(object);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::support::request;
    use super::*;
    use crate::kms::KeyUri;

    fn fault(code: Option<&str>) -> KmsError {
        let key = KeyUri::parse("nokms://k").expect("a key URI");
        let mut error = KmsError::new(Class::Transient, &key, "Decrypt", "internal error");
        error.code = code.map(Into::into);
        error
    }

    #[test]
    fn only_a_response_of_the_service_is_a_service_fault() {
        assert!(is_service_fault(&fault(Some("InternalError"))));
        assert!(!is_service_fault(&fault(None)), "the network");
        let throttled = KmsError {
            class: Class::Throttled,
            ..fault(Some("RequestLimitExceeded"))
        };
        assert!(!is_service_fault(&throttled));
    }

    #[test]
    fn another_generation_waits_after_a_service_fault() {
        let start = Instant::now();
        let mut faults = Faults::new((Duration::from_secs(1), Duration::from_mins(5)));
        let of = |uid: &str, generation| request("prod", "db", uid, generation);
        faults.failed(&of("u-1", 1), &fault(Some("InternalError")), start);
        assert!(
            faults.blocking(&of("u-1", 1), start).is_none(),
            "it has its own backoff"
        );
        assert!(faults.blocking(&of("u-1", 2), start).is_some());
        assert!(faults.blocking(&of("u-2", 1), start).is_some(), "created again");
        assert!(
            faults
                .blocking(&request("prod", "other", "u-3", 1), start)
                .is_none()
        );
        let second = start + Duration::from_secs(1);
        assert!(faults.blocking(&of("u-1", 2), second).is_none());
        faults.failed(&of("u-1", 2), &fault(Some("InternalError")), second);
        assert!(
            faults
                .blocking(&of("u-1", 3), second + Duration::from_millis(1999))
                .is_some(),
            "doubled"
        );
        assert!(
            faults
                .blocking(&of("u-1", 3), second + Duration::from_secs(2))
                .is_none()
        );
        faults.opened(&of("u-1", 1).object);
        assert!(faults.blocking(&of("u-1", 3), second).is_none());
    }
}
