//! Attacks: what a utility that drops records, writes tariffs and sees every release can compute; what t − 1
//! aggregators see; what the broker carries.
//!
//! All released values are linear in the slots' energies. The functionals are read off the code that answers, by asking it
//! about unit vectors; whoever sees the values knows exactly the span of these rows, whatever way it computes.

use std::collections::{BTreeMap, BTreeSet};

use protocol::field::Fe;
use protocol::id::{MeterId, QueryId, Rid};
use protocol::release::answer::answers;
use protocol::release::inventory::{Held, Holding, Inventory, InventoryAnswer};
use protocol::release::query::{Ask, BillAsk, BillTarget, GroupAsk, Query};
use protocol::release::selection::{Billed, Scope, Selection};
use protocol::roster::chain::Chain;
use protocol::rule::Rule;
use protocol::share::{Batch, ShareMessage, ShareVector, seal};
use protocol::signature::Signed;
use protocol::tariff::Tariff;
use protocol::unit::{Price, Register, Slot, SlotRange, WattHours};

use super::{MIDNIGHT, days, flat, held, hour, tariff, time_of_use};
use crate::deployment::{Deployment, NOW, meter, meter_key, point, signer, slots, stream};
use crate::samples;

/// Two days in 12 batches of 4 slots.
const PERIOD: u32 = 48;

type Row = Vec<Fe>;

/// Rows in echelon form: what can be computed from released values.
#[derive(Default)]
struct Span(Vec<(usize, Row)>);

impl Span {
    fn of(rows: &[Row]) -> Self {
        let mut span = Self::default();
        for row in rows {
            let rest = span.rest(row);
            if let Some(pivot) = rest.iter().position(|c| *c != Fe::ZERO) {
                let inverse = rest[pivot].inverse().unwrap();
                span.0.push((pivot, rest.iter().map(|&c| c * inverse).collect()));
            }
        }
        span
    }

    /// What of a row the others don't give.
    fn rest(&self, row: &[Fe]) -> Row {
        let mut rest = row.to_vec();
        for (pivot, of_pivot) in &self.0 {
            let factor = rest[*pivot];
            for (value, less) in rest.iter_mut().zip(of_pivot) {
                *value -= factor * *less;
            }
        }
        rest
    }

    fn contains(&self, row: &[Fe]) -> bool {
        self.rest(row).iter().all(|c| *c == Fe::ZERO)
    }
}

/// The records of meters 0, 1, … but those dropped, and the functionals that a release of them gives. Unknown number
/// `meter · PERIOD + slot` is a meter's energy in a slot.
struct Stage {
    deployment: Deployment,
    records: Vec<Vec<Held>>,
}

impl Stage {
    fn new(meters: u8, dropped: &[(u8, u8)]) -> Self {
        let records = (0..meters).map(|j| {
            let all = (0..12_u8).filter(|k| !dropped.contains(&(j, *k)));
            all.map(|k| held(batch(k), j, k)).collect()
        });
        Self { records: records.collect(), deployment: days() }
    }

    fn selection(&self, ask: Ask, tariffs: &[Tariff]) -> Selection {
        let roster = &self.deployment.roster;
        let period = slots(MIDNIGHT, MIDNIGHT + PERIOD);
        let query = Query { id: QueryId::from([1; 16]), period, ask, excluded: Vec::new() };
        let holdings: Vec<Holding> = self.records.iter().cloned().map(Holding::Records).collect();
        let inventories = (1..=4).map(|i| {
            let answer = InventoryAnswer::Holdings(holdings.clone());
            Inventory { query: query.id, point: point(i), answer, seen: Vec::new() }
        });
        let inventories: Vec<Inventory> = inventories.collect();
        Selection::derive(&query, &inventories.iter().collect::<Vec<_>>(), tariffs, roster)
    }

    fn bills(&self, tariffs: &[Tariff]) -> Selection {
        let targets =
            (0..self.records.len()).map(|j| BillTarget { meter: meter(j), opening: None }).collect();
        self.selection(Ask::Bill(BillAsk { tariffs: Vec::new(), targets }), tariffs)
    }

    fn curves(&self) -> Selection {
        let members = (0..self.records.len()).map(meter).collect();
        self.selection(Ask::Group(GroupAsk { group: "north".parse().unwrap(), members }), &[])
    }

    /// What every released value is of the unknowns.
    fn rows(&self, selection: &Selection, tariffs: &[Tariff]) -> Vec<Row> {
        let unknowns = self.records.len() * PERIOD as usize;
        let columns: Vec<Vec<Fe>> = (0..unknowns).map(|u| self.column(selection, tariffs, u)).collect();
        (0..columns[0].len()).map(|value| columns.iter().map(|column| column[value]).collect()).collect()
    }

    /// The released values if meter and slot `unknown` alone have 1 Wh.
    fn column(&self, selection: &Selection, tariffs: &[Tariff], unknown: usize) -> Vec<Fe> {
        let (of, t) = (unknown / PERIOD as usize, MIDNIGHT + u32::try_from(unknown).unwrap() % PERIOD);
        let mut values: BTreeMap<Rid, ShareVector> = BTreeMap::new();
        for (j, records) in self.records.iter().enumerate() {
            for held in records {
                let mut vector: Vec<u64> =
                    held.slots.numbers().map(|s| u64::from(j == of && s == t)).collect();
                vector.extend([u64::from(j == of && t < held.slots.end().0), 0]);
                let bytes: Vec<u8> = vector.into_iter().flat_map(u64::to_le_bytes).collect();
                values.insert(held.rid, ShareVector::from_bytes(&bytes).unwrap());
            }
        }
        let released = answers(selection, tariffs, hour(), |rid| values.get(rid).cloned());
        released.into_iter().flat_map(|entry| entry.unwrap().to_vec()).collect()
    }

    /// The sum of some slots of a meter.
    fn sum(&self, j: usize, of: impl IntoIterator<Item = u32>) -> Row {
        let mut row = vec![Fe::ZERO; self.records.len() * PERIOD as usize];
        for t in of {
            row[j * PERIOD as usize + (t - MIDNIGHT) as usize] = Fe::ONE;
        }
        row
    }
}

fn batch(k: u8) -> SlotRange {
    let from = MIDNIGHT + 4 * u32::from(k);
    slots(from, from + 4)
}

/// The cells of a bill: the slots with one price under every tariff, gaps at the substitute's.
fn cells(billed: &Billed, tariffs: &[Tariff]) -> Vec<Vec<u32>> {
    let mut cells: BTreeMap<Vec<Price>, Vec<u32>> = BTreeMap::new();
    for t in billed.window.numbers() {
        let known = billed.records.iter().any(|held| held.slots.contains(Slot(t)));
        let price = |tariff: &Tariff| {
            if known { tariff.prices(slots(t, t + 1), hour()).unwrap()[0] } else { tariff.substitute() }
        };
        cells.entry(tariffs.iter().map(price).collect()).or_default().push(t);
    }
    cells.into_values().collect()
}

/// Peak hours dear, gaps in a band of their own.
fn own_band_for_gaps() -> Tariff {
    tariff(&[20_000, 50_000, 35_000], |hour| u8::from((16..22).contains(&hour)), 2)
}

/// With any one or two records suppressed, and with none, a bill tells sums of whole cells of at least 6 slots: never a
/// slot, never the suppressed slots. If too few slots would be alike, it tells the register difference only.
#[test]
fn suppressed_records_stay_within_their_cells() {
    let mut scopes = BTreeSet::new();
    for tariffs in [&[time_of_use(), flat()][..], &[own_band_for_gaps()], &[flat()]] {
        for one in 0..12_u8 {
            for two in one..12_u8 {
                let stage = Stage::new(1, &[(0, one), (0, two)]);
                let selection = stage.bills(tariffs);
                let Some(billed) = selection.billed().next() else { continue };
                scopes.insert(format!("{:?}", billed.scope));
                let rows = stage.rows(&selection, tariffs);
                let cells = cells(billed, tariffs);
                for row in &rows {
                    let weight = |t: u32| row[(t - MIDNIGHT) as usize];
                    for cell in &cells {
                        assert!(cell.iter().all(|t| weight(*t) == weight(cell[0])), "{one}, {two}");
                    }
                    assert!(
                        (MIDNIGHT..MIDNIGHT + PERIOD)
                            .all(|t| billed.window.contains(Slot(t)) || weight(t) == Fe::ZERO)
                    );
                }
                if billed.scope == Scope::Registers {
                    assert_eq!(rows.len(), 1);
                } else {
                    assert!(cells.iter().all(|cell| cell.len() >= 6), "{one}, {two}");
                }
                let span = Span::of(&rows);
                assert!(billed.window.numbers().all(|t| !span.contains(&stage.sum(0, [t]))));
                let gaps: Vec<u32> = [one, two]
                    .into_iter()
                    .flat_map(|k| batch(k).numbers())
                    .collect::<BTreeSet<_>>()
                    .into_iter()
                    .collect();
                let inside = gaps.iter().all(|t| billed.window.contains(Slot(*t)));
                let whole = cells.contains(&gaps) && billed.scope != Scope::Registers;
                if inside {
                    assert!(whole || !span.contains(&stage.sum(0, gaps.iter().copied())), "{one}, {two}");
                }
                for k in (0..12).filter(|k| billed.window.covers(batch(*k))) {
                    assert!(!span.contains(&stage.sum(0, batch(k).numbers())), "batch {k}");
                }
            }
        }
    }
    // complete, if what is suppressed is at an end of the window and shortens it
    assert_eq!(scopes, ["Complete", "Registers", "Substituted"].map(str::to_owned).into());
}

/// The test above can fail: if the gap's own energy were released, as for a bill without gaps, the suppressed record
/// would be read.
#[test]
fn releasing_the_gap_would_read_it() {
    let stage = Stage::new(1, &[(0, 5)]);
    let tariffs = [time_of_use()];
    let selection = stage.bills(&tariffs);
    let mut rows = stage.rows(&selection, &tariffs);
    let suppressed = stage.sum(0, batch(5).numbers());
    assert!(!Span::of(&rows).contains(&suppressed));
    let Selection::Bill(mut entries) = selection else { panic!("bills were asked for") };
    for entry in &mut entries {
        if let protocol::release::selection::BillEntry::Billed(billed) = entry {
            assert_eq!(billed.scope, Scope::Substituted);
            billed.scope = Scope::Complete;
        }
    }
    rows.extend(stage.rows(&Selection::Bill(entries), &tariffs));
    assert!(Span::of(&rows).contains(&suppressed));
}

/// Gaps in a band of their own would be told apart from the rest: below the smallest cell the prices are withheld.
#[test]
fn gaps_in_their_own_band_are_withheld() {
    for (dropped, scope) in [(&[(0, 3)][..], Scope::Registers), (&[(0, 3), (0, 7)], Scope::Substituted)] {
        let stage = Stage::new(1, dropped);
        assert_eq!(stage.bills(&[own_band_for_gaps()]).billed().next().unwrap().scope, scope, "{dropped:?}");
    }
}

/// Bills of all members and the group's curves together, all members in all of it: no slot, no batch and no hour of a
/// day and meter can be computed.
#[test]
fn bills_and_curves_together_read_nobody() {
    let stage = Stage::new(3, &[]);
    let tariffs = [time_of_use(), flat()];
    let mut rows = stage.rows(&stage.bills(&tariffs), &tariffs);
    rows.extend(stage.rows(&stage.curves(), &[]));
    let span = Span::of(&rows);
    for j in 0..3 {
        assert!((0..PERIOD).all(|t| !span.contains(&stage.sum(j, [MIDNIGHT + t]))));
        assert!((0..12).all(|k| !span.contains(&stage.sum(j, batch(k).numbers()))));
        for day in [0, 24] {
            let of_day = MIDNIGHT + day..MIDNIGHT + day + 24;
            assert!(!span.contains(&stage.sum(j, of_day.clone())));
            assert!(!span.contains(&stage.sum(j, of_day.filter(|t| (16..22).contains(&(t % 24))))));
        }
    }
}

/// A member that is missing on one day is in no curve of the period: were it in the others, the bills of all less the
/// curves of all would be what it used on that day, cell by cell.
#[test]
fn bills_less_curves_show_no_missing_members_day() {
    let stage = Stage::new(3, &[(0, 1)]);
    let tariffs = [time_of_use()];
    let bills = stage.rows(&stage.bills(&tariffs), &tariffs);
    let curves = stage.rows(&stage.curves(), &[]);
    let members: Vec<usize> = stage.curves().days().map(|day| day.members.len()).collect();
    assert_eq!(members, [2, 2], "meter 0 is missing on the first day, and so on both");
    let both = Span::of(&[bills, curves].concat());
    for day in [0, 24] {
        let of_day = MIDNIGHT + day..MIDNIGHT + day + 24;
        assert!(!both.contains(&stage.sum(0, of_day.clone())), "its day");
        assert!(
            !both.contains(&stage.sum(0, of_day.filter(|t| (16..22).contains(&(t % 24))))),
            "its peak hours"
        );
    }
    assert!((0..PERIOD).all(|t| !both.contains(&stage.sum(0, [MIDNIGHT + t]))), "nor a slot");
}

/// Prices as digits, a slot of its own, two tariffs that differ in few slots, and prices that only together tell slots
/// apart: refused, each at its first small cell.
#[test]
fn crafted_tariffs_are_refused() {
    let rosters = Chain::new(Deployment::new(4, 2).roster);
    let targets = (0..15).map(|j| BillTarget { meter: meter(j), opening: None }).collect::<Vec<_>>();
    let check = |tariffs: &[Tariff]| {
        let tariff_hashes = vec![[7; 32].into(); tariffs.len()];
        let query = Query {
            id: QueryId::from([1; 16]),
            period: slots(MIDNIGHT, MIDNIGHT + 672),
            ask: Ask::Bill(BillAsk { tariffs: tariff_hashes, targets: targets.clone() }),
            excluded: Vec::new(),
        };
        query.check(&rosters, tariffs)
    };
    let on = |days: u8, from: u16, to: u16, prices: &[u32]| {
        let mut document = tariff(prices, |_| 0, 0).document().clone();
        document.windows.truncate(1);
        (document.windows[0].days, document.windows[0].from_minute) = (days, from);
        (document.windows[0].to_minute, document.windows[0].band) = (to, 1);
        Tariff::new(document, hour()).unwrap()
    };
    assert_eq!(check(&[time_of_use(), flat()]), Ok(()));
    assert_eq!(check(&[on(0x7f, 60, 120, &[1, 1 << 20])]), Ok(()), "28 slots");
    assert_eq!(check(&[on(0x3f, 60, 120, &[1, 1 << 20])]), Err(Rule::Cell), "24 slots");
    assert_eq!(check(&[on(1, 60, 120, &[0, 1 << 15])]), Err(Rule::Cell), "four slots");
    let digits = tariff(&[0, 1, 1 << 15], |hour| u8::try_from(hour.min(2)).unwrap(), 0);
    assert_eq!(check(std::slice::from_ref(&digits)), Ok(()), "each digit has 28 slots");
    let probe = on(0x0f, 60, 120, &[0, 1]);
    assert_eq!(check(&[digits, probe]), Err(Rule::Cell), "together 12 slots");
    let weekday = on(0x1f, 0, 1_440, &[1, 2]);
    let morning = on(0x7f, 360, 420, &[1, 2]);
    assert_eq!(check(std::slice::from_ref(&weekday)), Ok(()));
    assert_eq!(check(std::slice::from_ref(&morning)), Ok(()));
    assert_eq!(check(&[weekday, morning]), Err(Rule::Cell), "8 mornings of weekends");
}

/// Seals one batch of 24 hours, of the readings 4,096, 4,159, ….
fn sealed_day(deployment: &Deployment, seed: u8, round: u8) -> protocol::share::SealedBatch {
    let readings: Vec<WattHours> = (0..24).map(|i| WattHours(4_096 + 63 * i)).collect();
    let batch = Batch::new(&readings, Register::try_from(1_234_567_890_u64).unwrap()).unwrap();
    let mut head = samples::head();
    head.slots = slots(MIDNIGHT, MIDNIGHT + 24);
    head.seq = u64::from(round);
    let mut rng = stream(seed);
    rng.set_stream(u64::from(round));
    seal(&batch, head, &meter_key(1), &deployment.roster, NOW, &mut rng).unwrap()
}

fn opened(deployment: &Deployment, bytes: &[u8], i: usize) -> Vec<u64> {
    let message = ShareMessage::parse(bytes).unwrap();
    let verified = message.verify(&meter_key(1).verifying_key(), &deployment.roster).unwrap();
    let vector = verified.open(&deployment.openers[i - 1..i], &deployment.roster).unwrap();
    vector.to_bytes().chunks_exact(8).map(|chunk| u64::from_le_bytes(chunk.try_into().unwrap())).collect()
}

/// The 1 − 1e-6 quantile of chi-square with k degrees of freedom [Wilson, Hilferty 1931], z = 4.7534.
fn quantile(k: f64) -> f64 {
    k * (1.0 - 2.0 / (9.0 * k) + 4.7534 * (2.0 / (9.0 * k)).sqrt()).powi(3)
}

fn chi_square(counts: &[u32]) -> f64 {
    let cells = f64::from(u32::try_from(counts.len()).unwrap());
    let expected = f64::from(counts.iter().sum::<u32>()) / cells;
    counts.iter().map(|&count| (f64::from(count) - expected).powi(2) / expected).sum()
}

/// What two of five aggregators hold of a batch at t = 3 is uniform in every element, alone and as a pair, though it is
/// the same batch each time; three of them see the readings.
#[test]
fn whole_views_of_t_minus_1_are_uniform() {
    let deployment = Deployment::new(5, 3);
    let cell = |share: u64| usize::try_from(share >> 60).unwrap();
    let (mut single, mut pairs) = (vec![[0_u32; 16]; 52], [0_u32; 256]);
    let mut registers = BTreeSet::new();
    for round in 0..240 {
        let sealed = sealed_day(&deployment, 0x77, round);
        let view = |i: usize| opened(&deployment, &sealed.messages[i - 1].1, i);
        let (two, four, five) = (view(2), view(4), view(5));
        for j in 0..26 {
            single[j][cell(two[j])] += 1;
            single[26 + j][cell(four[j])] += 1;
            pairs[16 * cell(two[j]) + cell(four[j])] += 1;
        }
        // with a third view: f(0) = (4·5)/(2·3)·f(2) − (2·5)/(2·1)·f(4) + (2·4)/(3·1)·f(5)
        let [two, four, five] = [two[24], four[24], five[24]].map(Fe::from_u64);
        let over = |n: u64, d: u64| Fe::from_u64(n) * Fe::from_u64(d).inverse().unwrap();
        registers.insert((over(10, 3) * two - Fe::from_u64(5) * four + over(8, 3) * five).to_canonical());
    }
    assert_eq!(registers, [1_234_567_890].into());
    for (j, counts) in single.iter().enumerate() {
        assert!(chi_square(counts) < quantile(15.0), "element {} of a view", j % 26);
    }
    assert!(chi_square(&pairs) < quantile(255.0), "the pair of views");
}

/// The broker's transcript of a batch - all share messages and all receipts - has neither a reading nor a share in it,
/// in any of the forms that they have on the wire or in memory.
#[test]
fn the_transcript_has_no_reading_and_no_share() {
    let deployment = Deployment::new(4, 2);
    let sealed = sealed_day(&deployment, 0x78, 0);
    let mut transcript = Vec::new();
    let mut secrets: Vec<u64> = (0..24).map(|i| 4_096 + 63 * i).chain([1_234_567_890]).collect();
    for (i, (_, message)) in (1..).zip(&sealed.messages) {
        transcript.extend_from_slice(message);
        let receipt = samples::receipt(&deployment, &sealed, i);
        let receipt = Signed::sign(receipt, &signer(i), &deployment.roster.context());
        transcript.extend_from_slice(receipt.bytes());
        secrets.extend(opened(&deployment, message, i));
    }
    assert_eq!(secrets.len(), 25 + 4 * 26);
    let has = |bytes: &[u8]| transcript.windows(bytes.len()).any(|window| window == bytes);
    for secret in secrets {
        assert!(!has(&secret.to_le_bytes()) && !has(&secret.to_be_bytes()), "{secret} as 8 bytes");
        assert!(!has(&protocol::wire::encode(&secret)), "{secret} in CBOR");
        assert!(!has(secret.to_string().as_bytes()), "{secret} as text");
    }
    // what is there is what the topics say: the meter's name, the slots and the record's name
    let name: MeterId = meter(1);
    assert!(has(name.as_bytes()) && has(&protocol::wire::encode(&MIDNIGHT)) && has(sealed.rid.as_bytes()));
}
