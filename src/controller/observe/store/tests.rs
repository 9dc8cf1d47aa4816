use super::*;
use crate::controller::observe::decode;
use crate::controller::observe::expectations::Version;
use crate::controller::observe::object::Received;
use crate::controller::observe::secret_facts::SecretFacts;
use crate::controller::observe::status_facts::StatusFacts;
use kube::runtime::watcher::Event;
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

fn stores(namespaces: Option<&[String]>) -> Stores {
    Stores::new(namespaces, 1 << 20, &Metrics::new())
}

fn raw(name: &str, resource_version: &str) -> (ObjectKey, Received) {
    let text = json!({"metadata": {"name": name, "namespace": "prod", "uid": format!("o-{name}"),
                      "resourceVersion": resource_version, "generation": 1}, "spec": {}});
    decode::item(&text.to_string()).expect("an object")
}

fn meta(name: &str, resource_version: &str) -> (ObjectKey, SecretFacts) {
    let text = json!({"metadata": {"name": name, "namespace": "prod", "uid": format!("s-{name}"),
                      "resourceVersion": resource_version}});
    decode::item(&text.to_string()).expect("a Secret")
}

fn names(mut keys: Vec<ObjectKey>) -> Vec<String> {
    keys.sort();
    keys.iter().map(|key| key.name.to_string()).collect()
}

fn list_objects(cache: &NamespaceCache, items: &[(&str, &str)]) -> Vec<String> {
    cache.object_event(Event::Init);
    for (name, version) in items {
        assert!(
            cache
                .object_event(Event::InitApply(raw(name, version)))
                .is_empty()
        );
    }
    names(cache.object_event(Event::InitDone))
}

fn list_secrets(cache: &NamespaceCache, items: &[(&str, &str)]) -> Vec<String> {
    cache.secret_event(Event::Init);
    for (name, version) in items {
        assert!(
            cache
                .secret_event(Event::InitApply(meta(name, version)))
                .is_empty()
        );
    }
    names(cache.secret_event(Event::InitDone))
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("prod", name)
}

fn secret_version(cache: &NamespaceCache, name: &str) -> Option<String> {
    cache
        .observe(&key(name), Instant::now())
        .secret
        .map(|secret| secret.resource_version.to_string())
}

#[tokio::test]
async fn nothing_is_planned_before_both_lists_are_complete() {
    let stores = stores(None);
    let cache = &stores.caches()[0];
    assert!(list_objects(cache, &[("a", "1"), ("b", "2")]).is_empty());
    assert!(!stores.any_complete());
    assert!(cache.object_event(Event::Apply(raw("c", "3"))).is_empty());
    assert_eq!(list_secrets(cache, &[("a", "4"), ("z", "5")]), ["a", "b", "c"]);
    assert!(stores.any_complete());
    assert_eq!(names(cache.object_event(Event::Apply(raw("d", "6")))), ["d"]);
    assert_eq!(names(cache.secret_event(Event::Apply(meta("a", "7")))), ["a"]);
    assert!(
        cache.secret_event(Event::Apply(meta("z", "8"))).is_empty(),
        "no object of that name"
    );
    assert_eq!(secret_version(cache, "a").as_deref(), Some("7"));
    assert_eq!(names(cache.secret_event(Event::Delete(meta("a", "9")))), ["a"]);
    assert_eq!(secret_version(cache, "a"), None);
}

#[tokio::test]
async fn deletion_in_a_gap_is_detected_by_the_next_list() {
    let stores = stores(None);
    let cache = &stores.caches()[0];
    list_objects(cache, &[("a", "1"), ("b", "2")]);
    list_secrets(cache, &[("a", "3"), ("b", "4")]);
    cache.secret_event(Event::Init);
    assert_eq!(
        secret_version(cache, "b").as_deref(),
        Some("4"),
        "the old contents stay until the new list is complete"
    );
    cache.secret_event(Event::InitApply(meta("a", "3")));
    assert_eq!(
        names(cache.secret_event(Event::InitDone)),
        ["b"],
        "every difference"
    );
    assert_eq!(secret_version(cache, "b"), None);
    assert_eq!(
        list_objects(cache, &[("a", "1")]),
        ["b"],
        "b is reconciled once more"
    );
    assert!(cache.observe(&key("b"), Instant::now()).object.is_none());
}

#[tokio::test]
async fn each_namespace_has_its_own_stores() {
    let stores = stores(Some(&["prod".to_owned(), "dev".to_owned()]));
    let find = |namespace: &str| {
        stores
            .cache(&ObjectKey::new(namespace, "x"))
            .and_then(|s| s.namespace.clone())
    };
    assert_eq!(
        (find("dev").as_deref(), find("other").as_deref()),
        (Some("dev"), None)
    );
    let prod = &stores.caches()[0];
    list_objects(prod, &[("a", "1")]);
    assert_eq!(list_secrets(prod, &[]), ["a"], "prod does not wait for dev");
    assert!(stores.any_complete() && !stores.caches()[1].is_complete());
    assert_eq!(names(stores.keys()), ["a"]);
    assert_eq!(stores.reasons(), HashMap::from([(String::new(), 1)]));
}

#[tokio::test(start_paused = true)]
async fn own_writes_override_the_store_until_delivered() {
    let stores = stores(None);
    let cache = &stores.caches()[0];
    list_objects(cache, &[("a", "1")]);
    list_secrets(cache, &[]);
    let until = Instant::now() + Duration::from_secs(30);
    cache.secret_request(&key("a"));
    let facts = meta("a", "5").1;
    cache.secret_confirmed(&key("a"), Arc::new(facts), until);
    assert_eq!(secret_version(cache, "a").as_deref(), Some("5"));

    let status = Arc::new(StatusFacts::of(crate::api::EnvelopeSecretStatus::default()));
    cache.object_request(&key("a"));
    cache.status_confirmed(&key("a"), Version::new("o-a", "6"), status, until);
    let seen = cache
        .observe(&key("a"), Instant::now())
        .object
        .expect("the object");
    assert_eq!(*seen.resource_version, *"6");
    cache.object_event(Event::Apply(raw("a", "6")));
    cache.secret_event(Event::Apply(meta("a", "5")));
    tokio::time::advance(Duration::from_secs(31)).await;
    assert!(
        !cache.observe(&key("a"), Instant::now()).overdue,
        "both were delivered"
    );

    cache.secret_request(&key("a"));
    cache.secret_unwatched(&key("a"), Instant::now() + Duration::from_secs(30));
    assert_eq!(
        secret_version(cache, "a"),
        None,
        "deleted, although still in the store"
    );
    tokio::time::advance(Duration::from_secs(31)).await;
    assert!(cache.observe(&key("a"), Instant::now()).overdue);
    cache.secret_event(Event::Delete(meta("a", "7")));
    assert!(!cache.observe(&key("a"), Instant::now()).overdue);
}

#[tokio::test(start_paused = true)]
async fn live_read_does_not_replace_a_newer_event() {
    let stores = stores(None);
    let cache = &stores.caches()[0];
    list_objects(cache, &[("a", "1")]);
    let read = |version: &str| Some(raw("a", version).1);
    let version = || {
        cache
            .object(&key("a"))
            .map(|object| object.resource_version.to_string())
    };

    cache.object_request(&key("a"));
    read_object(cache, read("2"));
    assert_eq!(
        version().as_deref(),
        Some("2"),
        "no event arrived in the meantime"
    );

    cache.object_request(&key("a"));
    cache.object_event(Event::Apply(raw("a", "3")));
    read_object(cache, read("2"));
    assert_eq!(
        version().as_deref(),
        Some("3"),
        "the event arrived before the response"
    );

    cache.object_request(&key("a"));
    cache.object_event(Event::Delete(raw("a", "4")));
    read_object(cache, read("3"));
    assert_eq!(version(), None, "it stays deleted");

    cache.object_request(&key("a"));
    cache.object_event(Event::Apply(raw("a", "5")));
    read_object(cache, None);
    assert_eq!(version().as_deref(), Some("5"), "created again after the read");
}

#[tokio::test(start_paused = true)]
async fn list_fulfils_expectations_only_when_complete() {
    let stores = stores(None);
    let cache = &stores.caches()[0];
    list_objects(cache, &[("a", "1"), ("b", "1")]);
    list_secrets(cache, &[]);
    let until = Instant::now() + Duration::from_secs(30);
    for name in ["a", "b"] {
        cache.secret_request(&key(name));
        let facts = meta(name, "5").1;
        cache.secret_confirmed(&key(name), Arc::new(facts), until);
    }
    cache.secret_event(Event::Init);
    cache.secret_event(Event::InitApply(meta("a", "5")));
    assert_eq!(
        secret_version(cache, "a").as_deref(),
        Some("5"),
        "not in the store yet"
    );
    assert_eq!(
        names(cache.secret_event(Event::InitDone)),
        ["b"],
        "a was announced"
    );
    assert_eq!(secret_version(cache, "a").as_deref(), Some("5"));
    assert_eq!(cache.next_expectation_deadline(&key("a")), None);
    // Deleted in the gap: no event will report it, but the list shows it.
    assert_eq!(cache.next_expectation_deadline(&key("b")), None);
    assert_eq!(secret_version(cache, "b"), None);
}

/// An object `a` of this uid, version and generation.
fn object_a(uid: &str, resource_version: &str, generation: i64) -> (ObjectKey, Received) {
    let text = json!({"metadata": {"name": "a", "namespace": "prod", "uid": uid, "resourceVersion": resource_version,
                      "generation": generation}, "spec": {"of": generation}});
    decode::item(&text.to_string()).expect("an object")
}

/// Returns uid, resourceVersion and generation of the object `a` as planning sees it.
fn observed_a(cache: &NamespaceCache) -> (String, String, i64) {
    let observed = cache.observe(&key("a"), Instant::now());
    let seen = observed.object.expect("an object");
    is_a(&seen.uid, &seen.resource_version, seen.generation)
}

fn is_a(uid: &str, resource_version: &str, generation: i64) -> (String, String, i64) {
    (uid.to_owned(), resource_version.to_owned(), generation)
}

#[tokio::test(start_paused = true)]
async fn lower_generation_replaces_a_higher_one_only_in_a_list() {
    let stores = stores(None);
    let cache = &stores.caches()[0];
    list_objects(cache, &[]);
    list_secrets(cache, &[]);
    cache.object_event(Event::Apply(object_a("o-1", "5", 2)));
    cache.object_event(Event::Apply(object_a("o-1", "4", 1)));
    assert_eq!(observed_a(cache), is_a("o-1", "5", 2), "an older event");
    cache.object_event(Event::Apply(object_a("o-2", "6", 1)));
    assert_eq!(
        observed_a(cache),
        is_a("o-2", "6", 1),
        "a new object of the same name"
    );
    cache.object_event(Event::Apply(object_a("o-2", "7", 2)));
    cache.object_event(Event::Init);
    cache.object_event(Event::InitApply(object_a("o-2", "3", 1)));
    cache.object_event(Event::InitDone);
    assert_eq!(observed_a(cache), is_a("o-2", "3", 1), "a restored etcd");
}

#[tokio::test(start_paused = true)]
async fn object_that_was_read_is_not_replaced_by_an_older_event() {
    let stores = stores(None);
    let cache = &stores.caches()[0];
    list_objects(cache, &[]);
    list_secrets(cache, &[]);
    cache.object_event(Event::Apply(object_a("o-1", "1", 1)));
    cache.object_request(&key("a"));
    read_object(cache, Some(object_a("o-1", "3", 2).1));
    assert_eq!(observed_a(cache), is_a("o-1", "3", 2));
    cache.object_event(Event::Apply(object_a("o-1", "2", 1)));
    assert_eq!(
        observed_a(cache),
        is_a("o-1", "3", 2),
        "an older event arrived late"
    );
    // A status write on top of what was read.
    let status = Arc::new(StatusFacts::of(crate::api::EnvelopeSecretStatus::default()));
    let until = Instant::now() + Duration::from_secs(30);
    cache.object_request(&key("a"));
    cache.status_confirmed(&key("a"), Version::new("o-1", "4"), status, until);
    assert_eq!(
        observed_a(cache),
        is_a("o-1", "4", 2),
        "still the generation that was read"
    );
    cache.object_event(Event::Apply(object_a("o-1", "3", 2)));
    assert_eq!(observed_a(cache), is_a("o-1", "4", 2));
    cache.object_event(Event::Apply(object_a("o-1", "4", 2)));
    assert_eq!(cache.next_expectation_deadline(&key("a")), None, "delivered");
    assert_eq!(observed_a(cache), is_a("o-1", "4", 2));
}

#[tokio::test(start_paused = true)]
async fn overlay_of_an_old_uid_does_not_apply_to_a_new_object() {
    let stores = stores(None);
    let cache = &stores.caches()[0];
    list_objects(cache, &[]);
    list_secrets(cache, &[]);
    cache.object_event(Event::Apply(object_a("o-1", "1", 1)));
    let status = Arc::new(StatusFacts::of(crate::api::EnvelopeSecretStatus::default()));
    let until = Instant::now() + Duration::from_secs(30);
    cache.object_request(&key("a"));
    // The object was deleted and created again, and the watch delivered only the new one.
    cache.object_event(Event::Apply(object_a("o-2", "9", 1)));
    cache.status_confirmed(&key("a"), Version::new("o-1", "6"), status, until);
    assert_eq!(observed_a(cache), is_a("o-2", "9", 1));
}

#[tokio::test(start_paused = true)]
async fn list_that_began_after_a_write_supersedes_it() {
    let stores = stores(None);
    let cache = &stores.caches()[0];
    list_objects(cache, &[("a", "1")]);
    list_secrets(cache, &[]);
    let until = Instant::now() + Duration::from_secs(30);
    cache.secret_request(&key("a"));
    cache.secret_confirmed(&key("a"), Arc::new(meta("a", "5").1), until);
    assert_eq!(list_secrets(cache, &[("a", "8")]), ["a"], "edited in the gap");
    assert_eq!(secret_version(cache, "a").as_deref(), Some("8"));
    // A list that began before the write may not contain it.
    cache.secret_event(Event::Init);
    cache.secret_request(&key("a"));
    cache.secret_confirmed(&key("a"), Arc::new(meta("a", "9").1), until);
    cache.secret_event(Event::InitApply(meta("a", "8")));
    cache.secret_event(Event::InitDone);
    assert_eq!(secret_version(cache, "a").as_deref(), Some("9"));
}

fn read_object(cache: &NamespaceCache, object: Option<Received>) {
    cache.object_read(&key("a"), object, Instant::now() + Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn outdated_object_is_read_before_the_next_plan() {
    let stores = stores(None);
    let cache = &stores.caches()[0];
    list_objects(cache, &[]);
    list_secrets(cache, &[]);
    cache.object_event(Event::Apply(object_a("o-1", "1", 1)));
    cache.object_outdated(&key("a"));
    assert!(cache.observe(&key("a"), Instant::now()).overdue);
    cache.object_request(&key("a"));
    read_object(cache, Some(object_a("o-1", "2", 2).1));
    let observed = cache.observe(&key("a"), Instant::now());
    assert!(!observed.overdue);
    assert_eq!(observed_a(cache), is_a("o-1", "2", 2));
}

#[tokio::test]
async fn document_is_summarized_once_per_generation_and_dropped_with_its_object() {
    let stores = stores(None);
    let cache = &stores.caches()[0];
    list_objects(cache, &[]);
    list_secrets(cache, &[]);
    let summary = || {
        let object = cache.object(&key("a")).expect("an object");
        object.summary.clone()
    };
    cache.object_event(Event::Apply(object_a("o-1", "1", 1)));
    let first = summary();
    cache.object_event(Event::Apply(object_a("o-1", "2", 1)));
    assert!(Arc::ptr_eq(&first, &summary()), "another status");
    cache.object_event(Event::Apply(object_a("o-1", "3", 2)));
    assert!(!Arc::ptr_eq(&first, &summary()));
    assert!(stores.documents().get(&key("a"), "o-1", 1).is_none());
    assert!(stores.documents().get(&key("a"), "o-1", 2).is_some());
    // A restored etcd: another document under the same uid and generation.
    let second = summary();
    let (key_a, mut restored) = object_a("o-1", "2", 2);
    restored.spec = serde_json::value::RawValue::from_string("{}".to_owned()).expect("JSON");
    cache.object_event(Event::Init);
    cache.object_event(Event::InitApply((key_a, restored)));
    cache.object_event(Event::InitDone);
    assert!(!Arc::ptr_eq(&second, &summary()));
    let kept = stores.documents().get(&key("a"), "o-1", 2).expect("kept");
    assert_eq!(kept.get(), "{}");
    // An abandoned list, and the deletion of an object.
    cache.object_event(Event::Init);
    cache.object_event(Event::InitApply(raw("b", "4")));
    assert!(stores.documents().bytes() > 2);
    list_objects(cache, &[]);
    assert_eq!(stores.documents().bytes(), 0);
    cache.object_event(Event::Apply(object_a("o-1", "5", 3)));
    cache.object_event(Event::Delete(object_a("o-1", "6", 3)));
    assert_eq!(stores.documents().bytes(), 0);
}
