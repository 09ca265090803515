//! Archives in buckets: a small server that speaks as much of the protocols of S3 and Google Cloud Storage as an archive uses.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

type Objects = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// A server with one bucket.
pub struct Bucket {
    address: SocketAddr,
    objects: Objects,
}

impl Bucket {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let (address, objects) = (listener.local_addr().expect("an address"), Objects::default());
        let shared = objects.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let objects = shared.clone();
                std::thread::spawn(move || while answer(&stream, &objects).is_some() {});
            }
        });
        Self { address, objects }
    }

    /// What the clients of both clouds need to find it.
    pub fn environment(&self) -> Vec<(String, String)> {
        let url = format!("http://{}", self.address);
        let account = format!(
            r#"{{"gcs_base_url":"{url}","disable_oauth":true,"client_email":"","private_key":"","private_key_id":""}}"#
        );
        [
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ENDPOINT", &url),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_PROFILE", "of another tool"),
            ("GOOGLE_SERVICE_ACCOUNT_KEY", &account),
            ("PATH", "/bin"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    /// Every object, by its name without the bucket's.
    pub fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        self.objects.lock().expect("lock").clone()
    }
}

/// Answers one request; `None` when there is none any more.
fn answer(stream: &TcpStream, objects: &Objects) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_owned()),
        }
    }
    let header = |name: &str| {
        let named = head.iter().filter_map(|line| line.split_once(": ")).find(|(n, _)| n.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.to_owned())
    };
    let mut body = vec![0; header("content-length").and_then(|l| l.parse().ok()).unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    let mut words = head.first()?.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    // The client of Google writes these in another way.
    let target = target.replace("%2F", "/").replace("%2E", ".");
    let name = target.split('?').next()?.trim_start_matches('/').strip_prefix("miax/")?.to_owned();
    let create = header("if-none-match").is_some() || header("x-goog-if-generation-match").as_deref() == Some("0");
    let signed = header("authorization").is_some_and(|a| a.starts_with("AWS4-HMAC-SHA256 Credential=id/"));
    assert!(signed || header("x-amz-date").is_none(), "requests to S3 are signed");
    let mut objects = objects.lock().expect("lock");
    let (status, content) = match (method, objects.contains_key(&name)) {
        ("PUT", true) if create => ("412 Precondition Failed", Vec::new()),
        ("PUT", _) => {
            objects.insert(name, body);
            ("200 OK", Vec::new())
        }
        ("GET", true) => ("200 OK", objects[&name].clone()),
        ("GET", false) => ("404 Not Found", Vec::new()),
        (other, _) => panic!("an archive never asks for {other}"),
    };
    let fixed = "ETag: \"1\"\r\nx-goog-generation: 1\r\nLast-Modified: Wed, 25 Nov 2026 08:00:00 GMT";
    let mut stream = stream;
    write!(stream, "HTTP/1.1 {status}\r\n{fixed}\r\nContent-Length: {}\r\n\r\n", content.len()).ok()?;
    stream.write_all(&content).ok()
}
