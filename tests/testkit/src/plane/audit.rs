//! The API server's audit log, as facts that tests count.

use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

/// Everything but what the control plane's own parts do to objects that tests do not ask about.
///
/// Bodies only where no value of a Secret may ever stand: status and events. The canary reads them.
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

/// A place in the log; events before it are of no interest.
#[derive(Clone, Copy, Debug)]
pub struct AuditMark(pub(super) u64);

/// One answered request (or, for a watch, also its start).
#[derive(Clone, Debug)]
pub struct AuditEvent {
    /// `ResponseStarted` for a watch that has begun, `ResponseComplete` for an answered request, `Panic`.
    pub stage: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`; HTTP's own for other paths.
    pub verb: String,
    pub user: String,
    pub user_agent: String,
    /// The path with its query.
    pub uri: String,
    /// Empty for the core group.
    pub group: String,
    /// Empty for paths that are no resource.
    pub resource: String,
    pub subresource: String,
    pub namespace: String,
    pub name: String,
    /// HTTP status code.
    pub code: u16,
    /// The event as it stands in the log.
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

    /// A request that was answered and was not refused.
    pub fn succeeded(&self) -> bool {
        self.stage == "ResponseComplete" && (200..300).contains(&self.code)
    }
}

/// Reads whole lines from `mark` on. The server writes each event in one piece, but a last line may still be under way.
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

/// Whether the log from `mark` on holds `text`.
pub(super) fn contains(path: &Path, mark: AuditMark, text: &str) -> Result<bool> {
    let mut file = std::fs::File::open(path).with_context(|| path.display().to_string())?;
    file.seek(SeekFrom::Start(mark.0))?;
    let mut tail = String::new();
    BufReader::new(file).read_to_string(&mut tail)?;
    Ok(tail.contains(text))
}
