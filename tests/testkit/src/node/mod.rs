//! A whole Kubernetes node next to the control plane: containerd, runc, CNI, kubelet and kube-scheduler. Runs real pods; needs root.
//!
//! The node is a set of PID, mount and network namespaces, as in a container: it cannot be confused with the host, and when its first
//! process dies, even by SIGKILL, the kernel removes its processes, mounts and interfaces. The guard kills that process with the owner;
//! the cleaner then removes the run directory and the cgroups.
//!
//! ```text
//! host: kube-apiserver on 127.0.0.1 <- forward on 10.96.0.1:443 <- link 10.78.0.1/30 <-> 10.78.0.2 node <- bridge <- pods 10.77.0.0/24
//! ```

mod cleaner;
mod files;
mod forward;
mod lock;

use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

pub use cleaner::clean;
use cleaner::{CGROUP, Cleaner, MARKER};
use files::{API_ADDRESS, HOST_ADDRESS, NODE_ADDRESS, POD_SUBNET};

use crate::binaries::tools::Tool;
use crate::guard::{Guard, Spec, Started, State};
use crate::{ControlPlane, Options, say, until};

/// How long a part of the node may take to start while the host is busy.
const START_TIMEOUT: Duration = Duration::from_mins(2);
/// The longest path that fits into a Unix socket address, without its terminating zero byte.
const MAX_SOCKET_PATH: usize = 107;
/// The longest file that containerd and its shims create below the run directory as a socket.
const LONGEST_SOCKET: &str = "containerd.sock.ttrpc";
/// The host's end of the link to the node.
const LINK: &str = "envelope-node";
/// Node's programs: those of Debian.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What to run.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// The run directory, which must be absent or empty, or left by a run that was not removed; removed when the node stops.
    pub directory: PathBuf,
    /// OCI archives to import. The first is the pause image.
    pub images: Vec<PathBuf>,
    /// The name of the pause image.
    pub pause: String,
}

/// A running cluster of one node. When it is dropped, or when this process exits for any reason, everything is stopped and removed.
pub struct Node {
    // Dropped in this order: the control plane and the node stop before the cleaner removes their files.
    plane: ControlPlane,
    _guard: Guard,
    _cleaner: Cleaner,
    _only: UnixListener,
}

impl Node {
    /// Starts the control plane and the node, imports the images, and returns when the node is ready.
    ///
    /// # Errors
    /// If another node runs on this host, or a part does not start.
    pub fn start(options: &NodeOptions) -> Result<Self> {
        let only = claim_host()?;
        let started = Instant::now();
        let (kubelet, scheduler) = (Tool::Kubelet.get(&say)?, Tool::Scheduler.get(&say)?);
        let directory = create(&options.directory)?;
        let mut cleaner = Cleaner::start(&directory)?;
        create_cgroups()?;
        files::write(&directory, CGROUP, &options.pause)?;
        let guard = Guard::start()?;
        cleaner.wait_for(guard.pid())?;

        let init = guard.spawn(Spec {
            program: "/usr/bin/unshare".into(),
            args: init_arguments(&directory, &kubelet),
            env: vec![("PATH".to_owned(), PATH.to_owned())],
            dir: directory.clone(),
            log: Some(directory.join("init.log")),
        })?;
        connect(&guard, init)?;

        let plane = ControlPlane::start(&plane_options(&directory))?;
        cleaner.wait_for(plane.process_ids().0)?;
        let port = plane.server().rsplit(':').next().unwrap_or_default().parse();
        let listener =
            TcpListener::bind((API_ADDRESS, 443)).context("cannot listen on the API server's address")?;
        forward::forward(listener, port.context("the API server's port")?);

        import(&guard, init, &directory, &options.images)?;
        let server = format!("https://{API_ADDRESS}");
        let kubeconfig = plane.kubeconfig_for_user("system:node:node", &["system:nodes"])?;
        let text = std::fs::read_to_string(&kubeconfig)?.replace(plane.server(), &server);
        std::fs::write(directory.join("kubelet.kubeconfig"), text)?;
        std::fs::write(directory.join("imported"), "")?; // lets init.sh start kubelet
        let user = plane.kubeconfig_for_user("system:kube-scheduler", &[])?;
        guard.spawn(Spec {
            program: scheduler,
            args: vec![
                format!("--kubeconfig={}", user.display()),
                "--leader-elect=false".to_owned(),
                "--secure-port=0".to_owned(),
            ],
            env: vec![("PATH".to_owned(), PATH.to_owned())],
            dir: directory.clone(),
            log: Some(directory.join("kube-scheduler.log")),
        })?;
        until(START_TIMEOUT, "ready node", || {
            ensure_running(&guard, init, &directory)?;
            let ready = r#"jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}"#;
            Ok((plane.kubectl(["get", "nodes", "-o", ready])? == "True").then_some(()))
        })
        .with_context(|| tail(&directory.join("kubelet.log")))?;
        say(&format!(
            "node ready after {:.1} s: {}",
            started.elapsed().as_secs_f32(),
            directory.display()
        ));
        Ok(Self {
            plane,
            _guard: guard,
            _cleaner: cleaner,
            _only: only,
        })
    }

    pub fn plane(&self) -> &ControlPlane {
        &self.plane
    }
}

/// One node per host: its addresses exist once.
fn claim_host() -> Result<UnixListener> {
    lock::acquire("envelope-secrets-node").context(
        "a node of testkit is already running on this host; stop it first (cargo xtask cluster down)",
    )
}

fn create(directory: &Path) -> Result<PathBuf> {
    // The previous node's cleaner may still be at work, on the same directory.
    drop(cleaner::lock_cleaner()?);
    if directory.join(MARKER).exists() {
        say(&format!(
            "removing what an earlier run left in {}",
            directory.display()
        ));
        clean(directory, std::io::empty())?;
    }
    std::fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
    let directory = std::fs::canonicalize(directory)?;
    if std::fs::read_dir(&directory)?.next().is_some() {
        bail!("{} is not empty; use a new directory", directory.display());
    }
    ensure!(
        directory.join(LONGEST_SOCKET).as_os_str().len() <= MAX_SOCKET_PATH,
        "the path {} is too long for a socket",
        directory.display()
    );
    std::fs::write(directory.join(MARKER), "")?;
    Ok(directory)
}

/// kubelet requires its root cgroup to exist.
fn create_cgroups() -> Result<()> {
    for root in cleaner::hierarchies()? {
        let cgroup = root.join(CGROUP);
        std::fs::create_dir_all(&cgroup).with_context(|| cgroup.display().to_string())?;
        // Version 1: no process can be added to a cpuset without CPUs and memory nodes.
        for name in ["cpuset.cpus", "cpuset.mems"] {
            if cgroup.join(name).exists() && !root.join("cgroup.controllers").exists() {
                std::fs::write(cgroup.join(name), std::fs::read(root.join(name))?)
                    .with_context(|| cgroup.join(name).display().to_string())?;
            }
        }
    }
    Ok(())
}

fn init_arguments(directory: &Path, kubelet: &Path) -> Vec<String> {
    let mut arguments: Vec<String> = [
        "--mount",
        "--pid",
        "--net",
        "--fork",
        "--kill-child",
        "--mount-proc",
    ]
    .map(str::to_owned)
    .to_vec();
    arguments.extend(["sh", "-c"].map(str::to_owned));
    arguments.push(files::init_script());
    arguments.extend([
        "init".to_owned(),
        directory.display().to_string(),
        kubelet.display().to_string(),
    ]);
    arguments
}

fn plane_options(directory: &Path) -> Options {
    let plane = directory.join("plane");
    let arguments = vec![
        // The node's name cannot be resolved.
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        format!(
            "--kubelet-client-certificate={}",
            plane.join("kubelet-client.crt").display()
        ),
        format!(
            "--kubelet-client-key={}",
            plane.join("kubelet-client.key").display()
        ),
    ];
    Options {
        directory: Some(plane),
        apiserver_arguments: arguments,
    }
}

/// Links the host to the node's network namespace. Both ends, with their addresses and routes, disappear with that namespace.
fn connect(guard: &Guard, init: Started) -> Result<()> {
    let children = format!("/proc/{0}/task/{0}/children", init.pid);
    let child = until(START_TIMEOUT, "the node's first process", || {
        if let State::Exited(status) = guard.state(init.id)? {
            bail!("unshare failed: {status}");
        }
        let children = std::fs::read_to_string(&children).unwrap_or_default();
        Ok(children.split_whitespace().next().map(str::to_owned))
    })?;
    ip(&format!("link add {LINK} type veth peer name eth0 netns {child}"))?;
    ip(&format!("address add {HOST_ADDRESS}/30 dev {LINK}"))?;
    ip(&format!("address add {API_ADDRESS}/32 dev {LINK}"))?;
    ip(&format!("link set {LINK} up"))?;
    ip(&format!("route add {POD_SUBNET} via {NODE_ADDRESS}"))
}

fn ip(arguments: &str) -> Result<()> {
    run(Command::new("ip").args(arguments.split(' ')))
}

fn import(guard: &Guard, init: Started, directory: &Path, images: &[PathBuf]) -> Result<()> {
    let socket = directory.join("containerd.sock");
    until(START_TIMEOUT, "containerd", || {
        ensure_running(guard, init, directory)?;
        Ok(std::os::unix::net::UnixStream::connect(&socket)
            .is_ok()
            .then_some(()))
    })
    .with_context(|| tail(&directory.join("containerd.log")))?;
    for image in images {
        let mut ctr = Command::new("ctr");
        ctr.arg("--address")
            .arg(&socket)
            .args(["--namespace", "k8s.io", "images", "import"]);
        run(ctr.arg(image))?;
    }
    Ok(())
}

fn ensure_running(guard: &Guard, init: Started, directory: &Path) -> Result<()> {
    if let State::Exited(status) = guard.state(init.id)? {
        bail!("the node exited: {status}\n{}", tail(&directory.join("init.log")));
    }
    Ok(())
}

fn run(command: &mut Command) -> Result<()> {
    let output = command
        .output()
        .with_context(|| format!("cannot start {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?}: {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim_end()
    );
    Ok(())
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    format!(
        "the end of {}:\n{}",
        log.display(),
        lines[lines.len().saturating_sub(20)..].join("\n")
    )
}
