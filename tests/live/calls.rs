//! Whether the client's own calls work, as commands and controller make them.

use envelope_secrets::envelope::{DataKey, SecretBytes};
use envelope_secrets::kms::Kms as _;

use crate::table::{Answer, Holds, Table};
use crate::{Account, context};

/// Adds nothing when it fails.
pub(crate) async fn generate_and_decrypt(account: &Account, table: &mut Table) -> Answer<()> {
    let (key, context) = (&account.key, context("calls"));
    let generated = account.kms.generate_data_key(key, &context).await?;
    let opened = account.kms.decrypt(key, &generated.ciphertext, &context).await?;
    let right = is(&opened, &generated.data_key);
    let answer = format!(
        "a ciphertext of {} characters, which opens {}",
        generated.ciphertext.len(),
        rightly(right)
    );
    table.works("GenerateDataKey and Decrypt", Ok((answer, Holds::when(right))));
    Ok(())
}

pub(crate) async fn ask(account: &Account, table: &mut Table) {
    table.works("Encrypt", encrypt(account).await);
    table.works("ReEncrypt", re_encrypt(account).await);
    table.works("DescribeKey", describe(account).await);
    table.works("DescribeKeys", describe_all(account).await);
    table.works("ListKeys", list(account).await);
    table.works("ListKeyDetail", list_details(account).await);
    table.works("GetKeyRotationStatus", rotation(account).await);
}

fn is(opened: &SecretBytes, key: &DataKey) -> bool {
    opened.ct_eq(&SecretBytes::new(key.expose().to_vec()))
}

fn rightly(right: bool) -> &'static str {
    if right {
        "to the same key"
    } else {
        "to ANOTHER key"
    }
}

async fn encrypt(account: &Account) -> Answer<(String, Holds)> {
    let (key, context) = (&account.key, context("calls"));
    let data_key = DataKey::random().expect("randomness");
    let blob = account.kms.encrypt(key, &data_key, &context).await?;
    let opened = account.kms.decrypt(key, &blob, &context).await?;
    let right = is(&opened, &data_key);
    Ok((
        format!("its ciphertext opens {}", rightly(right)),
        Holds::when(right),
    ))
}

async fn re_encrypt(account: &Account) -> Answer<(String, Holds)> {
    let (key, context) = (&account.key, context("calls"));
    let generated = account.kms.generate_data_key(key, &context).await?;
    let moved = account
        .kms
        .re_encrypt(key, &generated.ciphertext, key, &context)
        .await?;
    let opened = account.kms.decrypt(key, &moved, &context).await?;
    let right = is(&opened, &generated.data_key);
    Ok((
        format!("its ciphertext opens {}", rightly(right)),
        Holds::when(right),
    ))
}

async fn describe(account: &Account) -> Answer<(String, Holds)> {
    let key = account.kms.describe(&account.key).await?;
    Ok((key.state.clone(), Holds::when(key.state == "Enabled")))
}

async fn describe_all(account: &Account) -> Answer<(String, Holds)> {
    let keys = account
        .kms
        .describe_keys(std::slice::from_ref(&account.key))
        .await?;
    let it = matches!(&keys[..], [one] if one.key_id == account.id);
    Ok((format!("{} for one id", keys.len()), Holds::when(it)))
}

async fn list(account: &Account) -> Answer<(String, Holds)> {
    let keys = account.kms.list_keys(&account.region).await?;
    let it = keys.contains(&account.key);
    let with = if it { "with" } else { "WITHOUT" };
    Ok((format!("{} listed, {with} this one", keys.len()), Holds::when(it)))
}

async fn list_details(account: &Account) -> Answer<(String, Holds)> {
    let found = account
        .kms
        .list_key_details(&account.region, Some(&account.id))
        .await?;
    let it = matches!(&found[..], [one] if one.uri == account.key);
    Ok((format!("{} found by the id", found.len()), Holds::when(it)))
}

async fn rotation(account: &Account) -> Answer<(String, Holds)> {
    let rotates = account.kms.rotates(&account.key).await?;
    let described = account.kms.describe_key(&account.key).await?;
    let agrees = described.key_rotation_enabled == rotates;
    let word = if rotates { "on" } else { "off" };
    let with = if agrees { "as" } else { "NOT as" };
    Ok((format!("{word}, {with} DescribeKey says"), Holds::when(agrees)))
}
