//! Opening a document with the KMSs of a registry.

use super::{KeyUri, KmsError, Registry, action};
use crate::envelope::{Accepted, OpenError, Opened, PendingUnwrap, Progress, SecretBytes, UnwrapFailure};

/// Makes the KMS calls that opening a document requires, one at a time, until the document is open or has failed. The
/// `envelope` module decides their order and when to stop (format-es1 section 9).
pub async fn open(accepted: Accepted, registry: &Registry) -> Result<Opened, OpenError<KmsError>> {
    let mut pending = accepted.start();
    loop {
        let unwrapped = unwrap(&pending, registry).await;
        match pending.resume(unwrapped)? {
            Progress::Unwrap(next) => pending = next,
            Progress::Opened(opened) => return Ok(opened),
        }
    }
}

/// Makes the one call that is pending. Only a refusal of the ciphertext counts as a rejection; a provider that was removed
/// after the document was accepted may be configured again.
async fn unwrap(
    pending: &PendingUnwrap<KmsError>,
    registry: &Registry,
) -> Result<SecretBytes, UnwrapFailure<KmsError>> {
    #[expect(
        clippy::expect_used,
        reason = "a document has passed the structure check, whose pattern is KeyUri's"
    )]
    let key = KeyUri::parse(pending.key()).expect("a key URI");
    let unwrapped = match registry.require_entry(&key, action::DECRYPT) {
        Ok((scheme, kms)) => {
            let call = kms.decrypt(&key, pending.ciphertext(), pending.context());
            registry.observe(scheme, action::DECRYPT, call).await
        }
        Err(error) => Err(error),
    };
    unwrapped.map_err(|error| {
        if error.class.is_permanent() {
            UnwrapFailure::Rejected(error)
        } else {
            UnwrapFailure::Unavailable(error)
        }
    })
}
