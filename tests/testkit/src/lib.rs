//! What tests, demo and benchmarks stand on: a real Kubernetes control plane, an emulator of Tencent Cloud KMS, and a guard that ends every
//! process of a run.
//!
//! ```text
//! plane     etcd, kube-apiserver, kube-controller-manager: certificates, ports, kubeconfigs, audit log, kubectl
//! binaries  finds those executables, or builds them once from their Go modules
//! demo      the product's main job from nothing, for `cargo xtask demo`
//! guard     the process that starts them and ends them when its owner is gone, even by SIGKILL
//! kms       an emulator of Tencent Cloud KMS
//! vectors   the format's vectors, read
//! ```
//!
//! Never depends on the root package.

mod binaries;
pub mod demo;
#[cfg(target_os = "linux")] // process handles
mod ends;
mod guard;
pub mod kms;
mod plane;
pub mod vectors;
mod wait;

use std::io::Write as _;
use std::ops::Deref;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

pub use binaries::{Binaries, Part, Version};
#[cfg(target_os = "linux")]
pub use ends::Ends;
pub use guard::{Guard, Id, Spec, Started, State, exec, protocol_hash, serve, testkit_binary};
pub use plane::{AuditEvent, AuditMark, ControlPlane, Options};
pub use wait::until;

/// The control plane that all tests of this process share; each takes a namespace of its own.
///
/// Started at the first call. Rust drops no static: the guard ends it when this process, and with it the guard's pipe, is gone.
/// Tests that stop a part, remove the CRD or change the API server's settings take [`own`] instead.
///
/// # Panics
/// When it cannot be started; every caller is told the same reason.
pub fn shared() -> &'static ControlPlane {
    static SHARED: OnceLock<Result<ControlPlane, String>> = OnceLock::new();
    match SHARED
        .get_or_init(|| ControlPlane::start(&Options::default()).map_err(|error| format!("{error:#}")))
    {
        Ok(plane) => plane,
        #[expect(clippy::panic, reason = "for tests: there is nothing to go on with")]
        Err(error) => panic!("no control plane: {error}"),
    }
}

/// A control plane for one test alone; only one such test of the process runs at a time. Ended when dropped.
///
/// # Panics
/// When it cannot be started.
pub fn own(options: &Options) -> Own {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    match ControlPlane::start(options) {
        Ok(plane) => Own { plane, _turn: turn },
        #[expect(clippy::panic, reason = "for tests: there is nothing to go on with")]
        Err(error) => panic!("no control plane: {error:#}"),
    }
}

/// See [`own`].
pub struct Own {
    // Fields drop in this order: the plane is gone before the next test's turn.
    plane: ControlPlane,
    _turn: MutexGuard<'static, ()>,
}

impl Deref for Own {
    type Target = ControlPlane;

    fn deref(&self) -> &ControlPlane {
        &self.plane
    }
}

/// A line of progress on standard error, past the test harness' capture: a build of minutes must not look like a hang.
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

/// A number that differs from call to call and process to process; not for keys.
fn random() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish()
}
