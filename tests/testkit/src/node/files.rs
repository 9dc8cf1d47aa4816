//! The configuration files of a node.

use std::path::Path;

use anyhow::{Context as _, Result};

/// The host's end of the link to the node.
pub(super) const HOST_ADDRESS: &str = "10.78.0.1";
/// The node's end, where kubelet listens.
pub(super) const NODE_ADDRESS: &str = "10.78.0.2";
/// The addresses of pods.
pub(super) const POD_SUBNET: &str = "10.77.0.0/24";
/// The address of the Service `kubernetes`: the first of the API server's service range.
pub(super) const API_ADDRESS: &str = "10.96.0.1";
/// Where Debian's `containernetworking-plugins` puts the CNI plugins.
const CNI_PLUGINS: &str = "/usr/lib/cni";

/// The script that starts the node; see `init.sh`.
pub(super) fn init_script() -> String {
    include_str!("init.sh")
        .replace("NODE_ADDRESS", NODE_ADDRESS)
        .replace("HOST_ADDRESS", HOST_ADDRESS)
}

/// Writes the files that containerd, CNI and kubelet read. `cgroup` is the parent of all pods' cgroups, `pause` an imported image.
pub(super) fn write(directory: &Path, cgroup: &str, pause: &str) -> Result<()> {
    let file = |name: &str, text: String| {
        let path = directory.join(name);
        std::fs::write(&path, text).with_context(|| path.display().to_string())
    };
    let dir = directory.display();
    std::fs::create_dir_all(directory.join("cni"))?;
    // restrict_oom_score_adj: without it runc cannot start containers where the host limits its own score.
    // netns_mounts_under_state_dir: otherwise below /run/netns.
    file(
        "containerd.toml",
        format!(
            r#"version = 2
root = "{dir}/containerd"
state = "{dir}/containerd-state"
[grpc]
  address = "{dir}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{CNI_PLUGINS}"
    conf_dir = "{dir}/cni"
"#
        ),
    )?;
    file(
        "cni/10-node.conflist",
        format!(
            r#"{{"cniVersion": "0.4.0", "name": "node", "plugins": [
  {{"type": "bridge", "bridge": "cni0", "isDefaultGateway": true, "ipMasq": false,
    "ipam": {{"type": "host-local", "dataDir": "{dir}/ipam", "ranges": [[{{"subnet": "{POD_SUBNET}"}}]]}}}}]}}
"#
        ),
    )?;
    // There is no DNS service: pods reach the API server by the address in their environment. Without clusterDNS, kubelet would warn about
    // each pod.
    file("resolv.conf", "# no name server\n".to_owned())?;
    // Nothing is evicted for the sake of the host's disk or memory, which other processes fill.
    file(
        "kubelet.yaml",
        format!(
            r#"apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: {NODE_ADDRESS}
port: 10250
readOnlyPort: 0
# Changed Secrets reach running pods with the next sync of the pod.
syncFrequency: 5s
healthzPort: 0
authentication:
  anonymous: {{enabled: false}}
  webhook: {{enabled: true}}
  x509: {{clientCAFile: {dir}/plane/ca.crt}}
authorization: {{mode: Webhook}}
containerRuntimeEndpoint: unix://{dir}/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /{cgroup}
failCgroupV1: false
failSwapOn: false
enforceNodeAllocatable: []
localStorageCapacityIsolation: false
makeIPTablesUtilChains: false
podLogsDir: {dir}/pods
resolvConf: {dir}/resolv.conf
clusterDNS: ["{HOST_ADDRESS}"]
imageGCHighThresholdPercent: 100
evictionHard: {{memory.available: 1Mi, nodefs.available: 1Mi, nodefs.inodesFree: "1", imagefs.available: 1Mi}}
"#
        ),
    )
}
