//! What the emulator knows: one account, its keys, who may call. This is what is saved.

use std::fmt::Write as _;

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::refusal::{Refusal, Result};

pub(super) const DAY: i64 = 86_400;

/// The account that owns everything.
pub(super) const UIN: &str = "100000000001";

/// Some of the regions of KMS; calls for others are refused.
pub const REGIONS: [&str; 14] = [
    "ap-beijing",
    "ap-chengdu",
    "ap-chongqing",
    "ap-guangzhou",
    "ap-hongkong",
    "ap-nanjing",
    "ap-seoul",
    "ap-shanghai",
    "ap-shanghai-fsi",
    "ap-singapore",
    "ap-tokyo",
    "eu-frankfurt",
    "na-ashburn",
    "na-siliconvalley",
];

/// Bytes that are text in base64 when saved. No Debug: they are keys.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Bytes(pub(super) Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Bytes).map_err(serde::de::Error::custom)
    }
}

/// `KeyState` of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyState {
    Enabled,
    Disabled,
    PendingDelete,
    PendingImport,
    Archived,
}

impl KeyState {
    /// The number that `ListKeyDetail` filters by.
    pub(super) fn number(self) -> i64 {
        match self {
            KeyState::Enabled => 1,
            KeyState::Disabled => 2,
            KeyState::PendingDelete => 3,
            KeyState::PendingImport => 4,
            KeyState::Archived => 5,
        }
    }
}

/// One version of a key's material.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Version {
    /// The first part of every ciphertext: 64 bytes.
    pub(super) tag: Bytes,
    /// 32 bytes.
    pub(super) material: Bytes,
}

impl Version {
    fn new() -> Self {
        Version {
            tag: Bytes(random(64)),
            material: Bytes(random(32)),
        }
    }
}

/// A key of the account.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Key {
    pub(super) region: String,
    pub(super) id: String,
    pub(super) alias: String,
    pub(super) description: String,
    pub(super) state: KeyState,
    /// Unix seconds.
    pub(super) created: i64,
    /// Days between rotations, when they are on.
    pub(super) rotate_days: Option<i64>,
    /// Unix seconds.
    pub(super) rotated: Option<i64>,
    /// When it will be deleted, in Unix seconds; only of a key in `PendingDelete`.
    #[serde(default)]
    pub(super) deletion: Option<i64>,
    /// The newest last; it encrypts.
    pub(super) versions: Vec<Version>,
    /// It is gone for good; its ciphertexts are still recognised, as those of a key that does not exist.
    #[serde(default)]
    pub(super) deleted: bool,
}

impl Key {
    pub(super) fn newest(&self) -> Result<&Version> {
        self.versions
            .last()
            .ok_or_else(|| Refusal::new("InternalError", "the key has no version"))
    }

    /// Any state at once. What is to be deleted has the date of the shortest window, unless it has one.
    pub(super) fn set_state(&mut self, state: KeyState, now: i64) {
        self.state = state;
        self.deletion = match state {
            KeyState::PendingDelete => self.deletion.or(Some(now + 7 * DAY)),
            _ => None,
        };
    }

    pub(super) fn turn_over(&mut self, now: i64) {
        self.versions.push(Version::new());
        self.rotated = Some(now);
    }
}

/// Who may call. No Debug: it holds keys.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Credential {
    pub secret_id: String,
    pub secret_key: String,
    /// Of temporary ones.
    #[serde(default)]
    pub token: Option<String>,
    /// Unix seconds; `None`: for ever.
    #[serde(default)]
    pub expires: Option<i64>,
    /// The actions that CAM grants; `None`: all.
    #[serde(default)]
    pub actions: Option<Vec<String>>,
}

/// A role of the account: `qcs::cam::uin/100000000001:roleName/NAME`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Role {
    pub name: String,
    pub trust: Trust,
    /// The actions that CAM grants to whoever has the role; `None`: all.
    #[serde(default)]
    pub actions: Option<Vec<String>>,
}

/// Who may take a role.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Trust {
    /// Whoever has credentials, and names the id where there is one.
    Account { external_id: Option<String> },
    /// A pod whose token this identity provider accepts, of this subject; `None`: of any.
    WebIdentity {
        provider: String,
        subject: Option<String>,
    },
}

/// An OIDC identity provider of the account: a cluster.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Provider {
    /// `cls-...` in TKE.
    pub id: String,
    /// `iss` of its tokens.
    pub issuer: String,
    /// What `aud` of its tokens must hold.
    pub audience: String,
    /// Its public keys, as the API server answers under `/openid/v1/jwks`.
    pub jwks: Value,
}

/// Quotas of the account.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Quotas {
    /// Keys in a region.
    pub keys: usize,
    /// Cryptographic calls in a second and region; `None`: not held back.
    #[serde(default)]
    pub calls: Option<u32>,
}

impl Default for Quotas {
    fn default() -> Self {
        Quotas {
            keys: 200,
            calls: None,
        }
    }
}

/// Everything that is saved. No Debug: it holds keys.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct World {
    pub(super) keys: Vec<Key>,
    pub(super) credentials: Vec<Credential>,
    pub(super) roles: Vec<Role>,
    pub(super) providers: Vec<Provider>,
    /// The name of the role that is bound to the machine.
    pub(super) machine_role: Option<String>,
    /// Temporary credentials live no longer than this, in seconds.
    pub(super) life: Option<i64>,
    pub(super) quotas: Quotas,
    /// What the emulator's clock is ahead of the machine's, in seconds.
    pub(super) ahead: i64,
}

impl World {
    /// A key that exists in this region.
    pub(super) fn key(&self, region: &str, id: &str) -> Option<&Key> {
        self.keys
            .iter()
            .find(|key| key.region == region && key.id == id && !key.deleted)
    }

    pub(super) fn key_mut(&mut self, region: &str, id: &str) -> Option<&mut Key> {
        self.keys
            .iter_mut()
            .find(|key| key.region == region && key.id == id && !key.deleted)
    }

    /// By its id alone.
    pub(super) fn any_key_mut(&mut self, id: &str) -> Option<&mut Key> {
        self.keys.iter_mut().find(|key| key.id == id && !key.deleted)
    }

    pub(super) fn keys_in<'a>(&'a self, region: &'a str) -> impl Iterator<Item = &'a Key> {
        self.keys
            .iter()
            .filter(move |key| key.region == region && !key.deleted)
    }

    /// The key and version that a first part of a ciphertext names, in this region, even of a key that is gone.
    pub(super) fn of_tag(&self, region: &str, tag: &[u8]) -> Option<(&Key, &Version)> {
        let in_region = self.keys.iter().filter(|key| key.region == region);
        in_region.into_iter().find_map(|key| {
            let version = key.versions.iter().find(|version| version.tag.0 == tag)?;
            Some((key, version))
        })
    }

    /// Makes a key without a look at quotas or the alias.
    pub(super) fn add_key(&mut self, region: &str, alias: &str, description: &str, now: i64) -> String {
        let id = key_id();
        self.keys.push(Key {
            region: region.to_owned(),
            id: id.clone(),
            alias: alias.to_owned(),
            description: description.to_owned(),
            state: KeyState::Enabled,
            created: now,
            rotate_days: None,
            rotated: None,
            deletion: None,
            versions: vec![Version::new()],
            deleted: false,
        });
        id
    }

    pub(super) fn credential(&self, secret_id: &str) -> Option<&Credential> {
        self.credentials.iter().find(|it| it.secret_id == secret_id)
    }

    /// Makes credentials that end, at most so many seconds from now.
    pub(super) fn temporary(&mut self, seconds: i64, actions: Option<Vec<String>>, now: i64) -> Credential {
        // What ended long ago is forgotten, so that a saved account does not grow for ever.
        self.credentials
            .retain(|it| it.expires.is_none_or(|end| end > now - DAY));
        let text = |bytes| URL_SAFE_NO_PAD.encode(random(bytes));
        let given = Credential {
            secret_id: format!("AKID{}", crate::to_hex(&random(16))),
            secret_key: text(32),
            token: Some(text(96)),
            expires: Some(now + self.life.map_or(seconds, |life| life.min(seconds))),
            actions,
        };
        self.credentials.push(given.clone());
        given
    }
}

/// Random bytes of the operating system.
#[expect(clippy::expect_used, reason = "for tests: there is nothing to go on with")]
pub(super) fn random(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    rand::fill(&mut bytes).expect("the system's randomness");
    bytes
}

/// A random text in the form of a UUID of this version.
pub(super) fn uuid(version: u8) -> String {
    let mut bytes = random(16);
    bytes[6] = bytes[6] & 0x0f | version << 4;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn key_id() -> String {
    uuid(1)
}

/// Whether it has the form of a `KeyId`.
pub(super) fn is_key_id(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12]
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-'))
}
