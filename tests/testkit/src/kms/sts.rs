//! STS (API 2018-08-13): temporary credentials for a role.

use serde_json::json;

use super::account::{Account, Credential, Role, Trust};
use super::actions::{Action, ActionKind, Call, Fields, fields};
use super::api_error::{ApiError, Result};
use super::jwt;
use super::parameters::Kind::{Integer, Objects, Text};
use super::parameters::Parameter;

/// The only action that accepts `Authorization: SKIP`.
pub(super) const UNSIGNED: &str = "AssumeRoleWithWebIdentity";

/// The default lifetime of credentials, in seconds.
const DURATION: i64 = 7200;

const ROLE: Parameter = ("RoleArn", Text(1024), true);
const SESSION: Parameter = ("RoleSessionName", Text(128), true);
const SECONDS: Parameter = ("DurationSeconds", Integer(1, 43_200), false);

/// All STS actions.
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
        kind: ActionKind::Write,
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
        kind: ActionKind::Write,
    },
];

/// `qcs::cam::uin/100000000001:roleName/opener`
pub(super) fn arn(role: &str) -> String {
    format!("qcs::cam::uin/{}:roleName/{role}", super::account::UIN)
}

fn assume_role(account: &mut Account, call: &Call<'_>) -> Result<Fields> {
    let role = role(account, call)?;
    let Trust::Account { external_id } = &role.trust else {
        return Err(not_trusted("the caller"));
    };
    // A missing and a wrong external ID return the same error, which reveals nothing about the ID.
    let given = call.parameters.text("ExternalId");
    if external_id.as_ref().is_some_and(|wanted| wanted != given) {
        return Err(not_trusted("the caller with this ExternalId"));
    }
    let actions = role.actions.clone();
    Ok(issue(account, call, actions))
}

fn with_web_identity(account: &mut Account, call: &Call<'_>) -> Result<Fields> {
    let id = call.parameters.text("ProviderId");
    let provider = account.providers.iter().find(|provider| provider.id == id);
    let provider = provider.ok_or_else(|| parameter_error("there is no such ProviderId"))?;
    let role = role(account, call)?;
    let token = call.parameters.text("WebIdentityToken");
    let subject = jwt::verified_subject(token, provider, call.now).map_err(|why| {
        ApiError::new(
            "InvalidParameter.WebIdentityTokenError",
            format!("The WebIdentityToken is not accepted: {why}."),
        )
    })?;
    // The error code for an unmet condition of the trust policy is not documented; this is CAM's.
    match &role.trust {
        Trust::WebIdentity {
            provider,
            subject: wanted,
        } if provider == id && wanted.as_ref().is_none_or(|wanted| *wanted == subject) => {}
        _ => return Err(not_trusted(&format!("the subject {subject:.256}"))),
    }
    let actions = role.actions.clone();
    Ok(issue(account, call, actions))
}

fn role<'a>(account: &'a Account, call: &Call<'_>) -> Result<&'a Role> {
    let session = call.parameters.text("RoleSessionName");
    let fits = |c: char| c.is_alphanumeric() || "_+=,.@-".contains(c);
    if session.chars().count() < 2 || !session.chars().all(fits) {
        return Err(parameter_error(
            "RoleSessionName must have 2 to 128 characters of [\\w+=,.@_-]",
        ));
    }
    let named = call.parameters.text("RoleArn");
    let role = account.roles.iter().find(|role| arn(&role.name) == named);
    role.ok_or_else(|| ApiError::new("ResourceNotFound.RoleNotFound", "The role does not exist."))
}

fn issue(account: &mut Account, call: &Call<'_>, actions: Option<Vec<String>>) -> Fields {
    let seconds = call.parameters.integer("DurationSeconds").unwrap_or(DURATION);
    let issued = account.issue_temporary(seconds, actions, call.now);
    let (expires, expiration) = expiry(&issued);
    fields(json!({
        "Credentials": {
            "Token": issued.token,
            "TmpSecretId": issued.secret_id,
            "TmpSecretKey": issued.secret_key,
        },
        "ExpiredTime": expires,
        "Expiration": expiration,
    }))
}

/// The expiry of temporary credentials, in Unix seconds and in the API's date format.
pub(super) fn expiry(issued: &Credential) -> (i64, String) {
    let expires = issued.expires.unwrap_or_default();
    let time = jiff::Timestamp::from_second(expires).unwrap_or_default();
    (expires, time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

fn parameter_error(what: &str) -> ApiError {
    ApiError::new("InvalidParameter.ParamError", format!("Parameter error: {what}."))
}

fn not_trusted(whom: &str) -> ApiError {
    ApiError::new(
        "UnauthorizedOperation",
        format!("The role does not trust {whom}."),
    )
}
