//! An emulator of Tencent Cloud KMS, STS and the instance metadata service, over real HTTP(S) on loopback. It is this project's, not
//! Tencent's: its responses follow the documentation, the official SDKs and published samples. Where these are silent, a comment says what
//! was chosen.
//!
//! ```text
//! http, server    connections and HTTP/1.1
//! auth            verification of TC3-HMAC-SHA256 signatures
//! dispatch        from request to response: authentication, actions, counts, faults
//! sts, jwt        temporary credentials, and the pod tokens that they are issued for
//! metadata        credentials of the instance's role
//! actions         the parameters and the behavior of each action
//! account         the persistent state: keys, versions, credentials, quotas
//! blob            the format of ciphertexts
//! fault, control  injected faults and control commands
//! ```

mod account;
mod actions;
mod api_error;
mod auth;
mod blob;
mod control;
mod dispatch;
mod fault;
pub(crate) mod http;
mod jwt;
mod metadata;
mod parameters;
pub(crate) mod server;
mod sts;

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::Value;

pub use account::{Credential, KeyState, Provider, Quotas, REGIONS, Role, Trust};
pub use control::{Command, Saved};
pub use dispatch::Count;
pub use fault::{Effect, Fault};
pub use metadata::METADATA;

use crate::guard::Guard;
use crate::plane::pki::Authority;
use dispatch::{Outcome, State};
use http::Request;
use server::{Handler, Server};

/// The secret ID of the credentials that every emulator accepts.
pub const SECRET_ID: &str = "AKIDEXAMPLE00000000000000000000kms01";
/// The secret key for [`SECRET_ID`].
pub const SECRET_KEY: &str = "EXAMPLEsecretKEYforTestsOnly0123";
/// The initial role, which all callers with credentials may assume.
pub const ROLE: &str = "emulator";
/// The region of the initial key.
pub const REGION: &str = "ap-guangzhou";

/// Options of an emulator.
#[derive(Clone, Debug)]
pub struct Options {
    /// The loopback address of the API. Port 0 selects a free port.
    pub listen: SocketAddr,
    /// Serve HTTPS, with a certificate from a CA that is created for this run.
    pub tls: bool,
    /// The loopback address of the metadata service, which is always plain HTTP.
    pub metadata: SocketAddr,
    /// The loopback address for control commands over HTTP ([`Command`]), if any.
    pub control: Option<SocketAddr>,
    /// The file with the account: read at startup if it exists, written on every change.
    pub state: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            tls: false,
            metadata: (Ipv4Addr::LOCALHOST, 0).into(),
            control: None,
            state: None,
        }
    }
}

/// The names in the server certificate: those of the loopback address, and those of Tencent Cloud, for clients that reach the emulator
/// through a proxy.
fn server_names() -> Vec<String> {
    let subdomains = ["internal", "intl"].into_iter().chain(REGIONS);
    let mut names = vec!["*.tencentcloudapi.com".to_owned()];
    names.extend(subdomains.map(|subdomain| format!("*.{subdomain}.tencentcloudapi.com")));
    names.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
    names
}

/// A running emulator, which stops when dropped.
pub struct Emulator {
    shared: Arc<Shared>,
    server: Server,
    metadata: Server,
    control: Option<Server>,
    key: (String, String),
    /// The CA certificate, and the guard that removes its directory however this process exits.
    authority: Option<(PathBuf, Guard)>,
}

struct Shared {
    state: Mutex<State>,
    file: Option<PathBuf>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries out a control command.
    fn order(&self, command: Command) -> std::result::Result<Value, String> {
        let mut state = self.lock();
        let (response, changed) = control::apply(&mut state, command)?;
        if changed {
            self.save(&state).map_err(|error| format!("{error:#}"))?;
        }
        Ok(response)
    }

    /// Returns a handler that responds to requests and saves what they change.
    fn handler(self: &Arc<Self>, response: fn(&mut State, &Request) -> Outcome) -> Arc<Handler> {
        let shared = Arc::clone(self);
        Arc::new(move |request| {
            let mut state = shared.lock();
            let outcome = response(&mut state, request);
            if outcome.changed
                && let Err(error) = shared.save(&state)
            {
                crate::say(&format!("cannot save the emulator's state: {error:#}"));
            }
            (outcome.response, outcome.latency)
        })
    }

    /// Writes a temporary file and renames it, so that readers never see an incomplete file.
    fn save(&self, state: &State) -> Result<()> {
        let Some(path) = &self.file else {
            return Ok(());
        };
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let mut file = tempfile::NamedTempFile::new_in(directory.unwrap_or(Path::new(".")))?;
        serde_json::to_writer_pretty(&mut file, &state.account)?;
        file.flush()?;
        file.persist(path).with_context(|| path.display().to_string())?;
        Ok(())
    }
}

impl Emulator {
    /// Starts an emulator, with the well-known credentials and one key or with the account in the file.
    pub fn start(options: &Options) -> Result<Self> {
        for address in [Some(options.listen), Some(options.metadata), options.control]
            .into_iter()
            .flatten()
        {
            if !address.ip().is_loopback() {
                bail!(
                    "{address} is not a loopback address; the emulator's credentials are public, so it must not be reachable from other hosts"
                );
            }
        }
        let mut state = State::default();
        if let Some(path) = options.state.as_ref().filter(|path| path.exists()) {
            let text = std::fs::read(path).with_context(|| path.display().to_string())?;
            state.account = serde_json::from_slice(&text).with_context(|| path.display().to_string())?;
        }
        let key = first_key(&mut state);
        let (authority, pair) = if options.tls {
            let authority = Authority::new()?;
            let guard = Guard::start()?;
            let file = guard.temporary_directory("envelope-secrets-kms-")?.join("ca.pem");
            std::fs::write(&file, &authority.certificate)?;
            let names = server_names();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let pair = authority.server("kms emulator", &names)?;
            (Some((file, guard)), Some(pair))
        } else {
            (None, None)
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            file: options.state.clone(),
        });
        shared.save(&shared.lock())?;
        let control = options.control.map(|address| {
            let shared = Arc::clone(&shared);
            let handler: Arc<Handler> = Arc::new(move |request| {
                let response = control::response(request, |command| shared.order(command));
                (response, std::time::Duration::ZERO)
            });
            Server::start(address, None, handler)
        });
        let control = control.transpose()?;
        let server = Server::start(options.listen, pair.as_ref(), shared.handler(State::handle))?;
        let metadata = Server::start(options.metadata, None, shared.handler(metadata::handle))?;
        Ok(Emulator {
            shared,
            server,
            metadata,
            control,
            key,
            authority,
        })
    }

    /// Starts an emulator with the default options: plain HTTP on a free port.
    ///
    /// # Panics
    /// If it cannot be started.
    #[expect(clippy::panic, reason = "the calling test cannot continue")]
    pub fn fresh() -> Self {
        match Self::start(&Options::default()) {
            Ok(emulator) => emulator,
            Err(error) => panic!("cannot start the KMS emulator: {error:#}"),
        }
    }

    /// The URL of KMS and STS, such as `http://127.0.0.1:40001`.
    pub fn endpoint(&self) -> String {
        let scheme = if self.authority.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.server.address())
    }

    /// The URL of the metadata service: plain HTTP, as in Tencent Cloud.
    pub fn metadata_endpoint(&self) -> String {
        format!("http://{}", self.metadata.address())
    }

    /// The ARN of a role: `qcs::cam::uin/100000000001:roleName/NAME`.
    pub fn role_arn(&self, name: &str) -> String {
        sts::arn(name)
    }

    /// The URL for control commands.
    pub fn control_endpoint(&self) -> Option<String> {
        let control = self.control.as_ref()?;
        Some(format!("http://{}", control.address()))
    }

    /// The file with the CA certificate in PEM, if the emulator serves HTTPS.
    pub fn ca_file(&self) -> Option<&Path> {
        self.authority.as_ref().map(|(file, _)| file.as_path())
    }

    /// The ID of the initial key.
    pub fn key(&self) -> &str {
        &self.key.1
    }

    /// The URI of the initial key: `tencent-kms://REGION/KEY-ID`.
    pub fn key_uri(&self) -> String {
        control::uri(&self.key.0, &self.key.1)
    }

    /// The environment variables with which a process uses the emulator.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![
            ("ENVELOPE_TENCENT_ENDPOINT", self.endpoint()),
            ("ENVELOPE_TENCENT_STS_ENDPOINT", self.endpoint()),
            ("ENVELOPE_TENCENT_METADATA_ENDPOINT", self.metadata_endpoint()),
            ("TENCENTCLOUD_SECRET_ID", SECRET_ID.to_owned()),
            ("TENCENTCLOUD_SECRET_KEY", SECRET_KEY.to_owned()),
            ("TENCENTCLOUD_REGION", self.key.0.clone()),
            ("ENVELOPE_KEY", self.key_uri()),
        ];
        variables.extend(
            self.ca_file()
                .map(|path| ("ENVELOPE_TENCENT_CA_FILE", path.display().to_string())),
        );
        variables
    }

    /// Carries out a control command, like the control port.
    pub fn order(&self, command: Command) -> Result<Value> {
        self.shared.order(command).map_err(|error| anyhow!(error))
    }

    /// Creates a key and returns its ID.
    pub fn create_key(&self, region: &str, alias: &str) -> Result<String> {
        let response = self.order(Command::CreateKey {
            region: region.to_owned(),
            alias: alias.to_owned(),
        })?;
        let key = response["key"].as_str().context("no key ID in the response")?;
        Ok(key.to_owned())
    }

    /// Adds a fault.
    pub fn fault(&self, fault: Fault) {
        self.shared.lock().faults.push(fault);
    }

    /// Removes all faults.
    pub fn clear_faults(&self) {
        self.shared.lock().faults.clear();
    }

    /// The number of calls of this action, in all regions, for all keys, with any outcome.
    pub fn calls(&self, action: &str) -> u64 {
        self.count(|it, _, _| it == action).total
    }

    /// The number of calls of this action for this key.
    pub fn calls_with(&self, action: &str, key: &str) -> Count {
        self.count(|it, _, of| it == action && of == key)
    }

    /// The number of all calls.
    pub fn all_calls(&self) -> u64 {
        self.count(|_, _, _| true).total
    }

    /// The number of calls whose action, region and key match `filter`.
    pub fn count(&self, filter: impl Fn(&str, &str, &str) -> bool) -> Count {
        let mut sum = Count::default();
        for (subject, count) in &self.shared.lock().counts {
            if filter(&subject.action, &subject.region, &subject.key) {
                sum.total += count.total;
                sum.failed += count.failed;
            }
        }
        sum
    }
}

/// Creates the well-known credentials, the initial role and the initial key if the account has none. Returns the key's region and ID.
fn first_key(state: &mut State) -> (String, String) {
    let now = state.now();
    let account = &mut state.account;
    if account.credential(SECRET_ID).is_none() {
        account.credentials.push(Credential {
            secret_id: SECRET_ID.to_owned(),
            secret_key: SECRET_KEY.to_owned(),
            token: None,
            expires: None,
            actions: None,
        });
    }
    if account.roles.is_empty() {
        account.roles.push(Role {
            name: ROLE.to_owned(),
            trust: Trust::Account { external_id: None },
            actions: None,
        });
    }
    match account.keys.iter().find(|key| !key.deleted) {
        Some(key) => (key.region.clone(), key.id.clone()),
        None => (REGION.to_owned(), account.add_key(REGION, "emulator", "", now)),
    }
}

#[cfg(test)]
mod tests;
