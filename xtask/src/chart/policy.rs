//! The network policy, enforced: kube-network-policies decides about real packets of a real controller. Its pod is a network namespace, and
//! an object that says so; no kubelet runs.
//!
//! ```text
//! host 10.79.0.1: API server, KMS, another service <-> router 10.79.0.2, 10.77.9.1 <- bridge <- 10.77.9.2 controller
//!                                                       kube-network-policies           10.77.9.3 monitoring, 10.77.9.4 other
//! ```

use std::{
    io,
    net::{Shutdown, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use super::{
    controller::{Emulator, child},
    support::{CHART, Suite, success},
};
use crate::{
    cluster::{RELEASE, tool},
    run::{output, profile_directory, succeeds},
};

/// How long a change may take to have an effect while the host is busy.
const TIMEOUT: Duration = Duration::from_mins(2);
/// The host, as the pods reach it.
const HOST: &str = "10.79.0.1";
const METRICS: (&str, u16) = ("10.77.9.2", 8080);
const PROBES: (&str, u16) = ("10.77.9.2", 8081);
/// A service that the controller must not reach.
const OTHER: (&str, u16) = (HOST, 8888);

/// The kernel passes the first packet of each connection to the program, also between pods of one bridge.
const CAN_ENFORCE: &str =
    "iptables -A FORWARD -j NFQUEUE && test -e /proc/sys/net/bridge/bridge-nf-call-iptables";

const REMOVE: &str = "
for name in router controller monitoring other; do
    ip netns delete envelope-$name 2>/dev/null || true
done
ip link delete envelope-policy 2>/dev/null || true
";

const NETWORK: &str = "
for name in router controller monitoring other; do
    ip netns add envelope-$name
    ip -n envelope-$name link set lo up
done
ip link add envelope-policy type veth peer name uplink netns envelope-router
ip addr add 10.79.0.1/30 dev envelope-policy
ip addr add $API/32 dev envelope-policy
ip link set envelope-policy up
ip -n envelope-router addr add 10.79.0.2/30 dev uplink
ip -n envelope-router link set uplink up
ip -n envelope-router route add default via 10.79.0.1
ip -n envelope-router link add pods type bridge
ip -n envelope-router addr add 10.77.9.1/24 dev pods
ip -n envelope-router link set pods up
ip route add 10.77.9.0/24 via 10.79.0.2
number=2
for name in controller monitoring other; do
    ip -n envelope-router link add $name type veth peer name eth0 netns envelope-$name
    ip -n envelope-router link set $name master pods up
    ip -n envelope-$name addr add 10.77.9.$number/24 dev eth0
    ip -n envelope-$name link set eth0 up
    ip -n envelope-$name route add default via 10.77.9.1
    number=$((number + 1))
done
ip netns exec envelope-router sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward
echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables
iptables -A FORWARD -m conntrack --ctstate NEW -j NFQUEUE --queue-num 100'
";

/// The pods, as kubelet would report them, and what the programs need.
const OBJECTS: &str = "
kubectl create namespace monitoring
kubectl create namespace other
kubectl create -f - <<END
{apiVersion: v1, kind: Node, metadata: {name: policy}}
END
pod() { # NAMESPACE ADDRESS NAME
    for attempt in {1..300}; do # until its namespace has a ServiceAccount
        kubectl get serviceaccount default -n $1 >/dev/null 2>&1 && break
        sleep 0.2
    done
    kubectl create -f - <<END
apiVersion: v1
kind: Pod
metadata: {name: policy, namespace: $1, labels: {app.kubernetes.io/name: $3, app.kubernetes.io/instance: $3}}
spec:
  nodeName: policy
  automountServiceAccountToken: false
  securityContext: {runAsNonRoot: true, runAsUser: 1, seccompProfile: {type: RuntimeDefault}}
  containers:
  - name: x
    image: x
    securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
    ports: [{name: metrics, containerPort: 8080}, {name: probes, containerPort: 8081}]
END
    kubectl patch pod policy -n $1 --subresource=status --type=merge \\
        -p \"{\\\"status\\\":{\\\"phase\\\":\\\"Running\\\",\\\"podIP\\\":\\\"$2\\\",\\\"podIPs\\\":[{\\\"ip\\\":\\\"$2\\\"}]}}\"
}
pod envelope-secrets 10.77.9.2 envelope-secrets
pod monitoring 10.77.9.3 prometheus
pod other 10.77.9.4 prometheus
kubectl create serviceaccount policy -n monitoring
kubectl create clusterrolebinding policy --clusterrole=view --serviceaccount=monitoring:policy
kubectl create clusterrole policy --verb=get,list,watch --resource=nodes,namespaces,pods,networkpolicies.networking.k8s.io
kubectl create clusterrolebinding policy-all --clusterrole=policy --serviceaccount=monitoring:policy
kubectl create token policy -n monitoring >policy-token
kubectl config view --raw -o 'jsonpath={.clusters[0].cluster.certificate-authority-data}' | base64 -d >policy-ca.crt
cp \"$KUBECONFIG\" policy-kubeconfig
token=$(kubectl create token envelope-secrets -n envelope-secrets)
export KUBECONFIG=$PWD/policy-kubeconfig
kubectl config set-cluster \"$(kubectl config view -o 'jsonpath={.clusters[0].name}')\" --server=https://$API
kubectl config set-credentials pod --token=\"$token\"
kubectl config set-context --current --user=pod
";

/// Needs the release of the checks before it.
pub(super) fn check(suite: &mut Suite) -> Result<()> {
    let name = "the NetworkPolicy, enforced by kube-network-policies";
    let is_root = output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    let can_enforce = || succeeds(Command::new("unshare").args(["--net", "sh", "-c", CAN_ENFORCE]));
    if !is_root || !can_enforce() {
        suite.not_run(&format!(
            "{name}: needs root, iproute2, iptables, and a kernel with NFQUEUE and br_netfilter"
        ));
        return Ok(());
    }
    suite.shell(REMOVE)?; // of a run that was killed
    let mut running = Vec::new();
    let checked = enforce(suite, &mut running);
    for mut child in running {
        let _ = child.kill();
        let _ = child.wait();
    }
    suite.shell(REMOVE)?;
    suite.record(
        &format!(
            "{name}: metrics for an allowed namespace only; the controller reaches the API server and the KMS, and nothing else"
        ),
        checked,
    );
    Ok(())
}

fn enforce(suite: &Suite, running: &mut Vec<Child>) -> Result<()> {
    let emulator = Emulator::start()?;
    let api = suite.kubectl(&[
        "get",
        "service",
        "kubernetes",
        "-n",
        "default",
        "-o",
        "jsonpath={.spec.clusterIP}",
    ])?;
    let set_api = format!("API={}\n", api.trim());
    suite.shell(&format!("{set_api}{NETWORK}"))?;
    let server = suite.kubectl(&["config", "view", "-o", "jsonpath={.clusters[0].cluster.server}"])?;
    forward(
        &format!("{}:443", api.trim()),
        server.trim_start_matches("https://"),
    )?;
    let kms = emulator.get("ENVELOPE_TENCENT_ENDPOINT")?;
    forward(&format!("{HOST}:443"), kms.trim_start_matches("http://"))?;
    forward(
        &format!("{}:{}", OTHER.0, OTHER.1),
        server.trim_start_matches("https://"),
    )?;
    let to = |address: &str| format!("[{{\"ipBlock\":{{\"cidr\":\"{address}/32\"}}}}]");
    let json = [
        format!("networkPolicy.apiServerTo={}", to(api.trim())),
        format!("networkPolicy.kmsTo={}", to(HOST)),
        "networkPolicy.metricsFrom=[{\"namespaceSelector\":{\"matchLabels\":{\"kubernetes.io/metadata.name\":\"monitoring\"}}}]".to_owned(),
    ];
    let mut arguments = vec![RELEASE, CHART];
    for value in &json {
        arguments.extend(["--set-json", value]);
    }
    let values = [
        "allowKeys={tencent-kms://ap-guangzhou/}",
        "networkPolicy.enabled=true",
    ];
    success(&suite.helm("upgrade", &arguments, &values)?)?;
    suite.shell(&format!("{set_api}{OBJECTS}"))?;
    running.push(in_namespace(
        suite,
        "router",
        &format!(
            "mount -t tmpfs policy /run
mkdir -p /run/secrets/kubernetes.io/serviceaccount
cp policy-token /run/secrets/kubernetes.io/serviceaccount/token
cp policy-ca.crt /run/secrets/kubernetes.io/serviceaccount/ca.crt
export KUBERNETES_SERVICE_HOST={} KUBERNETES_SERVICE_PORT=443
exec '{}' -hostname-override=policy -disable-nri -metrics-bind-address=127.0.0.1:9080 2>policy.log",
            api.trim(),
            tool("kube-network-policies")?.display()
        ),
    )?);
    let envelope = profile_directory()?.join("envelope");
    running.push(in_namespace(
        suite,
        "controller",
        &format!(
            "export HOME=$PWD KUBECONFIG=$PWD/policy-kubeconfig ENVELOPE_TENCENT_ENDPOINT=http://{HOST}:443
export TENCENTCLOUD_SECRET_ID={} TENCENTCLOUD_SECRET_KEY={}
exec '{}' controller --allow-key tencent-kms://ap-guangzhou/ --tencent-allow-http=true --namespaces one 2>policy-controller.log",
            emulator.get("TENCENTCLOUD_SECRET_ID")?,
            emulator.get("TENCENTCLOUD_SECRET_KEY")?,
            envelope.display()
        ),
    )?);
    // A document that only the KMS opens.
    suite.shell(&format!(
        "export ENVELOPE_TENCENT_ENDPOINT={kms} TENCENTCLOUD_SECRET_ID={} TENCENTCLOUD_SECRET_KEY={}
kubectl create secret generic policy -n one --from-literal=password=example --dry-run=client -o yaml |
    envelope seal --key {} | kubectl apply -f -
kubectl wait -n one --for=condition=Ready --timeout=120s envsec/policy || {{ tail -n 5 policy.log policy-controller.log; false; }}",
        emulator.get("TENCENTCLOUD_SECRET_ID")?,
        emulator.get("TENCENTCLOUD_SECRET_KEY")?,
        emulator.get("ENVELOPE_KEY")?,
    ))?;
    connects("monitoring", METRICS, true)?;
    connects("other", PROBES, true)?; // from the node, whose address is not known
    connects("other", OTHER, true)?;
    connects("other", METRICS, false)?;
    connects("controller", OTHER, false)?;
    connects("controller", (HOST, 80), false)?;
    // It was the policy that refused them.
    suite.kubectl(&["delete", "networkpolicy", RELEASE, "-n", RELEASE])?;
    connects("other", METRICS, true)?;
    connects("controller", OTHER, true)
}

/// Runs a shell in a network namespace, with a mount namespace of its own.
fn in_namespace(suite: &Suite, name: &str, lines: &str) -> Result<Child> {
    let namespace = format!("envelope-{name}");
    let arguments = ["netns", "exec", &namespace, "bash", "-euc", lines];
    let mut command = child("ip".into(), &arguments)?;
    command.current_dir(&suite.work).stdout(Stdio::null());
    command.spawn().context("cannot start ip")
}

/// Waits until a connection from this namespace succeeds, or no longer does. A policy drops packets, so that connecting takes forever.
fn connects(from: &str, (address, port): (&str, u16), expected: bool) -> Result<()> {
    let start = Instant::now();
    let connect = format!("exec 3<>/dev/tcp/{address}/{port}");
    let namespace = format!("envelope-{from}");
    loop {
        let seconds = if expected { "10" } else { "3" };
        let mut command = Command::new("ip");
        command.args([
            "netns", "exec", &namespace, "timeout", seconds, "bash", "-c", &connect,
        ]);
        let status = command.stderr(Stdio::null()).status()?;
        let refused = status.code() == Some(124);
        if (expected && status.success()) || (!expected && refused) {
            return Ok(());
        }
        ensure!(
            start.elapsed() < TIMEOUT,
            "{from} to {address}:{port}: {}",
            if expected { "refused" } else { "allowed" }
        );
        thread::sleep(Duration::from_millis(200));
    }
}

/// Forwards connections to this address until the process exits.
fn forward(listen: &str, target: &str) -> Result<()> {
    let listener = TcpListener::bind(listen).with_context(|| format!("cannot listen on {listen}"))?;
    let target = target.to_owned();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(&target) else {
                continue;
            };
            for (from, to) in [(&client, &server), (&server, &client)] {
                if let (Ok(mut from), Ok(mut to)) = (from.try_clone(), to.try_clone()) {
                    thread::spawn(move || {
                        let _ = io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Write);
                    });
                }
            }
        }
    });
    Ok(())
}
