//! Free ports on the loopback address.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context as _, Result};

const LOWEST: u16 = 10_000;

/// `N` different ports that were free a moment ago; a conflict is met by another try.
///
/// They lie below the range from which the kernel gives ports to outgoing connections. Otherwise a client could take the port of an API
/// server that a test has stopped, or, trying to reach it, even connect to itself.
pub(super) fn free<const N: usize>() -> Result<[u16; N]> {
    let end = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(|range| range.split_whitespace().next()?.parse::<u16>().ok())
        .filter(|start| *start > LOWEST + 1_000)
        .unwrap_or(32_768);
    let mut found = Vec::new();
    // The listeners are held until all ports are known, so that they differ.
    let mut held = Vec::new();
    for _ in 0..1_000 {
        let port = LOWEST + u16::try_from(crate::random() % u64::from(end - LOWEST))?;
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            held.push(listener);
            found.push(port);
        }
        if found.len() == N {
            break;
        }
    }
    found
        .try_into()
        .ok()
        .context("no free ports on the loopback address")
}
