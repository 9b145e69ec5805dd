//! Periods, and what is said of them.

use protocol::release::selection::Scope;
use protocol::unit::Slot;

use super::*;
use crate::release::Ended;

fn slots(text: &str) -> Result<(u32, u32), String> {
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
    let slots = period(text, &zone, SlotLength::try_from(3_600).unwrap(), now);
    slots.map(|slots| (slots.start().0, slots.end().0)).map_err(|error| error.to_string())
}

/// Months and days are local: October has an hour more.
#[test]
fn periods_are_local_days() {
    let (from, to) = slots("2026-10").unwrap();
    assert_eq!(to - from, 31 * 24 + 1);
    assert_eq!(slots("2026-10-01..2026-11-01"), Ok((from, to)));
    let (from, to) = slots("28d").unwrap();
    // the first of these days is the one with an hour more
    assert_eq!((to - from, (to + 1) % 24), (28 * 24 + 1, 0));
}

/// Midnight of 2024-10-04 in hours since 1970.
const FIRST: u32 = 480_000;

fn hours(from: u32, to: u32) -> SlotRange {
    SlotRange::new(Slot(FIRST + from), Slot(FIRST + to)).unwrap()
}

fn row(name: &str, number: u8) -> MeterRow {
    MeterRow { name: name.to_owned(), meter: MeterId::from([number; 16]), group: "group-1".parse().unwrap() }
}

/// What is asked of some meters: 28 days, in November.
fn asked(meters: Vec<MeterRow>) -> Asked {
    Asked {
        zone: TimeZone::UTC,
        today: "2024-11-22".parse().unwrap(),
        slot: SlotLength::try_from(3_600).unwrap(),
        policy: Policy::production(),
        period: hours(0, 672),
        tariffs: Vec::new(),
        hashes: Vec::new(),
        meters,
    }
}

fn bill(number: u8, window: SlotRange) -> Bill {
    Bill {
        meter: MeterId::from([number; 16]),
        window,
        energy: protocol::unit::WattHours(7),
        amounts: Vec::new(),
        scope: Scope::Registers,
        missing: 0,
        unaccounted: None,
        query: protocol::id::QueryId::from([9; 16]),
    }
}

/// What is said of these bills, when these meters were asked for and the question has come so far.
fn said(
    asked: &Asked,
    bills: &[&Bill],
    of: &[u8],
    state: Option<&State>,
    rules: &[(u8, Rule)],
) -> (String, bool) {
    let id = |number: &u8| MeterId::from([*number; 16]);
    let slot = asked.slot;
    let from = slot.start_of(Slot(FIRST + 650));
    let revoked = [1, 2].map(|number| {
        let meter = id(&number);
        (meter, Revocation { meter, from, reason: "moved out".parse().unwrap() })
    });
    let known = Known {
        bills,
        revoked: &revoked.into(),
        asked: &of.iter().map(id).collect(),
        unbilled: &rules.iter().map(|(number, rule)| (id(number), *rule)).collect(),
        state,
        ended: Ended::Patience(600),
    };
    (asked.summary(&known), asked.open(&known).is_empty())
}

#[track_caller]
fn has(text: &str, all: &[&str]) {
    for words in all {
        assert!(text.contains(words), "lacks `{words}`:\n{text}");
    }
}

/// Who is revoked is billed to its last record or read off its register; who is not billed is told what it waits for.
#[test]
fn revoked_meters_are_said() {
    let asked = asked(vec![row("early", 1), row("late", 2), row("silent", 3)]);
    let waiting = State::Waiting("votes: 1 of the 3 that are needed".to_owned());
    let (text, closed) = said(&asked, &[&bill(2, hours(0, 650))], &[1, 2, 3], Some(&waiting), &[]);
    has(
        &text,
        &[
            "1 of 3 meters have their bill, 7 Wh in all",
            "early is revoked as of 2024-10-31T02:00:00+00:00 (moved out): no bill",
            "read it off its register",
            "late is revoked as of 2024-10-31T02:00:00+00:00 (moved out): billed to its last record, which ends 2024-10-31T02:00",
            "No bill for: silent. Nothing more came within 600 s while it waited for votes: 1 of the 3 that are needed.",
            "Type the same again",
        ],
    );
    assert!(!closed);
}

/// Bills of other days are told apart, with what they are billed from and to and what comes next.
#[test]
fn bills_of_other_days_are_not_counted() {
    let asked = asked(vec![row("one", 3), row("two", 4), row("three", 5)]);
    let (whole, other) = (bill(3, hours(0, 672)), [4, 5].map(|number| bill(number, hours(96, 700))));
    let (text, closed) = said(&asked, &[&whole, &other[0], &other[1]], &[], None, &[]);
    has(
        &text,
        &[
            "1 of 3 meters have their bill, 7 Wh in all",
            "2 bills of other days, from 2024-10-08T00:00:00+00:00 to 2024-11-02T04:00:00+00:00, 14 Wh in all: two, three.",
            "from 2024-12-01 on type such as --period 2024-11-02..2024-12-01; to see what is billed, type --period 2024-10-08..2024-11-03",
        ],
    );
    assert!(!closed && !text.contains("No bill for"), "{text}");
    // two that follow one another make the period
    let halves = [bill(3, hours(0, 300)), bill(3, hours(300, 660))];
    let mut one = asked;
    one.meters.truncate(1);
    let (text, closed) = said(&one, &[&halves[0], &halves[1]], &[], None, &[]);
    has(&text, &["1 of 1 meters have their bill, 14 Wh in all"]);
    assert!(closed && !text.contains("other days"), "{text}");
    // a meter that came later has what there is of the period
    let (text, closed) = said(&one, &[&bill(3, hours(200, 672))], &[3], Some(&State::Ended), &[]);
    has(
        &text,
        &["0 of 1 meters have their bill", "a bill of other days", "what has no record is not billed"],
    );
    assert!(closed, "{text}");
}

/// Whoever has no bill is told by which rule, and what to do.
#[test]
fn missing_bills_are_told_by_their_rule() {
    let asked = asked(vec![row("one", 3), row("two", 4), row("three", 5)]);
    let whole = bill(3, hours(0, 672));
    let rules = [(4, Rule::Differencing), (5, Rule::Anchor)];
    let (text, _) = said(&asked, &[&whole], &[3, 4, 5], Some(&State::Ended), &rules);
    has(
        &text,
        &[
            "No bill for: two. Rule differencing: Bills of the group and its curve",
            "exactly the days of the group's other bills",
            "No bill for: three. Rule anchor: No register anchors",
            "wattveil status",
        ],
    );
    let (text, _) = said(&asked, &[], &[3, 4, 5], Some(&State::Blocked(Rule::Differencing)), &[]);
    has(
        &text,
        &["No bill for: one, two, three.", "no quorum is left", "Rule differencing", "goes on if they vote"],
    );
    let (text, _) = said(&asked, &[], &[3, 4, 5], Some(&State::GivenUp(Rule::Cell)), &[]);
    has(&text, &["refuse the whole question", "Rule cell"]);
    let refusal = Refusal::new(Rule::TariffMeters, "1 meter is asked for");
    let (text, _) = said(&asked, &[&whole], &[4, 5], Some(&State::NotAsked(refusal)), &[]);
    has(
        &text,
        &["No bill for: two, three. It was not asked for alone, by rule tariff-meters: 1 meter is asked for"],
    );
}

/// A price stands under the tariff that made it, whichever tariffs are asked for now.
#[test]
fn prices_stand_under_their_tariffs() {
    let tariff = |id: &str| TariffDocument {
        id: id.parse().unwrap(),
        currency: "USD".to_owned(),
        zone: "UTC".to_owned(),
        valid_from: Slot(0),
        valid_to: Slot(1_000_000),
        bands: Vec::new(),
        windows: Vec::new(),
        otherwise: 0,
        substitute: 0,
        offsets: Vec::new(),
    };
    let (flat, tou) = (hash("tariff", &[b"flat"]), hash("tariff", &[b"tou"]));
    let amounts = vec![(flat, Amount(100_000_000)), (tou, Amount(200_000_000))];
    let bill = Bill { amounts, scope: Scope::Complete, ..bill(1, hours(0, 672)) };
    let mut asked = Asked { tariffs: vec![tariff("tou")], hashes: vec![tou], ..asked(vec![row("home", 1)]) };
    assert!(asked.csv(&[&bill]).contains(",7,2.00,0,"), "{}", asked.csv(&[&bill]));
    assert_eq!(asked.json(&[&bill])[0]["amounts"]["tou"]["amount"], "2.00");
    asked.hashes = vec![hash("tariff", &[b"new"])];
    assert!(asked.csv(&[&bill]).contains(",7,,0,"));
    asked.period = SlotRange::new(Slot(479_400), Slot(480_072)).unwrap();
    assert!(asked.concerns(&bill));
}

/// What is no period, or not over, says what to type.
#[test]
fn mistakes_say_what_to_type() {
    for text in ["october", "2026-13", "0d", "2026-10-01"] {
        assert!(slots(text).unwrap_err().contains("--period 2026-10"), "{text}");
    }
    assert!(slots("2026-11").unwrap_err().contains("close it on 2026-12-01"));
    assert!(slots("2026-10-02..2026-10-01").unwrap_err().contains("earlier day first"));
}
