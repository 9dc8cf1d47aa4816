use super::*;

#[test]
fn names_and_labels_match_the_documentation() {
    let metrics = Metrics::new();
    metrics.on_scrape(|metrics| metrics.set_queue(7));
    metrics.reconciled("written", "Synced", Duration::from_millis(3));
    metrics.opened("opened");
    metrics.kms_called("local", "Decrypt", "ok", Duration::from_millis(1));
    metrics.data_key_looked_up("hit");
    metrics.set_broker(12, 1);
    metrics.integrity_budget_used();
    metrics.set_objects("Synced", 3);
    metrics.secret_written(Duration::from_secs(1));
    metrics.event_dropped();
    metrics.heal_damped();
    metrics.set_reload_failed("local", true);
    metrics.undecodable("secrets");
    metrics.document_parsed("summary");
    metrics.set_document_cache(1024);
    metrics.set_streams("secrets", "synced", 1);
    metrics.stream_failed("secrets", "forbidden");
    metrics.set_stream_age("secrets", Duration::from_secs(9));
    metrics.set_credentials("tencent-kms", "environment", Some(1));
    metrics.set_credentials("tencent-kms", "tke-oidc", Some(1_700_000_000));
    metrics.set_credentials("other-kms", "file", None);
    let text = metrics.encode();
    assert!(!text.contains("environment"), "the previous source:\n{text}");
    for line in [
        "envelope_secrets_reconcile_total{outcome=\"written\",reason=\"Synced\"} 1",
        "envelope_secrets_reconcile_duration_seconds_count 1",
        "envelope_secrets_opens_total{outcome=\"opened\"} 1",
        "envelope_secrets_kms_requests_total{provider=\"local\",action=\"Decrypt\",outcome=\"ok\"} 1",
        "envelope_secrets_kms_request_duration_seconds_count{provider=\"local\",action=\"Decrypt\"} 1",
        "envelope_secrets_data_key_lookups_total{result=\"hit\"} 1",
        "envelope_secrets_data_keys_cached 12",
        "envelope_secrets_kms_breakers_open 1",
        "envelope_secrets_integrity_budget_used_total 1",
        "envelope_secrets_objects{state=\"Synced\"} 3",
        "envelope_secrets_queue_length 7",
        "envelope_secrets_apply_to_secret_seconds_count 1",
        "envelope_secrets_events_dropped_total 1",
        "envelope_secrets_heals_damped_total 1",
        "envelope_secrets_reload_failed{provider=\"local\"} 1",
        "envelope_secrets_undecodable_objects_total{resource=\"secrets\"} 1",
        "envelope_secrets_document_parses_total{purpose=\"summary\"} 1",
        "envelope_secrets_document_cache_bytes 1024",
        "envelope_secrets_streams{stream=\"secrets\",state=\"synced\"} 1",
        "envelope_secrets_stream_errors_total{stream=\"secrets\",state=\"forbidden\"} 1",
        "envelope_secrets_stream_age_seconds{stream=\"secrets\"} 9",
        "envelope_secrets_credential_source{provider=\"tencent-kms\",source=\"tke-oidc\"} 1",
        "envelope_secrets_credential_source{provider=\"other-kms\",source=\"file\"} 1",
        "envelope_secrets_credential_expiry_timestamp_seconds{provider=\"tencent-kms\"} 1700000000",
        concat!(
            "envelope_secrets_build_info{version=\"",
            env!("CARGO_PKG_VERSION"),
            "\"} 1"
        ),
        "# EOF",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
    }
}
