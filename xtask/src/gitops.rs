//! Suite `gitops`: kustomize, Argo CD's health check and diff, and Flux's controllers, on a real API server with the real controller.
//!
//! The tests are Go modules below `tests/gitops`, because the tools are Go libraries. Each has a module, because their dependencies do
//! not agree.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    cluster::{ControlPlane, helm},
    prerequisites::{Missing, Need, check},
    run::{profile_directory, root, run, target_directory},
    testkit::build,
};

const TESTS: &str = "tests/gitops";
/// The modules with tests, the fastest first.
const MODULES: &[&str] = &["kustomize", "argocd", "flux"];
/// Flux's controllers: modules without tests, in directories of their names below that of Flux's tests.
const CONTROLLERS: &[&str] = &["source-controller", "kustomize-controller", "helm-controller"];

pub(crate) fn gitops() -> Result<()> {
    check(&[Need::CCompiler, Need::ControlPlane, Need::Go, Need::Git])?;
    for module in MODULES {
        download(module, &["-test", "./..."])?;
    }
    for name in CONTROLLERS {
        download(&format!("flux/{name}"), &["tool"])?;
    }
    build(&["envelope", "testkit"])?;
    let programs = target_directory().join("flux");
    std::fs::create_dir_all(&programs)?;
    for name in CONTROLLERS {
        println!("building Flux's {name}: about 5 minutes the first time on 2 cores");
        let mut build = go(&format!("flux/{name}"));
        build
            .args(["build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o"])
            .env("CGO_ENABLED", "0");
        run(build
            .arg(programs.join(name))
            .arg(format!("github.com/fluxcd/{name}")))?;
    }
    let helm = helm()?;
    let mut cluster = Cluster::start(programs, helm)?;
    let tested = cluster.test();
    cluster.stop();
    println!("\n{}", tested?);
    Ok(())
}

/// A control plane with the CRD and the controller. Both stop with this process.
struct Cluster {
    control_plane: ControlPlane,
    controller: Option<Child>,
    /// The directory of Flux's controllers.
    flux: PathBuf,
    helm: PathBuf,
}

impl Cluster {
    fn start(flux: PathBuf, helm: PathBuf) -> Result<Self> {
        Ok(Self {
            control_plane: ControlPlane::start()?,
            controller: None,
            flux,
            helm,
        })
    }

    /// Returns a summary.
    fn test(&mut self) -> Result<String> {
        let plane = &self.control_plane.plane;
        run(plane.kubectl(&["apply", "-f", "crds"]).stdout(Stdio::null()))?;
        let envelope = profile_directory()?.join("envelope");
        let keyring = self.beside_kubeconfig("keyring");
        run(plane
            .command(&envelope)
            .args(["keys", "create", "--keyring"])
            .arg(&keyring)
            .stdout(Stdio::null()))?;
        let log = self.beside_kubeconfig("controller.log");
        // The shell stops the controller when its standard input ends, even if this process is killed.
        let mut controller = plane.command("sh");
        controller.arg("-c").arg(
            "\"$0\" controller --metrics-addr=127.0.0.1:0 --probe-addr=127.0.0.1:0 </dev/null & read -r _; kill $!",
        );
        controller.arg(&envelope).env("ENVELOPE_KEYRING", &keyring);
        controller.stdin(Stdio::piped()).stdout(Stdio::null());
        controller.stderr(std::fs::File::create(&log)?);
        self.controller = Some(controller.spawn().context("cannot start the controller")?);

        let mut times = Vec::new();
        let mut failed = Vec::new();
        for module in MODULES {
            println!("\n{TESTS}/{module}");
            let begun = Instant::now();
            let mut test = go(module);
            // `-count=1`: Go would otherwise print a cached result, though the binaries have changed.
            test.args(["test", "-count=1", "-timeout=20m", "./..."]);
            for (name, value) in [
                ("KUBECONFIG", PathBuf::from(&self.control_plane.plane.kubeconfig)),
                (
                    "KUBECTL",
                    Path::new(&self.control_plane.plane.kubectl_directory).join("kubectl"),
                ),
                ("ENVELOPE", envelope.clone()),
                ("ENVELOPE_KEYRING", keyring.clone()),
                ("FLUX", self.flux.clone()),
                ("HELM", self.helm.clone()),
            ] {
                test.env(name, value);
            }
            if run(&mut test).is_err() {
                failed.push(*module);
            }
            times.push(format!("{module} {} s", begun.elapsed().as_secs()));
        }
        if !failed.is_empty() {
            println!("{}", std::fs::read_to_string(&log).unwrap_or_default());
        }
        ensure!(failed.is_empty(), "suite gitops failed: {}", failed.join(", "));
        Ok(format!("{} modules passed: {}", MODULES.len(), times.join(", ")))
    }

    fn beside_kubeconfig(&self, name: &str) -> PathBuf {
        Path::new(&self.control_plane.plane.kubeconfig).with_file_name(name)
    }

    fn stop(&mut self) {
        if let Some(controller) = &mut self.controller {
            drop(controller.stdin.take());
            let _ = controller.wait();
        }
        self.control_plane.stop();
    }
}

/// Downloads what these packages of a module need. The proxy may be unreachable: that is a missing prerequisite, not a failure.
fn download(module: &str, packages: &[&str]) -> Result<()> {
    // Not `go mod download`, which also downloads the modules that no package needs.
    let mut list = go(module);
    list.args(["list", "-deps"]).args(packages).stdout(Stdio::null());
    if run(&mut list).is_ok() {
        return Ok(());
    }
    bail!(Missing::not_installable(&format!(
        "the Go modules of {TESTS}/{module}"
    )))
}

/// Go in a module, without the user's settings that change what is built. Builds leave a processor to others.
fn go(module: &str) -> Command {
    let mut command = Command::new("nice");
    command
        .arg("go")
        .current_dir(root().join(TESTS).join(module))
        .env("GOWORK", "off");
    command.env("GOFLAGS", "-mod=readonly").stdin(Stdio::null());
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("ENVELOPE_")) {
            command.env_remove(name);
        }
    }
    command
}
