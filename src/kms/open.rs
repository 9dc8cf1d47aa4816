//! Opening a document with the KMSs of a registry.

use super::{KeyUri, KmsError, Registry, action};
use crate::envelope::{Accepted, OpenError, Opened, PendingUnwrap, Progress, SecretBytes, UnwrapFailure};

/// Makes the KMS calls that opening asks for, one after the other, until the document is open or has failed. The
/// order, and when to stop, are the envelope's (format-es1 section 9).
pub async fn open(accepted: Accepted, registry: &Registry) -> Result<Opened, OpenError<KmsError>> {
    let mut pending = accepted.start();
    loop {
        let answer = unwrap(&pending, registry).await;
        match pending.answer(answer)? {
            Progress::Unwrap(next) => pending = next,
            Progress::Opened(opened) => return Ok(opened),
        }
    }
}

/// The one call that is wanted. Only the KMS's refusal of the ciphertext is for good; a provider that is gone since
/// the document was accepted may come back.
async fn unwrap(
    pending: &PendingUnwrap<KmsError>,
    registry: &Registry,
) -> Result<SecretBytes, UnwrapFailure<KmsError>> {
    #[expect(
        clippy::expect_used,
        reason = "a document has passed the structure check, whose pattern is KeyUri's"
    )]
    let key = KeyUri::parse(pending.key()).expect("a key URI");
    let answer = match registry.require(&key, action::DECRYPT) {
        Ok(provider) => {
            provider
                .decrypt(&key, pending.ciphertext(), pending.context())
                .await
        }
        Err(error) => Err(error),
    };
    answer.map_err(|error| {
        if error.class.is_permanent() {
            UnwrapFailure::Permanent(error)
        } else {
            UnwrapFailure::Temporary(error)
        }
    })
}
