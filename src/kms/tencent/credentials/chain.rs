//! The chain of sources: which source wins, and how long its credentials are held and when they are renewed.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::Mutex as AsyncMutex;
use tokio::task::AbortHandle;

use super::assumed_role::AssumedRole;
use super::cvm_role::CvmRole;
use super::file::FileSource;
use super::held::Held;
use super::source::{CredentialSource, CredentialStatus, Fetched, Lookup};
use super::state::State;
use super::sts::{Sts, sts_region};
use super::web_identity::WebIdentity;
use crate::backoff::ExponentialBackoff;
use crate::kms::tencent::error::TencentError;
use crate::kms::tencent::settings::TencentSettings;
use crate::kms::tencent::transport::call::ApiClient;
use crate::kms::tencent::transport::credentials_provider::{Credentials, CredentialsProvider};
use crate::kms::tencent::transport::endpoint::Endpoint;
use crate::sync::lock;

/// The shortest time between two requests that rejections cause: a source that keeps returning rejected credentials must
/// not be asked for every call.
const MIN_REJECTION_INTERVAL: Duration = Duration::from_secs(10);
/// The pauses of the background renewal after failures, and after credentials that are due for renewal on arrival.
const RENEWAL_BACKOFF: ExponentialBackoff = ExponentialBackoff {
    first: Duration::from_secs(5),
    cap: Duration::from_mins(1),
};
/// The longest sleep of the background renewal, so that it notices when the clock is set.
const MAX_SLEEP: Duration = Duration::from_mins(1);
/// How many times the first pause between attempts of a call the first cooldown of a failed source lasts.
const COOLDOWN_PAUSES: u32 = 10;

/// The sources by precedence, the credentials of the first configured one, and their renewal. No Debug: it holds keys.
pub(in crate::kms::tencent) struct CredentialChain(Arc<Inner>);

struct Inner {
    sources: Vec<Box<dyn CredentialSource>>,
    role: Option<RoleToAssume>,
    api: Arc<ApiClient>,
    state: Mutex<State>,
    /// Held during a request for credentials: single flight.
    in_flight: AsyncMutex<()>,
}

struct RoleToAssume {
    role: AssumedRole,
    region: String,
    sts: Sts,
}

impl CredentialChain {
    pub(in crate::kms::tencent) fn new(settings: &TencentSettings, api: &Arc<ApiClient>) -> Self {
        let environment = &settings.environment;
        let sts = Sts {
            api: Arc::clone(api),
            site: settings.site,
            endpoint: settings.sts_endpoint.clone(),
        };
        let configured = settings.credentials.clone().map(FileSource::configured);
        let mut sources: Vec<Box<dyn CredentialSource>> = Vec::new();
        sources.extend(configured.map(|file| Box::new(file) as Box<dyn CredentialSource>));
        sources.push(Box::new(environment.clone()));
        sources.push(Box::new(WebIdentity::new(environment, sts.clone())));
        sources.push(Box::new(FileSource::profile(environment)));
        sources.push(Box::new(CvmRole {
            api: Arc::clone(api),
            endpoint: settings
                .metadata_endpoint
                .clone()
                .unwrap_or_else(Endpoint::metadata),
            has_succeeded: AtomicBool::new(false),
        }));
        let role = settings.role.clone().map(|role| RoleToAssume {
            role,
            region: sts_region(environment),
            sts,
        });
        CredentialChain(Arc::new(Inner {
            sources,
            role,
            api: Arc::clone(api),
            state: Mutex::default(),
            in_flight: AsyncMutex::default(),
        }))
    }

    /// Whether, since the last call of this method, credentials have become available after a failure, or have changed
    /// with their file: calls that lacked credentials may succeed now. Requests credentials if that is due.
    pub(in crate::kms::tencent) async fn revived(&self) -> bool {
        self.0.revived().await
    }

    /// Returns the status of the held credentials. Makes no request.
    pub(in crate::kms::tencent) fn status(&self) -> Option<CredentialStatus> {
        self.0.state().held.as_ref().map(|held| held.status.clone())
    }
}

impl Drop for CredentialChain {
    fn drop(&mut self) {
        if let Some(renewal) = self.0.state().renewal.take() {
            renewal.abort();
        }
    }
}

impl CredentialsProvider for CredentialChain {
    fn credentials(&self) -> BoxFuture<'_, Result<Option<Arc<Credentials>>, TencentError>> {
        async { self.0.current().await.map(Some) }.boxed()
    }

    fn refresh_rejected<'a>(
        &'a self,
        rejected: &'a Arc<Credentials>,
    ) -> BoxFuture<'a, Result<bool, TencentError>> {
        self.0.refresh_rejected(rejected).boxed()
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    async fn current(self: &Arc<Self>) -> Result<Arc<Credentials>, TencentError> {
        let (held, completed) = {
            let state = self.state();
            (state.held.clone(), state.completed)
        };
        let now = self.api.clock().now();
        let Some(held) = held.filter(|held| !held.is_expired(now)) else {
            let cooling_down = self.state().cooling_down();
            return match cooling_down {
                Some(failure) if !self.may_be_fixed(&failure) => Err(failure),
                _ => self.request(completed).await,
            };
        };
        let is_due = self.sources[held.position].has_changed() || {
            let state = self.state();
            state.is_outdated && state.cooling_down().is_none()
        };
        if !is_due {
            return Ok(Arc::clone(&held.credentials));
        }
        self.state().is_outdated = true;
        // If the change is not usable yet, neither the file nor the role assumed with it, the held credentials stay in use.
        let requested = self.request(completed).await;
        Ok(requested.unwrap_or_else(|_| Arc::clone(&held.credentials)))
    }

    /// Whether a file has changed that was read before `failure`. Such a change is tried despite the cooldown.
    fn may_be_fixed(&self, failure: &TencentError) -> bool {
        let failed = self
            .sources
            .iter()
            .position(|source| Some(source.source().as_str()) == failure.subject.as_deref());
        let asked = failed.map_or(self.sources.len(), |failed| failed + 1);
        self.sources[..asked].iter().any(|source| source.has_changed())
    }

    /// See [`CredentialChain::revived`].
    async fn revived(self: &Arc<Self>) -> bool {
        let is_due = {
            let state = self.state();
            let has_changed = |held: &Arc<Held>| self.sources[held.position].has_changed();
            state.failure.is_some() || state.is_outdated || state.held.as_ref().is_some_and(has_changed)
        };
        if is_due {
            let _ = self.current().await; // failures are logged where they happen
        }
        std::mem::take(&mut self.state().is_revived)
    }

    /// See [`CredentialsProvider::refresh_rejected`].
    async fn refresh_rejected(self: &Arc<Self>, rejected: &Arc<Credentials>) -> Result<bool, TencentError> {
        let completed = {
            let state = self.state();
            match &state.held {
                Some(held) if !Arc::ptr_eq(&held.credentials, rejected) => return Ok(true), // replaced meanwhile
                _ => {}
            }
            let is_too_early = state
                .last_rejection
                .is_some_and(|when| when.elapsed() < MIN_REJECTION_INTERVAL);
            if is_too_early {
                return match &state.failure {
                    Some(failure) => Err(failure.error.clone()),
                    None => Ok(false),
                };
            }
            state.completed
        };
        // Other calls rejected with the same credentials wait for the same request.
        let fresh = self.request(completed).await;
        self.state().last_rejection = Some(Instant::now());
        fresh.map(|fresh| !fresh.is_same(rejected))
    }

    /// Requests credentials from the sources, unless another request has completed since the count was `completed`: its
    /// result is shared.
    async fn request(self: &Arc<Self>, completed: u64) -> Result<Arc<Credentials>, TencentError> {
        let in_flight = self.in_flight.lock().await;
        {
            let state = self.state();
            if state.completed != completed {
                match (&state.failure, &state.held) {
                    (Some(failure), _) => return Err(failure.error.clone()),
                    (None, Some(held)) => return Ok(Arc::clone(&held.credentials)),
                    (None, None) => {}
                }
            }
        }
        let fetched = self.fetch().await;
        let mut state = self.state();
        state.completed += 1;
        let result = match fetched {
            Ok(held) => Ok(state.succeeded(held)),
            Err(error) => {
                state.failed(error.clone(), self.api.limits().pause * COOLDOWN_PAUSES);
                Err(error)
            }
        };
        let needs_renewal = state.held.as_ref().is_some_and(|held| held.renew_at.is_some());
        if needs_renewal && state.renewal.as_ref().is_none_or(AbortHandle::is_finished) {
            let renewal = tokio::spawn(renew(Arc::downgrade(self)));
            state.renewal = Some(renewal.abort_handle());
        }
        drop(state);
        drop(in_flight);
        result
    }

    /// Asks the sources by precedence until one is configured.
    async fn fetch(&self) -> Result<Held, TencentError> {
        let mut not_configured = Vec::new();
        for (position, source) in self.sources.iter().enumerate() {
            let name = source.source();
            let failed = |error: TencentError| TencentError {
                subject: Some(name.as_str().into()),
                ..error
            };
            match source.fetch().await {
                Lookup::NotConfigured(why) => not_configured.push(format!("{name}: {why}")),
                Lookup::Failed(error) => {
                    return Err(failed(TencentError {
                        message: format!("no credentials from {name}: {}", error.message).into(),
                        ..error
                    }));
                }
                Lookup::Found(fetched) => {
                    let fetched = self.assume_role(fetched).await.map_err(failed)?;
                    let now = self.api.clock().now();
                    return Ok(Held::new(fetched, name, self.role.is_some(), position, now));
                }
            }
        }
        let error = TencentError::credentials(
            format!(
                "no Tencent Cloud credentials found ({})",
                not_configured.join("; ")
            ),
            "set TENCENTCLOUD_SECRET_ID and TENCENTCLOUD_SECRET_KEY, or give the pod an identity (TKE)",
        );
        Err(TencentError {
            subject: Some("any source".into()),
            ..error
        })
    }

    /// Assumes the configured role, if there is one.
    async fn assume_role(&self, base: Fetched) -> Result<Fetched, TencentError> {
        let Some(RoleToAssume { role, region, sts }) = &self.role else {
            return Ok(base);
        };
        let assumed = sts.assume_role(role, region, base.credentials).await;
        assumed.map_err(|error| TencentError {
            message: format!("cannot assume the role {}: {}", role.arn, error.message).into(),
            ..error
        })
    }
}

/// Renews the held credentials before they expire, until they do not expire or the chain is dropped.
/// Boxed because requests start this task, which makes requests.
fn renew(chain: Weak<Inner>) -> BoxFuture<'static, ()> {
    async move {
        let mut failures = 0;
        loop {
            let due_in = {
                let Some(chain) = chain.upgrade() else { return };
                let renew_at = chain.state().held.as_ref().and_then(|held| held.renew_at);
                let Some(renew_at) = renew_at else { return };
                Duration::from_secs(u64::try_from(renew_at - chain.api.clock().now()).unwrap_or(0))
            };
            if !due_in.is_zero() {
                tokio::time::sleep(due_in.min(MAX_SLEEP)).await;
                continue;
            }
            let is_renewed = {
                let Some(chain) = chain.upgrade() else { return };
                let completed = chain.state().completed;
                let has_succeeded = chain.request(completed).await.is_ok();
                let now = chain.api.clock().now();
                let is_due_again = |held: &Arc<Held>| held.renew_at.is_some_and(|renew_at| renew_at <= now);
                has_succeeded && !chain.state().held.as_ref().is_some_and(is_due_again)
            };
            if is_renewed {
                failures = 0;
            } else {
                failures += 1;
                tokio::time::sleep(RENEWAL_BACKOFF.delay(failures)).await;
            }
        }
    }
    .boxed()
}
