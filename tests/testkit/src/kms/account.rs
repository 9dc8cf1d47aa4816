//! The persistent state of the emulator: one account with its keys, credentials and roles.

use std::fmt::Write as _;

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::api_error::{ApiError, Result};

pub(super) const DAY: i64 = 86_400;

/// The ID of the account.
pub(super) const UIN: &str = "100000000001";

/// The supported regions, a subset of those of KMS.
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

/// Bytes, serialized as base64. No Debug: they are keys.
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

/// The API's `KeyState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyState {
    Enabled,
    Disabled,
    PendingDelete,
    PendingImport,
    Archived,
}

impl KeyState {
    /// The state's number in the filter of `ListKeyDetail`.
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

/// A version of a key's material.
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
    /// Days between rotations; `None` if rotation is disabled.
    pub(super) rotate_days: Option<i64>,
    /// Unix seconds.
    pub(super) rotated: Option<i64>,
    /// The deletion date in Unix seconds, if the state is `PendingDelete`.
    #[serde(default)]
    pub(super) deletion: Option<i64>,
    /// Newest last. The newest version encrypts.
    pub(super) versions: Vec<Version>,
    /// Whether the key has been deleted. It is kept to recognize its ciphertexts, which then fail because the key does not exist.
    #[serde(default)]
    pub(super) deleted: bool,
}

impl Key {
    pub(super) fn newest(&self) -> Result<&Version> {
        self.versions
            .last()
            .ok_or_else(|| ApiError::new("InternalError", "the key has no version"))
    }

    /// Sets any state. A key in `PendingDelete` keeps its deletion date, or gets that of the shortest window.
    pub(super) fn set_state(&mut self, state: KeyState, now: i64) {
        self.state = state;
        self.deletion = match state {
            KeyState::PendingDelete => self.deletion.or(Some(now + 7 * DAY)),
            _ => None,
        };
    }

    pub(super) fn rotate(&mut self, now: i64) {
        self.versions.push(Version::new());
        self.rotated = Some(now);
    }
}

/// Credentials of a caller. No Debug: they contain keys.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Credential {
    pub secret_id: String,
    pub secret_key: String,
    /// The session token of temporary credentials.
    #[serde(default)]
    pub token: Option<String>,
    /// Unix seconds; `None` for credentials that do not expire.
    #[serde(default)]
    pub expires: Option<i64>,
    /// The actions that CAM allows; `None` for all.
    #[serde(default)]
    pub actions: Option<Vec<String>>,
}

/// A role of the account: `qcs::cam::uin/100000000001:roleName/NAME`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Role {
    pub name: String,
    pub trust: Trust,
    /// The actions that CAM allows to sessions of the role; `None` for all.
    #[serde(default)]
    pub actions: Option<Vec<String>>,
}

/// The trust policy of a role: who may assume it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Trust {
    /// Callers with credentials, which must give the external ID if there is one.
    Account { external_id: Option<String> },
    /// Pods with a token that this identity provider accepts, for this subject; `None` for any subject.
    WebIdentity {
        provider: String,
        subject: Option<String>,
    },
}

/// An OIDC identity provider: a cluster.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Provider {
    /// `cls-...` in TKE.
    pub id: String,
    /// The `iss` claim of its tokens.
    pub issuer: String,
    /// The audience that the `aud` claim of its tokens must contain.
    pub audience: String,
    /// Its public keys, as the API server returns them under `/openid/v1/jwks`.
    pub jwks: Value,
}

/// The account's quotas.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Quotas {
    /// Keys per region.
    pub keys: usize,
    /// Cryptographic calls per second and region; `None` for no limit.
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

/// The account, which is saved to the state file. No Debug: it contains keys.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Account {
    pub(super) keys: Vec<Key>,
    pub(super) credentials: Vec<Credential>,
    pub(super) roles: Vec<Role>,
    pub(super) providers: Vec<Provider>,
    /// The name of the role that is bound to the instance.
    pub(super) machine_role: Option<String>,
    /// The maximum lifetime of temporary credentials, in seconds.
    pub(super) life: Option<i64>,
    pub(super) quotas: Quotas,
    /// How far the emulator's clock is ahead of the host's, in seconds.
    pub(super) ahead: i64,
}

impl Account {
    /// Returns a key of this region that is not deleted.
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

    /// Returns a key of any region that is not deleted.
    pub(super) fn any_key_mut(&mut self, id: &str) -> Option<&mut Key> {
        self.keys.iter_mut().find(|key| key.id == id && !key.deleted)
    }

    pub(super) fn keys_in<'a>(&'a self, region: &'a str) -> impl Iterator<Item = &'a Key> {
        self.keys
            .iter()
            .filter(move |key| key.region == region && !key.deleted)
    }

    /// Returns the key and version with the tag of a ciphertext in this region, even if the key is deleted.
    pub(super) fn key_by_tag(&self, region: &str, tag: &[u8]) -> Option<(&Key, &Version)> {
        let in_region = self.keys.iter().filter(|key| key.region == region);
        in_region.into_iter().find_map(|key| {
            let version = key.versions.iter().find(|version| version.tag.0 == tag)?;
            Some((key, version))
        })
    }

    /// Creates a key without checking quotas and the alias.
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

    /// Creates credentials that expire after at most this many seconds.
    pub(super) fn issue_temporary(
        &mut self,
        seconds: i64,
        actions: Option<Vec<String>>,
        now: i64,
    ) -> Credential {
        // Forget credentials that expired more than a day ago, so that a saved account does not grow without bound.
        self.credentials
            .retain(|it| it.expires.is_none_or(|end| end > now - DAY));
        let text = |bytes| URL_SAFE_NO_PAD.encode(random(bytes));
        let issued = Credential {
            secret_id: format!("AKID{}", crate::to_hex(&random(16))),
            secret_key: text(32),
            token: Some(text(96)),
            expires: Some(now + self.life.map_or(seconds, |life| life.min(seconds))),
            actions,
        };
        self.credentials.push(issued.clone());
        issued
    }
}

/// Random bytes from the operating system.
#[expect(clippy::expect_used, reason = "the calling test cannot continue")]
pub(super) fn random(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    rand::fill(&mut bytes).expect("the system's random number generator");
    bytes
}

/// A random UUID of this version.
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

/// Whether the text has the form of a `KeyId`.
pub(super) fn is_key_id(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12]
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-'))
}
