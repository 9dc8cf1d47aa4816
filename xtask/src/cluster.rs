//! A whole cluster of one node with the chart installed: `cargo xtask cluster up|down`, and the base of suite `node`.

use std::{
    env, fs,
    io::{BufRead as _, BufReader},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    args::Cluster,
    image::{self, Archive},
    prerequisites::{Need, check, musl_target},
    run::{checked_output, profile_directory, root, run, shown, succeeds, target_directory},
    testkit::build,
};

/// The namespace and the name of the release.
pub(crate) const RELEASE: &str = "envelope-secrets";
/// The Secret with the keyring.
const KEYRING: &str = "envelope-keyring";

/// `cargo xtask cluster`.
pub(crate) fn cluster(action: &Cluster) -> Result<()> {
    let directory = target_directory().join("cluster");
    match action {
        Cluster::Up { profile } => up(&directory, profile),
        Cluster::Down => down(&directory),
    }
}

fn up(directory: &Path, profile: &str) -> Result<()> {
    ensure!(
        !directory.exists(),
        "{} exists: a cluster is running, or one was not stopped properly; run `cargo xtask cluster down` first",
        directory.display()
    );
    let parts = Parts::prepare(profile)?;
    fs::create_dir_all(directory)?;
    let started = start_in_background(directory, &parts);
    if started.is_err() {
        down(directory)?;
    }
    let plane = started?;
    let notes = checked_text(plane.helm(&parts).args(["get", "notes", RELEASE, "-n", RELEASE]))?;
    println!(
        "\nThe cluster is running, and the controller is ready. In a shell:\n\n\
         export KUBECONFIG={}\n\
         export PATH={}:{}:$PATH\n\n\
         {}\n\n\
         Logs are in {}. Stop it with `cargo xtask cluster down`.",
        plane.kubeconfig,
        plane.kubectl_directory,
        profile_directory()?.display(),
        notes.trim_start_matches("NOTES:\n").trim_end(),
        directory.join("run").display(),
    );
    Ok(())
}

fn start_in_background(directory: &Path, parts: &Parts) -> Result<Plane> {
    let mut command = parts.node(&directory.join("run"))?;
    let log = fs::File::create(directory.join("log"))?;
    // In a process group of its own, so that Ctrl-C in this terminal does not reach it.
    command.stdin(Stdio::null()).stderr(log).process_group(0);
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let process = Process::find(child.id()).context("testkit exited immediately")?;
    fs::write(directory.join("process"), process.to_text())?;
    let plane = Plane::read(&mut child)
        .with_context(|| fs::read_to_string(directory.join("log")).unwrap_or_default())?;
    plane.install(parts, &directory.join("keyring"), &[])?;
    Ok(plane)
}

fn down(directory: &Path) -> Result<()> {
    if !directory.exists() {
        println!("no cluster is running");
        return Ok(());
    }
    check(&[Need::Root])?;
    build(&["testkit"])?;
    let text = fs::read_to_string(directory.join("process")).unwrap_or_default();
    if let Some(process) = Process::parse(&text).filter(|it| Process::find(it.id).as_ref() == Some(it)) {
        // Its guard and its cleaner notice its end, as they would notice SIGKILL.
        run(Command::new("kill").arg(process.id.to_string()))?;
    }
    // Waits for that cleaner, and removes what one that was killed itself has left.
    let mut clean = Command::new(profile_directory()?.join("testkit"));
    clean.arg("node-cleaner").arg(directory.join("run"));
    run(clean.stdin(Stdio::null())).with_context(|| format!("see {}", directory.join("log").display()))?;
    fs::remove_dir_all(directory)?;
    println!("the cluster is stopped and removed");
    Ok(())
}

/// A process, identified by its start time too: process IDs are reused.
#[derive(Debug, PartialEq, Eq)]
struct Process {
    id: u32,
    start_time: String,
}

impl Process {
    fn find(id: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // proc_pid_stat(5): the name in parentheses may contain anything; the start time is the 22nd field.
        let (_, fields) = stat.rsplit_once(") ")?;
        let start_time = fields.split(' ').nth(19)?.to_owned();
        Some(Self { id, start_time })
    }

    fn to_text(&self) -> String {
        format!("{} {}\n", self.id, self.start_time)
    }

    fn parse(text: &str) -> Option<Self> {
        let (id, start_time) = text.trim().split_once(' ')?;
        Some(Self {
            id: id.parse().ok()?,
            start_time: start_time.to_owned(),
        })
    }
}

/// What is built before a cluster starts.
pub(crate) struct Parts {
    controller: Archive,
    pause: Archive,
    /// Prints what a pod sees of a Secret.
    pub(crate) pod: Archive,
    helm: PathBuf,
}

impl Parts {
    /// Builds everything; as root on Debian, first installs what is missing.
    pub(crate) fn prepare(profile: &str) -> Result<Self> {
        check(&[Need::Root])?;
        install_missing();
        check(&[
            Need::CCompiler,
            Need::ControlPlane,
            Need::Musl,
            Need::Buildah,
            Need::CertificateAuthorities,
            Need::Containers,
        ])?;
        build(&["envelope", "testkit"])?;
        let helm = helm()?;
        let controller = image::controller(profile, None)?;
        let program = target_directory().join("image/pod.bin");
        let mut rustc = Command::new("rustc");
        rustc.args([
            "--edition",
            "2024",
            "-O",
            "-C",
            "strip=symbols",
            "--target",
            &musl_target(),
            "-o",
        ]);
        run(rustc.arg(&program).arg("tests/node/pod.rs").current_dir(root()))?;
        let dockerfile = "FROM scratch\nCOPY rootfs/ /\nUSER 65532:65532\nENTRYPOINT [\"/pod\"]\n";
        let package =
            |name| image::package(name, "test", dockerfile, &[(program.as_path(), "pod")], &[], None);
        Ok(Self {
            controller,
            pause: package("pause")?,
            pod: package("pod")?,
            helm,
        })
    }

    /// The tag of the controller's image.
    pub(crate) fn tag(&self) -> Result<&str> {
        let (_, tag) = self.controller.name.rsplit_once(':').context("a tag")?;
        Ok(tag)
    }

    /// The command that runs the cluster until its standard input ends, or until it is killed.
    pub(crate) fn node(&self, directory: &Path) -> Result<Command> {
        let mut command = Command::new(profile_directory()?.join("testkit"));
        command.arg("node").arg("--dir").arg(directory);
        command.args(["--pause", &self.pause.name]);
        command.args([&self.pause.path, &self.controller.path, &self.pod.path]);
        Ok(command)
    }
}

/// Installs missing Debian packages and the musl target. What cannot be installed is reported by [`check`].
fn install_missing() {
    let packages: Vec<&str> = [
        (Need::Musl, "musl-tools"),
        (Need::Buildah, "buildah"),
        (Need::CertificateAuthorities, "ca-certificates"),
        (
            Need::Containers,
            "containerd runc containernetworking-plugins iproute2",
        ),
    ]
    .into_iter()
    .filter(|(need, _)| check(&[*need]).is_err())
    .flat_map(|(_, packages)| packages.split(' '))
    .collect();
    if packages.is_empty() {
        return;
    }
    if packages.contains(&"musl-tools") {
        succeeds(
            Command::new("rustup")
                .args(["target", "add", &musl_target()])
                .current_dir(root()),
        );
    }
    println!("installing {}", packages.join(", "));
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(["-qq", "-o", "Dpkg::Use-Pty=0"]).args(arguments);
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.status()
    };
    let mut install = vec!["install", "--yes", "--no-install-recommends"];
    install.extend(packages);
    let _ = apt(&["update"]).and_then(|_| apt(&install)); // `check` reports what is still missing
}

/// The path of Helm, which testkit builds once.
pub(crate) fn helm() -> Result<PathBuf> {
    tool("helm")
}

/// The path of a tool that testkit builds once.
pub(crate) fn tool(name: &str) -> Result<PathBuf> {
    let testkit = profile_directory()?.join("testkit");
    Ok(checked_text(Command::new(testkit).args(["tool", name]))?
        .trim()
        .into())
}

/// How to reach a control plane that testkit runs.
pub(crate) struct Plane {
    pub(crate) kubeconfig: String,
    pub(crate) kubectl_directory: String,
}

impl Plane {
    /// Reads what `testkit node` and `testkit controlplane` print when they are ready.
    pub(crate) fn read(child: &mut Child) -> Result<Self> {
        let output = child.stdout.take().context("no standard output")?;
        let mut kubeconfig = None;
        for line in BufReader::new(output).lines() {
            let line = line?;
            if let Some(path) = line.strip_prefix("export KUBECONFIG=") {
                kubeconfig = Some(path.to_owned());
            } else if let Some(directory) = line
                .strip_prefix("export PATH=")
                .and_then(|path| path.strip_suffix(":$PATH"))
            {
                return Ok(Self {
                    kubeconfig: kubeconfig.context("no kubeconfig")?,
                    kubectl_directory: directory.to_owned(),
                });
            }
        }
        bail!("testkit exited before the cluster was ready")
    }

    /// A command with this kubeconfig, with kubectl and envelope in `PATH`, and without the caller's Helm settings.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        let envelope = profile_directory().unwrap_or_default();
        let path = env::var("PATH").unwrap_or_default();
        command.env("KUBECONFIG", &self.kubeconfig);
        command.env(
            "PATH",
            format!("{}:{}:{path}", self.kubectl_directory, envelope.display()),
        );
        let home = Path::new(&self.kubeconfig).with_file_name("helm");
        for (name, _) in env::vars_os() {
            if name
                .to_str()
                .is_some_and(|name| name.starts_with("HELM_") || name.starts_with("ENVELOPE_"))
            {
                command.env_remove(name);
            }
        }
        for name in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(name, &home);
        }
        command.current_dir(root());
        command
    }

    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(Path::new(&self.kubectl_directory).join("kubectl"));
        command.args(arguments);
        command
    }

    pub(crate) fn helm(&self, parts: &Parts) -> Command {
        self.command(&parts.helm)
    }

    /// Installs the chart with a new keyring, in a namespace that enforces the restricted Pod Security Standard.
    pub(crate) fn install(&self, parts: &Parts, keyring: &Path, values: &[&str]) -> Result<()> {
        let mut create = self.command(profile_directory()?.join("envelope"));
        run(create
            .args(["keys", "create", "--keyring"])
            .arg(keyring)
            .stdout(Stdio::null()))?;
        run(self
            .kubectl(&["create", "namespace", RELEASE])
            .stdout(Stdio::null()))?;
        let restricted = "pod-security.kubernetes.io/enforce=restricted";
        run(self
            .kubectl(&["label", "namespace", RELEASE, restricted])
            .stdout(Stdio::null()))?;
        let file = format!("--from-file=keyring={}", keyring.display());
        let create = ["create", "secret", "generic", KEYRING, "-n", RELEASE, &file];
        run(self.kubectl(&create).stdout(Stdio::null()))?;
        self.install_chart(parts, values)
    }

    /// `helm install --wait` with these additional values. Returns when the controller is ready.
    pub(crate) fn install_chart(&self, parts: &Parts, values: &[&str]) -> Result<()> {
        let tag = parts.tag()?;
        let mut helm = self.helm(parts);
        helm.args([
            "install",
            RELEASE,
            "charts/envelope-secrets",
            "--namespace",
            RELEASE,
        ]);
        helm.arg("--set")
            .arg(format!("keyring.existingSecret={KEYRING},image.tag={tag}"));
        for value in values {
            helm.args(["--set", value]);
        }
        run(helm.args(["--wait", "--timeout", "3m"]).stdout(Stdio::null()))
    }
}

/// The standard output of a command that must succeed.
pub(crate) fn checked_text(command: &mut Command) -> Result<String> {
    let output = checked_output(command)?;
    String::from_utf8(output).with_context(|| format!("the output of {}", shown(command)))
}

/// A control plane that stops with this process.
pub(crate) struct ControlPlane {
    child: Child,
    pub(crate) plane: Plane,
}

impl ControlPlane {
    pub(crate) fn start() -> Result<Self> {
        let mut command = Command::new(profile_directory()?.join("testkit"));
        let command = command.arg("controlplane").stdin(Stdio::piped());
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start testkit")?;
        let plane = Plane::read(&mut child)?;
        Ok(Self { child, plane })
    }

    pub(crate) fn stop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_recognized_by_its_start_time() {
        let own = Process::find(std::process::id()).unwrap();
        assert!(own.start_time.parse::<u64>().is_ok(), "{own:?}");
        assert_eq!(Process::parse(&own.to_text()), Some(own));
        assert_eq!(Process::parse(""), None);
        assert_eq!(Process::find(u32::MAX), None);
    }
}
