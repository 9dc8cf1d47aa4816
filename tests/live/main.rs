//! Suite `live`: assumptions that only a Tencent Cloud account can confirm, and whether the client's calls work there.
//!
//! `cargo xtask test live` calls KMS with the program's own client and environment variables (credentials, endpoints, site)
//! and the key in `ENVELOPE_KEY`. It neither disables nor rotates that key; its contexts have the audience `envelope-live`.
//! With `ENVELOPE_LIVE_CREATE=1` it also creates a key, which costs money, for the actions that change a key. At the end it
//! disables that key and schedules its deletion.
//!
//! Exits with 0; with 1 if an answer contradicts an assumption of the code; with 3 if no call could be made.
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
use envelope_secrets::kms::tencent::{TencentKms, from_variables, is_key};
use envelope_secrets::kms::{Class, KeyUri};
use serde_json::{Value, json};

use table::{Answer, Table};

const KEY: &str = "ENVELOPE_KEY";
const ENDPOINT: &str = "ENVELOPE_TENCENT_ENDPOINT";
const CREATE: &str = "ENVELOPE_LIVE_CREATE";

/// No call could be made. xtask distinguishes this from a failure.
const NOT_RUN: u8 = 3;

/// The account, and the program's own client of it.
struct Account {
    kms: TencentKms,
    key: KeyUri,
    region: String,
    id: String,
}

/// A new data key and its ciphertext. Nothing is sealed with it.
struct Sealed {
    /// Base64.
    plaintext: String,
    blob: String,
    request: String,
}

impl Account {
    /// Makes a call with exactly these parameters.
    async fn raw(&self, action: &'static str, parameters: Value) -> Answer<Value> {
        Ok(self.kms.raw(action, &self.region, &parameters).await?)
    }

    /// Generates a data key, with this text as its context or without a context.
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

    /// Enables or disables a key.
    async fn set_enabled(&self, key_id: &str, enabled: bool) -> Answer<()> {
        let action = if enabled { "EnableKey" } else { "DisableKey" };
        self.raw(action, json!({"KeyId": key_id})).await?;
        Ok(())
    }

    /// Whether a key is rotated automatically.
    async fn rotation_enabled(&self, key_id: &str) -> Answer<bool> {
        let fields = self.raw("GetKeyRotationStatus", json!({"KeyId": key_id})).await?;
        Ok(fields["KeyRotationEnabled"] == true)
    }

    async fn seal(&self, context: &EncryptionContext) -> Answer<Sealed> {
        self.seal_with(&self.id, Some(context.as_str())).await
    }

    /// Decrypts a ciphertext with this context or without one. Returns base64.
    async fn open(&self, blob: &str, context: Option<&str>) -> Answer<String> {
        let mut parameters = json!({"CiphertextBlob": blob});
        if let Some(context) = context {
            parameters["EncryptionContext"] = context.into();
        }
        Ok(text(&self.raw("Decrypt", parameters).await?, "Plaintext"))
    }
}

/// Returns a text field of a response; "" if it is missing.
fn text(fields: &Value, name: &str) -> String {
    fields[name].as_str().unwrap_or_default().to_owned()
}

/// Returns a context like that of a document.
fn context(name: &str) -> EncryptionContext {
    Binding::new(Scope::Strict, Some("envelope-live"), "live", name).context()
}

/// Returns an environment variable. An empty one counts as not set.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// Returns which server is called, for the output.
fn server() -> String {
    match variable(ENDPOINT) {
        None => "Tencent Cloud".to_owned(),
        Some(endpoint) if endpoint.trim_end_matches('/').ends_with(".tencentcloudapi.com") => {
            format!("Tencent Cloud ({endpoint})")
        }
        Some(endpoint) => format!("an emulator, not Tencent Cloud ({endpoint})"),
    }
}

/// Why no question was asked.
enum Aborted {
    NotRun(String),
    Failed(String),
}

fn account() -> Result<Account, Aborted> {
    let not_run = |why: &str| Aborted::NotRun(format!("{KEY} {why}"));
    let key = variable(KEY).ok_or_else(|| not_run("is not set: set it to the URI of a KMS key to use"))?;
    let key = KeyUri::parse(&key).ok().filter(is_key);
    let key = key.ok_or_else(|| not_run("is not a KMS key of Tencent Cloud: tencent-kms://REGION/KEY-ID"))?;
    let kms = from_variables().map_err(|error| Aborted::Failed(error.message))?;
    let (region, id) = key.rest().split_once('/').unwrap_or_default();
    let (region, id) = (region.to_owned(), id.to_owned());
    Ok(Account { kms, key, region, id })
}

async fn run() -> Result<(usize, String), Aborted> {
    let account = account()?;
    println!("calling {} with {}", server(), account.key);
    let mut table = Table::default();
    // The other questions need these two calls.
    if let Err(failure) = calls::generate_and_decrypt(&account, &mut table).await {
        let why = format!("{}; {}", failure.message, failure.advice);
        let has_no_credentials = failure.class == Class::Credentials && account.kms.credentials().is_none();
        return Err(if has_no_credentials {
            Aborted::NotRun(why)
        } else {
            Aborted::Failed(why)
        });
    }
    calls::check(&account, &mut table).await;
    contexts::check(&account, &mut table).await;
    ciphertext::check(&account, &mut table).await;
    re_encrypt::check(&account, &mut table).await;
    service::check(&account, &mut table).await;
    if variable(CREATE).is_some_and(|value| value == "1") {
        own_key::check(&account, &mut table).await;
    } else {
        println!("{CREATE}=1 checks more, with a new key that costs money");
    }
    println!();
    table.print();
    println!("\nanswered by {}", server());
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
        Err(Aborted::NotRun(why)) => {
            println!("not run: {why}");
            ExitCode::from(NOT_RUN)
        }
        Err(Aborted::Failed(why)) => {
            println!("failed before the first question: {why}");
            ExitCode::FAILURE
        }
    }
}
