//! Witnesses that lie, are slow, or talk without an end: none of them gets a line published, a cluster stopped or a round delayed
//! for longer than a deadline.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::endpoint::{Endpoint, WitnessAddress};
use super::round::{Question, Round, Witnesses};
use crate::ledger::{
    BlockParts, Checkpoint, Contradiction, HashTree, Head, Lineage, LogKeys, LogTrust, Writer, leaf_hash,
};
use crate::store::{BlockStore, Confirmed, CreateError, ReadError};
use crate::telemetry::WitnessResult;
use crate::trust::{Cosigner, NoteSigner, Quorum, SigningKey, WitnessMode, WitnessPolicy};
use crate::units::{BlockNumber, Seconds, UnixMillis, UnixSeconds};

const LOG: &str = "miax.dev/ecm/c/0";

fn now() -> UnixSeconds {
    UnixSeconds::new(1000)
}

fn log_key() -> NoteSigner {
    NoteSigner::try_new(LOG, &[9; 32]).expect("name")
}

fn witness(seed: u8) -> Cosigner {
    let key = SigningKey::from_ed25519_seed(&[seed; 32]);
    Cosigner::try_new(&format!("w/{seed}"), &key).expect("name").expect("Ed25519")
}

/// Blocks of one entry each.
struct Blocks(Vec<BlockParts>);

impl BlockStore for Blocks {
    async fn create(&self, _: u16, _: BlockNumber, _: &BlockParts) -> Result<(), CreateError> {
        Err(CreateError::Refused("nothing is written here".into()))
    }

    async fn read(&self, _: u16, number: BlockNumber) -> Result<Option<BlockParts>, ReadError> {
        Ok(usize::try_from(number.0).ok().and_then(|n| self.0.get(n)).cloned())
    }
}

/// A log of 20 blocks with an entry each, the tree over it, and its end.
fn log() -> (Blocks, HashTree, Confirmed) {
    let trust = LogTrust { origin: LOG.into(), epoch: 0, key: log_key().verifier() };
    let writer = Writer::try_new(LOG, &log_key(), "w", &[2; 32], UnixMillis(9_000_000)).expect("writer");
    let (mut head, mut blocks, mut tree) = (Head::genesis(trust), Vec::new(), HashTree::default());
    for n in 0..20 {
        let fields = serde_json::Map::from_iter([("n".to_owned(), n.into())]);
        let entry = crate::ledger::Entry { kind: "x".into(), time: UnixMillis(5), writer: "w".into(), fields };
        let entry = if n == 0 { writer.introduce(UnixMillis(5)) } else { entry.encode() }.expect("entry");
        tree.append(leaf_hash(&entry));
        let parts = head.propose(&[entry], &writer, UnixMillis(5), UnixMillis(6)).expect("block");
        head.fold(&parts).expect("folds");
        blocks.push(parts);
    }
    (Blocks(blocks), tree, Confirmed { size: 20, root: Some(head.root()) })
}

fn note(tree: &HashTree, size: u64) -> String {
    Checkpoint { origin: LOG.into(), size, root: tree.root(size).expect("root") }.sign(&log_key()).expect("signed")
}

fn text(note: &str) -> &str {
    note.split_at(note.find("\n\n").expect("a note") + 1).0
}

/// What a witness answers: to a question with its body, and to whoever wants to see the newest checkpoint.
type Answers = Arc<dyn Fn(&str) -> Option<(u16, String)> + Send + Sync>;

/// A witness that answers as it is told; `None` is silence.
async fn serve(add: Answers, newest: Option<String>) -> String {
    let asked = Arc::new(Mutex::new(()));
    let routes = Router::new().fallback(move |request: Request| {
        let (add, newest, asked) = (add.clone(), newest.clone(), asked.clone());
        async move {
            let _one = asked.lock().await;
            if request.uri().path() != "/add-checkpoint" {
                return newest.map_or((StatusCode::NOT_FOUND, String::new()), |note| (StatusCode::OK, note));
            }
            let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.expect("a body");
            match add(std::str::from_utf8(&body).expect("UTF-8")) {
                Some((code, body)) => (StatusCode::from_u16(code).expect("a code"), body),
                None => std::future::pending().await,
            }
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, routes).await });
    format!("http://{address}")
}

fn witnesses(places: &[(String, u8)], store: Blocks) -> Witnesses<Blocks> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let address = |(url, seed): &(String, u8)| format!("{url}+{}", witness(*seed).verifier());
    let addresses: Vec<WitnessAddress> = places.iter().map(|p| address(p).parse().expect("an address")).collect();
    let keys = addresses.iter().map(|a| a.key().clone()).collect();
    let quorum = Quorum::try_new(keys, 1).expect("a quorum");
    let policy = WitnessPolicy { mode: WitnessMode::Warn, quorum, max_age: Seconds(300) };
    Witnesses::new(policy, Endpoint::all(&addresses, None).expect("clients"), store, Lineage::default())
}

async fn ask(witnesses: &mut Witnesses<Blocks>, tree: &HashTree, end: Confirmed) -> Round {
    let (note, keys) = (note(tree, end.size), LogKeys::new(LOG, log_key().verifier()));
    let question = Question { note: &note, end, tip: BlockNumber(20), keys: &keys, now: now() };
    witnesses.ask(&question).await.expect("the blocks are there")
}

/// One round with one witness: what comes of it, and the note that would be published.
async fn round(add: Answers, newest: Option<String>) -> (Round, String) {
    let (store, tree, end) = log();
    let mut witnesses = witnesses(&[(serve(add, newest).await, 1)], store);
    let round = ask(&mut witnesses, &tree, end).await;
    (round, witnesses.cosigned(&note(&tree, end.size)))
}

fn answers(code: u16, body: impl Into<String>) -> Answers {
    let body = body.into();
    Arc::new(move |_| Some((code, body.clone())))
}

#[tokio::test]
async fn an_honest_witness_is_proven_to_from_where_it_stands() {
    let (_, shown, _) = log();
    let at_seven = move |body: &str| {
        if body.starts_with("old 7\n") {
            let (_, note) = body.split_once("\n\n").expect("a request");
            let proof = shown.consistency(7, 20).expect("a proof");
            assert_eq!(body, crate::ledger::AddCheckpoint { proof, note: note.to_owned() }.to_text());
            return Some((200, witness(1).cosign(text(note), now()).expect("cosigned")));
        }
        Some((409, "7\n".to_owned()))
    };
    let (store, tree, end) = log();
    let mut witnesses = witnesses(&[(serve(Arc::new(at_seven), None).await, 1)], store);
    let first = ask(&mut witnesses, &tree, end).await;
    assert_eq!((first.news, first.results.as_slice()), (false, [(0, WitnessResult::Conflict)].as_slice()));
    // Nobody knew how far back it stands; now the leaves from there on are read.
    let round = ask(&mut witnesses, &tree, end).await;
    assert_eq!((round.news, round.results.as_slice()), (true, [(0, WitnessResult::Cosigned)].as_slice()));
    let published = witnesses.cosigned(&note(&tree, end.size));
    assert!(witness(1).verifier().cosigned(&published).expect("verifies").is_some());
}

#[tokio::test]
async fn what_a_witness_says_without_its_signature_counts_for_nothing() {
    let (_, tree, end) = log();
    let whole = note(&tree, end.size);
    let cosign = |who: u8, of: &str| witness(who).cosign(text(of), now()).expect("cosigned");
    let mut other = HashTree::default();
    (0..20_u8).for_each(|n| other.append(leaf_hash(&[n])));
    #[rustfmt::skip]
    let rows = [
        ("a line of another key", answers(200, cosign(2, &whole)), WitnessResult::Unsigned),
        ("a line for another size", answers(200, cosign(1, &note(&tree, 19))), WitnessResult::Unsigned),
        ("a line for another root", answers(200, cosign(1, &note(&other, 20))), WitnessResult::Unsigned),
        ("yes, and nothing else", answers(200, ""), WitnessResult::Unsigned),
        ("10 MiB", answers(200, "\u{2014} x AAAA\n".repeat(1 << 20)), WitnessResult::Unreachable),
        ("bytes that are no text", answers(503, "\u{0}"), WitnessResult::Refused),
        ("a size that nobody has", answers(409, "1000000\n"), WitnessResult::Conflict),
        ("always another size", Arc::new(|body: &str| Some((409, format!("{}\n", body.len() % 20)))), WitnessResult::Conflict),
        ("that the proof is wrong", answers(422, "no"), WitnessResult::Conflict),
        ("that it does not know the log", answers(404, ""), WitnessResult::Refused),
        ("a way to somebody else", answers(302, ""), WitnessResult::Refused),
    ];
    for (name, add, expected) in rows {
        let (round, published) = round(add, None).await;
        assert_eq!(round.results, [(0, expected)], "{name}");
        assert!(!round.news && round.contradiction.is_none(), "{name}: {round:?}");
        assert_eq!(published, whole, "{name}");
    }
}

#[tokio::test]
async fn only_what_the_logs_key_signed_contradicts_it() {
    let (_, tree, _) = log();
    let mut longer = tree.clone();
    longer.append(leaf_hash(b"more"));
    let mut other = HashTree::default();
    (0..20_u8).for_each(|n| other.append(leaf_hash(&[n])));
    let shows = async |newest: String| round(answers(409, "21\n"), Some(newest)).await.0.contradiction.map(|(c, _)| c);
    assert_eq!(shows(note(&longer, 21)).await, Some(Contradiction::Beyond { size: 21, here: 20 }));
    assert_eq!(shows(note(&other, 5)).await, Some(Contradiction::Forked { size: 5 }));
    assert_eq!(shows(note(&tree, 5)).await, None, "it lies about what it knows");
    let stranger = NoteSigner::try_new(LOG, &[8; 32]).expect("name");
    let forged = Checkpoint { origin: LOG.into(), size: 21, root: longer.root(21).expect("root") };
    assert_eq!(shows(forged.sign(&stranger).expect("signed")).await, None, "anybody can make a log up");
    assert_eq!(shows("hello".to_owned()).await, None);
}

#[tokio::test]
async fn one_that_is_silent_delays_nobody_for_longer_than_the_deadline() {
    let (store, tree, end) = log();
    let honest = |body: &str| {
        let (_, note) = body.split_once("\n\n").expect("a request");
        Some((200, witness(1).cosign(text(note), now()).expect("cosigned")))
    };
    let silent = serve(Arc::new(|_| None), None).await;
    let nobody = "http://127.0.0.1:1".to_owned();
    let places = [(silent, 2), (serve(Arc::new(honest), None).await, 1), (nobody, 3)];
    let mut witnesses = witnesses(&places, store);
    let begun = Instant::now();
    let round = ask(&mut witnesses, &tree, end).await;
    assert!(begun.elapsed().as_secs() < 4, "{:?}", begun.elapsed());
    let results = [(0, WitnessResult::Unreachable), (1, WitnessResult::Cosigned), (2, WitnessResult::Unreachable)];
    assert_eq!(round.results, results);
    let again = ask(&mut witnesses, &tree, end).await;
    assert!(again.results.iter().all(|(number, _)| *number != 1), "who has cosigned is not asked again at once");
}

#[tokio::test]
async fn a_store_that_does_not_lead_to_the_checkpoint_is_not_proven_from() {
    let (Blocks(mut blocks), tree, end) = log();
    blocks.swap(4, 5);
    let mut witnesses = witnesses(&[(serve(answers(200, ""), None).await, 1)], Blocks(blocks));
    let (note, keys) = (note(&tree, end.size), LogKeys::new(LOG, log_key().verifier()));
    let question = Question { note: &note, end, tip: BlockNumber(20), keys: &keys, now: now() };
    let shown = super::lies::note(&tree, 3);
    let error = witnesses.compare(&shown, &question).await.expect_err("the root is another one");
    assert!(error.to_string().contains("do not lead to the root"), "{error}");
}
