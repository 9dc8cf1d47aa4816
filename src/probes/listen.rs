//! Listen addresses.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::TcpListener;

/// A listen address: `HOST:PORT`, or `:PORT` for all addresses of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenAddr {
    /// One address.
    Address(SocketAddr),
    /// This port on all addresses of the host, IPv6 and IPv4 where available.
    AllInterfaces(u16),
}

/// An invalid [`ListenAddr`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a valid listen address; use :PORT, ADDRESS:PORT or, for IPv6, [ADDRESS]:PORT")]
pub struct ListenAddrError(String);

impl std::str::FromStr for ListenAddr {
    type Err = ListenAddrError;

    fn from_str(text: &str) -> Result<Self, ListenAddrError> {
        let bad = || ListenAddrError(text.to_owned());
        if let Some(port) = text.strip_prefix(':') {
            return port.parse().map(ListenAddr::AllInterfaces).map_err(|_| bad());
        }
        text.parse().map(ListenAddr::Address).map_err(|_| bad())
    }
}

impl std::fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ListenAddr::Address(address) => address.fmt(f),
            ListenAddr::AllInterfaces(port) => write!(f, ":{port}"),
        }
    }
}

/// Listening on an address failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct BindError {
    address: ListenAddr,
    source: io::Error,
}

/// Binds the address. Called before anything else starts, so that a port already in use is reported early.
///
/// # Errors
/// If the address cannot be bound.
pub async fn bind(address: ListenAddr) -> Result<TcpListener, BindError> {
    let bound = match address {
        ListenAddr::Address(one) => TcpListener::bind(one).await,
        // On Linux an IPv6 socket accepts IPv4 connections too. Fall back to IPv4 if IPv6 is disabled.
        ListenAddr::AllInterfaces(port) => match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
            Ok(listener) => Ok(listener),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(error),
            Err(_) => TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await,
        },
    };
    bound.map_err(|source| BindError { address, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listen_addresses_are_parsed() {
        assert_eq!(":8080".parse(), Ok(ListenAddr::AllInterfaces(8080)));
        assert_eq!(
            "127.0.0.1:0".parse(),
            Ok(ListenAddr::Address((Ipv4Addr::LOCALHOST, 0).into()))
        );
        assert_eq!(
            "[::1]:1".parse(),
            Ok(ListenAddr::Address((Ipv6Addr::LOCALHOST, 1).into()))
        );
        for bad in ["", ":", ":x", ":65536", "8080", "localhost:1", "::1:1"] {
            assert!(bad.parse::<ListenAddr>().is_err(), "{bad}");
        }
        assert_eq!(ListenAddr::AllInterfaces(8080).to_string(), ":8080");
    }

    #[tokio::test]
    async fn port_in_use_is_reported_with_its_address() {
        let first = bind("127.0.0.1:0".parse().expect("an address"))
            .await
            .expect("a free port");
        let in_use = ListenAddr::Address(first.local_addr().expect("an address"));
        let error = bind(in_use).await.expect_err("in use");
        assert!(
            error
                .to_string()
                .starts_with(&format!("cannot listen on {in_use}: ")),
            "{error}"
        );
    }
}
