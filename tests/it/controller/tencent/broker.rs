//! The KMS broker of a controller on a real API server, against the KMS emulator.

use std::path::Path;
use std::time::{Duration, Instant};

use envelope_secrets::controller::Timings;
use envelope_secrets::kms::broker::BrokerSettings;
use envelope_secrets::kms::{self, Caller, Configured, Kms, Settings};
use futures::StreamExt as _;
use kube::api::{DeleteParams, Patch, PatchParams};
use testkit::kms::Command;

use super::*;
use crate::support::controller::{Keys, has_reason, timings};

impl Cloud {
    /// Starts a controller of these namespaces with these limits.
    #[expect(
        clippy::large_types_passed_by_value,
        reason = "callers build the timings for the call"
    )]
    fn limited(&self, namespaces: &[&str], broker: BrokerSettings, timings: Timings) -> Running {
        let allowed = AllowedKeys::parse([self.emulator.key_uri()]).unwrap();
        let kms = client_of(&self.emulator, allowed);
        Running::start_limited(
            kms,
            namespaces,
            &[],
            plane_with_crd().kubeconfig(),
            timings,
            broker,
        )
    }

    fn decrypted(&self) -> u64 {
        self.emulator.calls("Decrypt")
    }
}

fn slow(calls_per_second: u32) -> BrokerSettings {
    BrokerSettings {
        calls_per_second,
        burst: 1,
        namespace_calls_per_second: calls_per_second,
        ..BrokerSettings::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn object_of_another_namespace_does_not_wait_for_hundreds() {
    const WAITING: usize = 300;
    let big = Cloud::new("big").await;
    let small = TestNamespace::new("small").await;
    let running = big.limited(&[&big.place.namespace, &small.namespace], slow(5), timings());
    let key = big.emulator.key_uri();
    let one = big.sealed_for(&small.namespace, &[&key], "db", FIRST).await;
    let mut objects = Vec::new();
    for index in 0..WAITING {
        objects.push(big.sealed(&format!("b{index}"), SECOND).await);
    }
    futures::stream::iter(&objects)
        .map(|object| big.place.apply(object))
        .buffer_unordered(16)
        .for_each(|_| std::future::ready(()))
        .await;
    until(LIMIT, "hundreds of documents wait", async || {
        running.metric("envelope_secrets_queue_length", "") > WAITING as u64 * 2 / 3
    })
    .await;

    let started = Instant::now();
    small.apply(&one).await;
    small.wait_for_secret("db", &[("password", FIRST)]).await;
    small.wait_for_reason("db", "Synced").await;
    let calls = big.decrypted();
    testkit::say(&format!(
        "with {WAITING} documents of another namespace waiting for 5 KMS calls per second, an object was Ready after {:.2} s; {calls} of them were open",
        started.elapsed().as_secs_f64(),
    ));
    assert!(calls < WAITING as u64 / 2, "{calls} documents were opened first");
    big.place.finish(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_capacity_is_reported_and_then_synced() {
    let cloud = Cloud::new("capacity").await;
    let timings = Timings {
        progressing: Duration::from_millis(100),
        ..timings()
    };
    let running = cloud.limited(&[&cloud.place.namespace], slow(1), timings);
    for index in 0..5 {
        let name = format!("db{index}");
        cloud.place.apply(&cloud.sealed(&name, FIRST).await).await;
    }
    let waiting = cloud.place.wait_for_reason("db4", "Progressing").await;
    let expected = format!(
        "waiting for capacity to call {}; no secret exists yet; no action needed",
        cloud.emulator.key_uri()
    );
    assert_eq!(message(&waiting), expected);
    assert_eq!(condition(&waiting, "Ready").unwrap()["status"], "Unknown");
    assert_eq!(condition(&waiting, "Reconciling").unwrap()["status"], "True");
    for index in 0..5 {
        cloud.ready(&format!("db{index}"), FIRST).await;
    }
    assert_eq!(cloud.decrypted(), 5);
    cloud.place.finish(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_secret_is_restored_without_the_kms() {
    let cloud = Cloud::new("cached").await;
    let running = cloud.controller_of_region();
    cloud.place.apply(&cloud.sealed("db", FIRST).await).await;
    cloud.ready("db", FIRST).await;
    cloud
        .emulator
        .fault(Fault::new(Effect::Status { status: 503 }).action("Decrypt"));
    let before = cloud.place.secrets().get("db").await.unwrap().metadata.uid;
    cloud
        .place
        .secrets()
        .delete("db", &DeleteParams::default())
        .await
        .unwrap();
    until(LIMIT, "the Secret is restored", async || {
        let secret = cloud.place.secrets().get_opt("db").await.unwrap();
        secret.is_some_and(|secret| secret.metadata.uid != before)
    })
    .await;
    cloud.ready("db", FIRST).await;
    assert_eq!(cloud.decrypted(), 1);
    assert_eq!(
        running.metric("envelope_secrets_data_key_lookups_total", "hit"),
        1
    );
    cloud.place.finish(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn outage_leaves_secret_and_ready_without_a_cache() {
    let cloud = Cloud::new("outage").await;
    let no_cache = BrokerSettings {
        cached_data_keys: 0,
        ..BrokerSettings::default()
    };
    let running = cloud.limited(&[&cloud.place.namespace], no_cache, timings());
    let mut sealed = cloud.sealed("db", FIRST).await;
    cloud.place.apply(&sealed).await;
    cloud.ready("db", FIRST).await;
    let synced = cloud.place.wait_for_reason("db", "Synced").await;
    cloud
        .emulator
        .fault(Fault::new(Effect::Status { status: 503 }).action("Decrypt"));
    // Objects without a Secret report the outage; the circuit breaker opens.
    for index in 0..6 {
        let name = format!("new{index}");
        cloud.place.apply(&cloud.sealed(&name, SECOND).await).await;
        cloud.place.wait_for_reason(&name, "KmsUnavailable").await;
    }
    until(LIMIT, "the breaker is open", async || {
        running.metric("envelope_secrets_kms_breakers_open", "") == 1
    })
    .await;
    let after = cloud.place.objects().get("db").await.unwrap();
    assert_eq!(condition(&after, "Ready"), condition(&synced, "Ready"));
    // A new generation cannot be opened; the Secret keeps the previous one.
    sealed = cloud.sealed("db", SECOND).await;
    cloud.place.apply(&sealed).await;
    cloud.place.wait_for_reason("db", "KmsUnavailable").await;
    cloud.place.wait_for_secret("db", &[("password", FIRST)]).await;
    cloud.emulator.clear_faults();
    cloud.ready("db", SECOND).await;
    for index in 0..6 {
        cloud.ready(&format!("new{index}"), SECOND).await;
    }
    cloud.place.finish(running).await;
}

// A user who can edit the Secret can also write its managedFields, so that it looks as if only its resourceVersion had changed.
#[tokio::test(flavor = "multi_thread")]
async fn edited_secret_with_forged_managed_fields_is_not_reported_as_synced_in_an_outage() {
    let cloud = Cloud::new("forgedout").await;
    let no_cache = BrokerSettings {
        cached_data_keys: 0,
        ..BrokerSettings::default()
    };
    let running = cloud.limited(&[&cloud.place.namespace], no_cache, timings());
    cloud.place.apply(&cloud.sealed("db", FIRST).await).await;
    cloud.ready("db", FIRST).await;
    let written = cloud.place.secrets().get("db").await.unwrap();
    let ours: Vec<_> = written.metadata.managed_fields.into_iter().flatten().collect();
    let fault = Fault::new(Effect::Status { status: 503 }).action("Decrypt");
    cloud.emulator.fault(fault);
    let edit = async |change: serde_json::Value| {
        let (secrets, by) = (cloud.place.secrets(), PatchParams::default());
        secrets.patch("db", &by, &Patch::Merge(change)).await.unwrap();
    };
    edit(json!({"stringData": {"password": "edited"}})).await;
    cloud.place.wait_for_reason("db", "SecretDrifted").await;
    edit(json!({"metadata": {"managedFields": ours}})).await;
    let before = cloud.decrypted();
    until(LIMIT, "two more attempts", async || {
        cloud.decrypted() >= before + 2
    })
    .await;
    let object = cloud.place.objects().get("db").await.unwrap();
    assert_eq!(condition(&object, "Ready").unwrap()["reason"], "SecretDrifted");
    cloud.emulator.clear_faults();
    cloud.ready("db", FIRST).await;
    cloud.place.finish(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_of_a_refused_ciphertext_cost_five_calls() {
    let cloud = Cloud::new("budget").await;
    let real = Timings::default();
    let timings = Timings {
        integrity_object: real.integrity_object,
        integrity_namespace: real.integrity_namespace,
        ..timings()
    };
    let running = cloud.limited(&[&cloud.place.namespace], BrokerSettings::default(), timings);
    let good = cloud.sealed("good", FIRST).await;
    cloud.place.apply(&good).await;
    cloud.ready("good", FIRST).await;
    let mut texts = std::collections::BTreeSet::new();
    for edit in 0..8 {
        let mut bad = cloud.sealed("db", FIRST).await;
        let text = ciphertext(&mut bad).as_str().unwrap().to_owned();
        let letter = if &text[140..141] == "A" { "B" } else { "A" };
        *ciphertext(&mut bad) = json!(format!("{}{letter}{}", &text[..140], &text[141..]));
        cloud.place.apply(&bad).await;
        let refused = cloud.place.wait_for_reason("db", "IntegrityError").await;
        assert_eq!(refused.metadata.generation, Some(edit + 1));
        texts.insert(message(&refused).to_owned());
    }
    assert_eq!(texts.len(), 1, "{texts:?}");
    // Retries and edits together: one call for the good document, five for the refused ones.
    assert_eq!(cloud.decrypted(), 6);
    assert_eq!(
        running.metric("envelope_secrets_integrity_budget_used_total", ""),
        5
    );
    // Deleting the object does not reset the budget.
    cloud.place.delete("db").await;
    let again = cloud.sealed("db", FIRST).await;
    cloud.place.apply(&again).await;
    let refused = cloud.place.wait_for_reason("db", "IntegrityError").await;
    assert!(has_reason(&refused, "IntegrityError"));
    assert_eq!(cloud.decrypted(), 6);
    cloud.place.finish(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn throttled_calls_are_few_below_an_unknown_quota() {
    const OBJECTS: usize = 120;
    let cloud = Cloud::new("quota").await;
    cloud
        .emulator
        .order(Command::Quotas(testkit::kms::Quotas {
            keys: 200,
            calls: None,
        }))
        .unwrap();
    let mut objects = Vec::new();
    for index in 0..OBJECTS {
        objects.push(cloud.sealed(&format!("q{index}"), FIRST).await);
    }
    let quota = |calls| testkit::kms::Quotas { keys: 200, calls };
    cloud.emulator.order(Command::Quotas(quota(Some(40)))).unwrap();
    // Other clients use a quarter of the quota.
    let broker = BrokerSettings {
        burst: 10,
        ..slow(30)
    };
    let running = cloud.limited(&[&cloud.place.namespace], broker, timings());
    futures::stream::iter(&objects)
        .map(|object| cloud.place.apply(object))
        .buffer_unordered(16)
        .for_each(|_| std::future::ready(()))
        .await;
    for index in 0..OBJECTS {
        cloud.place.wait_for_reason(&format!("q{index}"), "Synced").await;
    }
    assert_eq!(cloud.decrypted(), OBJECTS as u64, "no call was throttled");
    cloud.place.finish(running).await;
}

/// The client of the emulator with the settings of this caller.
fn configured(emulator: &Emulator, directory: &Path, caller: Caller) -> Arc<dyn Kms> {
    let variables = emulator.environment();
    let variable = |name| &variables.iter().find(|(other, _)| *other == name).unwrap().1;
    let file = directory.join("credentials");
    let profile = format!(
        "[default]\nsecret_id = {}\nsecret_key = {}\n",
        variable("TENCENTCLOUD_SECRET_ID"),
        variable("TENCENTCLOUD_SECRET_KEY")
    );
    std::fs::write(&file, profile).unwrap();
    let provider = kms::provider_of_scheme(tencent::SCHEME).unwrap();
    let settings = provider
        .settings()
        .iter()
        .fold(Settings::default(), |settings, setting| match setting.flag {
            "tencent-credentials" => settings.with(setting, &file),
            "tencent-endpoint" => settings.with(setting, emulator.endpoint()),
            _ => settings,
        });
    let configured = provider
        .configure(&settings, AllowedKeys::every(), caller)
        .unwrap();
    let Configured::Kms(kms) = configured else {
        panic!("configured");
    };
    kms
}

#[tokio::test]
async fn provider_repeats_calls_of_the_command_line_only() {
    let emulator = Emulator::fresh();
    let directory = tempfile::tempdir().unwrap();
    let key = KeyUri::parse(&emulator.key_uri()).unwrap();
    for (caller, attempts) in [(Caller::CommandLine, 4), (Caller::Controller, 1)] {
        let kms = configured(&emulator, directory.path(), caller);
        let context = draft("prod", "db", &[]).check().unwrap().binding().context();
        let sealed = kms.generate_data_key(&key, &context).await.unwrap();
        emulator.fault(Fault::new(error("RequestLimitExceeded")).action("Decrypt"));
        let before = emulator.calls("Decrypt");
        let throttled = kms.decrypt(&key, &sealed.ciphertext, &context).await;
        assert_eq!(throttled.err().unwrap().class, kms::Class::Throttled);
        assert_eq!(emulator.calls("Decrypt") - before, attempts, "{caller:?}");
        emulator.clear_faults();
        assert!(kms.decrypt(&key, &sealed.ciphertext, &context).await.is_ok());
    }
}

#[tokio::test]
async fn corrected_clock_is_left_to_the_caller_that_makes_every_attempt() {
    let emulator = Emulator::fresh();
    let directory = tempfile::tempdir().unwrap();
    let key = KeyUri::parse(&emulator.key_uri()).unwrap();
    let context = draft("prod", "db", &[]).check().unwrap().binding().context();
    let command_line = configured(&emulator, directory.path(), Caller::CommandLine);
    let sealed = command_line.generate_data_key(&key, &context).await.unwrap();
    emulator.order(Command::Clock { ahead: 3600 }).unwrap();
    for (caller, attempts) in [(Caller::CommandLine, 2), (Caller::Controller, 1)] {
        let kms = configured(&emulator, directory.path(), caller);
        let before = emulator.calls("Decrypt");
        let first = kms.decrypt(&key, &sealed.ciphertext, &context).await;
        assert_eq!(emulator.calls("Decrypt") - before, attempts, "{caller:?}");
        assert_eq!(first.is_ok(), caller == Caller::CommandLine, "{caller:?}");
        assert!(
            kms.decrypt(&key, &sealed.ciphertext, &context).await.is_ok(),
            "the correction is kept"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn broker_makes_and_counts_the_second_attempt_after_a_clock_correction() {
    let cloud = Cloud::new("clock").await;
    let directory = tempfile::tempdir().unwrap();
    let kms = configured(&cloud.emulator, directory.path(), Caller::Controller);
    let mut registry = Registry::new();
    registry.insert(tencent::SCHEME, kms);
    let sealed = cloud.sealed("db", FIRST).await;
    cloud.emulator.order(Command::Clock { ahead: 3600 }).unwrap();
    // It is not retried on its own while the test runs.
    let patient = Timings {
        retry_min: Duration::from_hours(1000),
        retry_max: Duration::from_hours(1000),
        ..timings()
    };
    let kubeconfig = plane_with_crd().kubeconfig();
    let running = Running::start_with(
        Keys(registry),
        &[&cloud.place.namespace],
        &[],
        kubeconfig,
        patient,
    );
    cloud.place.apply(&sealed).await;
    cloud.ready("db", FIRST).await;
    assert_eq!(cloud.decrypted(), 2);
    for outcome in ["configuration", "ok"] {
        let label = format!("outcome=\"{outcome}\"");
        assert_eq!(
            running.metric("envelope_secrets_kms_requests_total", &label),
            1,
            "{outcome}"
        );
    }
    cloud.place.finish(running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_breaker_retries_what_failed_while_it_was_open() {
    const WAITING: usize = 8;
    let cloud = Cloud::new("recovered").await;
    // No backoff ends while the test runs: only a closing breaker retries what failed.
    let patient = Timings {
        retry_min: Duration::from_hours(1000),
        retry_max: Duration::from_hours(1000),
        breaker_min: Duration::from_millis(50),
        breaker_max: Duration::from_millis(100),
        cure_spread: Duration::from_secs(1),
        ..timings()
    };
    let running = cloud.limited(&[&cloud.place.namespace], BrokerSettings::default(), patient);
    cloud
        .emulator
        .fault(Fault::new(Effect::Status { status: 503 }).action("Decrypt"));
    for index in 0..WAITING {
        let name = format!("db{index}");
        cloud.place.apply(&cloud.sealed(&name, FIRST).await).await;
        cloud.place.wait_for_reason(&name, "KmsUnavailable").await;
    }
    until(LIMIT, "the breaker is open", async || {
        running.metric("envelope_secrets_kms_breakers_open", "") == 1
    })
    .await;
    cloud.emulator.clear_faults();
    // A new document is the probe. Should it come before the probe is due, an edit repeats it.
    until(LIMIT, "a probe succeeds", async || {
        cloud.place.apply(&cloud.sealed("probe", SECOND).await).await;
        running.metric("envelope_secrets_kms_breakers_open", "") == 0
    })
    .await;
    for index in 0..WAITING {
        cloud.ready(&format!("db{index}"), FIRST).await;
    }
    cloud.place.finish(running).await;
}
