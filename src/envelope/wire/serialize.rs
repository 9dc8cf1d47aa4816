//! Serialization of [`Spec`], in the field order of docs/format-es1.md#1-the-object. Empty maps of the template are
//! omitted.

use serde::ser::{Serialize, SerializeMap as _, SerializeStruct as _, Serializer};

use super::super::encoding::to_base64url;
use super::spec::{FORMAT, Seal, SealedDataKey, SealedValue, Spec, Template, Wrap};

impl Serialize for Spec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let audience = usize::from(self.audience.is_some());
        let template = usize::from(!self.template.is_empty());
        let mut out = serializer.serialize_struct("Spec", 6 + audience + template)?;
        out.serialize_field("format", FORMAT)?;
        out.serialize_field("scope", self.scope.as_str())?;
        if let Some(audience) = &self.audience {
            out.serialize_field("audience", audience)?;
        }
        out.serialize_field("id", &to_base64url(&self.id))?;
        out.serialize_field("dataKeys", &self.data_keys)?;
        out.serialize_field("encryptedData", &self.encrypted_data)?;
        if !self.template.is_empty() {
            out.serialize_field("template", &self.template)?;
        }
        out.serialize_field("seal", &self.seal)?;
        out.end()
    }
}

impl Serialize for SealedDataKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("DataKey", 4)?;
        out.serialize_field("id", &self.id)?;
        out.serialize_field("commitment", &to_base64url(&self.commitment.0))?;
        out.serialize_field("templateMac", &to_base64url(&self.template_mac))?;
        out.serialize_field("wraps", &self.wraps)?;
        out.end()
    }
}

impl Serialize for Wrap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Wrap", 2)?;
        out.serialize_field("key", &self.key)?;
        out.serialize_field("ciphertext", &self.ciphertext)?;
        out.end()
    }
}

impl Serialize for SealedValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}.{}", self.data_key, to_base64url(&self.payload)))
    }
}

impl Serialize for Template {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_map(None)?;
        if let Some(type_) = &self.type_ {
            out.serialize_entry("type", type_)?;
        }
        if let Some(immutable) = self.immutable {
            out.serialize_entry("immutable", &immutable)?;
        }
        if !self.labels.is_empty() || !self.annotations.is_empty() {
            out.serialize_entry("metadata", &Metadata(self))?;
        }
        for (name, map) in [("data", &self.data), ("render", &self.render)] {
            if !map.is_empty() {
                out.serialize_entry(name, map)?;
            }
        }
        out.end()
    }
}

/// `template.metadata`, which has no type of its own.
struct Metadata<'t>(&'t Template);

impl Serialize for Metadata<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_map(None)?;
        for (name, map) in [("labels", &self.0.labels), ("annotations", &self.0.annotations)] {
            if !map.is_empty() {
                out.serialize_entry(name, map)?;
            }
        }
        out.end()
    }
}

impl Serialize for Seal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Seal", 3)?;
        out.serialize_field("key", &self.key)?;
        out.serialize_field("time", self.time.as_str())?;
        out.serialize_field("mac", &to_base64url(&self.mac))?;
        out.end()
    }
}
