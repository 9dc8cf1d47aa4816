//! What a client did, according to the API server's audit log.

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use testkit::{AuditEvent, AuditMark, ControlPlane};

/// The requests of one client for one namespace.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Requests {
    pub(crate) secret_writes: usize,
    pub(crate) status_writes: usize,
    pub(crate) events: usize,
    pub(crate) lists: usize,
    pub(crate) watches: usize,
    pub(crate) gets: usize,
    pub(crate) others: usize,
    /// Requests that were refused, for example because a precondition failed.
    pub(crate) refused: usize,
    /// When the last status write was answered, in seconds since 1970.
    pub(crate) last_write: f64,
}

impl Requests {
    /// Requests apart from lists, watches and events: those that grow with the number of objects.
    pub(crate) fn for_objects(&self) -> usize {
        self.secret_writes + self.status_writes + self.gets + self.others
    }

    pub(crate) fn writes(&self) -> usize {
        self.secret_writes + self.status_writes + self.others
    }
}

/// The start of the User-Agent of the controller, and that of the bare client.
pub(crate) const CONTROLLER: &str = "envelope-secrets/";

/// Counts the requests since `mark` for these namespaces by clients whose User-Agent starts with `agent`.
pub(crate) fn requests(
    control: &ControlPlane,
    mark: AuditMark,
    namespaces: &[&str],
    agent: &str,
) -> Result<Requests> {
    let mut counted = Requests::default();
    for event in control.audit_since(mark)? {
        // A watch has two events: that of its start counts.
        let counts = event.stage == "ResponseComplete" && event.verb != "watch"
            || event.stage == "ResponseStarted" && event.verb == "watch";
        let namespace = event.namespace.as_str();
        if counts && namespaces.contains(&namespace) && event.user_agent.starts_with(agent) {
            count(&mut counted, &event)?;
        }
    }
    Ok(counted)
}

fn count(counted: &mut Requests, event: &AuditEvent) -> Result<()> {
    let field = match (
        event.verb.as_str(),
        event.resource.as_str(),
        event.subresource.as_str(),
    ) {
        ("patch", "secrets", "") => &mut counted.secret_writes,
        ("patch", "envelopesecrets", "status") => {
            let at = event.raw["stageTimestamp"].as_str().context("stageTimestamp")?;
            let at: jiff::Timestamp = at.parse()?;
            counted.last_write = counted.last_write.max(at.as_duration().as_secs_f64());
            &mut counted.status_writes
        }
        (_, "events", _) => &mut counted.events,
        ("list", ..) => &mut counted.lists,
        ("watch", ..) => &mut counted.watches,
        ("get", ..) => &mut counted.gets,
        _ => &mut counted.others,
    };
    *field += 1;
    counted.refused += usize::from(event.code >= 400);
    Ok(())
}
