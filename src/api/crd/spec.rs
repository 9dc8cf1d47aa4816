//! The schema of `spec`: everything that format-es1 section 2 says and that the API server can check exactly and
//! cheaply. It never refuses what the reader accepts; what it lets pass, the reader refuses.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps;

use super::schema::{
    atomic, boolean, list, map, not_empty, object, open, pattern, ruled, string, time, word,
};
use crate::envelope::Scope;
use crate::envelope::render::MAX_SECRET;
use crate::envelope::wire::{FORMAT, MAX_ENTRIES, MAX_KEYS};

/// 32 bytes in base64url with zero spare bits.
const BYTES_32: &str = "^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$";
/// The id of a data key.
const DATA_KEY_ID: &str = "^[0-9a-f]{8}$";
/// The real dates among these are the business of the format `date-time`.
const TIME: &str =
    "^(19[7-9][0-9]|[2-9][0-9]{3})-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z$";

/// The bytes of labels and annotations together. Characters are never more than bytes.
const MAX_METADATA: usize = 262_144;
/// A data key id, a dot, and the base64url of one payload of the greatest size.
const MAX_VALUE: usize = 9 + ((MAX_SECRET + 96) * 4).div_ceil(3);

pub(super) fn schema() -> JSONSchemaProps {
    let scopes = Scope::ALL.map(Scope::as_str);
    let spec = object(
        "The sealed document. It opens only as a whole and unchanged.",
        &["format", "scope", "id", "dataKeys", "encryptedData", "seal"],
        vec![
            (
                "format",
                word(
                    "The version of the sealed format. A document of a newer format needs a newer CRD and controller.",
                    &[FORMAT],
                ),
            ),
            (
                "scope",
                word(
                    "Where the document opens: strict, under this namespace and name; namespace-wide, under any \
                     name of this namespace; cluster-wide, anywhere the controller may use its key.",
                    &scopes,
                ),
            ),
            (
                "audience",
                pattern(
                    "The group of clusters that the document is sealed for; a controller accepts the audiences that \
                     it was started with.",
                    63,
                    "^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$",
                ),
            ),
            (
                "id",
                pattern("32 random bytes of this document, base64url.", 43, BYTES_32),
            ),
            ("dataKeys", data_keys()),
            (
                "encryptedData",
                entries(
                    "Entry of the Secret to its sealed value: the id of its data key, a dot, base64url.",
                    MAX_ENTRIES,
                    // No pattern: the API server would quote a value that somebody wrote in plain text into its
                    // refusal, and from there it would go into logs and events of GitOps tools.
                    string("A sealed value.", MAX_VALUE),
                ),
            ),
            ("template", template()),
            ("seal", seal()),
        ],
    );
    ruled(atomic(open(spec)), RULES)
}

/// Expression, message, field. The API server shows them only for a document whose fields have the right form.
const RULES: &[(&str, &str, &str)] = &[
    (
        "self.dataKeys.exists(k, k.id == self.seal.key)",
        "must be the id of one of spec.dataKeys; seal the document again",
        ".seal.key",
    ),
    (
        "self.dataKeys.all(k, self.dataKeys.exists_one(j, j.id == k.id))",
        "two data keys have one id; seal the document again",
        ".dataKeys",
    ),
    (
        "self.encryptedData.all(n, self.dataKeys.exists(k, self.encryptedData[n].startsWith(k.id + '.')))",
        "a value does not begin with the id of one of spec.dataKeys and a dot; seal the document again",
        ".encryptedData",
    ),
    (
        "self.dataKeys.all(k, k.id == self.seal.key || self.encryptedData.exists(n, \
         self.encryptedData[n].startsWith(k.id + '.')))",
        "a data key is used by no value and not by the seal; seal the document again",
        ".dataKeys",
    ),
    (
        "!has(self.template) || !has(self.template.data) || self.template.data.all(n, !(n in self.encryptedData))",
        "an entry stands in spec.encryptedData too",
        ".template.data",
    ),
    (
        "!has(self.template) || !has(self.template.render) || self.template.render.all(n, !(n in self.encryptedData) \
         && !(has(self.template.data) && n in self.template.data))",
        "an entry stands in spec.encryptedData or spec.template.data too",
        ".template.render",
    ),
    (
        "size(self.encryptedData) + (has(self.template) && has(self.template.data) ? size(self.template.data) : 0) + \
         (has(self.template) && has(self.template.render) ? size(self.template.render) : 0) <= 1024",
        "a Secret has at most 1024 entries: encryptedData, template.data and template.render together",
        "",
    ),
];

/// A map whose keys are entries of the Secret.
fn entries(description: &str, max: usize, values: JSONSchemaProps) -> JSONSchemaProps {
    let names = [(
        "self.all(n, n.matches('^[-._a-zA-Z0-9]{1,253}$') && n != '.' && !n.startsWith('..'))",
        "the name of an entry has 1 to 253 letters, digits, '-', '_' and '.', is not '.' and does not begin with '..'",
        "",
    )];
    ruled(map(description, max, values), &names)
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
            ("ciphertext", pattern("The KMS's own text.", 4096, "^[!-~]+$")),
        ],
    );
    let data_key = object(
        "One data key: never itself, only its wraps.",
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
                    "What ties wraps to this data key and place, base64url.",
                    43,
                    BYTES_32,
                ),
            ),
            (
                "templateMac",
                pattern(
                    "The agreement of a holder of this data key to the template, base64url.",
                    43,
                    BYTES_32,
                ),
            ),
            (
                "wraps",
                not_empty(list(
                    "The data key under each KMS key that may open it; tried in order.",
                    MAX_KEYS,
                    open(atomic(wrap)),
                )),
            ),
        ],
    );
    let unique = [(
        "self.wraps.all(w, self.wraps.exists_one(o, o.key == w.key))",
        "two wraps have one KMS key; seal the document again",
        ".wraps",
    )];
    not_empty(list(
        "The data keys that values and seal use.",
        MAX_KEYS,
        ruled(open(atomic(data_key)), &unique),
    ))
}

fn template() -> JSONSchemaProps {
    let metadata = object(
        "Metadata of the Secret. Nothing is copied from the EnvelopeSecret's own.",
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
        "What the Secret has besides sealed values. In plain text, and under the seal.",
        &[],
        vec![
            (
                "type",
                pattern("Type of the Secret; absent: Opaque.", 253, "^[!-~]+$"),
            ),
            ("immutable", boolean("Whether the Secret is immutable.")),
            ("metadata", open(atomic(metadata))),
            (
                "data",
                entries(
                    "Entries of the Secret that are no secret, as plain text.",
                    MAX_ENTRIES,
                    string("A plain value.", MAX_SECRET),
                ),
            ),
            (
                "render",
                entries(
                    "Entries of the Secret that are rendered from the others: postgres://<%= v.user %>@<%= v.host %>/",
                    64,
                    string("A template over the sealed and plain values.", 65_536),
                ),
            ),
        ],
    );
    open(atomic(template))
}

fn seal() -> JSONSchemaProps {
    let instant = JSONSchemaProps {
        pattern: Some(TIME.to_owned()),
        max_length: Some(20),
        ..time("When it was sealed, UTC to the second. A later seal replaces an earlier one.")
    };
    let seal = object(
        "What proves that the document is as it was sealed, for this place.",
        &["key", "time", "mac"],
        vec![
            (
                "key",
                pattern("The id of the data key that seals.", 8, DATA_KEY_ID),
            ),
            ("time", instant),
            (
                "mac",
                pattern("The seal over everything but the wraps, base64url.", 43, BYTES_32),
            ),
        ],
    );
    open(atomic(seal))
}
