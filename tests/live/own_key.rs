//! What changes a key: asked of one that is made here and given up at the end.

use std::time::{SystemTime, UNIX_EPOCH};

use envelope_secrets::kms::tencent::NewKey;
use envelope_secrets::kms::{Class, KeyUri, Kms as _};
use serde_json::json;

use crate::ciphertext::{joined, other_shape, parts, tried};
use crate::table::{Answer, Failure, Holds, Table};
use crate::{Account, context};

pub(crate) async fn ask(account: &Account, table: &mut Table) {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let new = NewKey {
        alias: format!("envelope-live-{seconds}"),
        description: Some("of a run of envelope-secrets' suite live; may be deleted".to_owned()),
    };
    let made = account.kms.create_key(&account.region, &new).await;
    let made = made.map_err(Failure::from);
    let answer = made.as_ref().map(|uri| (uri.to_string(), Holds::Yes));
    match (answer, &made) {
        (Ok(answer), Ok(uri)) => {
            table.works("CreateKey", Ok(answer));
            println!("made {uri}");
            of(account, uri, table).await;
        }
        _ => {
            if let Err(failure) = made {
                table.works("CreateKey", Err(failure));
            }
        }
    }
}

async fn of(account: &Account, uri: &KeyUri, table: &mut Table) {
    let id = uri.rest().rsplit('/').next().unwrap_or_default();
    let rotation = "EnableKeyRotation and DisableKeyRotation";
    table.works(rotation, rotated(account, id).await);
    table.works("ReEncrypt to another key", moved(account, uri).await);
    let first = "part 1 of another key's ciphertext";
    let nothing = "nothing: the key id of every answer is compared";
    table.add(first, nothing, transplanted(account, id).await);
    let disabled = "Decrypt with a key that is disabled";
    table.add(
        disabled,
        "taken as key_unusable",
        disabled_and_enabled(account, uri, id).await,
    );
    let deleted = "is the key that was made given up";
    table.add(deleted, "it must be", given_up(account, id).await);
}

async fn rotated(account: &Account, id: &str) -> Answer<(String, Holds)> {
    let region = &account.region;
    account.kms.enable_rotation(region, id, Some(30)).await?;
    let on = account.kms.describe_key(region, id).await?;
    account.kms.disable_rotation(region, id).await?;
    let off = account.kms.rotates(region, id).await?;
    let right = on.key_rotation_enabled && on.rotate_days == 30 && !off;
    Ok((
        format!(
            "every {} days, then {}",
            on.rotate_days,
            if off { "still ON" } else { "off" }
        ),
        Holds::when(right),
    ))
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

async fn disabled_and_enabled(account: &Account, uri: &KeyUri, id: &str) -> Answer<(String, Holds)> {
    let (context, region) = (context("disabled"), &account.region);
    let generated = account.kms.generate_data_key(uri, &context).await?;
    account.kms.disable_key(region, id).await?;
    let refused = account.kms.decrypt(uri, &generated.ciphertext, &context).await;
    account.kms.enable_key(region, id).await?;
    let again = account.kms.decrypt(uri, &generated.ciphertext, &context).await;
    let (told, right) = match refused.map_err(Failure::from) {
        Ok(_) => ("it OPENS".to_owned(), false),
        Err(failure) => (failure.told(), failure.class == Class::KeyUnusable),
    };
    let opens = again.is_ok();
    let word = if opens { "it opens" } else { "it does NOT open" };
    Ok((
        format!("{told}; enabled again, {word}"),
        Holds::when(right && opens),
    ))
}

/// Nothing is left behind that costs money for long.
async fn given_up(account: &Account, id: &str) -> Answer<(String, Holds)> {
    account.kms.disable_key(&account.region, id).await?;
    let parameters = json!({"KeyId": id, "PendingWindowInDays": 7});
    account.raw("ScheduleKeyDeletion", parameters).await?;
    let state = account.kms.describe_key(&account.region, id).await?.key_state;
    let right = state == "PendingDelete";
    Ok((format!("{state}, gone in 7 days"), Holds::when(right)))
}
