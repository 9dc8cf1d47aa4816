//! The permission to write.

use tokio::sync::watch;
use tokio::time::Instant;

/// The permission to write to the cluster, until a deadline on the monotonic clock. Cheap to clone.
///
/// Only its holder can construct what writes: the [writer](super::writer::Writer) of Secrets and statuses, and the sender
/// of [events](super::events). What maintains the deadline, such as a lease that is renewed, moves it on.
#[derive(Clone)]
pub(in crate::controller) struct WriterToken {
    /// `None` for no deadline.
    deadline: watch::Receiver<Option<Instant>>,
}

impl WriterToken {
    /// Creates a token that is valid until the current value of `deadline`; without one, indefinitely.
    pub(in crate::controller) fn new(deadline: watch::Receiver<Option<Instant>>) -> Self {
        WriterToken { deadline }
    }

    /// Whether a request may be sent now. To be checked before each one.
    pub(in crate::controller) fn is_valid(&self) -> bool {
        self.deadline
            .borrow()
            .is_none_or(|deadline| Instant::now() < deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn token_is_valid_until_its_deadline_which_can_be_moved() {
        let second = Duration::from_secs(1);
        let (deadline, receiver) = watch::channel(None);
        let token = WriterToken::new(receiver);
        assert!(token.is_valid(), "no deadline");
        deadline.send_replace(Some(Instant::now() + second));
        assert!(token.is_valid());
        tokio::time::advance(second).await;
        assert!(!token.is_valid(), "expired");
        deadline.send_replace(Some(Instant::now() + second));
        assert!(token.is_valid(), "renewed");
        drop(deadline);
        tokio::time::advance(second).await;
        assert!(!token.is_valid(), "no longer renewed");
    }
}
