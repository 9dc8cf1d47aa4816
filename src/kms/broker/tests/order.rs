//! What starts next, without tokio.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::answer::OPEN_DOCUMENTS;
use super::super::core::{Call, Core, Next};
use super::super::request::{Class, Request};
use super::super::settings::BrokerSettings;
use super::super::table::Asked;
use super::support::{key, request};
use crate::kms::{Class as Failure, KeyUri, KmsError};
use crate::lanes::Shares;

struct Fixture {
    core: Core<()>,
    slots: Shares<Arc<str>>,
    now: Instant,
}

impl Fixture {
    fn new(calls_per_second: u32) -> Self {
        let settings = BrokerSettings {
            calls_per_second,
            namespace_calls_per_second: calls_per_second / 2,
            ..BrokerSettings::default()
        };
        Fixture {
            core: Core::new(settings),
            slots: Shares::new(OPEN_DOCUMENTS),
            now: Instant::now(),
        }
    }

    fn ask(&mut self, request: &Request) {
        assert_eq!(self.core.ask(request, self.now), Asked::Pending(self.now));
    }

    /// Starts the next request, at the time when that is possible; its slot stays taken.
    fn start(&mut self) -> Option<Request> {
        loop {
            match self.core.next(&self.slots, self.now) {
                Next::Start(request, _, _) => {
                    self.slots.started(&request.object.namespace);
                    return Some(request);
                }
                Next::Wait(at) => self.now = at?,
            }
        }
    }

    fn finish(&mut self, request: &Request) {
        self.core.table.finish(request, ());
        self.slots.finished(&request.object.namespace);
    }

    fn fail(&mut self, namespace: &str, failed: &KeyUri) {
        let error = KmsError::new(Failure::Transient, failed, "Decrypt", "unreachable");
        let namespace: Arc<str> = namespace.into();
        while self.core.breakers.admits(failed, &namespace, self.now) {
            self.core.breakers.failed(failed, &namespace, &error, self.now);
        }
    }
}

#[test]
fn ten_thousand_of_one_namespace_delay_another_by_less_than_a_second() {
    for (class, calls_per_second) in [
        (Class::NeverSynced, 50),
        (Class::NeverSynced, 290),
        // Another class of the big namespace, which has used up its share, does not come first.
        (Class::Verify, 50),
    ] {
        let mut fixture = Fixture::new(calls_per_second);
        for number in 0..10_000 {
            fixture.ask(&request("big", &number.to_string(), "u", 1));
        }
        for _ in 0..500 {
            let started = fixture.start().expect("a request");
            fixture.finish(&started);
        }
        let (asked_at, mut delays) = (fixture.now, Vec::new());
        for name in ["first", "second", "third"] {
            fixture.ask(&Request {
                class,
                ..request("small", name, "u", 1)
            });
        }
        while delays.len() < 3 {
            let started = fixture.start().expect("a request");
            if &*started.object.namespace == "small" {
                delays.push(fixture.now - asked_at);
            }
            fixture.finish(&started);
        }
        assert!(
            delays[2] < Duration::from_millis(200),
            "{class:?} at {calls_per_second}/s: {delays:?}"
        );
    }
}

#[test]
fn slow_writes_of_one_namespace_hold_no_slot_that_another_needs() {
    let mut fixture = Fixture::new(290);
    for number in 0..200 {
        fixture.ask(&request("slow", &number.to_string(), "u", 1));
    }
    let mut open = 0;
    while fixture.start().is_some() {
        open += 1;
    }
    assert_eq!(open, 24, "alone, a namespace leaves a quarter to others");
    fixture.ask(&request("other", "db", "u", 1));
    let before = fixture.now;
    let started = fixture.start().expect("a request");
    assert_eq!(&*started.object.namespace, "other");
    assert!(
        fixture.now - before < Duration::from_millis(10),
        "it waits for a token, not for a slot"
    );
    fixture.ask(&request("other", "db-2", "u", 1));
    assert!(
        fixture.start().is_none(),
        "its second document waits for its first"
    );
    fixture.finish(&started);
    assert_eq!(&*fixture.start().expect("a request").object.name, "db-2");
}

#[test]
fn rate_of_starts_is_that_of_the_key_and_namespaces_share_it() {
    let mut fixture = Fixture::new(100);
    for number in 0..1000 {
        for namespace in ["a", "b"] {
            fixture.ask(&request(namespace, &number.to_string(), "u", 1));
        }
    }
    let start = fixture.now;
    let mut of_a = 0;
    for _ in 0..1010 {
        let started = fixture.start().expect("a request");
        of_a += usize::from(&*started.object.namespace == "a");
        fixture.finish(&started);
    }
    let took = (fixture.now - start).as_secs_f64();
    assert!((9.9..10.1).contains(&took), "{took} s");
    assert!((500..=510).contains(&of_a), "{of_a}");
}

#[test]
fn key_with_an_open_breaker_delays_no_request_with_another_key() {
    let mut fixture = Fixture::new(290);
    fixture.fail("prod", &key("down"));
    let keys = |names: &[&str]| names.iter().map(|name| key(name)).collect::<Arc<[_]>>();
    for (name, names) in [("both", &["down", "k"][..]), ("down", &["down"]), ("up", &["k"])] {
        fixture.ask(&Request {
            keys: keys(names),
            ..request("prod", name, "u", 1)
        });
    }
    let now = fixture.now;
    let mut grants = Vec::new();
    for _ in 0..3 {
        let Next::Start(request, grant, _) = fixture.core.next(&fixture.slots, now) else {
            panic!("a request");
        };
        grants.push((request.object.name.to_string(), grant));
    }
    let expected = [
        ("both".to_owned(), Some(key("k"))),
        ("down".to_owned(), None),
        ("up".to_owned(), Some(key("k"))),
    ];
    assert_eq!(
        grants, expected,
        "without a usable key, the failure is the answer: it needs no token"
    );
}

#[test]
fn namespace_without_integrity_budget_waits_except_for_documents_that_opened() {
    let mut fixture = Fixture::new(290);
    let budget = &mut fixture.core.integrity;
    let context = crate::envelope::Binding::new(crate::envelope::Scope::Strict, None, "bad", "x").context();
    for number in 0..20 {
        let failed = request("bad", &format!("failed-{number}"), "u", 1);
        let id = super::super::cache::UnwrapId::new("bad", "nokms://k", &number.to_string(), &context);
        budget.reserve(&failed.object, &id, fixture.now);
    }
    let start = fixture.now;
    fixture.ask(&request("bad", "fresh", "u", 1));
    fixture.ask(&request("bad", "failed-3", "u", 2));
    let healed = Request {
        opened_before: true,
        class: Class::Drift,
        ..request("bad", "healed", "u", 1)
    };
    fixture.ask(&healed);
    let mut started = Vec::new();
    for _ in 0..3 {
        let request = fixture.start().expect("a request");
        started.push((request.object.name.to_string(), fixture.now - start));
        fixture.finish(&request);
    }
    let six_minutes = Duration::from_mins(6);
    assert_eq!(
        started,
        [
            ("failed-3".to_owned(), Duration::ZERO),
            ("healed".to_owned(), Duration::ZERO),
            ("fresh".to_owned(), six_minutes),
        ],
        "one that has failed before is refused, not kept waiting"
    );
}

#[test]
fn keys_on_this_host_have_no_budget() {
    let settings = BrokerSettings {
        calls_per_second: 1,
        burst: 1,
        unlimited: ["nokms"].into(),
        ..BrokerSettings::default()
    };
    let mut fixture = Fixture {
        core: Core::new(settings),
        ..Fixture::new(1)
    };
    let start = fixture.now;
    for number in 0..1000 {
        fixture.ask(&request("prod", &number.to_string(), "u", 1));
    }
    for _ in 0..1000 {
        let started = fixture.start().expect("a request");
        fixture.finish(&started);
    }
    assert_eq!(fixture.now, start);
}

#[test]
fn further_calls_of_openings_delay_another_namespace_by_less_than_a_second() {
    // An attack: documents with 16 wraps under keys that do not exist. Each opening makes 16 calls, and the first ones of
    // the waiting requests compete with the further ones of those that are open.
    let mut fixture = Fixture::new(50);
    for number in 0..200 {
        fixture.ask(&request("big", &number.to_string(), "u", 1));
    }
    let mut open: Vec<(Request, u8)> = Vec::new();
    let mut asked = None;
    let start = fixture.now;
    while fixture.now < start + Duration::from_secs(20) {
        let now = fixture.now;
        // The worst order: openings that have a slot come first.
        for (request, left) in &mut open {
            let granted = fixture
                .core
                .call(&key("k"), &request.object.namespace, false, now)
                == Call::Now;
            *left -= u8::from(granted);
        }
        let done: Vec<Request> = open
            .extract_if(.., |(_, left)| *left == 0)
            .map(|(request, _)| request)
            .collect();
        for request in &done {
            fixture.finish(request);
        }
        while let Next::Start(request, _, _) = fixture.core.next(&fixture.slots, now) {
            if let Some(asked) = asked.filter(|_| &*request.object.namespace == "small") {
                let delay = now - asked;
                assert!(delay < Duration::from_millis(500), "{delay:?}");
                return;
            }
            fixture.slots.started(&request.object.namespace);
            open.push((request, 15));
        }
        if asked.is_none() {
            asked = Some(now);
            fixture.ask(&request("small", "db", "u", 1));
        }
        fixture.now += Duration::from_millis(5);
    }
    panic!("the other namespace was not served");
}

#[test]
fn made_up_keys_leave_bounded_state() {
    // An allow list may be a prefix, so a tenant can name any number of keys, and an outage lets each fail.
    let mut fixture = Fixture::new(290);
    let mut most = [0; 3];
    for number in 0..100_000_u32 {
        let name = number.to_string();
        let made_up = Request {
            keys: [key(&name)].into(),
            ..request("many", &name, "u", 1)
        };
        fixture.ask(&made_up);
        let started = fixture.start().expect("a request");
        let called = fixture
            .core
            .call(&made_up.keys[0], &"many".into(), true, fixture.now);
        assert_eq!(called, Call::Now);
        let mut error = KmsError::new(Failure::Transient, &made_up.keys[0], "Decrypt", "unreachable");
        error.code = (number % 2 == 0).then(|| "InternalError".into());
        fixture
            .core
            .called(&started, &made_up.keys[0], Some(&error), fixture.now);
        fixture.finish(&started);
        assert!(fixture.core.table.take(&started).is_some());
        fixture.now += Duration::from_millis(7);
        for (most, kept) in most.iter_mut().zip(fixture.core.kept()) {
            *most = kept.max(*most);
        }
    }
    assert!(most.iter().all(|kept| *kept <= 2048), "{most:?}");
}

#[test]
fn first_class_of_two_namespaces_starves_no_other_class() {
    // An attack: together the shares of two namespaces are the whole budget, and both keep creating objects.
    let mut fixture = Fixture::new(100);
    let start = fixture.now;
    let verify = Request {
        class: Class::Verify,
        ..request("small", "db", "u", 1)
    };
    fixture.ask(&verify);
    let mut reported = false;
    for number in 0..10_000 {
        for namespace in ["a", "b"] {
            fixture.ask(&request(namespace, &number.to_string(), "u", 1));
        }
        let started = fixture.start().expect("a request");
        let waited = fixture.now - start;
        if started.object == verify.object {
            assert!(waited < Duration::from_secs(31), "{waited:?}");
            return;
        }
        fixture.finish(&started);
        // As the controller asks when it reports that the object is waiting.
        if waited >= Duration::from_secs(30) && !reported {
            reported = true;
            assert_eq!(fixture.core.ask(&verify, fixture.now), Asked::Pending(start));
        }
    }
    panic!("it was not served for {:?}", fixture.now - start);
}
