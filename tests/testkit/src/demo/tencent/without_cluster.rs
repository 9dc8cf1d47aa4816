//! Without a cluster: `envelope open` during outages, with disabled keys, and after a rotation.

use anyhow::{Result, ensure};

use super::cloud::{KEYS, Tencent};
use crate::demo::stage::Stage;
use crate::demo::story::{self, NAMESPACE, PASSWORD};
use crate::kms::KeyState;

const NEXT: &str = "tractor-ocean-lamp-forty";

pub(super) fn open(cloud: &Tencent, stage: &mut Stage<'_>) -> Result<()> {
    stage.say("Users with permission to use one of the KMS keys can open the document.")?;
    story::open(stage, KEYS, PASSWORD)?;
    survive_outage(cloud, stage)?;
    disable_keys(cloud, stage)?;
    cloud.rotate(stage, NAMESPACE, PASSWORD, NEXT)?;
    stage.say("So does the new one.")?;
    story::open(stage, KEYS, NEXT)?;
    require_named_key(cloud, stage)?;
    story::reject_tampered(stage, KEYS, NEXT)
}

fn survive_outage(cloud: &Tencent, stage: &mut Stage<'_>) -> Result<()> {
    stage.say("Simulate an outage of ap-guangzhou: the emulator returns HTTP status 503 there. With both KMS keys, the document still opens.")?;
    cloud.start_outage();
    stage.run_failing(4, "envelope open --key $GUANGZHOU -f db.sealed.yaml")?;
    cloud.reset_counts()?;
    story::open(stage, KEYS, PASSWORD)?;
    cloud.end_outage(stage)
}

fn disable_keys(cloud: &Tencent, stage: &mut Stage<'_>) -> Result<()> {
    stage.say("The outage is over. An administrator disables both KMS keys (in the console; here through the emulator).")?;
    cloud.set_key_states(stage, KeyState::Disabled)?;
    let refused = stage.run_failing(
        1,
        &format!("envelope open {KEYS} --string-data -f db.sealed.yaml"),
    )?;
    ensure!(
        refused.contains("CmkDisabled") && !refused.contains(PASSWORD),
        "the error does not say that the KMS key is disabled"
    );
    stage.say("Enabled again, they open the document as before.")?;
    cloud.set_key_states(stage, KeyState::Enabled)?;
    story::open(stage, KEYS, PASSWORD)
}

fn require_named_key(cloud: &Tencent, stage: &mut Stage<'_>) -> Result<()> {
    stage.say("A document cannot choose which KMS keys are used: without --key, the KMS is not called.")?;
    cloud.reset_counts()?;
    stage.run_failing(1, "envelope open --string-data -f db.sealed.yaml")?;
    ensure!(
        cloud.emulator.all_calls() == 0,
        "the KMS was called for a key that was not given with --key"
    );
    Ok(())
}
