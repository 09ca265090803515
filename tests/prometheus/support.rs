//! A client for a Prometheus of the test.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use miax::controllers::prometheus::{Credentials, Limits, Prometheus, Transport};
use miax::units::UnixMillis;
use tokio::runtime::{Builder, Runtime};

#[expect(clippy::disallowed_methods, reason = "Prometheus has the same clock")]
pub(crate) fn now() -> UnixMillis {
    let now = std::time::SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    UnixMillis(u64::try_from(now.as_millis()).expect("a time"))
}

pub(crate) fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

pub(crate) fn client(server: &miax_cluster::Prometheus, credentials: Credentials) -> Prometheus {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let url = server.url().parse().expect("an address");
    Prometheus::try_new(url, Transport::Tls, credentials, Limits::default(), Arc::new(now)).expect("it may be asked")
}
