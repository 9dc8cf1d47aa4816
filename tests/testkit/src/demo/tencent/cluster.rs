//! With a cluster: the controller during outages, with disabled keys, and after a rotation.

use anyhow::{Context as _, Result, ensure};

use super::cloud::{Tencent, create_key, reseal};
use crate::demo::stage::{Controller, Stage};
use crate::demo::story::{self, show_secret, wait_for_failure, wait_for_password};
use crate::kms::{Command, KeyState, Provider, REGION, Role, Trust};

// `kubectl wait` rejects values that end in a single `=`: the base64 of these passwords has no padding.
const SECOND: &str = "tractor-ocean-lamp-forty";
const THIRD: &str = "velvet-canyon-seven-noon";
const FOURTH: &str = "amber-kettle-north-drums";
/// The cloud's ID of the cluster, and the role that the controller assumes.
const PROVIDER: &str = "cls-demo";
const ROLE: &str = "envelope";
const AUDIENCE: &str = "sts.cloud.tencent.com";

pub(super) fn run(cloud: &Tencent, stage: &mut Stage<'_>, namespace: &str) -> Result<()> {
    configure_trust(cloud, stage, namespace)?;
    let controller = start_controller(cloud, stage, namespace)?;
    cloud.reset_counts()?;
    story::apply(stage, namespace, &controller)?;
    check_pod_identity(cloud, stage, &controller)?;
    survive_outage(cloud, stage, namespace)?;
    disable_keys(cloud, stage, namespace)?;
    cloud.rotate(stage, namespace, THIRD, FOURTH)?;
    stage.say("The controller opens the new one.")?;
    stage.run("kubectl apply -f db.sealed.yaml")?;
    wait_for_password(stage, namespace, FOURTH)?;
    reject_disallowed_key(cloud, stage, namespace)?;
    story::apply_tampered(stage, namespace, FOURTH)?;
    stage.stop_controller(&controller)
}

/// Registers the cluster with the cloud, and allows one `ServiceAccount` to decrypt.
fn configure_trust(cloud: &Tencent, stage: &mut Stage<'_>, namespace: &str) -> Result<()> {
    stage.say("The controller has no long-lived credentials: like a pod in TKE, it assumes a role with its ServiceAccount's token.")?;
    stage.say("Register the cluster's public keys with the cloud, and create a role with which this ServiceAccount may only call Decrypt (in the TKE and CAM consoles; here through the emulator).")?;
    stage.run(&format!("kubectl create serviceaccount -n {namespace} envelope"))?;
    stage.run("kubectl get --raw /.well-known/openid-configuration > issuer.json")?;
    stage.run("kubectl get --raw /openid/v1/jwks > keys.json")?;
    let issuer: serde_json::Value = serde_json::from_str(&stage.read("issuer.json")?)?;
    cloud.emulator.order(Command::Provider(Provider {
        id: PROVIDER.to_owned(),
        issuer: issuer["issuer"].as_str().context("no issuer")?.to_owned(),
        audience: AUDIENCE.to_owned(),
        jwks: serde_json::from_str(&stage.read("keys.json")?)?,
    }))?;
    cloud.emulator.order(Command::Role(Role {
        name: ROLE.to_owned(),
        trust: Trust::WebIdentity {
            provider: PROVIDER.to_owned(),
            subject: Some(format!("system:serviceaccount:{namespace}:envelope")),
        },
        actions: Some(vec!["Decrypt".to_owned()]),
    }))?;
    Ok(())
}

fn start_controller(cloud: &Tencent, stage: &mut Stage<'_>, namespace: &str) -> Result<Controller> {
    stage.say("Create a token. In a pod, the kubelet writes it to a file and renews it, and TKE sets the variables TKE_*.")?;
    stage.run(&format!(
        "kubectl create token -n {namespace} envelope --audience {AUDIENCE} > token"
    ))?;
    stage.say("Start the controller with only this token, for these two KMS keys and this namespace.")?;
    stage.start_controller(&format!(
        "env -u TENCENTCLOUD_SECRET_ID -u TENCENTCLOUD_SECRET_KEY TKE_REGION={REGION} TKE_PROVIDER_ID={PROVIDER} TKE_ROLE_ARN={} \
         TKE_WEB_IDENTITY_TOKEN_FILE=token envelope controller --allow-key $GUANGZHOU --allow-key $SINGAPORE --namespaces {namespace}",
        cloud.emulator.role_arn(ROLE)
    ))
}

/// Checks that the controller opened with the pod's identity and one call of Decrypt.
fn check_pod_identity(cloud: &Tencent, stage: &mut Stage<'_>, controller: &Controller) -> Result<()> {
    stage.print(&format!("http://127.0.0.1:{}/metrics:", controller.metrics))?;
    let mut sources = controller.metric("envelope_secrets_credential_source")?;
    sources.retain(|(_, value)| *value != 0.0);
    for (sample, value) in &sources {
        stage.print(&format!("  {sample} {value}"))?;
    }
    ensure!(
        sources.len() == 1 && sources[0].0.contains("tke-oidc"),
        "the controller did not use the pod's token"
    );
    let (near, far) = cloud.show_decrypt_calls(stage)?;
    ensure!(
        (near.total, near.failed, far.total) == (1, 0, 0),
        "the controller did not open with one call"
    );
    Ok(())
}

fn survive_outage(cloud: &Tencent, stage: &mut Stage<'_>, namespace: &str) -> Result<()> {
    stage.say("Seal another password.")?;
    reseal(stage, namespace, SECOND)?;
    stage.say("Simulate an outage of ap-guangzhou: the emulator returns HTTP status 503 there. The controller uses the other KMS key.")?;
    cloud.start_outage();
    cloud.reset_counts()?;
    stage.run("kubectl apply -f db.sealed.yaml")?;
    wait_for_password(stage, namespace, SECOND)?;
    cloud.end_outage(stage)
}

fn disable_keys(cloud: &Tencent, stage: &mut Stage<'_>, namespace: &str) -> Result<()> {
    stage.say("The outage is over. Seal a third password.")?;
    reseal(stage, namespace, THIRD)?;
    stage.say("Before it is applied, an administrator disables both KMS keys (in the console; here through the emulator).")?;
    cloud.set_key_states(stage, KeyState::Disabled)?;
    stage.run("kubectl apply -f db.sealed.yaml")?;
    wait_for_failure(stage, namespace, "db")?;
    ensure!(
        story::conditions(stage, namespace, "db")?.contains("Ready=False KmsKeyUnusable"),
        "the condition does not say that the KMS key is disabled"
    );
    stage.say("The Secret is unchanged.")?;
    show_secret(stage, namespace, SECOND)?;
    stage.say("When the keys are enabled again, the controller retries and updates the Secret, without a restart or another apply.")?;
    cloud.set_key_states(stage, KeyState::Enabled)?;
    wait_for_password(stage, namespace, THIRD)
}

fn reject_disallowed_key(cloud: &Tencent, stage: &mut Stage<'_>, namespace: &str) -> Result<()> {
    stage.say("A document sealed with a KMS key that is not in the controller's --allow-key list is refused without a KMS call.")?;
    create_key(stage, "OTHER", "--alias other")?;
    stage.run("sed 's/name: db/name: other/' db.yaml | envelope seal --key $OTHER > other.sealed.yaml")?;
    cloud.reset_counts()?;
    stage.run("kubectl apply -f other.sealed.yaml")?;
    wait_for_failure(stage, namespace, "other")?;
    ensure!(
        story::conditions(stage, namespace, "other")?.contains("Ready=False NoUsableKey"),
        "the condition does not say that the KMS key is not allowed"
    );
    let calls = cloud.emulator.all_calls();
    stage.print(&format!("KMS calls: {calls}"))?;
    ensure!(calls == 0, "the KMS was called for a key that is not allowed");
    stage.run_failing(1, &format!("kubectl get -n {namespace} secret other"))?;
    Ok(())
}
