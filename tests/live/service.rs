//! The service itself: regions, limits, clock, credentials, gateway, audit log.

use std::process::Command;

use envelope_secrets::kms::tencent::{Source, is_region};
use envelope_secrets::kms::{Access, Kms as _};
use serde_json::json;

use crate::table::{Answer, Holds, Table};
use crate::{Account, ENDPOINT, context, text, variable};

const TOKENS: [&str; 3] = [
    "TENCENTCLOUD_TOKEN",
    "TENCENTCLOUD_SESSION_TOKEN",
    "TENCENTCLOUD_SECURITY_TOKEN",
];

pub(crate) async fn check(account: &Account, table: &mut Table) {
    let every = "every region has the form ap-guangzhou";
    table.add("regions with KMS (GetRegions)", every, regions(account).await);
    let throttled = "nothing: throttled calls are retried";
    table.add(
        "limits of the account (GetServiceStatus)",
        throttled,
        status(account).await,
    );
    let any = "nothing: data keys are used locally, with AES-256";
    table.add(
        "algorithms of symmetric keys (ListAlgorithms)",
        any,
        algorithms(account).await,
    );
    let date = "corrects a wrong clock; without it the error says so";
    table.add("Date header in responses", date, Ok(time(account)));
    let token = "the session token is sent in X-TC-Token";
    table.add("temporary credentials", token, Ok(temporary(account)));
    let metadata = "role and credentials are two plain GETs";
    table.add(
        "hardened mode of the metadata service",
        metadata,
        Ok(instance(account)),
    );
    table.add(
        "HTTP/2 at the gateway",
        "nothing: the client uses HTTP/1.1",
        Ok(http2()),
    );
    let audit = "nothing: request ids are in conditions and errors";
    table.add(
        "request id and context in CloudAudit",
        audit,
        audit_log(account).await,
    );
}

async fn regions(account: &Account) -> Answer<(String, Holds)> {
    let fields = account.raw("GetRegions", json!({})).await?;
    let regions = fields["Regions"].as_array().cloned().unwrap_or_default();
    let regions: Vec<&str> = regions.iter().filter_map(|region| region.as_str()).collect();
    let is_expected =
        regions.contains(&account.region.as_str()) && regions.iter().all(|region| is_region(region));
    Ok((regions.join(" "), Holds::when(is_expected)))
}

async fn status(account: &Account) -> Answer<(String, Holds)> {
    let status = account.raw("GetServiceStatus", json!({})).await?;
    let state = if status["ServiceEnabled"] == true {
        "on"
    } else {
        "OFF"
    };
    let answer = format!(
        "{state}, state {}; {} calls per second, {} keys",
        status["InvalidType"], status["QpsLimit"], status["CmkLimit"]
    );
    Ok((answer, Holds::EitherWay))
}

async fn algorithms(account: &Account) -> Answer<(String, Holds)> {
    let fields = account.raw("ListAlgorithms", json!({})).await?;
    let algorithms = fields["SymmetricAlgorithms"].as_array().cloned();
    let algorithms = algorithms.unwrap_or_default();
    let cells = algorithms
        .iter()
        .map(|it| format!("{} is {}", text(it, "KeyUsage"), text(it, "Algorithm")));
    Ok((cells.collect::<Vec<_>>().join(", "), Holds::EitherWay))
}

fn time(account: &Account) -> (String, Holds) {
    match account.kms.access() {
        Access::Service {
            clock_ahead: Some(seconds),
            ..
        } => (format!("yes; {seconds} s ahead of the local clock"), Holds::Yes),
        _ => ("no".to_owned(), Holds::EitherWay),
    }
}

fn temporary(account: &Account) -> (String, Holds) {
    let held = account.kms.credentials();
    let Some(held) = held.filter(|held| held.expires.is_some() || held.source == Source::Environment) else {
        return (
            "not checked: it is unknown whether these are temporary".to_owned(),
            Holds::Open,
        );
    };
    match TOKENS.into_iter().find(|name| variable(name).is_some()) {
        _ if held.expires.is_some() => (format!("accepted, from {}", held.source), Holds::Yes),
        Some(name) => (format!("accepted, with the token in {name}"), Holds::Yes),
        None => ("not checked: these are permanent".to_owned(), Holds::Open),
    }
}

fn instance(account: &Account) -> (String, Holds) {
    match account.kms.credentials() {
        Some(held) if held.source == Source::CvmRole => ("it returned a role".to_owned(), Holds::Yes),
        _ => (
            "not checked: these are not the credentials of an instance".to_owned(),
            Holds::Open,
        ),
    }
}

/// Uses curl: the client has no HTTP/2.
fn http2() -> (String, Holds) {
    let open = |why: &str| (format!("not checked: {why}"), Holds::Open);
    let url = variable(ENDPOINT).unwrap_or_else(|| "https://kms.tencentcloudapi.com".to_owned());
    if url.starts_with("http://") {
        return open("the endpoint has no TLS");
    }
    let mut curl = Command::new("curl");
    if let Some(file) = variable("ENVELOPE_TENCENT_CA_FILE") {
        curl.args(["--cacert", &file]);
    }
    curl.args(["--silent", "--max-time", "10", "--http2", "--output", "/dev/null"]);
    match curl.args(["--write-out", "%{http_version}", &url]).output() {
        Ok(done) if done.status.success() => {
            let version = String::from_utf8_lossy(&done.stdout).into_owned();
            (
                format!("a client that offers it gets HTTP/{version}"),
                Holds::EitherWay,
            )
        }
        Ok(done) => open(&format!("curl exited with {}", done.status)),
        Err(_) => open("curl is not installed"),
    }
}

async fn audit_log(account: &Account) -> Answer<(String, Holds)> {
    let sealed = account.seal(&context("audit")).await?;
    let answer = format!(
        "search it for request {} and the name \"audit\" in its context",
        sealed.request
    );
    Ok((answer, Holds::Open))
}
