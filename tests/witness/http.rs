//! A small HTTP/1.1 client of our own: a test of a server must not share its code.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// An answer, as its parts.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub code: u16,
    pub kind: String,
    pub body: String,
}

impl Answer {
    pub fn read(stream: &mut impl Read) -> Self {
        let mut bytes = Vec::new();
        // A server that closes early resets the connection; what came before counts.
        let _ = stream.read_to_end(&mut bytes);
        let text = String::from_utf8(bytes).expect("UTF-8");
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect(head);
        let kind = head.lines().find_map(|line| line.strip_prefix("content-type: ")).unwrap_or_default().to_owned();
        Self { code, kind, body: body.to_owned() }
    }
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the server listens");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
    stream
}

/// The bytes of a request that closes its connection.
pub fn request(method: &str, path: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head =
        format!("{method} {path} HTTP/1.1\r\nhost: witness\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

pub fn ask(address: SocketAddr, method: &str, path: &str, body: &[u8]) -> Answer {
    let mut stream = connect(address);
    // A server may answer before it has read everything.
    let _ = stream.write_all(&request(method, path, body));
    Answer::read(&mut stream)
}
