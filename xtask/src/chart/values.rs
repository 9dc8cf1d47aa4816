//! Values of the chart that must be accepted, and values that must be refused.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context as _, Result, ensure};

use super::{
    readme::paths,
    support::{ALL_VALUES, CHART, KEYRING, Suite, contains, refusal, success},
};
use crate::{cluster::RELEASE, run::root};

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
    let checked = numeric_names(suite);
    suite.record("server-side dry run with names that look like numbers", checked);
    let checked = empty_values(suite);
    suite.record("each value can be empty, or is refused with a message", checked);
    let checked = flags_with_values(suite);
    suite.record(
        "extraArgs and extraEnv refuse every flag that has a value",
        checked,
    );
}

fn numeric_names(suite: &Suite) -> Result<()> {
    suite.kubectl(&["create", "namespace", "456"])?;
    let file = suite.work.join("numbers.yaml");
    let values = "keyring: {existingSecret: '789', key: '1'}\nnamespaces: ['456']\nnameOverride: '10'\n\
                  tencent: {credentials: {existingSecret: '2'}}\n";
    fs::write(&file, values)?;
    let file = file.display().to_string();
    let mut helm = suite.plane.command(&suite.helm);
    helm.args([
        "template",
        "123",
        CHART,
        "--no-hooks",
        "--namespace",
        "456",
        "--values",
        &file,
    ]);
    dry_run(suite, &success(&helm.output()?)?)
}

/// What a key without a value in a values file does, such as one whose lines are all commented out: Helm removes the default.
fn empty_values(suite: &Suite) -> Result<()> {
    let values = fs::read_to_string(root().join(CHART).join("values.yaml"))?;
    let file = suite.work.join("empty.yaml");
    let mut wrong = Vec::new();
    for path in paths(&values)? {
        let empty = path.iter().rev().fold(
            serde_json::Value::Null,
            |value, key| serde_json::json!({ key.as_str(): value }),
        );
        fs::write(&file, empty.to_string())?;
        let file = file.display().to_string();
        let arguments = [RELEASE, CHART, "--values", ALL_VALUES, "--values", &file];
        let output = suite.helm("template", &arguments, &[])?;
        let accepted = if output.status.success() {
            rendered_without_gaps(&String::from_utf8_lossy(&output.stdout))
        } else {
            // By the schema, or by `fail`; a template that crashed says where, and what it was `executing`.
            let error = String::from_utf8_lossy(&output.stderr);
            contains(&error, &["!executing", "!parse error"])
        };
        if let Err(error) = accepted {
            wrong.push(format!("{}: {error:#}", path.join(".")));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// Fails if a value is missing in the middle of a text. A field without a value is fine: the API server uses its default.
fn rendered_without_gaps(text: &str) -> Result<()> {
    for gap in ["<nil>", "%!"] {
        ensure!(!text.contains(gap), "the result contains {gap}");
    }
    for flag in flags(text) {
        ensure!(!flag.ends_with(['=', ':']), "--{flag} has no value");
    }
    Ok(())
}

/// The flags in the lists of a manifest, without `--`.
fn flags(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        line.trim_start()
            .strip_prefix("- ")?
            .trim_matches('"')
            .strip_prefix("--")
    })
}

/// A repeated flag is an error of the controller, and a variable beside its flag has no effect.
fn flags_with_values(suite: &Suite) -> Result<()> {
    let more = [
        "extraArgs=null",
        "tencent.credentials.mode=file",
        "tencent.roleArn=qcs::cam::uin/1:roleName/x",
        "tencent.externalId=e",
        "tencent.site=internal",
        "audiences={staging}",
        "namespaces={one}",
    ];
    let show = ["--values", ALL_VALUES, "--show-only", "templates/deployment.yaml"];
    let text = suite.render(&show, &more)?;
    let flags: BTreeSet<&str> = flags(&text).filter_map(|flag| flag.split('=').next()).collect();
    ensure!(flags.len() > 20, "only {flags:?}: is the text parsed correctly?");
    for flag in flags {
        let refused = |value: &str, path: &str| -> Result<()> {
            let output = suite.helm("template", &[RELEASE, CHART], &[KEYRING, value])?;
            refusal(&output, path).with_context(|| format!("--{flag}"))
        };
        refused(&format!("extraArgs={{--{flag}=x}}"), "/extraArgs/0")?;
        let variable = flag.to_ascii_uppercase().replace('-', "_");
        refused(
            &format!("extraEnv[0].name=ENVELOPE_{variable}"),
            "/extraEnv/0/name",
        )?;
    }
    Ok(())
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
            "namespace: \"one\"\n",
            "namespace: \"two\"\n",
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
            "serviceAccountName: \"default\"\n",
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
