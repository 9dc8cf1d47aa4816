//! Authenticates requests, runs actions, counts calls and injects faults.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::account::{Account, REGIONS, is_key_id, random, uuid};
use super::actions::{self, Action, ActionKind, Call, Fields};
use super::api_error::{ApiError, Result};
use super::auth;
use super::blob::Parts;
use super::fault::{Effect, Fault, effects};
use super::http::{Delivery, Request, Response};
use super::parameters::{Parameters, missing};
use super::sts;

/// A service: the scope of its signatures, its API version and its actions.
struct Api {
    service: &'static str,
    version: &'static str,
    actions: &'static [Action],
}

const APIS: [Api; 2] = [
    Api {
        service: "kms",
        version: "2019-01-18",
        actions: actions::ACTIONS,
    },
    Api {
        service: "sts",
        version: "2018-08-13",
        actions: sts::ACTIONS,
    },
];

/// The number of recorded requests.
const MAX_RECORDED: usize = 100;

/// Numbers of calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Calls with any outcome.
    pub total: u64,
    /// Calls with an error response, or with a response that a fault made unusable.
    pub failed: u64,
}

/// What a call is about, as read from the request before it is verified.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Subject {
    pub(super) action: String,
    pub(super) region: String,
    /// The key that the request names or whose ciphertext it contains; empty for none.
    pub(super) key: String,
}

/// The emulator's state.
#[derive(Default)]
pub(super) struct State {
    pub(super) account: Account,
    pub(super) faults: Vec<Fault>,
    pub(super) counts: BTreeMap<Subject, Count>,
    /// The latest requests to KMS and STS, newest first: action, headers, body.
    pub(super) requests: VecDeque<Value>,
    /// By region: the current second and its number of cryptographic calls.
    quota_used: BTreeMap<String, (i64, u32)>,
}

/// What to do with a request. Decided under the lock; the caller waits for the latency after releasing it.
pub(super) struct Outcome {
    pub(super) response: Response,
    pub(super) latency: Duration,
    /// Whether the account has changed and must be saved.
    pub(super) changed: bool,
}

impl State {
    /// The server's clock, in Unix seconds.
    pub(super) fn now(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX) + self.account.ahead
    }

    pub(super) fn handle(&mut self, request: &Request) -> Outcome {
        let subject = self.subject(request);
        self.record(request);
        let hit = effects(&mut self.faults, &subject.action, &subject.region, &subject.key);
        let mut changed = self.apply_key_states(&subject, &hit);
        let result = if hit.iter().any(|effect| matches!(effect, Effect::Status { .. })) {
            Ok((Fields::new(), ActionKind::Read)) // the service does not see the request
        } else {
            self.call(request, &subject, &hit)
        };
        changed |= matches!(result, Ok((_, ActionKind::Write)));
        let failed = result.is_err() || hit.iter().any(Effect::counts_as_failure);
        let count = self.counts.entry(subject).or_default();
        count.total += 1;
        count.failed += u64::from(failed);
        let mut outcome = Outcome {
            response: self.response(result.map(|(fields, _)| fields), &hit),
            latency: Duration::ZERO,
            changed,
        };
        for effect in &hit {
            apply_to_response(effect, &mut outcome);
        }
        outcome
    }

    fn record(&mut self, request: &Request) {
        self.requests.truncate(MAX_RECORDED - 1);
        let headers: serde_json::Map<String, Value> = request
            .headers()
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect();
        let body = serde_json::from_slice::<Value>(&request.body).unwrap_or_default();
        let action = request.header("x-tc-action");
        self.requests
            .push_front(json!({"action": action, "headers": headers, "body": body}));
    }

    fn subject(&self, request: &Request) -> Subject {
        let header = |name| request.header(name).unwrap_or_default().to_owned();
        let (action, region) = (header("x-tc-action"), header("x-tc-region"));
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let named = body["KeyId"].as_str().filter(|id| is_key_id(id));
        let of_blob = || {
            let parts = Parts::parse(body["CiphertextBlob"].as_str()?)?;
            let (key, _) = self.account.key_by_tag(&region, &parts.version)?;
            Some(key.id.clone())
        };
        let key = named.map(str::to_owned).or_else(of_blob).unwrap_or_default();
        Subject { action, region, key }
    }

    /// Changes the key's state if a fault says so; returns whether one did.
    fn apply_key_states(&mut self, subject: &Subject, hit: &[Effect]) -> bool {
        let now = self.now();
        let mut changed = false;
        for effect in hit {
            if let Effect::KeyState { state } = effect
                && let Some(key) = self.account.key_mut(&subject.region, &subject.key)
            {
                key.set_state(*state, now);
                changed = true;
            }
        }
        changed
    }

    fn call(&mut self, request: &Request, subject: &Subject, hit: &[Effect]) -> Result<(Fields, ActionKind)> {
        if request.method != "POST" || request.path != "/" {
            return Err(ApiError::new(
                "UnsupportedProtocol",
                "Only POST requests to / are supported.",
            ));
        }
        let content_type = request.header("content-type").unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        if !media_type.eq_ignore_ascii_case("application/json") {
            return Err(ApiError::new(
                "UnsupportedProtocol",
                "The Content-Type must be application/json.",
            ));
        }
        let found = APIS.iter().find_map(|api| {
            let action = api.actions.iter().find(|action| action.name == subject.action);
            action.map(|action| (api, action))
        });
        let Some((api, action)) = found else {
            let message = format!("The action `{:.64}` is invalid or not found.", subject.action);
            return Err(ApiError::new("InvalidAction", message));
        };
        match request.header("x-tc-version") {
            Some(version) if version == api.version => {}
            None => return Err(missing("Version")),
            Some(_) => return Err(ApiError::new("NoSuchVersion", "The API version does not exist.")),
        }
        let now = self.now();
        let unsigned = action.name == sts::UNSIGNED && request.header("authorization") == Some("SKIP");
        let granted = if unsigned {
            auth::timestamp(request, now)?;
            None
        } else {
            let caller = auth::verify(request, api.service, now, |id| self.account.credential(id))?;
            caller.actions.as_ref()
        };
        if granted.is_some_and(|granted| !granted.iter().any(|granted| granted == action.name)) {
            let message = format!(
                "You are not authorized to perform {}:{}.",
                api.service, action.name
            );
            return Err(ApiError::new("UnauthorizedOperation", message));
        }
        if subject.region.is_empty() {
            return Err(missing("Region"));
        }
        if !REGIONS.contains(&subject.region.as_str()) {
            return Err(ApiError::new(
                "UnsupportedRegion",
                "The service is not in this region.",
            ));
        }
        if let Some(code) = hit.iter().find_map(Effect::code) {
            return Err(ApiError::new(code, "Injected fault."));
        }
        if action.kind == ActionKind::Crypto {
            self.charge_quota(&subject.region, now)?;
        }
        let call = Call {
            region: &subject.region,
            parameters: Parameters::read(&request.body, action.table)?,
            now,
        };
        Ok(((action.run)(&mut self.account, &call)?, action.kind))
    }

    /// Counts a call against the quota of this second.
    fn charge_quota(&mut self, region: &str, now: i64) -> Result<()> {
        let Some(limit) = self.account.quotas.calls else {
            return Ok(());
        };
        let used = self.quota_used.entry(region.to_owned()).or_default();
        if used.0 != now {
            *used = (now, 0);
        }
        if used.1 >= limit {
            let message = "The account's limit of calls per second is reached.";
            return Err(ApiError::new("RequestLimitExceeded.UinLimitExceeded", message));
        }
        used.1 += 1;
        Ok(())
    }

    fn response(&self, result: Result<Fields>, hit: &[Effect]) -> Response {
        let mut fields = result.unwrap_or_else(|error| {
            let error = json!({"Code": error.code, "Message": error.message});
            Fields::from_iter([("Error".to_owned(), error)])
        });
        for effect in hit {
            falsify(&mut fields, effect);
        }
        fields.insert("RequestId".to_owned(), uuid(4).into());
        Response {
            status: 200,
            // Without parameters: with any, Tencent's Python SDK mistakes an error for a success without fields.
            content_type: "application/json".to_owned(),
            body: json!({"Response": fields}).to_string().into_bytes(),
            date: Some(self.now()),
            delivery: Delivery::Whole,
        }
    }
}

/// Applies the faults that change the fields of a response.
fn falsify(fields: &mut Fields, effect: &Effect) {
    match effect {
        Effect::OtherKey { key } => {
            for (name, value) in fields.iter_mut() {
                replace_key_ids(name, value, key);
            }
        }
        Effect::PlaintextBytes { bytes } => {
            if let Some(value) = fields.get_mut("Plaintext") {
                *value = STANDARD.encode(random(*bytes)).into();
            }
        }
        _ => {}
    }
}

/// Puts another key's id wherever a field names a key: alone, in its metadata, in a list.
fn replace_key_ids(name: &str, value: &mut Value, key: &str) {
    match value {
        Value::String(id) if matches!(name, "KeyId" | "SourceKeyId") => key.clone_into(id),
        Value::Object(fields) => fields
            .iter_mut()
            .for_each(|(name, value)| replace_key_ids(name, value, key)),
        Value::Array(values) => values
            .iter_mut()
            .for_each(|value| replace_key_ids("", value, key)),
        _ => {}
    }
}

/// Applies the faults that affect the transport: latency, connection, status, body and content type.
pub(super) fn apply_to_response(effect: &Effect, outcome: &mut Outcome) {
    let response = &mut outcome.response;
    match effect {
        Effect::Latency { ms } => outcome.latency += Duration::from_millis(*ms),
        Effect::Cut => response.delivery = Delivery::Dropped,
        Effect::CutBody => response.delivery = Delivery::Cut,
        Effect::SlowBody { ms } => response.delivery = Delivery::Slow(Duration::from_millis(*ms)),
        Effect::Truncated => response.body.truncate(response.body.len() / 2),
        Effect::ContentType { value } => response.content_type.clone_from(value),
        Effect::Status { status } => {
            response.status = *status;
            "text/html".clone_into(&mut response.content_type);
            response.body = format!("<html><body><h1>{status}</h1></body></html>").into_bytes();
        }
        Effect::Error { .. }
        | Effect::OtherKey { .. }
        | Effect::PlaintextBytes { .. }
        | Effect::KeyState { .. } => {}
    }
}
