//! The roles that extend the cluster's `view`, `edit` and `admin`, as the API server aggregates them.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use super::support::{Suite, TIMEOUT};

/// A user who is bound to a role of the cluster in namespace `one`, and what the user may do there.
const USERS: &[(&str, &[(&str, &str)])] = &[
    (
        "view",
        &[
            ("get envelopesecrets", "yes"),
            ("list envelopesecrets", "yes"),
            ("watch envelopesecrets", "yes"),
            ("get envelopesecrets --subresource=status", "yes"),
            ("create envelopesecrets", "no"),
            ("update envelopesecrets", "no"),
            ("patch envelopesecrets", "no"),
            ("delete envelopesecrets", "no"),
            ("patch envelopesecrets --subresource=status", "no"),
            ("get secrets", "no"),
            ("list secrets", "no"),
            ("watch secrets", "no"),
        ],
    ),
    ("edit", EDIT),
    ("admin", EDIT),
];

const EDIT: &[(&str, &str)] = &[
    ("get envelopesecrets", "yes"),
    ("list envelopesecrets", "yes"),
    ("watch envelopesecrets", "yes"),
    ("get envelopesecrets --subresource=status", "yes"),
    ("create envelopesecrets", "yes"),
    ("update envelopesecrets", "yes"),
    ("patch envelopesecrets", "yes"),
    ("delete envelopesecrets", "yes"),
    ("deletecollection envelopesecrets", "yes"),
    ("update envelopesecrets --subresource=status", "no"),
    ("patch envelopesecrets --subresource=status", "no"),
];

/// Needs the release of the checks before it.
pub(super) fn check(suite: &mut Suite) -> Result<()> {
    for (role, permissions) in USERS {
        let user = format!("--user={role}");
        let clusterrole = format!("--clusterrole={role}");
        suite.kubectl(&["create", "rolebinding", role, "-n", "one", &clusterrole, &user])?;
        for (permission, expected) in *permissions {
            let checked = eventually(suite, role, permission, expected);
            suite.record(&format!("{role} may {permission}: {expected}"), checked);
        }
        let checked = can_i(suite, role, "get envelopesecrets", "two").and_then(|answer| {
            ensure!(answer == "no", "in another namespace: {answer}");
            Ok(())
        });
        suite.record(&format!("{role} is limited to its namespace"), checked);
    }
    Ok(())
}

fn eventually(suite: &Suite, role: &str, permission: &str, expected: &str) -> Result<()> {
    let start = Instant::now();
    loop {
        let answer = can_i(suite, role, permission, "one")?;
        if answer == expected {
            return Ok(());
        }
        // Permissions are only added: an unexpected `yes` does not change.
        ensure!(
            answer == "no" && start.elapsed() < TIMEOUT,
            "the answer is {answer}"
        );
        thread::sleep(Duration::from_millis(100));
    }
}

fn can_i(suite: &Suite, user: &str, permission: &str, namespace: &str) -> Result<String> {
    let user = format!("--as={user}");
    let mut arguments = vec!["auth", "can-i"];
    arguments.extend(permission.split(' '));
    arguments.extend(["-n", namespace, &user]);
    let output = suite.plane.kubectl(&arguments).output()?; // the exit status of `no` is 1
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
