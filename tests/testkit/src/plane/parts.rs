//! The files and flags that each part starts with.

use std::path::Path;

use anyhow::Result;

use super::audit;
use super::kubeconfig::{Identity, write, write_private};
use super::pki::{Authority, token_key};
use crate::binaries::Part;

/// etcd listens only on a Unix socket, so its port cannot conflict and other processes cannot reach it by accident.
pub(super) const ETCD_SOCKET: &str = "etcd.sock";
/// etcd requires an address to advertise to peers and clients. It has no peers here, and its client does not use the address.
const UNUSED_ADDRESS: &str = "http://127.0.0.1:1";

/// Writes the files that the parts read: certificates, keys, kubeconfigs, the audit policy.
pub(super) fn write_files(
    directory: &Path,
    authority: &Authority,
    server: &str,
    admin: &Identity<'_>,
) -> Result<()> {
    let file = |name: &str, text: &str| write_private(&directory.join(name), text);
    let serving = authority.server(
        "kube-apiserver",
        &[
            "127.0.0.1",
            "localhost",
            "10.96.0.1",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
        ],
    )?;
    let manager = authority.client("system:kube-controller-manager", &[])?;
    file("ca.crt", &authority.certificate)?;
    file("apiserver.crt", &serving.certificate)?;
    file("apiserver.key", &serving.key)?;
    // For a node, if there is one: the API server authenticates to the kubelet, which asks it whether this user may do what it requests.
    let kubelet_client = authority.client("testkit-kubelet-client", &["system:masters"])?;
    file("kubelet-client.crt", &kubelet_client.certificate)?;
    file("kubelet-client.key", &kubelet_client.key)?;
    let (private, public) = token_key()?;
    file("token.key", &private)?;
    file("token.pub", &public)?;
    file("audit-policy.yaml", audit::POLICY)?;
    write(
        &directory.join("kubeconfig"),
        server,
        &authority.certificate,
        admin,
    )?;
    let manager = Identity::Certificate(&manager);
    write(
        &directory.join("controller-manager.kubeconfig"),
        server,
        &authority.certificate,
        &manager,
    )?;
    std::fs::create_dir_all(directory.join("home"))?;
    Ok(())
}

/// The arguments of a part; `apiserver_arguments` are added to those of kube-apiserver.
pub(super) fn arguments(
    part: Part,
    directory: &Path,
    secure_port: u16,
    apiserver_arguments: &[String],
) -> Vec<String> {
    let at = |name: &str| directory.join(name).display().to_string();
    match part {
        Part::Etcd => vec![
            format!("--data-dir={}", at("etcd")),
            "--name=testkit".to_owned(),
            format!("--listen-client-urls=unix://{ETCD_SOCKET}"),
            "--listen-peer-urls=unix://etcd-peer.sock".to_owned(),
            format!("--advertise-client-urls={UNUSED_ADDRESS}"),
            format!("--initial-advertise-peer-urls={UNUSED_ADDRESS}"),
            format!("--initial-cluster=testkit={UNUSED_ADDRESS}"),
            // The data is discarded after the run and need not survive a crash of the host.
            "--unsafe-no-fsync".to_owned(),
            "--quota-backend-bytes=8589934592".to_owned(),
            "--log-level=warn".to_owned(),
        ],
        Part::Apiserver => {
            let mut arguments = vec![
                format!("--etcd-servers=unix://{ETCD_SOCKET}"),
                "--bind-address=127.0.0.1".to_owned(),
                format!("--secure-port={secure_port}"),
                format!("--tls-cert-file={}", at("apiserver.crt")),
                format!("--tls-private-key-file={}", at("apiserver.key")),
                format!("--client-ca-file={}", at("ca.crt")),
                format!("--service-account-key-file={}", at("token.pub")),
                format!("--service-account-signing-key-file={}", at("token.key")),
                "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
                "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
                "--authorization-mode=Node,RBAC".to_owned(),
                // A loopback address is not a valid endpoint; the server would retry publishing it indefinitely.
                "--endpoint-reconciler-type=none".to_owned(),
                format!("--audit-policy-file={}", at("audit-policy.yaml")),
                format!("--audit-log-path={}", at("audit.log")),
                // Each event is written before its response is completed, to one file that is never rotated.
                "--audit-log-mode=blocking".to_owned(),
                "--audit-log-maxsize=1000000".to_owned(),
            ];
            arguments.extend(apiserver_arguments.iter().cloned());
            arguments
        }
        Part::ControllerManager => vec![
            format!("--kubeconfig={}", at("controller-manager.kubeconfig")),
            format!("--service-account-private-key-file={}", at("token.key")),
            format!("--root-ca-file={}", at("ca.crt")),
            "--use-service-account-credentials".to_owned(),
            "--leader-elect=false".to_owned(),
            // At startup, each controller creates a ServiceAccount and a token: the default limit of 20 requests/s would add seconds.
            "--kube-api-qps=500".to_owned(),
            "--kube-api-burst=1000".to_owned(),
            // No metrics or health endpoint is needed.
            "--secure-port=0".to_owned(),
        ],
        Part::Kubectl => Vec::new(),
    }
}
