//! The controller with KMS keys, in good and bad times of the KMS.

use anyhow::{Context as _, Result, ensure};

use super::{Tencent, creates_key, seals_again};
use crate::demo::stage::{Controller, Stage};
use crate::demo::story::{self, shows_secret, waits_for_refusal, waits_for_secret};
use crate::kms::{Command, KeyState, Provider, REGION, Role, Trust};

// `kubectl wait` takes no value that ends in a single `=`: in base64 these end in none.
const SECOND: &str = "tractor-ocean-lamp-forty";
const THIRD: &str = "velvet-canyon-seven-noon";
const FOURTH: &str = "amber-kettle-north-drums";
/// How the cloud names the cluster, and the role that its controller takes.
const PROVIDER: &str = "cls-demo";
const ROLE: &str = "envelope";
const AUDIENCE: &str = "sts.cloud.tencent.com";

pub(super) fn acts(cloud: &Tencent, stage: &mut Stage<'_>, namespace: &str) -> Result<()> {
    trusts(cloud, stage, namespace)?;
    let controller = starts(cloud, stage, namespace)?;
    cloud.counts_anew()?;
    story::applied(stage, namespace, &controller)?;
    opened_as_pod(cloud, stage, &controller)?;
    region_down(cloud, stage, namespace)?;
    disabled(cloud, stage, namespace)?;
    cloud.rotates(stage, namespace, THIRD, FOURTH)?;
    stage.say("And so does the new one, here in the cluster.")?;
    stage.runs("kubectl apply -f db.sealed.yaml")?;
    waits_for_secret(stage, namespace, FOURTH)?;
    not_allowed(cloud, stage, namespace)?;
    story::tampered(stage, namespace, FOURTH)?;
    stage.stops_controller(&controller)
}

/// The cloud learns of the cluster, and of the one service account that may open.
fn trusts(cloud: &Tencent, stage: &mut Stage<'_>, namespace: &str) -> Result<()> {
    stage.say("The controller holds no key of the account: as a pod in TKE, it takes a role with its ServiceAccount's token.")?;
    stage.say("The cloud gets the cluster's public keys, and a role for this ServiceAccount that may Decrypt only (in the consoles of TKE and CAM; here the emulator is told).")?;
    stage.runs(&format!("kubectl create serviceaccount -n {namespace} envelope"))?;
    stage.runs("kubectl get --raw /.well-known/openid-configuration > issuer.json")?;
    stage.runs("kubectl get --raw /openid/v1/jwks > keys.json")?;
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

fn starts(cloud: &Tencent, stage: &mut Stage<'_>, namespace: &str) -> Result<Controller> {
    stage.say("The token. In a pod the kubelet puts it into a file and renews it, and TKE sets the variables TKE_*.")?;
    stage.runs(&format!(
        "kubectl create token -n {namespace} envelope --audience {AUDIENCE} > token"
    ))?;
    stage.say("The controller, with this token only, for these two KMS keys and this namespace.")?;
    stage.starts_controller(&format!(
        "env -u TENCENTCLOUD_SECRET_ID -u TENCENTCLOUD_SECRET_KEY TKE_REGION={REGION} TKE_PROVIDER_ID={PROVIDER} TKE_ROLE_ARN={} \
         TKE_WEB_IDENTITY_TOKEN_FILE=token envelope controller --allow-key $GUANGZHOU --allow-key $SINGAPORE --namespaces {namespace}",
        cloud.emulator.role_arn(ROLE)
    ))
}

/// With the pod's identity, for one call of Decrypt.
fn opened_as_pod(cloud: &Tencent, stage: &mut Stage<'_>, controller: &Controller) -> Result<()> {
    stage.prints(&format!("http://127.0.0.1:{}/metrics says:", controller.metrics))?;
    let mut sources = controller.metric("envelope_secrets_credential_source")?;
    sources.retain(|(_, value)| *value != 0.0);
    for (sample, value) in &sources {
        stage.prints(&format!("  {sample} {value}"))?;
    }
    ensure!(
        sources.len() == 1 && sources[0].0.contains("tke-oidc"),
        "the controller did not use the pod's token"
    );
    let (near, far) = cloud.tells_decrypts(stage)?;
    ensure!(
        (near.total, near.failed, far.total) == (1, 0, 0),
        "the controller did not open with one call"
    );
    Ok(())
}

fn region_down(cloud: &Tencent, stage: &mut Stage<'_>, namespace: &str) -> Result<()> {
    stage.say("Another password is sealed.")?;
    seals_again(stage, namespace, SECOND)?;
    stage.say("Region ap-guangzhou goes down: the emulator answers with HTTP status 503 there. The password arrives, by the other KMS key.")?;
    cloud.goes_down();
    cloud.counts_anew()?;
    stage.runs("kubectl apply -f db.sealed.yaml")?;
    waits_for_secret(stage, namespace, SECOND)?;
    cloud.comes_up_again(stage)
}

fn disabled(cloud: &Tencent, stage: &mut Stage<'_>, namespace: &str) -> Result<()> {
    stage.say("The region is up again. One more password is sealed.")?;
    seals_again(stage, namespace, THIRD)?;
    stage.say("Before it is applied, an administrator disables both KMS keys (in the console; here the emulator is told).")?;
    cloud.turns_keys(stage, KeyState::Disabled)?;
    stage.runs("kubectl apply -f db.sealed.yaml")?;
    waits_for_refusal(stage, namespace, "db")?;
    ensure!(
        story::conditions(stage, namespace, "db")?.contains("Ready=False KmsKeyUnusable"),
        "the condition does not say that the KMS key is disabled"
    );
    stage.say("The Secret stands as it was.")?;
    shows_secret(stage, namespace, SECOND)?;
    stage.say("They are enabled again. What waited arrives by itself: no restart, nothing to apply.")?;
    cloud.turns_keys(stage, KeyState::Enabled)?;
    waits_for_secret(stage, namespace, THIRD)
}

fn not_allowed(cloud: &Tencent, stage: &mut Stage<'_>, namespace: &str) -> Result<()> {
    stage.say("A document under a KMS key that the controller was not given by --allow-key: it is refused without a call.")?;
    creates_key(stage, "OTHER", "--alias other")?;
    stage.runs("sed 's/name: db/name: other/' db.yaml | envelope seal --key $OTHER > other.sealed.yaml")?;
    cloud.counts_anew()?;
    stage.runs("kubectl apply -f other.sealed.yaml")?;
    waits_for_refusal(stage, namespace, "other")?;
    ensure!(
        story::conditions(stage, namespace, "other")?.contains("Ready=False NoUsableKey"),
        "the condition does not say that the KMS key is not allowed"
    );
    let calls = cloud.emulator.all_calls();
    stage.prints(&format!("calls that the KMS counts: {calls}"))?;
    ensure!(calls == 0, "the KMS was called for a key that is not allowed");
    stage.ends(1, &format!("kubectl get -n {namespace} secret other"))?;
    Ok(())
}
