//! Which source wins, and how long what it gave is held.

mod state;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::Mutex as AsyncMutex;
use tokio::task::AbortHandle;

use super::cvm::CvmRole;
use super::file::FileSource;
use super::sts::{self, AssumedRole, Sts, WebIdentity};
use super::{CredentialStatus, Credentials, Fetched, Found, Identity, Provide, Source, Trouble};
use crate::kms::Class;
use crate::kms::tencent::endpoint::Endpoint;
use crate::kms::tencent::error::TencentError;
use crate::kms::tencent::rpc::Rpc;
use crate::kms::tencent::settings::TencentSettings;
use state::{Held, State};

/// A refusal asks the source again, but no more often than this: a source that keeps giving what is refused must
/// not be asked at every call.
const BETWEEN_REFUSALS: Duration = Duration::from_secs(10);
/// After a refresh that failed in the background, or gave what has ended, at first; then doubled up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// The longest sleep of the background task, so that a clock that is set is noticed.
const NAP: Duration = Duration::from_mins(1);

/// The sources in their order, what the first of them gave, and its renewal. No Debug: it holds keys.
pub(in crate::kms::tencent) struct Chain(Arc<Inner>);

struct Inner {
    sources: Vec<Box<dyn Provide>>,
    role: Option<Role>,
    rpc: Arc<Rpc>,
    state: Mutex<State>,
    /// One request for credentials at a time.
    gate: AsyncMutex<()>,
}

struct Role {
    taken: AssumedRole,
    region: String,
    sts: Sts,
}

impl Chain {
    pub(in crate::kms::tencent) fn new(settings: &TencentSettings, rpc: &Arc<Rpc>) -> Self {
        let environment = &settings.environment;
        let sts = Sts {
            rpc: Arc::clone(rpc),
            site: settings.site,
            endpoint: settings.sts_endpoint.clone(),
        };
        let named = settings.credentials.clone().map(FileSource::named);
        let mut sources: Vec<Box<dyn Provide>> = Vec::new();
        sources.extend(named.map(|file| Box::new(file) as Box<dyn Provide>));
        sources.push(Box::new(environment.clone()));
        sources.push(Box::new(WebIdentity::new(environment, sts.clone())));
        sources.push(Box::new(FileSource::profile(environment)));
        sources.push(Box::new(CvmRole {
            rpc: Arc::clone(rpc),
            endpoint: settings
                .metadata_endpoint
                .clone()
                .unwrap_or_else(Endpoint::metadata),
            gave: AtomicBool::new(false),
        }));
        let role = settings.role.clone().map(|role| Role {
            taken: role,
            region: sts::region(environment),
            sts,
        });
        Chain(Arc::new(Inner {
            sources,
            role,
            rpc: Arc::clone(rpc),
            state: Mutex::default(),
            gate: AsyncMutex::default(),
        }))
    }

    /// Whether, since the last look, calls that were refused for their credentials may succeed.
    pub(in crate::kms::tencent) async fn revived(&self) -> bool {
        self.0.revived().await
    }

    /// What is held now; nothing is asked for.
    pub(in crate::kms::tencent) fn status(&self) -> Option<CredentialStatus> {
        self.0.state().held.as_ref().map(|held| held.status.clone())
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        if let Some(renewal) = self.0.state().renewal.take() {
            renewal.abort();
        }
    }
}

impl Identity for Chain {
    fn current(&self) -> BoxFuture<'_, Result<Option<Arc<Credentials>>, TencentError>> {
        async { self.0.current().await.map(Some).map_err(without) }.boxed()
    }

    fn refused<'a>(&'a self, which: &'a Arc<Credentials>) -> BoxFuture<'a, Result<bool, TencentError>> {
        async { self.0.refused(which).await.map_err(without) }.boxed()
    }
}

fn without(trouble: Trouble) -> TencentError {
    let source = trouble.source.map_or("any source", Source::as_str);
    TencentError {
        subject: Some(source.into()),
        code: trouble.code,
        request_id: trouble.request_id,
        retryable: trouble.retryable,
        ..TencentError::new(Class::Credentials, "credentials", trouble.why).with_advice(trouble.advice)
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn current(self: &Arc<Self>) -> Result<Arc<Credentials>, Trouble> {
        let (held, seen) = {
            let state = self.state();
            (state.held.clone(), state.asked)
        };
        let now = self.rpc.now();
        let Some(held) = held.filter(|held| !held.is_over(now)) else {
            let resting = self.state().resting();
            return match resting {
                Some(trouble) if !self.put_right(&trouble) => Err(trouble),
                _ => self.ask(seen).await,
            };
        };
        let changed = self.sources[held.source].changed();
        let again = changed || {
            let state = self.state();
            state.outdated && state.resting().is_none()
        };
        if again {
            // What was held stays where the change cannot be used yet: the file, or the role that is taken with it.
            self.state().outdated = true;
            return Ok(self
                .ask(seen)
                .await
                .unwrap_or_else(|_| Arc::clone(&held.credentials)));
        }
        Ok(Arc::clone(&held.credentials))
    }

    /// Whether somebody has changed a file that was looked at before this came of it: that is not waited for.
    fn put_right(&self, trouble: &Trouble) -> bool {
        let last = self
            .sources
            .iter()
            .position(|source| Some(source.source()) == trouble.source);
        let asked = last.map_or(self.sources.len(), |last| last + 1);
        self.sources[..asked].iter().any(|source| source.changed())
    }

    /// Whether, since the last look, there are credentials again after a time without, or others than before by a change
    /// of their file: whoever was refused may try again. Asks for them where it is time.
    async fn revived(self: &Arc<Self>) -> bool {
        let look = {
            let state = self.state();
            let changed = |held: &Arc<Held>| self.sources[held.source].changed();
            state.trouble.is_some() || state.outdated || state.held.as_ref().is_some_and(changed)
        };
        if look {
            let _ = self.current().await; // it tells its own failures
        }
        std::mem::take(&mut self.state().revived)
    }

    async fn refused(self: &Arc<Self>, which: &Arc<Credentials>) -> Result<bool, Trouble> {
        let seen = {
            let state = self.state();
            match &state.held {
                Some(held) if !Arc::ptr_eq(&held.credentials, which) => return Ok(true), // others have come since
                _ => {}
            }
            let lately = state
                .refused
                .is_some_and(|when| when.elapsed() < BETWEEN_REFUSALS);
            if lately {
                return match &state.trouble {
                    Some((trouble, _)) => Err(trouble.clone()),
                    None => Ok(false),
                };
            }
            state.asked
        };
        // Others that were refused with it wait for the same answer.
        let fresh = self.ask(seen).await;
        self.state().refused = Some(Instant::now());
        fresh.map(|fresh| !fresh.same_as(which))
    }

    /// Asks the sources, unless somebody did since the count stood at `seen`.
    async fn ask(self: &Arc<Self>, seen: u64) -> Result<Arc<Credentials>, Trouble> {
        let gate = self.gate.lock().await;
        {
            let state = self.state();
            if state.asked != seen {
                match (&state.trouble, &state.held) {
                    (Some((trouble, _)), _) => return Err(trouble.clone()),
                    (None, Some(held)) => return Ok(Arc::clone(&held.credentials)),
                    (None, None) => {}
                }
            }
        }
        let found = self.fetch().await;
        let mut state = self.state();
        state.asked += 1;
        let answer = match found {
            Ok(held) => Ok(state.got(held)),
            Err(trouble) => {
                state.failed(trouble.clone(), self.rpc.limits().pause * 10);
                Err(trouble)
            }
        };
        let renews = state.held.as_ref().is_some_and(|held| held.renew.is_some());
        if renews && state.renewal.as_ref().is_none_or(AbortHandle::is_finished) {
            let renewing = tokio::spawn(renew(Arc::downgrade(self)));
            state.renewal = Some(renewing.abort_handle());
        }
        drop(state);
        drop(gate);
        answer
    }

    async fn fetch(&self) -> Result<Held, Trouble> {
        let mut absent = Vec::new();
        for (place, source) in self.sources.iter().enumerate() {
            let from = source.source();
            match source.fetch().await {
                Found::Absent(why) => absent.push(format!("{from}: {why}")),
                Found::Unusable(trouble) => {
                    return Err(Trouble {
                        why: format!("no credentials from {from}: {}", trouble.why),
                        source: Some(from),
                        ..trouble
                    });
                }
                Found::Credentials(fetched) => {
                    let taken = self.take_role(fetched).await;
                    return match taken {
                        Ok(fetched) => Ok(self.held(fetched, from, place)),
                        Err(trouble) => Err(Trouble {
                            source: Some(from),
                            ..trouble
                        }),
                    };
                }
            }
        }
        Err(Trouble::new(
            format!("there are no Tencent Cloud credentials ({})", absent.join("; ")),
            "set TENCENTCLOUD_SECRET_ID and TENCENTCLOUD_SECRET_KEY, or give the pod an identity (TKE)",
        ))
    }

    async fn take_role(&self, base: Fetched) -> Result<Fetched, Trouble> {
        match &self.role {
            None => Ok(base),
            Some(Role { taken, region, sts }) => {
                let fetched = sts.assume(taken, region, base).await;
                fetched.map_err(|trouble| Trouble {
                    why: format!("cannot take the role {}: {}", taken.arn, trouble.why),
                    ..trouble
                })
            }
        }
    }

    fn held(&self, fetched: Fetched, source: Source, place: usize) -> Held {
        Held::new(fetched, source, self.role.is_some(), place, self.rpc.now())
    }
}

/// Renews what is held ahead of its end, until nothing that ends is held or the chain is gone.
/// (Boxed: the task asks, and asking starts the task.)
fn renew(chain: Weak<Inner>) -> BoxFuture<'static, ()> {
    async move {
        let mut pause = FIRST_PAUSE;
        loop {
            let due = {
                let Some(chain) = chain.upgrade() else { return };
                let renew = chain.state().held.as_ref().and_then(|held| held.renew);
                let Some(renew) = renew else { return };
                Duration::from_secs(u64::try_from(renew - chain.rpc.now()).unwrap_or(0))
            };
            if !due.is_zero() {
                tokio::time::sleep(due.min(NAP)).await;
                continue;
            }
            let renewed = {
                let Some(chain) = chain.upgrade() else { return };
                let seen = chain.state().asked;
                let renewed = chain.ask(seen).await.is_ok();
                let now = chain.rpc.now();
                // What is due at once is no success: a source that gives nothing else is not asked without a pause.
                renewed
                    && chain
                        .state()
                        .held
                        .as_ref()
                        .is_none_or(|held| held.renew.is_none_or(|due| due > now))
            };
            if renewed {
                pause = FIRST_PAUSE;
            } else {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
    .boxed()
}

#[cfg(test)]
mod tests;
