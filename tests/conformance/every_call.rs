//! Each call of our client of Tencent Cloud KMS, with all that it can send and with the least, so that what it sends can be
//! compared with what the SDKs send. Started by `python_compare.py` and `node_compare.js`, with an alias for new keys.

use std::error::Error;

use envelope_secrets::envelope::{Binding, Scope};
use envelope_secrets::kms::tencent::NewKey;
use envelope_secrets::kms::tencent::from_variables;
use envelope_secrets::kms::{KeyUri, Kms as _};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let alias = std::env::args().nth(1).ok_or("no alias is given")?;
    let key = KeyUri::parse(&std::env::var("ENVELOPE_KEY")?)?;
    let kms = from_variables().map_err(|error| error.message)?;
    let (region, _) = key.rest().split_once('/').ok_or("ENVELOPE_KEY names no key")?;
    let context = Binding::new(Scope::Strict, Some("prod"), "team", "db").context();

    let generated = kms.generate_data_key(&key, &context).await?;
    let wrap = kms.encrypt(&key, &generated.data_key, &context).await?;
    kms.decrypt(&key, &wrap, &context).await?;
    kms.re_encrypt(&key, &wrap, &key, &context).await?;

    let mut new = NewKey {
        alias: format!("{alias}-least"),
        description: None,
    };
    kms.create_key(region, &new).await?;
    new = NewKey {
        alias,
        description: Some("of our client".to_owned()),
    };
    let made = kms.create_key(region, &new).await?;
    kms.describe_key(&made).await?;
    kms.describe_keys(&[key.clone(), made.clone()]).await?;
    kms.list_keys(region).await?;
    kms.list_key_details(region, None).await?;
    kms.list_key_details(region, Some(&new.alias)).await?;
    kms.enable_rotation(&made, None).await?;
    kms.enable_rotation(&made, Some(30)).await?;
    kms.rotates(&made).await?;
    kms.disable_rotation(&made).await?;
    kms.disable_key(&made).await?;
    kms.enable_key(&made).await?;

    kms.service_status(region).await?;
    kms.regions(region).await?;
    kms.algorithms(region).await?;
    Ok(())
}
