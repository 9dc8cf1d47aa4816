//! An emulator of Tencent Cloud KMS, of STS and of a machine's metadata service over real HTTP(S) on loopback. Ours, not Tencent's: what it answers is what documentation, official SDKs
//! and published samples show; where they are silent it chooses, and says so beside the choice.
//!
//! ```text
//! http, server   connections and HTTP/1.1
//! auth           TC3-HMAC-SHA256, checked
//! dispatch       a request becomes an answer: who calls, which action, counted, disturbed by faults
//! sts, jwt       temporary credentials, and the tokens of pods that they are given for
//! metadata       the role of a machine
//! actions        what each action takes and does; parameters: their tables
//! world          the account: keys, versions, credentials, quotas; what is saved
//! blob           the ciphertext's shape
//! fault, control faults and orders
//! ```

mod actions;
mod auth;
mod blob;
mod control;
mod dispatch;
mod fault;
mod http;
mod jwt;
mod metadata;
mod parameters;
mod refusal;
mod server;
mod sts;
mod world;

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::Value;

pub use control::{Command, Saved};
pub use dispatch::Count;
pub use fault::{Effect, Fault};
pub use metadata::METADATA;
pub use world::{Credential, KeyState, Provider, Quotas, REGIONS, Role, Trust};

use crate::guard::Guard;
use crate::plane::pki::Authority;
use dispatch::{Outcome, State};
use http::Request;
use server::{Handler, Server};

/// The credentials that are good in every emulator.
pub const SECRET_ID: &str = "AKIDEXAMPLE00000000000000000000kms01";
/// See [`SECRET_ID`].
pub const SECRET_KEY: &str = "EXAMPLEsecretKEYforTestsOnly0123";
/// The role that it has at its start; whoever has credentials may take it.
pub const ROLE: &str = "emulator";
/// Where the key is that it makes at its start.
pub const REGION: &str = "ap-guangzhou";

/// What can be chosen.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the API is served; only loopback. Port 0: any that is free.
    pub listen: SocketAddr,
    /// HTTPS, with a certificate of an authority made for the run.
    pub tls: bool,
    /// Where the metadata service is, always plain HTTP; only loopback.
    pub metadata: SocketAddr,
    /// Where orders are taken ([`Command`]), when they are to come over HTTP; only loopback.
    pub control: Option<SocketAddr>,
    /// A file that holds the account: read at the start if it is there, written at every change.
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

/// This machine's, and Tencent Cloud's own: behind a proxy that leads here, the emulator stands where the real hosts do.
fn names_of_the_service() -> Vec<String> {
    let places = ["internal", "intl"].into_iter().chain(REGIONS);
    let mut names = vec!["*.tencentcloudapi.com".to_owned()];
    names.extend(places.map(|place| format!("*.{place}.tencentcloudapi.com")));
    names.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
    names
}

/// A running emulator; ends when it is dropped.
pub struct Emulator {
    shared: Arc<Shared>,
    server: Server,
    metadata: Server,
    control: Option<Server>,
    key: (String, String),
    /// The authority's certificate, and the guard that removes its folder however this process ends.
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

    /// Carries out an order.
    fn order(&self, command: Command) -> std::result::Result<Value, String> {
        let mut state = self.lock();
        let (answer, changed) = control::apply(&mut state, command)?;
        if changed {
            self.save(&state).map_err(|error| format!("{error:#}"))?;
        }
        Ok(answer)
    }

    /// Answers requests, and saves what they change.
    fn handler(self: &Arc<Self>, answer: fn(&mut State, &Request) -> Outcome) -> Arc<Handler> {
        let shared = Arc::clone(self);
        Arc::new(move |request| {
            let mut state = shared.lock();
            let outcome = answer(&mut state, request);
            if outcome.changed
                && let Err(error) = shared.save(&state)
            {
                crate::say(&format!("the emulator's state is not saved: {error:#}"));
            }
            (outcome.answer, outcome.latency)
        })
    }

    /// Writes the file beside and renames: whoever reads it, reads a whole one.
    fn save(&self, state: &State) -> Result<()> {
        let Some(path) = &self.file else {
            return Ok(());
        };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let mut file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
        serde_json::to_writer_pretty(&mut file, &state.world)?;
        file.flush()?;
        file.persist(path).with_context(|| path.display().to_string())?;
        Ok(())
    }
}

impl Emulator {
    /// Starts with the known credentials and one key, or with what the file holds.
    pub fn start(options: &Options) -> Result<Self> {
        for address in [Some(options.listen), Some(options.metadata), options.control]
            .into_iter()
            .flatten()
        {
            if !address.ip().is_loopback() {
                bail!(
                    "{address} is not on this machine's loopback: the emulator's credentials are known to everybody"
                );
            }
        }
        let mut state = State::default();
        if let Some(path) = options.state.as_ref().filter(|path| path.exists()) {
            let text = std::fs::read(path).with_context(|| path.display().to_string())?;
            state.world = serde_json::from_slice(&text).with_context(|| path.display().to_string())?;
        }
        let key = first_key(&mut state);
        let (authority, pair) = if options.tls {
            let authority = Authority::new()?;
            let guard = Guard::start()?;
            let file = guard.folder("envelope-secrets-kms-")?.join("ca.pem");
            std::fs::write(&file, &authority.certificate)?;
            let names = names_of_the_service();
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
                let answer = control::answer(request, |command| shared.order(command));
                (answer, std::time::Duration::ZERO)
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

    /// With everything as it is by default: plain HTTP on a free port.
    ///
    /// # Panics
    /// When it cannot be started.
    #[expect(clippy::panic, reason = "for tests: there is nothing to go on with")]
    pub fn fresh() -> Self {
        match Self::start(&Options::default()) {
            Ok(emulator) => emulator,
            Err(error) => panic!("no KMS emulator: {error:#}"),
        }
    }

    /// `http://127.0.0.1:40001`
    pub fn endpoint(&self) -> String {
        let scheme = if self.authority.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.server.address())
    }

    /// Where the metadata service is: plain HTTP, as in Tencent Cloud.
    pub fn metadata_endpoint(&self) -> String {
        format!("http://{}", self.metadata.address())
    }

    /// `qcs::cam::uin/100000000001:roleName/NAME`
    pub fn role_arn(&self, name: &str) -> String {
        sts::arn(name)
    }

    /// Where orders are taken over HTTP.
    pub fn control_endpoint(&self) -> Option<String> {
        let control = self.control.as_ref()?;
        Some(format!("http://{}", control.address()))
    }

    /// The certificate of the authority, in PEM, when it serves HTTPS.
    pub fn ca_file(&self) -> Option<&Path> {
        self.authority.as_ref().map(|(file, _)| file.as_path())
    }

    /// The id of the key that it made at its start.
    pub fn key(&self) -> &str {
        &self.key.1
    }

    /// `tencent-kms://REGION/KEY-ID` of that key.
    pub fn key_uri(&self) -> String {
        control::uri(&self.key.0, &self.key.1)
    }

    /// What a process needs to use it, as names and values of its environment.
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

    /// Carries out an order, as the control port does.
    pub fn order(&self, command: Command) -> Result<Value> {
        self.shared.order(command).map_err(|error| anyhow!(error))
    }

    /// Makes a key and gives its id.
    pub fn create_key(&self, region: &str, alias: &str) -> Result<String> {
        let answer = self.order(Command::CreateKey {
            region: region.to_owned(),
            alias: alias.to_owned(),
        })?;
        let key = answer["key"].as_str().context("the key's id")?;
        Ok(key.to_owned())
    }

    /// From now on this goes wrong, besides what already does.
    pub fn fault(&self, fault: Fault) {
        self.shared.lock().faults.push(fault);
    }

    /// Nothing goes wrong any more.
    pub fn clear_faults(&self) {
        self.shared.lock().faults.clear();
    }

    /// How often this action was called, whatever the region, key and outcome.
    pub fn calls(&self, action: &str) -> u64 {
        self.count(|it, _, _| it == action).total
    }

    /// How often this action was called for this key.
    pub fn calls_with(&self, action: &str, key: &str) -> Count {
        self.count(|it, _, of| it == action && of == key)
    }

    /// How often it was called at all.
    pub fn all_calls(&self) -> u64 {
        self.count(|_, _, _| true).total
    }

    /// The sum over all (action, region, key) that are `wanted`.
    pub fn count(&self, wanted: impl Fn(&str, &str, &str) -> bool) -> Count {
        let mut sum = Count::default();
        for (subject, count) in &self.shared.lock().counts {
            if wanted(&subject.action, &subject.region, &subject.key) {
                sum.total += count.total;
                sum.failed += count.failed;
            }
        }
        sum
    }
}

/// Region and id of the first key; it is made, as are the known credentials and the role, when there is none.
fn first_key(state: &mut State) -> (String, String) {
    let now = state.now();
    let world = &mut state.world;
    if world.credential(SECRET_ID).is_none() {
        world.credentials.push(Credential {
            secret_id: SECRET_ID.to_owned(),
            secret_key: SECRET_KEY.to_owned(),
            token: None,
            expires: None,
            actions: None,
        });
    }
    if world.roles.is_empty() {
        world.roles.push(Role {
            name: ROLE.to_owned(),
            trust: Trust::Account { external_id: None },
            actions: None,
        });
    }
    match world.keys.iter().find(|key| !key.deleted) {
        Some(key) => (key.region.clone(), key.id.clone()),
        None => (REGION.to_owned(), world.add_key(REGION, "emulator", "", now)),
    }
}

#[cfg(test)]
mod tests;
