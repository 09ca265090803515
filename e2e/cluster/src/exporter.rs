//! What a Prometheus of a test scrapes: metrics that the test moves, as a service of its own would.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::error::ClusterError;

/// Upper bounds of the latency buckets, in seconds; +Inf comes after them.
const BUCKETS: [f64; 5] = [0.05, 0.1, 0.25, 0.5, 1.0];
/// How long a scraper may take to ask.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Metrics {
    good: u64,
    bad: u64,
    /// Requests of each bucket alone, the last for what is above all bounds.
    latency: [u64; BUCKETS.len() + 1],
    latency_sum: f64,
    ready: bool,
    more: String,
    is_silent: bool,
    scrapes: u64,
    ends: bool,
}

/// A service with metrics. It ends when it is dropped.
pub struct Exporter {
    address: SocketAddr,
    metrics: Arc<Mutex<Metrics>>,
    thread: Option<JoinHandle<()>>,
}

impl Exporter {
    /// Starts it, with every counter at zero and ready.
    ///
    /// # Errors
    /// [`ClusterError::Io`] when there is no port.
    pub fn start() -> Result<Self, ClusterError> {
        let wrong = || ClusterError::io("the exporter cannot listen");
        let listener = TcpListener::bind((IpAddr::V4(Ipv4Addr::LOCALHOST), 0)).map_err(wrong())?;
        let address = listener.local_addr().map_err(wrong())?;
        let metrics = Arc::new(Mutex::new(Metrics { ready: true, ..Metrics::default() }));
        let served = metrics.clone();
        let thread = Some(std::thread::spawn(move || {
            for stream in listener.incoming() {
                if lock(&served).ends {
                    return;
                }
                // A scraper that is gone misses a scrape; that is not ours to tell.
                let _ = stream.and_then(|stream| answer(&stream, &served));
            }
        }));
        Ok(Self { address, metrics, thread })
    }

    /// Where it is scraped.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers so many requests well and so many badly: `http_requests_total` with `code` 200 and 500.
    pub fn serve(&self, good: u64, bad: u64) {
        let mut metrics = lock(&self.metrics);
        metrics.good += good;
        metrics.bad += bad;
    }

    /// Answers so many requests in so many seconds each: `http_request_duration_seconds`, with bounds from 0.05 to 1.
    pub fn observe(&self, seconds: f64, times: u64) {
        let mut metrics = lock(&self.metrics);
        let bucket = BUCKETS.iter().position(|bound| seconds <= *bound).unwrap_or(BUCKETS.len());
        if let Some(count) = metrics.latency.get_mut(bucket) {
            *count += times;
        }
        metrics.latency_sum += seconds * f64::from(u32::try_from(times).unwrap_or(u32::MAX));
    }

    /// Says whether it is ready: `service_ready`, 0 or 1.
    pub fn set_ready(&self, ready: bool) {
        lock(&self.metrics).ready = ready;
    }

    /// More metrics, in the text format, beside its own.
    pub fn also(&self, text: &str) {
        text.clone_into(&mut lock(&self.metrics).more);
    }

    /// Starts again as a process would: every counter is zero.
    pub fn restart(&self) {
        let mut metrics = lock(&self.metrics);
        let Metrics { good, bad, latency, latency_sum, .. } = &mut *metrics;
        (*good, *bad, *latency, *latency_sum) = (0, 0, [0; BUCKETS.len() + 1], 0.0);
    }

    /// Whether scrapes are refused.
    pub fn set_silent(&self, silent: bool) {
        lock(&self.metrics).is_silent = silent;
    }

    /// How many scrapes were answered with metrics.
    #[must_use]
    pub fn scrapes(&self) -> u64 {
        lock(&self.metrics).scrapes
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        lock(&self.metrics).ends = true;
        // The thread waits for somebody who asks.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock(metrics: &Mutex<Metrics>) -> MutexGuard<'_, Metrics> {
    metrics.lock().unwrap_or_else(PoisonError::into_inner)
}

fn answer(stream: &TcpStream, metrics: &Mutex<Metrics>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let head = BufReader::new(stream).lines();
    for line in head {
        if line?.is_empty() {
            break;
        }
    }
    let (code, body) = {
        let mut metrics = lock(metrics);
        match metrics.is_silent {
            true => ("503 Service Unavailable", String::new()),
            false => {
                metrics.scrapes += 1;
                ("200 OK", metrics.text())
            }
        }
    };
    let head = format!(
        "HTTP/1.1 {code}\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let mut stream = stream;
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())
}

impl Metrics {
    /// The text format, version 0.0.4.
    fn text(&self) -> String {
        let Self { good, bad, latency, latency_sum, ready, more, .. } = self;
        let mut text = format!(
            "# TYPE http_requests_total counter\nhttp_requests_total{{code=\"200\"}} {good}\n\
             http_requests_total{{code=\"500\"}} {bad}\n\
             # TYPE service_ready gauge\nservice_ready {}\n\
             # TYPE http_request_duration_seconds histogram\n",
            u8::from(*ready)
        );
        let bounds = BUCKETS.iter().map(ToString::to_string).chain(["+Inf".to_owned()]);
        let mut count = 0;
        for (bound, own) in bounds.zip(latency) {
            count += own;
            let _ = writeln!(text, "http_request_duration_seconds_bucket{{le=\"{bound}\"}} {count}");
        }
        let _ = writeln!(text, "http_request_duration_seconds_sum {latency_sum}");
        let _ = writeln!(text, "http_request_duration_seconds_count {count}");
        text.push_str(more);
        text
    }
}
