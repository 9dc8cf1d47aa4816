//! Suite `chart`: the Helm chart without a node. Lint, templates, schema, and a server-side dry run on a real API server.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    cluster::{Plane, RELEASE, helm},
    prerequisites::{Need, check},
    run::{profile_directory, run},
    testkit::build,
};

const CHART: &str = "charts/envelope-secrets";
const KEYRING: &str = "keyring.existingSecret=envelope-keyring";

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
            "!kind: ClusterRole",
        ],
    ),
    (
        "audiences",
        &[KEYRING, "audiences={,staging}"],
        &["\"--audience=\"", "\"--audience=staging\""],
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
    (&[KEYRING, "namespaces=prod"], "namespaces"),
    (&[KEYRING, "namespaces={Prod}"], "namespaces"),
    (&["allowKeys={local://x/y}"], "allowKeys"),
    (&["allowKeys={tencent-kms://}"], "allowKeys"),
    (&[KEYRING, "image.digest=latest"], "digest"),
    (&[KEYRING, "image.repository="], "repository"),
    (&[KEYRING, "tencent.site=moon"], "site"),
    (&[KEYRING, "logging.level=verbose"], "level"),
    (&[KEYRING, "crds.keep=maybe"], "keep"),
    (&[KEYRING, "serviceAccount.create=false"], "name"),
    (&[KEYRING, "resources.limit.memory=1Gi"], "limit"),
];

pub(crate) fn chart() -> Result<()> {
    check(&[Need::CCompiler, Need::ControlPlane])?;
    build(&["testkit"])?;
    let helm = helm()?;
    let mut plane = ControlPlane::start()?;
    let mut chart = Chart {
        helm,
        plane: &plane.plane,
        passed: 0,
        failures: Vec::new(),
    };
    let done = chart.run();
    let (passed, failures) = (chart.passed, chart.failures);
    plane.stop();
    done?;
    println!("\n{passed} passed, {} failed", failures.len());
    ensure!(
        failures.is_empty(),
        "suite chart failed:\n{}",
        failures.join("\n")
    );
    Ok(())
}

struct Chart<'a> {
    helm: PathBuf,
    plane: &'a Plane,
    passed: usize,
    failures: Vec<String>,
}

impl Chart<'_> {
    fn run(&mut self) -> Result<()> {
        for namespace in [RELEASE, "one", "two"] {
            run(self
                .plane
                .kubectl(&["create", "namespace", namespace])
                .stdout(Stdio::null()))?;
            // The API server then warns about each pod template that violates the standard, dry run included.
            let warn = "pod-security.kubernetes.io/warn=restricted";
            run(self
                .plane
                .kubectl(&["label", "namespace", namespace, warn])
                .stdout(Stdio::null()))?;
        }
        // As tools do that know no values: `helm lint` ignores `fail`.
        let linted = self.helm("lint", &[CHART, "--strict"], &[]);
        self.record(
            "helm lint with the default values",
            linted.and_then(|output| success(&output).map(|_| ())),
        );
        for (name, values, expected) in ACCEPTED {
            let linted = self.helm("lint", &[CHART, "--strict"], values);
            self.record(
                &format!("helm lint with {name}"),
                linted.and_then(|output| success(&output).map(|_| ())),
            );
            let rendered = self.render(values);
            let rendered = rendered.and_then(|text| contains(&text, expected).map(|()| text));
            let applied = rendered.and_then(|text| self.dry_run(&text));
            self.record(
                &format!("helm template and server-side dry run with {name}"),
                applied,
            );
        }
        for (values, expected) in REFUSED {
            let output = self.helm("template", &[RELEASE, CHART], values);
            self.record(
                &format!("refused: {}", values.join(" ")),
                output.and_then(|output| refusal(&output, expected)),
            );
        }
        Ok(())
    }

    fn record(&mut self, name: &str, result: Result<()>) {
        match result {
            Ok(()) => {
                println!("ok: {name}");
                self.passed += 1;
            }
            Err(error) => {
                println!("FAILED: {name}: {error:#}");
                self.failures.push(format!("{name}: {error:#}"));
            }
        }
    }

    fn helm(&self, command: &str, arguments: &[&str], values: &[&str]) -> Result<Output> {
        let mut helm = self.plane.command(&self.helm);
        helm.arg(command).args(arguments).args(["--namespace", RELEASE]);
        for value in values {
            helm.args(["--set", value]);
        }
        helm.stdin(Stdio::null()).output().context("cannot start helm")
    }

    fn render(&self, values: &[&str]) -> Result<String> {
        success(&self.helm("template", &[RELEASE, CHART], values)?)
    }

    /// The API server validates every object, and refuses unknown fields. Nothing is stored.
    fn dry_run(&self, manifest: &str) -> Result<()> {
        let file = Path::new(&self.plane.kubeconfig).with_file_name("rendered.yaml");
        std::fs::write(&file, manifest)?;
        let mut kubectl = self.plane.kubectl(&[
            "apply",
            "--server-side",
            "--dry-run=server",
            "--validate=strict",
            "-f",
        ]);
        let output = kubectl.arg(&file).stdin(Stdio::null()).output()?;
        success(&output)?;
        let warnings = String::from_utf8_lossy(&output.stderr);
        ensure!(warnings.is_empty(), "the API server warns: {warnings}");
        Ok(())
    }
}

fn success(output: &Output) -> Result<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    ensure!(
        output.status.success(),
        "{}\n{}{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
    Ok(text(&output.stdout))
}

fn contains(text: &str, expected: &[&str]) -> Result<()> {
    for part in expected {
        let (wanted, part) = part.strip_prefix('!').map_or((true, *part), |part| (false, part));
        let word = if wanted { "does not contain" } else { "contains" };
        ensure!(text.contains(part) == wanted, "the result {word} {part:?}");
    }
    Ok(())
}

fn refusal(output: &Output, expected: &str) -> Result<()> {
    ensure!(!output.status.success(), "the values were accepted");
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(
        error.contains(expected),
        "the error does not mention {expected}: {error}"
    );
    Ok(())
}

/// A control plane that stops with this process.
struct ControlPlane {
    child: Child,
    plane: Plane,
}

impl ControlPlane {
    fn start() -> Result<Self> {
        let mut command = Command::new(profile_directory()?.join("testkit"));
        let command = command.arg("controlplane").stdin(Stdio::piped());
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start testkit")?;
        let plane = Plane::read(&mut child)?;
        Ok(Self { child, plane })
    }

    fn stop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::run::root;

    #[test]
    fn chart_has_the_version_of_the_binary() {
        let chart = fs::read_to_string(root().join(super::CHART).join("Chart.yaml")).unwrap();
        let version = env!("CARGO_PKG_VERSION");
        for line in [
            format!("version: {version}"),
            format!("appVersion: \"{version}\""),
        ] {
            assert!(chart.lines().any(|it| it == line), "{line}");
        }
    }

    #[test]
    fn crd_of_the_chart_is_the_generated_one() {
        let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
        assert_eq!(
            read("charts/envelope-secrets/files/envelopesecrets.yaml"),
            read("crds/envelopesecrets.yaml")
        );
    }
}
