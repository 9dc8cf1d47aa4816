use super::*;
use serde_json::json;
use std::time::Duration;

fn raw(name: &str, resource_version: &str) -> RawObject {
    let text = json!({"metadata": {"name": name, "namespace": "prod", "uid": format!("o-{name}"),
                      "resourceVersion": resource_version, "generation": 1}, "spec": {}});
    serde_json::from_str(&text.to_string()).expect("an object")
}

fn meta(name: &str, resource_version: &str) -> SecretMeta {
    serde_json::from_value(
        json!({"metadata": {"name": name, "namespace": "prod", "uid": format!("s-{name}"),
                      "resourceVersion": resource_version}}),
    )
    .expect("metadata")
}

fn names(mut keys: Vec<ObjectKey>) -> Vec<String> {
    keys.sort();
    keys.iter().map(|key| key.name.to_string()).collect()
}

fn list_objects(scope: &Scope, items: &[(&str, &str)]) -> Vec<String> {
    scope.object_event(Event::Init);
    for (name, version) in items {
        assert!(
            scope
                .object_event(Event::InitApply(raw(name, version)))
                .is_empty()
        );
    }
    names(scope.object_event(Event::InitDone))
}

fn list_secrets(scope: &Scope, items: &[(&str, &str)]) -> Vec<String> {
    scope.secret_event(Event::Init);
    for (name, version) in items {
        assert!(
            scope
                .secret_event(Event::InitApply(meta(name, version)))
                .is_empty()
        );
    }
    names(scope.secret_event(Event::InitDone))
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("prod", name)
}

fn secret_version(scope: &Scope, name: &str) -> Option<String> {
    scope
        .observe(&key(name), Instant::now())
        .secret
        .map(|secret| secret.resource_version.to_string())
}

#[tokio::test]
async fn nothing_is_planned_before_both_lists_are_complete() {
    let stores = Stores::new(None);
    let scope = &stores.scopes()[0];
    assert!(list_objects(scope, &[("a", "1"), ("b", "2")]).is_empty());
    assert!(!stores.any_complete());
    assert!(scope.object_event(Event::Apply(raw("c", "3"))).is_empty());
    assert_eq!(list_secrets(scope, &[("a", "4"), ("z", "5")]), ["a", "b", "c"]);
    assert!(stores.any_complete());
    assert_eq!(names(scope.object_event(Event::Apply(raw("d", "6")))), ["d"]);
    assert_eq!(names(scope.secret_event(Event::Apply(meta("a", "7")))), ["a"]);
    assert!(
        scope.secret_event(Event::Apply(meta("z", "8"))).is_empty(),
        "no object of that name"
    );
    assert_eq!(secret_version(scope, "a").as_deref(), Some("7"));
    assert_eq!(names(scope.secret_event(Event::Delete(meta("a", "9")))), ["a"]);
    assert_eq!(secret_version(scope, "a"), None);
}

#[tokio::test]
async fn what_was_deleted_in_a_gap_is_found_by_the_next_list() {
    let stores = Stores::new(None);
    let scope = &stores.scopes()[0];
    list_objects(scope, &[("a", "1"), ("b", "2")]);
    list_secrets(scope, &[("a", "3"), ("b", "4")]);
    scope.secret_event(Event::Init);
    assert_eq!(
        secret_version(scope, "b").as_deref(),
        Some("4"),
        "the old list stands until the new one is whole"
    );
    scope.secret_event(Event::InitApply(meta("a", "3")));
    assert_eq!(names(scope.secret_event(Event::InitDone)), ["a", "b"]);
    assert_eq!(secret_version(scope, "b"), None);
    assert_eq!(
        list_objects(scope, &[("a", "1")]),
        ["a", "b"],
        "b is looked at once more to be forgotten"
    );
    assert!(scope.observe(&key("b"), Instant::now()).object.is_none());
}

#[tokio::test]
async fn each_namespace_has_a_pair_of_its_own() {
    let stores = Stores::new(Some(&["prod".to_owned(), "dev".to_owned()]));
    let find = |namespace: &str| {
        stores
            .scope(&ObjectKey::new(namespace, "x"))
            .and_then(|s| s.namespace.clone())
    };
    assert_eq!(
        (find("dev").as_deref(), find("other").as_deref()),
        (Some("dev"), None)
    );
    let prod = &stores.scopes()[0];
    list_objects(prod, &[("a", "1")]);
    assert_eq!(list_secrets(prod, &[]), ["a"], "dev is still waited for");
    assert!(stores.any_complete() && !stores.scopes()[1].is_complete());
    assert_eq!(names(stores.keys()), ["a"]);
    assert_eq!(stores.reasons(), HashMap::from([(String::new(), 1)]));
}

#[tokio::test(start_paused = true)]
async fn own_writes_lie_over_the_store_until_they_are_delivered() {
    let stores = Stores::new(None);
    let scope = &stores.scopes()[0];
    list_objects(scope, &[("a", "1")]);
    list_secrets(scope, &[]);
    let until = Instant::now() + Duration::from_secs(30);
    scope.secret_begin(&key("a"));
    let facts = SecretFacts::of(&meta("a", "5").metadata).expect("facts").1;
    scope.secret_stands(&key("a"), Arc::new(facts), until);
    assert_eq!(secret_version(scope, "a").as_deref(), Some("5"));

    let status = Arc::new(StatusFacts::of(crate::api::EnvelopeSecretStatus::default()));
    scope.object_begin(&key("a"));
    scope.status_stands(&key("a"), Version::new("o-a", "6"), status, until);
    let seen = scope
        .observe(&key("a"), Instant::now())
        .object
        .expect("the object");
    assert_eq!(*seen.resource_version, *"6");
    scope.object_event(Event::Apply(raw("a", "6")));
    scope.secret_event(Event::Apply(meta("a", "5")));
    tokio::time::advance(Duration::from_secs(31)).await;
    assert!(
        !scope.observe(&key("a"), Instant::now()).overdue,
        "both were delivered"
    );

    scope.secret_begin(&key("a"));
    scope.secret_not_watched(&key("a"), Instant::now() + Duration::from_secs(30));
    assert_eq!(
        secret_version(scope, "a"),
        None,
        "deleted, whatever the store has"
    );
    tokio::time::advance(Duration::from_secs(31)).await;
    assert!(scope.observe(&key("a"), Instant::now()).overdue);
    scope.secret_event(Event::Delete(meta("a", "7")));
    assert!(!scope.observe(&key("a"), Instant::now()).overdue);
}

#[tokio::test(start_paused = true)]
async fn a_read_takes_no_newer_events_place() {
    let stores = Stores::new(None);
    let scope = &stores.scopes()[0];
    list_objects(scope, &[("a", "1")]);
    let read = |version: &str| Object::of(raw("a", version)).map(|(_, object)| object);
    let stands = || {
        scope
            .object(&key("a"))
            .map(|object| object.resource_version.to_string())
    };

    scope.object_begin(&key("a"));
    scope.object_read(&key("a"), read("2"));
    assert_eq!(stands().as_deref(), Some("2"), "nothing came meanwhile");

    scope.object_begin(&key("a"));
    scope.object_event(Event::Apply(raw("a", "3")));
    scope.object_read(&key("a"), read("2"));
    assert_eq!(
        stands().as_deref(),
        Some("3"),
        "its event came while the answer was on its way"
    );

    scope.object_begin(&key("a"));
    scope.object_event(Event::Delete(raw("a", "4")));
    scope.object_read(&key("a"), read("3"));
    assert_eq!(stands(), None, "it does not come back");

    scope.object_begin(&key("a"));
    scope.object_event(Event::Apply(raw("a", "5")));
    scope.object_read(&key("a"), None);
    assert_eq!(
        stands().as_deref(),
        Some("5"),
        "made anew after the answer was given"
    );
}

#[tokio::test(start_paused = true)]
async fn a_list_ends_beliefs_only_when_it_is_whole() {
    let stores = Stores::new(None);
    let scope = &stores.scopes()[0];
    list_objects(scope, &[("a", "1"), ("b", "1")]);
    list_secrets(scope, &[]);
    let until = Instant::now() + Duration::from_secs(30);
    for name in ["a", "b"] {
        scope.secret_begin(&key(name));
        let facts = SecretFacts::of(&meta(name, "5").metadata).expect("facts").1;
        scope.secret_stands(&key(name), Arc::new(facts), until);
    }
    scope.secret_event(Event::Init);
    scope.secret_event(Event::InitApply(meta("a", "5")));
    assert_eq!(
        secret_version(scope, "a").as_deref(),
        Some("5"),
        "the store does not have it yet"
    );
    scope.secret_event(Event::InitDone);
    assert_eq!(secret_version(scope, "a").as_deref(), Some("5"));
    assert_eq!(scope.believed_until(&key("a")), None);
    // Deleted in the gap: no event will ever say so.
    assert_eq!(scope.believed_until(&key("b")), Some(until));
    scope.forget(&key("b"));
    assert_eq!(scope.believed_until(&key("b")), None);
}
