//! `testkit`: runs the control plane, the KMS emulator and the guard as commands.

mod standalone;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use testkit::demo::{Place, Provider};
use testkit::{Binaries, ControlPlane, Guard, Options, Part, Spec};

/// A real Kubernetes control plane and a KMS emulator for tests, the demo and benchmarks.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Start a control plane, print how to use it, and run until Ctrl-C or until the pipe on standard input closes.
    Controlplane {
        /// Keep certificates, logs and data in this new directory instead of a temporary one.
        #[arg(long)]
        dir: Option<PathBuf>,
        /// Print one JSON object instead of shell commands.
        #[arg(long)]
        json: bool,
    },
    /// Start a control plane and a node that runs pods, print how to use them, and run like `controlplane`. Needs root.
    #[cfg(target_os = "linux")]
    Node {
        /// The run directory, which is removed at the end.
        #[arg(long)]
        dir: PathBuf,
        /// The name of the pause image.
        #[arg(long)]
        pause: String,
        /// OCI archives to import.
        #[arg(required = true)]
        images: Vec<PathBuf>,
    },
    /// Find or build a tool of the chart, and print its path.
    Tool { tool: ChartTool },
    /// Print the supported Kubernetes versions, each with the directory of its JSON schemas.
    Schemas,
    /// Print the directory with the CRDs of the Prometheus operator.
    MonitoringCrds,
    #[cfg(target_os = "linux")]
    #[command(hide = true)]
    NodeCleaner { directory: PathBuf },
    /// Start an emulator of Tencent Cloud KMS, print how to use it, and run until Ctrl-C.
    KmsEmulator(Box<standalone::KmsEmulator>),
    /// Find or build etcd, kube-apiserver, kube-controller-manager and kubectl, and exit.
    Build,
    /// Start a command that is terminated when this process exits, print its process ID and the guard's, and wait for end of input.
    Run {
        #[arg(required = true, last = true)]
        command: Vec<String>,
    },
    /// Demonstrate the product's main job from scratch; `cargo xtask demo` builds what this needs and starts it.
    Demo {
        /// The `envelope` binary.
        #[arg(long)]
        envelope: PathBuf,
        /// The KMS to seal and open with.
        #[arg(long, value_enum, default_value_t = Provider::Local)]
        provider: Provider,
        /// Run without Kubernetes.
        #[arg(long, conflicts_with = "kubeconfig")]
        no_cluster: bool,
        /// Use the cluster of this file's current context.
        #[arg(long)]
        kubeconfig: Option<PathBuf>,
        /// Do not ask for confirmation before using that cluster.
        #[arg(long, requires = "kubeconfig")]
        yes: bool,
    },
    #[command(hide = true)]
    DemoCleaner,
    #[command(hide = true)]
    Guard,
    #[command(hide = true)]
    Exec {
        /// The process ID of the parent, which the command must not outlive.
        owner: u32,
        #[arg(required = true, last = true)]
        command: Vec<String>,
    },
    #[command(hide = true)]
    Protocol,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum ChartTool {
    Helm,
    #[value(name = "helm3")]
    Helm3,
    HelmUnittest,
    Kubeconform,
    KubeNetworkPolicies,
    Promtool,
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            testkit::say(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(action: Action) -> Result<()> {
    match action {
        Action::Controlplane { dir, json } => {
            let plane = ControlPlane::start(&Options {
                directory: dir,
                ..Options::default()
            })?;
            print(&if json {
                as_json(&plane)
            } else {
                as_shell_commands(&plane)
            })?;
            wait_for_owner()
        }
        #[cfg(target_os = "linux")]
        Action::Node { dir, pause, images } => {
            let options = testkit::node::NodeOptions {
                directory: dir,
                images,
                pause,
            };
            let node = testkit::node::Node::start(&options)?;
            print(&as_shell_commands(node.plane()))?;
            wait_for_owner()
        }
        #[cfg(target_os = "linux")]
        Action::NodeCleaner { directory } => testkit::node::clean(&directory, std::io::stdin().lock()),
        Action::Schemas => testkit::kubernetes_schemas(&testkit::say)?
            .iter()
            .try_for_each(|(version, directory)| print(&format!("{version} {}\n", directory.display()))),
        Action::MonitoringCrds => print(&format!("{}\n", testkit::monitoring_crds()?.display())),
        Action::Tool { tool } => {
            let tool = match tool {
                ChartTool::Helm => testkit::Tool::Helm,
                ChartTool::Helm3 => testkit::Tool::Helm3,
                ChartTool::HelmUnittest => testkit::Tool::HelmUnittest,
                ChartTool::Kubeconform => testkit::Tool::Kubeconform,
                ChartTool::KubeNetworkPolicies => testkit::Tool::KubeNetworkPolicies,
                ChartTool::Promtool => testkit::Tool::Promtool,
            };
            print(&format!("{}\n", tool.get(&testkit::say)?.display()))
        }
        Action::KmsEmulator(flags) => {
            let emulator = flags.start()?;
            print(&flags.as_shell_commands(&emulator))?;
            // Does not wait for end of input: a shell gives background commands an empty standard input.
            loop {
                std::thread::park();
            }
        }
        Action::Build => Binaries::get(&testkit::say).map(|_| ()),
        Action::Run { command } => {
            let (program, args) = command.split_first().context("no command")?;
            let guard = Guard::start()?;
            let env = std::env::vars().collect();
            let started = guard.spawn(Spec {
                program: program.into(),
                args: args.to_vec(),
                env,
                dir: std::env::current_dir()?,
                log: None,
            })?;
            print(&format!("{} {}\n", started.pid, guard.pid()))?;
            wait_for_end_of_input()
        }
        Action::Demo {
            envelope,
            provider,
            no_cluster,
            kubeconfig,
            yes,
        } => {
            let place = match kubeconfig {
                Some(kubeconfig) => Place::Existing { kubeconfig, yes },
                None if no_cluster => Place::NoCluster,
                None => Place::Own,
            };
            testkit::demo::run(&envelope, provider, &place, &mut std::io::stdout())
        }
        Action::DemoCleaner => testkit::demo::clean(std::io::stdin().lock()),
        Action::Guard => testkit::serve(std::io::stdin().lock(), std::io::stdout().lock()),
        Action::Exec { owner, command } => {
            let (program, args) = command.split_first().context("no command")?;
            match testkit::exec(owner, program.as_ref(), args)? {}
        }
        Action::Protocol => print(&format!("{}\n", testkit::protocol_hash())),
    }
}

fn as_shell_commands(plane: &ControlPlane) -> String {
    let kubectl_directory = plane
        .binaries()
        .path(Part::Kubectl)
        .parent()
        .map(|path| path.display().to_string())
        .unwrap_or_default();
    format!(
        "# {} is ready; logs and audit.log are in {}\n# Stop it with Ctrl-C. In another terminal:\nexport KUBECONFIG={}\nexport PATH={kubectl_directory}:$PATH\n",
        plane.server(),
        plane.directory().display(),
        plane.kubeconfig().display(),
    )
}

fn as_json(plane: &ControlPlane) -> String {
    let (guard, parts) = plane.process_ids();
    let value = serde_json::json!({
        "server": plane.server(),
        "kubeconfig": plane.kubeconfig(),
        "kubectl": plane.binaries().path(Part::Kubectl),
        "folder": plane.directory(),
        "auditLog": plane.audit_log(),
        "guard": guard,
        "parts": parts,
    });
    format!("{value}\n")
}

fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .context("standard output")
}

/// Waits until the program that writes to the pipe on standard input exits. If standard input is not a pipe (a terminal, `/dev/null`, in
/// the background), there is no such owner, and only a signal terminates this process.
fn wait_for_owner() -> Result<()> {
    let input = std::io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .context("standard input")?;
    if is_pipe(&File::from(input))? {
        return wait_for_end_of_input();
    }
    loop {
        std::thread::park();
    }
}

fn is_pipe(file: &File) -> Result<bool> {
    let kind = file.metadata().context("standard input")?.file_type();
    Ok(kind.is_fifo() || kind.is_socket())
}

fn wait_for_end_of_input() -> Result<()> {
    let mut sink = [0_u8; 4096];
    while std::io::stdin().read(&mut sink).context("standard input")? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;

    use super::*;

    #[test]
    fn only_pipes_have_an_owner() {
        let (end, _other) = std::io::pipe().unwrap();
        assert!(is_pipe(&File::from(OwnedFd::from(end))).unwrap());
        assert!(!is_pipe(&File::open("/dev/null").unwrap()).unwrap());
        assert!(!is_pipe(&tempfile::tempfile().unwrap()).unwrap());
    }
}
