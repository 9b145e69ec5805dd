//! What the protocol costs: sealing, opening, checking, decoding, pricing, selecting. Four aggregators, t = 2, Q = 3.
#![expect(clippy::unwrap_used, reason = "a measurement that can't be set up should stop")]

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion};
use protocol::codeword::judge;
use protocol::decode::decode_vector;
use protocol::field::Fe;
use protocol::hpke_box::{OpeningKey, Suite};
use protocol::id::{MeterId, QueryId, Rid};
use protocol::policy::Policy;
use protocol::record::{Head, Kind};
use protocol::release::answer::answers;
use protocol::release::inventory::{Held, Holding, Inventory, InventoryAnswer};
use protocol::release::query::{Ask, BillAsk, BillTarget, GroupAsk, Query};
use protocol::release::selection::Selection;
use protocol::roster::{Aggregator, BoxKey, Roster, RosterDocument, Utility, assemble};
use protocol::shamir::{Point, split};
use protocol::share::{Batch, SealedBatch, ShareMessage, ShareVector, seal};
use protocol::signature::SigningKey;
use protocol::tariff::{Band, Offset, Tariff, TariffDocument, Window};
use protocol::unit::{Price, Register, Slot, SlotLength, SlotRange, Timestamp, WattHours};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use zeroize::Zeroizing;

const NOW: Timestamp = Timestamp(1_700_300_000);
const START: u32 = 472_296;
/// Four weeks of hours.
const HOURS: u32 = 672;
/// Hours in a batch: 168 records in four weeks.
const BATCH: u32 = 4;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    sealing(&mut criterion);
    intake(&mut criterion);
    decoding(&mut criterion);
    releases(&mut criterion);
    criterion.final_summary();
}

struct Deployment {
    roster: Roster,
    openers: Vec<OpeningKey>,
    meter: SigningKey,
}

fn hour() -> SlotLength {
    SlotLength::try_from(3600).unwrap()
}

fn range(from: u32, to: u32) -> SlotRange {
    SlotRange::new(Slot(from), Slot(to)).unwrap()
}

fn deployment(suite: Suite) -> Deployment {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let [registrar, utility, meter] = [0; 3].map(|_| SigningKey::generate(&mut rng));
    let signers: Vec<SigningKey> = (0..4).map(|_| SigningKey::generate(&mut rng)).collect();
    let openers: Vec<OpeningKey> = (0..4).map(|_| OpeningKey::generate(1, suite, &mut rng)).collect();
    let aggregators = Point::first(4).into_iter().zip(signers.iter().zip(&openers));
    let document = RosterDocument {
        deployment: "bench".parse().unwrap(),
        epoch: 1,
        previous: None,
        valid_from: Timestamp(1_700_000_000),
        valid_to: Timestamp(1_800_000_000),
        threshold: 2,
        quorum: 3,
        slot: hour(),
        aggregators: aggregators
            .map(|(point, (signer, opener))| Aggregator {
                id: format!("agg-{point}").parse().unwrap(),
                point,
                organisation: format!("Org {point}"),
                key: signer.verifying_key(),
                box_keys: vec![BoxKey { key: opener.sealing_key(), not_after: Timestamp(1_800_000_000) }],
            })
            .collect(),
        utility: Utility { key: utility.verifying_key(), box_key: openers[0].sealing_key() },
        policy: Policy::production(),
    };
    let accepting: Vec<(Point, &SigningKey)> = Point::first(4).into_iter().zip(&signers).collect();
    let roster = assemble(document, &registrar, &accepting).unwrap();
    Deployment { roster, openers, meter }
}

fn head(slots: u32) -> Head {
    Head {
        kind: Kind::Import,
        roster_epoch: 1,
        meter: MeterId::from([7; 16]),
        seq: 1,
        version: 0,
        slots: range(START, START + slots),
    }
}

fn sealed(deployment: &Deployment, slots: u32, rng: &mut ChaCha20Rng) -> SealedBatch {
    let energies = vec![WattHours(831); slots as usize];
    let batch = Batch::new(&energies, Register::try_from(1_u64 << 30).unwrap()).unwrap();
    seal(&batch, head(slots), &deployment.meter, &deployment.roster, NOW, rng).unwrap()
}

/// A meter seals a batch for all four aggregators.
fn sealing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("seal");
    for suite in [Suite::X25519, Suite::XWing] {
        let deployment = deployment(suite);
        for slots in [1, 4, 24, 96] {
            let mut rng = ChaCha20Rng::seed_from_u64(2);
            group.bench_function(BenchmarkId::new(format!("{suite:?}"), slots), |bencher| {
                bencher.iter(|| sealed(&deployment, slots, &mut rng));
            });
        }
    }
    group.finish();
}

/// An aggregator takes one message of 24 slots.
fn intake(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("intake");
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    for suite in [Suite::X25519, Suite::XWing] {
        let deployment = deployment(suite);
        let bytes = sealed(&deployment, 24, &mut rng).messages.remove(0).1;
        let key = deployment.meter.verifying_key();
        let parsed = ShareMessage::parse(&bytes).unwrap();
        let verified = parsed.clone().verify(&key, &deployment.roster).unwrap();
        group.bench_function(format!("verify, {suite:?}"), |bencher| {
            bencher.iter_batched(
                || parsed.clone(),
                |parsed| parsed.verify(&key, &deployment.roster),
                BatchSize::SmallInput,
            );
        });
        group.bench_function(format!("open, {suite:?}"), |bencher| {
            bencher.iter(|| verified.open(&deployment.openers[..1], &deployment.roster));
        });
        group.bench_function(format!("parse, verify and open, {suite:?}"), |bencher| {
            bencher.iter(|| {
                let verified = ShareMessage::parse(&bytes).unwrap().verify(&key, &deployment.roster).unwrap();
                verified.open(&deployment.openers[..1], &deployment.roster).unwrap()
            });
        });
    }
    let deployment = deployment(Suite::X25519);
    let batch = sealed(&deployment, 24, &mut rng);
    let views: Vec<(Point, ShareVector)> = batch
        .messages
        .iter()
        .zip(&deployment.openers)
        .map(|((point, bytes), opener)| {
            let parsed = ShareMessage::parse(bytes).unwrap();
            let verified = parsed.verify(&deployment.meter.verifying_key(), &deployment.roster).unwrap();
            (*point, verified.open(std::slice::from_ref(opener), &deployment.roster).unwrap())
        })
        .collect();
    group.bench_function("check value", |bencher| bencher.iter(|| views[0].1.check(&batch.rid)));
    let checks: Vec<_> = views.iter().map(|(point, view)| (*point, view.check(&batch.rid))).collect();
    group.bench_function("judge four check values", |bencher| {
        bencher.iter(|| judge(black_box(&checks), 2, 1));
    });
    group.finish();
}

/// The sink decodes a vector of four weeks of hours.
fn decoding(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode 672 values");
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    let secrets: Vec<Fe> = (0..u64::from(HOURS)).map(Fe::from_u64).collect();
    for (n, t) in [(4, 2), (7, 3), (10, 4)] {
        let honest: Vec<(Point, Zeroizing<Vec<Fe>>)> =
            Point::first(n).into_iter().zip(split(&secrets, t, &Point::first(n), &mut rng)).collect();
        let mut lying = honest.clone();
        for value in lying[0].1.iter_mut() {
            *value += Fe::ONE;
        }
        for (name, word) in [("honest", honest), ("one liar", lying)] {
            group.bench_function(format!("{name}, n = {n}, t = {t}"), |bencher| {
                bencher.iter(|| decode_vector(black_box(&word), t, secrets.len()).unwrap());
            });
        }
    }
    group.finish();
}

fn tariff() -> Tariff {
    let band = |name: &str, price: u32| Band { name: name.into(), price: Price::try_from(price).unwrap() };
    let document = TariffDocument {
        id: "tou".parse().unwrap(),
        currency: "USD".into(),
        zone: "America/Los_Angeles".into(),
        valid_from: Slot(START),
        valid_to: Slot(START + HOURS),
        bands: vec![band("off-peak", 30_000), band("peak", 50_000), band("shoulder", 40_000)],
        windows: vec![
            Window { days: 0x1f, from_minute: 960, to_minute: 1_260, band: 1 },
            Window { days: 0x7f, from_minute: 420, to_minute: 960, band: 2 },
        ],
        otherwise: 0,
        substitute: 0,
        offsets: vec![Offset { from: Timestamp(0), seconds: -28_800 }],
    };
    Tariff::new(document, hour()).unwrap()
}

/// 64 meters, 168 records each: prices, answers, selection.
fn releases(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("release");
    let deployment = deployment(Suite::X25519);
    let roster = &deployment.roster;
    let tariffs = [tariff()];
    let period = range(START, START + HOURS);
    group.bench_function("prices of 672 slots", |bencher| bencher.iter(|| tariffs[0].prices(period, hour())));

    let record = |meter: u8, k: u32| {
        let mut rid = [meter; 32];
        rid[..4].copy_from_slice(&k.to_be_bytes());
        Held { slots: range(START + BATCH * k, START + BATCH * (k + 1)), rid: Rid::from(rid) }
    };
    let holdings: Vec<Holding> = (0..64)
        .map(|meter| Holding::Records((0..HOURS / BATCH).map(|k| record(meter, k)).collect()))
        .collect();
    let inventories: Vec<Inventory> = Point::first(4)
        .into_iter()
        .map(|point| Inventory {
            query: QueryId::from([1; 16]),
            point,
            answer: InventoryAnswer::Holdings(holdings.clone()),
            seen: Vec::new(),
        })
        .collect();
    let cited: Vec<&Inventory> = inventories.iter().collect();
    let meters = || (0..64).map(|meter| MeterId::from([meter; 16]));
    let targets = meters().map(|meter| BillTarget { meter, opening: None }).collect();
    let bills = Query {
        id: QueryId::from([1; 16]),
        period,
        ask: Ask::Bill(BillAsk { tariffs: vec![[7; 32].into()], targets }),
        excluded: Vec::new(),
    };
    let group_ask = GroupAsk { group: "north".parse().unwrap(), members: meters().collect() };
    let curve = Query { ask: Ask::Group(group_ask), ..bills.clone() };
    for (name, query) in [("bills", &bills), ("curves", &curve)] {
        group.bench_function(format!("select {name}, 64 meters of 168 records"), |bencher| {
            bencher.iter(|| Selection::derive(query, &cited, &tariffs, roster));
        });
        let selection = Selection::derive(query, &cited, &tariffs, roster);
        let vector = ShareVector::from_bytes(&[1; 8 * (BATCH as usize + 2)]).unwrap();
        group.bench_function(format!("answer {name}, 64 meters of 168 records"), |bencher| {
            bencher.iter(|| answers(&selection, &tariffs, hour(), |_| Some(vector.clone())));
        });
        group.bench_function(format!("hash of the selection of {name}"), |bencher| {
            bencher.iter(|| selection.hash());
        });
    }
    group.finish();
}
