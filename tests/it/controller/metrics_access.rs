//! The metrics over TLS, for clients that the API server allows.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use envelope_secrets::access::{Gate, GateTimes};
use envelope_secrets::controller::{AccessReviews, Timings};
use envelope_secrets::metrics::Metrics;
use envelope_secrets::probes::{self, Tls};
use reqwest::StatusCode;
use serde_json::{Value, json};
use testkit::{Authority, ControlPlane};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::support::canary::logged;
use crate::support::controller::{TestNamespace, timings};
use crate::support::crd::plane_with_crd;
use crate::support::{exit_status, terminate, until};

const LIMIT: Duration = Duration::from_mins(1);
const DENIED: Duration = Duration::from_millis(100);

/// A certificate in files, and its authority.
struct Certificate {
    directory: tempfile::TempDir,
    authority: Authority,
}

impl Certificate {
    fn new() -> Self {
        let authority = Authority::new().unwrap();
        let certificate = Certificate {
            directory: tempfile::tempdir().unwrap(),
            authority,
        };
        certificate.write(&certificate.authority);
        certificate
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a certificate of this authority, key first.
    fn write(&self, authority: &Authority) {
        let pair = authority.server("metrics", &["127.0.0.1"]).unwrap();
        for (name, content) in [("tls.key", pair.key), ("tls.crt", pair.certificate)] {
            fs::write(self.path("next"), content).unwrap();
            fs::rename(self.path("next"), self.path(name)).unwrap();
        }
    }
}

/// A client that trusts only this authority, on a new connection for each request.
fn https(authority: &Authority) -> reqwest::Client {
    let trusted = reqwest::Certificate::from_pem(authority.certificate.as_bytes()).unwrap();
    let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0);
    client.tls_certs_only([trusted]).build().unwrap()
}

/// A metrics server in this process.
struct Served {
    address: SocketAddr,
    client: reqwest::Client,
    _stop: DropGuard,
}

impl Served {
    async fn start(kubeconfig: &Path, times: GateTimes) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let certificate = Certificate::new();
        let tls = Tls::open(&certificate.path("tls.crt"), &certificate.path("tls.key")).unwrap();
        let reviews = AccessReviews::connect(Some(kubeconfig), &timings())
            .await
            .unwrap();
        let gate = Arc::new(Gate::new(Arc::new(reviews), times));
        let listener = probes::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = probes::guarded(probes::metrics(Metrics::new()), gate);
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        tokio::spawn(async move { probes::serve_tls(listener, router, &tls, stopped).await });
        Served {
            address,
            client: https(&certificate.authority),
            _stop: stop.drop_guard(),
        }
    }

    async fn get(&self, path: &str, authorization: Option<&str>) -> reqwest::Response {
        let request = self.client.get(format!("https://{}{path}", self.address));
        let request = match authorization {
            Some(value) => request.header("authorization", value),
            None => request,
        };
        request.send().await.unwrap()
    }

    async fn status(&self, token: &str) -> StatusCode {
        self.get("/metrics", Some(&format!("Bearer {token}")))
            .await
            .status()
    }
}

fn times(allowed: Duration) -> GateTimes {
    GateTimes {
        allowed,
        denied: DENIED,
        review: Duration::from_secs(30),
    }
}

/// `ServiceAccount`s with the roles of the chart: `controller` reviews, `reader` reads the metrics, `other` may do nothing.
struct Accounts {
    plane: &'static ControlPlane,
    place: TestNamespace,
}

impl Accounts {
    async fn new(prefix: &str) -> Self {
        let accounts = Accounts {
            plane: plane_with_crd(),
            place: TestNamespace::new(prefix).await,
        };
        let namespace = &accounts.place.namespace;
        let mut items = Vec::new();
        for (name, rules) in [
            (
                "controller",
                json!([
                    { "apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"] },
                    { "apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"], "verbs": ["create"] },
                ]),
            ),
            (
                "reader",
                json!([{ "nonResourceURLs": ["/metrics"], "verbs": ["get"] }]),
            ),
            ("other", Value::Null),
        ] {
            let role = format!("{namespace}:{name}");
            items.push(json!({
                "apiVersion": "v1", "kind": "ServiceAccount",
                "metadata": { "name": name, "namespace": namespace },
            }));
            if rules.is_null() {
                continue;
            }
            items.push(json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
                "metadata": { "name": role }, "rules": rules,
            }));
            items.push(json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
                "metadata": { "name": role },
                "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role },
                "subjects": [{ "kind": "ServiceAccount", "name": name, "namespace": namespace }],
            }));
        }
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": items });
        accounts
            .plane
            .kubectl_with_input(["create", "-f", "-"], &list.to_string())
            .unwrap();
        accounts
    }

    fn kubeconfig(&self, account: &str) -> PathBuf {
        self.plane
            .kubeconfig_for_service_account(&self.place.namespace, account)
            .unwrap()
    }

    /// A token, which must not appear anywhere.
    fn token(&self, account: &str, more: &[&str]) -> String {
        let namespace = &self.place.namespace;
        let arguments = [&["create", "token", account, "-n", namespace][..], more].concat();
        let token = self.plane.kubectl(arguments).unwrap().trim().to_owned();
        self.place.canary.plant(&token);
        token
    }

    fn delete(&self, kind: &str, name: &str) {
        let arguments = ["delete", kind, name, "-n", &self.place.namespace];
        self.plane.kubectl(arguments).unwrap();
    }

    async fn check_canary(&self) {
        let (client, namespace) = (&self.place.client, &self.place.namespace);
        self.place.canary.check(client, namespace, &[]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_permitted_service_account_reads_the_metrics() {
    let accounts = Accounts::new("scrape").await;
    let served = Served::start(&accounts.kubeconfig("controller"), times(Duration::from_hours(1))).await;
    let reader = accounts.token("reader", &[]);
    // Until the API server has seen the new roles.
    until(LIMIT, "the reader is allowed", async || {
        served.status(&reader).await == StatusCode::OK
    })
    .await;
    let response = served.get("/metrics", Some(&format!("Bearer {reader}"))).await;
    let text = response.text().await.unwrap();
    assert!(text.contains("envelope_secrets_build_info"), "{text}");

    let other = accounts.token("other", &[]);
    let response = served.get("/metrics", Some(&format!("Bearer {other}"))).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert_eq!(response.text().await.unwrap(), "forbidden\n");

    let audience = accounts.token("reader", &["--audience", "https://another.example"]);
    let (tampered, basic) = (format!("{reader}x"), format!("Basic {reader}"));
    let bearer = |token: &str| Some(format!("Bearer {token}"));
    for authorization in [
        None,
        bearer("made-up"),
        bearer(&tampered),
        bearer(&audience),
        Some(basic),
    ] {
        for path in ["/metrics", "/", "/livez"] {
            let response = served.get(path, authorization.as_deref()).await;
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{path}");
            assert_eq!(response.headers()["www-authenticate"], "Bearer");
            assert_eq!(response.text().await.unwrap(), "unauthorized\n");
        }
    }

    // A decision is kept: one TokenReview and one SubjectAccessReview for any number of scrapes.
    let reader = accounts.token("reader", &[]);
    let mark = accounts.plane.audit_mark().unwrap();
    for _ in 0..5 {
        assert_eq!(served.status(&reader).await, StatusCode::OK);
    }
    let by_controller = format!("system:serviceaccount:{}:controller", accounts.place.namespace);
    let mut reviews: Vec<String> = accounts
        .plane
        .audit_since(mark)
        .unwrap()
        .into_iter()
        .filter(|event| event.user == by_controller)
        .map(|event| event.uri)
        .collect();
    reviews.sort();
    assert_eq!(
        reviews,
        [
            "/apis/authentication.k8s.io/v1/tokenreviews",
            "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        ]
    );
    accounts.check_canary().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn revocation_takes_effect_when_the_decision_expires() {
    let accounts = Accounts::new("revoked").await;
    let served = Served::start(&accounts.kubeconfig("controller"), times(DENIED * 2)).await;
    let token = accounts.token("reader", &[]);
    let becomes = async |status: StatusCode| {
        until(LIMIT, "another status", async || {
            served.status(&token).await == status
        })
        .await;
    };
    becomes(StatusCode::OK).await;
    accounts.delete(
        "clusterrolebinding",
        &format!("{}:reader", accounts.place.namespace),
    );
    becomes(StatusCode::FORBIDDEN).await;
    accounts.delete("serviceaccount", "reader");
    becomes(StatusCode::UNAUTHORIZED).await;
    accounts.check_canary().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_reads_the_metrics_without_a_decision() {
    let accounts = Accounts::new("undecided").await;
    let token = accounts.token("reader", &[]);
    let unavailable = async |served: &Served| {
        let response = served.get("/metrics", Some(&format!("Bearer {token}"))).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.text().await.unwrap(), "unavailable\n");
        let without = served.get("/metrics", None).await;
        assert_eq!(without.status(), StatusCode::UNAUTHORIZED, "needs no decision");
    };
    // Without permission to review.
    let served = Served::start(&accounts.kubeconfig("other"), times(Duration::from_hours(1))).await;
    unavailable(&served).await;
    assert!(!logged(&["not allowed to create tokenreviews.authentication.k8s.io"]).is_empty());

    // The port is closed; then a listener accepts and never responds.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("https://{}", listener.local_addr().unwrap());
    let kubeconfig = fs::read_to_string(accounts.kubeconfig("controller")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    for (server, message) in [
        ("https://127.0.0.1:1", "the API server is unreachable"),
        (silent.as_str(), "the API server did not decide within 200ms"),
    ] {
        let path = directory.path().join("kubeconfig");
        fs::write(&path, kubeconfig.replace(accounts.plane.server(), server)).unwrap();
        let times = GateTimes {
            review: Duration::from_millis(200),
            ..times(Duration::from_hours(1))
        };
        let times = if server == silent {
            times
        } else {
            self::times(times.allowed)
        };
        let served = Served::start(&path, times).await;
        unavailable(&served).await;
        assert!(!logged(&["cannot decide who may read the metrics", message]).is_empty());
    }
    accounts.check_canary().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn binary_serves_a_rotated_certificate_and_shuts_down_during_a_handshake() {
    let accounts = Accounts::new("rotated").await;
    let certificate = Certificate::new();
    let mut child = Command::new(env!("CARGO_BIN_EXE_envelope"))
        .args(["controller", "--log-format=json", "--metrics-auth"])
        .args(["--namespaces", &accounts.place.namespace])
        .args(["--metrics-addr", "127.0.0.1:0", "--probe-addr", "127.0.0.1:0"])
        .arg("--metrics-tls-cert")
        .arg(certificate.path("tls.crt"))
        .env("ENVELOPE_METRICS_TLS_KEY", certificate.path("tls.key"))
        .env("ENVELOPE_KEYRING", accounts.place.sealer.keyring())
        .env("ENVELOPE_KUBECONFIG", accounts.plane.kubeconfig())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = Vec::new();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut next = |message: &str| -> Value {
        for line in lines.by_ref() {
            log.push(line.unwrap());
            let line: Value = serde_json::from_str(log.last().unwrap()).unwrap();
            if line["message"]
                .as_str()
                .is_some_and(|found| found.contains(message))
            {
                return line;
            }
        }
        panic!("{message}: {log:?}")
    };
    let serving = next("serving");
    let address = serving["metrics"].as_str().unwrap().to_owned();
    let url = format!("https://{address}/metrics");
    let token = accounts.token("reader", &[]);
    let client = https(&certificate.authority);
    assert_eq!(
        client.get(&url).send().await.unwrap().status(),
        StatusCode::UNAUTHORIZED
    );
    let text = async |client: &reqwest::Client| {
        let response = client.get(&url).bearer_auth(&token).send().await.unwrap();
        (response.status(), response.text().await.unwrap())
    };
    until(LIMIT, "the reader is allowed", async || {
        text(&client).await.0 == StatusCode::OK
    })
    .await;

    fs::write(certificate.path("tls.crt"), "broken").unwrap();
    next("the certificate of the metrics server changed and cannot be used");
    let (status, metrics) = text(&client).await;
    assert_eq!(status, StatusCode::OK);
    assert!(metrics.contains("envelope_secrets_reload_failed{provider=\"metrics-tls\"} 1"));
    let renewed = Authority::new().unwrap();
    certificate.write(&renewed);
    next("certificate of the metrics server reloaded");
    let (status, metrics) = text(&https(&renewed)).await;
    assert_eq!(status, StatusCode::OK);
    assert!(metrics.contains("envelope_secrets_reload_failed{provider=\"metrics-tls\"} 0"));
    assert!(
        client.get(&url).send().await.is_err(),
        "the old certificate is served"
    );

    let mut incomplete = std::net::TcpStream::connect(&address).unwrap();
    incomplete.write_all(&[22, 3, 1, 2, 0, 1]).unwrap();
    let idle = std::net::TcpStream::connect(&address).unwrap();
    terminate(&child);
    next("shutting down");
    let ended = exit_status(child, Duration::from_secs(5)).await;
    assert!(
        ended.is_some_and(|status| status.success()),
        "SIGTERM does not end the process during a handshake: {ended:?}"
    );
    drop((incomplete, idle));
    assert!(
        !log.iter().any(|line| line.contains(&token)),
        "the token is in the log"
    );
    accounts.check_canary().await;
}

#[test]
fn denials_are_kept_for_a_shorter_time() {
    let timings = Timings::default();
    assert!(
        timings.access_denied < timings.access_allowed && timings.access_allowed <= Duration::from_mins(5)
    );
    assert!(
        timings.access_review < Duration::from_secs(10),
        "Prometheus's timeout of a scrape"
    );
}
