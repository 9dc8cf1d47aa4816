//! The decisions of the broker: what to open next, and whether a call may be made. Pure: callers pass the time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::breaker::{Admission, Breakers};
use super::bucket::TokenBucket;
use super::budgets::Budgets;
use super::cache::{DataKeyCache, UnwrapId};
use super::faults::{Faults, is_service_fault};
use super::integrity::IntegrityBudget;
use super::lanes::{Group, Hints};
use super::request::{ObjectName, Request};
use super::settings::BrokerSettings;
use super::table::{Asked, Table};
use crate::kms::{Class, KeyUri, KmsError};
use crate::lanes::Shares;

/// Namespace shares beyond which full ones are dropped.
const PRUNE_ABOVE: usize = 1024;

/// What the broker does next.
pub(super) enum Next {
    /// Open the document of this request, which has waited since then. The token of its first call is taken already.
    Start(Request, Option<KeyUri>, Instant),
    /// Nothing can start before this time, or before a request, answer or slot changes that; `None` for no time.
    Wait(Option<Instant>),
}

/// Whether a call may be made.
#[derive(Debug, PartialEq)]
pub(super) enum Call {
    /// Now. It must be reported with [`Core::called`].
    Now,
    /// Not before this time.
    At(Instant),
    /// Not while the breaker is open: the failure that opened it.
    Unavailable(Box<KmsError>),
}

/// The state of a broker. `A` is the answer to a request.
pub(super) struct Core<A> {
    settings: BrokerSettings,
    pub(super) table: Table<A>,
    pub(super) cache: DataKeyCache,
    pub(super) integrity: IntegrityBudget,
    pub(super) breakers: Breakers,
    faults: Faults,
    budgets: Budgets,
    shares: HashMap<Arc<str>, TokenBucket>,
}

impl<A> Core<A> {
    pub(super) fn new(settings: BrokerSettings) -> Self {
        Core {
            table: Table::new(),
            cache: DataKeyCache::new(settings.cached_data_keys, settings.data_key_lifetime),
            integrity: IntegrityBudget::new(settings.object_failures, settings.namespace_failures),
            breakers: Breakers::new(settings.breaker),
            faults: Faults::new(settings.fault),
            budgets: Budgets::new(settings.calls_per_second, settings.burst),
            shares: HashMap::new(),
            settings,
        }
    }

    /// [`Table::ask`]. Only a document that opened before may start without a token because its data keys are cached:
    /// others could pass the queue.
    pub(super) fn ask(&mut self, request: &Request, now: Instant) -> Asked<A> {
        let object = &request.object;
        let hints = Hints {
            exempt: request.opened_before || self.integrity.has_failed(object, now),
            cached: request.opened_before && self.cache.holds_any_of(object, now),
        };
        self.table.ask(request, hints, now)
    }

    /// Decides what to do next. Namespaces within their share of calls and slots come first, whatever their class; what
    /// they leave is for the others.
    pub(super) fn next(&mut self, slots: &Shares<Arc<str>>, now: Instant) -> Next {
        self.cache.expire(now);
        let mut wake = self.cache.next_expiry();
        for within_share in [true, false] {
            let mut scan = Scan {
                settings: &self.settings,
                breakers: &self.breakers,
                budgets: &mut self.budgets,
                integrity: &self.integrity,
                ready_at: HashMap::new(),
                wake: None,
                now,
            };
            let shares = &self.shares;
            let lane_ready = |namespace: &Arc<str>| {
                if within_share {
                    let share = shares.get(namespace);
                    slots.may_start(namespace, true) && share.is_none_or(|share| share.is_ready(now))
                } else {
                    slots.may_start(namespace, false)
                }
            };
            let started = self
                .table
                .start(lane_ready, |namespace, group| scan.is_ready(namespace, group));
            wake = wake.into_iter().chain(scan.wake).min();
            if let Some((request, since)) = started {
                self.charge_share(&request.object.namespace, now);
                let grant = self.grant(&request, now);
                return Next::Start(request, grant, since);
            }
        }
        Next::Wait(wake)
    }

    /// Takes the token of a request's first call.
    fn grant(&mut self, request: &Request, now: Instant) -> Option<KeyUri> {
        let namespace = &request.object.namespace;
        let admitted = |key: &&KeyUri| self.breakers.admits(key, namespace, now);
        let keys: Vec<&KeyUri> = request.keys.iter().filter(admitted).collect();
        let limited = |key: &&KeyUri| !self.settings.unlimited.contains(key.scheme());
        let granted = keys
            .into_iter()
            .filter(limited)
            .find(|key| self.budgets.take(key, now));
        granted.cloned()
    }

    fn charge_share(&mut self, namespace: &Arc<str>, now: Instant) {
        if self.shares.len() > PRUNE_ABOVE {
            self.shares.retain(|_, share| !share.is_full(now));
        }
        let rate = self.settings.namespace_calls_per_second.max(1);
        let new = || TokenBucket::new(Duration::from_secs(1) / rate, self.settings.burst);
        self.shares.entry(namespace.clone()).or_insert_with(new).take(now);
    }

    /// Returns a token that [`Core::next`] granted and no call has used.
    pub(super) fn return_grant(&mut self, key: &KeyUri) {
        self.budgets.refund(key);
    }

    /// Returns the order in which to try a wrap: cached data keys, then keys that can be reached, then others. A document
    /// that is opened to verify its wraps uses no cached data key, and tries wraps first that have not opened yet: first
    /// those of keys that are new, as wraps that opened before a restart are not known.
    pub(super) fn rank(&self, request: &Request, key: &KeyUri, id: &UnwrapId, now: Instant) -> u8 {
        let verifies = request.class == super::request::Class::Verify;
        if !verifies && self.cache.contains(id, now) {
            0
        } else if !self.breakers.admits(key, &request.object.namespace, now) {
            4
        } else if verifies && request.new_keys.contains(key) {
            1
        } else if verifies && !self.integrity.has_opened(id) {
            2
        } else {
            3
        }
    }

    /// Decides whether a call with `key` may be made. `granted` says that its token is taken already.
    ///
    /// Calls beyond the first one of a request count against the share of their namespace, and are not made beyond it while
    /// others wait: a document that needs many calls would otherwise pass the queue with each of them.
    pub(super) fn call(&mut self, key: &KeyUri, namespace: &Arc<str>, granted: bool, now: Instant) -> Call {
        let limited = !granted && !self.settings.unlimited.contains(key.scheme());
        if self.breakers.admits(key, namespace, now) && limited {
            let mut ready = self.budgets.ready_at(key, now);
            if self.table.others_wait(namespace) {
                let share = self.shares.get(namespace);
                ready = share.map_or(ready, |share| share.ready_at(now).max(ready));
            }
            if ready > now {
                return Call::At(ready);
            }
        }
        match self.breakers.admit(key, namespace, now) {
            Admission::Open(error) => Call::Unavailable(error),
            Admission::Call => {
                if limited {
                    self.budgets.take(key, now);
                    self.charge_share(namespace, now);
                }
                Call::Now
            }
        }
    }

    /// Takes note of the result of a call. Returns whether it has closed the breaker of the key.
    pub(super) fn called(
        &mut self,
        request: &Request,
        key: &KeyUri,
        error: Option<&KmsError>,
        now: Instant,
    ) -> bool {
        match error {
            Some(error) if error.class == Class::Transient => {
                self.breakers.failed(key, &request.object.namespace, error, now);
                if is_service_fault(error) {
                    self.faults.failed(request, error, now);
                }
                false
            }
            Some(error) if error.class == Class::Throttled => {
                self.budgets.throttled(key, now);
                self.breakers.answered(key)
            }
            _ => self.breakers.answered(key),
        }
    }

    /// The number of entries that are kept for KMS keys, and for faults.
    #[cfg(test)]
    pub(super) fn kept(&self) -> [usize; 3] {
        [self.breakers.len(), self.budgets.len(), self.faults.len()]
    }

    /// Returns the service fault that the request has to wait for.
    pub(super) fn blocking_fault(&self, request: &Request, now: Instant) -> Option<KmsError> {
        self.faults.blocking(request, now).cloned()
    }

    /// Takes note of a document that opened.
    pub(super) fn opened(&mut self, object: &ObjectName) {
        self.faults.opened(object);
    }

    /// Whether data keys of this provider are cached.
    pub(super) fn caches(&self, key: &KeyUri) -> bool {
        !self.settings.unlimited.contains(key.scheme())
    }
}

/// One pass over the waiting requests.
struct Scan<'a> {
    settings: &'a BrokerSettings,
    breakers: &'a Breakers,
    budgets: &'a mut Budgets,
    integrity: &'a IntegrityBudget,
    /// When a call with a key is within its budget. Thousands of lanes share a few keys.
    ready_at: HashMap<KeyUri, Instant>,
    /// The earliest time at which a group that is not ready now may be.
    wake: Option<Instant>,
    now: Instant,
}

impl Scan<'_> {
    fn is_ready(&mut self, namespace: &Arc<str>, group: &Group) -> bool {
        let mut at = self.now;
        if !group.hints.exempt {
            at = at.max(self.integrity.ready_at(namespace, self.now));
        }
        if !group.hints.cached {
            at = at.max(self.keys_ready_at(namespace, group));
        }
        if at > self.now {
            self.wake = self.wake.into_iter().chain([at]).min();
        }
        at <= self.now
    }

    /// When one of the keys can be called. If all breakers are open, immediately: the failure is the answer.
    fn keys_ready_at(&mut self, namespace: &str, group: &Group) -> Instant {
        let admitted = (group.keys.iter()).filter(|key| self.breakers.admits(key, namespace, self.now));
        let mut earliest = None;
        for key in admitted {
            if self.settings.unlimited.contains(key.scheme()) {
                return self.now;
            }
            let ready = self.ready_at.get(key).copied().unwrap_or_else(|| {
                let ready = self.budgets.ready_at(key, self.now);
                self.ready_at.insert(key.clone(), ready);
                ready
            });
            earliest = earliest.into_iter().chain([ready]).min();
        }
        earliest.unwrap_or(self.now)
    }
}
