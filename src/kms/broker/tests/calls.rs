//! Openings on paused time, with a KMS that fails on demand.

use std::time::Duration;

use tokio::time::Instant;

use super::super::request::{Class, Request};
use super::super::settings::BrokerSettings;
use super::super::{Answer, Note};
use super::fake::{Fixture, SEALED_LATE};
use super::support::key;
use crate::envelope::{DataKey, OpenError, Scope, Wrap};
use crate::kms::{Class as Failure, KeyUri};

fn fixture() -> Fixture {
    Fixture::new(BrokerSettings::default())
}

#[tokio::test(start_paused = true)]
async fn second_opening_of_a_document_uses_the_cached_data_key() {
    let fixture = fixture();
    let request = fixture.seal("prod", "db", 1, &[key("k")]);
    for (calls, hits) in [(1, 0), (0, 1), (0, 2)] {
        let Answer::Opened(opened, _slot) = fixture.open(&request).await else {
            panic!("opened");
        };
        assert_eq!(opened.entries()["password"].expose(), b"hunter2");
        assert_eq!(
            (fixture.kms.calls(), fixture.noted(Note::CacheHit)),
            (calls, hits)
        );
    }
    fixture.broker.clear();
    assert_eq!(fixture.outcome(&request).await, "opened");
    assert_eq!(fixture.kms.calls(), 1, "cleared");
    tokio::time::sleep(Duration::from_secs(601)).await;
    assert_eq!(
        fixture.broker.gauges().cached_data_keys,
        0,
        "dropped when it expires, not at the next use"
    );
    assert_eq!(fixture.outcome(&request).await, "opened");
    assert_eq!(fixture.kms.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn drift_is_healed_from_the_cache_while_the_kms_is_down() {
    let fixture = fixture();
    let request = fixture.seal("prod", "db", 1, &[key("k")]);
    assert_eq!(fixture.outcome(&request).await, "opened");
    fixture.kms.fail(&key("k"), Failure::Transient, None, 1000);
    for number in 0..8 {
        let new = fixture.seal("prod", &format!("new-{number}"), 1, &[key("k")]);
        assert_eq!(fixture.outcome(&new).await, "unavailable");
    }
    let drifted = Request {
        class: Class::Drift,
        opened_before: true,
        ..request
    };
    fixture.kms.calls();
    assert_eq!(fixture.outcome(&drifted).await, "opened");
    assert_eq!(fixture.kms.calls(), 0);
}

/// Adds a wrap to an opened document, and returns the ciphertexts that are sent to verify the result.
async fn sent_to_verify(restarted: bool, added: Wrap, new_keys: &[KeyUri]) -> Vec<String> {
    let fixture = fixture();
    let data_key = DataKey::random().expect("random bytes");
    let old = fixture.kms_wrap(&data_key);
    let store = |generation, wraps| fixture.store("prod", "db", generation, Scope::Strict, &data_key, wraps);
    if !restarted {
        assert_eq!(fixture.outcome(&store(1, vec![old.clone()])).await, "opened");
        fixture.kms.calls();
    }
    let added = match &*added.ciphertext {
        "valid" => fixture.kms_wrap_with(&key(added.key.trim_start_matches("nokms://")), &data_key),
        _ => added,
    };
    let verify = Request {
        class: Class::Verify,
        new_keys: new_keys.into(),
        ..store(2, vec![old, added])
    };
    assert_eq!(fixture.outcome(&verify).await, "opened");
    fixture.kms.ciphertexts()
}

// Otherwise a wrap for disaster recovery that does not open is found out when the first key is gone.
#[tokio::test(start_paused = true)]
async fn added_wrap_is_verified_by_a_call_whatever_is_cached() {
    let wrap = |name: &str, ciphertext: &str| Wrap {
        key: key(name).to_string(),
        ciphertext: ciphertext.to_owned(),
    };
    for restarted in [false, true] {
        let sent = sent_to_verify(restarted, wrap("new", "valid"), &[key("new")]).await;
        assert_eq!(sent, ["ciphertext-1"], "restarted: {restarted}");
        let sent = sent_to_verify(restarted, wrap("new", "damaged"), &[key("new")]).await;
        assert_eq!(sent, ["damaged", "ciphertext-0"], "restarted: {restarted}");
    }
    // A key of the last success, whose wrap has not opened: re-encrypted.
    let sent = sent_to_verify(false, wrap("known", "valid"), &[]).await;
    assert_eq!(sent, ["ciphertext-1"]);
}

#[tokio::test(start_paused = true)]
async fn cached_data_key_opens_no_document_of_another_place() {
    let fixture = fixture();
    let data_key = DataKey::random().expect("random bytes");
    let wrap = |name: &str| Wrap {
        key: key("k").to_string(),
        ciphertext: name.to_owned(),
    };
    // Copies of one wrap under other names, namespaces and scopes: the KMS refuses each, and none finds the cached key.
    let good = fixture.seal("prod", "db", 1, &[key("k")]);
    assert_eq!(fixture.outcome(&good).await, "opened");
    assert_eq!(fixture.kms.calls(), 1);
    for (namespace, name, scope) in [
        ("prod", "copy", Scope::Strict),
        ("dev", "db", Scope::Strict),
        ("prod", "wide", Scope::NamespaceWide),
        ("dev", "wide", Scope::ClusterWide),
    ] {
        let wraps = vec![wrap("ciphertext-0")];
        let copy = fixture.store(namespace, name, 1, scope, &data_key, wraps);
        assert_eq!(fixture.outcome(&copy).await, "integrity");
        assert_eq!(fixture.kms.calls(), 1, "{namespace}/{name}: the KMS decides");
    }
    assert_eq!(fixture.noted(Note::CacheHit), 0);
}

#[tokio::test(start_paused = true)]
async fn data_key_of_a_document_that_fails_later_is_not_cached() {
    let fixture = fixture();
    let good = fixture.seal("prod", "db", 1, &[key("k")]);
    // The wrap of another data key: the commitment does not match.
    let data_key = DataKey::random().expect("random bytes");
    let wrap = Wrap {
        key: key("k").to_string(),
        ciphertext: "ciphertext-0".to_owned(),
    };
    let bad = fixture.store("prod", "bad", 1, Scope::Strict, &data_key, vec![wrap]);
    assert_eq!(fixture.outcome(&bad).await, "integrity");
    assert_eq!(fixture.broker.gauges().cached_data_keys, 0);
    assert_eq!(fixture.noted(Note::BudgetUsed), 1);
    assert_eq!(fixture.outcome(&good).await, "opened");
    assert_eq!(fixture.broker.gauges().cached_data_keys, 1);
}

#[tokio::test(start_paused = true)]
async fn identical_unwraps_at_the_same_time_make_one_call() {
    let fixture = fixture();
    fixture.kms.set_latency(Duration::from_secs(1));
    let data_key = DataKey::random().expect("random bytes");
    let wrap = fixture.kms_wrap(&data_key);
    let names = ["a", "b", "c"];
    let requests = names.map(|name| {
        fixture.store(
            "prod",
            name,
            1,
            Scope::NamespaceWide,
            &data_key,
            vec![wrap.clone()],
        )
    });
    let [a, b, c] = &requests;
    let outcomes = tokio::join!(fixture.outcome(a), fixture.outcome(b), fixture.outcome(c));
    assert_eq!(outcomes, ("opened", "opened", "opened"));
    assert_eq!(fixture.kms.calls(), 1);

    // A retryable failure is shared, a refusal of the ciphertext is not: each is charged.
    fixture.broker.clear();
    fixture.kms.fail(&key("k"), Failure::Throttled, None, 1);
    let outcomes = tokio::join!(fixture.outcome(a), fixture.outcome(b), fixture.outcome(c));
    assert_eq!(outcomes, ("unavailable", "unavailable", "unavailable"));
    assert_eq!(fixture.kms.calls(), 1);
    let tampered = Wrap {
        ciphertext: "tampered".to_owned(),
        ..wrap
    };
    let [a, b, c] = &names.map(|name| {
        fixture.store(
            "prod",
            name,
            1,
            Scope::NamespaceWide,
            &data_key,
            vec![tampered.clone()],
        )
    });
    let outcomes = tokio::join!(fixture.outcome(a), fixture.outcome(b), fixture.outcome(c));
    assert_eq!(outcomes, ("integrity", "integrity", "integrity"));
    assert_eq!((fixture.kms.calls(), fixture.noted(Note::BudgetUsed)), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn clear_during_a_call_keeps_its_data_key_out_of_the_cache() {
    let fixture = fixture();
    fixture.kms.set_latency(Duration::from_secs(1));
    let request = fixture.seal("prod", "db", 1, &[key("k")]);
    let opening = fixture.outcome(&request);
    let clear = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        fixture.broker.clear();
    };
    assert_eq!(tokio::join!(opening, clear).0, "opened");
    assert_eq!(fixture.broker.gauges().cached_data_keys, 0);
}

#[tokio::test(start_paused = true)]
async fn wrap_whose_key_cannot_be_reached_is_tried_last() {
    let fixture = fixture();
    let keys = [key("down"), key("up")];
    fixture.kms.fail(&key("down"), Failure::Transient, None, 1000);
    for number in 0..5 {
        let request = fixture.seal("prod", &format!("db-{number}"), 1, &keys);
        assert_eq!(fixture.outcome(&request).await, "opened");
        assert_eq!(fixture.kms.calls(), 2, "both wraps, until the breaker opens");
    }
    assert_eq!(fixture.broker.gauges().open_breakers, 1);
    let request = fixture.seal("prod", "next", 1, &keys);
    assert_eq!(fixture.outcome(&request).await, "opened");
    assert_eq!(fixture.kms.calls(), 1, "the healthy wrap first");
    let only_down = fixture.seal("prod", "only", 1, &[key("down")]);
    assert_eq!(fixture.outcome(&only_down).await, "unavailable");
    assert_eq!(fixture.kms.calls(), 0);

    tokio::time::sleep(Duration::from_secs(2)).await;
    fixture.kms.recover();
    assert_eq!(fixture.outcome(&only_down).await, "opened", "the probe");
    assert_eq!(fixture.broker.gauges().open_breakers, 0);
}

#[tokio::test(start_paused = true)]
async fn each_call_is_one_attempt() {
    for (class, outcome) in [
        (Failure::Transient, "unavailable"),
        (Failure::Throttled, "unavailable"),
        (Failure::Denied, "unavailable"),
        (Failure::Integrity, "integrity"),
    ] {
        let fixture = fixture();
        let request = fixture.seal("prod", "db", 1, &[key("k")]);
        fixture.kms.fail(&key("k"), class, None, 1);
        assert_eq!(fixture.outcome(&request).await, outcome, "{class:?}");
        assert_eq!(fixture.kms.calls(), 1, "{class:?}");
        assert_eq!(fixture.outcome(&request).await, "opened");
    }
}

#[tokio::test(start_paused = true)]
async fn throttled_kms_is_called_more_slowly() {
    let fixture = fixture();
    let requests: Vec<_> = (0..40)
        .map(|number| fixture.seal("prod", &format!("db-{number}"), 1, &[key("k")]))
        .collect();
    fixture
        .kms
        .fail(&key("k"), Failure::Throttled, Some("RequestLimitExceeded"), 1);
    assert_eq!(fixture.outcome(&requests[0]).await, "unavailable");
    let start = Instant::now();
    for request in &requests {
        assert_eq!(fixture.outcome(request).await, "opened");
    }
    // 40 calls at 145 per second and no burst, instead of at once.
    let took = start.elapsed();
    assert!(
        (Duration::from_millis(250)..Duration::from_millis(400)).contains(&took),
        "{took:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn deleted_or_replaced_object_costs_no_call() {
    let fixture = fixture();
    let request = fixture.seal("prod", "db", 1, &[key("k")]);
    fixture.seal("prod", "db", 2, &[key("k")]);
    assert_eq!(fixture.outcome(&request).await, "gone");
    fixture.delete(&request);
    assert_eq!(fixture.outcome(&request).await, "gone");
    assert_eq!(fixture.kms.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn panic_is_answered_as_broken_and_returns_its_slot() {
    let fixture = fixture();
    let data_key = DataKey::random().expect("random bytes");
    let wrap = Wrap {
        key: key("k").to_string(),
        ciphertext: "panics".to_owned(),
    };
    for number in 0..64 {
        let (namespace, name) = (format!("ns-{}", number % 4), format!("db-{number}"));
        let request = fixture.store(&namespace, &name, 1, Scope::Strict, &data_key, vec![wrap.clone()]);
        assert_eq!(fixture.outcome(&request).await, "broken");
    }
    let good = fixture.seal("prod", "good", 1, &[key("k")]);
    assert_eq!(fixture.outcome(&good).await, "opened");
}

#[tokio::test(start_paused = true)]
async fn refused_ciphertexts_use_up_the_integrity_budget_of_their_name() {
    let fixture = fixture();
    for generation in 1..=8 {
        let edited = fixture.bad("prod", "db", generation, &key("k"));
        assert_eq!(
            fixture.outcome(&edited).await,
            "integrity",
            "generation {generation}"
        );
    }
    assert_eq!((fixture.kms.calls(), fixture.noted(Note::BudgetUsed)), (5, 5));
    let other = fixture.seal("prod", "other", 1, &[key("k")]);
    assert_eq!(fixture.outcome(&other).await, "opened");
    // A document that opened under this name is exempt, a new one is not.
    let good = fixture.seal("prod", "db", 9, &[key("k")]);
    assert_eq!(fixture.outcome(&good).await, "integrity", "not distinguishable");
    tokio::time::sleep(Duration::from_mins(15)).await;
    assert_eq!(fixture.outcome(&good).await, "opened");
    fixture.kms.fail(&key("k"), Failure::Integrity, None, 10);
    fixture.broker.clear();
    fixture.kms.calls();
    for _ in 0..10 {
        assert_eq!(fixture.outcome(&good).await, "integrity");
    }
    assert_eq!(fixture.kms.calls(), 10, "never charged: it has opened before");
    assert_eq!(fixture.noted(Note::BudgetUsed), 5);
}

#[tokio::test(start_paused = true)]
async fn refusal_is_charged_even_if_another_wrap_opens_the_document() {
    let fixture = fixture();
    let data_key = DataKey::random().expect("random bytes");
    for (generation, calls) in [(1, 2), (2, 2), (3, 2), (4, 2), (5, 1), (6, 0)] {
        let tampered = Wrap {
            key: key("a").to_string(),
            ciphertext: format!("tampered-{generation}"),
        };
        let wraps = vec![tampered, fixture.kms_wrap(&data_key)];
        let request = fixture.store("prod", "db", generation, Scope::Strict, &data_key, wraps);
        let outcome = fixture.outcome(&request).await;
        let expected = if generation < 5 { "opened" } else { "integrity" };
        assert_eq!(outcome, expected, "generation {generation}");
        assert_eq!(fixture.kms.calls(), calls);
    }
    assert_eq!(fixture.noted(Note::BudgetUsed), 5);
}

#[tokio::test(start_paused = true)]
async fn edit_after_a_service_fault_waits() {
    let fixture = fixture();
    let first = fixture.seal("prod", "db", 1, &[key("k")]);
    fixture
        .kms
        .fail(&key("k"), Failure::Transient, Some("InternalError"), 1);
    assert_eq!(fixture.outcome(&first).await, "unavailable");
    assert_eq!(fixture.kms.calls(), 1);
    let edited = fixture.seal("prod", "db", 2, &[key("k")]);
    assert_eq!(fixture.outcome(&edited).await, "unavailable");
    assert_eq!(fixture.kms.calls(), 0);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(fixture.outcome(&edited).await, "opened");
}

#[tokio::test(start_paused = true)]
async fn new_object_is_opened_in_time_while_ten_thousand_of_another_namespace_wait() {
    let fixture = Fixture::new(BrokerSettings {
        calls_per_second: 50,
        namespace_calls_per_second: 25,
        ..BrokerSettings::default()
    });
    fixture.kms.set_latency(Duration::from_millis(20));
    for number in 0..10_000 {
        let request = super::support::request(SEALED_LATE, &format!("db-{number}"), "u", 1);
        assert!(matches!(
            fixture.broker.ask(&request),
            super::super::Asked::Pending(_)
        ));
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let start = Instant::now();
    let small = fixture.seal("small", "db", 1, &[key("k")]);
    assert_eq!(fixture.outcome(&small).await, "opened");
    let took = start.elapsed();
    assert!(took < Duration::from_millis(200), "{took:?}");
    assert!(fixture.broker.gauges().pending > 9000);
}

#[tokio::test(start_paused = true)]
async fn permanent_failures_are_indistinguishable_by_their_error() {
    let fixture = fixture();
    let texts: Vec<_> = {
        let refused = fixture.bad("prod", "a", 1, &key("k"));
        let mut texts = Vec::new();
        for _ in 0..7 {
            let Answer::Failed(error @ OpenError::Integrity { .. }) = fixture.open(&refused).await else {
                panic!("integrity");
            };
            texts.push(error.to_string());
        }
        texts
    };
    assert!(
        texts.windows(2).all(|pair| pair[0] == pair[1]),
        "with and without a call: {texts:?}"
    );
}
