//! The table of KMS actions: their parameters and functions.

mod call;
mod cipher;
mod manage;

use super::account::Account;
use super::api_error::Result;
use super::parameters::Kind::{Integer, Object, Objects, Text, Texts, Word};
use super::parameters::Parameter;
pub(super) use call::{Call, Fields, fields};

type Run = fn(&mut Account, &Call<'_>) -> Result<Fields>;

/// An action.
pub(super) struct Action {
    pub(super) name: &'static str,
    pub(super) table: &'static [Parameter],
    pub(super) run: Run,
    pub(super) kind: ActionKind,
}

/// Whether an action counts against the quota and changes the account.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ActionKind {
    /// Counts against the quota of cryptographic calls.
    Crypto,
    Read,
    /// Changes the account, which is then saved.
    Write,
}

const KEY_ID: Parameter = ("KeyId", Text(256), true);
const MEMBER: Parameter = ("MemberAccount", Object, false);
const TAGS: Parameter = (
    "Tags",
    Objects(&[("TagKey", Text(127)), ("TagValue", Text(255))]),
    false,
);
/// The actions themselves reject contexts that are too long.
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

/// All KMS actions.
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
        kind: ActionKind::Crypto,
    },
    Action {
        name: "Encrypt",
        table: &[KEY_ID, ("Plaintext", Text(64 << 10), true), CONTEXT],
        run: cipher::encrypt,
        kind: ActionKind::Crypto,
    },
    Action {
        name: "Decrypt",
        table: &[BLOB, CONTEXT, PUBLIC_KEY, ALGORITHM],
        run: cipher::decrypt,
        kind: ActionKind::Crypto,
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
        kind: ActionKind::Crypto,
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
        kind: ActionKind::Write,
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
    let kind = ActionKind::Read;
    Action {
        name,
        table,
        run,
        kind,
    }
}

const fn write(name: &'static str, table: &'static [Parameter], run: Run) -> Action {
    let kind = ActionKind::Write;
    Action {
        name,
        table,
        run,
        kind,
    }
}
