//! Events of `events.k8s.io`, sent on change only, through a bounded queue with a rate limit. If it is full, events are
//! dropped and counted, so a cold start of many objects is not slowed by them. Namespaces take turns, and a full queue
//! drops an event of the namespace with the most, so no namespace delays or displaces the events of another.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event as ApiEvent;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::json;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::token::WriterToken;
use crate::api::Reason;
use crate::config;
use crate::controller::key::ObjectKey;
use crate::envelope::wire::{API_VERSION, KIND};
use crate::lanes::Lanes;
use crate::metrics::Metrics;
use crate::sync::lock;

/// Maximum number of queued events.
const CAPACITY: usize = 1000;
/// Maximum number of remembered events, whose repetition is a patch of the series.
const REMEMBERED: usize = 1000;
/// The number of events about one object that are sent without delay, and the interval of further ones, as in client-go: one
/// object that changes all the time must not displace the events of others.
const OBJECT_BURST: u32 = 25;
const OBJECT_INTERVAL: Duration = Duration::from_mins(5);
/// How long after the last occurrence an equal event counts as a repetition.
const SERIES: Duration = Duration::from_mins(6);
/// The field `reportingController`.
const REPORTER: &str = "envelope-secrets.io/controller";
/// Maximum length of an event name without its unique suffix.
const NAME_LEN: usize = 220;

/// An event about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::controller) struct Event {
    pub(in crate::controller) key: ObjectKey,
    pub(in crate::controller) uid: Arc<str>,
    pub(in crate::controller) reason: Reason,
    /// Type Warning instead of Normal.
    pub(in crate::controller) warning: bool,
    /// At most 1024 bytes; never contains a value of a Secret.
    pub(in crate::controller) note: String,
}

/// The event queue. Cheap to clone.
#[derive(Clone)]
pub(in crate::controller) struct Events(Arc<Shared>);

struct Shared {
    queue: Mutex<Queue>,
    wake: Notify,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct Queue {
    waiting: Lanes<Arc<str>, Event>,
    /// No more events follow.
    closed: bool,
}

impl Events {
    pub(in crate::controller) fn new(metrics: Arc<Metrics>) -> Self {
        Events(Arc::new(Shared {
            queue: Mutex::default(),
            wake: Notify::new(),
            metrics,
        }))
    }

    /// Queues an event. If the queue is full, drops and counts the newest event of the namespace with the most.
    pub(in crate::controller) fn send(&self, event: Event) {
        let mut queue = lock(&self.0.queue);
        queue.waiting.push(&event.key.namespace.clone(), event);
        if queue.waiting.len() > CAPACITY && queue.waiting.pop_longest().is_some() {
            self.0.metrics.event_dropped();
        }
        drop(queue);
        self.0.wake.notify_one();
    }

    /// Ends [`run`] once all queued events are sent.
    pub(in crate::controller) fn close(&self) {
        lock(&self.0.queue).closed = true;
        self.0.wake.notify_one();
    }

    /// Drops and counts the events that are still queued. Returns their number.
    pub(in crate::controller) fn drop_rest(&self) -> usize {
        let rest = std::mem::take(&mut lock(&self.0.queue).waiting).len();
        (0..rest).for_each(|_| self.0.metrics.event_dropped());
        rest
    }

    /// Waits for the next event; `None` if the queue is closed and empty.
    async fn next(&self) -> Option<Event> {
        loop {
            {
                let mut queue = lock(&self.0.queue);
                if let Some((_, event)) = queue.waiting.pop(|_| true) {
                    return Some(event);
                }
                if queue.closed {
                    return None;
                }
            }
            self.0.wake.notified().await;
        }
    }
}

/// Token bucket: a burst, then one token per interval.
struct Bucket {
    interval: Duration,
    burst: u32,
    /// When the bucket will be full again.
    full_at: Instant,
}

impl Bucket {
    fn new(interval: Duration, burst: u32, now: Instant) -> Self {
        Bucket {
            interval,
            burst: burst.max(1),
            full_at: now,
        }
    }

    /// Takes a token and returns when it may be used.
    fn take(&mut self, now: Instant) -> Instant {
        let at = self.next(now);
        self.full_at = self.full_at.max(now) + self.interval;
        at
    }

    /// Takes a token if it may be used now.
    fn try_take(&mut self, now: Instant) -> bool {
        let available = self.next(now) <= now;
        if available {
            self.take(now);
        }
        available
    }

    /// Returns when the next token may be used.
    fn next(&self, now: Instant) -> Instant {
        let full_at = self.full_at.max(now);
        let at = full_at.checked_sub(self.interval * (self.burst - 1));
        at.unwrap_or(now).max(now)
    }
}

/// The events of each object that was the subject of one recently.
#[derive(Default)]
struct Subjects {
    buckets: HashMap<Arc<str>, Bucket>,
    order: VecDeque<Arc<str>>,
}

impl Subjects {
    /// Whether another event about this object may be sent now.
    fn admit(&mut self, uid: &Arc<str>, now: Instant) -> bool {
        let bucket = self.buckets.entry(Arc::clone(uid)).or_insert_with(|| {
            self.order.push_back(Arc::clone(uid));
            Bucket::new(OBJECT_INTERVAL, OBJECT_BURST, now)
        });
        let admitted = bucket.try_take(now);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.buckets.remove(&oldest);
        }
        admitted
    }
}

/// Recently sent events.
#[derive(Default)]
struct Sent {
    names: HashMap<u64, Repeated>,
    order: VecDeque<u64>,
}

struct Repeated {
    name: String,
    count: i32,
    until: Instant,
}

/// The request for an event.
enum Request {
    Create(String),
    Repeat(String, i32),
}

impl Sent {
    fn id(event: &Event) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&event.uid, event.reason, &event.note).hash(&mut hasher);
        hasher.finish()
    }

    /// Ends the series of an event that does not exist: the next equal one is created.
    fn forget(&mut self, event: &Event, now: Instant) {
        if let Some(before) = self.names.get_mut(&Sent::id(event)) {
            before.until = now;
        }
    }

    fn request(&mut self, event: &Event, now: Instant, stamp: i128) -> Request {
        let id = Sent::id(event);
        if let Some(before) = self.names.get_mut(&id)
            && now < before.until
        {
            before.count = before.count.saturating_add(1);
            before.until = now + SERIES;
            return Request::Repeat(before.name.clone(), before.count);
        }
        let name = &event.key.name;
        let name = format!("{}.{stamp:x}", &name[..name.floor_char_boundary(NAME_LEN)]);
        if self
            .names
            .insert(
                id,
                Repeated {
                    name: name.clone(),
                    count: 1,
                    until: now + SERIES,
                },
            )
            .is_none()
        {
            self.order.push_back(id);
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.names.remove(&oldest);
        }
        Request::Create(name)
    }
}

/// Sends events until the queue is closed and empty. From `stop` on, the rate limit no longer applies: only the shutdown
/// time is left.
pub(in crate::controller) async fn run(
    client: Client,
    token: WriterToken,
    events: Events,
    rate: (Duration, u32),
    stop: CancellationToken,
) {
    let mut bucket = Bucket::new(rate.0, rate.1, Instant::now());
    let mut sent = Sent::default();
    let mut subjects = Subjects::default();
    while let Some(event) = events.next().await {
        if !subjects.admit(&event.uid, Instant::now()) {
            events.0.metrics.event_dropped();
            continue;
        }
        let turn = tokio::time::sleep_until(bucket.take(Instant::now()));
        stop.run_until_cancelled(turn).await;
        if !token.is_valid() {
            events.0.metrics.event_dropped();
            continue;
        }
        if let Err(error) = deliver(&client, &mut sent, &event).await {
            events.0.metrics.event_dropped();
            let (namespace, name) = (&*event.key.namespace, &*event.key.name);
            tracing::debug!(namespace, name, reason = %event.reason, "sending the event failed: {}", error_kind(&error));
        }
    }
}

/// Creates the event, or counts it as a repetition of one that exists.
async fn deliver(client: &Client, sent: &mut Sent, event: &Event) -> kube::Result<()> {
    let stamp = Timestamp::now();
    let request = sent.request(event, Instant::now(), stamp.as_nanosecond());
    let creates = matches!(request, Request::Create(_));
    let mut result = send(client, event, request, stamp).await;
    if !creates && matches!(&result, Err(kube::Error::Api(status)) if status.code == 404) {
        // It was deleted.
        sent.forget(event, Instant::now());
        let request = sent.request(event, Instant::now(), stamp.as_nanosecond());
        result = send(client, event, request, stamp).await;
    } else if !creates {
        return result;
    }
    if result.is_err() {
        sent.forget(event, Instant::now());
    }
    result
}

/// Describes an error without the API server's message, which may quote the request.
fn error_kind(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("{} {}", status.code, status.reason),
        _ => "no response".to_owned(),
    }
}

async fn send(client: &Client, event: &Event, request: Request, now: Timestamp) -> kube::Result<()> {
    let events: Api<ApiEvent> = Api::namespaced(client.clone(), &event.key.namespace);
    match request {
        Request::Create(name) => drop(
            events
                .create(&PostParams::default(), &created(event, name, now))
                .await?,
        ),
        Request::Repeat(name, count) => {
            let series = json!({"series": {"count": count, "lastObservedTime": MicroTime(now)}});
            events
                .patch(&name, &PatchParams::default(), &Patch::Merge(series))
                .await?;
        }
    }
    Ok(())
}

fn created(event: &Event, name: String, now: Timestamp) -> ApiEvent {
    let namespace = Some(event.key.namespace.to_string());
    ApiEvent {
        action: Some("Reconcile".to_owned()),
        event_time: Some(MicroTime(now)),
        metadata: ObjectMeta {
            name: Some(name),
            namespace: namespace.clone(),
            ..ObjectMeta::default()
        },
        note: Some(event.note.clone()),
        reason: Some(event.reason.as_str().to_owned()),
        regarding: Some(ObjectReference {
            api_version: Some(API_VERSION.to_owned()),
            kind: Some(KIND.to_owned()),
            name: Some(event.key.name.to_string()),
            namespace,
            uid: Some(event.uid.to_string()),
            ..ObjectReference::default()
        }),
        reporting_controller: Some(REPORTER.to_owned()),
        reporting_instance: Some(config::instance()),
        type_: Some(if event.warning { "Warning" } else { "Normal" }.to_owned()),
        ..ApiEvent::default()
    }
}

#[cfg(test)]
mod tests;
