//! Whether the client's calls work, as the commands and the controller make them.

use envelope_secrets::envelope::{DataKey, SecretBytes};
use envelope_secrets::kms::Kms as _;
use serde_json::json;

use crate::table::{Answer, Holds, Table};
use crate::{Account, context};

/// Adds no row if it fails.
pub(crate) async fn generate_and_decrypt(account: &Account, table: &mut Table) -> Answer<()> {
    let (key, context) = (&account.key, context("calls"));
    let generated = account.kms.generate_data_key(key, &context).await?;
    let opened = account.kms.decrypt(key, &generated.ciphertext, &context).await?;
    let is_same = is_equal(&opened, &generated.data_key);
    let answer = format!(
        "a ciphertext of {} characters, opens {}",
        generated.ciphertext.len(),
        opens_to(is_same)
    );
    table.works("GenerateDataKey and Decrypt", Ok((answer, Holds::when(is_same))));
    Ok(())
}

pub(crate) async fn check(account: &Account, table: &mut Table) {
    table.works("Encrypt", encrypt(account).await);
    table.works("ReEncrypt", re_encrypt(account).await);
    table.works("DescribeKey", describe(account).await);
    table.works("DescribeKeys", describe_keys(account).await);
    table.works("ListKeys", list_keys(account).await);
    table.works("ListKeyDetail", list_key_details(account).await);
    table.works("GetKeyRotationStatus", rotation(account).await);
}

fn is_equal(opened: &SecretBytes, key: &DataKey) -> bool {
    opened.ct_eq(&SecretBytes::new(key.expose().to_vec()))
}

fn opens_to(is_same: bool) -> &'static str {
    if is_same {
        "to the same data key"
    } else {
        "to ANOTHER data key"
    }
}

async fn encrypt(account: &Account) -> Answer<(String, Holds)> {
    let (key, context) = (&account.key, context("calls"));
    let data_key = DataKey::random().expect("randomness");
    let blob = account.kms.encrypt(key, &data_key, &context).await?;
    let opened = account.kms.decrypt(key, &blob, &context).await?;
    let is_same = is_equal(&opened, &data_key);
    Ok((
        format!("its ciphertext opens {}", opens_to(is_same)),
        Holds::when(is_same),
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
    let is_same = is_equal(&opened, &generated.data_key);
    Ok((
        format!("its ciphertext opens {}", opens_to(is_same)),
        Holds::when(is_same),
    ))
}

async fn describe(account: &Account) -> Answer<(String, Holds)> {
    let key = account.kms.describe(&account.key).await?;
    Ok((key.state.clone(), Holds::when(key.state == "Enabled")))
}

async fn describe_keys(account: &Account) -> Answer<(String, Holds)> {
    let fields = account
        .raw("DescribeKeys", json!({"KeyIds": [account.id]}))
        .await?;
    let ids = key_ids(&fields["KeyMetadatas"]);
    let is_expected = ids == [account.id.as_str()];
    Ok((format!("{} for one id", ids.len()), Holds::when(is_expected)))
}

async fn list_keys(account: &Account) -> Answer<(String, Holds)> {
    let mut ids: Vec<String> = Vec::new();
    loop {
        let page = json!({"Offset": ids.len(), "Limit": 200});
        let fields = account.raw("ListKeys", page).await?;
        let page = key_ids(&fields["Keys"]);
        ids.extend(page.iter().map(|id| (*id).to_owned()));
        if page.is_empty() || fields["TotalCount"] == ids.len() {
            break;
        }
    }
    let is_listed = ids.contains(&account.id);
    let with = if is_listed { "with" } else { "WITHOUT" };
    let answer = format!("{} listed, {with} this one", ids.len());
    Ok((answer, Holds::when(is_listed)))
}

async fn list_key_details(account: &Account) -> Answer<(String, Holds)> {
    let found = account
        .kms
        .list_key_details(&account.region, Some(&account.id))
        .await?;
    let is_expected = matches!(&found[..], [one] if one.uri == account.key);
    Ok((
        format!("{} found by the id", found.len()),
        Holds::when(is_expected),
    ))
}

async fn rotation(account: &Account) -> Answer<(String, Holds)> {
    let is_enabled = account.rotation_enabled(&account.id).await?;
    let described = account.kms.describe_key(&account.key).await?;
    let agrees = described.key_rotation_enabled == is_enabled;
    let state = if is_enabled { "on" } else { "off" };
    let relation = if agrees { "as" } else { "NOT as" };
    Ok((format!("{state}, {relation} in DescribeKey"), Holds::when(agrees)))
}

fn key_ids(keys: &serde_json::Value) -> Vec<&str> {
    let keys = keys.as_array().map(Vec::as_slice).unwrap_or_default();
    keys.iter().filter_map(|key| key["KeyId"].as_str()).collect()
}
