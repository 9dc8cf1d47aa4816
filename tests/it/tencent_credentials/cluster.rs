//! The controller with each credential source, on a real API server.

use std::sync::Arc;

use envelope_secrets::controller::Timings;
use envelope_secrets::envelope::SealTime;
use envelope_secrets::kms::tencent;
use envelope_secrets::kms::{AllowedKeys, KeyUri, Registry};

use super::*;
use crate::support::canary::logged;
use crate::support::controller::{Running, TestNamespace, timings};
use crate::support::crd::plane_with_crd;
use crate::support::sealing::{draft, object, seal_with};

#[tokio::test(flavor = "multi_thread")]
async fn controller_opens_with_every_source_and_reports_it() {
    let place = TestNamespace::new("sources").await;
    let mut pod = Pod::new();
    let cloud = &mut pod.cloud;
    cloud.accept_only("AKIDfirst", false);
    cloud.order(Command::MachineRole {
        name: Some("node".to_owned()),
    });
    fs::write(cloud.path("profile"), profile("AKIDfirst")).unwrap();
    let path = cloud.path("profile").display().to_string();
    let first = [
        ("TENCENTCLOUD_SECRET_ID", "AKIDfirst".to_owned()),
        ("TENCENTCLOUD_SECRET_KEY", "keyOfAKIDfirst".to_owned()),
    ];
    let of_pod = cloud.variables.clone();
    let of_instance: Vec<_> = of_pod
        .iter()
        .filter(|(name, _)| !name.starts_with("TKE_"))
        .cloned()
        .collect();
    let with = |more: &[(&'static str, String)]| [&of_instance[..], more].concat();
    let key = KeyUri::parse(&cloud.emulator.key_uri()).unwrap();
    mount_secret(&cloud.path("mounted"), "..2026_11_25_01", "AKIDfirst", false);
    let named = |path: &str| TencentSettings {
        credentials: Some(cloud.path(path)),
        ..TencentSettings::default()
    };
    let with_role = TencentSettings {
        role: Some(AssumedRole {
            arn: format!("qcs::cam::uin/100000000001:roleName/{ROLE}"),
            external_id: None,
        }),
        ..TencentSettings::default()
    };
    let none = TencentSettings::default;
    for (name, source, variables, settings) in [
        ("file", Source::File, with(&[]), named("profile")),
        ("mount", Source::File, with(&[]), named("mounted")),
        ("environment", Source::Environment, with(&first), none()),
        ("role", Source::Environment, with(&first), with_role),
        ("tke-oidc", Source::TkeOidc, of_pod.clone(), none()),
        (
            "profile",
            Source::Profile,
            with(&[("TENCENTCLOUD_CREDENTIALS_FILE", path)]),
            none(),
        ),
        ("cvm-role", Source::CvmRole, with(&[]), none()),
    ] {
        cloud.variables = variables;
        let kms = Arc::new(cloud.client_with(TencentSettings {
            allowed: AllowedKeys::parse([key.as_str()]).unwrap(),
            ..settings
        }));
        let mut registry = Registry::new();
        registry.insert(tencent::SCHEME, Arc::clone(&kms) as _);
        let password = format!("planted-{name}");
        place.canary.plant(&password);
        let draft = draft(&place.namespace, name, &[("password", password.as_bytes())]);
        let time = SealTime::now().unwrap();
        let sealed = seal_with(&registry, std::slice::from_ref(&key), draft, time).await;
        let before = cloud.emulator.calls("Decrypt");
        let running = Running::start(kms, &[&place.namespace]);
        place.apply(&object(&sealed)).await;
        place.wait_for_secret(name, &[("password", &password)]).await;
        place.wait_for_reason(name, "Synced").await;
        assert_eq!(cloud.emulator.calls("Decrypt"), before + 1, "{name}");
        let label = format!("source=\"{source}\"");
        assert_eq!(running.metric("envelope_secrets_credential_source", &label), 1);
        let logged_texts = [
            "using Tencent Cloud credentials".to_owned(),
            format!("\"source\":\"{source}\""),
            format!("\"assumed_role\":{}", name == "role"),
        ];
        assert!(
            !logged(&logged_texts.each_ref().map(String::as_str)).is_empty(),
            "{logged_texts:?}"
        );
        running.stop().await;
    }
    // Searches all output for the planted values.
    let running = Running::start(Arc::new(cloud.client()), &[&place.namespace]);
    place.finish(running).await;
}

/// Objects that lacked credentials are retried as soon as these are corrected, without waiting for their own backoff.
#[tokio::test(flavor = "multi_thread")]
async fn corrected_credentials_trigger_a_retry() {
    let place = TestNamespace::new("revived").await;
    let mut cloud = Cloud::new();
    cloud.accept_only("AKIDfirst", false);
    let key = KeyUri::parse(&cloud.emulator.key_uri()).unwrap();
    let settings = |credentials: PathBuf| TencentSettings {
        allowed: AllowedKeys::parse([key.as_str()]).unwrap(),
        credentials: Some(credentials),
        ..TencentSettings::default()
    };
    fs::write(cloud.path("sealer"), profile("AKIDfirst")).unwrap();
    let mut registry = Registry::new();
    registry.insert(
        tencent::SCHEME,
        Arc::new(cloud.client_with(settings(cloud.path("sealer")))) as _,
    );
    let never = Timings {
        retry_min: Duration::from_hours(24),
        retry_max: Duration::from_hours(24),
        ..timings()
    };
    cloud.variables.clear();
    let wrong_key = profile("AKIDfirst").replace("keyOfAKIDfirst", "planted-wrong-key");
    place.canary.plant("planted-wrong-key");
    for (name, wrong) in [
        ("malformed", "[default]\nsecret_id = AKIDfirst\n"),
        ("refused", &wrong_key),
        ("absent", ""),
    ] {
        let path = cloud.path(name);
        if !wrong.is_empty() {
            fs::write(&path, wrong).unwrap();
        }
        let kms = Arc::new(cloud.client_with(settings(path.clone())));
        let kubeconfig = plane_with_crd().kubeconfig();
        let running = Running::start_with(kms, &[&place.namespace], &[], kubeconfig, never);
        let password = format!("planted-{name}");
        place.canary.plant(&password);
        let draft = draft(&place.namespace, name, &[("password", password.as_bytes())]);
        let time = SealTime::now().unwrap();
        let sealed = seal_with(&registry, std::slice::from_ref(&key), draft, time).await;
        place.apply(&object(&sealed)).await;
        place.wait_for_reason(name, "CredentialsUnavailable").await;
        fs::write(&path, profile("AKIDfirst")).unwrap();
        place.wait_for_secret(name, &[("password", &password)]).await;
        place.wait_for_reason(name, "Synced").await;
        running.stop().await;
    }
}
