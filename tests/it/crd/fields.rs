//! Our objects in the API server: field managers, status, columns, selectors, `kubectl explain`.

use serde_json::{Value, json};
use testkit::ControlPlane;

use crate::support::crd::{plane_with_crd, read_back, stored};
use crate::support::sealing::{Sealer, draft, object, yaml};

/// Two documents for one place: the second lacks an entry of the first.
fn two_revisions(sealer: &Sealer, namespace: &str, name: &str) -> (Value, Value) {
    let first = sealer.seal(draft(namespace, name, &[("a", b"1".as_slice()), ("b", b"2")]));
    let second = sealer.seal(draft(namespace, name, &[("a", b"3".as_slice())]));
    (object(&first), object(&second))
}

fn spec(plane: &ControlPlane, namespace: &str, name: &str) -> Value {
    stored(plane, namespace, name)["spec"].clone()
}

#[test]
fn conflicting_field_managers_never_mix_two_documents() {
    let plane = plane_with_crd();
    let namespace = plane.namespace("managers").unwrap();
    let (first, second) = two_revisions(&Sealer::new(1), &namespace, "db");
    let apply = |manager: &str, more: &[&str], object: &Value| {
        let manager = format!("--field-manager={manager}");
        let arguments = [&["apply", "--server-side", &manager, "-f", "-"], more].concat();
        plane.kubectl_output(&arguments, &yaml(object)).unwrap()
    };
    assert!(apply("one", &[], &first).status.success());
    let refused = apply("two", &[], &second);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        said.contains("conflict with \"one\"") && said.contains(": .spec\n"),
        "{said}"
    );
    assert_eq!(spec(plane, &namespace, "db"), first["spec"]);
    assert!(apply("two", &["--force-conflicts"], &second).status.success());
    assert_eq!(
        spec(plane, &namespace, "db"),
        second["spec"],
        "the whole second document"
    );
    // The first manager forces its document again: a whole one.
    assert!(apply("one", &["--force-conflicts"], &first).status.success());
    assert_eq!(spec(plane, &namespace, "db"), first["spec"]);
}

/// docs/gitops.md describes this behaviour.
#[test]
fn client_side_apply_after_create_leaves_removed_entries() {
    let plane = plane_with_crd();
    let namespace = plane.namespace("leftover").unwrap();
    let sealer = Sealer::new(1);
    let run = |arguments: &[&str], object: &Value| {
        let output = plane.kubectl_output(arguments, &yaml(object)).unwrap();
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let entries = |name: &str| {
        spec(plane, &namespace, name)["encryptedData"]
            .as_object()
            .unwrap()
            .len()
    };

    // Created, then applied client-side without one entry: the entry stays, and the next apply reports no change.
    let (first, resealed) = two_revisions(&sealer, &namespace, "created");
    let mut shorter = first.clone();
    shorter["spec"]["encryptedData"]
        .as_object_mut()
        .unwrap()
        .remove("b")
        .unwrap();
    shorter["spec"]["seal"]["mac"] = resealed["spec"]["seal"]["mac"].clone();
    assert!(run(&["create", "-f", "-"], &first).0);
    let (ok, said) = run(&["apply", "-f", "-"], &shorter);
    assert!(
        ok && said.contains("is missing the kubectl.kubernetes.io/last-applied-configuration annotation"),
        "{said}"
    );
    assert_eq!(entries("created"), 2, "entries of two documents");
    let again = plane
        .kubectl_with_input(["apply", "-f", "-"], &yaml(&shorter))
        .unwrap();
    assert!(again.contains("unchanged"), "{again}");
    // After a re-seal, the leftover values belong to no data key, and the API server rejects the mixture.
    let (first, resealed) = two_revisions(&sealer, &namespace, "resealed");
    assert!(run(&["create", "-f", "-"], &first).0);
    let (ok, said) = run(&["apply", "-f", "-"], &resealed);
    assert!(
        !ok && said.contains("a value does not begin with the id of one of spec.dataKeys"),
        "{said}"
    );
    assert_eq!(
        spec(plane, &namespace, "resealed"),
        first["spec"],
        "nothing was changed"
    );
    // The two remedies.
    let (ok, said) = run(&["apply", "--server-side", "-f", "-"], &shorter);
    assert!(
        !ok && said.contains("conflict with \"kubectl-client-side-apply\""),
        "{said}"
    );
    assert!(
        run(
            &["apply", "--server-side", "--force-conflicts", "-f", "-"],
            &shorter
        )
        .0
    );
    assert_eq!(spec(plane, &namespace, "created"), shorter["spec"]);
    assert!(run(&["replace", "-f", "-"], &resealed).0);
    assert_eq!(spec(plane, &namespace, "resealed"), resealed["spec"]);

    // Applied from the beginning, client-side or server-side: nothing is left over.
    for (name, arguments) in [
        ("client", vec!["apply", "-f", "-"]),
        ("server", vec!["apply", "--server-side", "-f", "-"]),
    ] {
        let (first, second) = two_revisions(&sealer, &namespace, name);
        assert!(run(&arguments, &first).0 && run(&arguments, &second).0, "{name}");
        assert_eq!(spec(plane, &namespace, name), second["spec"], "{name}");
    }
}

#[test]
fn large_document_exceeds_the_annotation_of_client_side_apply() {
    let plane = plane_with_crd();
    let namespace = plane.namespace("annotation").unwrap();
    let sealer = Sealer::new(1);
    let below = sealer.seal(draft(&namespace, "below", &[("blob", &vec![7; 190_000])]));
    let input = yaml(&object(&below));
    plane.kubectl_with_input(["apply", "-f", "-"], &input).unwrap();
    let document = sealer.seal(draft(&namespace, "large", &[("blob", &vec![7; 200_000])]));
    let text = yaml(&object(&document));
    let refused = plane.kubectl_output(["apply", "-f", "-"], &text).unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        !refused.status.success()
            && said.contains("metadata.annotations: Too long: may not be more than 262144 bytes"),
        "{said}"
    );
    plane
        .kubectl_with_input(["apply", "--server-side", "-f", "-"], &text)
        .unwrap();
    assert_eq!(
        read_back(plane, &namespace, "large").transcript(),
        document.transcript()
    );
}

#[test]
fn new_object_is_not_current_without_a_controller() {
    let plane = plane_with_crd();
    let namespace = plane.namespace("new").unwrap();
    let document = Sealer::new(1).seal(draft(&namespace, "db", &[("a", b"1")]));
    let mut sent = object(&document);
    sent["metadata"]["annotations"] = json!({"envelope-secrets.io/sealed-for": format!("{namespace}/db")});
    // A status in the manifest is ignored: only the controller writes it.
    sent["status"] = json!({"observedGeneration": 1, "kmsKey": "local://00000000"});
    plane
        .kubectl_with_input(["apply", "--server-side", "-f", "-"], &sent.to_string())
        .unwrap();
    let object = stored(plane, &namespace, "db");
    assert_eq!(object["status"], json!({"observedGeneration": -1}));
    assert_eq!(object["metadata"]["generation"], 1);
    assert_eq!(
        object["metadata"]["annotations"], sent["metadata"]["annotations"],
        "nothing is added"
    );
    // `kubectl wait` waits, like kstatus.
    let waited = plane
        .kubectl_output(
            [
                "wait",
                "envsec/db",
                "-n",
                &namespace,
                "--for=condition=Ready",
                "--timeout=1s",
            ],
            "",
        )
        .unwrap();
    assert!(!waited.status.success());
}

/// A status as the controller writes it.
const STATUS: &str = r#"{"status": {
  "observedGeneration": 1, "kmsKey": "local://fa1975b2", "kmsKeys": ["local://fa1975b2"], "dataKeys": ["69e86d38"],
  "sealed": {"time": "2026-11-23T17:00:00Z", "mac": "sPArST", "highestTime": "2026-11-23T17:00:00Z"},
  "applied": {"generation": 1, "digest": "36d8ec41", "mode": "Owned", "renderer": 1, "secretUID": "7318f7ea",
              "secretResourceVersion": "1238", "entries": 3, "time": "2026-11-24T00:47:55Z"},
  "conditions": [{"type": "Ready", "status": "True", "reason": "Synced", "observedGeneration": 1,
                  "message": "secret holds 3 entries from generation 1", "lastTransitionTime": "2026-11-24T00:47:55Z"}]}}"#;

#[test]
fn status_columns_and_field_selectors_are_served() {
    let plane = plane_with_crd();
    let namespace = plane.namespace("columns").unwrap();
    let sealer = Sealer::new(1);
    let mut with_audience = draft(&namespace, "ready", &[("a", b"1")]);
    with_audience.audience = Some("prod-gz".to_owned());
    for draft in [with_audience, draft(&namespace, "new", &[])] {
        let object = object(&sealer.seal(draft));
        plane
            .kubectl_with_input(["create", "-f", "-"], &object.to_string())
            .unwrap();
    }
    plane
        .kubectl([
            "patch",
            "envsec",
            "ready",
            "-n",
            &namespace,
            "--subresource=status",
            "--type=merge",
            "-p",
            STATUS,
        ])
        .unwrap();
    let written: Value = serde_json::from_str(STATUS).unwrap();
    assert_eq!(
        stored(plane, &namespace, "ready")["status"],
        written["status"],
        "the schema prunes no field of a status"
    );
    plane
        .kubectl([
            "annotate",
            "envsec",
            "new",
            "-n",
            &namespace,
            "envelope-secrets.io/suspend=true",
        ])
        .unwrap();
    plane
        .kubectl([
            "wait",
            "envsec/ready",
            "-n",
            &namespace,
            "--for=condition=Ready",
            "--timeout=60s",
        ])
        .unwrap();

    let get = |more: &[&str]| {
        plane
            .kubectl([&["get", "-n", &namespace], more].concat())
            .unwrap()
    };
    let rows = |text: &str| -> Vec<Vec<String>> {
        text.lines()
            .map(|line| line.split_whitespace().map(str::to_owned).collect())
            .collect()
    };
    let short = rows(&get(&["envsec"]));
    assert_eq!(short[0], ["NAME", "READY", "REASON", "AGE"]);
    assert_eq!(short[2][..3], ["ready", "True", "Synced"]);
    let wide = rows(&get(&["envelopesecrets", "-o", "wide"]));
    assert_eq!(
        wide[0],
        [
            "NAME",
            "READY",
            "REASON",
            "AGE",
            "KEY",
            "ENTRIES",
            "SEALED",
            "SUSPENDED"
        ]
    );
    assert_eq!(wide[2][4..6], ["local://fa1975b2", "3"]);
    assert_eq!(wide[1].last().map(String::as_str), Some("true"), "{wide:?}");
    assert_eq!(
        get(&["envelope-secrets", "-o", "name"]).lines().count(),
        2,
        "the category"
    );
    assert_eq!(get(&["all", "-o", "name"]), "", "never in `all`");

    let select = |field: &str| get(&["envsec", "-o", "name", "--field-selector", field]);
    assert_eq!(
        select("spec.audience=prod-gz"),
        "envelopesecret.envelope-secrets.io/ready\n"
    );
    assert_eq!(
        select("status.kmsKey=local://fa1975b2"),
        "envelopesecret.envelope-secrets.io/ready\n"
    );
    assert_eq!(select("spec.scope=strict").lines().count(), 2);
    assert_eq!(select("spec.scope=cluster-wide"), "");
}

#[test]
fn kubectl_explain_describes_fields() {
    let plane = plane_with_crd();
    // The OpenAPI document follows the CRD within seconds.
    let explain = |path: &str| {
        testkit::until(std::time::Duration::from_mins(1), "kubectl explain", || {
            let output = plane.kubectl_output(["explain", path], "").unwrap();
            Ok(output
                .status
                .success()
                .then(|| String::from_utf8(output.stdout))
                .transpose()?)
        })
        .unwrap()
    };
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let top = words(&explain("envsec"));
    assert!(
        top.contains("Create it with `envelope seal`; a manual change breaks the seal."),
        "{top}"
    );
    let spec = words(&explain("envsec.spec"));
    for expected in [
        "scope <string> -required-",
        "enum: strict, namespace-wide, cluster-wide",
        "strict, only in this namespace under this name;",
        "template <Object> Everything in the Secret besides sealed values:",
    ] {
        assert!(spec.contains(expected), "{expected}: {spec}");
    }
    let deep = words(&explain("envsec.spec.dataKeys.wraps"));
    assert!(deep.contains("URI of the KMS key: local://fa1975b2"), "{deep}");
}
