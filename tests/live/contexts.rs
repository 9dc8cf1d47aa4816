//! How the encryption context binds a ciphertext.

use envelope_secrets::kms::{Class, KeyUri};
use serde_json::json;

use crate::table::{Answer, Failure, Holds, Table};
use crate::{Account, context};

const REFUSED: &str = "refused, as an integrity failure";
const ANY: &str = "nothing: a context is always sent, in canonical form";

pub(crate) async fn check(account: &Account, table: &mut Table) {
    table.add("wrong context", REFUSED, wrong(account).await);
    table.add("missing context", REFUSED, missing(account).await);
    let equal = "empty context instead of none, and vice versa";
    table.add(equal, ANY, empty_is_none(account).await);
    let spelled = "context with reordered members and spaces";
    table.add(spelled, ANY, respelled(account, reordered).await);
    let escaped = "context with an escaped letter";
    table.add(escaped, ANY, respelled(account, with_escape).await);
    let longest = "contexts of 1024 and 1025 bytes";
    table.add(
        longest,
        "1024 are accepted; documents have fewer",
        longest_context(account).await,
    );
    table.add("malformed ciphertext", REFUSED, garbage(account).await);
    let absent = "DescribeKey of a key that does not exist";
    table.add(absent, "class not_found", absent_key(account).await);
    let unknown = "unknown parameter";
    table.add(unknown, "nothing: none is sent", unknown_parameter(account).await);
}

/// The answer for a ciphertext that must be refused: whatever the code, as an integrity failure.
pub(crate) fn refusal(opened: Answer<String>) -> Answer<(String, Holds)> {
    match opened {
        Ok(_) => Ok(("OPENS".to_owned(), Holds::No)),
        Err(failure) if failure.is_no_answer() => Err(failure),
        Err(failure) => Ok((failure.to_cell(), Holds::when(failure.class == Class::Integrity))),
    }
}

async fn wrong(account: &Account) -> Answer<(String, Holds)> {
    let sealed = account.seal(&context("one")).await?;
    let other = context("two");
    refusal(account.open(&sealed.blob, Some(other.as_str())).await)
}

async fn missing(account: &Account) -> Answer<(String, Holds)> {
    let sealed = account.seal(&context("one")).await?;
    refusal(account.open(&sealed.blob, None).await)
}

async fn empty_is_none(account: &Account) -> Answer<(String, Holds)> {
    let (none, empty) = (None, Some(""));
    let mut cells = Vec::new();
    for (sealed_with, opened_with, what) in [
        (none, empty, "none opened with empty"),
        (empty, none, "empty opened with none"),
    ] {
        let sealed = account.seal_with(&account.id, sealed_with).await;
        let opened = match sealed {
            Ok(sealed) => account
                .open(&sealed.blob, opened_with)
                .await
                .map(|_| "yes".to_owned()),
            Err(failure) => Err(failure),
        };
        cells.push(format!(
            "{what}: {}",
            opened.unwrap_or_else(|failure| failure.to_cell())
        ));
    }
    Ok((cells.join("; "), Holds::EitherWay))
}

/// The same JSON with its members in another order, and spaces.
fn reordered(context: &str) -> String {
    let members: serde_json::Map<_, _> = serde_json::from_str(context).expect("an object");
    let members = members
        .iter()
        .rev()
        .map(|(name, value)| format!("{} : {value}", json!(name)));
    format!("{{ {} }}", members.collect::<Vec<_>>().join(", "))
}

/// The same JSON with one letter escaped.
fn with_escape(context: &str) -> String {
    context.replacen("live", "\\u006cive", 1)
}

async fn respelled(account: &Account, spell: fn(&str) -> String) -> Answer<(String, Holds)> {
    let context = context("spelled");
    let sealed = account.seal(&context).await?;
    let other = spell(context.as_str());
    let answer = match account.open(&sealed.blob, Some(&other)).await {
        Ok(_) => "opens: compared as JSON".to_owned(),
        Err(failure) if failure.is_no_answer() => return Err(failure),
        Err(failure) => format!("{}: compared as text", failure.to_cell()),
    };
    Ok((answer, Holds::EitherWay))
}

async fn longest_context(account: &Account) -> Answer<(String, Holds)> {
    let of = |bytes: usize| format!("{{\"long\":\"{}\"}}", "x".repeat(bytes - 11));
    let sealed = account.seal_with(&account.id, Some(&of(1024))).await?;
    let opened = account.open(&sealed.blob, Some(&of(1024))).await?;
    let is_same = opened == sealed.plaintext;
    let longer = match account.seal_with(&account.id, Some(&of(1025))).await {
        Ok(_) => "accepted".to_owned(),
        Err(failure) => failure.to_cell(),
    };
    let word = if is_same {
        "accepted"
    } else {
        "opens to ANOTHER data key"
    };
    Ok((format!("1024: {word}; 1025: {longer}"), Holds::when(is_same)))
}

async fn garbage(account: &Account) -> Answer<(String, Holds)> {
    refusal(account.open("x", Some(context("one").as_str())).await)
}

async fn absent_key(account: &Account) -> Answer<(String, Holds)> {
    let absent = format!(
        "tencent-kms://{}/00000000-0000-1000-8000-000000000000",
        account.region
    );
    let absent = KeyUri::parse(&absent).expect("a key URI");
    match account.kms.describe_key(&absent).await.map_err(Failure::from) {
        Ok(_) => Ok(("it exists".to_owned(), Holds::No)),
        Err(failure) if failure.is_no_answer() => Err(failure),
        Err(failure) => Ok((failure.to_cell(), Holds::when(failure.class == Class::NotFound))),
    }
}

async fn unknown_parameter(account: &Account) -> Answer<(String, Holds)> {
    let parameters = json!({"KeyId": account.id, "Unknown": "1"});
    match account.raw("DescribeKey", parameters).await {
        Ok(_) => Ok(("ignored".to_owned(), Holds::EitherWay)),
        Err(failure) if failure.is_no_answer() => Err(failure),
        Err(failure) => Ok((failure.to_cell(), Holds::EitherWay)),
    }
}
