//! Injected faults, and control commands over HTTP.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::*;

fn key(emulator: &Emulator) -> Value {
    json!({"KeyId": emulator.key()})
}

#[test]
fn errors_statuses_and_closed_connections_are_injected_as_often_as_requested() {
    let emulator = Emulator::fresh();
    let mut client = Client::new(&emulator);
    let code = "RequestLimitExceeded".to_owned();
    emulator.fault(Fault::new(Effect::Error { code }).action("DescribeKey").times(2));
    for expected in ["RequestLimitExceeded", "RequestLimitExceeded", ""] {
        assert_eq!(client.code("DescribeKey", &key(&emulator)), expected);
    }
    emulator.fault(Fault::new(Effect::Status { status: 503 }).times(1));
    let received = client
        .send("DisableKey", &key(&emulator).to_string())
        .expect("a response");
    assert_eq!(
        (received.status, received.headers["content-type"].as_str()),
        (503, "text/html")
    );
    assert_eq!(
        client.call("DescribeKey", &key(&emulator))["KeyMetadata"]["KeyState"],
        "Enabled",
        "it was not carried out"
    );
    emulator.fault(Fault::new(Effect::Cut).region(REGION).after(1).times(1));
    assert_eq!(client.code("DescribeKey", &key(&emulator)), "");
    assert!(client.send("DisableKey", &key(&emulator).to_string()).is_err());
    let mut client = Client::new(&emulator);
    assert_eq!(
        client.call("DescribeKey", &key(&emulator))["KeyMetadata"]["KeyState"],
        "Disabled",
        "it was carried out"
    );
    assert_eq!(
        emulator.calls_with("DescribeKey", emulator.key()),
        Count { total: 6, failed: 2 }
    );
    assert_eq!(
        emulator.calls_with("DisableKey", emulator.key()),
        Count { total: 2, failed: 2 }
    );
}

#[test]
fn fault_does_not_bypass_authentication() {
    let emulator = Emulator::fresh();
    let mut client = Client::new(&emulator);
    client.secret_key.push('x');
    let code = "InternalError".to_owned();
    emulator.fault(Fault::new(Effect::Error { code }));
    assert_eq!(
        client.code("DescribeKey", &key(&emulator)),
        "AuthFailure.SignatureFailure"
    );
}

#[test]
fn bodies_are_delayed_cut_or_altered() {
    let emulator = Emulator::fresh();
    let body = key(&emulator).to_string();
    let with = |effect: Effect| {
        emulator.clear_faults();
        emulator.fault(Fault::new(effect).times(1));
        Client::new(&emulator).send("DescribeKey", &body)
    };
    assert!(with(Effect::CutBody).is_err());
    let truncated = with(Effect::Truncated).expect("whole HTTP");
    assert!(serde_json::from_slice::<Value>(&truncated.body).is_err());
    let value = "application/json; charset=utf-8".to_owned();
    let other = with(Effect::ContentType { value: value.clone() }).expect("a response");
    assert_eq!(other.headers["content-type"], value);
    for effect in [Effect::SlowBody { ms: 80 }, Effect::Latency { ms: 80 }] {
        let begun = Instant::now();
        let slow = with(effect).expect("a response");
        assert!(begun.elapsed() >= Duration::from_millis(80));
        assert!(serde_json::from_slice::<Value>(&slow.body).is_ok());
    }
}

#[test]
fn responses_name_another_key_or_have_another_plaintext_length() {
    let emulator = Emulator::fresh();
    let mut client = Client::new(&emulator);
    let other = "23e80852-1e38-11e9-b129-5cb9019b4b01";
    emulator.fault(
        Fault::new(Effect::OtherKey {
            key: other.to_owned(),
        })
        .times(4),
    );
    emulator.fault(Fault::new(Effect::PlaintextBytes { bytes: 31 }).key(emulator.key()));
    let body = json!({"KeyId": emulator.key(), "KeySpec": "AES_256"});
    let fields = client.call("GenerateDataKey", &body);
    assert_eq!(fields["KeyId"], other);
    let plaintext = STANDARD
        .decode(fields["Plaintext"].as_str().expect("text"))
        .expect("base64");
    assert_eq!(plaintext.len(), 31);
    let described = client.call("DescribeKey", &key(&emulator));
    assert_eq!(described["KeyMetadata"]["KeyId"], other);
    let ids = json!({"KeyIds": [emulator.key()]});
    let described = client.call("DescribeKeys", &ids);
    assert_eq!(described["KeyMetadatas"][0]["KeyId"], other);
    let listed = client.call("ListKeys", &json!({}));
    assert_eq!(listed["Keys"], json!([{"KeyId": other}]));
    let described = client.call("DescribeKey", &key(&emulator));
    assert_eq!(described["KeyMetadata"]["KeyId"], emulator.key());
}

#[test]
fn fault_disables_a_key_and_the_clock_can_be_changed() {
    let emulator = Emulator::fresh();
    let mut client = Client::new(&emulator);
    let blob = generate(&mut client, emulator.key())["CiphertextBlob"].take();
    let state = KeyState::Disabled;
    emulator.fault(
        Fault::new(Effect::KeyState { state })
            .action("Decrypt")
            .after(1)
            .times(1),
    );
    for expected in [
        "",
        "ResourceUnavailable.CmkDisabled",
        "ResourceUnavailable.CmkDisabled",
    ] {
        assert_eq!(client.code("Decrypt", &decrypt(&blob)), expected);
    }
    emulator.order(Command::Clock { ahead: 600 }).expect("set");
    let received = client
        .send("DescribeKey", &key(&emulator).to_string())
        .expect("a response");
    assert!(String::from_utf8_lossy(&received.body).contains("AuthFailure.SignatureExpire"));
    let date = jiff::fmt::rfc2822::parse(&received.headers["date"])
        .expect("a date")
        .timestamp();
    let ahead = date.as_second() - jiff::Timestamp::now().as_second();
    assert!(
        (590..=600).contains(&ahead),
        "the Date header follows the emulator's clock: {ahead}"
    );
    client.ahead = 600;
    assert_eq!(client.code("DescribeKey", &key(&emulator)), "");
}

#[test]
fn pending_slow_response_does_not_delay_drop() {
    let emulator = Emulator::fresh();
    emulator.fault(Fault::new(Effect::Latency { ms: 3_600_000 }));
    let mut client = Client::new(&emulator);
    let waiting = std::thread::spawn(move || client.send("GetRegions", "{}").is_err());
    crate::until(Duration::from_mins(1), "the call arrives", || {
        Ok((emulator.all_calls() == 1).then_some(()))
    })
    .expect("called");
    drop(emulator);
    assert!(waiting.join().expect("no panic"));
}

/// Sends a control command over HTTP.
fn order(emulator: &Emulator, method: &str, body: &str) -> (u16, Value) {
    let endpoint = emulator.control_endpoint().expect("a control port");
    let mut stream = TcpStream::connect(endpoint.replace("http://", "")).expect("connected");
    let head = format!(
        "{method} / HTTP/1.0\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).expect("sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("a response");
    let (head, body) = text.split_once("\r\n\r\n").expect("a body");
    let status = head
        .split(' ')
        .nth(1)
        .expect("a status")
        .parse()
        .expect("a number");
    (status, serde_json::from_str(body).expect("JSON"))
}

#[test]
fn control_commands_are_accepted_over_http() {
    let options = Options {
        control: Some((Ipv4Addr::LOCALHOST, 0).into()),
        ..Options::default()
    };
    let emulator = Emulator::start(&options).expect("started");
    let mut client = Client::new(&emulator);
    let throttled =
        r#"{"fault":{"action":"DescribeKey","times":1,"effect":{"error":{"code":"RequestLimitExceeded"}}}}"#;
    assert_eq!(order(&emulator, "POST", throttled), (200, json!({})));
    assert_eq!(
        client.code("DescribeKey", &key(&emulator)),
        "RequestLimitExceeded"
    );
    let (status, made) = order(
        &emulator,
        "POST",
        r#"{"createKey":{"region":"ap-beijing","alias":"far"}}"#,
    );
    assert_eq!(
        (status, &made["uri"]),
        (
            200,
            &json!(format!(
                "tencent-kms://ap-beijing/{}",
                made["key"].as_str().expect("an id")
            ))
        )
    );
    let rotate = json!({"rotate": {"key": emulator.key()}}).to_string();
    assert_eq!(order(&emulator, "POST", &rotate).0, 200);
    let row =
        json!({"action": "DescribeKey", "region": REGION, "key": emulator.key(), "total": 1, "failed": 1});
    assert_eq!(order(&emulator, "GET", ""), (200, json!([row])));
    assert_eq!(order(&emulator, "POST", "\"clearCounts\"").0, 200);
    assert_eq!(order(&emulator, "POST", "\"counts\""), (200, json!([])));
    for bad in [
        "",
        "\"unheardOf\"",
        r#"{"rotate":{"key":"none"}}"#,
        r#"{"createKey":{"region":"x","alias":"a"}}"#,
    ] {
        let (status, response) = order(&emulator, "POST", bad);
        assert!(
            status == 400 && response["error"].is_string(),
            "{bad}: {response}"
        );
    }
}
