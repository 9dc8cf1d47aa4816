//! The controller's HTTP servers, for the kubelet and Prometheus: `/livez`, `/readyz`, `/metrics`. No endpoint handles
//! Secrets. What the probes check is defined in `controller::health`; the probes are always plain HTTP, as the kubelet
//! expects. The metrics may be served over TLS ([`Tls`]), and only to clients that the API server allows ([`guarded`]).

mod follow;
mod listen;
mod routes;
mod server;
mod tls;

pub use follow::follow_certificate;
pub use listen::{BindError, ListenAddr, ListenAddrError, bind};
pub use routes::{Check, guarded, metrics, probes};
pub use server::{serve, serve_tls};
pub use tls::{Reload, Tls, TlsError, TlsFile};
