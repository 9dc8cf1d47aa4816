//! The story with Tencent Cloud KMS, as an emulator.

mod cloud;
mod cluster;
mod without_cluster;

use anyhow::Result;

use super::stage::Stage;
use super::story::{self, Story};
pub(super) use cloud::Tencent;
use cloud::{KEYS, create_key};

const FAR_REGION: &str = "ap-singapore";

impl Story for Tencent {
    fn seal(&mut self, stage: &mut Stage<'_>, namespace: &str) -> Result<()> {
        stage.say("This demo uses this project's emulator of Tencent Cloud KMS, on this host. With a real account, set only the last three variables.")?;
        for (name, value) in self.emulator.environment() {
            // The story creates its own keys.
            if name != "ENVELOPE_KEY" {
                stage.export(name, &value)?;
            }
        }
        stage.say("Create a KMS key in each of two regions. The key material never leaves the KMS; the client only has the URIs.")?;
        self.near = create_key(stage, "GUANGZHOU", "--alias prod")?;
        self.far = create_key(stage, "SINGAPORE", &format!("--alias prod --region {FAR_REGION}"))?;
        stage.say("Check the credentials, the clock, and that both KMS keys can seal and open.")?;
        stage.run(&format!("envelope doctor {KEYS}"))?;
        story::seal(stage, namespace, KEYS)?;
        self.show_requests(stage)
    }

    fn open(&mut self, stage: &mut Stage<'_>) -> Result<()> {
        without_cluster::open(self, stage)
    }

    fn cluster(&mut self, stage: &mut Stage<'_>, namespace: &str) -> Result<()> {
        cluster::run(self, stage, namespace)
    }
}
