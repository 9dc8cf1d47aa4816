//! Single attempts, and what they report, on paused time.

use tokio::time::Instant;

use super::super::settings::BrokerSettings;
use super::fake::Fixture;
use super::support::key;

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
