//! Which source the credentials come from.

use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};

use super::env::Environment;
use super::{Credentials, Identity};
use crate::kms::Class;
use crate::kms::tencent::error::TencentError;

/// Credentials of the environment.
pub(in crate::kms::tencent) struct Chain {
    found: Option<Result<Arc<Credentials>, String>>,
}

impl Chain {
    pub(in crate::kms::tencent) fn new(environment: &Environment) -> Self {
        let found = environment.credentials();
        Chain {
            found: found.map(|found| found.map(Arc::new)),
        }
    }

    fn held(&self) -> Result<Arc<Credentials>, TencentError> {
        let failed = |why: &str| {
            TencentError::new(Class::Credentials, "credentials", why)
                .with_advice("set TENCENTCLOUD_SECRET_ID and TENCENTCLOUD_SECRET_KEY")
        };
        match &self.found {
            Some(Ok(held)) => Ok(Arc::clone(held)),
            Some(Err(why)) => Err(failed(why)),
            None => Err(failed("there are no Tencent Cloud credentials")),
        }
    }
}

impl Identity for Chain {
    fn current(&self) -> BoxFuture<'_, Result<Option<Arc<Credentials>>, TencentError>> {
        ready(self.held().map(Some)).boxed()
    }

    fn refused<'a>(&'a self, _which: &'a Arc<Credentials>) -> BoxFuture<'a, bool> {
        ready(false).boxed() // the environment of a process does not change
    }
}
