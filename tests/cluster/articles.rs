//! The articles of the constitution and its escalation rules, against the default charter on a real API server. Verdicts are
//! those of server-side dry runs, so that all tests share one stage; what takes effect is tested in `amendments`, `oversight` and
//! `actions`.

use std::sync::LazyLock;

use miax_cluster::Output;
use miax_stage::Stage;
use serde_json::Value;

use crate::support::{accepts, approved, entries, rejects, sign_all, stage, wait_done};

/// It is never dropped; the janitor ends it when this process does.
static STAGE: LazyLock<Stage> = LazyLock::new(stage);
/// The next charter, without signatures.
static NEXT: LazyLock<String> = LazyLock::new(|| next(&[]));

type Signatures<'a> = &'a [(&'a str, &'a str, &'a str)];

const DIGEST: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";

fn next(more: &[&str]) -> String {
    let file = STAGE.cli().run(&[&["charter", "next", "-f", "constitution-v1.yaml"], more].concat()).expect("drafted");
    let text = std::fs::read_to_string(STAGE.file(file.trim())).expect("reads");
    std::fs::remove_file(STAGE.file(file.trim())).expect("removed");
    text
}

/// What the webhook says of a file: nothing when it allows, else the reasons with their messages.
fn verdict(file: &str) -> Option<String> {
    let arguments = ["create", "--dry-run=server", "-f", &STAGE.file(file)];
    let Output { ok, stderr, .. } = STAGE.plane().kubectl().ask(&arguments, "").expect("kubectl runs");
    (!ok).then(|| stderr.split_once("denied the request: ").expect(&stderr).1.trim().to_owned())
}

/// The verdict about a charter with these signatures; `name` is the file that it is signed in.
fn charter(name: &str, text: &str, signatures: Signatures<'_>) -> Option<String> {
    let file = format!("{name}.yaml");
    std::fs::write(STAGE.file(&file), text).expect("written");
    sign_all(&STAGE, &file, signatures);
    verdict(&file)
}

/// The verdict about a command with these signatures.
fn command(name: &str, action: &[&str], signatures: Signatures<'_>) -> Option<String> {
    let file = format!("{name}.yaml");
    let fixed = ["--reason", "test", "--audience", "demo", "--name", name, "--out", &file];
    STAGE.cli().run(&[&["draft"], action, &fixed].concat()).expect("drafted");
    sign_all(&STAGE, &file, signatures);
    verdict(&file)
}

/// What the machine of ALPHA wrote, with these approvals.
fn by<'a>(approvals: &[(&'a str, &'a str, &'a str)]) -> Vec<(&'a str, &'a str, &'a str)> {
    [&[("sign", "alpha-bot", "ALPHA")], approvals].concat()
}

fn restart(impact: &str) -> Vec<&str> {
    vec!["restart", "deployment/checkout", "-n", "shop", "--impact", impact]
}

#[track_caller]
fn allowed(found: Option<String>) {
    assert_eq!(found, None);
}

#[track_caller]
fn refused(found: Option<String>, reason: &str, part: &str) {
    let found = found.expect("it should be refused");
    assert!(
        found.lines().any(|l| l.starts_with(&format!("{reason}: ")) && l.contains(part)),
        "{reason} {part}: {found}"
    );
}

#[test]
fn article_i_no_charter_without_a_signature_of_cek() {
    let everybody_else = [
        ("sign", "tina", "CTK"),
        ("approve", "anna", "APXGP"),
        ("approve", "abel", "APXGP"),
        ("approve", "theo", "TC"),
        ("approve", "thea", "TC"),
    ];
    refused(charter("without-cek", &NEXT, &everybody_else), "SeatsMissing", "CEK");
    let with = [&everybody_else[..], &[("approve", "carol", "CEK")]].concat();
    allowed(charter("with-cek", &NEXT, &with));
    // A signature of CEK over other bytes is none.
    std::fs::copy(STAGE.file("with-cek.yaml"), STAGE.file("changed.yaml")).expect("copied");
    let text = std::fs::read_to_string(STAGE.file("changed.yaml")).expect("reads");
    std::fs::write(STAGE.file("changed.yaml"), text.replace("maxValidity: 4h", "maxValidity: 8h")).expect("written");
    refused(verdict("changed.yaml"), "SignatureInvalid", "");
}

#[test]
fn article_i_keys_are_revoked_with_cek() {
    let public = std::fs::read_to_string(STAGE.file("dana.pub")).expect("key");
    let key = miax::trust::PublicKey::parse(miax::trust::KeyType::SshEd25519, public.trim()).expect("key").id();
    let revoke = ["revoke-key", key.as_str()];
    allowed(command("revoke", &revoke, &[("sign", "tina", "CTK"), ("approve", "carol", "CEK")]));
    allowed(command("revoke-own", &revoke, &[("sign", "dana", "TCC")]));
    let without = [("sign", "tina", "CTK"), ("approve", "tom", "CTK")];
    refused(command("revoke-without-cek", &revoke, &without), "SeatsMissing", "CEK");
    let low = [("sign", "frank", "SRE"), ("approve", "carol", "CEK")];
    refused(command("revoke-low", &revoke, &low), "AuthorNotEligible", "");
}

#[test]
fn article_i_cek_vetoes_and_a_lower_organ_does_not() {
    let veto = ["veto", DIGEST];
    allowed(command("veto-cek", &veto, &[("sign", "carol", "CEK"), ("approve", "cyrus", "CEK")]));
    // The ledger has not seen that command: only the highest rank may stop what nobody knows.
    let middle = [("sign", "tina", "CTK"), ("approve", "tom", "CTK")];
    refused(command("veto-ctk", &veto, &middle), "RankTooLow", "");
    let low = [("sign", "frank", "SRE"), ("approve", "fay", "SRE")];
    refused(command("veto-sre", &veto, &low), "AuthorNotEligible", "");
}

#[test]
fn article_ii_ctk_authors_amendments_and_cek_is_their_authority() {
    let by_cek = [
        ("sign", "carol", "CEK"),
        ("approve", "cyrus", "CEK"),
        ("approve", "anna", "APXGP"),
        ("approve", "theo", "TC"),
        ("approve", "thea", "TC"),
    ];
    refused(charter("by-cek", &NEXT, &by_cek), "AuthorNotEligible", "");
    let quorum = [
        ("sign", "tina", "CTK"),
        ("approve", "anna", "APXGP"),
        ("approve", "carol", "CEK"),
        ("approve", "theo", "TC"),
        ("approve", "thea", "TC"),
    ];
    let foreign = NEXT.replace("  authority: CEK", "  authority: CTK");
    refused(charter("authority", &foreign, &quorum), "AuthorityWrong", "not under `CTK`");
    allowed(charter("by-ctk", &NEXT, &quorum));
}

#[test]
fn article_iii_only_alpha_originates_commands() {
    let executed = [("approve", "frank", "SRE"), ("approve", "dana", "TCC")];
    for (name, who, seat) in
        [("by-ctk-command", "tina", "CTK"), ("by-cek-command", "carol", "CEK"), ("by-sre", "fay", "SRE")]
    {
        let signatures = [&[("sign", who, seat)], &executed[..]].concat();
        refused(command(name, &restart("Normal"), &signatures), "AuthorNotEligible", "ALPHA");
    }
    for (name, who) in [("by-machine", "alpha-bot"), ("by-person", "alma")] {
        allowed(command(name, &restart("Normal"), &[&[("sign", who, "ALPHA")], &executed[..]].concat()));
    }
    // Whoever originates approves nothing of it.
    let own = [
        ("sign", "alma", "ALPHA"),
        ("approve", "frank", "SRE"),
        ("approve", "dana", "TCC"),
        ("approve", "alma", "ALPHA"),
    ];
    refused(command("own", &restart("Critical"), &own), "AuthorApproves", "alma");
}

#[test]
fn article_iii_high_impact_needs_two_kinds_of_operators() {
    let same = by(&[("approve", "frank", "SRE"), ("approve", "fay", "SRE")]);
    allowed(command("normal-same", &restart("Normal"), &same));
    refused(command("high-same", &restart("High"), &same), "SeatsMissing", "TCC");
    refused(command("normal-one", &restart("Normal"), &by(&[("approve", "frank", "SRE")])), "SeatsMissing", "");
    allowed(command("high", &restart("High"), &by(&[("approve", "frank", "SRE"), ("approve", "dana", "TCC")])));
}

#[test]
fn article_iv_every_verdict_is_an_entry_and_no_dry_run_is() {
    let about = |name: &str| {
        let all = entries(&STAGE);
        let of = all.iter().filter(|e| e["object"]["name"] == name);
        of.map(|e| e["kind"].as_str().expect("a kind").to_owned()).collect::<Vec<_>>()
    };
    let file = approved(&STAGE, "recorded", &["restart", "deployment/checkout"]);
    allowed(verdict(&file));
    assert_eq!(about("recorded"), Vec::<String>::new(), "a dry run is no verdict of anything");
    accepts(&STAGE, &file);
    wait_done(&STAGE, "recorded");
    assert_eq!(about("recorded"), ["decision", "stored", "effect.begin", "effect.done"]);
    let unsigned = crate::support::draft(&STAGE, "nobody", &["restart", "deployment/checkout"]);
    rejects(&STAGE, &unsigned, "Unsigned");
    let last = entries(&STAGE).into_iter().rfind(|e| e["object"]["name"] == "nobody").expect("a refusal is an entry");
    let field = |key: &str| last[key].as_str().map(str::to_owned);
    assert_eq!((field("kind"), field("verdict")), (Some("decision".into()), Some("Deny".into())));
    assert_eq!(last["findings"][0]["reason"], "Unsigned");
    assert!(matches!(&last["actor"], Value::Object(_) | Value::String(_)), "who asked is recorded: {last}");
}

#[test]
fn article_v_an_emergency_command_follows_the_escalation_chain() {
    let all = [("approve", "frank", "SRE"), ("approve", "dana", "TCC"), ("approve", "alma", "ALPHA")];
    allowed(command("chain", &restart("Critical"), &by(&all)));
    for (name, left_out, seat) in [("no-sre", 0, "SRE"), ("no-tcc", 1, "TCC"), ("no-alpha", 2, "ALPHA")] {
        let mut two = all.to_vec();
        two.remove(left_out);
        refused(command(name, &restart("Critical"), &by(&two)), "SeatsMissing", seat);
    }
    let long = [&restart("Critical")[..], &["--expires", "5h"]].concat();
    refused(command("long", &long, &by(&all)), "ValidityTooLong", "4h");
    // Dual residency: a person may hold two seats, and fills one.
    let sam = by(&[("approve", "sam", "SRE"), ("approve", "sam", "TCC"), ("approve", "alma", "ALPHA")]);
    refused(command("dual", &restart("Critical"), &sam), "DuplicatePrincipal", "sam");
    let as_sre = by(&[("approve", "sam", "SRE"), ("approve", "dana", "TCC"), ("approve", "alma", "ALPHA")]);
    allowed(command("sam-as-sre", &restart("Critical"), &as_sre));
    // No machine stands in for a person.
    let machine = [
        ("sign", "alma", "ALPHA"),
        ("approve", "frank", "SRE"),
        ("approve", "dana", "TCC"),
        ("approve", "alpha-bot", "ALPHA"),
    ];
    refused(command("machine", &restart("Critical"), &machine), "SeatsMissing", "ALPHA");
}

#[test]
fn escalation_a_charter_needs_ctk_apxgp_and_cek() {
    let all = [
        ("sign", "tina", "CTK"),
        ("approve", "anna", "APXGP"),
        ("approve", "carol", "CEK"),
        ("approve", "theo", "TC"),
        ("approve", "thea", "TC"),
    ];
    allowed(charter("complete", &NEXT, &all));
    let without = |left_out: &str| all.iter().copied().filter(|(_, who, _)| *who != left_out).collect::<Vec<_>>();
    refused(
        charter("no-apxgp", &NEXT, &[&without("anna")[..], &[("approve", "cyrus", "CEK")]].concat()),
        "SeatsMissing",
        "APXGP",
    );
    refused(charter("no-author", &NEXT, &without("tina")), "AuthorMissing", "");
}

#[test]
fn article_x_two_thirds_and_the_next_version_only() {
    let three =
        [("sign", "tina", "CTK"), ("approve", "anna", "APXGP"), ("approve", "carol", "CEK"), ("approve", "theo", "TC")];
    refused(charter("three", &NEXT, &three), "SeatsMissing", "TC");
    let four = [&three[..], &[("approve", "cyrus", "CEK")]].concat();
    allowed(charter("four", &NEXT, &four));
    let skipped = NEXT.replace("constitution-v2", "constitution-v3").replace("version: 2", "version: 3");
    refused(charter("skipped", &skipped, &four), "VersionNotNext", "");
}

#[test]
fn article_x_an_emergency_needs_cek_and_alpha_and_a_near_end() {
    let emergency = next(&["--emergency", "1h"]);
    let enacted = [("sign", "carol", "CEK"), ("approve", "cyrus", "CEK"), ("approve", "alma", "ALPHA")];
    allowed(charter("emergency", &emergency, &enacted));
    refused(charter("emergency-no-alpha", &emergency, &enacted[..2]), "SeatsMissing", "ALPHA");
    let by_alpha = [("sign", "alma", "ALPHA"), ("approve", "alec", "ALPHA")];
    refused(charter("emergency-no-cek", &emergency, &by_alpha), "SeatsMissing", "CEK");
    let by_ctk = [("sign", "tina", "CTK"), ("approve", "carol", "CEK"), ("approve", "alma", "ALPHA")];
    refused(charter("emergency-ctk", &emergency, &by_ctk), "AuthorNotEligible", "");
    // What is not ratified within 72 hours would not be an emergency.
    let late = next(&["--emergency", "73h"]);
    refused(charter("emergency-late", &late, &enacted), "ValidityTooLong", "ratified within 3d");
}
