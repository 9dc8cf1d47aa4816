//! Seals one Secret into one document.

use std::collections::BTreeMap;

use super::super::failure::{Failure, Result};
use super::super::keychain::Recipients;
use super::super::place::PlaceRule;
use super::super::printer::Printer;
use crate::api::{SEALED_FOR_ANNOTATION, sealed_for};
use crate::envelope::render::MAX_SECRET;
use crate::envelope::wire::{API_VERSION, KIND};
use crate::envelope::{
    Document, Draft, Place, ReaderPolicy, Scope, SealTime, SecretBytes, StructureError, Template,
};
use crate::kms;
use crate::manifest::{self, Member, Node, SecretInput, shown};

/// Client-side `kubectl apply` stores a copy in an annotation; an object's annotations are limited to 256 KiB.
const WARN_BYTES: usize = 180 * 1024;
/// The API server accepts requests of 3 MiB, but etcd stores at most 1.5 MiB.
const MAX_BYTES: usize = 1_520_435; // 1.45 MiB

/// A sealed document.
pub(super) struct Sealed {
    /// The object to write.
    pub(super) object: Node,
    /// The message to print once it is written.
    pub(super) report: String,
}

/// Settings for all Secrets of one command.
pub(super) struct Sealer {
    pub(super) scope: Scope,
    pub(super) audience: Option<String>,
    pub(super) type_: Option<String>,
    pub(super) allow_empty: bool,
    pub(super) recipients: Recipients,
    pub(super) place: PlaceRule,
    pub(super) printer: Printer,
}

/// A Secret with its place and type, checked before any value is compared and any KMS key is used. Holds plaintext: no
/// Debug.
pub(super) struct Prepared {
    pub(super) place: Place,
    pub(super) template: Template,
    pub(super) entries: BTreeMap<String, SecretBytes>,
}

impl Sealer {
    /// Checks one Secret. `from_flags`: it has no manifest, so its namespace is that of the flag.
    pub(super) fn prepare(&self, secret: SecretInput, from_flags: bool) -> Result<Prepared> {
        let name = self.place.resolve_name(secret.name.as_deref())?;
        self.prepare_named(&name, secret, from_flags)
            .map_err(|failure| failure.about(format!("Secret {name}")))
    }

    fn prepare_named(&self, name: &str, secret: SecretInput, from_flags: bool) -> Result<Prepared> {
        let namespace = self.place.resolve_namespace(secret.namespace.as_deref())?;
        if namespace.is_none() && self.scope != Scope::ClusterWide {
            return Err(self.place.no_namespace());
        }
        // A cluster-wide document names a namespace only if its manifest did.
        let namespace = namespace
            .filter(|_| from_flags || secret.namespace.is_some() || self.scope != Scope::ClusterWide);
        if secret.entries.is_empty() && !self.allow_empty {
            return Err(Failure::failed("it has no data")
                .help("check the field names `data` and `stringData`, or seal it empty with --allow-empty"));
        }
        let bytes: usize = secret.entries.values().map(SecretBytes::len).sum();
        if bytes > MAX_SECRET {
            return Err(Failure::failed(format!(
                "its values have {bytes} bytes; a Secret holds at most {MAX_SECRET}"
            ))
            .help("split it into several Secrets"));
        }
        secret.check_type(self.type_.as_deref())?;
        let place = Place::new(namespace.as_deref(), name)?;
        if !secret.dropped.is_empty() {
            let dropped: Vec<String> = secret.dropped.iter().map(ToString::to_string).collect();
            self.printer
                .note(&format!("{}: dropped {}", place_name(&place), dropped.join(", ")));
        }
        let template = Template {
            type_: self.resolve_type(secret.type_)?,
            immutable: secret.immutable.then_some(true),
            labels: secret.labels,
            annotations: secret.annotations,
            ..Template::default()
        };
        Ok(Prepared {
            place,
            template,
            entries: secret.entries,
        })
    }

    /// Seals one Secret under a new data key.
    pub(super) async fn seal(&self, prepared: Prepared) -> Result<Sealed> {
        let label = format!("Secret {}", prepared.place.name);
        self.seal_unlabelled(prepared)
            .await
            .map_err(|failure| failure.about(label))
    }

    async fn seal_unlabelled(&self, prepared: Prepared) -> Result<Sealed> {
        let shown = place_name(&prepared.place);
        let now = SealTime::now().ok_or_else(|| {
            Failure::failed("the clock is outside the years 1970 to 9999").help("set the clock")
        })?;
        self.warn_about_type(&shown, &prepared.template, &now);
        self.warn_about_templates(&shown, &prepared.entries);
        let entries = prepared.entries.len();
        let draft = Draft {
            place: prepared.place,
            scope: self.scope,
            audience: self.audience.clone(),
            values: prepared.entries,
            template: prepared.template,
        };
        let checked = draft.check().map_err(|error| in_terms_of_the_secret(&error))?;
        let keys = &self.recipients;
        let context = checked.binding().context();
        let (key, wraps) = kms::wrap_new_data_key(&keys.registry, &keys.first, &keys.others, &context)
            .await
            .map_err(Failure::from)?;
        let document = checked
            .seal(&key, wraps, now)
            .map_err(|error| Failure::failed(error.to_string()))?;
        let node = object(&document)?;
        self.check_size(&shown, &node)?;
        let count = if entries == 1 {
            "1 entry".to_owned()
        } else {
            format!("{entries} entries")
        };
        let report = format!("sealed {shown}: {count}, {} ({})", keys.list(), keys.source);
        Ok(Sealed { object: node, report })
    }

    fn resolve_type(&self, document: Option<String>) -> Result<Option<String>> {
        match (document, &self.type_) {
            (Some(document), Some(flag)) if document != *flag => Err(Failure::usage(format!(
                "the type from the document {document:?} does not match --type {flag:?}"
            ))),
            (Some(document), _) => Ok(Some(document)),
            (None, flag) => Ok(flag.clone()),
        }
    }

    /// A type that controllers refuse by default is only warned about: a controller may be configured to accept it.
    fn warn_about_type(&self, shown: &str, template: &Template, now: &SealTime) {
        let refused = ReaderPolicy::controller([], now.clone())
            .refused_types
            .unwrap_or_default();
        if let Some(type_) = template.type_.as_ref().filter(|type_| refused.contains(*type_)) {
            self.printer.warning(&format!(
                "{shown}: by default, controllers refuse Secrets of type {type_}, which grant permissions in the cluster"
            ));
        }
    }

    /// A value may legitimately contain the template of another tool; these words occur in Helm charts only.
    fn warn_about_templates(&self, shown: &str, entries: &BTreeMap<String, SecretBytes>) {
        let unrendered = |value: &SecretBytes| {
            std::str::from_utf8(value.expose()).is_ok_and(|text| {
                text.contains("{{")
                    && [".Values.", ".Release.", ".Chart."]
                        .iter()
                        .any(|word| text.contains(word))
            })
        };
        for (name, _) in entries.iter().filter(|(_, value)| unrendered(value)) {
            self.printer.warning(&format!(
                "{shown}: the value of {name:?} looks like an unrendered Helm template"
            ));
        }
    }

    fn check_size(&self, shown: &str, node: &Node) -> Result<()> {
        let size = manifest::to_json(node).expose().len();
        if size > MAX_BYTES {
            return Err(Failure::failed(format!(
                "the sealed document would have {size} bytes; the API server stores at most {MAX_BYTES}"
            ))
            .help("split it into several Secrets"));
        }
        if size > WARN_BYTES {
            self.printer.warning(&format!(
                "{shown}: the sealed document has {} KiB; apply it with kubectl apply --server-side (otherwise kubectl \
                 stores a copy in an annotation, and annotations are limited to 256 KiB)",
                size / 1024
            ));
        }
        Ok(())
    }
}

/// Returns `prod/db`, or `db` without a namespace.
pub(super) fn place_name(place: &Place) -> String {
    match &place.namespace {
        Some(namespace) => format!("{}/{}", shown(namespace), shown(&place.name)),
        None => shown(&place.name),
    }
}

/// The format reports fields of the sealed document, which the user has never seen.
fn in_terms_of_the_secret(error: &StructureError) -> Failure {
    let text = error.to_string();
    let renamed = [
        ("spec.template.metadata", "metadata"),
        ("spec.template.type", "type"),
        ("spec.encryptedData", "data"),
        ("spec: ", "the Secret: "),
    ]
    .iter()
    .find_map(|(from, to)| text.strip_prefix(from).map(|rest| format!("{to}{rest}")));
    Failure::failed(renamed.unwrap_or(text))
}

/// Builds the object, with fields in the order of docs/format-es1.md.
fn object(document: &Document) -> Result<Node> {
    let place = document.place();
    let mut metadata = vec![Member::new("name", Node::text(&place.name))];
    if let Some(namespace) = &place.namespace {
        metadata.push(Member::new("namespace", Node::text(namespace)));
    }
    metadata.push(Member::new(
        "annotations",
        Node::Map(vec![Member::new(
            SEALED_FOR_ANNOTATION,
            Node::text(sealed_for(document.spec().scope, place)),
        )]),
    ));
    let spec = serde_json::to_string(document.spec())
        .map_err(|error| Failure::failed(format!("cannot write the document: {error}")))?;
    Ok(Node::Map(vec![
        Member::new("apiVersion", Node::text(API_VERSION)),
        Member::new("kind", Node::text(KIND)),
        Member::new("metadata", Node::Map(metadata)),
        Member::new("spec", manifest::from_json(&spec)?),
    ]))
}
