//! The story with Tencent Cloud KMS, which the emulator plays.

mod alone;
mod cluster;

use anyhow::{Context as _, Result, ensure};

use super::stage::Stage;
use super::story::{self, Story, tells};
use crate::kms::{Command, Count, Effect, Emulator, Fault, KeyState, REGION};

const FAR_REGION: &str = "ap-singapore";
/// The flags of both KMS keys, by the variables that hold their URIs.
const KEYS: &str = "--key $GUANGZHOU --key $SINGAPORE";

pub(super) struct Tencent {
    emulator: Emulator,
    /// Ids of the two KMS keys, once they are there.
    near: String,
    far: String,
}

impl Story for Tencent {
    fn seal(&mut self, stage: &mut Stage<'_>, namespace: &str) -> Result<()> {
        stage.say("Tencent Cloud KMS, played by an emulator on this machine: ours, not Tencent's. With an account of yours you set only the last three.")?;
        for (name, value) in self.emulator.environment() {
            // Its own key is not used here: keys are a part of the story.
            if name != "ENVELOPE_KEY" {
                stage.exports(name, &value)?;
            }
        }
        stage.say("A KMS key in each of two regions. Its material never leaves the KMS; we have its URI.")?;
        self.near = creates_key(stage, "GUANGZHOU", "--alias prod")?;
        self.far = creates_key(stage, "SINGAPORE", &format!("--alias prod --region {FAR_REGION}"))?;
        stage.say("Are credentials, clock and both KMS keys good for sealing and opening?")?;
        stage.runs(&format!("envelope doctor {KEYS}"))?;
        story::seals(stage, namespace, KEYS)?;
        self.tells_what_was_asked(stage)
    }

    fn open(&mut self, stage: &mut Stage<'_>) -> Result<()> {
        alone::open(self, stage)
    }

    fn cluster(&mut self, stage: &mut Stage<'_>, namespace: &str) -> Result<()> {
        cluster::acts(self, stage, namespace)
    }
}

impl Tencent {
    pub(super) fn start() -> Result<Self> {
        Ok(Self {
            emulator: Emulator::start(&crate::kms::Options::default())?,
            near: String::new(),
            far: String::new(),
        })
    }

    /// The two calls that sealing made.
    fn tells_what_was_asked(&self, stage: &mut Stage<'_>) -> Result<()> {
        stage.say("What the KMS was asked for: a data key, and that data key under the second KMS key. No value went there.")?;
        let requests = self.emulator.order(Command::Requests)?;
        let requests = requests.as_array().context("no list of requests")?;
        ensure!(
            !requests
                .iter()
                .any(|request| tells(&request.to_string(), story::PASSWORD)),
            "the KMS was sent the password"
        );
        let latest = requests.get(..2).context("less than two requests")?;
        for (request, action) in latest.iter().rev().zip(["GenerateDataKey", "Encrypt"]) {
            let text = |path| request.pointer(path).and_then(serde_json::Value::as_str);
            ensure!(
                text("/action") == Some(action),
                "the KMS was asked for something else than {action}"
            );
            stage.prints(&format!(
                "{action} in {}, with the context {}",
                text("/headers/x-tc-region").context("a request without region")?,
                text("/body/EncryptionContext").context("a request without context")?
            ))?;
        }
        Ok(())
    }

    /// Ends what [`Self::goes_down`] began; meanwhile the first KMS key opened nothing, and the second opened once.
    fn comes_up_again(&self, stage: &mut Stage<'_>) -> Result<()> {
        let (near, far) = self.tells_decrypts(stage)?;
        ensure!(
            near.total == near.failed && (far.total, far.failed) == (1, 0),
            "it was not the second KMS key that opened"
        );
        self.emulator.clear_faults();
        Ok(())
    }

    fn goes_down(&self) {
        let fault = Fault::new(Effect::Status { status: 503 });
        self.emulator.fault(fault.region(REGION));
    }

    /// Both KMS keys get this state.
    fn turns_keys(&self, stage: &mut Stage<'_>, to: KeyState) -> Result<()> {
        for (variable, key) in [("GUANGZHOU", &self.near), ("SINGAPORE", &self.far)] {
            let key = key.clone();
            self.emulator.order(Command::KeyState { key, state: to })?;
            let shown = stage.runs(&format!("envelope keys describe ${variable} | grep state:"))?;
            ensure!(shown.contains(&format!("{to:?}")), "the KMS key is not {to:?}");
        }
        Ok(())
    }

    /// The sealed document holds `before`; it is sealed again with `after`.
    fn rotates(&self, stage: &mut Stage<'_>, namespace: &str, before: &str, after: &str) -> Result<()> {
        stage.say(
            "Rotation: from now on the KMS makes new key material once a year, and the URI stays. The emulator does it at once.",
        )?;
        stage.runs("envelope keys enable-rotation $GUANGZHOU")?;
        let key = self.near.clone();
        self.emulator.order(Command::Rotate { key })?;
        stage.runs("cp db.sealed.yaml before.yaml")?;
        seals_again(stage, namespace, after)?;
        stage.say("The start of a ciphertext tells the version of its key: a new one in ap-guangzhou, the same in ap-singapore.")?;
        let line = "grep -o 'ciphertext: .\\{32\\}' before.yaml db.sealed.yaml";
        let shown = stage.runs(line)?;
        let starts: Vec<&str> = shown
            .lines()
            .filter_map(|line| Some(line.split_once("ciphertext: ")?.1))
            .collect();
        let [old_near, old_far, new_near, new_far] = starts[..] else {
            anyhow::bail!("not two ciphertexts in each file");
        };
        ensure!(
            old_near != new_near && old_far == new_far,
            "the new document was not sealed with the new version"
        );
        stage.say("What was sealed before still opens.")?;
        let opened = stage.runs("envelope open --key $GUANGZHOU --value password -f before.yaml")?;
        ensure!(
            opened.trim_end() == before,
            "the document from before the rotation does not hold its password"
        );
        Ok(())
    }

    fn counts_anew(&self) -> Result<()> {
        self.emulator.order(Command::ClearCounts)?;
        Ok(())
    }

    /// Shows the calls of Decrypt since [`Self::counts_anew`]: for the first and the second KMS key.
    fn tells_decrypts(&self, stage: &mut Stage<'_>) -> Result<(Count, Count)> {
        let of = |key| self.emulator.calls_with("Decrypt", key);
        let (near, far) = (of(&self.near), of(&self.far));
        stage.prints(&format!(
            "calls of Decrypt that the KMS counts: ap-guangzhou {} ({} failed), ap-singapore {} ({} failed)",
            near.total, near.failed, far.total, far.failed
        ))?;
        Ok((near, far))
    }
}

/// The new KMS key's id. Its URI is in this variable from now on.
fn creates_key(stage: &mut Stage<'_>, variable: &str, flags: &str) -> Result<String> {
    let said = stage.runs(&format!("envelope keys create --provider tencent-kms {flags}"))?;
    let uri = said.lines().last().unwrap_or_default();
    let id = uri
        .strip_prefix("tencent-kms://")
        .and_then(|rest| rest.split_once('/'))
        .map(|(_, id)| id.to_owned())
        .context("no URI of a KMS key was printed")?;
    stage.exports(variable, uri)?;
    Ok(id)
}

/// Another password in `db.yaml`, and `db.sealed.yaml` made anew.
fn seals_again(stage: &mut Stage<'_>, namespace: &str, password: &str) -> Result<()> {
    story::writes_secret(stage, namespace, password)?;
    stage.runs("grep password db.yaml")?;
    stage.runs(&format!("envelope seal {KEYS} -f db.yaml > db.sealed.yaml"))?;
    Ok(())
}
