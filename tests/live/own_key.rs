//! What changes a key: asked of one that is made here and given up at the end.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use envelope_secrets::kms::tencent::NewKey;
use envelope_secrets::kms::{Class, KeyUri, Kms as _};
use serde_json::json;

use crate::ciphertext::{joined, other_shape, parts, tried};
use crate::table::{Answer, Failure, Holds, Table};
use crate::{Account, context};

/// How long a change may take to have its effect.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_secs(1);

pub(crate) async fn ask(account: &Account, table: &mut Table) {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let new = NewKey {
        alias: format!("envelope-live-{}", time.as_millis()),
        description: Some("of a run of envelope-secrets' suite live; may be deleted".to_owned()),
    };
    let made = account.kms.create_key(&account.region, &new).await;
    let uri = made.as_ref().ok().cloned();
    let answer = made
        .map(|uri| (uri.to_string(), Holds::Yes))
        .map_err(Failure::from);
    table.works("CreateKey", answer);
    if let Some(uri) = uri {
        println!("made {uri}");
        of(account, &uri, table).await;
    }
}

async fn of(account: &Account, uri: &KeyUri, table: &mut Table) {
    let id = uri.rest().rsplit('/').next().unwrap_or_default();
    let rotation = "EnableKeyRotation and DisableKeyRotation";
    table.works(rotation, rotated(account, uri).await);
    table.works("ReEncrypt to another key", moved(account, uri).await);
    let first = "part 1 of another key's ciphertext";
    let nothing = "nothing: the key id of every answer is compared";
    table.add(first, nothing, transplanted(account, id).await);
    let disabled = "Decrypt with a key that is disabled";
    table.add(
        disabled,
        "taken as key_unusable",
        disabled_and_enabled(account, uri).await,
    );
    let deleted = "is the key that was made given up";
    let given_up = given_up(account, uri, id).await.or_else(|failure| {
        let answer = format!("{}; do it in the console: it costs money", failure.told());
        Ok((answer, Holds::No))
    });
    table.add(deleted, "it must be", given_up);
}

/// Asks until it is so, as changes may take effect a little later. `None`: it does not come to be.
async fn seconds_until(mut is_so: impl AsyncFnMut() -> Answer<bool>) -> Answer<Option<u64>> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if is_so().await? {
            return Ok(Some(begun.elapsed().as_secs()));
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(None)
}

fn told(seconds: Option<u64>) -> String {
    match seconds {
        Some(seconds) => format!("within {} s", seconds + 1),
        None => format!("NOT within {} s", PATIENCE.as_secs()),
    }
}

async fn rotated(account: &Account, key: &KeyUri) -> Answer<(String, Holds)> {
    let kms = &account.kms;
    kms.enable_rotation(key, Some(30)).await?;
    let on = seconds_until(async || {
        let key = kms.describe_key(key).await?;
        Ok(key.key_rotation_enabled && key.rotate_days == 30)
    });
    let on = on.await?;
    kms.disable_rotation(key).await?;
    let off = seconds_until(async || Ok(!kms.rotates(key).await?)).await?;
    let answer = format!("every 30 days {}, off {}", told(on), told(off));
    Ok((answer, Holds::when(on.is_some() && off.is_some())))
}

async fn moved(account: &Account, uri: &KeyUri) -> Answer<(String, Holds)> {
    let context = context("moved");
    let generated = account.kms.generate_data_key(&account.key, &context).await?;
    let moved = account
        .kms
        .re_encrypt(&account.key, &generated.ciphertext, uri, &context)
        .await?;
    let opened = account.kms.decrypt(uri, &moved, &context).await?;
    let right = opened.expose() == generated.data_key.expose();
    let word = if right {
        "to the same key"
    } else {
        "to ANOTHER key"
    };
    Ok((format!("its ciphertext opens {word}"), Holds::when(right)))
}

async fn transplanted(account: &Account, id: &str) -> Answer<(String, Holds)> {
    let context = context("one");
    let sealed = account.seal(&context).await?;
    let other = account.seal_with(id, Some(context.as_str())).await?;
    let (Some(mut whole), Some(other)) = (parts(&sealed.blob), parts(&other.blob)) else {
        return Ok(other_shape());
    };
    whole[0].clone_from(&other[0]);
    tried(
        account.open(&joined(&whole), Some(context.as_str())).await,
        &sealed,
        0,
    )
}

async fn disabled_and_enabled(account: &Account, uri: &KeyUri) -> Answer<(String, Holds)> {
    let (kms, context) = (&account.kms, context("disabled"));
    let blob = kms.generate_data_key(uri, &context).await?.ciphertext;
    kms.disable_key(uri).await?;
    let mut code = String::new();
    let refused = seconds_until(async || match kms.decrypt(uri, &blob, &context).await {
        Ok(_) => Ok(false),
        Err(error) if error.class == Class::KeyUnusable => {
            code = Failure::from(error).told();
            Ok(true)
        }
        Err(error) => Err(error.into()),
    });
    let refused = refused.await?;
    kms.enable_key(uri).await?;
    let opens = seconds_until(async || Ok(kms.decrypt(uri, &blob, &context).await.is_ok())).await?;
    let answer = format!(
        "refused {}: {code}; enabled again, it opens {}",
        told(refused),
        told(opens)
    );
    Ok((answer, Holds::when(refused.is_some() && opens.is_some())))
}

/// Nothing is left behind that costs money for long.
async fn given_up(account: &Account, uri: &KeyUri, id: &str) -> Answer<(String, Holds)> {
    let kms = &account.kms;
    let is = async |state: &str| Ok(kms.describe_key(uri).await?.key_state == state);
    let disabled = kms.disable_key(uri).await;
    if !is("Disabled").await? {
        disabled?; // it may have been disabled all along
        seconds_until(async || is("Disabled").await).await?;
    }
    let parameters = json!({"KeyId": id, "PendingWindowInDays": 7});
    account.raw("ScheduleKeyDeletion", parameters).await?;
    let seconds = seconds_until(async || is("PendingDelete").await).await?;
    let answer = format!("PendingDelete {}, gone in 7 days", told(seconds));
    Ok((answer, Holds::when(seconds.is_some())))
}
