//! The load: connections to the webhook that ask as an API server does, at a steady pace.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use serde_json::{Value, json};

use crate::place::Place;

const CONNECTIONS: u64 = 8;
/// Requests a second over all connections: ten times the usual.
const PACE: u64 = 1000;
/// One request in so many is of somebody new and is written; the others are of one account in a loop and are counted.
const NEW: u64 = 10;

/// What the webhook answered.
#[derive(Default)]
pub(crate) struct Told {
    refused: AtomicU64,
    undecided: AtomicU64,
    allowed: AtomicU64,
}

impl Told {
    pub(crate) fn answers(&self) -> u64 {
        self.decided() + self.undecided() + self.allowed()
    }

    /// Refusals with a verdict, each of which must be written or counted.
    pub(crate) fn decided(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    pub(crate) fn undecided(&self) -> u64 {
        self.undecided.load(Ordering::Relaxed)
    }

    pub(crate) fn allowed(&self) -> u64 {
        self.allowed.load(Ordering::Relaxed)
    }
}

/// The callers, while they run.
pub(crate) struct Callers {
    told: Arc<Told>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Callers {
    pub(crate) fn start(place: &Place) -> Self {
        let (told, stop) = (Arc::new(Told::default()), Arc::new(AtomicBool::new(false)));
        let (tls, object, port) = (place.tls(), place.unsigned(), place.port());
        let caller = |number: u64| {
            let caller = Caller { number, port, tls: tls.clone(), object: object.clone(), told: told.clone() };
            let stop = stop.clone();
            std::thread::spawn(move || caller.run(&stop))
        };
        let threads = (0..CONNECTIONS).map(caller).collect();
        Self { told, stop, threads }
    }

    pub(crate) fn answers(&self) -> u64 {
        self.told.answers()
    }

    /// Ends the load; nothing is asked any more.
    pub(crate) fn stop(self) -> Arc<Told> {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().expect("a caller ends well"));
        self.told
    }
}

struct Caller {
    number: u64,
    port: u16,
    tls: Arc<rustls::ClientConfig>,
    object: Value,
    told: Arc<Told>,
}

impl Caller {
    fn run(&self, stop: &AtomicBool) {
        let pause = Duration::from_micros(1_000_000 * CONNECTIONS / PACE);
        let (mut stream, mut next) = (self.connect(), Instant::now());
        for count in 0.. {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
            // Who falls behind does not catch up with a burst.
            next = (next + pause).max(Instant::now() - pause);
            match ask(&mut stream, &self.review(count)) {
                Some(answer) => self.take(&answer),
                None => {
                    self.told.undecided.fetch_add(1, Ordering::Relaxed);
                    stream = self.connect();
                }
            }
        }
    }

    fn connect(&self) -> rustls::StreamOwned<rustls::ClientConnection, TcpStream> {
        let name = ServerName::try_from("127.0.0.1").expect("a name");
        let connection = rustls::ClientConnection::new(self.tls.clone(), name).expect("a connection");
        let socket = TcpStream::connect(("127.0.0.1", self.port)).expect("the webhook listens");
        socket.set_nodelay(true).expect("no delay");
        rustls::StreamOwned::new(connection, socket)
    }

    fn review(&self, count: u64) -> Vec<u8> {
        let of = format!("{}-{count}", self.number);
        let actor = if count.is_multiple_of(NEW) { format!("soak-{of}") } else { "soak-loop".to_owned() };
        let mut object = self.object.clone();
        object["metadata"]["name"] = format!("soak-{of}").into();
        let body = json!({
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "request": {
                "uid": format!("soak-{of}"),
                "kind": {"group": "miax.dev", "version": "v1alpha1", "kind": "ControlCommand"},
                "resource": {"group": "miax.dev", "version": "v1alpha1", "resource": "controlcommands"},
                "name": object["metadata"]["name"], "namespace": "shop", "operation": "CREATE",
                "userInfo": {"username": actor}, "object": object, "oldObject": null, "dryRun": false,
            },
        });
        let body = body.to_string();
        let head = "POST /governed HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ";
        format!("{head}{}\r\n\r\n{body}", body.len()).into_bytes()
    }

    fn take(&self, answer: &str) {
        let counter = if answer.contains("\"allowed\":true") {
            &self.told.allowed
        } else if answer.contains("Unsigned: ") {
            &self.told.refused
        } else {
            &self.told.undecided
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// The answer to a request; `None` when the connection ended.
fn ask(stream: &mut rustls::StreamOwned<rustls::ClientConnection, TcpStream>, request: &[u8]) -> Option<String> {
    stream.write_all(request).ok()?;
    let (mut answer, mut buffer) = (Vec::new(), vec![0; 16 * 1024]);
    loop {
        let count = stream.read(&mut buffer).ok().filter(|count| *count > 0)?;
        answer.extend_from_slice(buffer.get(..count)?);
        let text = String::from_utf8_lossy(&answer);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.to_ascii_lowercase().split("content-length: ").nth(1)?.lines().next()?.trim().parse();
            if length.is_ok_and(|length: usize| body.len() >= length) {
                return Some(body.to_owned());
            }
        }
    }
}
