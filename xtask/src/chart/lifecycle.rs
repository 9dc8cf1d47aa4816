//! A release from its first installation to its removal: no step loses an EnvelopeSecret or a Secret. No pods run.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use super::{
    previous::previous_chart,
    support::{CHART, KEYRING, Suite, TIMEOUT, refusal, success},
};
use crate::{cluster::RELEASE, run::succeeds};

type Step = (&'static str, fn(&Suite) -> Result<()>);

const STEPS: &[Step] = &[
    ("helm upgrade from the chart of the previous commit", upgraded),
    (
        "helm upgrade with other values, and helm rollback",
        changed_and_rolled_back,
    ),
    (
        "the strategy changes in both directions, by an upgrade and by a rollback",
        strategy_changed,
    ),
    ("the CRD stays when it leaves the release, and returns", crd_apart),
    ("a failed upgrade rolls back", failed_upgrade),
    ("a second release cannot own the CRD", second_release),
    (
        "helm uninstall keeps the CRD, EnvelopeSecrets and Secrets",
        uninstalled,
    ),
    ("the next helm install adopts the CRD", adopted),
    (
        "a release of another name adopts the CRD with --take-ownership",
        adopted_by_another,
    ),
    (
        "crds.keep=false: helm uninstall removes everything, as NOTES.txt warns",
        removed,
    ),
    (
        "a CRD that was applied with kubectl is adopted with --take-ownership",
        adopted_from_kubectl,
    ),
];

const CRD: &str = "crd/envelopesecrets.envelope-secrets.io";

/// Leaves the release installed.
pub(super) fn check(suite: &mut Suite) -> Result<()> {
    let previous = previous_chart(&suite.work)?.map(|chart| chart.display().to_string());
    let chart = previous.as_deref().unwrap_or(CHART);
    if previous.is_none() {
        suite.not_run("helm upgrade from the chart of the previous commit: there is no Git history here");
    }
    success(&suite.helm("install", &[RELEASE, chart], &[KEYRING])?).context("helm install")?;
    suite.established(CRD)?;
    seal(suite, "db")?;
    for (name, step) in STEPS {
        let done = step(suite);
        let failed = done.is_err();
        suite.record(name, done);
        if failed {
            break; // each step builds on the ones before it
        }
    }
    Ok(())
}

/// An EnvelopeSecret, and a Secret as the controller creates it, both with this name.
fn seal(suite: &Suite, name: &str) -> Result<()> {
    suite
        .shell(&format!(
            "test -f keyring || envelope keys create --keyring keyring
kubectl create secret generic {name} -n one --from-literal=password=example --dry-run=client -o yaml |
    envelope seal --keyring keyring | kubectl apply -f -
uid=$(kubectl get envsec {name} -n one -o 'jsonpath={{.metadata.uid}}')
kubectl create -f - <<END
apiVersion: v1
kind: Secret
metadata:
  name: {name}
  namespace: one
  ownerReferences:
  - {{apiVersion: envelope-secrets.io/v1, kind: EnvelopeSecret, name: {name}, uid: $uid, controller: true}}
stringData: {{password: example}}
END"
        ))
        .map(|_| ())
}

/// Fails if the CRD was recreated, or if an object changed; managed fields included.
fn unchanged(suite: &Suite, step: impl FnOnce() -> Result<()>) -> Result<()> {
    let state = || -> Result<[String; 2]> {
        let crd = "jsonpath={.metadata.uid} {.metadata.deletionTimestamp}";
        let objects = "jsonpath={range .items[*]}{.kind}/{.metadata.name} {.metadata.resourceVersion}{end}";
        Ok([
            suite.kubectl(&["get", CRD, "-o", crd])?,
            suite.kubectl(&["get", "envsec,secrets", "-n", "one", "-o", objects])?,
        ])
    };
    let before = state()?;
    ensure!(
        before[1].contains("EnvelopeSecret/db") && before[1].contains("Secret/db"),
        "objects: {before:?}"
    );
    step()?;
    let after = state()?;
    ensure!(before == after, "objects changed: {before:?} -> {after:?}");
    Ok(())
}

fn helm(suite: &Suite, command: &str, arguments: &[&str], values: &[&str]) -> Result<()> {
    success(&suite.helm(command, arguments, values)?)
        .map(|_| ())
        .with_context(|| format!("helm {command}"))
}

fn upgraded(suite: &Suite) -> Result<()> {
    unchanged(suite, || helm(suite, "upgrade", &[RELEASE, CHART], &[KEYRING]))
}

fn argument(suite: &Suite, expected: &str) -> Result<()> {
    let arguments = "jsonpath={.spec.template.spec.containers[0].args}";
    let found = suite.kubectl(&["get", "deployment", RELEASE, "-n", RELEASE, "-o", arguments])?;
    ensure!(
        found.contains(expected),
        "the Deployment does not have {expected}: {found}"
    );
    Ok(())
}

fn changed_and_rolled_back(suite: &Suite) -> Result<()> {
    unchanged(suite, || {
        helm(
            suite,
            "upgrade",
            &[RELEASE, CHART],
            &[KEYRING, "logging.level=debug"],
        )
    })?;
    argument(suite, "--log-level=debug")?;
    unchanged(suite, || helm(suite, "rollback", &[RELEASE], &[]))?;
    argument(suite, "--log-level=info")?;
    // To the chart of the previous commit, and back.
    unchanged(suite, || helm(suite, "rollback", &[RELEASE, "1"], &[]))?;
    unchanged(suite, || helm(suite, "rollback", &[RELEASE, "2"], &[]))
}

/// The API server adds defaults to `RollingUpdate` and refuses them with `Recreate`.
fn strategy_changed(suite: &Suite) -> Result<()> {
    let upgrade = |strategy: &str| {
        let value = format!("updateStrategy.type={strategy}");
        helm(suite, "upgrade", &[RELEASE, CHART], &[KEYRING, &value])
    };
    unchanged(suite, || {
        upgrade("RollingUpdate")?;
        upgrade("Recreate")?;
        upgrade("RollingUpdate")?;
        helm(suite, "rollback", &[RELEASE], &[])?;
        let strategy = "jsonpath={.spec.strategy}";
        let found = suite.kubectl(&["get", "deployment", RELEASE, "-n", RELEASE, "-o", strategy])?;
        ensure!(found == "{\"type\":\"Recreate\"}", "the strategy is {found}");
        Ok(())
    })
}

/// As docs/upgrade.md describes it for a release that changes the CRD, with an image that the release keeps.
fn crd_apart(suite: &Suite) -> Result<()> {
    let digest = format!("image.digest=sha256:{}", "0".repeat(64));
    let image = || {
        let image = "jsonpath={.spec.template.spec.containers[0].image}";
        suite.kubectl(&["get", "deployment", RELEASE, "-n", RELEASE, "-o", image])
    };
    let upgrade = |arguments: &[&str], values: &[&str]| {
        let arguments = [&[RELEASE, CHART, "--reset-then-reuse-values"], arguments].concat();
        helm(suite, "upgrade", &arguments, values)
    };
    unchanged(suite, || {
        helm(suite, "upgrade", &[RELEASE, CHART], &[KEYRING, &digest])?;
        ensure!(image()?.contains("@sha256:0"), "the digest is not used");
        suite.shell("envelope crd | kubectl apply --server-side --force-conflicts -f -")?;
        upgrade(
            &[],
            &["crds.enabled=false,crds.keep=true", "image.tag=,image.digest="],
        )?;
        let found = image()?;
        ensure!(!found.contains('@'), "the old image: {found}");
        upgrade(&["--force-conflicts"], &["crds.enabled=true"])?;
        let keep = suite.kubectl(&["get", CRD, "-o", "jsonpath={.metadata.annotations}"])?;
        ensure!(keep.contains("\"helm.sh/resource-policy\":\"keep\""), "{keep}");
        let values = ["crds.enabled=false", "crds.keep=false"];
        let arguments = [RELEASE, CHART, "--reset-then-reuse-values"];
        refusal(
            &suite.helm("upgrade", &arguments, &values)?,
            "would delete the CRD",
        )
    })
}

/// The API server refuses one object after the others have been changed.
fn failed_upgrade(suite: &Suite) -> Result<()> {
    let values = suite.work.join("refused.yaml");
    std::fs::write(
        &values,
        "replicaCount: 0\nlogging: {level: trace}\nextraObjects:\n- apiVersion: v1\n  kind: Service\n  metadata: {name: refused}\n  \
         spec: {ports: [{name: Not_a_valid_name, port: 1}]}\n",
    )?;
    let values = values.display().to_string();
    let arguments = [RELEASE, CHART, "--rollback-on-failure", "--values", &values];
    // Without pods, which the rollback would wait for.
    helm(suite, "upgrade", &[RELEASE, CHART], &[KEYRING, "replicaCount=0"])?;
    unchanged(suite, || {
        let output = suite.helm("upgrade", &arguments, &[KEYRING])?;
        refusal(&output, "rolled back")
    })?;
    argument(suite, "--log-level=info")?;
    let status = suite.helm("status", &[RELEASE, "-o", "json"], &[])?;
    let status = success(&status)?;
    ensure!(
        status.contains("\"status\":\"deployed\""),
        "the release is not deployed: {status}"
    );
    Ok(())
}

fn second_release(suite: &Suite) -> Result<()> {
    let install = |values: &[&str]| suite.helm("install", &["second", CHART], values);
    unchanged(suite, || {
        refusal(
            &install(&[KEYRING])?,
            "key \"meta.helm.sh/release-name\" must equal \"second\"",
        )
    })?;
    unchanged(suite, || {
        success(&install(&[KEYRING, "crds.enabled=false"])?)?;
        helm(suite, "uninstall", &["second"], &[])
    })
}

fn uninstalled(suite: &Suite) -> Result<()> {
    unchanged(suite, || {
        helm(suite, "uninstall", &[RELEASE, "--wait"], &[])?;
        let kinds = "deployments,services,clusterroles,clusterrolebindings";
        let label = "app.kubernetes.io/name=envelope-secrets";
        let left = suite.kubectl(&["get", kinds, "-A", "-l", label, "-o", "name"])?;
        ensure!(left.is_empty(), "objects of the release are left: {left}");
        Ok(())
    })
}

fn adopted(suite: &Suite) -> Result<()> {
    unchanged(suite, || {
        helm(suite, "install", &[RELEASE, CHART], &[KEYRING])?;
        helm(suite, "uninstall", &[RELEASE], &[])
    })
}

fn adopted_by_another(suite: &Suite) -> Result<()> {
    unchanged(suite, || {
        refusal(
            &suite.helm("install", &["other", CHART], &[KEYRING])?,
            "release-name",
        )?;
        helm(
            suite,
            "install",
            &["other", CHART, "--take-ownership"],
            &[KEYRING],
        )?;
        let owner = suite.kubectl(&["get", CRD, "-o", "jsonpath={.metadata.annotations}"])?;
        ensure!(
            owner.contains("\"meta.helm.sh/release-name\":\"other\""),
            "{owner}"
        );
        Ok(())
    })
}

fn removed(suite: &Suite) -> Result<()> {
    helm(suite, "upgrade", &["other", CHART], &[KEYRING, "crds.keep=false"])?;
    let notes = success(&suite.helm("get", &["notes", "other"], &[])?)?;
    ensure!(
        notes.contains("WARNING: crds.keep is false"),
        "NOTES.txt does not warn:\n{notes}"
    );
    // The garbage collector learns about a new kind within half a minute; it must know it before the kind is gone.
    seal(suite, "probe")?;
    suite.kubectl(&["delete", "envsec", "probe", "-n", "one"])?;
    gone(suite, &["secret", "probe", "-n", "one"])?;
    helm(suite, "uninstall", &["other"], &[])?;
    gone(suite, &[CRD])?;
    gone(suite, &["secret", "db", "-n", "one"])
}

fn gone(suite: &Suite, object: &[&str]) -> Result<()> {
    let start = Instant::now();
    while succeeds(&mut suite.plane.kubectl(&[&["get"], object].concat())) {
        ensure!(start.elapsed() < TIMEOUT, "{} is still there", object.join(" "));
        thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

fn adopted_from_kubectl(suite: &Suite) -> Result<()> {
    suite.shell("envelope crd | kubectl apply --server-side -f -")?;
    suite.established(CRD)?;
    seal(suite, "db")?;
    unchanged(suite, || {
        refusal(
            &suite.helm("install", &[RELEASE, CHART], &[KEYRING])?,
            "invalid ownership metadata",
        )?;
        helm(
            suite,
            "install",
            &[RELEASE, CHART, "--take-ownership"],
            &[KEYRING],
        )
    })
}
