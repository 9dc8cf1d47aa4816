//! The actions that change a key, on a key that is created here and scheduled for deletion at the end.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use envelope_secrets::kms::tencent::NewKey;
use envelope_secrets::kms::{Class, KeyUri, Kms as _};
use serde_json::json;

use crate::ciphertext::{joined, other_shape, parts, tampered};
use crate::table::{Answer, Failure, Holds, Table};
use crate::{Account, context};

/// How long a change may take to become effective.
const TIMEOUT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_secs(1);

pub(crate) async fn check(account: &Account, table: &mut Table) {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let new = NewKey {
        alias: format!("envelope-live-{}", time.as_millis()),
        description: Some("created by envelope-secrets' suite live; may be deleted".to_owned()),
    };
    let created = account.kms.create_key(&account.region, &new).await;
    let uri = created.as_ref().ok().cloned();
    let answer = created
        .map(|uri| (uri.to_string(), Holds::Yes))
        .map_err(Failure::from);
    table.works("CreateKey", answer);
    if let Some(uri) = uri {
        println!("created {uri}");
        check_key(account, &uri, table).await;
    }
}

async fn check_key(account: &Account, uri: &KeyUri, table: &mut Table) {
    let id = key_id(uri);
    let rotation = "EnableKeyRotation and DisableKeyRotation";
    table.works(rotation, rotate(account, uri).await);
    table.works("ReEncrypt to another key", re_encrypt(account, uri).await);
    let first = "part 1 from a ciphertext of another key";
    let nothing = "nothing: the key id in every response is checked";
    table.add(first, nothing, transplanted(account, id).await);
    let disabled = "Decrypt with a disabled key";
    table.add(
        disabled,
        "class key_unusable",
        disable_and_enable(account, uri).await,
    );
    let deleted = "deletion of the created key";
    let deletion = schedule_deletion(account, uri, id).await.or_else(|failure| {
        let answer = format!("{}; delete it in the console: it costs money", failure.to_cell());
        Ok((answer, Holds::No))
    });
    table.add(deleted, "it is scheduled", deletion);
}

/// Polls until the condition holds, because changes may become effective with a delay. Returns the seconds it took, or
/// `None` after the timeout.
async fn seconds_until(mut condition: impl AsyncFnMut() -> Answer<bool>) -> Answer<Option<u64>> {
    let start = Instant::now();
    while start.elapsed() < TIMEOUT {
        if condition().await? {
            return Ok(Some(start.elapsed().as_secs()));
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(None)
}

fn duration(seconds: Option<u64>) -> String {
    match seconds {
        Some(seconds) => format!("within {} s", seconds + 1),
        None => format!("NOT within {} s", TIMEOUT.as_secs()),
    }
}

async fn rotate(account: &Account, key: &KeyUri) -> Answer<(String, Holds)> {
    let kms = &account.kms;
    kms.enable_rotation(key, Some(30)).await?;
    let on = seconds_until(async || {
        let key = kms.describe_key(key).await?;
        Ok(key.key_rotation_enabled && key.rotate_days == 30)
    });
    let on = on.await?;
    kms.disable_rotation(key).await?;
    let id = key_id(key);
    let off = seconds_until(async || Ok(!account.rotation_enabled(id).await?)).await?;
    let answer = format!("every 30 days {}, off {}", duration(on), duration(off));
    Ok((answer, Holds::when(on.is_some() && off.is_some())))
}

async fn re_encrypt(account: &Account, uri: &KeyUri) -> Answer<(String, Holds)> {
    let context = context("moved");
    let generated = account.kms.generate_data_key(&account.key, &context).await?;
    let moved = account
        .kms
        .re_encrypt(&account.key, &generated.ciphertext, uri, &context)
        .await?;
    let opened = account.kms.decrypt(uri, &moved, &context).await?;
    let is_same = opened.expose() == generated.data_key.expose();
    let word = if is_same {
        "to the same data key"
    } else {
        "to ANOTHER data key"
    };
    Ok((format!("its ciphertext opens {word}"), Holds::when(is_same)))
}

async fn transplanted(account: &Account, id: &str) -> Answer<(String, Holds)> {
    let context = context("one");
    let sealed = account.seal(&context).await?;
    let other = account.seal_with(id, Some(context.as_str())).await?;
    let (Some(mut whole), Some(other)) = (parts(&sealed.blob), parts(&other.blob)) else {
        return Ok(other_shape());
    };
    whole[0].clone_from(&other[0]);
    tampered(
        account.open(&joined(&whole), Some(context.as_str())).await,
        &sealed,
        0,
    )
}

async fn disable_and_enable(account: &Account, uri: &KeyUri) -> Answer<(String, Holds)> {
    let (kms, context) = (&account.kms, context("disabled"));
    let blob = kms.generate_data_key(uri, &context).await?.ciphertext;
    account.set_enabled(key_id(uri), false).await?;
    let mut code = String::new();
    let refused = seconds_until(async || match kms.decrypt(uri, &blob, &context).await {
        Ok(_) => Ok(false),
        Err(error) if error.class == Class::KeyUnusable => {
            code = Failure::from(error).to_cell();
            Ok(true)
        }
        Err(error) => Err(error.into()),
    });
    let refused = refused.await?;
    account.set_enabled(key_id(uri), true).await?;
    let opens = seconds_until(async || Ok(kms.decrypt(uri, &blob, &context).await.is_ok())).await?;
    let answer = format!(
        "refused {}: {code}; enabled again, opens {}",
        duration(refused),
        duration(opens)
    );
    Ok((answer, Holds::when(refused.is_some() && opens.is_some())))
}

/// Disables the key and schedules its deletion, so that it does not cost money for long.
async fn schedule_deletion(account: &Account, uri: &KeyUri, id: &str) -> Answer<(String, Holds)> {
    let kms = &account.kms;
    let is = async |state: &str| Ok(kms.describe_key(uri).await?.key_state == state);
    let disabled = account.set_enabled(id, false).await;
    if !is("Disabled").await? {
        disabled?; // it may have been disabled already
        seconds_until(async || is("Disabled").await).await?;
    }
    let parameters = json!({"KeyId": id, "PendingWindowInDays": 7});
    account.raw("ScheduleKeyDeletion", parameters).await?;
    let seconds = seconds_until(async || is("PendingDelete").await).await?;
    let answer = format!("PendingDelete {}, deleted in 7 days", duration(seconds));
    Ok((answer, Holds::when(seconds.is_some())))
}

fn key_id(uri: &KeyUri) -> &str {
    uri.rest().rsplit('/').next().unwrap_or_default()
}
