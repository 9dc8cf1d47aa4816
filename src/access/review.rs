//! The API server's decision about a token.

use std::time::Duration;

use futures::future::BoxFuture;

use super::token::BearerToken;

/// Whether the owner of a token may read the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The token is valid, and its owner has the permission.
    Allowed,
    /// The token is not valid.
    Unauthenticated,
    /// The token is valid, and its owner lacks the permission.
    Forbidden,
}

/// There is no decision. Never contains the token or text of a response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReviewError {
    /// The controller lacks a permission.
    #[error("the controller is not allowed to create {0}")]
    NotPermitted(&'static str),
    /// The API server refused a request with this HTTP status.
    #[error("the API server responded with status {0}")]
    Status(u16),
    /// The response cannot be decoded.
    #[error("the API server's response is unreadable")]
    Unreadable,
    /// The API server cannot be reached.
    #[error("the API server is unreachable")]
    Unreachable,
    /// The time for both requests is up.
    #[error("the API server did not decide within {0:?}")]
    TimedOut(Duration),
}

impl ReviewError {
    /// What the user can do about it.
    pub fn advice(&self) -> &'static str {
        match self {
            ReviewError::NotPermitted(_) => {
                "grant create on tokenreviews.authentication.k8s.io and subjectaccessreviews.authorization.k8s.io, \
                 as the ClusterRole system:auth-delegator does"
            }
            _ => "scrapes are refused until the API server responds",
        }
    }
}

/// Decides about tokens; the controller does so with the API server.
pub trait Reviewer: Send + Sync {
    /// Returns whether the owner of `token` may read the metrics.
    fn review<'a>(&'a self, token: &'a BearerToken) -> BoxFuture<'a, Result<Decision, ReviewError>>;
}
