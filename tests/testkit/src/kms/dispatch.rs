//! From a request to an answer.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::actions::{self, Action, Call, Fields, Sort};
use super::auth;
use super::blob::Parts;
use super::fault::{Effect, Fault, effects};
use super::http::{Answer, Request, Way};
use super::parameters::{Parameters, missing};
use super::refusal::{Refusal, Result};
use super::sts;
use super::world::{REGIONS, World, is_key_id, random, uuid};

/// A service: the scope of its signatures, its version, its actions.
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

/// How many requests are kept.
const KEPT: usize = 100;

/// How often something was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Requests, whatever became of them.
    pub total: u64,
    /// Those that were answered with an error, or spoiled by a fault.
    pub failed: u64,
}

/// What a call is about, as far as it can be seen before it is checked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Subject {
    pub(super) action: String,
    pub(super) region: String,
    /// The key that it names or whose ciphertext it brings; "" when there is none.
    pub(super) key: String,
}

/// What the emulator holds.
#[derive(Default)]
pub(super) struct State {
    pub(super) world: World,
    pub(super) faults: Vec<Fault>,
    pub(super) counts: BTreeMap<Subject, Count>,
    /// The latest requests to KMS and STS, as they came: action, headers, body.
    pub(super) requests: VecDeque<Value>,
    /// Cryptographic calls of the present second, by region.
    spent: BTreeMap<String, (i64, u32)>,
}

/// What to do with a request: decided under the lock, the waiting is done outside of it.
pub(super) struct Outcome {
    pub(super) answer: Answer,
    pub(super) latency: Duration,
    /// What is saved has changed.
    pub(super) changed: bool,
}

impl State {
    /// The server's clock, in Unix seconds.
    pub(super) fn now(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX) + self.world.ahead
    }

    pub(super) fn handle(&mut self, request: &Request) -> Outcome {
        let subject = self.subject(request);
        self.keep(request);
        let hit = effects(&mut self.faults, &subject.action, &subject.region, &subject.key);
        let mut changed = self.before(&subject, &hit);
        let result = if hit.iter().any(|effect| matches!(effect, Effect::Status { .. })) {
            Ok((Fields::new(), Sort::Read)) // it did not get that far
        } else {
            self.call(request, &subject, &hit)
        };
        changed |= matches!(result, Ok((_, Sort::Write)));
        let failed = result.is_err() || hit.iter().any(Effect::spoils);
        let count = self.counts.entry(subject).or_default();
        count.total += 1;
        count.failed += u64::from(failed);
        let mut outcome = Outcome {
            answer: self.answer(result.map(|(fields, _)| fields), &hit),
            latency: Duration::ZERO,
            changed,
        };
        for effect in &hit {
            on_the_way(effect, &mut outcome);
        }
        outcome
    }

    fn keep(&mut self, request: &Request) {
        self.requests.truncate(KEPT - 1);
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
            let parts = Parts::of(body["CiphertextBlob"].as_str()?)?;
            let (key, _) = self.world.of_tag(&region, &parts.version)?;
            Some(key.id.clone())
        };
        let key = named.map(str::to_owned).or_else(of_blob).unwrap_or_default();
        Subject { action, region, key }
    }

    /// Changes that come with a fault; whether there were any.
    fn before(&mut self, subject: &Subject, hit: &[Effect]) -> bool {
        let now = self.now();
        let mut changed = false;
        for effect in hit {
            if let Effect::KeyState { state } = effect
                && let Some(key) = self.world.key_mut(&subject.region, &subject.key)
            {
                key.set_state(*state, now);
                changed = true;
            }
        }
        changed
    }

    fn call(&mut self, request: &Request, subject: &Subject, hit: &[Effect]) -> Result<(Fields, Sort)> {
        if request.method != "POST" || request.path != "/" {
            return Err(Refusal::new(
                "UnsupportedProtocol",
                "Only POST to / is served here.",
            ));
        }
        let content_type = request.header("content-type").unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        if !media_type.eq_ignore_ascii_case("application/json") {
            return Err(Refusal::new(
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
            return Err(Refusal::new("InvalidAction", message));
        };
        match request.header("x-tc-version") {
            Some(version) if version == api.version => {}
            None => return Err(missing("Version")),
            Some(_) => return Err(Refusal::new("NoSuchVersion", "The API's version does not exist.")),
        }
        let now = self.now();
        let unsigned = action.name == sts::UNSIGNED && request.header("authorization") == Some("SKIP");
        let granted = if unsigned {
            auth::timestamp(request, now)?;
            None
        } else {
            let caller = auth::verify(request, api.service, now, |id| self.world.credential(id))?;
            caller.actions.as_ref()
        };
        if granted.is_some_and(|granted| !granted.iter().any(|granted| granted == action.name)) {
            let message = format!(
                "You are not authorized to perform {}:{}.",
                api.service, action.name
            );
            return Err(Refusal::new("UnauthorizedOperation", message));
        }
        if subject.region.is_empty() {
            return Err(missing("Region"));
        }
        if !REGIONS.contains(&subject.region.as_str()) {
            return Err(Refusal::new(
                "UnsupportedRegion",
                "The service is not in this region.",
            ));
        }
        if let Some(code) = hit.iter().find_map(Effect::code) {
            return Err(Refusal::new(code, "As a test wants it."));
        }
        if action.sort == Sort::Cipher {
            self.spend(&subject.region, now)?;
        }
        let call = Call {
            region: &subject.region,
            parameters: Parameters::read(&request.body, action.table)?,
            now,
        };
        Ok(((action.run)(&mut self.world, &call)?, action.sort))
    }

    /// Counts a call against the quota of this second.
    fn spend(&mut self, region: &str, now: i64) -> Result<()> {
        let Some(limit) = self.world.quotas.calls else {
            return Ok(());
        };
        let spent = self.spent.entry(region.to_owned()).or_default();
        if spent.0 != now {
            *spent = (now, 0);
        }
        if spent.1 >= limit {
            let message = "The account's limit of calls in a second is reached.";
            return Err(Refusal::new("RequestLimitExceeded.UinLimitExceeded", message));
        }
        spent.1 += 1;
        Ok(())
    }

    fn answer(&self, result: Result<Fields>, hit: &[Effect]) -> Answer {
        let mut fields = result.unwrap_or_else(|refusal| {
            let error = json!({"Code": refusal.code, "Message": refusal.message});
            Fields::from_iter([("Error".to_owned(), error)])
        });
        for effect in hit {
            falsify(&mut fields, effect);
        }
        fields.insert("RequestId".to_owned(), uuid(4).into());
        Answer {
            status: 200,
            // With anything behind it, Tencent's Python SDK takes an error for a success without fields.
            content_type: "application/json".to_owned(),
            body: json!({"Response": fields}).to_string().into_bytes(),
            date: Some(self.now()),
            way: Way::Whole,
        }
    }
}

/// A fault in what is answered.
fn falsify(fields: &mut Fields, effect: &Effect) {
    match effect {
        Effect::OtherKey { key } => {
            for (name, value) in fields.iter_mut() {
                rename(name, value, key);
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
fn rename(name: &str, value: &mut Value, key: &str) {
    match value {
        Value::String(id) if matches!(name, "KeyId" | "SourceKeyId") => key.clone_into(id),
        Value::Object(fields) => fields
            .iter_mut()
            .for_each(|(name, value)| rename(name, value, key)),
        Value::Array(values) => values.iter_mut().for_each(|value| rename("", value, key)),
        _ => {}
    }
}

/// A fault on the way.
pub(super) fn on_the_way(effect: &Effect, outcome: &mut Outcome) {
    let answer = &mut outcome.answer;
    match effect {
        Effect::Latency { ms } => outcome.latency += Duration::from_millis(*ms),
        Effect::Cut => answer.way = Way::Nothing,
        Effect::CutBody => answer.way = Way::Cut,
        Effect::SlowBody { ms } => answer.way = Way::Slow(Duration::from_millis(*ms)),
        Effect::Truncated => answer.body.truncate(answer.body.len() / 2),
        Effect::ContentType { value } => answer.content_type.clone_from(value),
        Effect::Status { status } => {
            answer.status = *status;
            "text/html".clone_into(&mut answer.content_type);
            answer.body = format!("<html><body><h1>{status}</h1></body></html>").into_bytes();
        }
        Effect::Error { .. }
        | Effect::OtherKey { .. }
        | Effect::PlaintextBytes { .. }
        | Effect::KeyState { .. } => {}
    }
}
