//! Forwards TCP connections from the node to the API server on the host's loopback address. Replaces kube-proxy for the one Service
//! that pods need, without rules in the host's packet filter.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

/// Accepts connections until the process exits and forwards each to `127.0.0.1:port`.
pub(super) fn forward(listener: TcpListener, port: u16) {
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            thread::spawn(move || {
                if let Ok(server) = TcpStream::connect(("127.0.0.1", port)) {
                    let _ = connect(&client, &server);
                }
            });
        }
    });
}

/// Copies in both directions until both sides have closed.
fn connect(client: &TcpStream, server: &TcpStream) -> io::Result<()> {
    let (from_client, to_server) = (client.try_clone()?, server.try_clone()?);
    let upward = thread::spawn(move || copy(&from_client, &to_server));
    copy(server, client);
    let _ = upward.join();
    Ok(())
}

fn copy(mut from: &TcpStream, mut to: &TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    #[test]
    fn bytes_and_end_of_stream_are_forwarded_in_both_directions() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        forward(listener, server.local_addr().unwrap().port());
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(b"request").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let (mut accepted, _) = server.accept().unwrap();
        let mut request = String::new();
        accepted.read_to_string(&mut request).unwrap();
        assert_eq!(request, "request");
        accepted.write_all(b"response").unwrap();
        drop(accepted);
        let mut response = String::new();
        client.read_to_string(&mut response).unwrap();
        assert_eq!(response, "response");
    }
}
