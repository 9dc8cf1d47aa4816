use std::time::Duration;

use super::state::{State, renewal};
use crate::kms::tencent::credentials::Trouble;

#[test]
fn renewed_five_minutes_or_a_tenth_ahead_but_not_in_the_first_half() {
    for (life, ahead) in [
        (7200, 720),
        (3600, 360),
        (3000, 300),
        (1000, 300),
        (600, 300),
        (400, 200),
        (10, 5),
        (1, 0),
        (0, 0),
    ] {
        assert_eq!(renewal(1000, 1000 + life), 1000 + life - ahead, "{life}");
    }
    assert_eq!(renewal(1000, 900), 900, "over already");
}

#[test]
fn the_rest_of_a_source_that_gives_none_grows_to_half_a_minute() {
    let mut state = State::default();
    for seconds in [1, 2, 4, 8, 16, 30, 30] {
        state.failed(Trouble::new("none", "look"), Duration::from_secs(1));
        let (_, rest) = state.trouble.as_ref().expect("a failure");
        assert_eq!(rest.pause, Duration::from_secs(seconds));
        assert!(state.resting().is_some());
    }
}
