//! Tencent Cloud's own host names through a proxy, as on a machine that has no other way out. The proxy leads to the emulator.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use testkit::kms::Options;

use super::shell::Shell;
use super::tencent::{Cloud, SECRET};

/// What the proxy does with a request.
#[derive(Clone, Copy)]
enum Then {
    /// Leads to this address, whatever the host.
    Lead(SocketAddr),
    /// Answers with this status line.
    Refuse(&'static str),
}

/// An HTTP proxy, or one of SOCKS 5, that remembers what it was asked.
struct Proxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn start(then: Then) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let heard = Arc::clone(&heard);
                thread::spawn(move || serve(stream, then, &heard));
            }
        });
        Proxy { address, asked }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The request lines since the last look; of SOCKS, `SOCKS` and the host.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

fn serve(mut stream: TcpStream, then: Then, heard: &Mutex<Vec<String>>) {
    let mut client = BufReader::new(stream.try_clone().unwrap());
    if client.fill_buf().is_ok_and(|bytes| bytes.first() == Some(&5)) {
        heard
            .lock()
            .unwrap()
            .push(format!("SOCKS {}", socks(&mut client, &mut stream)));
        if let Then::Lead(address) = then {
            stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).unwrap();
            join(client, stream, address);
        }
        return;
    }
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        match client.read_line(&mut line) {
            Ok(2..) if line != "\r\n" => lines.push(line.trim().to_owned()),
            _ => break,
        }
    }
    heard.lock().unwrap().extend(lines.into_iter().next());
    match then {
        Then::Refuse(status) => {
            let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
        }
        Then::Lead(address) => {
            let _ = write!(stream, "HTTP/1.1 200 Connection established\r\n\r\n");
            join(client, stream, address);
        }
    }
}

/// The greeting without a password and the request for a name (RFC 1928): the name.
fn socks(client: &mut impl Read, stream: &mut TcpStream) -> String {
    let mut read = |count: u8| {
        let mut bytes = vec![0; count.into()];
        client.read_exact(&mut bytes).unwrap();
        bytes
    };
    let methods = read(2)[1];
    read(methods);
    stream.write_all(&[5, 0]).unwrap();
    let request = read(5);
    assert_eq!(request[..4], [5, 1, 0, 3], "a connection to a name");
    let name = String::from_utf8(read(request[4])).unwrap();
    read(2);
    name
}

/// Carries bytes both ways until one side ends.
fn join(mut client: impl Read, mut stream: TcpStream, address: SocketAddr) {
    let mut server = TcpStream::connect(address).unwrap();
    let mut answers = server.try_clone().unwrap();
    let back = thread::spawn(move || {
        let _ = std::io::copy(&mut answers, &mut stream);
        let _ = stream.shutdown(Shutdown::Both);
    });
    let _ = std::io::copy(&mut client, &mut server);
    let _ = server.shutdown(Shutdown::Write);
    let _ = back.join();
}

/// The emulator with TLS, and no endpoint named.
fn far() -> (Cloud, SocketAddr) {
    let mut cloud = Cloud::with(&Options {
        tls: true,
        ..Options::default()
    });
    let endpoint = cloud.emulator.endpoint();
    let address = endpoint.trim_start_matches("https://").parse().unwrap();
    cloud.unset("ENVELOPE_TENCENT_ENDPOINT");
    cloud.unset("ENVELOPE_TENCENT_STS_ENDPOINT");
    (cloud, address)
}

#[test]
fn calls_to_the_cloud_use_the_proxy_of_the_environment() {
    let (mut cloud, address) = far();
    let proxy = Proxy::start(Then::Lead(address));
    for variable in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"] {
        cloud.set(variable, &proxy.url());
        let sealed = cloud.sealed();
        assert_eq!(
            proxy.asked(),
            ["CONNECT kms.tencentcloudapi.com:443 HTTP/1.1"],
            "{variable}"
        );
        cloud.opens(&sealed);
        assert_eq!(proxy.asked().len(), 1);
        cloud.unset(variable);
    }
    cloud.set("HTTPS_PROXY", &proxy.url().replace("http:", "socks5h:"));
    cloud.sealed();
    assert_eq!(proxy.asked(), ["SOCKS kms.tencentcloudapi.com"]);
    cloud.set("HTTPS_PROXY", &proxy.url());
    for (site, host) in [
        ("regional", "kms.ap-guangzhou.tencentcloudapi.com"),
        ("internal", "kms.internal.tencentcloudapi.com"),
        ("international", "kms.intl.tencentcloudapi.com"),
    ] {
        cloud.set("ENVELOPE_TENCENT_SITE", site);
        cloud.sealed();
        assert_eq!(proxy.asked(), [format!("CONNECT {host}:443 HTTP/1.1")]);
    }
    // STS too: its host of the same site.
    let role = format!("qcs::cam::uin/100000000001:roleName/{}", testkit::kms::ROLE);
    cloud.set("ENVELOPE_TENCENT_ROLE_ARN", &role);
    cloud.sealed();
    let hosts =
        ["sts", "kms"].map(|service| format!("CONNECT {service}.intl.tencentcloudapi.com:443 HTTP/1.1"));
    assert_eq!(proxy.asked(), hosts);
}

#[test]
fn loopback_and_metadata_endpoints_bypass_the_proxy() {
    let mut cloud = Cloud::with(&Options::default());
    let proxy = Proxy::start(Then::Refuse("502 Bad Gateway"));
    for variable in [
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "ALL_PROXY",
        "https_proxy",
        "http_proxy",
    ] {
        cloud.set(variable, &proxy.url());
    }
    let sealed = cloud.sealed();
    cloud.opens(&sealed);
    cloud.unset("TENCENTCLOUD_SECRET_ID");
    cloud.unset("TENCENTCLOUD_SECRET_KEY");
    let machine = testkit::kms::Command::MachineRole {
        name: Some("node".to_owned()),
    };
    cloud.emulator.order(machine).unwrap();
    cloud.opens(&sealed);
    // A host that is not this machine: it is not reached, and the proxy does not hear of it.
    cloud.set("ENVELOPE_TENCENT_METADATA_ENDPOINT", "http://metadata.invalid");
    cloud
        .run(&["seal"], SECRET)
        .failed(2, "plain HTTP to metadata.invalid");
    cloud.set("ENVELOPE_TENCENT_ALLOW_HTTP", "true");
    let ran = cloud.run(&["seal"], SECRET);
    assert!(ran.stderr.contains("no metadata service"), "{}", ran.stderr);
    assert_eq!(proxy.asked(), Vec::<String>::new());
}

#[test]
fn no_proxy_hosts_bypass_the_proxy_and_a_failing_proxy_is_named() {
    let (mut cloud, address) = far();
    let proxy = Proxy::start(Then::Lead(address));
    cloud.set("HTTPS_PROXY", &proxy.url());
    cloud.set("ENVELOPE_TENCENT_ENDPOINT", "https://kms.invalid");
    cloud.set("NO_PROXY", "other.example,.invalid");
    cloud.run(&["seal"], SECRET).failed(4, "kms.invalid");
    assert_eq!(proxy.asked(), Vec::<String>::new());
    cloud.set("NO_PROXY", "other.example");
    cloud.run(&["seal"], SECRET).failed(2, "certificate");
    assert!(proxy.asked()[0].starts_with("CONNECT kms.invalid:443 "));
    for variable in ["NO_PROXY", "ENVELOPE_TENCENT_ENDPOINT"] {
        cloud.unset(variable);
    }

    let dead = Proxy::start(Then::Refuse("407 Proxy Authentication Required"));
    let with_password = dead.url().replace("http://", "http://someone:planted-9f2kq@");
    for (url, says) in [
        (with_password.as_str(), "proxy authorization required"),
        (
            "http://127.0.0.1:9",
            "kms.tencentcloudapi.com (through the proxy 127.0.0.1:9): Connection refused",
        ),
    ] {
        cloud.set("HTTPS_PROXY", url);
        let ran = cloud.run(&["seal"], SECRET).failed(4, says);
        assert!(ran.stderr.contains("HTTPS_PROXY"), "{}", ran.stderr);
        assert!(
            ran.stderr.contains("(through the proxy 127.0.0.1:"),
            "{}",
            ran.stderr
        );
        assert!(!ran.stderr.contains("planted"), "{}", ran.stderr);
    }
    // What cannot be read is not passed over: the way out might be shut for a reason.
    cloud.set("HTTPS_PROXY", "ht!tp://planted-9f2kq");
    let ran = cloud
        .run(&["seal"], SECRET)
        .failed(2, "the proxy address in HTTPS_PROXY is not valid");
    assert!(!ran.stderr.contains("planted"), "{}", ran.stderr);
    assert_eq!(cloud.emulator.all_calls(), 0);
}

#[test]
fn proxy_unusable_for_the_api_server_is_reported_without_its_password() {
    let shell = Shell::new();
    let config = "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\n\
                  contexts: [{name: c, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {}}]\n";
    shell.write("kubeconfig", config);
    let args = [
        "controller",
        "--keyring",
        "keyring",
        "--kubeconfig",
        "kubeconfig",
        "--metrics-addr",
        "127.0.0.1:0",
        "--probe-addr",
        "127.0.0.1:0",
    ];
    let ran = shell.run_with(
        &args,
        b"",
        &[("HTTPS_PROXY", "ftp://someone:planted-9f2kq@127.0.0.1:9")],
    );
    let ran = ran.failed(2, "the proxy (HTTPS_PROXY, or proxy-url in the kubeconfig)");
    assert!(!ran.stderr.contains("planted"), "{}", ran.stderr);
}
