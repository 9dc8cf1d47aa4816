//! Changed keys and renewed credentials: they retry the failures that they may cure, and no others.

use std::path::Path;

use envelope_secrets::kms::local::{self, FileRules, LocalKms};

use super::*;
use crate::support::controller::{Keys, timings};
use crate::support::sealing::Sealer;

/// Writes a profile with the emulator's credentials.
fn write_profile(emulator: &Emulator, path: &Path, note: &str) {
    let variables = emulator.environment();
    let value = |name: &str| {
        variables
            .iter()
            .find(|(other, _)| *other == name)
            .unwrap()
            .1
            .clone()
    };
    let (id, key) = (value("TENCENTCLOUD_SECRET_ID"), value("TENCENTCLOUD_SECRET_KEY"));
    std::fs::write(
        path,
        format!("# {note}\n[default]\nsecret_id = {id}\nsecret_key = {key}\n"),
    )
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn change_of_one_provider_leaves_failures_of_the_other_waiting() {
    let cloud = Cloud::new("cures").await;
    let place = &cloud.place;
    let directory = tempfile::tempdir().unwrap();
    let profile = directory.path().join("credentials");
    write_profile(&cloud.emulator, &profile, "first");
    let settings = TencentSettings {
        allowed: AllowedKeys::every(),
        endpoint: Some(Endpoint::parse(&cloud.emulator.endpoint(), false).unwrap()),
        credentials: Some(profile.clone()),
        ..TencentSettings::default()
    };
    let mut registry = Registry::new();
    registry.insert(tencent::SCHEME, Arc::new(TencentKms::new(settings).unwrap()));
    let keyring = LocalKms::open(&place.sealer.keyring(), FileRules::Mounted).unwrap();
    registry.insert(local::SCHEME, Arc::new(keyring));
    // Nothing is retried on its own while the test runs.
    let mut patient = timings();
    patient.retry_min = Duration::from_hours(1000);
    patient.retry_max = Duration::from_hours(1000);
    let kubeconfig = plane_with_crd().kubeconfig();
    let running = Running::start_with(Keys(registry), &[&place.namespace], &[], kubeconfig, patient);

    let key = cloud.emulator.key().to_owned();
    let denied = cloud.sealed("denied", FIRST).await;
    cloud
        .emulator
        .fault(Fault::new(error("UnauthorizedOperation")).action("Decrypt"));
    place.apply(&denied).await;
    let mut tampered = place.sealed("tampered", &[("password", FIRST)]);
    let mac = tampered["spec"]["seal"]["mac"].as_str().unwrap().to_owned();
    let first = if mac.starts_with('A') { "B" } else { "A" };
    tampered["spec"]["seal"]["mac"] = json!(format!("{first}{}", &mac[1..]));
    place.apply(&tampered).await;
    let other = Sealer::new(1);
    let unknown = other.seal(draft(
        &place.namespace,
        "unknown",
        &[("password", SECOND.as_bytes())],
    ));
    place.canary.plant(SECOND);
    place.apply(&object(&unknown)).await;
    for (name, reason) in [
        ("denied", "KmsDenied"),
        ("tampered", "IntegrityError"),
        ("unknown", "NoUsableKey"),
    ] {
        place.wait_for_reason(name, reason).await;
    }
    let integrity = || running.metric("envelope_secrets_opens_total", "integrity");
    let (calls, opens) = (cloud.decrypts(&key), integrity());

    let keys = [place.sealer.keyring(), other.keyring()].map(|path| std::fs::read(path).unwrap());
    std::fs::write(place.sealer.keyring(), keys.concat()).unwrap();
    cloud.ready("unknown", SECOND).await;
    assert_eq!(
        (cloud.decrypts(&key), integrity()),
        (calls, opens),
        "another key does not cure these failures"
    );

    cloud.emulator.clear_faults();
    write_profile(&cloud.emulator, &profile, "second");
    cloud.ready("denied", FIRST).await;
    assert_eq!(integrity(), opens, "credentials do not cure a refused document");
    cloud.place.finish(running).await;
}
