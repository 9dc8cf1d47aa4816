//! `EnvelopeSecrets` on the shared control plane, accessed with kubectl.

use std::sync::OnceLock;

use envelope_secrets::api::{GROUP, PLURAL, VERSION};
use envelope_secrets::envelope::wire::Document;
use serde_json::Value;
use testkit::ControlPlane;

use crate::crd::CRD_FILE;

/// Returns the shared control plane with our CRD installed.
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

/// Returns the URL path of an object, for `kubectl --raw`.
pub(crate) fn path(namespace: &str, name: &str) -> String {
    format!("/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{PLURAL}/{name}")
}

/// Returns the object's JSON exactly as the API server sends it.
pub(crate) fn raw(plane: &ControlPlane, namespace: &str, name: &str) -> String {
    plane.kubectl(["get", "--raw", &path(namespace, name)]).unwrap()
}

/// Returns the object as JSON.
pub(crate) fn stored(plane: &ControlPlane, namespace: &str, name: &str) -> Value {
    serde_json::from_str(&raw(plane, namespace, name)).unwrap()
}

/// Reads the stored object with the strict reader.
pub(crate) fn read_back(plane: &ControlPlane, namespace: &str, name: &str) -> Document {
    Document::from_object_json(raw(plane, namespace, name).as_bytes(), None).unwrap()
}
