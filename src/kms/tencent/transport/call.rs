//! Calls of the API: sign, send, read the response, and retry where a retry can help.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;

use super::clock::{ClockReading, ServerClock, unix_now};
use super::credentials_provider::{Credentials, CredentialsProvider};
use super::failure::seconds;
use super::http::Http;
use super::limits::Limits;
use super::request::{Call, Idempotency, headers};
use super::response::{self, Reply};
use super::service::Service;
use crate::kms::Class;
use crate::kms::tencent::error::{RetryAction, SendProgress, TencentError};

/// The client of the API, shared by KMS and STS calls.
pub(in crate::kms::tencent) struct ApiClient {
    http: Http,
    limits: Limits,
    clock: ServerClock,
}

/// The result of one attempt, and what it shows about the clocks.
struct AttemptResult<T> {
    result: Result<Reply<T>, TencentError>,
    reading: ClockReading,
}

/// How a call continues after a failed attempt.
enum Retry {
    After(Duration),
    WithRefreshedCredentials,
    WithCorrectedClock,
}

/// What a call has used up.
#[derive(Default)]
struct Budget {
    attempts: u32,
    has_refreshed: bool,
    has_corrected_clock: bool,
}

impl ApiClient {
    pub(in crate::kms::tencent) fn new(http: Http, limits: Limits) -> Self {
        ApiClient {
            http,
            limits,
            clock: ServerClock::default(),
        }
    }

    pub(in crate::kms::tencent) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// For requests that are not calls of the API.
    pub(in crate::kms::tencent) fn http(&self) -> &Http {
        &self.http
    }

    pub(in crate::kms::tencent) fn clock(&self) -> &ServerClock {
        &self.clock
    }

    /// Makes a call with retries.
    ///
    /// # Errors
    /// The last failure, when it is permanent or when attempts or time are used up.
    pub(in crate::kms::tencent) async fn call<T: DeserializeOwned>(
        &self,
        call: &Call<'_>,
        provider: &dyn CredentialsProvider,
    ) -> Result<Reply<T>, TencentError> {
        let time_limit = match call.service {
            Service::Kms => self.limits.call,
            // A KMS call waits for up to two STS calls (a pod's identity, then a role on top of it) and must still have
            // time to report their failure.
            Service::Sts => self.limits.call / 3,
        };
        let deadline = Instant::now() + time_limit;
        let left = || deadline.saturating_duration_since(Instant::now());
        let mut budget = Budget::default();
        loop {
            budget.attempts += 1;
            let current = tokio::time::timeout(left(), provider.credentials()).await;
            let current = current.unwrap_or_else(|_| Err(self.credentials_timed_out()));
            let credentials = current.map_err(|error| TencentError {
                action: call.action,
                ..error
            })?;
            let timeout = self.limits.request.min(left().max(Duration::from_millis(1)));
            let AttemptResult { result, reading } = self.attempt(call, credentials.as_deref(), timeout).await;
            let mut error = match result {
                Ok(reply) => {
                    tracing::debug!(
                        action = call.action,
                        region = call.region,
                        request_id = reply.request_id.as_deref(),
                        attempt = budget.attempts,
                        "call succeeded"
                    );
                    return Ok(reply);
                }
                Err(error) => error,
            };
            tracing::debug!(
                action = call.action,
                region = call.region,
                request_id = error.request_id.as_deref(),
                code = error.code.as_deref(),
                attempt = budget.attempts,
                "call failed: {}",
                error.message
            );
            let pause = match self.decide_retry(call, &mut error, reading, &mut budget) {
                None => return Err(error),
                Some(Retry::After(pause)) => pause,
                Some(Retry::WithCorrectedClock) if self.leaves_attempts_to_caller(call) => {
                    return Err(error.repeat_now());
                }
                Some(Retry::WithCorrectedClock) => Duration::ZERO,
                Some(Retry::WithRefreshedCredentials) => {
                    let Some(rejected) = &credentials else {
                        return Err(error);
                    };
                    match refresh(provider, rejected, left()).await {
                        Some(Ok(true)) if self.leaves_attempts_to_caller(call) => {
                            return Err(error.repeat_now());
                        }
                        Some(Ok(true)) => Duration::ZERO,
                        Some(Ok(false)) | None => return Err(error),
                        Some(Err(failed)) => return Err(error.with_failed_refresh(&failed)),
                    }
                }
            };
            if pause >= left() {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Decides whether and how the call continues after `error`. Adds to the error's advice or message what the decision
    /// is based on: that the request may have been executed, or how far the clocks are apart.
    fn decide_retry(
        &self,
        call: &Call<'_>,
        error: &mut TencentError,
        reading: ClockReading,
        budget: &mut Budget,
    ) -> Option<Retry> {
        let maybe_executed = error.class == Class::Transient && error.progress == SendProgress::MaybeSent;
        if call.idempotency == Idempotency::NotIdempotent && maybe_executed {
            error.advice = format!(
                "the request may have been executed: check before you repeat it; {}",
                error.advice
            )
            .into();
            return None;
        }
        let attempts = match error.retry_action {
            RetryAction::Fail => 0,
            RetryAction::Retry => self.limits.attempts,
            RetryAction::RetryOnce => self.limits.attempts.min(2),
            RetryAction::RefreshCredentials => {
                let is_first = !std::mem::replace(&mut budget.has_refreshed, true);
                return is_first.then_some(Retry::WithRefreshedCredentials);
            }
            RetryAction::CorrectClock => {
                let is_different = self.clock.set_correction_after_rejection(error, reading);
                let is_first = !std::mem::replace(&mut budget.has_corrected_clock, true);
                return (is_different && is_first).then_some(Retry::WithCorrectedClock);
            }
        };
        let random = getrandom::u64().unwrap_or_default();
        (budget.attempts < attempts).then(|| Retry::After(self.limits.pause(budget.attempts, random)))
    }

    /// Whether the caller of KMS makes every attempt itself, because it allows one per call. An STS call is part of getting
    /// credentials and repeats itself.
    fn leaves_attempts_to_caller(&self, call: &Call<'_>) -> bool {
        matches!(call.service, Service::Kms) && self.limits.attempts <= 1
    }

    fn credentials_timed_out(&self) -> TencentError {
        let message = format!("no credentials within {}", seconds(self.limits.call));
        TencentError::credentials(
            message,
            "check the network and the source of the credentials, then try again",
        )
        .mark_retryable()
    }

    async fn attempt<T: DeserializeOwned>(
        &self,
        call: &Call<'_>,
        credentials: Option<&Credentials>,
        timeout: Duration,
    ) -> AttemptResult<T> {
        let applied = self.clock.correction();
        let mut reading = ClockReading { skew: None, applied };
        let headers = headers(call, credentials, unix_now() + applied);
        let response = match headers {
            Ok(headers) => {
                let body = call.body.clone();
                self.http
                    .post(call.action, call.endpoint, headers, body, timeout)
                    .await
            }
            Err(error) => Err(error),
        };
        let response = match response {
            Ok(response) => response,
            Err(error) => {
                return AttemptResult {
                    result: Err(error),
                    reading,
                };
            }
        };
        reading.skew = response.skew;
        self.clock.record_skew(reading);
        let mut secrets = call.secrets.to_vec();
        if let Some(credentials) = credentials {
            secrets.push(&credentials.secret_key);
            secrets.extend(credentials.token.as_deref().map(String::as_str));
        }
        let result = response::parse(call, response.status, &response.body, &secrets);
        // Only if the API itself responded, not a gateway or proxy.
        if result.as_ref().err().is_none_or(|error| error.code.is_some()) {
            self.clock.adjust_correction(reading);
        }
        AttemptResult { result, reading }
    }
}

/// Refreshes rejected credentials. `None` when the time is up.
async fn refresh(
    provider: &dyn CredentialsProvider,
    rejected: &Arc<Credentials>,
    left: Duration,
) -> Option<Result<bool, TencentError>> {
    tokio::time::timeout(left, provider.refresh_rejected(rejected))
        .await
        .ok()
}
