//! The package of a release, with and without a signature.

use std::process::Command;

use anyhow::{Result, ensure};

use super::support::{Suite, contains};
use crate::{
    cluster::tool,
    run::{root, succeeds},
};

/// The published image.
const IMAGE: &str = "registry.example/envelope-secrets";
/// The published runbooks.
const RUNBOOKS: &str = "https://example.com/docs/runbooks";

pub(super) fn check(suite: &mut Suite) {
    let packaged = unsigned(suite);
    suite.record(
        "the packaged chart uses the published image and runbooks, and has no signature without a key",
        packaged,
    );
    if succeeds(Command::new("gpg").arg("--version")) {
        let signed = signed(suite);
        suite.record(
            "the packaged chart is signed with a PGP key: helm verify of Helm 4 and 3, Artifact Hub's signKey",
            signed,
        );
    } else {
        suite.not_run("the signature of the packaged chart: `apt-get install gnupg`");
    }
}

/// Runs lines of shell with the script that a release uses.
fn shell(suite: &Suite, lines: &str) -> Result<String> {
    let script = root().join("charts/package.sh");
    suite.shell(&format!(
        "package() {{ '{}' {IMAGE} {RUNBOOKS} \"$1\" >/dev/null; }}\n{lines}",
        script.display()
    ))
}

fn unsigned(suite: &Suite) -> Result<()> {
    let printed = shell(
        suite,
        "mkdir -p unsigned
package unsigned
ls unsigned
helm show chart unsigned/*.tgz
helm template x unsigned/*.tgz --set keyring.existingSecret=x --show-only templates/deployment.yaml
helm template x unsigned/*.tgz --set keyring.existingSecret=x,metrics.prometheusRule.enabled=true --show-only templates/prometheusrule.yaml
helm show readme unsigned/*.tgz",
    )?;
    contains(
        &printed,
        &[
            "envelope-secrets-0.1.0.tgz\n",
            &format!("image: \"{IMAGE}:0.1.0\""),
            &format!("image: {IMAGE}:0.1.0\n"),
            &format!("{RUNBOOKS}/EnvelopeSecretsAbsent.md"),
            &format!("| `{IMAGE}` |"),
            &format!("| `{RUNBOOKS}` |"),
            "!.tgz.prov",
            "!localhost/",
            "!signKey",
        ],
    )
}

/// With a key that exists for this check only. Its passphrase is one of the test, too.
fn signed(suite: &Suite) -> Result<()> {
    let helm3 = tool("helm3")?.display().to_string();
    let printed = shell(
        suite,
        &format!(
            "mkdir -p signed
export GNUPGHOME=$PWD/gpg
mkdir -p -m 700 gpg
trap 'gpgconf --kill all' EXIT
echo example >passphrase
gpg --batch --quiet --passphrase-file passphrase --pinentry-mode loopback --quick-generate-key 'Example <release@example.com>' rsa3072 sign 1d
gpg --batch --quiet --passphrase-file passphrase --pinentry-mode loopback --export-secret-keys >secret.gpg
gpg --batch --export >public.gpg
fingerprint=$(gpg --with-colons --list-keys | awk -F: '$1 == \"fpr\" {{ print $10; exit }}')
export CHART_SIGNING_KEYRING=secret.gpg CHART_SIGNING_PASSPHRASE=passphrase CHART_SIGNING_URL=https://example.com/key.asc
if CHART_SIGNING_FINGERPRINT=0000 package signed 2>error; then echo 'another key was accepted'; fi
cat error
export CHART_SIGNING_FINGERPRINT=$fingerprint
package signed
ls signed
helm verify --keyring public.gpg signed/*.tgz
'{helm3}' verify --keyring public.gpg signed/*.tgz
helm show chart signed/*.tgz
test \"$(helm show chart signed/*.tgz | grep -c \"fingerprint: $fingerprint\")\" = 1
echo x >>signed/envelope-secrets-0.1.0.tgz
if helm verify --keyring public.gpg signed/*.tgz 2>/dev/null; then echo 'a changed package was accepted'; fi"
        ),
    )?;
    ensure!(
        printed.matches("Chart Hash Verified: sha256:").count() == 2,
        "{printed}"
    );
    contains(
        &printed,
        &[
            "envelope-secrets-0.1.0.tgz.prov\n",
            "artifacthub.io/signKey: |\n",
            "url: https://example.com/key.asc\n",
            "not 0000",
            "!was accepted",
        ],
    )
}
