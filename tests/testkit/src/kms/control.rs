//! Orders to the emulator: in the process, or as JSON over HTTP on a port of its own.

use serde::Deserialize;
use serde_json::{Value, json};

use super::dispatch::State;
use super::fault::Fault;
use super::http::{Answer, Request, Way};
use super::sts;
use super::world::{Credential, KeyState, Provider, Quotas, REGIONS, Role, World};

/// An order. As JSON: `"clearFaults"`, `{"rotate":{"key":"23e80852-..."}}`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Command {
    /// Makes a key; answers with its `key` and `uri`.
    CreateKey {
        region: String,
        alias: String,
    },
    /// Gives a key any state; what is to be deleted gets a date.
    KeyState {
        key: String,
        state: KeyState,
    },
    /// A new version of the key's material encrypts from now on; the old ones still decrypt.
    Rotate {
        key: String,
    },
    /// The key is gone for good, as after the end of its deletion window.
    DeleteKey {
        key: String,
    },
    /// From now on this goes wrong, besides what already does.
    Fault(Fault),
    /// Nothing goes wrong any more.
    ClearFaults,
    /// The emulator's clock is so many seconds ahead of the machine's.
    Clock {
        ahead: i64,
    },
    /// These credentials are good; they replace those of the same id.
    Credential(Credential),
    /// The secret id is unknown from now on.
    RemoveCredential {
        secret_id: String,
    },
    /// Temporary credentials have expired.
    Expire {
        secret_id: String,
    },
    /// All temporary credentials have expired.
    ExpireTemporary,
    /// Temporary credentials that are given from now on live no longer than this; `null`: as long as is asked for.
    Life {
        seconds: Option<i64>,
    },
    /// A role, in place of that of the same name; answers with its `arn`.
    Role(Role),
    /// An identity provider, in place of that of the same id.
    Provider(Provider),
    /// The role of this name is bound to the machine; `null`: none is.
    MachineRole {
        name: Option<String>,
    },
    Quotas(Quotas),
    /// Answers with the latest requests to KMS and STS, the newest first: `action`, `headers`, `body`.
    Requests,
    /// Answers with what was called how often.
    Counts,
    /// Forgets what was called so far, the latest requests too.
    ClearCounts,
    /// Answers with everything that is saved.
    Save,
    /// Replaces everything that is saved.
    Load(Box<Saved>),
}

/// What [`Command::Save`] answers with. No Debug: it holds keys.
#[derive(Deserialize)]
#[serde(transparent)]
pub struct Saved(World);

/// Carries out an order; whether what is saved has changed.
pub(super) fn apply(state: &mut State, command: Command) -> Result<(Value, bool), String> {
    let done = || Ok((json!({}), true));
    let now = state.now();
    let world = &mut state.world;
    match command {
        Command::CreateKey { region, alias } => {
            if !REGIONS.contains(&region.as_str()) {
                return Err(format!("there is no region {region:?}"));
            }
            let key = world.add_key(&region, &alias, "", now);
            let uri = uri(&region, &key);
            Ok((json!({"key": key, "uri": uri}), true))
        }
        Command::KeyState { key, state } => {
            existing(world, &key)?.set_state(state, now);
            done()
        }
        Command::Rotate { key } => {
            existing(world, &key)?.turn_over(now);
            done()
        }
        Command::DeleteKey { key } => {
            existing(world, &key)?.deleted = true;
            done()
        }
        Command::Fault(fault) => {
            state.faults.push(fault);
            Ok((json!({}), false))
        }
        Command::ClearFaults => {
            state.faults.clear();
            Ok((json!({}), false))
        }
        Command::Clock { ahead } => {
            world.ahead = ahead;
            done()
        }
        Command::Credential(credential) => {
            world
                .credentials
                .retain(|it| it.secret_id != credential.secret_id);
            world.credentials.push(credential);
            done()
        }
        Command::RemoveCredential { secret_id } => {
            let before = world.credentials.len();
            world.credentials.retain(|it| it.secret_id != secret_id);
            if world.credentials.len() == before {
                return Err(format!("there is no secret id {secret_id:?}"));
            }
            done()
        }
        Command::Expire { secret_id } => {
            let credential = world.credentials.iter_mut().find(|it| it.secret_id == secret_id);
            let credential = credential.ok_or_else(|| format!("there is no secret id {secret_id:?}"))?;
            credential.expires = Some(now);
            done()
        }
        Command::ExpireTemporary => {
            let temporary = world.credentials.iter_mut().filter(|it| it.token.is_some());
            temporary.for_each(|it| it.expires = Some(now));
            done()
        }
        Command::Life { seconds } => {
            world.life = seconds;
            done()
        }
        Command::Role(role) => {
            let arn = sts::arn(&role.name);
            world.roles.retain(|it| it.name != role.name);
            world.roles.push(role);
            Ok((json!({"arn": arn}), true))
        }
        Command::Provider(provider) => {
            world.providers.retain(|it| it.id != provider.id);
            world.providers.push(provider);
            done()
        }
        Command::MachineRole { name } => {
            world.machine_role = name;
            done()
        }
        Command::Quotas(quotas) => {
            world.quotas = quotas;
            done()
        }
        Command::Requests => Ok((state.requests.iter().cloned().collect(), false)),
        Command::Counts => Ok((counts(state), false)),
        Command::ClearCounts => {
            (state.counts, state.requests) = Default::default();
            Ok((json!({}), false))
        }
        Command::Save => {
            let saved = serde_json::to_value(world).map_err(|error| error.to_string())?;
            Ok((saved, false))
        }
        Command::Load(saved) => {
            *world = saved.0;
            done()
        }
    }
}

/// How the product names a key.
pub(super) fn uri(region: &str, key: &str) -> String {
    format!("tencent-kms://{region}/{key}")
}

fn existing<'a>(world: &'a mut World, id: &str) -> Result<&'a mut super::world::Key, String> {
    world
        .any_key_mut(id)
        .ok_or_else(|| format!("there is no key {id:?}"))
}

fn counts(state: &State) -> Value {
    let rows = state.counts.iter().map(|(subject, count)| {
        json!({
            "action": subject.action,
            "region": subject.region,
            "key": subject.key,
            "total": count.total,
            "failed": count.failed,
        })
    });
    rows.collect()
}

/// An order over HTTP: `POST /` with its JSON; `GET /` answers with the counts.
pub(super) fn answer(request: &Request, carry_out: impl FnOnce(Command) -> Result<Value, String>) -> Answer {
    let result = match request.method.as_str() {
        "GET" => carry_out(Command::Counts),
        "POST" => serde_json::from_slice(&request.body)
            .map_err(|error| format!("no order: {error}"))
            .and_then(carry_out),
        _ => Err("only GET and POST are served here".to_owned()),
    };
    let (status, body) = match result {
        Ok(body) => (200, body),
        Err(error) => (400, json!({"error": error})),
    };
    Answer {
        status,
        content_type: "application/json".to_owned(),
        body: format!("{body}\n").into_bytes(),
        date: None,
        way: Way::Whole,
    }
}
