//! Freezes with calendars, and the seats that they name for a way out.

use miax::api::reason::Reason;
use miax::constitution::State;
use miax::units::UnixSeconds;
use serde_json::{Value, json};

use crate::acts::{check, digest, draft, enact, signed};
use crate::government::{FREEZERS, THAWERS, at, change, frozen, named, passes, waive};
use crate::org::{NOW, Org};

/// A freeze of shop with these fields more.
fn freeze(org: &Org, name: &str, more: Value, people: &[(&str, &str)]) -> Value {
    let mut fields = json!({"namespace": "shop"});
    fields.as_object_mut().expect("map").extend(more.as_object().expect("map").clone());
    signed(org, named(name, draft("Freeze", fields)), people)
}

fn thaw(org: &Org, name: &str, more: Value, people: &[(&str, &str)]) -> Value {
    let mut fields = json!({"namespace": "shop"});
    fields.as_object_mut().expect("map").extend(more.as_object().expect("map").clone());
    signed(org, named(name, draft("Thaw", fields)), people)
}

/// Two hours of every Tuesday from eleven o'clock in Berlin; it is a Tuesday, ten o'clock in UTC.
fn tuesdays() -> Value {
    json!({"timeZone": "Europe/Berlin", "windows": [{"days": ["Tue"], "from": "11:00", "to": "13:00"}]})
}

fn holding(state: &State, now: UnixSeconds) -> usize {
    state.freezing("shop", now).count()
}

#[test]
fn a_freeze_with_a_calendar_holds_in_its_windows_alone() {
    let org = Org::new();
    let mut state = org.state();
    let calendar = freeze(&org, "tuesdays", json!({"calendar": tuesdays()}), &FREEZERS);
    assert_eq!(enact(&calendar, &mut state), None);
    let message = frozen("it opens now", &change(1), &state, *NOW).message();
    assert!(
        message.contains("CTK froze the namespace shop in the windows Tue 11:00-13:00 (Europe/Berlin)"),
        "{message}"
    );
    assert!(message.contains("this window closes at 2026-11-24T12:00:00Z"), "{message}");
    frozen("to its last second", &change(1), &state, at(7199));
    passes("when it has closed", &change(1), &state, at(7200));
    frozen("a week later", &change(1), &state, at(7 * 86_400));
    let twice = freeze(&org, "twice", json!({"calendar": tuesdays()}), &FREEZERS);
    check("the same again", &twice, &state, Reason::NothingToDo);
    let past = json!({"calendar": {"timeZone": "UTC", "windows": [{"lastDay": "2026-11-23"}]}});
    check("no window to come", &freeze(&org, "past", past, &FREEZERS), &state, Reason::NothingToDo);
    let wrong = json!({"calendar": {"timeZone": "Berlin", "windows": [{"days": ["Tue"]}]}});
    let refused = check("no zone", &freeze(&org, "wrong", wrong, &FREEZERS), &state, Reason::FieldInvalid);
    assert!(refused.message().contains("spec.action.freeze.calendar.timeZone: `Berlin`"), "{}", refused.message());
}

#[test]
fn a_freeze_adds_to_those_that_stand_and_weakens_none() {
    let org = Org::new();
    let mut state = org.state();
    let calendar = freeze(&org, "tuesdays", json!({"calendar": tuesdays()}), &FREEZERS);
    let by_alpha = [("alma", "ALPHA"), ("tina", "CTK"), ("frank", "SRE")];
    let longer = freeze(&org, "longer", json!({"until": at(9000).to_string()}), &by_alpha);
    assert_eq!(enact(&calendar, &mut state), None);
    assert_eq!(enact(&longer, &mut state), None);
    assert_eq!((holding(&state, *NOW), holding(&state, at(8000)), holding(&state, at(9000))), (2, 1, 0));
    let message = frozen("both", &change(1), &state, *NOW).message();
    assert!(message.contains("other freezes of it that hold: 1"), "{message}");
    // What ALPHA froze for longer is not ALPHA's to end as far as CTK froze it too.
    let low =
        thaw(&org, "low", json!({"until": at(600).to_string()}), &[("alec", "ALPHA"), ("tom", "CTK"), ("fay", "SRE")]);
    check("CTK froze it too", &low, &state, Reason::RankTooLow);
    let own = thaw(&org, "own", json!({}), &[("alec", "ALPHA"), ("tom", "CTK"), ("fay", "SRE")]);
    assert_eq!(enact(&own, &mut state), None);
    assert_eq!(holding(&state, *NOW), 1, "a thaw ends no calendar");
    for number in 1..16 {
        let more = json!({"until": at(600 * number).to_string()});
        let one = freeze(&org, &format!("more-{number}"), more, &FREEZERS);
        assert_eq!(enact(&one, &mut state), None, "{number}");
    }
    let many = freeze(&org, "many", json!({}), &FREEZERS);
    let refused = check("one too many", &many, &state, Reason::NothingToDo);
    assert!(refused.message().contains("16 freezes of shop stand; thaw one of them first"), "{}", refused.message());
}

#[test]
fn a_calendar_ends_by_its_digest_and_rests_for_a_time() {
    let org = Org::new();
    let mut state = org.state();
    let calendar = freeze(&org, "tuesdays", json!({"calendar": tuesdays()}), &FREEZERS);
    assert_eq!(enact(&calendar, &mut state), None);
    let refused = check("of all", &thaw(&org, "all", json!({}), &THAWERS), &state, Reason::NothingToDo);
    assert!(
        refused.message().contains(&format!("end one by its digest ({})", digest(&calendar))),
        "{}",
        refused.message()
    );
    let rest = |name: &str, until| thaw(&org, name, json!({"until": at(until).to_string()}), &THAWERS);
    assert_eq!(enact(&rest("rest", 1800), &mut state), None);
    passes("it rests", &change(1), &state, at(1799));
    frozen("it holds again", &change(1), &state, at(1800));
    check("it rests as long already", &rest("again", 900), &state, Reason::NothingToDo);
    check("an end that is over", &rest("over", 0), &state, Reason::Expired);
    let plain = freeze(&org, "plain", json!({}), &FREEZERS);
    let mut two = state.clone();
    assert_eq!(enact(&plain, &mut two), None);
    assert_eq!(enact(&rest("short", 900), &mut two), None);
    assert_eq!(holding(&two, at(899)), 0);
    assert_eq!(holding(&two, at(901)), 1, "what rests for longer already goes on resting");
    let other =
        freeze(&org, "other", json!({"calendar": {"timeZone": "UTC", "windows": [{"days": ["Tue"]}]}}), &FREEZERS);
    assert_eq!(enact(&other, &mut state), None);
    frozen("what was frozen later does not rest", &change(1), &state, at(60));
    let end = |name: &str, of: &Value| thaw(&org, name, json!({"freeze": digest(of)}), &THAWERS);
    assert_eq!(enact(&end("end", &calendar), &mut state), None);
    check("ended already", &end("end-again", &calendar), &state, Reason::NothingToDo);
    assert_eq!((holding(&state, *NOW), state.freezes_of("shop", *NOW).count()), (1, 1));
    assert_eq!(enact(&end("end-other", &other), &mut state), None);
    passes("nothing stands", &change(1), &state, *NOW);
}

#[test]
fn the_way_out_of_a_freeze_is_by_the_seats_that_it_names() {
    let org = Org::new();
    let mut state = org.state();
    let nobody = waive("freeze", at(1800));
    let waivers = [("fay", "SRE"), ("alec", "ALPHA"), ("tom", "CTK")];
    check("nothing is frozen", &signed(&org, nobody, &waivers), &state, Reason::NothingToDo);
    let unknown = freeze(&org, "unknown", json!({"wayOut": ["HELPDESK"]}), &FREEZERS);
    check("no such organ", &unknown, &state, Reason::FieldInvalid);
    let twice = freeze(&org, "twice", json!({"wayOut": ["SRE", "SRE"]}), &FREEZERS);
    check("a seat twice", &twice, &state, Reason::FieldInvalid);

    let calendar = freeze(&org, "tuesdays", json!({"calendar": tuesdays(), "wayOut": ["CEK"]}), &FREEZERS);
    assert_eq!(enact(&calendar, &mut state), None);
    let message = frozen("it says who", &change(1), &state, *NOW).message();
    assert!(message.contains("a waiver for it needs CEK"), "{message}");
    let object =
        |name: &str, until, people: &[(&str, &str)]| signed(&org, named(name, waive("freeze", at(until))), people);
    let usual = [("fay", "SRE"), ("alec", "ALPHA"), ("tom", "CTK"), ("eve", "TCC")];
    let refused = check("who may thaw is not enough", &object("usual", 1800, &usual), &state, Reason::SeatsMissing);
    assert!(refused.message().contains("needs CEK"), "{}", refused.message());
    let named_seats = [("fay", "SRE"), ("alec", "ALPHA"), ("tom", "CTK"), ("carol", "CEK")];
    let alone = object("alone", 1800, &[("fay", "SRE"), ("carol", "CEK")]);
    check("the rule for waivers binds too", &alone, &state, Reason::SeatsMissing);
    assert_eq!(enact(&object("waive", 1800, &named_seats), &mut state), None);
    passes("the workload", &change(1), &state, *NOW);
    check("as long already", &object("again", 900, &named_seats), &state, Reason::NothingToDo);

    // A freeze that comes later is none that its signers knew; the same people can look at it.
    assert_eq!(enact(&freeze(&org, "later", json!({}), &FREEZERS), &mut state), None);
    frozen("a later freeze", &change(1), &state, *NOW);
    check("now both ways are needed", &object("half", 900, &named_seats), &state, Reason::SeatsMissing);
    let both = object("both", 900, &[named_seats.as_slice(), &[("eve", "TCC")]].concat());
    assert_eq!(enact(&both, &mut state), None);
    passes("out of both", &change(1), &state, *NOW);
    frozen("of the later one only until then", &change(1), &state, at(900));
}
