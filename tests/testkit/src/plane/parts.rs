//! How each part is started: its files and its flags.

use std::path::Path;

use anyhow::Result;

use super::kubeconfig::{Identity, write, write_private};
use super::pki::{Authority, token_key};
use super::{Options, audit};
use crate::binaries::Part;

/// etcd listens on a socket file only: no port to conflict with another's, and nobody else's data within reach.
pub(super) const ETCD_SOCKET: &str = "etcd.sock";
/// etcd wants an address to tell its peers and clients. It has no peers, and its client does not ask.
const NOWHERE: &str = "http://127.0.0.1:1";

/// Writes what the parts read: certificates, keys, kubeconfigs, the audit policy.
pub(super) fn write_files(
    folder: &Path,
    authority: &Authority,
    server: &str,
    admin: &Identity<'_>,
) -> Result<()> {
    let file = |name: &str, text: &str| write_private(&folder.join(name), text);
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
    let (private, public) = token_key()?;
    file("token.key", &private)?;
    file("token.pub", &public)?;
    file("audit-policy.yaml", audit::POLICY)?;
    write(&folder.join("kubeconfig"), server, &authority.certificate, admin)?;
    let manager = Identity::Certificate(&manager);
    write(
        &folder.join("controller-manager.kubeconfig"),
        server,
        &authority.certificate,
        &manager,
    )?;
    std::fs::create_dir_all(folder.join("home"))?;
    Ok(())
}

/// The command line of a part, without the program.
pub(super) fn arguments(part: Part, folder: &Path, secure_port: u16, options: &Options) -> Vec<String> {
    let at = |name: &str| folder.join(name).display().to_string();
    match part {
        Part::Etcd => vec![
            format!("--data-dir={}", at("etcd")),
            "--name=testkit".to_owned(),
            format!("--listen-client-urls=unix://{ETCD_SOCKET}"),
            "--listen-peer-urls=unix://etcd-peer.sock".to_owned(),
            format!("--advertise-client-urls={NOWHERE}"),
            format!("--initial-advertise-peer-urls={NOWHERE}"),
            format!("--initial-cluster=testkit={NOWHERE}"),
            // The data lives as long as the run: no reason to wait for a disk.
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
                // A loopback address is no valid endpoint: the server would try for ever to publish itself.
                "--endpoint-reconciler-type=none".to_owned(),
                format!("--audit-policy-file={}", at("audit-policy.yaml")),
                format!("--audit-log-path={}", at("audit.log")),
                // An event is written before its answer's end is sent, and into one file, never rotated.
                "--audit-log-mode=blocking".to_owned(),
                "--audit-log-maxsize=1000000".to_owned(),
            ];
            arguments.extend(options.apiserver_arguments.iter().cloned());
            arguments
        }
        Part::ControllerManager => vec![
            format!("--kubeconfig={}", at("controller-manager.kubeconfig")),
            format!("--service-account-private-key-file={}", at("token.key")),
            format!("--root-ca-file={}", at("ca.crt")),
            "--use-service-account-credentials".to_owned(),
            "--leader-elect=false".to_owned(),
            // Each controller first makes an account and a token for itself: the default of 20 requests a second costs seconds of start.
            "--kube-api-qps=500".to_owned(),
            "--kube-api-burst=1000".to_owned(),
            // It serves nobody here.
            "--secure-port=0".to_owned(),
        ],
        Part::Kubectl => Vec::new(),
    }
}
