//! What is refused, and what must not be.

use super::super::stream::{Part, read};
use super::super::yaml_read::Aliases;

/// What is found in a stream.
#[track_caller]
fn found(text: &str) -> Option<String> {
    let parts = match read(text.as_bytes(), Aliases::Ignore) {
        Ok(parts) => parts,
        Err(error) => panic!("{error}: {text}"),
    };
    let found = parts.iter().find_map(Part::find_plaintext)?;
    assert!(!found.what.contains("hunter2"), "{}", found.what);
    Some(format!("{}: {}", found.line, found.what))
}

const DATA: &str = "data: {p: aHVudGVyMg==}\n";

#[test]
fn objects_without_a_valid_kind_are_refused() {
    for (text, expected) in [
        (
            "kind: null\ntype: Opaque\ndata: {p: hunter2}\n".to_owned(),
            "1: data beside the type of a Secret",
        ),
        (
            format!("kind: null\ntype: Opaque\n{DATA}"),
            "1: data in an object without a kind",
        ),
        (
            format!("type: kubernetes.io/tls\n{DATA}"),
            "1: data in an object without a kind",
        ),
        (
            "type: opaque\nbinaryData: {p: aHVudGVyMg==}\n".to_owned(),
            "1: data in an object without a kind",
        ),
        (
            "type: Opaque\nstringData: {p: hunter2}\n".to_owned(),
            "1: stringData outside a Secret",
        ),
        (
            format!("apiVersion: v1\nmetadata: {{name: x}}\n{DATA}"),
            "1: data in an object without a kind",
        ),
        (
            format!("kind: [Secret]\napiVersion: v1\n{DATA}"),
            "1: data in an object without a kind",
        ),
        (
            format!("kind: \"\"\nmetadata: {{name: x}}\n{DATA}"),
            "1: data in an object without a kind",
        ),
        (
            format!("k\u{456}nd: Secret\nmetadata: {{name: x}}\n{DATA}"),
            "1: data in an object without a kind",
        ),
        (
            DATA.replace("aHVudGVyMg==", "aHVudGVyMi1odW50ZXIy"),
            "1: data in an object without a kind",
        ),
        (
            format!("apiVersion: v1\nkind: ConfigMap\nKind: Secret\n{DATA}"),
            "1: a Secret that is not written as `kind: Secret` of `apiVersion: v1` (kind: ConfigMap, apiVersion: v1)",
        ),
        (
            format!("apiVersion: v1\nkind: \"Config Map\"\n{DATA}"),
            "1: data beside a kind that Kubernetes does not allow (kind: \"Config Map\", apiVersion: v1)",
        ),
    ] {
        assert_eq!(found(&text).as_deref(), Some(expected), "{text}");
    }
}

#[test]
fn kinds_that_resemble_secret_are_refused() {
    for kind in [
        "Secrets",
        "Secert",
        "\"Secret\\u200b\"",
        "Secret\u{200b}",
        "\u{ff33}ecret",
        "\u{405}\u{435}cr\u{435}t",
        "\"Secret \"",
    ] {
        for text in [
            format!("apiVersion: v1\nkind: {kind}\n{DATA}"),
            format!("kind: Template\nobjects:\n- kind: {kind}\n  {DATA}"),
        ] {
            let found = found(&text);
            assert!(
                found.as_deref().is_some_and(|f| f.contains("a Secret ")),
                "{text}: {found:?}"
            );
        }
    }
}

#[test]
fn parts_of_other_objects_are_refused() {
    for (text, expected) in [
        (
            format!("kind: ConfigMapList\napiVersion: v1\nitems:\n- type: Opaque\n  {DATA}"),
            "4: data beside the type of a Secret",
        ),
        (
            format!("kind: List\nitems:\n- kind: ConfigMap\n  type: kubernetes.io/basic-auth\n  {DATA}"),
            "3: data beside the type of a Secret",
        ),
        (
            "kind: Template\nobjects:\n- kind: Secret\n  binaryData: {p: aHVudGVyMg==}\n".to_owned(),
            "3: a Secret inside another object",
        ),
        (
            "kind: Kustomization\nsecretGenerator:\n- name: db\n  literals: [password=hunter2]\n".to_owned(),
            "1: the literals of a secretGenerator",
        ),
        (
            "apiVersion: builtin\nkind: SecretGenerator\nmetadata: {name: x}\nliterals: [password=hunter2]\n"
                .to_owned(),
            "1: the literals of a secretGenerator",
        ),
        (
            "kind: ConfigMap\nstring_data: {p: hunter2}\n".to_owned(),
            "1: stringData outside a Secret",
        ),
        (
            "kind: Template\nobjects:\n- kind: ConfigMap\n  \"string\\u200bdata\": {p: hunter2}\n".to_owned(),
            "3: stringData outside a Secret",
        ),
        (
            format!("apiVersion: core.k8s.\u{200b}io/v1\nkind: Secret\n{DATA}"),
            "1: a Secret that is not written as `kind: Secret` of `apiVersion: v1` (kind: Secret, apiVersion: \
             \"core.k8s.\\u{200b}io/v1\")",
        ),
    ] {
        assert_eq!(found(&text).as_deref(), Some(expected), "{text}");
    }
}

#[test]
fn secrets_in_comments_are_refused() {
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: b}\n";
    for (comment, line) in [
        (
            "# apiVersion: v1\n# kind: Secret\n# stringData:\n#   p: hunter2\n",
            5,
        ),
        ("  # kind: Secret\n  # data:\n  #   p: aHVudGVyMg==\n", 5),
        ("#kind: Secret\n#data:\n#  p: aHVudGVyMg==\n", 5),
        (
            "# The old Secret:\n# - kind: Secret\n#   data:\n#     p: aHVudGVyMg==\n",
            5,
        ),
        ("\n# kind: Secret\n\n# data:\n#   p: aHVudGVyMg==\n", 6),
        ("## kind: Secret\n##\n## data: {p: aHVudGVyMg==}\n", 5),
        (
            "# {\"kind\": \"Secret\", \"data\": {\"p\": \"aHVudGVyMg==\"}}\n",
            5,
        ),
        ("# // kind: Secret\n# // data:\n# //   p: aHVudGVyMg==\n", 5),
        ("# > kind: Secret\n# > data:\n# >   p: aHVudGVyMg==\n", 5),
        ("# x\r# kind: Secret\r# data:\r#   p: aHVudGVyMg==\r", 5),
        ("# type: Opaque\n# data:\n#   p: aHVudGVyMg==\n", 5),
        ("# kind: Secret\r\n# data:\r\n#   p: aHVudGVyMg==\r\n", 5),
    ] {
        let expected = Some(format!("{line}: a Secret that is commented out"));
        assert_eq!(found(&format!("{map}{comment}")), expected, "{comment}");
        assert!(found(&format!("{comment}---\n{map}")).is_some(), "{comment}");
        assert!(
            found(&format!("{comment}--- # empty\n")).is_some()
                || read(comment.as_bytes(), Aliases::Ignore).is_ok()
        );
    }
}

#[test]
fn manifests_in_strings_are_refused() {
    use super::super::base64_std::to_base64;
    let manifest = "apiVersion: v1\nkind: Secret\nmetadata: {name: x}\nstringData: {p: hunter2}\n";
    let base64 = to_base64(manifest.as_bytes());
    let twice = to_base64(base64.as_bytes());
    for string in [
        "{\"kind\":\"Secret\",\"data\":{\"p\":\"aHVudGVyMg==\"}, {{x}} }".to_owned(),
        "{\"a\":\"{\\\"kind\\\":\\\"Secret\\\",\\\"data\\\":{\\\"p\\\":\\\"aHVudGVyMg==\\\"}}\", {{x}}"
            .to_owned(),
        manifest.replace('\n', " "),
        "secretGenerator: [{name: a, literals: [p=hunter2]}]".to_owned(),
        base64.to_string(),
        twice.to_string(),
        format!("data:application/yaml;base64,{}", *base64),
        (0..5).fold(manifest.to_owned(), |inner, _| {
            format!(
                "kind: ConfigMap\ndata:\n  x: |\n    {}\n",
                inner.trim_end().replace('\n', "\n    ")
            )
        }),
        format!("# {}", manifest.trim_end().replace('\n', "\n# ")),
    ] {
        let text = format!(
            "kind: ConfigMap\ndata:\n  x: {}\n",
            serde_json::Value::from(string)
        );
        let expected = Some("3: the manifest of a Secret inside a string".to_owned());
        assert_eq!(found(&text), expected, "{text}");
    }
}

#[test]
fn legitimate_documents_pass() {
    for text in [
        // References.
        "apiVersion: v1\nkind: Pod\nspec:\n  volumes:\n  - secret: {secretName: db}\n  containers:\n  - env:\n    - name: P\n      valueFrom: {secretKeyRef: {name: db, key: p}}\n",
        "kind: ClusterResourceSet\nspec: {resources: [{kind: Secret, name: x}]}\n",
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: r}\nrules:\n- apiGroups: [\"\"]\n  resources: [secrets]\n  verbs: [get]\n",
        "apiVersion: gateway.networking.k8s.io/v1beta1\nkind: ReferenceGrant\nspec:\n  to: [{group: \"\", kind: Secret}]\n",
        // Operators that build Secrets.
        "apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {name: e}\nspec:\n  target:\n    name: db\n    template:\n      type: kubernetes.io/tls\n      metadata: {labels: {a: b}}\n      data: {url: \"pg://{{ .user }}:{{ .password }}@db\"}\n  data:\n  - secretKey: p\n    remoteRef: {key: prod/db, property: p}\n",
        "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata: {name: s}\nspec:\n  encryptedData: {p: AgBy8hCi}\n  template:\n    type: Opaque\n    data: {config.yaml: \"p: {{ .p }}\"}\n",
        "apiVersion: secrets-store.csi.x-k8s.io/v1\nkind: SecretProviderClass\nspec:\n  secretObjects:\n  - secretName: x\n    type: Opaque\n    data:\n    - {objectName: a, key: b}\n",
        "apiVersion: secrets.hashicorp.com/v1beta1\nkind: VaultStaticSecret\nspec: {type: kv-v2, path: db, destination: {name: db, create: true, type: Opaque}}\n",
        "apiVersion: onepassword.com/v1\nkind: OnePasswordItem\ntype: Opaque\nspec: {itemPath: vaults/x}\n",
        "apiVersion: example.com/v1\nkind: Secret\nmetadata: {name: other}\ndata: {a: b}\n",
        "apiVersion: example.com/v1\nkind: Thing\ntype: kubernetes.io/x\ndata: {a: b}\n",
        // Schemas.
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: secrets.example.com}\nspec:\n  names: {kind: Secret, plural: secrets}\n  versions:\n  - schema:\n      openAPIV3Schema:\n        type: object\n        properties:\n          kind: {type: string}\n          type: {type: string, description: the type of the Secret}\n          data: {type: object, additionalProperties: {type: string, format: byte}}\n          stringData: {type: object, additionalProperties: {type: string}}\n",
        // Configuration.
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata:\n  mode: prod\n  app.yaml: |\n    kind: server\n    data: {directory: /var/lib/data}\n    type: kubernetes\n",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata:\n  readme: \"create a Secret with kind: Secret and data: in it\"\n",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\nbinaryData: {a: AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4v}\n",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: dashboard}\ndata:\n  x.json: '{\"panels\": [{\"type\": \"graph\", \"data\": {\"kind\": \"prometheus\"}}]}'\n",
        // Helm values, patches, kustomizations.
        "replicas: 2\nimage: {repository: x, tag: \"1\"}\nauth: {existingSecret: db, secretKeys: {adminPasswordKey: p}}\nservice: {type: ClusterIP}\ndata: {size: 8Gi}\nextraObjects: []\n",
        "secret: {create: false, name: db}\nsecrets: {enabled: true}\ntype: ClusterIP\n",
        "resources: [a.yaml]\nsecretGenerator:\n- name: db\n  files: [p.txt]\n  envs: [db.env]\n",
        "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nspec:\n  valuesFrom: [{kind: Secret, name: values}]\n  values: {persistence: {type: pvc, data: {size: 1Gi}}}\n",
        "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nspec:\n  rules:\n  - match: {any: [{resources: {kinds: [Secret]}}]}\n    generate: {kind: Secret, name: regcred, clone: {name: regcred, namespace: default}}\n",
        // Comments.
        "# This chart needs a Secret (kind: Secret); see data: in the README.\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: b} # data of no Secret\n",
        "kind: ConfigMap\nmetadata: {name: c}\n# valuesFrom:\n# - kind: Secret\n#   name: values\ndata: {a: b}\n",
        "kind: Namespace\nmetadata: {name: \"na\u{ef}ve\", labels: {kind: \"\u{e9}t\u{e9}\"}}\n",
    ] {
        assert_eq!(found(text), None, "{text}");
    }
}
