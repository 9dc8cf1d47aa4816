//! The metadata service of a machine: the credentials of the role that is bound to it. Plain HTTP, unsigned: it answers by who asks.

use std::time::Duration;

use serde_json::{Value, json};

use super::dispatch::{Outcome, State, Subject, on_the_way};
use super::fault::{Effect, effects};
use super::http::{Answer, Request, Way};
use super::sts::end;

/// What requests to it are counted as, and what a fault names as its action.
pub const METADATA: &str = "Metadata";

const PATH: &str = "/latest/meta-data/cam/security-credentials/";
/// How long what it gives lives. Seconds.
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
    let bound = state.world.machine_role.clone();
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
    count.failed += u64::from(status != 200 || hit.iter().any(Effect::spoils));
    let mut outcome = Outcome {
        answer: Answer {
            status,
            content_type: "text/plain".to_owned(),
            body: body.into_bytes(),
            date: Some(now),
            way: Way::Whole,
        },
        latency: Duration::ZERO,
        changed,
    };
    for effect in &hit {
        on_the_way(effect, &mut outcome);
    }
    outcome
}

fn credentials(state: &mut State, role: &str, now: i64) -> Value {
    let world = &mut state.world;
    let known = world.roles.iter().find(|known| known.name == role);
    let actions = known.and_then(|role| role.actions.clone());
    let given = world.temporary(LIFE, actions, now);
    let (expires, expiration) = end(&given);
    json!({
        "TmpSecretId": given.secret_id,
        "TmpSecretKey": given.secret_key,
        "Token": given.token,
        "ExpiredTime": expires,
        "Expiration": expiration,
        "Code": "Success",
    })
}
