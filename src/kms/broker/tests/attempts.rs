//! Single attempts, and what they report, on paused time.

use std::time::Duration;

use tokio::time::Instant;

use super::super::settings::BrokerSettings;
use super::fake::Fixture;
use super::support::key;
use crate::kms::Class as Failure;
use crate::sync::lock;

#[tokio::test(start_paused = true)]
async fn call_with_renewed_credentials_is_repeated_once_within_the_budget() {
    let settings = BrokerSettings {
        calls_per_second: 1,
        burst: 1,
        ..BrokerSettings::default()
    };
    // (calls that fail, outcome, calls, seconds)
    for (failing, outcome, calls, seconds) in
        [(0, "opened", 1, 0), (1, "opened", 2, 1), (5, "unavailable", 2, 1)]
    {
        let fixture = Fixture::new(settings.clone());
        let request = fixture.seal("prod", "db", 1, &[key("k")]);
        fixture.kms.renew_credentials(failing);
        let started = Instant::now();
        assert_eq!(fixture.outcome(&request).await, outcome, "{failing}");
        assert_eq!(fixture.kms.calls(), calls, "{failing}");
        assert_eq!(
            started.elapsed().as_secs(),
            seconds,
            "each attempt takes a token: {failing}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn closing_breaker_is_reported_once() {
    let fixture = Fixture::new(BrokerSettings::default());
    let reached = || std::mem::take(&mut *lock(&fixture.host.reached));
    for (failures, expected) in [(0, vec![]), (4, vec![]), (5, vec![key("k")]), (9, vec![key("k")])] {
        fixture.kms.fail(&key("k"), Failure::Transient, None, 100);
        for number in 0..failures {
            let new = fixture.seal("prod", &format!("{failures}-{number}"), 1, &[key("k")]);
            assert_eq!(fixture.outcome(&new).await, "unavailable");
        }
        fixture.kms.recover();
        tokio::time::sleep(Duration::from_mins(2)).await;
        for name in ["first", "second"] {
            let new = fixture.seal("prod", &format!("{failures}-{name}"), 1, &[key("k")]);
            assert_eq!(fixture.outcome(&new).await, "opened");
        }
        assert_eq!(reached(), expected, "{failures} failures");
    }
}
