//! Makes every call of the Tencent Cloud KMS client with all parameters and with the fewest, so that its requests can be
//! compared with those of the SDKs. Actions that the client has no method for are called with `raw`. Run by
//! `python_compare.py` and `node_compare.js`, with an alias for new keys as the argument.

use std::error::Error;

use envelope_secrets::envelope::{Binding, Scope};
use envelope_secrets::kms::tencent::{NewKey, from_variables};
use envelope_secrets::kms::{KeyUri, Kms as _};
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let alias = std::env::args().nth(1).ok_or("missing argument: an alias")?;
    let key = KeyUri::parse(&std::env::var("ENVELOPE_KEY")?)?;
    let kms = from_variables().map_err(|error| error.message)?;
    let (region, key_id) = key.rest().split_once('/').ok_or("ENVELOPE_KEY is not a key")?;
    let context = Binding::new(Scope::Strict, Some("prod"), "team", "db").context();

    let generated = kms.generate_data_key(&key, &context).await?;
    let wrap = kms.encrypt(&key, &generated.data_key, &context).await?;
    kms.decrypt(&key, &wrap, &context).await?;
    kms.re_encrypt(&key, &wrap, &key, &context).await?;

    let mut new = NewKey {
        alias: format!("{alias}-minimal"),
        description: None,
    };
    kms.create_key(region, &new).await?;
    new = NewKey {
        alias,
        description: Some("created by our client".to_owned()),
    };
    let created = kms.create_key(region, &new).await?;
    kms.describe_key(&created).await?;
    let created_id = created.rest().rsplit('/').next().unwrap_or_default();
    let only_key = json!({"KeyId": created_id});
    kms.raw("DescribeKeys", region, &json!({"KeyIds": [key_id, created_id]}))
        .await?;
    kms.raw("ListKeys", region, &json!({"Offset": 0, "Limit": 200}))
        .await?;
    kms.list_key_details(region, None).await?;
    kms.list_key_details(region, Some(&new.alias)).await?;
    kms.enable_rotation(&created, None).await?;
    kms.enable_rotation(&created, Some(30)).await?;
    kms.raw("GetKeyRotationStatus", region, &only_key).await?;
    kms.disable_rotation(&created).await?;
    kms.raw("DisableKey", region, &only_key).await?;
    kms.raw("EnableKey", region, &only_key).await?;

    for action in ["GetServiceStatus", "GetRegions", "ListAlgorithms"] {
        kms.raw(action, region, &json!({})).await?;
    }
    Ok(())
}
