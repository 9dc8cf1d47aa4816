//! What the program does before `main`.

#![cfg(unix)]

use std::os::fd::IntoRawFd as _;

use rustix::fs::{Mode, OFlags, open};
use rustix::io::fcntl_getfd;
use rustix::stdio::{stdin, stdout};

// Before std's own startup, which opens /dev/null in place of a closed standard output: what is written there seems to have
// been printed.
ctor::declarative::ctor! {
    #[ctor(unsafe)]
    fn before_main() {
        reserve_closed_stdout();
    }
}

/// Opens a closed standard output so that each write to it fails, as it would without std. Does nothing if it is open.
///
/// Has already run when `main` begins. `main` must call it so that this crate is linked.
pub fn reserve_closed_stdout() {
    let reserve = |flags| {
        if let Ok(fd) = open(c"/dev/null", flags, Mode::empty()) {
            // Stays open for the life of the process.
            let _ = fd.into_raw_fd();
        }
    };
    if fcntl_getfd(stdout()).is_ok() {
        return;
    }
    // A file gets the lowest free number.
    if fcntl_getfd(stdin()).is_err() {
        reserve(OFlags::RDWR);
    }
    reserve(OFlags::RDONLY);
}
