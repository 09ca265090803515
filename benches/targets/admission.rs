//! Reviews through TLS that need no ledger write: the re-applies of a syncer.

use std::sync::Arc;
use std::time::Duration;

use kube::{Client, Config};
use miax::admission::{ObjectiveCache, Salts, Snapshot, Webhook, WorkloadCache};
use miax::ledger::{BlockParts, Head, LogTrust};
use miax::store::{BlockStore, CreateError, ReadError, Sequencer, WriterSource, held};
use miax::telemetry::Metrics;
use miax::trust::NoteSigner;
use miax::units::{BlockNumber, UnixMillis};
use serde_json::Value;

use crate::judge::review;
use crate::load::load;
use crate::org::Org;
use crate::{Row, millis};

/// These reviews write nothing; a store that is asked anyway fails the measurement.
struct NoStore;

impl BlockStore for NoStore {
    async fn create(&self, _: u16, _: BlockNumber, _: &BlockParts) -> Result<(), CreateError> {
        Err(CreateError::Refused("nothing is to be written here".into()))
    }

    async fn read(&self, _: u16, _: BlockNumber) -> Result<Option<BlockParts>, ReadError> {
        Ok(None)
    }
}

fn webhook() -> Arc<Webhook> {
    let key = NoteSigner::try_new("bench", &[1; 32]).expect("name");
    let head = Head::genesis(LogTrust { origin: "bench".into(), epoch: 0, key: key.verifier() });
    let writers = WriterSource { log_keys: held(key), replica: "bench".into(), seed: Arc::new(|| [3; 32]) };
    let clock = Arc::new(|| UnixMillis(1_795_514_400_000));
    let (_, ledger, _) = Sequencer::new(NoStore, head, None, writers, clock.clone());
    // Nobody listens there: an unchanged object needs no facts.
    let client = Client::try_from(Config::new("https://127.0.0.1:1".parse().expect("url"))).expect("client");
    let snapshot =
        Snapshot::new(WorkloadCache::start(&client), ObjectiveCache::start(client.clone()), "c".into(), None, clock);
    let salts = Salts::new(Arc::new(|| Some([5; 32])), None);
    Arc::new(Webhook::new(ledger, Arc::new(snapshot), Arc::new(Metrics::try_new().expect("metrics")), salts))
}

pub(crate) fn rows() -> Vec<Row> {
    let object = Org::new().approved();
    let mut labelled: Value = object.clone();
    if let Some(metadata) = labelled.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("labels".into(), serde_json::json!({"synced": "again"}));
    }
    let body = review("UPDATE", &labelled, &object);
    let length = body.len();
    let mut load = load(|| async { (webhook(), ()) }, ("/governed", &[body]), "Unchanged");
    let (core, high) = (load.per_core(), load.p99());
    vec![
        Row::new(
            format!("reviews of {length} B through TLS, no ledger write, per core of the server"),
            format!("{core:.0}/s"),
            ">= 10,000/s",
            core >= 10e3,
        ),
        Row::reference("the same by the clock, the callers on the other core", format!("{:.0}/s", load.by_the_clock())),
        Row::new("the same, p99", millis(high), "< 5 ms", high < Duration::from_millis(5)),
    ]
}
