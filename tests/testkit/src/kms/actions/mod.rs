//! The actions of KMS: their parameters, and what they do.

mod cipher;
mod manage;

use serde_json::{Map, Value};

use super::parameters::Kind::{Integer, Object, Objects, Text, Texts, Word};
use super::parameters::{Parameter, Parameters};
use super::refusal::{Refusal, Result};
use super::world::{Key, KeyState, World, is_key_id};

/// The fields of an answer.
pub(super) type Fields = Map<String, Value>;

/// A call whose caller is known.
pub(super) struct Call<'a> {
    pub(super) region: &'a str,
    pub(super) parameters: Parameters,
    /// The server's clock, in Unix seconds.
    pub(super) now: i64,
}

type Run = fn(&mut World, &Call<'_>) -> Result<Fields>;

/// One action.
pub(super) struct Action {
    pub(super) name: &'static str,
    pub(super) table: &'static [Parameter],
    pub(super) run: Run,
    pub(super) sort: Sort,
}

/// What an action costs and leaves behind.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    /// It counts against the quota of cryptographic calls.
    Cipher,
    Read,
    /// It changes what the emulator knows.
    Write,
}

const KEY_ID: Parameter = ("KeyId", Text(256), true);
const MEMBER: Parameter = ("MemberAccount", Object, false);
const TAGS: Parameter = (
    "Tags",
    Objects(&[("TagKey", Text(127)), ("TagValue", Text(255))]),
    false,
);
/// Longer contexts are refused by the actions themselves.
const CONTEXT: Parameter = ("EncryptionContext", Text(64 << 10), false);
const BLOB: Parameter = ("CiphertextBlob", Text(64 << 10), true);
const PUBLIC_KEY: Parameter = ("EncryptionPublicKey", Text(4096), false);
const ALGORITHM: Parameter = (
    "EncryptionAlgorithm",
    Word(&[
        "SM2",
        "SM2_C1C3C2_ASN1",
        "RSAES_PKCS1_V1_5",
        "RSAES_OAEP_SHA_1",
        "RSAES_OAEP_SHA_256",
    ]),
    false,
);
const HSM: Parameter = ("HsmClusterId", Text(64), false);
const OFFSET: Parameter = ("Offset", Integer(0, i64::MAX), false);
const LIMIT: Parameter = ("Limit", Integer(1, 200), false);
const ROLE: Parameter = ("Role", Integer(0, 1), false);

/// All of them.
pub(super) const ACTIONS: &[Action] = &[
    Action {
        name: "GenerateDataKey",
        table: &[
            KEY_ID,
            ("KeySpec", Word(&["AES_128", "AES_256"]), false),
            ("NumberOfBytes", Integer(1, 1024), false),
            CONTEXT,
            PUBLIC_KEY,
            ALGORITHM,
            ("IsHostedByKms", Integer(0, 1), false),
            ("DataKeyName", Text(60), false),
            ("Description", Text(100), false),
            HSM,
            TAGS,
        ],
        run: cipher::generate_data_key,
        sort: Sort::Cipher,
    },
    Action {
        name: "Encrypt",
        table: &[KEY_ID, ("Plaintext", Text(64 << 10), true), CONTEXT],
        run: cipher::encrypt,
        sort: Sort::Cipher,
    },
    Action {
        name: "Decrypt",
        table: &[BLOB, CONTEXT, PUBLIC_KEY, ALGORITHM],
        run: cipher::decrypt,
        sort: Sort::Cipher,
    },
    Action {
        name: "ReEncrypt",
        table: &[
            BLOB,
            ("DestinationKeyId", Text(256), false),
            ("SourceEncryptionContext", Text(64 << 10), false),
            ("DestinationEncryptionContext", Text(64 << 10), false),
        ],
        run: cipher::re_encrypt,
        sort: Sort::Cipher,
    },
    Action {
        name: "CreateKey",
        table: &[
            ("Alias", Text(256), true),
            ("Description", Text(1024), false),
            ("KeyUsage", Text(64), false),
            ("Type", Integer(1, 2), false),
            TAGS,
            HSM,
        ],
        run: manage::create_key,
        sort: Sort::Write,
    },
    read("DescribeKey", &[KEY_ID, MEMBER], manage::describe_key),
    read(
        "DescribeKeys",
        &[("KeyIds", Texts(100), true), MEMBER],
        manage::describe_keys,
    ),
    read("ListKeys", &[OFFSET, LIMIT, ROLE, HSM], manage::list_keys),
    read(
        "ListKeyDetail",
        &[
            OFFSET,
            LIMIT,
            ROLE,
            HSM,
            ("OrderType", Integer(0, 1), false),
            ("KeyState", Integer(0, 5), false),
            ("SearchKeyAlias", Text(256), false),
            ("Origin", Word(&["TENCENT_KMS", "EXTERNAL", "ALL"]), false),
            ("KeyUsage", Text(64), false),
            (
                "TagFilters",
                Objects(&[("TagKey", Text(127)), ("TagValue", Texts(10))]),
                false,
            ),
            ("MemberAccounts", Objects(&[]), false),
        ],
        manage::list_key_detail,
    ),
    write("EnableKey", &[KEY_ID, MEMBER], manage::enable_key),
    write("DisableKey", &[KEY_ID, MEMBER], manage::disable_key),
    write(
        "ScheduleKeyDeletion",
        &[KEY_ID, ("PendingWindowInDays", Integer(7, 30), true), MEMBER],
        manage::schedule_deletion,
    ),
    write(
        "EnableKeyRotation",
        &[KEY_ID, ("RotateDays", Integer(7, 365), false), MEMBER],
        manage::enable_rotation,
    ),
    write("DisableKeyRotation", &[KEY_ID, MEMBER], manage::disable_rotation),
    read("GetKeyRotationStatus", &[KEY_ID, MEMBER], manage::rotation_status),
    read("GetServiceStatus", &[], manage::service_status),
    read("GetRegions", &[], manage::regions),
    read("ListAlgorithms", &[], manage::algorithms),
];

const fn read(name: &'static str, table: &'static [Parameter], run: Run) -> Action {
    let sort = Sort::Read;
    Action {
        name,
        table,
        run,
        sort,
    }
}

const fn write(name: &'static str, table: &'static [Parameter], run: Run) -> Action {
    let sort = Sort::Write;
    Action {
        name,
        table,
        run,
        sort,
    }
}

/// Fields from `json!({...})`.
pub(super) fn fields(value: Value) -> Fields {
    match value {
        Value::Object(fields) => fields,
        _ => Fields::new(),
    }
}

/// The key that a parameter names.
fn key<'a>(world: &'a World, call: &Call<'_>, name: &str) -> Result<&'a Key> {
    let id = call.parameters.text(name);
    if !is_key_id(id) {
        let message = format!("The KeyId `{id:.64}` is not valid.");
        return Err(Refusal::new("InvalidParameterValue.InvalidKeyId", message));
    }
    world.key(call.region, id).ok_or_else(not_found)
}

fn key_mut<'a>(world: &'a mut World, call: &Call<'_>) -> Result<&'a mut Key> {
    let id = key(world, call, "KeyId")?.id.clone();
    world.key_mut(call.region, &id).ok_or_else(not_found)
}

fn not_found() -> Refusal {
    Refusal::new("ResourceUnavailable.CmkNotFound", "The CMK does not exist.")
}

/// Refuses a key whose state does not allow what is asked; archived keys still decrypt.
fn usable(key: &Key, decrypts: bool) -> Result<()> {
    let (code, message) = match key.state {
        KeyState::Enabled => return Ok(()),
        KeyState::Archived if decrypts => return Ok(()),
        KeyState::Archived => ("CmkArchived", "The CMK is archived."),
        KeyState::Disabled => ("CmkDisabled", "The CMK is disabled."),
        KeyState::PendingDelete => ("KeyPendingDelete", "The CMK is waiting for its deletion."),
        KeyState::PendingImport => ("CmkStateNotSupport", "The CMK has no material yet."),
    };
    Err(Refusal::new(format!("ResourceUnavailable.{code}"), message))
}
