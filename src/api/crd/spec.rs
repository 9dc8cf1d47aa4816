//! The schema of `spec`: everything in docs/format-es1.md section 2 that the API server can check exactly and cheaply. It
//! never rejects what the reader accepts; the reader refuses whatever it lets through.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps;

use super::schema::{
    atomic, boolean, enumeration, list, map, not_empty, object, pattern, preserving, string, time, with_rules,
};
use crate::envelope::Scope;
use crate::envelope::render::MAX_SECRET;
use crate::envelope::wire::{FORMAT, MAX_ENTRIES, MAX_KEYS};

/// 32 bytes in base64url, unused trailing bits zero.
const BYTES_32: &str = "^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$";
/// The ID of a data key.
const DATA_KEY_ID: &str = "^[0-9a-f]{8}$";
/// Time of day and year range; the format `date-time` checks that the date exists.
const TIME: &str =
    "^(19[7-9][0-9]|[2-9][0-9]{3})-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z$";

/// Limit on the bytes of labels and annotations together. It also bounds characters, which are never more than bytes.
const MAX_METADATA: usize = 262_144;
/// A data key ID, a dot, and the base64url of a payload of maximum size.
const MAX_VALUE: usize = 9 + ((MAX_SECRET + 96) * 4).div_ceil(3);

pub(super) fn schema() -> JSONSchemaProps {
    let scopes = Scope::ALL.map(Scope::as_str);
    let spec = object(
        "The sealed document. It opens only as a whole and unchanged.",
        &["format", "scope", "id", "dataKeys", "encryptedData", "seal"],
        vec![
            (
                "format",
                enumeration(
                    "The version of the sealed format. A document of a newer format needs a newer CRD and controller.",
                    &[FORMAT],
                ),
            ),
            (
                "scope",
                enumeration(
                    "Where the document can be opened: strict, only in this namespace under this name; \
                     namespace-wide, under any name in this namespace; cluster-wide, wherever the controller may use \
                     its key.",
                    &scopes,
                ),
            ),
            (
                "audience",
                pattern(
                    "The group of clusters that the document is sealed for. A controller accepts only its configured \
                     audiences.",
                    63,
                    "^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$",
                ),
            ),
            (
                "id",
                pattern(
                    "32 random bytes that identify this document, base64url.",
                    43,
                    BYTES_32,
                ),
            ),
            ("dataKeys", data_keys()),
            (
                "encryptedData",
                entries(
                    "Entries of the Secret. A sealed value is the ID of its data key, a dot, and base64url.",
                    MAX_ENTRIES,
                    // No pattern: the API server quotes rejected values. A value written in plain text by mistake would
                    // end up in the logs and events of GitOps tools.
                    string("A sealed value.", MAX_VALUE),
                ),
            ),
            ("template", template()),
            ("seal", seal()),
        ],
    );
    with_rules(atomic(preserving(spec)), RULES)
}

/// Expression, message, field. The API server evaluates them only if the fields match their schemas.
const RULES: &[(&str, &str, &str)] = &[
    (
        "self.dataKeys.exists(k, k.id == self.seal.key)",
        "must be the id of one of spec.dataKeys; re-seal the document",
        ".seal.key",
    ),
    (
        "self.dataKeys.all(k, self.dataKeys.exists_one(j, j.id == k.id))",
        "two data keys have the same id; re-seal the document",
        ".dataKeys",
    ),
    (
        "self.encryptedData.all(n, self.dataKeys.exists(k, self.encryptedData[n].startsWith(k.id + '.')))",
        "a value does not begin with the id of one of spec.dataKeys and a dot; re-seal the document",
        ".encryptedData",
    ),
    (
        "self.dataKeys.all(k, k.id == self.seal.key || self.encryptedData.exists(n, \
         self.encryptedData[n].startsWith(k.id + '.')))",
        "a data key is used neither by a value nor by the seal; re-seal the document",
        ".dataKeys",
    ),
    (
        "!has(self.template) || !has(self.template.data) || self.template.data.all(n, !(n in self.encryptedData))",
        "an entry is also in spec.encryptedData",
        ".template.data",
    ),
    (
        "!has(self.template) || !has(self.template.render) || self.template.render.all(n, !(n in self.encryptedData) \
         && !(has(self.template.data) && n in self.template.data))",
        "an entry is also in spec.encryptedData or spec.template.data",
        ".template.render",
    ),
    (
        "size(self.encryptedData) + (has(self.template) && has(self.template.data) ? size(self.template.data) : 0) + \
         (has(self.template) && has(self.template.render) ? size(self.template.render) : 0) <= 1024",
        "a Secret has at most 1024 entries: encryptedData, template.data and template.render together",
        "",
    ),
];

/// A map from entry names of the Secret.
fn entries(description: &str, max: usize, values: JSONSchemaProps) -> JSONSchemaProps {
    let names = [(
        "self.all(n, n.matches('^[-._a-zA-Z0-9]{1,253}$') && n != '.' && !n.startsWith('..'))",
        "the name of an entry must have 1 to 253 letters, digits, '-', '_' and '.', and must not be '.' or begin with '..'",
        "",
    )];
    with_rules(map(description, max, values), &names)
}

fn data_keys() -> JSONSchemaProps {
    let wrap = object(
        "The data key, encrypted by one KMS key.",
        &["key", "ciphertext"],
        vec![
            (
                "key",
                pattern(
                    "URI of the KMS key: local://fa1975b2, tencent-kms://ap-guangzhou/<key id>.",
                    1025,
                    "^[a-z][a-z0-9-]{1,31}://[!-~]{1,990}$",
                ),
            ),
            (
                "ciphertext",
                pattern("The KMS ciphertext of the data key.", 4096, "^[!-~]+$"),
            ),
        ],
    );
    let data_key = object(
        "A data key in the form of its wraps, never in plain text.",
        &["id", "commitment", "templateMac", "wraps"],
        vec![
            (
                "id",
                pattern(
                    "Hex of the first 4 bytes of the commitment. Quote it in YAML.",
                    8,
                    DATA_KEY_ID,
                ),
            ),
            (
                "commitment",
                pattern(
                    "Binds the wraps to this data key and place, base64url.",
                    43,
                    BYTES_32,
                ),
            ),
            (
                "templateMac",
                pattern(
                    "Authenticates the template with this data key, base64url.",
                    43,
                    BYTES_32,
                ),
            ),
            (
                "wraps",
                not_empty(list(
                    "The data key, encrypted by each KMS key that can unwrap it; tried in order.",
                    MAX_KEYS,
                    preserving(atomic(wrap)),
                )),
            ),
        ],
    );
    let unique = [(
        "self.wraps.all(w, self.wraps.exists_one(o, o.key == w.key))",
        "two wraps have the same KMS key; re-seal the document",
        ".wraps",
    )];
    not_empty(list(
        "The data keys of the values and the seal.",
        MAX_KEYS,
        with_rules(preserving(atomic(data_key)), &unique),
    ))
}

fn template() -> JSONSchemaProps {
    let metadata = object(
        "Metadata of the Secret. Nothing is copied from the EnvelopeSecret's own metadata.",
        &[],
        vec![
            (
                "labels",
                map(
                    "Labels of the Secret.",
                    MAX_METADATA,
                    pattern(
                        "The value of a label.",
                        63,
                        "^([A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?)?$",
                    ),
                ),
            ),
            (
                "annotations",
                map(
                    "Annotations of the Secret.",
                    MAX_METADATA,
                    string("The value of an annotation.", MAX_METADATA),
                ),
            ),
        ],
    );
    let template = object(
        "Everything in the Secret besides sealed values: in plain text, authenticated by the seal.",
        &[],
        vec![
            (
                "type",
                pattern("Type of the Secret; Opaque if absent.", 253, "^[!-~]+$"),
            ),
            ("immutable", boolean("Whether the Secret is immutable.")),
            ("metadata", preserving(atomic(metadata))),
            (
                "data",
                entries(
                    "Non-secret entries of the Secret, in plain text.",
                    MAX_ENTRIES,
                    string("A plain value.", MAX_SECRET),
                ),
            ),
            (
                "render",
                entries(
                    "Entries rendered from the other entries: postgres://<%= v.user %>@<%= v.host %>/",
                    64,
                    string("A template over the sealed and plain values.", 65_536),
                ),
            ),
        ],
    );
    preserving(atomic(template))
}

fn seal() -> JSONSchemaProps {
    let instant = JSONSchemaProps {
        pattern: Some(TIME.to_owned()),
        max_length: Some(20),
        ..time("Time of sealing in UTC, to the second. A later seal supersedes an earlier one.")
    };
    let seal = object(
        "Proof that the document is unchanged since it was sealed for this place.",
        &["key", "time", "mac"],
        vec![
            ("key", pattern("The ID of the sealing data key.", 8, DATA_KEY_ID)),
            ("time", instant),
            (
                "mac",
                pattern("MAC over everything except the wraps, base64url.", 43, BYTES_32),
            ),
        ],
    );
    preserving(atomic(seal))
}
