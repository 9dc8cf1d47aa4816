//! A call of the API: signed, sent, read, and tried again where that can help.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use reqwest::header::HeaderMap;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::codes::Then;
use super::credentials::{Credentials, Identity};
use super::endpoint::Endpoint;
use super::error::TencentError;
use super::http::{self, Http, HttpError};
use super::reply::{Reply, read};
use super::settings::Limits;
use super::sign::{self, Signable};
use crate::kms::{Class, clock_difference};

const CONTENT_TYPE: &str = "application/json";
/// From how many seconds of difference on a correction of the clock is changed without a refusal.
const FOLLOWED: u64 = 30;
/// `X-TC-RequestClient`: `^[0-9a-zA-Z-_ ,;.]+$`.
const CLIENT: &str = concat!("envelope-secrets ", env!("CARGO_PKG_VERSION"));

/// One of the two services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    Kms,
    Sts,
}

impl Service {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Service::Kms => "kms",
            Service::Sts => "sts",
        }
    }

    fn version(self) -> &'static str {
        match self {
            Service::Kms => "2019-01-18",
            Service::Sts => "2018-08-13",
        }
    }
}

/// What a call may do, and so what its failures mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nature {
    /// Repeating it changes nothing.
    Repeatable,
    /// The same, and it reads a ciphertext, which the KMS may refuse.
    OnCiphertext,
    /// Done twice, it would leave two. Only a refusal that tells that nothing was done is followed by another attempt.
    Once,
}

/// What is asked.
pub(super) struct Call<'a> {
    pub(super) service: Service,
    pub(super) action: &'static str,
    pub(super) region: &'a str,
    pub(super) endpoint: &'a Endpoint,
    /// The bytes that are signed and sent.
    pub(super) body: Bytes,
    /// Texts in the body that no error may repeat.
    pub(super) secrets: &'a [&'a str],
    pub(super) nature: Nature,
}

/// Serialises a request's parameters into a buffer that is wiped.
pub(super) fn parameters<T: Serialize>(action: &'static str, parameters: &T) -> Result<Bytes, TencentError> {
    // More than any request needs: a vector that grows would leave a copy behind.
    let mut buffer = Zeroizing::new(Vec::with_capacity(16 << 10));
    serde_json::to_writer(&mut *buffer, parameters).map_err(|_| {
        TencentError::new(
            Class::Configuration,
            action,
            "the request cannot be written as JSON",
        )
    })?;
    Ok(http::body(buffer))
}

/// The way to the API.
pub(super) struct Rpc {
    http: Http,
    limits: Limits,
    /// What to add to this machine's clock, in seconds, since the server said so.
    correction: AtomicI64,
    /// Of the last answer that told its time: the server's clock less this machine's, in seconds.
    ahead: Mutex<Option<i64>>,
}

/// A failed attempt.
struct Failure {
    error: TencentError,
    then: Then,
    /// Whether the API may have had the request.
    sent: bool,
    clock: Clock,
}

/// What an attempt says about the time.
#[derive(Clone, Copy, Default)]
struct Clock {
    /// The server's clock less this machine's, in seconds, if it told its own; a second of difference is none.
    ahead: Option<i64>,
    /// What was added to this machine's when the request was signed, in seconds.
    added: i64,
}

/// How a call goes on.
enum Again {
    Now,
    After(Duration),
    /// With other credentials, if there are.
    WithOthers,
}

/// What a call has used up of what is done once.
#[derive(Default)]
struct Used {
    attempts: u32,
    refresh: bool,
    correction: bool,
}

impl Rpc {
    pub(super) fn new(http: Http, limits: Limits) -> Self {
        Rpc {
            http,
            limits,
            correction: AtomicI64::new(0),
            ahead: Mutex::new(None),
        }
    }

    /// Calls until there is an answer, an error that waiting does not cure, or no time left.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        call: &Call<'_>,
        identity: &dyn Identity,
    ) -> Result<Reply<T>, TencentError> {
        let whole = match call.service {
            Service::Kms => self.limits.call,
            // A call of KMS waits for it, for two where a role is on top of a pod's identity, and is to say in its own
            // time what was the matter.
            Service::Sts => self.limits.call / 3,
        };
        let deadline = Instant::now() + whole;
        let left = || deadline.saturating_duration_since(Instant::now());
        let mut used = Used::default();
        loop {
            used.attempts += 1;
            let who = tokio::time::timeout(left(), identity.current()).await;
            let who = who.unwrap_or_else(|_| Err(self.late()));
            let who = who.map_err(|error| TencentError {
                action: call.action,
                ..error
            })?;
            let time = self.limits.request.min(left().max(Duration::from_millis(1)));
            let mut failure = match self.attempt(call, who.as_deref(), time).await {
                Ok(reply) => {
                    tracing::debug!(
                        action = call.action,
                        region = call.region,
                        request_id = reply.request_id.as_deref(),
                        attempt = used.attempts,
                        "answered"
                    );
                    return Ok(reply);
                }
                Err(failure) => failure,
            };
            tracing::debug!(
                action = call.action,
                region = call.region,
                request_id = failure.error.request_id.as_deref(),
                code = failure.error.code.as_deref(),
                attempt = used.attempts,
                "failed: {}",
                failure.error.message
            );
            let pause = match self.again(call, &mut failure, &mut used) {
                Some(Again::Now) => Duration::ZERO,
                Some(Again::After(pause)) => pause,
                Some(Again::WithOthers) => {
                    let Some(who) = &who else {
                        return Err(failure.error);
                    };
                    match tokio::time::timeout(left(), identity.refused(who)).await {
                        Ok(Ok(true)) => Duration::ZERO,
                        Ok(Err(why)) => return Err(failure.error.and_no_others(&why)),
                        Ok(Ok(false)) | Err(_) => return Err(failure.error),
                    }
                }
                None => return Err(failure.error),
            };
            if pause >= left() {
                return Err(failure.error);
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Whether and how the call goes on after a failed attempt.
    fn again(&self, call: &Call<'_>, failure: &mut Failure, used: &mut Used) -> Option<Again> {
        let Failure {
            error,
            then,
            sent,
            clock,
        } = failure;
        if call.nature == Nature::Once && error.class == Class::Transient && *sent {
            error.advice = format!("it may have been done all the same: look first; {}", error.advice).into();
            return None;
        }
        let attempts = match then {
            Then::Fail => 0,
            Then::Retry => self.limits.attempts,
            Then::RetryOnce => self.limits.attempts.min(2),
            Then::Refresh => {
                return (!std::mem::replace(&mut used.refresh, true)).then_some(Again::WithOthers);
            }
            Then::CorrectClock => {
                let helps = self.skewed(error, *clock);
                let first = !std::mem::replace(&mut used.correction, true);
                return (helps && first).then_some(Again::Now);
            }
        };
        let random = getrandom::u64().unwrap_or_default();
        (used.attempts < attempts).then(|| Again::After(self.limits.pause(used.attempts, random)))
    }

    /// The credentials have not come within the time of a call.
    fn late(&self) -> TencentError {
        let seconds = http::seconds(self.limits.call);
        TencentError {
            retryable: true,
            ..TencentError::new(
                Class::Credentials,
                "credentials",
                format!("no credentials came within {seconds}"),
            )
        }
        .with_advice("check the network and the source of the credentials; then try again")
    }

    /// The clock that requests are signed with, in Unix seconds.
    pub(super) fn now(&self) -> i64 {
        unix_now() + self.correction()
    }

    /// What a call may take.
    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The clients under it, for what is no call of the API.
    pub(super) fn http(&self) -> &Http {
        &self.http
    }

    /// What was added to this machine's clock because the server said so, in seconds.
    pub(super) fn correction(&self) -> i64 {
        self.correction.load(Ordering::Relaxed)
    }

    /// The server's clock less this machine's, in seconds, by the last answer that told its time.
    pub(super) fn ahead(&self) -> Option<i64> {
        *self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn set_correction(&self, seconds: i64) {
        self.correction.store(seconds, Ordering::Relaxed);
    }

    /// The server says that the time of a request is wrong: takes its own for what is signed from now on, whatever was
    /// added until now (this machine's clock may have been set since). Whether that changes anything.
    fn skewed(&self, error: &mut TencentError, clock: Clock) -> bool {
        let Some(ahead) = clock.ahead else {
            error.message = format!("{}; its answer does not tell the time", error.message).into();
            return false;
        };
        self.correction.store(ahead, Ordering::Relaxed);
        let mut told = format!("this machine's clock {}", clock_difference(ahead));
        if clock.added != 0 {
            told = format!("{told}; {} s were added to it until now", clock.added);
        }
        let request_id = error.request_id.as_deref();
        tracing::warn!(
            action = error.action,
            request_id,
            "a request's time was refused: {told}"
        );
        error.message = format!("{}; {told}", error.message).into();
        ahead.abs_diff(clock.added) > 1
    }

    async fn attempt<T: DeserializeOwned>(
        &self,
        call: &Call<'_>,
        who: Option<&Credentials>,
        time: Duration,
    ) -> Result<Reply<T>, Failure> {
        let added = self.correction();
        let unanswered = |error: HttpError| {
            let (class, then) = if error.is_retryable() {
                (Class::Transient, Then::Retry)
            } else {
                (Class::Configuration, Then::Fail)
            };
            Failure {
                then,
                sent: error.may_have_sent(),
                error: TencentError::new(class, call.action, error.to_string()).with_advice(error.advice()),
                clock: Clock::default(),
            }
        };
        let headers = Self::headers(call, who, unix_now() + added).map_err(unanswered)?;
        let answer = self
            .http
            .post(call.endpoint, headers, call.body.clone(), time)
            .await;
        let answer = answer.map_err(unanswered)?;
        let ahead = answer.ahead;
        if ahead.is_some() {
            *self.ahead.lock().unwrap_or_else(PoisonError::into_inner) = ahead;
        }
        let mut secrets = call.secrets.to_vec();
        if let Some(who) = who {
            secrets.push(&who.secret_key);
            secrets.extend(who.token.as_deref().map(String::as_str));
        }
        let reply = read(call, answer.status, &answer.body, &secrets);
        let clock = Clock { ahead, added };
        // The API itself answered, and not something on the way.
        if reply
            .as_ref()
            .map_or_else(|(error, _)| error.code.is_some(), |_| true)
        {
            self.follow(clock);
        }
        reply.map_err(|(error, then)| Failure {
            error,
            then,
            sent: true,
            clock,
        })
    }

    /// A correction ends, or changes, with this machine's clock: somebody may have set it. Answers on their way make
    /// seconds of difference, which are no reason.
    fn follow(&self, clock: Clock) {
        let Some(ahead) = clock.ahead else { return };
        if clock.added == 0 || ahead.abs_diff(clock.added) < FOLLOWED {
            return;
        }
        let stored =
            self.correction
                .compare_exchange(clock.added, ahead, Ordering::Relaxed, Ordering::Relaxed);
        if stored.is_ok() {
            tracing::info!(
                "this machine's clock {} now; {} s were added to it until now",
                clock_difference(ahead),
                clock.added
            );
        }
    }

    fn headers(call: &Call<'_>, who: Option<&Credentials>, timestamp: i64) -> Result<HeaderMap, HttpError> {
        let signed = [
            ("content-type", CONTENT_TYPE),
            ("host", call.endpoint.host()),
            ("x-tc-action", call.action),
        ];
        let authorization = match who {
            None => sign::UNSIGNED.to_owned(),
            Some(who) => Signable {
                method: "POST",
                query: "",
                headers: &signed,
                body: &call.body,
                timestamp,
                service: call.service.as_str(),
            }
            .authorization(&who.secret_id, &who.secret_key),
        };
        let mut headers = HeaderMap::new();
        for (name, value) in signed {
            http::set(&mut headers, name, value, false)?;
        }
        http::set(&mut headers, "x-tc-version", call.service.version(), false)?;
        http::set(&mut headers, "x-tc-region", call.region, false)?;
        http::set(&mut headers, "x-tc-timestamp", &timestamp.to_string(), false)?;
        http::set(&mut headers, "x-tc-language", "en-US", false)?;
        http::set(&mut headers, "x-tc-requestclient", CLIENT, false)?;
        http::set(&mut headers, "authorization", &authorization, true)?;
        if let Some(token) = who.and_then(|who| who.token.as_deref()) {
            http::set(&mut headers, "x-tc-token", token, true)?;
        }
        Ok(headers)
    }
}

pub(super) fn unix_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
