//! Locks for the whole host, which the kernel releases with the process that holds them.

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};

/// Acquires a lock: an abstract socket, which exists once per host and leaves no file behind.
///
/// # Errors
/// [`io::ErrorKind::AddrInUse`] if another process holds it.
pub(super) fn acquire(name: &str) -> io::Result<UnixListener> {
    UnixListener::bind_addr(&SocketAddr::from_abstract_name(name)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_is_exclusive_until_it_is_dropped() {
        let name = format!("envelope-secrets-test-{}", std::process::id());
        let held = acquire(&name).unwrap();
        assert_eq!(acquire(&name).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(held);
        acquire(&name).unwrap();
    }
}
