//! Suite `live`: what only an account of Tencent Cloud can settle, and whether our client's calls work there.
//!
//! `cargo xtask test live` calls KMS with the program's own client and variables (credentials, endpoints, site) about the
//! key in `ENVELOPE_KEY`. That key is neither disabled nor rotated; contexts here have the audience `envelope-live`.
//! `ENVELOPE_LIVE_CREATE=1` makes a key besides, which costs money, for calls that change a key; at the end it is disabled
//! and its deletion scheduled.
//!
//! Status 0; 1 when an answer is not as the code assumes; 3 when nobody could be asked.
#![allow(clippy::print_stdout, reason = "a program for a terminal")]

mod calls;
mod ciphertext;
mod contexts;
mod own_key;
mod re_encrypt;
mod service;
mod table;

use std::env;
use std::process::ExitCode;

use envelope_secrets::envelope::{Binding, EncryptionContext, Scope};
use envelope_secrets::kms::tencent::from_variables;
use envelope_secrets::kms::tencent::{TencentKms, is_key};
use envelope_secrets::kms::{Class, KeyUri};
use serde_json::{Value, json};

use table::{Answer, Table};

const KEY: &str = "ENVELOPE_KEY";
const ENDPOINT: &str = "ENVELOPE_TENCENT_ENDPOINT";
const CREATE: &str = "ENVELOPE_LIVE_CREATE";

/// Nobody could be asked: xtask tells it from a failure.
const NOT_RUN: u8 = 3;

/// Who is asked, through the program's own client.
struct Account {
    kms: TencentKms,
    key: KeyUri,
    region: String,
    id: String,
}

/// A fresh data key with its ciphertext. It is of no use to anybody: nothing is sealed with it.
struct Sealed {
    /// In base64.
    plaintext: String,
    blob: String,
    request: String,
}

impl Account {
    /// A call with exactly these parameters.
    async fn raw(&self, action: &'static str, parameters: Value) -> Answer<Value> {
        Ok(self.kms.raw(action, &self.region, &parameters).await?)
    }

    /// A data key of this KMS key whose context is this text, or that has none.
    async fn seal_with(&self, key_id: &str, context: Option<&str>) -> Answer<Sealed> {
        let mut parameters = json!({"KeyId": key_id, "KeySpec": "AES_256"});
        if let Some(context) = context {
            parameters["EncryptionContext"] = context.into();
        }
        let fields = self.raw("GenerateDataKey", parameters).await?;
        Ok(Sealed {
            plaintext: text(&fields, "Plaintext"),
            blob: text(&fields, "CiphertextBlob"),
            request: text(&fields, "RequestId"),
        })
    }

    async fn seal(&self, context: &EncryptionContext) -> Answer<Sealed> {
        self.seal_with(&self.id, Some(context.as_str())).await
    }

    /// What a ciphertext opens to under this context, or under none: base64.
    async fn open(&self, blob: &str, context: Option<&str>) -> Answer<String> {
        let mut parameters = json!({"CiphertextBlob": blob});
        if let Some(context) = context {
            parameters["EncryptionContext"] = context.into();
        }
        Ok(text(&self.raw("Decrypt", parameters).await?, "Plaintext"))
    }
}

/// A field of an answer; "" where there is none.
fn text(fields: &Value, name: &str) -> String {
    fields[name].as_str().unwrap_or_default().to_owned()
}

/// A context as documents have it.
fn context(name: &str) -> EncryptionContext {
    Binding::new(Scope::Strict, Some("envelope-live"), "live", name).context()
}

/// A variable; empty counts as not set.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// Who answers, in words.
fn answered_by() -> String {
    match variable(ENDPOINT) {
        None => "Tencent Cloud".to_owned(),
        Some(endpoint) if endpoint.trim_end_matches('/').ends_with(".tencentcloudapi.com") => {
            format!("Tencent Cloud ({endpoint})")
        }
        Some(endpoint) => format!("an emulator, not Tencent Cloud ({endpoint})"),
    }
}

/// Why nothing was asked.
enum Unable {
    NotRun(String),
    Failed(String),
}

fn account() -> Result<Account, Unable> {
    let not_run = |why: &str| Unable::NotRun(format!("{KEY} {why}"));
    let key =
        variable(KEY).ok_or_else(|| not_run("is not set: give the URI of a KMS key that may be used"))?;
    let key = KeyUri::parse(&key).ok().filter(is_key);
    let key = key.ok_or_else(|| not_run("is no KMS key of Tencent Cloud: tencent-kms://REGION/KEY-ID"))?;
    let kms = from_variables().map_err(|error| Unable::Failed(error.message))?;
    let (region, id) = key.rest().split_once('/').unwrap_or_default();
    let (region, id) = (region.to_owned(), id.to_owned());
    Ok(Account { kms, key, region, id })
}

async fn run() -> Result<(usize, String), Unable> {
    let account = account()?;
    println!("asking {} about {}", answered_by(), account.key);
    let mut table = Table::default();
    // Nothing can be asked without these two.
    if let Err(failure) = calls::generate_and_decrypt(&account, &mut table).await {
        let why = format!("{}; {}", failure.message, failure.advice);
        let none = failure.class == Class::Credentials && account.kms.credentials().is_none();
        return Err(if none {
            Unable::NotRun(why)
        } else {
            Unable::Failed(why)
        });
    }
    calls::ask(&account, &mut table).await;
    contexts::ask(&account, &mut table).await;
    ciphertext::ask(&account, &mut table).await;
    re_encrypt::ask(&account, &mut table).await;
    service::ask(&account, &mut table).await;
    if variable(CREATE).is_some_and(|value| value == "1") {
        own_key::ask(&account, &mut table).await;
    } else {
        println!("{CREATE}=1 asks more, of a key that is made for it and costs money");
    }
    println!();
    table.print();
    println!("\nanswered by {}", answered_by());
    Ok(table.closing_line())
}

fn main() -> ExitCode {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    match runtime.block_on(run()) {
        Ok((contradictions, line)) => {
            println!("{line}");
            ExitCode::from(u8::from(contradictions > 0))
        }
        Err(Unable::NotRun(why)) => {
            println!("not run: {why}");
            ExitCode::from(NOT_RUN)
        }
        Err(Unable::Failed(why)) => {
            println!("failed before the first question: {why}");
            ExitCode::FAILURE
        }
    }
}
