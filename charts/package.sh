#!/usr/bin/env bash
# Packages the chart as it is published: charts/package.sh IMAGE RUNBOOKS DIRECTORY. IMAGE is the repository of the published
# image, RUNBOOKS the public address of docs/runbooks, to which alerts link.
#
# With CHART_SIGNING_KEYRING, the package also has a PGP signature (`helm verify`), and the chart says so (artifacthub.io/signKey):
#   CHART_SIGNING_KEYRING      file with the secret key, as `gpg --export-secret-keys` writes it
#   CHART_SIGNING_PASSPHRASE   file with its passphrase; unset if there is none
#   CHART_SIGNING_FINGERPRINT  fingerprint of that key
#   CHART_SIGNING_URL          where its public key is published
set -euo pipefail
image=$1
runbooks=$2
output=$(realpath "$3")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r "$(dirname "${BASH_SOURCE[0]}")/envelope-secrets" "$work/"
chart=$work/envelope-secrets
sed -i "s#localhost/envelope-secrets#$image#" "$chart/values.yaml" "$chart/Chart.yaml" "$chart/README.md"
sed -i "s#runbookBaseUrl: docs/runbooks#runbookBaseUrl: $runbooks#" "$chart/values.yaml"
sed -i "s#| .docs/runbooks. |#| \`$runbooks\` |#" "$chart/README.md"
for name in values.yaml README.md; do
    if ! grep -qF "$image" "$chart/$name" || ! grep -qF "$runbooks" "$chart/$name"; then
        echo "charts/envelope-secrets/$name has changed: the published addresses cannot be set in it" >&2
        exit 1
    fi
done
# A version such as 1.0.0-rc.1 is a pre-release; so is 0.x, whose values may still change.
case $(awk '$1 == "version:" { print $2 }' "$chart/Chart.yaml") in
0.* | *-*) ;;
*) sed -i 's#artifacthub.io/prerelease: "true"#artifacthub.io/prerelease: "false"#' "$chart/Chart.yaml" ;;
esac

flags=()
if [ -n "${CHART_SIGNING_KEYRING:-}" ]; then
    mkdir -m 700 "$work/gpg"
    keys=$(GNUPGHOME=$work/gpg gpg --batch --quiet --no-autostart --with-colons --import-options show-only --import "$CHART_SIGNING_KEYRING")
    fingerprint=$(awk -F: '$1 == "fpr" { print $10; exit }' <<<"$keys")
    if [ "$fingerprint" != "${CHART_SIGNING_FINGERPRINT:?}" ]; then
        echo "the key in CHART_SIGNING_KEYRING is $fingerprint, not $CHART_SIGNING_FINGERPRINT" >&2
        exit 1
    fi
    # At the end of Chart.yaml, whose last map is `annotations`.
    cat >>"$chart/Chart.yaml" <<END
  artifacthub.io/signKey: |
    fingerprint: $fingerprint
    url: ${CHART_SIGNING_URL:?}
END
    user=$(awk -F: '$1 == "uid" { print $10; exit }' <<<"$keys")
    flags=(--sign --keyring "$CHART_SIGNING_KEYRING" --key "$user")
    if [ -s "${CHART_SIGNING_PASSPHRASE:-}" ]; then
        flags+=(--passphrase-file "$CHART_SIGNING_PASSPHRASE")
    fi
fi
helm package "$chart" --destination "$output" "${flags[@]}"
