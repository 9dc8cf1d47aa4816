//! `keys` of Tencent Cloud KMS.

use super::super::clock;
use super::super::env;
use super::super::failure::{Failure, Result};
use super::super::printer::Printer;
use super::super::table;
use super::super::tencent::TencentArgs;
use super::{RegionArgs, TableFormat};
use crate::envelope::SealTime;
use crate::kms::tencent::{self, KeyMetadata, ListedKey, NewKey, TencentError, TencentKms};
use crate::kms::{AllowedKeys, KeyUri, Kms as _};
use crate::manifest::{self, Member, Node};

pub(super) async fn create(
    args: &TencentArgs,
    region: &RegionArgs,
    alias: Option<&str>,
    description: Option<&str>,
    printer: Printer,
) -> Result<()> {
    let region = region.choose()?;
    let alias = alias.ok_or_else(|| {
        Failure::usage("a KMS key of Tencent Cloud has an alias").help("give it one with --alias ALIAS")
    })?;
    let new = NewKey {
        alias: alias.to_owned(),
        description: description.map(str::to_owned),
    };
    let created = call(args, printer, async |kms| kms.create_key(&region, &new).await).await;
    let uri = created.map_err(|failure| failure.about(&region))?;
    printer.done(&format!("created {uri}, alias {alias}"));
    printer.done(&format!(
        "Seal with it: --key {uri}; the controller opens with it: --allow-key {uri}"
    ));
    printer
        .done("What is sealed with it alone is lost when it is deleted: let few people schedule a deletion.");
    Printer::output(format!("{uri}\n").as_bytes())
}

pub(super) async fn list(
    args: &TencentArgs,
    region: &RegionArgs,
    search: Option<&str>,
    format: TableFormat,
    printer: Printer,
) -> Result<()> {
    let region = region.choose()?;
    let listed = call(args, printer, async |kms| {
        kms.list_key_details(&region, search).await
    });
    let keys = listed.await.map_err(|failure| failure.about(&region))?;
    match format {
        TableFormat::Table => {
            let rows = keys.iter().map(|ListedKey { uri, metadata }| {
                [
                    uri.to_string(),
                    metadata.alias.clone(),
                    metadata.key_state.clone(),
                    metadata.key_usage.clone(),
                    rotation(metadata),
                ]
            });
            let heading = ["KEY", "ALIAS", "STATE", "USAGE", "ROTATES"];
            Printer::output(table::columns(heading, rows).as_bytes())
        }
        TableFormat::Json => {
            let keys = keys.iter().map(|key| node(&key.uri, &key.metadata)).collect();
            Printer::output(manifest::to_json_pretty(&Node::List(keys)).expose())
        }
    }
}

pub(super) async fn describe(
    args: &TencentArgs,
    key: &str,
    format: TableFormat,
    printer: Printer,
) -> Result<()> {
    let key = parse(key)?;
    let described = call(args, printer, async |kms| kms.describe_key(&key).await).await;
    let metadata = described.map_err(|failure| failure.about(&key))?;
    match format {
        TableFormat::Table => {
            let time = |seconds| time(seconds).unwrap_or_else(|| "never".to_owned());
            let mut fields = vec![
                ("key", key.to_string()),
                ("alias", metadata.alias.clone()),
                ("description", metadata.description.clone()),
                ("state", metadata.key_state.clone()),
                ("usage", metadata.key_usage.clone()),
                ("origin", metadata.origin.clone()),
                ("owner", metadata.owner.clone()),
                ("created", time(metadata.create_time)),
                ("rotates", rotation(&metadata)),
                ("last rotation", time(metadata.last_rotate_time)),
                ("next rotation", time(metadata.next_rotate_time)),
                ("in CAM policies", metadata.in_policies(&key).unwrap_or_default()),
            ];
            if metadata.deletion_date != 0 {
                fields.push(("will be deleted", time(metadata.deletion_date)));
            }
            Printer::output(table::fields(&fields).as_bytes())
        }
        TableFormat::Json => {
            let node = node(&key, &metadata);
            Printer::output(manifest::to_json_pretty(&node).expose())
        }
    }
}

pub(super) async fn enable_rotation(
    args: &TencentArgs,
    key: &str,
    days: Option<u16>,
    printer: Printer,
) -> Result<()> {
    let key = parse(key)?;
    let enabled = call(args, printer, async |kms| kms.enable_rotation(&key, days).await).await;
    enabled.map_err(|failure| failure.about(&key))?;
    let every = days.map_or_else(|| "every year".to_owned(), |days| format!("every {days} days"));
    printer.done(&format!(
        "{key} gets new material {every}; what was sealed before still opens"
    ));
    Ok(())
}

pub(super) async fn disable_rotation(args: &TencentArgs, key: &str, printer: Printer) -> Result<()> {
    let key = parse(key)?;
    let disabled = call(args, printer, async |kms| kms.disable_rotation(&key).await).await;
    disabled.map_err(|failure| failure.about(&key))?;
    printer.done(&format!("{key} keeps the material that it has"));
    Ok(())
}

/// A call of a client that manages keys: it opens nothing.
async fn call<T>(
    args: &TencentArgs,
    printer: Printer,
    call: impl AsyncFnOnce(&TencentKms) -> std::result::Result<T, TencentError>,
) -> Result<T> {
    let kms = args.provider(AllowedKeys::default())?;
    let done = call(&kms).await;
    let ahead = kms.access().clock_ahead();
    clock::warn(ahead.map(|ahead| (tencent::SCHEME, ahead)), printer);
    Ok(done?)
}

impl RegionArgs {
    /// `--region`, else `TENCENTCLOUD_REGION`.
    fn choose(&self) -> Result<String> {
        let (region, source) = match &self.region {
            Some(region) => (region.clone(), "--region"),
            None => match env::text(env::TENCENT_REGION) {
                Some(region) => (region, env::TENCENT_REGION),
                None => {
                    return Err(Failure::usage("no region of Tencent Cloud is named")
                        .help("name it with --region, such as ap-guangzhou"));
                }
            },
        };
        if tencent::is_region(&region) {
            return Ok(region);
        }
        Err(Failure::usage(format!("{source}: {region:?} is no region"))
            .help("regions are written like ap-guangzhou"))
    }
}

/// A key by its URI.
fn parse(text: &str) -> Result<KeyUri> {
    let uri = KeyUri::parse(text).map_err(|error| Failure::usage(error.to_string()).help(tencent::FORM))?;
    if !tencent::is_key(&uri) {
        return Err(Failure::usage(format!("{uri} names no KMS key of Tencent Cloud")).help(tencent::FORM));
    }
    Ok(uri)
}

/// `None` where there is no such time.
fn time(seconds: i64) -> Option<String> {
    let time = SealTime::from_unix(seconds).filter(|_| seconds != 0)?;
    Some(time.as_str().to_owned())
}

fn rotation(key: &KeyMetadata) -> String {
    match (key.key_rotation_enabled, key.rotate_days) {
        (false, _) => "no".to_owned(),
        (true, 0) => "yes".to_owned(),
        (true, days) => format!("every {days} days"),
    }
}

fn node(uri: &KeyUri, key: &KeyMetadata) -> Node {
    let text = |text: &str| Node::text(text);
    let time = |seconds| time(seconds).map_or(Node::Null, |time| Node::text(&*time));
    let members = [
        ("uri", text(uri.as_str())),
        ("alias", text(&key.alias)),
        ("description", text(&key.description)),
        ("state", text(&key.key_state)),
        ("usage", text(&key.key_usage)),
        ("origin", text(&key.origin)),
        ("owner", text(&key.owner)),
        ("created", time(key.create_time)),
        ("rotates", Node::Bool(key.key_rotation_enabled)),
        ("rotateDays", Node::Number(key.rotate_days.to_string())),
        ("lastRotation", time(key.last_rotate_time)),
        ("nextRotation", time(key.next_rotate_time)),
        ("deletion", time(key.deletion_date)),
        ("resource", text(&key.resource_id)),
    ];
    let members = members.map(|(name, value)| Member::new(name, value));
    Node::Map(members.into())
}
