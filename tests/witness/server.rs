//! What a witness answers, keeps, and refuses.

use std::io::{Read as _, Write as _};

use miax::ledger::SignedCheckpoint;
use miax::trust::{NoteSigner, open_note};

use crate::http::{Answer, ask, connect, request};
use crate::log::{Log, ORIGIN};
use crate::served::Home;

const TEXT: &str = "text/plain; charset=utf-8";
const SIZE: &str = "text/x.tlog.size";

#[test]
fn every_status_code_comes_over_http() {
    let (home, log, other) = (Home::new(), Log::new(), Log::with_salt("b"));
    let served = home.serve(&["--log", &log.key.verifier().to_string()]);
    let stranger = Log::named("strange.example/log", 9);
    let forger = Log { key: NoteSigner::try_new(ORIGIN, &[8; 32]).expect("key"), ..Log::new() };
    let proof = log.asked(7, 12).to_text();
    let short = proof.lines().enumerate().filter(|(n, _)| *n != 1).map(|(_, l)| format!("{l}\n")).collect::<String>();
    let large = format!("{}{}", log.asked(0, 7).to_text(), "\u{2014} x AAAA\n".repeat(7000));
    // In this order: each row is asked of what the rows before left.
    #[rustfmt::skip]
    let rows: [(&str, &str, u16, &str, &str); 15] = [
        ("no log is known by this name", &stranger.asked(0, 3).to_text(), 404, TEXT, "not known"),
        ("another key signed it", &forger.asked(0, 3).to_text(), 403, TEXT, "no known key"),
        ("it is no request", "hello", 400, TEXT, "not an old size"),
        ("it is no request, though it begins as one", "old 0\n\n", 400, TEXT, "not an old size"),
        ("the old size is larger than the new one", &log.asked(9, 5).to_text(), 400, TEXT, "larger than the checkpoint"),
        ("nothing was cosigned yet", &log.asked(3, 7).to_text(), 409, SIZE, "0\n"),
        ("a proof from nothing", &log.asked(0, 7).to_text().replacen('\n', &format!("\n{}=\n", "A".repeat(43)), 1), 422, TEXT, "0 are needed"),
        ("more than a request holds", &large, 413, TEXT, "at most"),
        ("the first checkpoint", &log.asked(0, 7).to_text(), 200, TEXT, "\u{2014} witness.example/w1 "),
        ("once more", &log.asked(7, 7).to_text(), 200, TEXT, "\u{2014} witness.example/w1 "),
        ("another root at this size", &other.asked(7, 7).to_text(), 409, SIZE, "7\n"),
        ("a smaller size", &log.asked(3, 5).to_text(), 409, SIZE, "7\n"),
        ("a proof without its first hash", &short, 422, TEXT, "hashes"),
        ("another history", &other.asked(7, 12).to_text(), 422, TEXT, "does not continue"),
        ("the next checkpoint", &proof, 200, TEXT, "\u{2014} witness.example/w1 "),
    ];
    for (name, body, code, kind, part) in rows {
        let Answer { code: found, kind: of, body } = served.add(body);
        assert_eq!((found, of.as_str()), (code, kind), "{name}: {body}");
        assert!(if kind == SIZE { body == part } else { body.contains(part) }, "{name}: {body}");
    }
    assert_eq!(ask(served.address, "POST", "/add-checkpoint", b"\xff\xfe").code, 400);
    assert_eq!(served.get("/add-checkpoint").code, 405);
    assert_eq!(served.get("/").code, 404);
    assert_eq!(served.get("/livez").code, 200);
    assert_eq!(served.metric(r#"miax_witness_requests_total{code="200"}"#), 3);
    assert_eq!(served.metric(r#"miax_witness_requests_total{code="409"}"#), 3);
    assert_eq!(served.metric("miax_witness_forks_total"), 1);
    let (well, errors) = served.terminate();
    assert!(well && errors.contains("two histories") && errors.contains(ORIGIN), "{errors}");
}

#[test]
fn what_was_cosigned_is_told_and_survives_a_kill() {
    let (home, log) = (Home::new(), Log::new());
    let arguments = ["--log", &log.key.verifier().to_string()];
    let newest = format!("/{}/checkpoint", log.hash());
    let served = home.serve(&arguments);
    assert_eq!(served.get(&newest).code, 404);
    let line = served.add(&log.asked(0, 7).to_text()).body;
    let told = served.get(&newest);
    assert_eq!((told.code, told.kind.as_str()), (200, TEXT));
    assert_eq!(told.body, format!("{}{line}", log.note(7)));
    assert_eq!(open_note(&told.body, &log.key.verifier()), home.key.open(&told.body));
    let at = SignedCheckpoint::open_cosigned(&told.body, ORIGIN, &home.key).expect("cosigned");
    assert_eq!(at.checkpoint().size, 7);
    served.kill();
    let served = home.serve(&arguments);
    assert_eq!(served.get(&newest).body, told.body);
    assert_eq!(served.add(&log.asked(0, 12).to_text()).body, "7\n");
    assert_eq!(served.add(&log.asked(7, 12).to_text()).code, 200);
    assert_eq!(served.metric("miax_witness_logs"), 1);
}

#[test]
fn logs_of_others_are_cosigned_with_their_names_and_lines() {
    let (home, mut sumdb) = (Home::new(), Log::named("sum.example", 3));
    sumdb.origin = "go.sum database tree".to_owned();
    let file = format!("# logs\n\n{}={}\n", sumdb.origin, sumdb.key.verifier());
    std::fs::write(home.path("logs"), file).expect("written");
    let served = home.serve(&["--logs", "logs"]);
    let mut request = sumdb.asked(0, 5);
    let text = open_note(&request.note, &sumdb.key.verifier()).expect("its own");
    request.note = sumdb.key.sign(&format!("{text}an extension line\n")).expect("signed");
    let answer = served.add(&request.to_text());
    assert_eq!(answer.code, 200, "{}", answer.body);
    let cosigned = home.key.open(&format!("{}{}", request.note, answer.body)).map(str::to_owned);
    assert!(cosigned.expect("the line is of the whole text").ends_with("an extension line\n"));
    assert_eq!(served.add(&sumdb.asked(5, 9).to_text()).code, 200, "the root counts, not the lines");
}

#[test]
fn two_processes_do_not_share_a_store() {
    let (home, log) = (Home::new(), Log::new());
    let arguments = ["--log", &log.key.verifier().to_string()];
    let first = home.serve(&arguments);
    let refused = |arguments: &[&str], part: &str| {
        let output = home.run(arguments);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && text.contains(part), "{part}: {text}");
        assert!(text.contains("next: "), "{text}");
    };
    refused(&arguments, "another process works with this store");
    let (well, _) = first.terminate();
    assert!(well, "asked to end, it ends well");
    drop(home.serve(&arguments));
    refused(&["--init"], "a store is there already");
}

#[test]
fn a_store_that_was_lost_or_changed_is_not_gone_on_with() {
    let (home, log) = (Home::new(), Log::new());
    let key = log.key.verifier().to_string();
    let served = home.serve(&["--log", &key]);
    assert_eq!(served.add(&log.asked(0, 7).to_text()).code, 200);
    served.kill();
    let refused = |part: &str| {
        let output = home.run(&["--log", &key]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && text.contains(part) && text.contains("next: "), "{part}: {text}");
    };
    let kept = home.path(&format!("store/{}.checkpoint", log.hash()));
    let whole = std::fs::read_to_string(&kept).expect("kept");
    std::fs::write(&kept, whole.replace("\n7\n", "\n5\n")).expect("written");
    refused("does not verify");
    std::fs::write(&kept, "").expect("written");
    refused("not a checkpoint");
    std::fs::write(&kept, &whole).expect("written");
    let elsewhere = home.path(&format!("store/{}.checkpoint", "0".repeat(64)));
    std::fs::rename(&kept, &elsewhere).expect("renamed");
    refused("not the file of the log");
    std::fs::remove_file(&elsewhere).expect("removed");
    std::fs::rename(home.path("store"), home.path("gone")).expect("renamed");
    std::fs::create_dir(home.path("store")).expect("an empty volume");
    refused("no store of a witness");
    std::fs::remove_dir(home.path("store")).expect("removed");
    std::fs::rename(home.path("gone"), home.path("store")).expect("renamed");
    std::fs::write(home.path("store/witness"), "witness.example/w2+00000000+AAAA\n").expect("written");
    refused("belongs to the witness");
}

#[test]
fn others_must_not_be_able_to_read_the_key() {
    let (home, log) = (Home::new(), Log::new());
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o640);
    std::fs::set_permissions(home.path("witness.key"), mode).expect("mode");
    let output = home.run(&["--log", &log.key.verifier().to_string()]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && text.contains("can be read by others"), "{text}");
}

#[test]
fn what_cannot_be_kept_is_not_signed() {
    let (home, log) = (Home::new(), Log::new());
    let arguments = ["--log", &log.key.verifier().to_string()];
    let served = home.serve(&arguments);
    assert_eq!(served.add(&log.asked(0, 7).to_text()).code, 200);
    served.kill();
    // A file of no bytes at most: what a full disk does to a write. The signal would end the process.
    let full = home.serve_after("trap '' XFSZ; ulimit -f 0", &arguments);
    let answer = full.add(&log.asked(7, 12).to_text());
    assert_eq!(answer, Answer { code: 500, kind: TEXT.into(), body: "the witness cannot write its store\n".into() });
    let newest = full.get(&format!("/{}/checkpoint", log.hash()));
    assert!(newest.body.starts_with(&log.note(7)), "it vouches for what it has kept: {}", newest.body);
    let (_, errors) = full.terminate();
    assert!(errors.contains("nothing is signed"), "{errors}");
    let served = home.serve(&arguments);
    assert_eq!(served.add(&log.asked(7, 12).to_text()).code, 200, "with room again it goes on from there");
}

#[test]
fn a_flood_is_bounded_and_ends() {
    let (home, log) = (Home::new(), Log::new());
    let served = home.serve(&["--log", &log.key.verifier().to_string()]);
    // Requests that begin and do not go on: more than are worked on at once.
    let body = log.asked(0, 7).to_text();
    let whole = request("POST", "/add-checkpoint", body.as_bytes());
    let begun = |_| {
        let mut stream = connect(served.address);
        stream.write_all(&whole[..whole.len() - 20]).expect("sent");
        stream
    };
    let waiting: Vec<_> = (0..80).map(begun).collect();
    let refused = (0..1000).map(|_| served.add(&body)).find(|answer| answer.code == 503);
    assert_eq!(refused.expect("there is no room for one more").kind, TEXT);
    assert_eq!(served.get("/livez").code, 200, "whoever looks is still answered");
    let codes: Vec<u16> = waiting.into_iter().map(|mut stream| Answer::read(&mut stream).code).collect();
    let timeouts = codes.iter().filter(|code| **code == 408).count();
    assert!(codes.iter().all(|code| [408, 503].contains(code)) && (60..=64).contains(&timeouts), "{codes:?}");
    // Connections that say nothing: those beyond the limit are closed at once, the others when they have had their time.
    let mut silent: Vec<_> = (0..600).map(|_| connect(served.address)).collect();
    for stream in &mut silent {
        assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0);
    }
    served.add(&body);
    assert_eq!(served.add(&log.asked(7, 9).to_text()).code, 200, "and it goes on");
}

#[test]
fn with_a_certificate_it_speaks_tls_only() {
    let (home, log) = (Home::new(), Log::new());
    let key = rcgen::KeyPair::generate().expect("key");
    let params = rcgen::CertificateParams::new(["witness.example".to_owned()]).expect("names");
    let certificate = params.self_signed(&key).expect("certificate");
    std::fs::write(home.path("tls.crt"), certificate.pem()).expect("written");
    std::fs::write(home.path("tls.key"), key.serialize_pem()).expect("written");
    let tls = ["--tls-cert", "tls.crt", "--tls-key", "tls.key", "--log", &log.key.verifier().to_string()];
    let served = home.serve(&tls);
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.der().clone()).expect("a root");
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let name = "witness.example".try_into().expect("a name");
    let session = rustls::ClientConnection::new(config.into(), name).expect("session");
    let mut stream = rustls::StreamOwned::new(session, connect(served.address));
    stream.write_all(&request("POST", "/add-checkpoint", log.asked(0, 7).to_text().as_bytes())).expect("sent");
    assert_eq!(Answer::read(&mut stream).code, 200);
    let mut plain = connect(served.address);
    plain.write_all(&request("GET", "/livez", b"")).expect("sent");
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
}
