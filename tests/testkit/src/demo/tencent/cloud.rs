//! The emulated cloud of the story: the emulator, the two KMS keys, and what happens to them.

use anyhow::{Context as _, Result, ensure};

use crate::demo::stage::Stage;
use crate::demo::story::{self, contains_password};
use crate::kms::{Command, Count, Effect, Emulator, Fault, KeyState, REGION};

/// The flags for both KMS keys, by the variables that hold their URIs.
pub(super) const KEYS: &str = "--key $GUANGZHOU --key $SINGAPORE";

pub(in crate::demo) struct Tencent {
    pub(super) emulator: Emulator,
    /// IDs of the two KMS keys, once they are created: the one in ap-guangzhou and the one in ap-singapore.
    pub(super) near: String,
    pub(super) far: String,
}

impl Tencent {
    pub(in crate::demo) fn start() -> Result<Self> {
        Ok(Self {
            emulator: Emulator::start(&crate::kms::Options::default())?,
            near: String::new(),
            far: String::new(),
        })
    }

    /// Shows the two requests that sealing sent.
    pub(super) fn show_requests(&self, stage: &mut Stage<'_>) -> Result<()> {
        stage.say("Sealing sent two requests to the KMS: one for a data key, and one to wrap that data key with the second KMS key. The Secret's values were not sent.")?;
        let requests = self.emulator.order(Command::Requests)?;
        let requests = requests.as_array().context("no list of requests")?;
        ensure!(
            !requests
                .iter()
                .any(|request| contains_password(&request.to_string(), story::PASSWORD)),
            "the password was sent to the KMS"
        );
        let latest = requests.get(..2).context("fewer than two requests")?;
        for (request, action) in latest.iter().rev().zip(["GenerateDataKey", "Encrypt"]) {
            let text = |path| request.pointer(path).and_then(serde_json::Value::as_str);
            ensure!(text("/action") == Some(action), "the request is not {action}");
            stage.print(&format!(
                "{action} in {}, with the encryption context {}",
                text("/headers/x-tc-region").context("a request without region")?,
                text("/body/EncryptionContext").context("a request without encryption context")?
            ))?;
        }
        Ok(())
    }

    /// Ends the outage of [`Self::start_outage`], after checking that the second KMS key, and not the first, opened the document.
    pub(super) fn end_outage(&self, stage: &mut Stage<'_>) -> Result<()> {
        let (near, far) = self.show_decrypt_calls(stage)?;
        ensure!(
            near.total == near.failed && (far.total, far.failed) == (1, 0),
            "the document was not opened with the second KMS key"
        );
        self.emulator.clear_faults();
        Ok(())
    }

    pub(super) fn start_outage(&self) {
        let fault = Fault::new(Effect::Status { status: 503 });
        self.emulator.fault(fault.region(REGION));
    }

    /// Sets the state of both KMS keys.
    pub(super) fn set_key_states(&self, stage: &mut Stage<'_>, to: KeyState) -> Result<()> {
        for (variable, key) in [("GUANGZHOU", &self.near), ("SINGAPORE", &self.far)] {
            let key = key.clone();
            self.emulator.order(Command::KeyState { key, state: to })?;
            let shown = stage.run(&format!("envelope keys describe ${variable} | grep state:"))?;
            ensure!(shown.contains(&format!("{to:?}")), "the KMS key is not {to:?}");
        }
        Ok(())
    }

    /// Rotates the first KMS key and re-seals the document, with the password `after` instead of `before`.
    pub(super) fn rotate(
        &self,
        stage: &mut Stage<'_>,
        namespace: &str,
        before: &str,
        after: &str,
    ) -> Result<()> {
        stage.say(
            "Enable rotation: the KMS creates new key material once a year; the URI does not change. The emulator rotates immediately.",
        )?;
        stage.run("envelope keys enable-rotation $GUANGZHOU")?;
        let key = self.near.clone();
        self.emulator.order(Command::Rotate { key })?;
        stage.run("cp db.sealed.yaml before.yaml")?;
        reseal(stage, namespace, after)?;
        stage.say("The start of a ciphertext identifies the version of its key: a new version in ap-guangzhou, the same one in ap-singapore.")?;
        let line = "grep -o 'ciphertext: .\\{32\\}' before.yaml db.sealed.yaml";
        let shown = stage.run(line)?;
        let starts: Vec<&str> = shown
            .lines()
            .filter_map(|line| Some(line.split_once("ciphertext: ")?.1))
            .collect();
        let [old_near, old_far, new_near, new_far] = starts[..] else {
            anyhow::bail!("the files do not have two ciphertexts each");
        };
        ensure!(
            old_near != new_near && old_far == new_far,
            "the new document was not sealed with the new key version"
        );
        stage.say("The document that was sealed before the rotation still opens.")?;
        let opened = stage.run("envelope open --key $GUANGZHOU --value password -f before.yaml")?;
        ensure!(
            opened.trim_end() == before,
            "the document from before the rotation does not contain its password"
        );
        Ok(())
    }

    pub(super) fn reset_counts(&self) -> Result<()> {
        self.emulator.order(Command::ClearCounts)?;
        Ok(())
    }

    /// Shows the number of Decrypt calls since [`Self::reset_counts`], and returns it for the first and the second KMS key.
    pub(super) fn show_decrypt_calls(&self, stage: &mut Stage<'_>) -> Result<(Count, Count)> {
        let of = |key| self.emulator.calls_with("Decrypt", key);
        let (near, far) = (of(&self.near), of(&self.far));
        stage.print(&format!(
            "Decrypt calls: ap-guangzhou {} ({} failed), ap-singapore {} ({} failed)",
            near.total, near.failed, far.total, far.failed
        ))?;
        Ok((near, far))
    }
}

/// Creates a KMS key, exports its URI as a variable, and returns its ID.
pub(super) fn create_key(stage: &mut Stage<'_>, variable: &str, flags: &str) -> Result<String> {
    let output = stage.run(&format!("envelope keys create --provider tencent-kms {flags}"))?;
    let uri = output.lines().last().unwrap_or_default();
    let id = uri
        .strip_prefix("tencent-kms://")
        .and_then(|rest| rest.split_once('/'))
        .map(|(_, id)| id.to_owned())
        .context("the command did not print the URI of a KMS key")?;
    stage.export(variable, uri)?;
    Ok(id)
}

/// Writes another password to `db.yaml` and seals it to `db.sealed.yaml`.
pub(super) fn reseal(stage: &mut Stage<'_>, namespace: &str, password: &str) -> Result<()> {
    story::write_secret(stage, namespace, password)?;
    stage.run("grep password db.yaml")?;
    stage.run(&format!("envelope seal {KEYS} -f db.yaml > db.sealed.yaml"))?;
    Ok(())
}
