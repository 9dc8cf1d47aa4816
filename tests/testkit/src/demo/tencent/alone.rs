//! Without a cluster: `envelope open` in good and bad times of the KMS.

use anyhow::{Result, ensure};

use super::{KEYS, Tencent};
use crate::demo::NAMESPACE;
use crate::demo::stage::Stage;
use crate::demo::story::{self, PASSWORD};
use crate::kms::KeyState;

const NEXT: &str = "tractor-ocean-lamp-forty";

pub(super) fn open(cloud: &Tencent, stage: &mut Stage<'_>) -> Result<()> {
    stage.say("Who may use one of the KMS keys can open it.")?;
    story::opens(stage, KEYS, PASSWORD)?;
    region_down(cloud, stage)?;
    disabled(cloud, stage)?;
    cloud.rotates(stage, NAMESPACE, PASSWORD, NEXT)?;
    stage.say("And so does the new one.")?;
    story::opens(stage, KEYS, NEXT)?;
    not_named(cloud, stage)?;
    story::opens_nothing_changed(stage, KEYS, NEXT)
}

fn region_down(cloud: &Tencent, stage: &mut Stage<'_>) -> Result<()> {
    stage.say("Region ap-guangzhou goes down: the emulator answers with HTTP status 503 there. With both KMS keys it opens.")?;
    cloud.goes_down();
    stage.ends(4, "envelope open --key $GUANGZHOU -f db.sealed.yaml")?;
    cloud.counts_anew()?;
    story::opens(stage, KEYS, PASSWORD)?;
    cloud.comes_up_again(stage)
}

fn disabled(cloud: &Tencent, stage: &mut Stage<'_>) -> Result<()> {
    stage.say("It is up again. An administrator disables both KMS keys (in the console; here the emulator is told).")?;
    cloud.turns_keys(stage, KeyState::Disabled)?;
    let refused = stage.ends(
        1,
        &format!("envelope open {KEYS} --string-data -f db.sealed.yaml"),
    )?;
    ensure!(
        refused.contains("CmkDisabled") && !refused.contains(PASSWORD),
        "the refusal does not say that the KMS key is disabled"
    );
    stage.say("They are enabled again, and open as before.")?;
    cloud.turns_keys(stage, KeyState::Enabled)?;
    story::opens(stage, KEYS, PASSWORD)
}

fn not_named(cloud: &Tencent, stage: &mut Stage<'_>) -> Result<()> {
    stage.say("A document does not choose which KMS keys are used: of those that nobody named none is, and the KMS is not called.")?;
    cloud.counts_anew()?;
    stage.ends(1, "envelope open --string-data -f db.sealed.yaml")?;
    ensure!(
        cloud.emulator.all_calls() == 0,
        "the KMS was called for a key that nobody named"
    );
    Ok(())
}
