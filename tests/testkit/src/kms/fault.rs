//! Faults on demand.

use serde::{Deserialize, Serialize};

use super::world::KeyState;

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Effect {
    /// The answer comes this much later.
    Latency { ms: u64 },
    /// The connection ends without an answer; the call was carried out.
    Cut,
    /// Another HTTP status, with a page instead of JSON; the call was not carried out.
    Status { status: u16 },
    /// This error of the API: `RequestLimitExceeded`, `InternalError`, anything.
    Error { code: String },
    /// The answer's head comes at once, its body in pieces over this time.
    SlowBody { ms: u64 },
    /// The connection ends in the middle of the body.
    CutBody,
    /// Half of the JSON, as if it were all.
    Truncated,
    /// Another `Content-Type`.
    ContentType { value: String },
    /// The answer is about another key, wherever it names one.
    OtherKey { key: String },
    /// The answer's `Plaintext` has so many bytes.
    PlaintextBytes { bytes: usize },
    /// Before the call, the key that it is about gets this state, and keeps it; what is to be deleted gets a date.
    KeyState { state: KeyState },
}

impl Effect {
    /// The error of the API that it is.
    pub(super) fn code(&self) -> Option<&str> {
        match self {
            Effect::Error { code } => Some(code),
            _ => None,
        }
    }

    /// Whether a call that it hits counts as failed, though it may have been carried out.
    pub(super) fn spoils(&self) -> bool {
        !matches!(
            self,
            Effect::Latency { .. } | Effect::SlowBody { .. } | Effect::KeyState { .. }
        )
    }
}

/// Which calls are hit, and how. What is not named is not looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The key that the call is about, or whose ciphertext it brings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// So many calls pass first.
    #[serde(default)]
    pub after: u64,
    /// So many calls are hit; without it, all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    pub effect: Effect,
}

impl Fault {
    /// Hits every call.
    pub fn new(effect: Effect) -> Self {
        Fault {
            action: None,
            region: None,
            key: None,
            after: 0,
            times: None,
            effect,
        }
    }

    /// Hits calls of this action only.
    #[must_use]
    pub fn action(self, action: &str) -> Self {
        Fault {
            action: Some(action.to_owned()),
            ..self
        }
    }

    /// Hits calls for this region only.
    #[must_use]
    pub fn region(self, region: &str) -> Self {
        Fault {
            region: Some(region.to_owned()),
            ..self
        }
    }

    /// Hits calls about this key only.
    #[must_use]
    pub fn key(self, key: &str) -> Self {
        Fault {
            key: Some(key.to_owned()),
            ..self
        }
    }

    /// Lets so many calls pass first.
    #[must_use]
    pub fn after(self, calls: u64) -> Self {
        Fault { after: calls, ..self }
    }

    /// Hits so many calls, then no more.
    #[must_use]
    pub fn times(self, calls: u64) -> Self {
        Fault {
            times: Some(calls),
            ..self
        }
    }

    /// Whether it hits this call; counts down.
    fn hits(&mut self, action: &str, region: &str, key: &str) -> bool {
        let is =
            |wanted: &Option<String>, there: &str| wanted.as_deref().is_none_or(|wanted| wanted == there);
        if !is(&self.action, action) || !is(&self.region, region) || !is(&self.key, key) {
            return false;
        }
        if self.after > 0 {
            self.after -= 1;
            return false;
        }
        match &mut self.times {
            None => true,
            Some(0) => false,
            Some(times) => {
                *times -= 1;
                true
            }
        }
    }
}

/// What hits this call; faults that are used up go.
pub(super) fn effects(faults: &mut Vec<Fault>, action: &str, region: &str, key: &str) -> Vec<Effect> {
    let hit: Vec<Effect> = faults
        .iter_mut()
        .filter_map(|fault| fault.hits(action, region, key).then(|| fault.effect.clone()))
        .collect();
    faults.retain(|fault| fault.times != Some(0));
    hit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_hits_what_it_names_as_often_as_it_says() {
        let mut faults = vec![
            Fault::new(Effect::Cut)
                .action("Decrypt")
                .region("ap-guangzhou")
                .after(1)
                .times(2),
            Fault::new(Effect::Truncated).key("k"),
        ];
        let mut hit = |action: &str, region: &str, key: &str| effects(&mut faults, action, region, key);
        assert_eq!(hit("Decrypt", "ap-guangzhou", ""), [], "one passes");
        assert_eq!(hit("Encrypt", "ap-guangzhou", ""), []);
        assert_eq!(hit("Decrypt", "ap-beijing", ""), []);
        assert_eq!(
            hit("Decrypt", "ap-guangzhou", "k"),
            [Effect::Cut, Effect::Truncated]
        );
        assert_eq!(hit("Decrypt", "ap-guangzhou", ""), [Effect::Cut]);
        assert_eq!(hit("Decrypt", "ap-guangzhou", ""), [], "used up");
        assert_eq!(
            hit("Encrypt", "ap-guangzhou", "k"),
            [Effect::Truncated],
            "without an end"
        );
        assert_eq!(faults.len(), 1);
    }

    #[test]
    fn a_fault_is_written_as_people_type_it() {
        let text = r#"{"action":"Decrypt","times":3,"effect":{"error":{"code":"RequestLimitExceeded"}}}"#;
        let fault: Fault = serde_json::from_str(text).expect("a fault");
        let effect = Effect::Error {
            code: "RequestLimitExceeded".to_owned(),
        };
        assert_eq!(fault, Fault::new(effect).action("Decrypt").times(3));
        let cut: Fault = serde_json::from_str(r#"{"effect":"cut"}"#).expect("a fault");
        assert_eq!(cut, Fault::new(Effect::Cut));
        assert!(serde_json::from_str::<Fault>(r#"{"effect":"cut","acton":"Decrypt"}"#).is_err());
    }
}
