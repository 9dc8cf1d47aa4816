//! `EnvelopeSecrets` on the shared control plane, through kubectl.

use std::sync::OnceLock;

use envelope_secrets::api::{GROUP, PLURAL, VERSION};
use envelope_secrets::envelope::wire::Document;
use serde_json::Value;
use testkit::ControlPlane;

use crate::crd::CRD_FILE;

/// The shared control plane with our CRD on it.
pub(crate) fn plane_with_crd() -> &'static ControlPlane {
    static ONCE: OnceLock<()> = OnceLock::new();
    let plane = testkit::shared();
    ONCE.get_or_init(|| install_crd(plane));
    plane
}

/// Installs the CRD of the repository and waits until its objects are served.
pub(crate) fn install_crd(plane: &ControlPlane) {
    plane.kubectl(["apply", "--server-side", "-f", CRD_FILE]).unwrap();
    let crd = format!("crd/{PLURAL}.{GROUP}");
    plane
        .kubectl([
            "wait",
            "--for=condition=Established",
            "--timeout=60s",
            crd.as_str(),
        ])
        .unwrap();
}

/// The URL path of an object, for `kubectl --raw`.
pub(crate) fn path(namespace: &str, name: &str) -> String {
    format!("/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{PLURAL}/{name}")
}

/// The object's JSON as the API server gives it, byte for byte.
pub(crate) fn raw(plane: &ControlPlane, namespace: &str, name: &str) -> String {
    plane.kubectl(["get", "--raw", &path(namespace, name)]).unwrap()
}

/// The object as JSON.
pub(crate) fn stored(plane: &ControlPlane, namespace: &str, name: &str) -> Value {
    serde_json::from_str(&raw(plane, namespace, name)).unwrap()
}

/// The document that the strict reader sees in what the API server gives.
pub(crate) fn read_back(plane: &ControlPlane, namespace: &str, name: &str) -> Document {
    Document::from_object_json(raw(plane, namespace, name).as_bytes(), None).unwrap()
}
