//! The file of certificate authorities, reloaded while the process runs.

use std::sync::Arc;

use envelope_secrets::kms::{Change, Cures, Kms};
use testkit::kms::Options;

use super::*;

fn with_tls() -> Cloud {
    Cloud::of(
        Emulator::start(&Options {
            tls: true,
            ..Options::default()
        })
        .unwrap(),
    )
}

/// Replaces a file in one step.
fn replace(cloud: &Cloud, path: &Path, content: &[u8]) {
    fs::write(cloud.path("next"), content).unwrap();
    fs::rename(cloud.path("next"), path).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_file_is_trusted_and_a_broken_one_keeps_the_old() {
    let (cloud, other) = (with_tls(), with_tls());
    cloud.accept_only("AKIDfirst", false);
    fs::write(cloud.path("credentials"), profile("AKIDfirst")).unwrap();
    let path = cloud.path("ca.pem");
    let authority = |cloud: &Cloud| fs::read(cloud.emulator.ca_file().unwrap()).unwrap();
    replace(&cloud, &path, &authority(&other));
    let kms = Arc::new(cloud.client_with(TencentSettings {
        credentials: Some(cloud.path("credentials")),
        ca_file: Some(path.clone()),
        ..TencentSettings::default()
    }));
    let key = KeyUri::parse(&cloud.emulator.key_uri()).unwrap();
    let refused = kms.describe(&key).await.unwrap_err();
    assert!(refused.message.contains("certificate"), "{refused}");
    assert_eq!(kms.poll_change().await, Change::None);

    replace(&cloud, &path, &authority(&cloud));
    let Change::Renewed { cures, what } = kms.poll_change().await else {
        panic!("a change of the file")
    };
    assert_eq!((cures, what.contains("ca.pem")), (Cures::Calls, true), "{what}");
    kms.describe(&key).await.unwrap();
    assert_eq!(kms.poll_change().await, Change::None);

    // A call in flight is not interrupted by a reload.
    cloud
        .emulator
        .fault(Fault::new(Effect::SlowBody { ms: 2000 }).action("DescribeKey"));
    let before = cloud.emulator.calls("DescribeKey");
    let in_flight = tokio::spawn({
        let (kms, key) = (Arc::clone(&kms), key.clone());
        async move { kms.describe(&key).await }
    });
    until(LIMIT, "the call has begun", async || {
        cloud.emulator.calls("DescribeKey") > before
    })
    .await;
    replace(&cloud, &path, &authority(&other));
    assert!(matches!(kms.poll_change().await, Change::Renewed { .. }));
    in_flight.await.unwrap().expect("a response");
    cloud.emulator.clear_faults();
    assert!(
        kms.describe(&key).await.is_err(),
        "only the other authority is trusted now"
    );

    replace(&cloud, &path, &authority(&cloud));
    assert!(matches!(kms.poll_change().await, Change::Renewed { .. }));
    for broken in [&b"nonsense"[..], b""] {
        replace(&cloud, &path, broken);
        for _ in 0..2 {
            let Change::Rejected(why) = kms.poll_change().await else {
                panic!("it is reported at each check")
            };
            assert!(
                why.contains("the previous ones stay in use") && why.contains("ca.pem"),
                "{why}"
            );
        }
        kms.describe(&key).await.unwrap();
    }
    fs::remove_file(&path).unwrap();
    assert!(
        matches!(kms.poll_change().await, Change::Rejected(_)),
        "a missing file"
    );
    kms.describe(&key).await.unwrap();
}
