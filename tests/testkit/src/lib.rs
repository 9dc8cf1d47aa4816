//! The foundation of the tests, the demo and the benchmarks: a real Kubernetes control plane, an emulator of Tencent Cloud KMS, and a
//! guard that terminates every process of a run.
//!
//! ```text
//! plane     etcd, kube-apiserver, kube-controller-manager: certificates, ports, kubeconfigs, audit log, kubectl
//! binaries  finds those executables, or builds them once from their Go modules
//! demo      the product's main job from scratch, for `cargo xtask demo`
//! guard     the process that starts children and terminates them when its owner is gone, even by SIGKILL
//! kms       an emulator of Tencent Cloud KMS
//! node      containerd, kubelet and kube-scheduler: real pods
//! webhook   an admission webhook with a delay
//! vectors   the test vectors of the format
//! ```
//!
//! Never depends on the root package.

mod binaries;
pub mod demo;
#[cfg(target_os = "linux")] // process handles
mod exits;
mod guard;
pub mod kms;
#[cfg(target_os = "linux")] // namespaces
pub mod node;
mod plane;
pub mod vectors;
mod wait;
mod webhook;

use std::io::Write as _;
use std::ops::Deref;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

pub use binaries::{
    Binaries, Part, Version,
    modules::{kubernetes_schemas, monitoring_crds},
    tools::Tool,
};
#[cfg(target_os = "linux")]
pub use exits::Exits;
pub use guard::{Guard, Id, Spec, Started, State, exec, protocol_hash, serve, testkit_binary};
pub use plane::pki::{Authority, Pair};
pub use plane::{AuditEvent, AuditMark, ControlPlane, Options};
pub use wait::until;
pub use webhook::Webhook;

/// Returns the control plane that all tests of this process share; each test uses a separate namespace.
///
/// The first call starts it. Rust does not drop statics: the guard terminates it when this process exits and the guard's pipe closes.
/// Tests that stop a component, remove the CRD or change the API server's settings use [`own`] instead.
///
/// # Panics
/// If it cannot be started; every caller gets the same reason.
pub fn shared() -> &'static ControlPlane {
    static SHARED: OnceLock<Result<ControlPlane, String>> = OnceLock::new();
    match SHARED
        .get_or_init(|| ControlPlane::start(&Options::default()).map_err(|error| format!("{error:#}")))
    {
        Ok(plane) => plane,
        #[expect(clippy::panic, reason = "the calling test cannot continue")]
        Err(error) => panic!("cannot start the control plane: {error}"),
    }
}

/// Starts a control plane for one test, which stops when dropped. Only one such test of the process runs at a time.
///
/// # Panics
/// If it cannot be started.
pub fn own(options: &Options) -> Own {
    static SERIAL: Mutex<()> = Mutex::new(());
    let serial = SERIAL.lock().unwrap_or_else(PoisonError::into_inner);
    match ControlPlane::start(options) {
        Ok(plane) => Own {
            plane,
            _serial: serial,
        },
        #[expect(clippy::panic, reason = "the calling test cannot continue")]
        Err(error) => panic!("cannot start the control plane: {error:#}"),
    }
}

/// A control plane for one test; see [`own`].
pub struct Own {
    // Dropped in this order: the plane is gone before the next test starts.
    plane: ControlPlane,
    _serial: MutexGuard<'static, ()>,
}

impl Deref for Own {
    type Target = ControlPlane;

    fn deref(&self) -> &ControlPlane {
        &self.plane
    }
}

/// Prints a line of progress to standard error, bypassing the test harness's capture: a build that takes minutes must not look like a hang.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "testkit: {line}");
}

fn to_hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

/// Returns a number that differs between calls and between processes. Not for keys.
fn random() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish()
}
