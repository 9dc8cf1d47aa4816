//! Executables that only some suites need: those of a node, the tools of the chart, and kubeseal. Each is built once from its Go module and cached.

use std::fs::File;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result};
use rustix::fs::FlockOperation;

use super::version::{GO_MOD, GO_SUM, Pins};
use super::{build, cache};

/// A Go module in `tests/controlplane`: its name, go.mod and go.sum. Each tool has a module, because their dependencies do not agree.
type Module = (&'static str, &'static str, &'static str);

macro_rules! module {
    ($name:literal) => {
        (
            $name,
            include_str!(concat!("../../../controlplane/", $name, "/go.mod")),
            include_str!(concat!("../../../controlplane/", $name, "/go.sum")),
        )
    };
}

const HELM: Module = module!("helm");
const HELM_3: Module = module!("helm3");
const HELM_UNITTEST: Module = module!("helm-unittest");
const KUBESEAL: Module = module!("kubeseal");
const KUBE_NETWORK_POLICIES: Module = module!("kube-network-policies");
const KUBECONFORM: Module = module!("kubeconform");
const PROMTOOL: Module = module!("promtool");
/// Increase this when the build commands change, to invalidate existing caches.
const RECIPE: u32 = 1;

/// An executable that is built on demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    Kubelet,
    Scheduler,
    Helm,
    /// The previous major version of Helm.
    Helm3,
    /// Runs the chart's unit tests.
    HelmUnittest,
    /// Validates objects with the schemas of a Kubernetes version.
    Kubeconform,
    /// Enforces network policies.
    KubeNetworkPolicies,
    /// Prometheus's tests of alerts.
    Promtool,
    /// The sealing program of sealed-secrets, which benchmarks compare with.
    Kubeseal,
}

impl Tool {
    fn file_name(self) -> &'static str {
        match self {
            Self::Kubelet => "kubelet",
            Self::Scheduler => "kube-scheduler",
            Self::Helm => "helm",
            Self::Helm3 => "helm3",
            Self::HelmUnittest => "helm-unittest",
            Self::Kubeconform => "kubeconform",
            Self::KubeNetworkPolicies => "kube-network-policies",
            Self::Promtool => "promtool",
            Self::Kubeseal => "kubeseal",
        }
    }

    fn package(self) -> &'static str {
        match self {
            Self::Kubelet => "k8s.io/kubernetes/cmd/kubelet",
            Self::Scheduler => "k8s.io/kubernetes/cmd/kube-scheduler",
            Self::Helm => "helm.sh/helm/v4/cmd/helm",
            Self::Helm3 => "helm.sh/helm/v3/cmd/helm",
            Self::HelmUnittest => "github.com/helm-unittest/helm-unittest/cmd/helm-unittest",
            Self::Kubeconform => "github.com/yannh/kubeconform/cmd/kubeconform",
            Self::KubeNetworkPolicies => "sigs.k8s.io/kube-network-policies/cmd",
            Self::Promtool => "github.com/prometheus/prometheus/cmd/promtool",
            Self::Kubeseal => "github.com/bitnami/sealed-secrets/cmd/kubeseal",
        }
    }

    fn module(self) -> Module {
        match self {
            Self::Kubelet | Self::Scheduler => ("node", GO_MOD, GO_SUM),
            Self::Helm => HELM,
            Self::Helm3 => HELM_3,
            Self::HelmUnittest => HELM_UNITTEST,
            Self::Kubeconform => KUBECONFORM,
            Self::KubeNetworkPolicies => KUBE_NETWORK_POLICIES,
            Self::Promtool => PROMTOOL,
            Self::Kubeseal => KUBESEAL,
        }
    }

    /// Finds the executable in the cache, or builds it there: several minutes for the first one of each module.
    pub fn get(self, say: &dyn Fn(&str)) -> Result<PathBuf> {
        let (kind, go_mod, go_sum) = self.module();
        let cache = cache::directory(kind, RECIPE, go_mod, go_sum)?;
        let file = cache.join(self.file_name());
        if file.is_file() {
            return Ok(file);
        }
        std::fs::create_dir_all(&cache).with_context(|| format!("cache directory {}", cache.display()))?;
        let lock_path = cache.with_extension("lock");
        let lock = File::create(&lock_path).with_context(|| format!("lock file {}", lock_path.display()))?;
        rustix::fs::flock(&lock, FlockOperation::LockExclusive)?;
        if file.is_file() {
            return Ok(file); // built while this process waited for the lock
        }
        say(&format!(
            "building {} from its Go module, once, in {}: minutes",
            self.file_name(),
            cache.display()
        ));
        let started = Instant::now();
        let work = tempfile::Builder::new()
            .prefix(build::WORK_PREFIX)
            .tempdir_in(&cache)?;
        std::fs::write(work.path().join("go.mod"), go_mod)?;
        std::fs::write(work.path().join("go.sum"), go_sum)?;
        let flags = match self {
            Self::Kubelet | Self::Scheduler => {
                build::kubernetes_flags(&Pins::read(GO_MOD).map_err(anyhow::Error::msg)?.kubernetes)
            }
            // As in its releases; otherwise templates see Kubernetes 1.20.
            Self::Helm3 => {
                let package = "helm.sh/helm/v3/pkg/chartutil";
                let kubernetes = &Pins::read(GO_MOD).map_err(anyhow::Error::msg)?.kubernetes;
                format!(
                    "-s -w -X {package}.k8sVersionMajor={} -X {package}.k8sVersionMinor={}",
                    kubernetes.major, kubernetes.minor
                )
            }
            _ => "-s -w".to_owned(),
        };
        build::run_go(self.file_name(), self.package(), &flags, work.path(), say)?;
        // Moved into the cache after the build, so a file there is complete.
        std::fs::rename(work.path().join(self.file_name()), &file)?;
        say(&format!(
            "{}: built in {} s",
            self.file_name(),
            started.elapsed().as_secs()
        ));
        Ok(file)
    }
}
