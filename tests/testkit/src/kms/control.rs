//! Control commands: in the process, or as JSON over HTTP on a separate port.

use serde::Deserialize;
use serde_json::{Value, json};

use super::account::{Account, Credential, KeyState, Provider, Quotas, REGIONS, Role};
use super::dispatch::State;
use super::fault::Fault;
use super::http::{Delivery, Request, Response};
use super::sts;

/// A control command. As JSON: `"clearFaults"`, `{"rotate":{"key":"23e80852-..."}}`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Command {
    /// Creates a key; returns its `key` ID and `uri`.
    CreateKey {
        region: String,
        alias: String,
    },
    /// Sets a key's state; in `PendingDelete` the key gets a deletion date.
    KeyState {
        key: String,
        state: KeyState,
    },
    /// Creates a new version of the key's material, which encrypts from now on. Old versions still decrypt.
    Rotate {
        key: String,
    },
    /// Deletes the key, as at the end of its deletion window.
    DeleteKey {
        key: String,
    },
    /// Adds a fault.
    Fault(Fault),
    /// Removes all faults.
    ClearFaults,
    /// Sets the emulator's clock this many seconds ahead of the host's.
    Clock {
        ahead: i64,
    },
    /// Adds credentials, or replaces those with the same ID.
    Credential(Credential),
    /// Removes credentials.
    RemoveCredential {
        secret_id: String,
    },
    /// Lets credentials expire now.
    Expire {
        secret_id: String,
    },
    /// Lets all temporary credentials expire now.
    ExpireTemporary,
    /// Sets the maximum lifetime of temporary credentials; `null` for the requested lifetime.
    Life {
        seconds: Option<i64>,
    },
    /// Adds a role, or replaces the one with the same name; returns its `arn`.
    Role(Role),
    /// Adds an identity provider, or replaces the one with the same ID.
    Provider(Provider),
    /// Binds the role with this name to the instance; `null` for none.
    MachineRole {
        name: Option<String>,
    },
    Quotas(Quotas),
    /// Returns the latest requests to KMS and STS, newest first: `action`, `headers`, `body`.
    Requests,
    /// Returns the number of calls by action, region and key.
    Counts,
    /// Resets the numbers of calls and the latest requests.
    ClearCounts,
    /// Returns the account.
    Save,
    /// Replaces the account.
    Load(Box<Saved>),
}

/// The account that [`Command::Save`] returns. No Debug: it contains keys.
#[derive(Deserialize)]
#[serde(transparent)]
pub struct Saved(Account);

/// Carries out a command. Returns its result, and whether the account has changed.
#[expect(clippy::too_many_lines, reason = "one match with an arm per command")]
pub(super) fn apply(state: &mut State, command: Command) -> Result<(Value, bool), String> {
    let done = || Ok((json!({}), true));
    let unsaved = || Ok((json!({}), false));
    let now = state.now();
    let account = &mut state.account;
    match command {
        Command::CreateKey { region, alias } => {
            if !REGIONS.contains(&region.as_str()) {
                return Err(format!("there is no region {region:?}"));
            }
            let key = account.add_key(&region, &alias, "", now);
            let uri = uri(&region, &key);
            Ok((json!({"key": key, "uri": uri}), true))
        }
        Command::KeyState { key, state } => {
            existing(account, &key)?.set_state(state, now);
            done()
        }
        Command::Rotate { key } => {
            existing(account, &key)?.rotate(now);
            done()
        }
        Command::DeleteKey { key } => {
            existing(account, &key)?.deleted = true;
            done()
        }
        Command::Fault(fault) => {
            state.faults.push(fault);
            unsaved()
        }
        Command::ClearFaults => {
            state.faults.clear();
            unsaved()
        }
        Command::Clock { ahead } => {
            account.ahead = ahead;
            done()
        }
        Command::Credential(credential) => {
            account
                .credentials
                .retain(|it| it.secret_id != credential.secret_id);
            account.credentials.push(credential);
            done()
        }
        Command::RemoveCredential { secret_id } => {
            let found = account
                .credentials
                .iter()
                .position(|it| it.secret_id == secret_id);
            let at = found.ok_or_else(|| format!("there is no secret ID {secret_id:?}"))?;
            account.credentials.remove(at);
            done()
        }
        Command::Expire { secret_id } => {
            let credential = account
                .credentials
                .iter_mut()
                .find(|it| it.secret_id == secret_id);
            let credential = credential.ok_or_else(|| format!("there is no secret ID {secret_id:?}"))?;
            credential.expires = Some(now);
            done()
        }
        Command::ExpireTemporary => {
            let temporary = account.credentials.iter_mut().filter(|it| it.token.is_some());
            temporary.for_each(|it| it.expires = Some(now));
            done()
        }
        Command::Life { seconds } => {
            account.life = seconds;
            done()
        }
        Command::Role(role) => {
            let arn = sts::arn(&role.name);
            account.roles.retain(|it| it.name != role.name);
            account.roles.push(role);
            Ok((json!({"arn": arn}), true))
        }
        Command::Provider(provider) => {
            account.providers.retain(|it| it.id != provider.id);
            account.providers.push(provider);
            done()
        }
        Command::MachineRole { name } => {
            account.machine_role = name;
            done()
        }
        Command::Quotas(quotas) => {
            account.quotas = quotas;
            done()
        }
        Command::Requests => Ok((state.requests.iter().cloned().collect(), false)),
        Command::Counts => Ok((counts(state), false)),
        Command::ClearCounts => {
            (state.counts, state.requests) = Default::default();
            unsaved()
        }
        Command::Save => {
            let saved = serde_json::to_value(account).map_err(|error| error.to_string())?;
            Ok((saved, false))
        }
        Command::Load(saved) => {
            *account = saved.0;
            done()
        }
    }
}

/// The URI with which the product names a key.
pub(super) fn uri(region: &str, key: &str) -> String {
    format!("tencent-kms://{region}/{key}")
}

fn existing<'a>(account: &'a mut Account, id: &str) -> Result<&'a mut super::account::Key, String> {
    account
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

/// Handles a command over HTTP: `POST /` with the command as JSON; `GET /` returns the numbers of calls.
pub(super) fn response(
    request: &Request,
    carry_out: impl FnOnce(Command) -> Result<Value, String>,
) -> Response {
    let result = match request.method.as_str() {
        "GET" => carry_out(Command::Counts),
        "POST" => serde_json::from_slice(&request.body)
            .map_err(|error| format!("invalid command: {error}"))
            .and_then(carry_out),
        _ => Err("only GET and POST are supported".to_owned()),
    };
    let (status, body) = match result {
        Ok(body) => (200, body),
        Err(error) => (400, json!({"error": error})),
    };
    Response {
        status,
        content_type: "application/json".to_owned(),
        body: format!("{body}\n").into_bytes(),
        date: None,
        delivery: Delivery::Whole,
    }
}
