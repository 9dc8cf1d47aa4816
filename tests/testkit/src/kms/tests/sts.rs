//! Temporary credentials of STS and the metadata service, which KMS accepts with their token until they expire.

use super::*;
use crate::kms::jwt::tests::{SUBJECT, Signer, claims};
use crate::kms::sts::UNSIGNED;

const PATH: &str = "/latest/meta-data/cam/security-credentials/";

fn order(emulator: &Emulator, command: Command) {
    emulator.order(command).expect("carried out");
}

fn role(name: &str, trust: Trust) -> Command {
    Command::Role(Role {
        name: name.to_owned(),
        trust,
        actions: Some(vec!["DescribeKey".to_owned()]),
    })
}

/// The error code of a KMS call with these credentials; empty for success.
fn at_kms(emulator: &Emulator, issued: &Value, change: fn(&mut Client)) -> String {
    let mut client = Client::new(emulator);
    client.use_credentials(issued);
    change(&mut client);
    client.code("DescribeKey", &json!({"KeyId": emulator.key()}))
}

#[test]
fn credentials_of_an_assumed_role_are_accepted_with_their_token_until_they_expire() {
    let emulator = Emulator::fresh();
    let mut sts = Client::for_sts(&emulator);
    let body = json!({"RoleArn": emulator.role_arn(ROLE), "RoleSessionName": "test"});
    let before = emulator.shared.lock().now();
    let issued = sts.call("AssumeRole", &body);
    let end = issued["ExpiredTime"].as_i64().expect("an end");
    assert!((before + 7200..before + 7260).contains(&end), "{end}");
    assert_eq!(
        issued["Expiration"].as_str().map(str::len),
        Some("2018-12-04T09:06:16Z".len())
    );
    assert_eq!(at_kms(&emulator, &issued, |_| {}), "");
    let refused = "AuthFailure.TokenFailure";
    assert_eq!(at_kms(&emulator, &issued, |client| client.token = None), refused);
    let other = |client: &mut Client| client.token = Some("other".to_owned());
    assert_eq!(at_kms(&emulator, &issued, other), refused);
    order(&emulator, Command::ExpireTemporary);
    assert_eq!(at_kms(&emulator, &issued, |_| {}), refused);
    assert_eq!(
        Client::new(&emulator).code("GetRegions", &json!({})),
        "",
        "permanent credentials do not expire"
    );
    // The requested lifetime, limited by the maximum.
    let lives = |seconds: i64, requested: i64| {
        order(
            &emulator,
            Command::Life {
                seconds: Some(seconds),
            },
        );
        let mut body = body.clone();
        body["DurationSeconds"] = json!(requested);
        let now = emulator.shared.lock().now();
        let issued = Client::for_sts(&emulator).call("AssumeRole", &body);
        issued["ExpiredTime"].as_i64().expect("an end") - now
    };
    assert!((3..=4).contains(&lives(3, 900)), "limited");
    assert!((900..=901).contains(&lives(5000, 900)), "as requested");
}

#[test]
fn failed_assume_role_calls_have_their_codes() {
    let emulator = Emulator::fresh();
    let wanted = Trust::Account {
        external_id: Some("id-7".to_owned()),
    };
    order(&emulator, role("guarded", wanted));
    let guarded = emulator.role_arn("guarded");
    let mut sts = Client::for_sts(&emulator);
    for (code, body) in [
        (
            "",
            json!({"RoleArn": guarded, "RoleSessionName": "test", "ExternalId": "id-7"}),
        ),
        (
            "UnauthorizedOperation",
            json!({"RoleArn": guarded, "RoleSessionName": "test"}),
        ),
        (
            "UnauthorizedOperation",
            json!({"RoleArn": guarded, "RoleSessionName": "test", "ExternalId": "id-8"}),
        ),
        (
            "ResourceNotFound.RoleNotFound",
            json!({"RoleArn": emulator.role_arn("none"), "RoleSessionName": "test"}),
        ),
        (
            "InvalidParameter.ParamError",
            json!({"RoleArn": guarded, "RoleSessionName": "x"}),
        ),
        (
            "InvalidParameter.ParamError",
            json!({"RoleArn": guarded, "RoleSessionName": "a b"}),
        ),
        ("MissingParameter", json!({"RoleSessionName": "test"})),
        (
            "UnknownParameter",
            json!({"RoleArn": guarded, "RoleSessionName": "test", "Role": 1}),
        ),
        (
            "InvalidParameterValue",
            json!({"RoleArn": guarded, "RoleSessionName": "test", "DurationSeconds": 43_201}),
        ),
    ] {
        assert_eq!(sts.code("AssumeRole", &body), code, "{body}");
    }
    let body = json!({"RoleArn": guarded, "RoleSessionName": "test", "ExternalId": "id-7"});
    let issued = sts.call("AssumeRole", &body);
    let mut client = Client::new(&emulator);
    client.use_credentials(&issued);
    let describe = json!({"KeyId": emulator.key()});
    assert_eq!(client.code("DescribeKey", &describe), "");
    assert_eq!(client.code("DisableKey", &describe), "UnauthorizedOperation");
    // The signature and the version must be those of STS, and the request must be signed.
    let of = |change: fn(&mut Client)| {
        let mut client = Client::for_sts(&emulator);
        change(&mut client);
        client.code("AssumeRole", &body)
    };
    assert_eq!(
        of(|sts| sts.service = "kms".to_owned()),
        "AuthFailure.SignatureFailure"
    );
    assert_eq!(of(|sts| sts.version = "2019-01-18".to_owned()), "NoSuchVersion");
    assert_eq!(of(|sts| sts.unsigned = true), "AuthFailure.InvalidAuthorization");
    let mut unsigned = Client::new(&emulator);
    unsigned.unsigned = true;
    assert_eq!(
        unsigned.code("DescribeKey", &describe),
        "AuthFailure.InvalidAuthorization"
    );
}

#[test]
fn pod_assumes_its_role_unsigned_with_its_token_and_no_other_role_or_token() {
    let emulator = Emulator::fresh();
    let signer = Signer::new();
    let provider = signer.provider();
    let trust = Trust::WebIdentity {
        provider: provider.id.clone(),
        subject: Some(SUBJECT.to_owned()),
    };
    let id = provider.id.clone();
    order(&emulator, Command::Provider(provider));
    order(&emulator, role("opener", trust));
    let now = emulator.shared.lock().now();
    let body = |token: &str| json!({"ProviderId": id, "RoleArn": emulator.role_arn("opener"), "RoleSessionName": "pod", "WebIdentityToken": token});
    let with = |name: &str, value: Value| {
        let mut claims = claims(now);
        claims[name] = value;
        body(&signer.token(&claims))
    };
    let good = body(&signer.token(&claims(now)));
    let mut sts = Client::for_sts(&emulator);
    sts.unsigned = true;
    let issued = sts.call(UNSIGNED, &good);
    assert_eq!(at_kms(&emulator, &issued, |_| {}), "");
    let changed = |name: &str, value: &str| {
        let mut body = good.clone();
        body[name] = json!(value);
        body
    };
    for (code, body) in [
        (
            "InvalidParameter.WebIdentityTokenError",
            with("aud", json!(["kubernetes"])),
        ),
        ("InvalidParameter.WebIdentityTokenError", with("exp", json!(now))),
        (
            "InvalidParameter.WebIdentityTokenError",
            with("iss", json!("https://other.example")),
        ),
        (
            "InvalidParameter.WebIdentityTokenError",
            body(&Signer::new().token(&claims(now))),
        ),
        (
            "UnauthorizedOperation",
            with("sub", json!("system:serviceaccount:other:controller")),
        ),
        (
            "UnauthorizedOperation",
            changed("RoleArn", &emulator.role_arn(ROLE)),
        ),
        (
            "ResourceNotFound.RoleNotFound",
            changed("RoleArn", &emulator.role_arn("none")),
        ),
        ("InvalidParameter.ParamError", changed("ProviderId", "cls-other")),
    ] {
        let fields = sts.call(UNSIGNED, &body);
        assert_eq!(fields["Error"]["Code"], code, "{body}");
        let token = body["WebIdentityToken"].as_str().expect("a token");
        assert!(
            !fields.to_string().contains(token),
            "the response does not contain the token"
        );
    }
    sts.ahead = 600;
    assert_eq!(sts.code(UNSIGNED, &good), "AuthFailure.SignatureExpire");
    assert_eq!(emulator.calls(UNSIGNED), 10);
}

#[test]
fn metadata_service_returns_the_role_and_its_credentials() {
    let emulator = Emulator::fresh();
    let get = |path: &str| Client::get(&emulator.metadata_endpoint(), path);
    assert_eq!(get(PATH).0, 404, "no role is bound");
    let name = Some("machine".to_owned());
    order(&emulator, Command::MachineRole { name });
    assert_eq!(get(PATH), (200, "machine".to_owned()));
    assert_eq!(get(&format!("{PATH}other")).0, 404);
    assert_eq!(get("/latest/meta-data/").0, 404);
    let response = |(status, body): (u16, String)| {
        assert_eq!(status, 200);
        serde_json::from_str::<Value>(&body).expect("JSON")
    };
    let issued = response(get(&format!("{PATH}machine")));
    assert_eq!(issued["Code"], "Success");
    let issued = json!({"Credentials": issued});
    assert_eq!(at_kms(&emulator, &issued, |_| {}), "");
    let code = "InternalError".to_owned();
    emulator.fault(
        Fault::new(Effect::Error { code })
            .action(METADATA)
            .after(1)
            .times(1),
    );
    assert_eq!(get(PATH).0, 200);
    assert_eq!(
        response(get(&format!("{PATH}machine"))),
        json!({"Code": "InternalError"})
    );
    assert_eq!(emulator.calls(METADATA), 7);
}
