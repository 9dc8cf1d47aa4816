//! The API server's audit log, parsed into events that tests count.

use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

/// Logs every request except those of the control plane's own parts that no test is interested in.
///
/// Includes request bodies only for status and events, which must never contain a Secret's values. The canary test searches them.
pub(super) const POLICY: &str = r#"apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
omitManagedFields: true
rules:
- level: None
  nonResourceURLs: ["/readyz*", "/livez*", "/healthz*", "/openapi*", "/api*", "/version"]
- level: Request
  resources:
  - {group: envelope-secrets.io, resources: ["*/status"]}
  - {group: "", resources: [events]}
  - {group: events.k8s.io, resources: [events]}
- level: Metadata
  resources:
  - {group: envelope-secrets.io}
  - {group: "", resources: [secrets]}
  - {group: coordination.k8s.io, resources: [leases]}
- level: None
  users: ["system:apiserver", "system:kube-controller-manager"]
- level: None
  userGroups: ["system:serviceaccounts:kube-system"]
- level: Metadata
"#;

/// A position in the log, from which events are read.
#[derive(Clone, Copy, Debug)]
pub struct AuditMark(pub(super) u64);

/// A completed request, or the start of a watch.
#[derive(Clone, Debug)]
pub struct AuditEvent {
    /// `ResponseStarted` for a watch that has started, `ResponseComplete` for a completed request, or `Panic`.
    pub stage: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`; the HTTP method for paths that are not resources.
    pub verb: String,
    pub user: String,
    pub user_agent: String,
    /// The path with its query.
    pub uri: String,
    /// Empty for the core group.
    pub group: String,
    /// Empty for paths that are not resources.
    pub resource: String,
    pub subresource: String,
    pub namespace: String,
    pub name: String,
    /// HTTP status code.
    pub code: u16,
    /// The complete event.
    pub raw: Value,
}

impl AuditEvent {
    fn from_json(raw: Value) -> Self {
        let text = |pointer: &str| {
            raw.pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let code = raw.pointer("/responseStatus/code").and_then(Value::as_u64);
        Self {
            stage: text("/stage"),
            verb: text("/verb"),
            user: text("/user/username"),
            user_agent: text("/userAgent"),
            uri: text("/requestURI"),
            group: text("/objectRef/apiGroup"),
            resource: text("/objectRef/resource"),
            subresource: text("/objectRef/subresource"),
            namespace: text("/objectRef/namespace"),
            name: text("/objectRef/name"),
            code: code.and_then(|code| u16::try_from(code).ok()).unwrap_or_default(),
            raw,
        }
    }

    /// Whether the request completed with a success status.
    pub fn succeeded(&self) -> bool {
        self.stage == "ResponseComplete" && (200..300).contains(&self.code)
    }
}

/// Reads the complete lines from `mark` on. The server may still be writing the last line.
pub(super) fn read(path: &Path, mark: AuditMark) -> Result<Vec<AuditEvent>> {
    let mut file = std::fs::File::open(path).with_context(|| path.display().to_string())?;
    file.seek(SeekFrom::Start(mark.0))?;
    let mut reader = BufReader::new(file);
    let mut events = Vec::new();
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
        events.push(AuditEvent::from_json(
            serde_json::from_slice(&line).context("audit log")?,
        ));
        line.clear();
    }
    Ok(events)
}

/// Whether the log contains `text` after `mark`.
pub(super) fn contains(path: &Path, mark: AuditMark, text: &str) -> Result<bool> {
    let mut file = std::fs::File::open(path).with_context(|| path.display().to_string())?;
    file.seek(SeekFrom::Start(mark.0))?;
    let mut tail = String::new();
    BufReader::new(file).read_to_string(&mut tail)?;
    Ok(tail.contains(text))
}
