//! Single flight: identical unwraps at the same time make one call.

use std::collections::HashMap;

use super::cache::UnwrapId;

/// The unwraps in flight. `W` is how the result reaches those who wait for it.
pub(super) struct Flights<W>(HashMap<UnwrapId, Vec<W>>);

impl<W> Flights<W> {
    pub(super) fn new() -> Self {
        Flights(HashMap::new())
    }

    /// Joins the flight of this unwrap as one who waits; `None` if there was none, so that the caller leads a new one.
    pub(super) fn join<R>(&mut self, id: UnwrapId, wait: impl FnOnce() -> (W, R)) -> Option<R> {
        if let Some(waiting) = self.0.get_mut(&id) {
            let (waiter, result) = wait();
            waiting.push(waiter);
            return Some(result);
        }
        self.0.insert(id, Vec::new());
        None
    }

    /// Ends a flight. Returns those who wait for its result.
    pub(super) fn land(&mut self, id: &UnwrapId) -> Vec<W> {
        self.0.remove(id).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::{Binding, Scope};

    #[test]
    fn first_one_leads_and_others_wait() {
        let context = Binding::new(Scope::Strict, None, "prod", "db").context();
        let of = |ciphertext| UnwrapId::new("prod", "nokms://k", ciphertext, &context);
        let mut flights = Flights::new();
        assert_eq!(flights.join(of("a"), || (1, "waits")), None);
        assert_eq!(flights.join(of("a"), || (2, "waits")), Some("waits"));
        assert_eq!(flights.join(of("b"), || (3, "waits")), None);
        assert_eq!(flights.join(of("a"), || (4, "waits")), Some("waits"));
        assert_eq!(flights.land(&of("a")), [2, 4]);
        assert_eq!(flights.join(of("a"), || (5, "waits")), None, "landed");
    }
}
