//! STS (API 2018-08-13): temporary credentials for a role.

use serde_json::json;

use super::actions::{Action, Call, Fields, Sort, fields};
use super::jwt;
use super::parameters::Kind::{Integer, Objects, Text};
use super::parameters::Parameter;
use super::refusal::{Refusal, Result};
use super::world::{Credential, Role, Trust, World};

/// The one action that may be called with `Authorization: SKIP`.
pub(super) const UNSIGNED: &str = "AssumeRoleWithWebIdentity";

/// Seconds that credentials live when the call does not say.
const DURATION: i64 = 7200;

const ROLE: Parameter = ("RoleArn", Text(1024), true);
const SESSION: Parameter = ("RoleSessionName", Text(128), true);
const SECONDS: Parameter = ("DurationSeconds", Integer(1, 43_200), false);

/// All of them.
pub(super) const ACTIONS: &[Action] = &[
    Action {
        name: "AssumeRole",
        table: &[
            ROLE,
            SESSION,
            SECONDS,
            ("Policy", Text(6144), false),
            ("ExternalId", Text(128), false),
            (
                "Tags",
                Objects(&[("Key", Text(127)), ("Value", Text(255))]),
                false,
            ),
        ],
        run: assume_role,
        sort: Sort::Write,
    },
    Action {
        name: UNSIGNED,
        table: &[
            ROLE,
            SESSION,
            SECONDS,
            ("ProviderId", Text(128), true),
            ("WebIdentityToken", Text(64 << 10), true),
        ],
        run: with_web_identity,
        sort: Sort::Write,
    },
];

/// `qcs::cam::uin/100000000001:roleName/opener`
pub(super) fn arn(role: &str) -> String {
    format!("qcs::cam::uin/{}:roleName/{role}", super::world::UIN)
}

fn assume_role(world: &mut World, call: &Call<'_>) -> Result<Fields> {
    let role = role(world, call)?;
    let Trust::Account { external_id } = &role.trust else {
        return Err(untrusted("the caller"));
    };
    // No telling from one another: who does not know the id learns nothing.
    let given = call.parameters.text("ExternalId");
    if external_id.as_ref().is_some_and(|wanted| wanted != given) {
        return Err(untrusted("the caller with this ExternalId"));
    }
    let actions = role.actions.clone();
    Ok(give(world, call, actions))
}

fn with_web_identity(world: &mut World, call: &Call<'_>) -> Result<Fields> {
    let id = call.parameters.text("ProviderId");
    let provider = world.providers.iter().find(|provider| provider.id == id);
    let provider = provider.ok_or_else(|| parameter("there is no such ProviderId"))?;
    let role = role(world, call)?;
    let token = call.parameters.text("WebIdentityToken");
    let subject = jwt::subject(token, provider, call.now).map_err(|why| {
        Refusal::new(
            "InvalidParameter.WebIdentityTokenError",
            format!("The WebIdentityToken is not accepted: {why}."),
        )
    })?;
    // Which code a condition of the trust policy gives that is not met is not documented: here CAM's.
    match &role.trust {
        Trust::WebIdentity {
            provider,
            subject: wanted,
        } if provider == id && wanted.as_ref().is_none_or(|wanted| *wanted == subject) => {}
        _ => return Err(untrusted(&format!("the subject {subject:.256}"))),
    }
    let actions = role.actions.clone();
    Ok(give(world, call, actions))
}

fn role<'a>(world: &'a World, call: &Call<'_>) -> Result<&'a Role> {
    let session = call.parameters.text("RoleSessionName");
    let fits = |c: char| c.is_alphanumeric() || "_+=,.@-".contains(c);
    if session.chars().count() < 2 || !session.chars().all(fits) {
        return Err(parameter("RoleSessionName has 2 to 128 of [\\w+=,.@_-]"));
    }
    let named = call.parameters.text("RoleArn");
    let role = world.roles.iter().find(|role| arn(&role.name) == named);
    role.ok_or_else(|| Refusal::new("ResourceNotFound.RoleNotFound", "The role does not exist."))
}

fn give(world: &mut World, call: &Call<'_>, actions: Option<Vec<String>>) -> Fields {
    let seconds = call.parameters.integer("DurationSeconds").unwrap_or(DURATION);
    let given = world.temporary(seconds, actions, call.now);
    let (expires, expiration) = end(&given);
    fields(json!({
        "Credentials": {
            "Token": given.token,
            "TmpSecretId": given.secret_id,
            "TmpSecretKey": given.secret_key,
        },
        "ExpiredTime": expires,
        "Expiration": expiration,
    }))
}

/// The end of temporary credentials as the API writes it, in Unix seconds and as text.
pub(super) fn end(given: &Credential) -> (i64, String) {
    let expires = given.expires.unwrap_or_default();
    let time = jiff::Timestamp::from_second(expires).unwrap_or_default();
    (expires, time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

fn parameter(what: &str) -> Refusal {
    Refusal::new("InvalidParameter.ParamError", format!("Parameter error: {what}."))
}

fn untrusted(whom: &str) -> Refusal {
    Refusal::new(
        "UnauthorizedOperation",
        format!("The role does not trust {whom}."),
    )
}
