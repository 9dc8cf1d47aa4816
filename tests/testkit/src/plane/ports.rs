//! Free ports on the loopback address.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Result, bail};

const LOWEST: u16 = 10_000;

/// Returns a port that is free at the moment. Another process may bind it first; the caller then retries with another port.
///
/// The port is below the kernel's range for outgoing connections. Otherwise a client could be assigned the port of an API server that a
/// test has stopped or, when connecting to that server, even connect to itself.
pub(crate) fn free() -> Result<u16> {
    let end = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(|range| range.split_whitespace().next()?.parse::<u16>().ok())
        .filter(|start| *start > LOWEST + 1_000)
        .unwrap_or(32_768);
    for _ in 0..1_000 {
        let port = LOWEST + u16::try_from(crate::random() % u64::from(end - LOWEST))?;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port on the loopback address between {LOWEST} and {end}")
}
