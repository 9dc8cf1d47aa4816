//! Values of the chart that must be accepted, and values that must be refused.

use std::{fs, path::Path};

use anyhow::{Result, ensure};

use super::support::{ALL_VALUES, CHART, KEYRING, Suite, contains, refusal, success};
use crate::cluster::RELEASE;

pub(super) fn check(suite: &mut Suite) {
    // As tools do that know no values: `helm lint` ignores `fail`.
    let linted = lint(suite, &[]);
    suite.record("helm lint with the default values", linted);
    for (name, values, expected) in ACCEPTED {
        let linted = lint(suite, values);
        suite.record(&format!("helm lint with {name}"), linted);
        // Without hooks: the API server refuses a pod whose ServiceAccount is not stored.
        let rendered = suite.render(&["--no-hooks"], values);
        let applied = rendered
            .and_then(|text| contains(&text, expected).map(|()| text))
            .and_then(|text| dry_run(suite, &text));
        suite.record(
            &format!("helm template and server-side dry run with {name}"),
            applied,
        );
    }
    let all = ["--values", ALL_VALUES];
    let linted = suite.helm("lint", &[&[CHART, "--strict"], &all[..]].concat(), &[]);
    let linted = linted.and_then(|output| success(&output).map(|_| ()));
    suite.record("helm lint with all values", linted);
    for (values, expected) in REFUSED {
        let output = suite.helm("template", &[RELEASE, CHART], values);
        suite.record(
            &format!("refused: {}", values.join(" ")),
            output.and_then(|output| refusal(&output, expected)),
        );
    }
}

fn lint(suite: &Suite, values: &[&str]) -> Result<()> {
    success(&suite.helm("lint", &[CHART, "--strict"], values)?).map(|_| ())
}

/// The API server validates every object, and refuses unknown fields. Nothing is stored.
pub(super) fn dry_run(suite: &Suite, manifest: &str) -> Result<()> {
    let file = Path::new(&suite.work).join("rendered.yaml");
    fs::write(&file, manifest)?;
    let mut kubectl = suite.plane.kubectl(&[
        "apply",
        "--server-side",
        "--dry-run=server",
        "--validate=strict",
        "-f",
    ]);
    let output = kubectl.arg(&file).output()?;
    success(&output)?;
    let warnings = String::from_utf8_lossy(&output.stderr);
    ensure!(warnings.is_empty(), "the API server warns: {warnings}");
    Ok(())
}

/// Values that must render, and that the API server must accept, with texts of the result; `!` means absent.
const ACCEPTED: &[(&str, &[&str], &[&str])] = &[
    (
        "a keyring",
        &[KEYRING],
        &[
            "--keyring=/etc/envelope-secrets/keyring/keyring",
            "kind: ClusterRole\n",
            "helm.sh/resource-policy: keep",
            "image: \"localhost/envelope-secrets:0.1.0\"",
            "--kms-qps=290\n",
            "!--kms-namespace-qps",
            "!--namespaces",
            "!--allow-key",
        ],
    ),
    (
        "KMS keys, credentials and a role",
        &[
            "allowKeys={tencent-kms://ap-guangzhou/,tencent-kms://ap-beijing/23e80852}",
            "tencent.credentials.existingSecret=tencent",
            "tencent.roleArn=qcs::cam::uin/1:roleName/x",
            "tencent.externalId=e",
            "tencent.site=internal",
        ],
        &[
            "\"--allow-key=tencent-kms://ap-guangzhou/\"",
            "\"--allow-key=tencent-kms://ap-beijing/23e80852\"",
            "--tencent-credentials=/etc/envelope-secrets/tencent",
            "--tencent-site=internal",
            "!--keyring",
        ],
    ),
    (
        "namespaces",
        &[KEYRING, "namespaces={one,two}"],
        &[
            "\"--namespaces=one,two\"",
            "namespace: one\n",
            "namespace: two\n",
            "!kind: ClusterRoleBinding",
        ],
    ),
    (
        "namespaces, and no role of the cluster",
        &[
            KEYRING,
            "namespaces={one,two}",
            "rbac.aggregateClusterRoles=false",
        ],
        &["kind: Role\n", "!kind: ClusterRole"],
    ),
    (
        "audiences",
        &[KEYRING, "audiences={,staging}"],
        &["\"--audience=\"", "\"--audience=staging\""],
    ),
    (
        "limits of KMS calls and memory",
        &[
            KEYRING,
            "kms.qps=100",
            "kms.namespaceQps=20",
            "dataKeyCache.size=0",
            "dataKeyCache.ttl=60m",
            "documentCache=0",
        ],
        &[
            "--kms-qps=100\n",
            "--kms-namespace-qps=20\n",
            "--data-key-cache-size=0\n",
            "--data-key-cache-ttl=60m\n",
            "--document-cache=0\n",
        ],
    ),
    (
        "a CRD that is not kept",
        &[KEYRING, "crds.keep=false"],
        &["kind: CustomResourceDefinition", "!resource-policy"],
    ),
    (
        "nothing but the Deployment",
        &[
            KEYRING,
            "crds.enabled=false",
            "rbac.create=false",
            "serviceAccount.create=false",
            "serviceAccount.name=default",
            "metrics.service.enabled=false",
        ],
        &[
            "serviceAccountName: default\n",
            "!kind: CustomResourceDefinition",
            "!kind: ClusterRole",
            "!kind: ServiceAccount\nmetadata",
            "!kind: Service\n",
        ],
    ),
    (
        "metrics over TLS with authentication",
        &[
            KEYRING,
            "namespaces={one}",
            "metrics.tls.enabled=true",
            "metrics.tls.existingSecret=cert",
            "metrics.auth.enabled=true",
            "metrics.serviceMonitor.enabled=true",
        ],
        &[
            "--metrics-tls-cert=/etc/envelope-secrets/metrics-tls/tls.crt",
            "--metrics-auth\n",
            "name: envelope-secrets:envelope-secrets:metrics-reader\n",
            "scheme: https",
            "bearerTokenFile: /var/run",
        ],
    ),
    (
        "a digest and names",
        &[
            KEYRING,
            "keyring.key=file.v2",
            "fullnameOverride=sealer",
            "image.repository=registry.example/x",
            "image.digest=sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            "imagePullSecrets[0].name=pull",
            "serviceAccount.annotations.tke\\.cloud\\.tencent\\.com/role-arn=arn",
            "nodeSelector.kubernetes\\.io/os=linux",
            "tolerations[0].operator=Exists",
            "podLabels.team=platform",
            "podAnnotations.example\\.com/a=b",
            "priorityClassName=system-cluster-critical",
            "logging.format=text",
            "logging.level=debug",
        ],
        &[
            "image: \"registry.example/x@sha256:0123456789abcdef",
            "name: sealer-metrics\n",
            "tke.cloud.tencent.com/role-arn: arn",
            "team: platform",
            "--log-level=debug",
        ],
    ),
];

/// Values that must be refused, with a text of the error.
const REFUSED: &[(&[&str], &str)] = &[
    (&[], "no KMS key to open documents with"),
    (&["keyring.existingsecret=x"], "existingsecret"),
    (&[KEYRING, "replicas=2"], "replicas"),
    (&[KEYRING, "replicaCount=2"], "there is no leader election yet"),
    (&[KEYRING, "extraArgs={debug}"], "extraArgs"),
    (&[KEYRING, "metrics.serviceMonitor.intervall=30s"], "intervall"),
    (&[KEYRING, "metrics.port=0"], "port"),
    (&[KEYRING, "metrics.tls.enabled=true"], "existingSecret"),
    (&[KEYRING, "metrics.tls.secret=x"], "secret"),
    (
        &[KEYRING, "metrics.auth.enabled=true"],
        "metrics.auth needs metrics.tls",
    ),
    (&[KEYRING, "podLabels.a=1"], "podLabels"),
    (&[KEYRING, "tolerations[0].effects=NoSchedule"], "effects"),
    (&[KEYRING, "affinity.node.x=y"], "node"),
    (&[KEYRING, "keyring.value=secret"], "value"),
    (
        &[
            KEYRING,
            "podDisruptionBudget.enabled=true",
            "podDisruptionBudget.minAvailable=1",
            "podDisruptionBudget.maxUnavailable=1",
        ],
        "not both",
    ),
    (&[KEYRING, "namespaces=prod"], "namespaces"),
    (&[KEYRING, "namespaces={Prod}"], "namespaces"),
    (&["allowKeys={local://x/y}"], "allowKeys"),
    (&["allowKeys={tencent-kms://}"], "allowKeys"),
    (&[KEYRING, "image.digest=latest"], "digest"),
    (&[KEYRING, "image.repository="], "repository"),
    (&[KEYRING, "kms.qps=0"], "qps"),
    (&[KEYRING, "kms.keyQps=1"], "keyQps"),
    (&[KEYRING, "dataKeyCache.size=100001"], "size"),
    (&[KEYRING, "dataKeyCache.ttl=61m"], "ttl"),
    (&[KEYRING, "dataKeyCache.ttl=10"], "ttl"),
    (&[KEYRING, "documentCache=64MB"], "documentCache"),
    (&[KEYRING, "tencent.site=moon"], "site"),
    (&[KEYRING, "logging.level=verbose"], "level"),
    (&[KEYRING, "crds.keep=maybe"], "keep"),
    (&[KEYRING, "serviceAccount.create=false"], "name"),
    (&[KEYRING, "resources.limit.memory=1Gi"], "limit"),
];
