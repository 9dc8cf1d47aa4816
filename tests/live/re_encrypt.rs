//! What ReEncrypt does when little changes.

use serde_json::json;

use crate::table::{Answer, Holds, Table};
use crate::{Account, context, text};

const NOTHING: &str = "nothing: no command needs it";

pub(crate) async fn ask(account: &Account, table: &mut Table) {
    let same = "ReEncrypt, same key and context, not rotated since";
    table.add(same, NOTHING, to(account, "one").await);
    let context = "ReEncrypt, same key, another context";
    table.add(context, NOTHING, to(account, "two").await);
}

/// From the context `one` to another, which may be the same.
async fn to(account: &Account, name: &str) -> Answer<(String, Holds)> {
    let (from, to) = (context("one"), context(name));
    let sealed = account.seal(&from).await?;
    let parameters = json!({
        "CiphertextBlob": sealed.blob,
        "SourceEncryptionContext": from.as_str(),
        "DestinationEncryptionContext": to.as_str(),
    });
    let fields = account.raw("ReEncrypt", parameters).await?;
    let (blob, word) = (text(&fields, "CiphertextBlob"), &fields["ReEncrypted"]);
    let old = if blob == sealed.blob { "the old" } else { "a new" };
    let opens = match account.open(&blob, Some(to.as_str())).await {
        Ok(opened) if opened == sealed.plaintext => "it opens".to_owned(),
        Ok(_) => "it opens to ANOTHER key".to_owned(),
        Err(failure) => failure.told(),
    };
    Ok((
        format!("ReEncrypted {word}, {old} ciphertext; with the new context: {opens}"),
        Holds::EitherWay,
    ))
}
