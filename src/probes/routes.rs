//! The endpoints: `/livez`, `/readyz`, `/metrics`, and what guards the last one.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use crate::access::{BearerToken, Decision, Gate};
use crate::metrics::{self, Metrics};

/// A health check; `Err` is the cause in one line.
pub type Check = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// Returns the routes `/livez` and `/readyz`: 200 `ok`, or 503 and the cause.
pub fn probes(live: Check, ready: Check) -> Router {
    let route = |check: Check| {
        get(move || {
            let response = match check() {
                Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
                Err(cause) => (StatusCode::SERVICE_UNAVAILABLE, format!("{cause}\n")),
            };
            std::future::ready(response)
        })
    };
    Router::new()
        .route("/livez", route(live))
        .route("/readyz", route(ready))
}

/// Returns the route `/metrics`.
pub fn metrics(metrics: Arc<Metrics>) -> Router {
    let scrape = move || {
        let response = ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics.encode()).into_response();
        std::future::ready(response)
    };
    Router::new().route("/metrics", get(scrape))
}

/// Lets only those clients read anything from `router` whose bearer token `gate` allows. Responses to others have no detail.
pub fn guarded(router: Router, gate: Arc<Gate>) -> Router {
    router.layer(from_fn(move |request: Request, next: Next| {
        let gate = gate.clone();
        async move {
            match decide(&gate, request.headers()).await {
                Ok(()) => next.run(request).await,
                Err(refusal) => refusal,
            }
        }
    }))
}

async fn decide(gate: &Gate, headers: &HeaderMap) -> Result<(), Response> {
    let unauthenticated = || {
        let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
        (StatusCode::UNAUTHORIZED, challenge, "unauthorized\n").into_response()
    };
    let token = bearer_token(headers).ok_or_else(unauthenticated)?;
    match gate.check(&token).await {
        Ok(Decision::Allowed) => Ok(()),
        Ok(Decision::Unauthenticated) => Err(unauthenticated()),
        Ok(Decision::Forbidden) => Err((StatusCode::FORBIDDEN, "forbidden\n").into_response()),
        // The log has the cause.
        Err(_) => Err((StatusCode::SERVICE_UNAVAILABLE, "unavailable\n").into_response()),
    }
}

/// Returns the bearer token of the only `Authorization` header.
fn bearer_token(headers: &HeaderMap) -> Option<BearerToken> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    BearerToken::from_header(value.as_bytes())
}
