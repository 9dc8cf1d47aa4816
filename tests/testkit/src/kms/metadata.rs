//! The instance metadata service: returns the credentials of the role that is bound to the instance, over plain HTTP and without
//! authentication.

use std::time::Duration;

use serde_json::{Value, json};

use super::dispatch::{Outcome, State, Subject, apply_to_response};
use super::fault::{Effect, effects};
use super::http::{Delivery, Request, Response};
use super::sts::expiry;

/// The action under which its requests are counted and matched by faults.
pub const METADATA: &str = "Metadata";

const PATH: &str = "/latest/meta-data/cam/security-credentials/";
/// The lifetime of the credentials, in seconds.
const LIFE: i64 = 7200;

pub(super) fn handle(state: &mut State, request: &Request) -> Outcome {
    let subject = Subject {
        action: METADATA.to_owned(),
        region: String::new(),
        key: String::new(),
    };
    let hit = effects(&mut state.faults, METADATA, "", "");
    let now = state.now();
    let role = request.path.strip_prefix(PATH);
    let bound = state.account.machine_role.clone();
    let (status, body, changed) = match (request.method.as_str(), role, bound) {
        ("GET", Some(""), Some(bound)) => (200, bound, false),
        ("GET", Some(name), Some(bound)) if name == bound => match hit.iter().find_map(Effect::code) {
            Some(code) => (200, json!({"Code": code}).to_string(), false),
            None => (200, credentials(state, name, now).to_string(), true),
        },
        ("GET", ..) => (404, String::new(), false),
        _ => (405, String::new(), false),
    };
    let count = state.counts.entry(subject).or_default();
    count.total += 1;
    count.failed += u64::from(status != 200 || hit.iter().any(Effect::counts_as_failure));
    let mut outcome = Outcome {
        response: Response {
            status,
            content_type: "text/plain".to_owned(),
            body: body.into_bytes(),
            date: Some(now),
            delivery: Delivery::Whole,
        },
        latency: Duration::ZERO,
        changed,
    };
    for effect in &hit {
        apply_to_response(effect, &mut outcome);
    }
    outcome
}

fn credentials(state: &mut State, role: &str, now: i64) -> Value {
    let account = &mut state.account;
    let known = account.roles.iter().find(|known| known.name == role);
    let actions = known.and_then(|role| role.actions.clone());
    let issued = account.issue_temporary(LIFE, actions, now);
    let (expires, expiration) = expiry(&issued);
    json!({
        "TmpSecretId": issued.secret_id,
        "TmpSecretKey": issued.secret_key,
        "Token": issued.token,
        "ExpiredTime": expires,
        "Expiration": expiration,
        "Code": "Success",
    })
}
