//! Periods, and what is said of them.

use protocol::id::QueryId;
use protocol::release::query::{Ask, BillAsk, BillTarget, Query};
use protocol::release::selection::Scope;
use protocol::signature::{SigningKey, hash};
use protocol::unit::Slot;
use store::{FileStore, Store as _, Table};

use super::*;
use crate::release::Stop;

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

fn hours(from: i32, to: i32) -> SlotRange {
    SlotRange::new(Slot(FIRST.saturating_add_signed(from)), Slot(FIRST.saturating_add_signed(to))).unwrap()
}

fn row(name: &str, number: u8) -> MeterRow {
    MeterRow { name: name.to_owned(), meter: MeterId::from([number; 16]), group: "group-1".parse().unwrap() }
}

/// What is asked of some meters: 28 days, in November.
fn asked(meters: Vec<MeterRow>) -> Closing {
    Closing {
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
        query: QueryId::from([9; 16]),
    }
}

/// What is said of these bills, when these meters were asked for and the question has come so far.
fn said(
    asked: &Closing,
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
    let known = Facts {
        bills,
        revoked: &revoked.into(),
        asked: &of.iter().map(|number| (id(number), state.cloned())).collect(),
        unbilled: &rules.iter().map(|(number, rule)| (id(number), *rule)).collect(),
        ended: Stop::Patience(600),
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
    let (text, closed) = said(&asked, &[&bill(2, hours(0, 650))], &[3], Some(&waiting), &[]);
    has(
        &text,
        &[
            "1 of 3 meters have their bill, 7 Wh in all",
            "early is revoked as of 2024-10-31T02:00:00+00:00 (moved out): no bill",
            "read it off its register",
            "late is revoked as of 2024-10-31T02:00:00+00:00 (moved out): billed to its last record, which ends 2024-10-31T02:00",
            "No bill: silent. Nothing more arrived within 600 s while it waited for votes: 1 of the 3 that are needed.",
            "Type the same again",
        ],
    );
    assert!(!closed);
    // who was asked for is not told to read off what may still be billed
    let early = [asked.meters[0].clone()];
    let asked = Closing { meters: early.into(), ..asked };
    let (text, closed) = said(&asked, &[], &[1], Some(&waiting), &[]);
    has(
        &text,
        &[
            "(moved out): not billed to its last record. Nothing more arrived within 600 s while it waited for votes",
        ],
    );
    assert!(!closed && !text.contains("read it off"), "{text}");
    let (text, closed) = said(&asked, &[], &[1], Some(&State::Ended), &[(1, Rule::Anchor)]);
    has(&text, &["(moved out): not billed to its last record. Rule anchor", "type the same again"]);
    assert!(!closed);
    let (text, closed) = said(&asked, &[&bill(1, hours(0, 640))], &[1], Some(&State::Ended), &[]);
    has(&text, &["billed to its last record"]);
    assert!(closed, "{text}");
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
            "from 2024-12-01 on, type --period 2024-11-02..2024-12-01; to see these bills, type --period 2024-10-08..2024-11-03",
        ],
    );
    assert!(!closed && !text.contains("No bill"), "{text}");
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
        &[
            "1 of 1 meters have their bill, 7 Wh in all",
            "Counted above, a bill of other days",
            "a slot without a record is not billed",
        ],
    );
    assert!(closed, "{text}");
}

/// Whoever has a part of the period only is told why the rest is missing, by every rule and state.
#[test]
fn what_lacks_a_part_is_told_why() {
    let asked = asked(vec![row("one", 3), row("two", 4)]);
    let part = [3, 4].map(|number| bill(number, hours(0, 300)));
    let bills = [&part[0], &part[1]];
    let waiting = State::Waiting("votes: 1 of the 3 that are needed".to_owned());
    for (state, rules, words) in [
        (State::Ended, &[(3, Rule::Anchor), (4, Rule::Anchor)][..], "one, two. Rule anchor"),
        (State::Blocked(Rule::Differencing), &[], "one, two. Too many aggregators vote against it"),
        (State::GivenUp(Rule::Cell), &[], "one, two. The aggregators rejected the whole question"),
        (waiting, &[], "one, two. Nothing more arrived within 600 s while it waited for votes"),
    ] {
        let (text, closed) = said(&asked, &bills, &[3, 4], Some(&state), rules);
        has(
            &text,
            &["0 of 2 meters have their bill", "Not counted above, 2 bills", "No bill for the rest: ", words],
        );
        assert!(!closed, "{text}");
    }
    let (text, _) = said(&asked, &bills, &[3, 4], None, &[]);
    has(&text, &["No bill for the rest: one, two. It was not asked for yet", "Type the same again"]);
}

/// A period whose last record ends hours before midnight stays closed when the next one is, and no bill is in both.
#[test]
fn a_closed_period_stays_closed() {
    let mut asked = asked(vec![row("one", 3)]);
    let (first, second) = (bill(3, hours(0, 668)), bill(3, hours(668, 1_340)));
    let all = [&first, &second];
    let of = |asked: &Closing| {
        let bills: Vec<&Bill> = all.into_iter().filter(|bill| asked.concerns(bill)).collect();
        (bills.iter().map(|bill| bill.window).collect::<Vec<_>>(), said(asked, &bills, &[], None, &[]))
    };
    for (period, window) in [(hours(0, 672), first.window), (hours(672, 1_344), second.window)] {
        asked.period = period;
        let (windows, (text, closed)) = of(&asked);
        assert_eq!(windows, [window]);
        has(&text, &["1 of 1 meters have their bill, 7 Wh in all"]);
        assert!(closed && !text.contains("other days"), "{text}");
    }
}

/// Questions have as many homes as records allow and as a tariff wants, whatever the slots are; nobody is in two.
#[test]
fn homes_are_asked_for_in_chunks() {
    let mut asked = asked(vec![row("one", 3)]);
    asked.tariffs.push(tariff("flat"));
    let least = usize::from(asked.policy.tariff_meters);
    // months of quarters of an hour and of hours, the ones with an hour more
    for (slots, most) in [(31 * 96 + 4, 29), (28 * 96, 32), (31 * 24 + 1, 116), (28, 256)] {
        for count in 1..2_000 {
            let meters: Vec<MeterId> =
                (0..count).map(|index: u128| MeterId::from(index.to_be_bytes())).collect();
            let chunks: Vec<&[MeterId]> = asked.chunks(&meters, slots).collect();
            assert_eq!(chunks.concat(), meters);
            let sizes = || chunks.iter().map(|chunk| chunk.len());
            assert!(sizes().all(|size| size <= most), "{count} homes: {:?}", sizes().collect::<Vec<_>>());
            assert!(sizes().all(|size| size >= least.min(meters.len())));
        }
    }
    assert_eq!(asked.chunks(&[], 0).count(), 0);
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
            "No bill: two. Rule differencing: Bills of the group and its curve",
            "exactly the days of the group's other bills",
            "No bill: three. Rule anchor: No register anchors",
            "wattveil status",
        ],
    );
    let (text, _) = said(&asked, &[], &[3, 4, 5], Some(&State::Blocked(Rule::Differencing)), &[]);
    has(
        &text,
        &["No bill: one, two, three.", "no quorum is left", "Rule differencing", "The question stays open"],
    );
    let (text, _) = said(&asked, &[], &[3, 4, 5], Some(&State::GivenUp(Rule::Cell)), &[]);
    has(&text, &["rejected the whole question", "Rule cell"]);
    let refusal = Refusal::new(Rule::TariffMeters, "1 meter is asked for");
    let (text, _) = said(&asked, &[&whole], &[4, 5], Some(&State::NotAsked(refusal)), &[]);
    has(
        &text,
        &["No bill: two, three. It was not asked for alone (rule tariff-meters): 1 meter is asked for"],
    );
}

/// Homes of a question that may have been voted for are in no other one; once it has ended, what is left of this period is asked.
#[test]
fn what_is_on_its_way_is_waited_for() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("sink.redb");
    let id = QueryId::from([9; 16]);
    let meters: Vec<MeterId> = (1..=8).map(|number| MeterId::from([number; 16])).collect();
    let targets = meters[..3].iter().map(|meter| BillTarget { meter: *meter, opening: None }).collect();
    let ask = Ask::Bill(BillAsk { tariffs: Vec::new(), targets });
    let query = Query { id, period: hours(-672, 0), ask, excluded: Vec::new() };
    let context = deployment_context(&"town".parse().unwrap());
    let query = Signed::sign(query, &SigningKey::from_bytes(&[7; 32]), &context);
    let write = |table: &'static str, key: &[u8], value: &[u8]| {
        let mut store = FileStore::open(&path, 1 << 20).unwrap();
        store.put(Table(table), key, value).unwrap();
        store.commit().unwrap();
    };
    write("asked", b"september", id.as_bytes());
    write("query", id.as_bytes(), query.bytes());
    let asked = asked((1..=8).map(|number| row("home", number)).collect());
    let of =
        |questions: &[Question]| questions.iter().map(|question| question.meters.clone()).collect::<Vec<_>>();
    let plan = || asked.questions(&Ledger::open(&path).unwrap()).unwrap();
    assert_eq!(of(&plan()).concat(), meters, "without a cut it gives way");
    write("cut", id.as_bytes(), b"a cut");
    let questions = plan();
    assert_eq!(of(&questions), [meters[..3].to_vec(), meters[3..].to_vec()]);
    assert_eq!(questions[0].name(), "september");
    let in_the_way = BTreeMap::from([(meters[1], Rule::Differencing)]);
    let next =
        |state| asked.after(&questions[0], &state, &in_the_way, &Ledger::open(&path).unwrap()).unwrap();
    assert_eq!(next(State::Waiting("votes".to_owned())), []);
    assert_eq!(of(&next(State::Ended)), [meters[..3].to_vec()]);
    assert_eq!(of(&next(State::GivenUp(Rule::Differencing))), [vec![meters[0], meters[2]]]);
    assert_eq!(next(State::GivenUp(Rule::Cell)), []);
    write("outcome", id.as_bytes(), b"an outcome");
    assert_eq!(of(&plan()), [meters], "what has ended keeps nobody");
}

fn tariff(id: &str) -> TariffDocument {
    TariffDocument {
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
    }
}

/// A price stands under the tariff that made it, whichever tariffs are asked for now.
#[test]
fn prices_stand_under_their_tariffs() {
    let (flat, tou) = (hash("tariff", &[b"flat"]), hash("tariff", &[b"tou"]));
    let amounts = vec![(flat, Amount(100_000_000)), (tou, Amount(200_000_000))];
    let bill = Bill { amounts, scope: Scope::Complete, ..bill(1, hours(0, 672)) };
    let mut asked =
        Closing { tariffs: vec![tariff("tou")], hashes: vec![tou], ..asked(vec![row("home", 1)]) };
    assert!(asked.csv(&[&bill]).contains(",7,2.00,0,"), "{}", asked.csv(&[&bill]));
    assert_eq!(asked.json(&[&bill])[0]["amounts"]["tou"]["amount"], "2.00");
    asked.hashes = vec![hash("tariff", &[b"new"])];
    assert!(asked.csv(&[&bill]).contains(",7,,0,"));
    asked.period = SlotRange::new(Slot(479_400), Slot(480_072)).unwrap();
    assert!(asked.concerns(&bill));
}

/// A currency with a comma and quotes is exported, read and exported again.
#[test]
fn every_currency_is_exported() {
    let flat = hash("tariff", &[b"flat"]);
    let currency = "USD, incl. \"tax\"".to_owned();
    let tariffs = vec![TariffDocument { currency, ..tariff("flat") }];
    let rows = vec![row("one", 1), row("two", 2)];
    let asked = Closing { tariffs, hashes: vec![flat], ..asked(rows) };
    let bills = [1, 2]
        .map(|number| Bill { amounts: vec![(flat, Amount(100_000_000))], ..bill(number, hours(0, 672)) });
    let home = tempfile::tempdir().unwrap();
    let (csv, json) = (home.path().join("bills.csv"), home.path().join("bills.json"));
    for count in [1, 2, 2] {
        let bills: Vec<&Bill> = bills[..count].iter().collect();
        export::check(&csv, TABLE).unwrap();
        export::write(&csv, TABLE, &asked.csv(&bills)).unwrap();
        export::write(&json, LIST, &format!("{:#}\n", asked.json(&bills))).unwrap();
        let mut table = csv::Reader::from_path(&csv).unwrap();
        assert_eq!(table.headers().unwrap().get(6), Some("flat USD, incl. \"tax\""));
        let amounts: Vec<String> = table.records().map(|row| row.unwrap()[6].to_owned()).collect();
        assert_eq!(amounts, vec!["1.00"; count]);
    }
    assert!(export::write(&csv, TABLE, &asked.csv(&[&bills[0]])).is_err(), "a bill would be lost");
}

/// What is told to be typed is accepted, across a day with an hour less too; and what this sink can't bill any more is said.
#[test]
fn what_is_told_helps() {
    let mut asked = asked(vec![row("one", 3)]);
    asked.zone = TimeZone::get("Europe/Berlin").unwrap();
    let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
    let slot_of = |text: &str| period(text, &asked.zone, asked.slot, now).unwrap();
    let (march, billed) = (slot_of("2025-03-01..2025-04-01"), slot_of("2025-02-05..2025-03-15"));
    asked.period = march;
    let (text, _) = said(&asked, &[&bill(3, billed)], &[], None, &[]);
    let told = text.split("--period ").nth(1).unwrap().split(';').next().unwrap();
    assert_eq!(told, "2025-03-15..2025-04-13");
    let told = period(told, &asked.zone, asked.slot, now).unwrap();
    assert!(told.len() >= asked.policy.bill_slots(asked.slot), "{told:?}");
    let (text, _) = said(&asked, &[], &[3], Some(&State::Ended), &[(3, Rule::Continuity)]);
    has(&text, &["this sink cannot bill the meter any more: see docs/operating.md"]);
}

/// What is no period, or not over, says what to type.
#[test]
fn mistakes_say_what_to_type() {
    for text in ["october", "2026-13", "0d", "2026-10-01"] {
        assert!(slots(text).unwrap_err().contains("expected a month (2026-10)"), "{text}");
    }
    assert!(slots("2026-11").unwrap_err().contains("close it on 2026-12-01"));
    assert!(slots("2026-10-02..2026-10-01").unwrap_err().contains("the earlier day first"));
}
