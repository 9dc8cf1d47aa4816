//! ReEncrypt to the same key.

use serde_json::json;

use crate::table::{Answer, Holds, Table};
use crate::{Account, context, text};

const NOTHING: &str = "nothing: no command relies on it";

pub(crate) async fn check(account: &Account, table: &mut Table) {
    let same = "ReEncrypt with the same key and context, without a rotation in between";
    table.add(same, NOTHING, to(account, "one").await);
    let context = "ReEncrypt with the same key and another context";
    table.add(context, NOTHING, to(account, "two").await);
}

/// Re-encrypts from the context `one` to the context `name`, which may be the same.
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
    let old = if blob == sealed.blob { "unchanged" } else { "new" };
    let opens = match account.open(&blob, Some(to.as_str())).await {
        Ok(opened) if opened == sealed.plaintext => "opens".to_owned(),
        Ok(_) => "opens to ANOTHER data key".to_owned(),
        Err(failure) => failure.to_cell(),
    };
    Ok((
        format!("ReEncrypted {word}, {old} ciphertext; with the new context: {opens}"),
        Holds::EitherWay,
    ))
}
