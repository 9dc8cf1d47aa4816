//! A minimal client for the few requests that the control plane sends itself, over TLS with a client certificate.
//!
//! Deliberately HTTP/1.0: the response ends when the connection closes, and a watch arrives as one JSON object per line.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;

use super::pki::Pair;

pub(super) struct Api {
    address: SocketAddr,
    tls: Arc<ClientConfig>,
}

type Body = BufReader<StreamOwned<ClientConnection, TcpStream>>;

impl Api {
    pub(super) fn new(port: u16, authority: &str, client: &Pair) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.as_bytes())?)?;
        let certificate = CertificateDer::from_pem_slice(client.certificate.as_bytes())?;
        let key = PrivateKeyDer::from_pem_slice(client.key.as_bytes())?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![certificate], key)?;
        Ok(Self {
            address: (Ipv4Addr::LOCALHOST, port).into(),
            tls: Arc::new(tls),
        })
    }

    /// Whether the server reports that it is ready. Another process on the port might accept the connection and never respond.
    pub(super) fn is_ready(&self) -> bool {
        matches!(
            self.open("GET", "/readyz", None, Duration::from_secs(2)),
            Ok((200, _))
        )
    }

    /// Returns the status code and the body of the response.
    pub(super) fn text(&self, method: &str, path: &str, body: Option<&Value>) -> Result<(u16, String)> {
        let (code, mut response) = self.open(method, path, body, Duration::from_secs(30))?;
        let mut text = String::new();
        response
            .read_to_string(&mut text)
            .with_context(|| format!("{method} {path}"))?;
        Ok((code, text))
    }

    /// Returns the JSON of a successful response.
    pub(super) fn json(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let (code, text) = self.text(method, path, body)?;
        if !(200..300).contains(&code) {
            bail!("{method} {path}: {code}: {text}");
        }
        serde_json::from_str(&text).with_context(|| format!("{method} {path}: {text}"))
    }

    /// Returns the first event of a watch, which arrives immediately if the object exists.
    pub(super) fn first_event(&self, path: &str, timeout: Duration) -> Result<Value> {
        let (code, mut response) = self.open("GET", path, None, timeout)?;
        let mut line = String::new();
        response
            .read_line(&mut line)
            .with_context(|| format!("watch {path}: no event within {} s", timeout.as_secs()))?;
        if code != 200 || line.is_empty() {
            bail!("watch {path}: {code}: {line}");
        }
        Ok(serde_json::from_str(&line)?)
    }

    fn open(&self, method: &str, path: &str, body: Option<&Value>, timeout: Duration) -> Result<(u16, Body)> {
        let stream = TcpStream::connect_timeout(&self.address, Duration::from_secs(5))?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        let connection = ClientConnection::new(Arc::clone(&self.tls), ServerName::from(self.address.ip()))?;
        let mut stream = StreamOwned::new(connection, stream);
        let body = body.map(Value::to_string).unwrap_or_default();
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: {}\r\nUser-Agent: testkit\r\nAccept: application/json, */*\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len(),
        )?;
        stream.flush()?;
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let code = line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let code = code.with_context(|| format!("{method} {path}: not an HTTP response: {line:?}"))?;
        while !line.trim_end().is_empty() {
            line.clear();
            reader.read_line(&mut line)?;
        }
        Ok((code, reader))
    }
}
