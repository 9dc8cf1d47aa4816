//! The service around the keys.

use std::process::Command;

use envelope_secrets::kms::tencent::{Source, is_region};
use envelope_secrets::kms::{Access, Kms as _};

use crate::table::{Answer, Holds, Table};
use crate::{Account, ENDPOINT, context, variable};

const TOKENS: [&str; 3] = [
    "TENCENTCLOUD_TOKEN",
    "TENCENTCLOUD_SESSION_TOKEN",
    "TENCENTCLOUD_SECURITY_TOKEN",
];

pub(crate) async fn ask(account: &Account, table: &mut Table) {
    let every = "every region is named like ap-guangzhou";
    table.add(
        "in which regions is KMS (GetRegions)",
        every,
        regions(account).await,
    );
    let throttled = "nothing: throttled calls are tried again";
    table.add(
        "limits of the account (GetServiceStatus)",
        throttled,
        status(account).await,
    );
    let any = "nothing: data keys are used here, as AES-256";
    table.add(
        "algorithms of symmetric keys (ListAlgorithms)",
        any,
        algorithms(account).await,
    );
    let date = "a wrong clock is set right by it, else the error says that it tells no time";
    table.add("do answers tell the time (Date)", date, Ok(time(account)));
    let token = "the session token goes into X-TC-Token";
    table.add("temporary credentials", token, Ok(temporary(account)));
    let metadata = "role and credentials are two plain GETs";
    table.add(
        "the metadata service's hardened mode",
        metadata,
        Ok(machine(account)),
    );
    table.add(
        "does the gateway speak HTTP/2",
        "nothing: HTTP/1.1 is spoken",
        Ok(http2()),
    );
    let audit = "nothing: request ids stand in conditions and errors";
    table.add(
        "does CloudAudit keep request id and context",
        audit,
        in_the_audit_log(account).await,
    );
}

async fn regions(account: &Account) -> Answer<(String, Holds)> {
    let regions = account.kms.regions(&account.region).await?;
    let right = regions.contains(&account.region) && regions.iter().all(|region| is_region(region));
    Ok((regions.join(" "), Holds::when(right)))
}

async fn status(account: &Account) -> Answer<(String, Holds)> {
    let status = account.kms.service_status(&account.region).await?;
    let word = if status.service_enabled { "on" } else { "OFF" };
    let answer = format!(
        "{word}, state {}; {} calls a second, {} keys",
        status.invalid_type, status.qps_limit, status.cmk_limit
    );
    Ok((answer, Holds::EitherWay))
}

async fn algorithms(account: &Account) -> Answer<(String, Holds)> {
    let all = account.kms.algorithms(&account.region).await?;
    let named = all
        .iter()
        .map(|it| format!("{} is {}", it.key_usage, it.algorithm));
    Ok((named.collect::<Vec<_>>().join(", "), Holds::EitherWay))
}

fn time(account: &Account) -> (String, Holds) {
    match account.kms.access() {
        Access::Service {
            clock_ahead: Some(seconds),
            ..
        } => (format!("yes; {seconds} s ahead of this machine"), Holds::Yes),
        _ => ("no".to_owned(), Holds::EitherWay),
    }
}

fn temporary(account: &Account) -> (String, Holds) {
    let held = account.kms.credentials();
    let Some(held) = held.filter(|held| held.expires.is_some() || held.source == Source::Environment) else {
        return (
            "not asked: it does not show whether these are".to_owned(),
            Holds::Open,
        );
    };
    match TOKENS.into_iter().find(|name| variable(name).is_some()) {
        _ if held.expires.is_some() => (format!("taken, from {}", held.source), Holds::Yes),
        Some(name) => (format!("taken, with the token in {name}"), Holds::Yes),
        None => ("not asked: these last".to_owned(), Holds::Open),
    }
}

fn machine(account: &Account) -> (String, Holds) {
    match account.kms.credentials() {
        Some(held) if held.source == Source::CvmRole => ("it gives a role".to_owned(), Holds::Yes),
        _ => (
            "not asked: these credentials are not of a machine".to_owned(),
            Holds::Open,
        ),
    }
}

/// Asked of curl: our client has no HTTP/2.
fn http2() -> (String, Holds) {
    let open = |why: &str| (format!("not asked: {why}"), Holds::Open);
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
        Ok(done) => open(&format!("curl ended with {}", done.status)),
        Err(_) => open("there is no curl"),
    }
}

async fn in_the_audit_log(account: &Account) -> Answer<(String, Holds)> {
    let sealed = account.seal(&context("audit")).await?;
    let answer = format!(
        "look for request {}, name \"audit\" in its context",
        sealed.request
    );
    Ok((answer, Holds::Open))
}
