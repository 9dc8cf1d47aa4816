//! An admission webhook on loopback that delays every request.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use crate::kms::http::{Delivery, Request, Response};
use crate::kms::server::{Handler, Server};
use crate::plane::pki::Authority;

/// A running webhook that allows everything, after a delay. It stops when dropped.
pub struct Webhook {
    server: Server,
    authority: String,
    calls: Arc<AtomicUsize>,
}

impl Webhook {
    /// Starts a webhook that responds to each request after `delay`.
    pub fn start(delay: Duration) -> Result<Self> {
        let authority = Authority::new()?;
        let pair = authority.server("webhook", &["127.0.0.1"])?;
        let calls = Arc::new(AtomicUsize::new(0));
        let handler: Arc<Handler> = {
            let calls = Arc::clone(&calls);
            Arc::new(move |request| {
                calls.fetch_add(1, Ordering::SeqCst);
                (respond(request), delay)
            })
        };
        let server = Server::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), Some(&pair), handler)?;
        Ok(Self {
            server,
            authority: authority.certificate,
            calls,
        })
    }

    /// Returns the number of requests received so far.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// Returns a `ValidatingWebhookConfiguration` that sends every write of a Secret in `namespace` to this webhook, and
    /// ignores its failure.
    pub fn configuration(&self, name: &str, namespace: &str) -> Value {
        use base64::Engine as _;
        let bundle = base64::engine::general_purpose::STANDARD.encode(&self.authority);
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": name},
            "webhooks": [{
                "name": "slow.testkit.example",
                "clientConfig": {"url": format!("https://{}/", self.server.address()), "caBundle": bundle},
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                "rules": [{
                    "apiGroups": [""], "apiVersions": ["v1"], "resources": ["secrets"],
                    "operations": ["CREATE", "UPDATE"], "scope": "Namespaced",
                }],
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "failurePolicy": "Ignore",
                "timeoutSeconds": 30,
            }],
        })
    }
}

fn respond(request: &Request) -> Response {
    let review: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let body = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": {"uid": review["request"]["uid"], "allowed": true},
    });
    Response {
        status: 200,
        content_type: "application/json".to_owned(),
        body: body.to_string().into_bytes(),
        date: None,
        delivery: Delivery::Whole,
    }
}
