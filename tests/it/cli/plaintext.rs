//! No plaintext passes through `seal`: lookalikes of Secrets, and sealed values in other documents.

use super::shell::Shell;

const GOOD: &str = "apiVersion: v1\nkind: Secret\nmetadata: {name: db, namespace: prod}\nstringData: {password: correct horse}\n";
const PLANTED: &str = "hunter2-hunter2";

/// Seals `document` alone and after a good Secret. The planted value must not be printed.
#[track_caller]
fn refused(document: &str, message: &str) {
    let shell = Shell::new();
    let seal = ["seal", "--keyring", "keyring", "-n", "prod"];
    for text in [document.to_owned(), format!("{GOOD}---\n{document}")] {
        let ran = shell.run(&seal, text.as_bytes());
        assert_eq!(ran.code, Some(1), "{text}\n{}", ran.stderr);
        assert!(!ran.text().contains("hunter2"), "{text}\n{}", ran.text());
        assert!(ran.stderr.contains(message), "{text}\n{}", ran.stderr);
        assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
    }
}

#[track_caller]
fn sealed(document: &str) {
    let shell = Shell::new();
    for text in [document.to_owned(), format!("{GOOD}---\n{document}")] {
        let ran = shell.seal(&["-n", "prod"], text.as_bytes());
        assert!(!ran.text().contains("hunter2"), "{text}\n{}", ran.text());
        assert!(ran.stderr.contains("sealed prod/x: 1 entry"), "{}", ran.stderr);
    }
}

#[test]
fn secrets_in_any_list_are_sealed() {
    for head in [
        "apiVersion: config.kubernetes.io/v1\nkind: ResourceList\n",
        "apiVersion: v1\nkind: SecretList\n",
        "apiVersion: v1\nkind: List\n",
        "kind: Anything\n",
    ] {
        sealed(&format!(
            "{head}items:\n- apiVersion: v1\n  kind: Secret\n  metadata: {{name: x}}\n  stringData: {{p: {PLANTED}}}\n"
        ));
    }
    for kind in ["kind: \"\"", "kind: null", "metadata: {name: x}"] {
        let name = if kind.starts_with("metadata") {
            ""
        } else {
            "  metadata: {name: x}\n"
        };
        sealed(&format!(
            "apiVersion: v1\nkind: SecretList\nitems:\n- {kind}\n{name}  stringData: {{p: {PLANTED}}}\n"
        ));
    }
}

#[test]
fn lookalikes_of_secrets_are_refused() {
    let data = format!("metadata: {{name: x}}\nstringData: {{p: {PLANTED}}}\n");
    let nested = |indent: &str| {
        format!(
            "apiVersion: v1\n{indent}kind: Secret\n{indent}metadata: {{name: x}}\n{indent}stringData: {{p: {PLANTED}}}\n"
        )
    };
    let plaintext = "would pass through in plaintext";
    for (document, message) in [
        (format!("apiVersion: v1\nkind: secret\n{data}"), plaintext),
        (format!("apiVersion: v1\nkind: SECRET\n{data}"), plaintext),
        (format!("apiVersion: v1\nkind: \" Secret\"\n{data}"), plaintext),
        (format!("apiVersion: v1\nKind: Secret\n{data}"), plaintext),
        (format!("apiVersion: core/v1\nkind: Secret\n{data}"), plaintext),
        (
            format!("apiVersion: core.k8s.io/v1\nkind: Secret\n{data}"),
            plaintext,
        ),
        (
            format!("apiVersion: v1\nkind: !!binary U2VjcmV0\n{data}"),
            "a tag in a Secret",
        ),
        (
            format!("apiVersion: v1\nkind: ConfigMap\n<<: {{kind: Secret}}\n{data}"),
            "merge key",
        ),
        (
            format!("apiVersion: v1\nkind: ConfigMap\n{data}"),
            "stringData outside a Secret",
        ),
        (
            format!("apiVersion: example.com/v1\nkind: Secret\n{data}"),
            "stringData outside a Secret",
        ),
        (data.clone(), "stringData outside a Secret"),
        (
            format!(
                "apiVersion: v1\nkind: secretlist\nitems:\n- {}",
                nested("  ").replace("  kind: Secret\n", "")
            ),
            plaintext,
        ),
        (
            format!("apiVersion: envelope-secrets.io/v1\nkind: EnvelopeSecret\n{data}"),
            "beside kind: EnvelopeSecret",
        ),
        (
            format!(
                "apiVersion: envelope-secrets.io/v1\nkind: EnvelopeSecret\nmetadata: {{name: x}}\ndata: {{p: {PLANTED}}}\n"
            ),
            "beside kind: EnvelopeSecret",
        ),
        (format!("- {}", nested("  ")), "a list without kind: List"),
        (
            format!(
                "[{{\"apiVersion\": \"v1\", \"kind\": \"Secret\", \"stringData\": {{\"p\": \"{PLANTED}\"}}}}]"
            ),
            "a list without kind: List",
        ),
        (
            format!(
                "apiVersion: template.openshift.io/v1\nkind: Template\nmetadata: {{name: t}}\nobjects:\n- {}",
                nested("  ")
            ),
            "this would pass through in plaintext: a Secret inside another object",
        ),
        (
            format!(
                "apiVersion: work.open-cluster-management.io/v1\nkind: ManifestWork\nspec:\n  workload:\n    manifests:\n    - {}",
                nested("      ")
            ),
            "a Secret inside another object",
        ),
        (
            format!(
                "apiVersion: v1\nkind: ConfigMap\ndata:\n  secret.yaml: |\n    {}",
                nested("    ")
            ),
            "the manifest of a Secret inside a string",
        ),
        (
            format!(
                "kind: ConfigMap\ndata:\n  t: |\n    {{{{ if .x }}}}\n    {}",
                nested("    ")
            ),
            "the manifest of a Secret inside a string",
        ),
        (
            format!("apiVersion: v1\nkind: ConfigMap # \u{2028}kind: Secret\n# {PLANTED}\n"),
            "kubectl ends the line at U+2028",
        ),
        (
            format!("# a comment \u{85}kind: Secret\u{85}stringData: {{p: {PLANTED}}}\na: b\n"),
            "kubectl ends the line at U+0085",
        ),
        (format!("p={PLANTED}\n"), "a string instead of an object"),
    ] {
        refused(&document, message);
    }
}

#[test]
fn references_to_secrets_and_schemas_pass_through_and_are_reported() {
    let shell = Shell::new();
    for document in [
        "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: h}\nspec:\n  valuesFrom:\n  - {kind: Secret, name: values}\n",
        "kind: ClusterResourceSet\nmetadata: {name: c}\nspec: {resources: [{kind: Secret, name: x}]}\n",
        "kind: CustomResourceDefinition\nmetadata: {name: d}\nspec:\n  properties:\n    kind: {type: string}\n    stringData:\n      type: object\n      description: text\n",
        "apiVersion: example.com/v1\nkind: Secret\nmetadata: {name: other}\nspec: {x: 1}\n",
        "kind: ConfigMap\nmetadata: {name: app, namespace: prod}\ndata: {readme: \"a Secret has data\"}\n",
    ] {
        let ran = shell.seal(&[], format!("{GOOD}---\n{document}").as_bytes());
        assert!(ran.text().ends_with(document), "{}", ran.text());
        assert!(ran.stderr.contains("passed through: "), "{}", ran.stderr);
    }
    let ran = shell.seal(
        &[],
        format!("{GOOD}---\nkind: ConfigMap\nmetadata: {{name: app, namespace: prod}}\n").as_bytes(),
    );
    assert!(
        ran.stderr.contains("passed through: ConfigMap prod/app\n"),
        "{}",
        ran.stderr
    );
}

#[test]
fn pass_plain_passes_lookalikes_with_a_warning_each() {
    let shell = Shell::new();
    let document =
        format!("apiVersion: v1\nkind: secret\nmetadata: {{name: x}}\nstringData: {{p: {PLANTED}}}\n");
    let ran = shell.seal(&["--pass-plain"], format!("{GOOD}---\n{document}").as_bytes());
    assert!(ran.text().ends_with(&document), "{}", ran.text());
    assert!(
        ran.stderr
            .contains("warning: standard input: line 6: passed through in plaintext: a Secret that is not"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_sealed_document_passes_through_and_is_reported() {
    let shell = Shell::new();
    let sealed = shell.seal(&[], GOOD.as_bytes());
    let again = shell.seal(&[], &sealed.stdout);
    assert_eq!(again.stdout, sealed.stdout);
    assert_eq!(again.stderr, "already sealed: prod/db\n");
}

#[test]
fn an_envelope_secret_that_is_not_a_valid_document_is_refused() {
    let shell = Shell::new();
    let object = |spec: &str| {
        format!(
            "apiVersion: envelope-secrets.io/v1\nkind: EnvelopeSecret\nmetadata: {{name: db, namespace: prod}}\nspec: {spec}\n"
        )
    };
    for spec in [
        "{encryptedData: {password: aHVudGVyMi1jb3JyZWN0}}",
        "{encryptedData: {password: hunter2-correct-horse}, data: {q: aHVudGVyMi1jb3JyZWN0}}",
    ] {
        let list = format!(
            "apiVersion: v1\nkind: List\nitems:\n- {}",
            object(spec).replace('\n', "\n  ")
        );
        for input in [object(spec), list, format!("{GOOD}---\n{}", object(spec))] {
            let ran = shell.run(&["seal", "--keyring", "keyring"], input.as_bytes());
            assert!(
                ran.stderr.contains("not a valid sealed document"),
                "{}",
                ran.stderr
            );
            assert_eq!(ran.code, Some(1), "{input}");
            let printed = String::from_utf8_lossy(&ran.stdout);
            assert!(!printed.contains("aHVudGVyMi1jb3JyZWN0"), "{printed}");
        }
        let passed = shell.seal(&["--pass-plain"], object(spec).as_bytes());
        assert!(passed.stderr.contains("warning: "), "{}", passed.stderr);
    }
}
