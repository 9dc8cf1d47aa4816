//! Injected faults.

use serde::{Deserialize, Serialize};

use super::account::KeyState;

/// The effect of a fault on a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Effect {
    /// Delays the response.
    Latency { ms: u64 },
    /// Carries out the call, but closes the connection without a response.
    Cut,
    /// Returns this HTTP status and an HTML page without carrying out the call.
    Status { status: u16 },
    /// Returns this API error, such as `RequestLimitExceeded` or `InternalError`.
    Error { code: String },
    /// Sends the headers immediately and the body in pieces over this time.
    SlowBody { ms: u64 },
    /// Closes the connection in the middle of the body.
    CutBody,
    /// Sends half of the JSON as a complete body.
    Truncated,
    /// Sets the `Content-Type`.
    ContentType { value: String },
    /// Replaces every key ID in the response.
    OtherKey { key: String },
    /// Returns a `Plaintext` of this length.
    PlaintextBytes { bytes: usize },
    /// Sets the state of the key before the call, permanently; in `PendingDelete` the key gets a deletion date.
    KeyState { state: KeyState },
}

impl Effect {
    /// The code of the API error, if this is one.
    pub(super) fn code(&self) -> Option<&str> {
        match self {
            Effect::Error { code } => Some(code),
            _ => None,
        }
    }

    /// Whether the call counts as failed, even if it was carried out.
    pub(super) fn counts_as_failure(&self) -> bool {
        !matches!(
            self,
            Effect::Latency { .. } | Effect::SlowBody { .. } | Effect::KeyState { .. }
        )
    }
}

/// A fault: which calls it affects, and how. Criteria that are not set match every call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The key that the call names or whose ciphertext it contains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The number of matching calls before the first affected one.
    #[serde(default)]
    pub after: u64,
    /// The number of affected calls; `None` for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    pub effect: Effect,
}

impl Fault {
    /// Affects every call.
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

    /// Affects only calls of this action.
    #[must_use]
    pub fn action(self, action: &str) -> Self {
        Fault {
            action: Some(action.to_owned()),
            ..self
        }
    }

    /// Affects only calls in this region.
    #[must_use]
    pub fn region(self, region: &str) -> Self {
        Fault {
            region: Some(region.to_owned()),
            ..self
        }
    }

    /// Affects only calls for this key.
    #[must_use]
    pub fn key(self, key: &str) -> Self {
        Fault {
            key: Some(key.to_owned()),
            ..self
        }
    }

    /// Skips this many matching calls.
    #[must_use]
    pub fn after(self, calls: u64) -> Self {
        Fault { after: calls, ..self }
    }

    /// Affects at most this many calls.
    #[must_use]
    pub fn times(self, calls: u64) -> Self {
        Fault {
            times: Some(calls),
            ..self
        }
    }

    /// Whether the fault affects this call. Counts the call.
    fn affects(&mut self, action: &str, region: &str, key: &str) -> bool {
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

/// Returns the effects on this call, and removes faults that are used up.
pub(super) fn effects(faults: &mut Vec<Fault>, action: &str, region: &str, key: &str) -> Vec<Effect> {
    let hit: Vec<Effect> = faults
        .iter_mut()
        .filter_map(|fault| fault.affects(action, region, key).then(|| fault.effect.clone()))
        .collect();
    faults.retain(|fault| fault.times != Some(0));
    hit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_affects_matching_calls_after_and_times() {
        let mut faults = vec![
            Fault::new(Effect::Cut)
                .action("Decrypt")
                .region("ap-guangzhou")
                .after(1)
                .times(2),
            Fault::new(Effect::Truncated).key("k"),
        ];
        let mut hit = |action: &str, region: &str, key: &str| effects(&mut faults, action, region, key);
        assert_eq!(hit("Decrypt", "ap-guangzhou", ""), [], "the first is skipped");
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
            "without a limit"
        );
        assert_eq!(faults.len(), 1);
    }

    #[test]
    fn fault_is_parsed_from_json_and_unknown_members_are_rejected() {
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
