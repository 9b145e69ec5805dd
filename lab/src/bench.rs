//! What it costs: each step of a reading's way, a message and a meter, and its share of the whole.
//!
//! Figures are medians of many runs on one core, in one process; ratios within one table are worth more than the
//! microseconds of a machine.

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use protocol::codeword::Check;
use protocol::decode::decode_vector;
use protocol::field::Fe;
use protocol::hpke_box::Suite;
use protocol::id::Rid;
use protocol::policy::Policy;
use protocol::receipt::{Receipt, RecordCheck, SeqRanges};
use protocol::record::{Head, Kind};
use protocol::release::answer::answers;
use protocol::release::inventory::Held;
use protocol::release::selection::{BillEntry, Billed, Scope, Selection};
use protocol::shamir::{Point, split};
use protocol::share::{Batch, ShareMessage, ShareVector, seal};
use protocol::signature::Signed;
use protocol::tariff::Tariff;
use protocol::topic::Channel;
use protocol::unit::{Register, Slot, SlotLength, SlotRange, Timestamp, WattHours};
use rand::rngs::StdRng;
use serde_json::{Value, json};
use store::{FileStore, Store, Table};
use zeroize::Zeroizing;

use deployment::{Deployment, Plan};

pub mod command;
pub mod compare;
pub mod grid;
pub mod levelled;
pub mod pipeline;
pub mod suite;
pub mod village;

/// How long each step is measured.
const BUDGET: Duration = Duration::from_millis(400);

/// Records under one commit, as an aggregator under load has.
const GROUP: usize = 256;

/// The first slot: Monday 2026-01-05T00:00Z in quarter-hours.
const START: u32 = 1_963_968;

/// A step and its cost.
#[derive(Clone, Debug)]
pub struct Step {
    /// Who does it.
    pub party: &'static str,
    /// What it is.
    pub name: String,
    /// Microseconds a message, or a meter and period for releases.
    pub micros: f64,
    /// Whether it is on the way of every message.
    pub on_the_way: bool,
}

/// A cadence and its cost.
#[derive(Clone, Debug)]
pub struct Cadence {
    /// Slots a batch.
    pub slots: u32,
    /// What it is called.
    pub name: &'static str,
    /// Bytes up a meter-day: payloads, topics and MQTT headers, to all n aggregators.
    pub bytes: usize,
    /// Milliseconds of the meter's processor a meter-day.
    pub millis: f64,
}

/// All that was measured.
#[derive(Clone, Debug)]
pub struct Costs {
    /// How the roster is: n and t.
    pub roster: (usize, usize),
    /// The steps.
    pub steps: Vec<Step>,
    /// The cadences.
    pub cadences: Vec<Cadence>,
}

/// A deployment to measure with.
struct Bench {
    deployment: Deployment,
    slot: SlotLength,
    now: Timestamp,
    rng: StdRng,
}

/// Measures everything; files go into `directory`.
///
/// # Errors
///
/// If a step fails.
pub fn run(directory: &Path, aggregators: usize, threshold: usize) -> anyhow::Result<Costs> {
    let mut bench = Bench::new(aggregators, threshold, Suite::X25519)?;
    let mut steps = bench.message_steps(directory)?;
    let mut quantum = Bench::new(aggregators, threshold, Suite::XWing)?;
    steps.extend(quantum.suite_steps()?);
    steps.extend(bench.release_steps()?);
    let cadences = [(1, "every slot (15 min)"), (4, "hourly"), (16, "4-hourly"), (96, "daily")]
        .into_iter()
        .map(|(slots, name)| bench.cadence(slots, name))
        .collect::<anyhow::Result<_>>()?;
    Ok(Costs { roster: (aggregators, threshold), steps, cadences })
}

impl Bench {
    fn new(aggregators: usize, threshold: usize, suite: Suite) -> anyhow::Result<Self> {
        let mut rng = runtime::entropy()?;
        let slot = SlotLength::try_from(900)?;
        let now = slot.start_of(Slot(START + 28 * 96));
        let plan = Plan {
            name: "bench".into(),
            aggregators,
            threshold,
            suite,
            slot,
            policy: Policy::production(),
            homes: vec!["home".into()],
            group: 1,
            valid_from: Timestamp(0),
            valid_to: now.plus(86_400),
        };
        let deployment = Deployment::create(&plan, &mut rng)?;
        Ok(Self { deployment, slot, now, rng })
    }

    fn batch(&self, first: u32, slots: u32, seq: u64) -> anyhow::Result<(Batch, Head)> {
        let keys = &self.deployment.meters[0];
        let head = Head {
            kind: Kind::Import,
            roster_epoch: 1,
            meter: keys.meter,
            seq,
            version: 0,
            slots: SlotRange::new(Slot(first), Slot(first + slots))?,
        };
        let energies: Vec<WattHours> = (0..slots).map(|t| WattHours(i64::from(200 + t * 37 % 900))).collect();
        Ok((Batch::new(&energies, Register::try_from(1_000_000)?)?, head))
    }

    /// The way of one message of a 4-hourly batch.
    fn message_steps(&mut self, directory: &Path) -> anyhow::Result<Vec<Step>> {
        let n = self.deployment.roster.n();
        let per = |step: Step| Step { micros: step.micros / count(n), ..step };
        let (batch, head) = self.batch(START, 16, 1)?;
        let keys = &self.deployment.meters[0];
        let (roster, now) = (&self.deployment.roster, self.now);
        let secrets = [Fe::ONE; 18];
        let points = roster.points();
        let mut steps = Vec::new();
        steps.push(per(step("meter", "share: 18 polynomials", true, || {
            split(&secrets, roster.t(), &points, &mut self.rng)
        })));
        let info: Vec<u8> = vec![0; 144];
        let boxed = roster.document().aggregators[0].box_keys[0].key.clone();
        steps.push(step("meter", "seal: HPKE X25519", true, || {
            boxed.seal(b"bench", b"", &info, &mut self.rng)
        }));
        let signing =
            step("meter", "sign: Ed25519", true, || keys.key.sign("bench", &roster.context(), &[0; 32]));
        steps.push(per(signing));
        steps.push(per(step("meter", "all of it: share, seal, sign, encode", false, || {
            seal(&batch, head, &keys.key, roster, now, &mut self.rng)
        })));
        let sealed = seal(&batch, head, &keys.key, roster, now, &mut self.rng)?;
        let bytes = sealed.messages[0].1.clone();
        steps.push(step("aggregator", "parse: CBOR, and that it is deterministic", true, || {
            ShareMessage::parse(&bytes)
        }));
        let message = ShareMessage::parse(&bytes)?;
        let key = keys.key.verifying_key();
        let clone = step("", "", false, || message.clone()).micros;
        let verify = step("aggregator", "verify: rid, box hash, Ed25519", true, || {
            message.clone().verify(&key, roster)
        });
        steps.push(Step { micros: (verify.micros - clone).max(0.0), ..verify });
        let verified = message.verify(&key, roster)?;
        let identity = self.deployment.aggregator_identity(&self.deployment.aggregators[0]);
        steps.push(step("aggregator", "open: HPKE X25519", true, || {
            verified.open(&identity.box_keys, roster)
        }));
        let vector = verified.open(&identity.box_keys, roster)?;
        steps.push(step("aggregator", "check value", true, || vector.check(&sealed.rid)));
        let check = vector.check(&sealed.rid);
        steps.extend(store_steps(directory, bytes.len())?);
        steps.push(self.receipt_step(check, sealed.rid)?);
        Ok(steps)
    }

    /// A receipt for 16 records, by the record.
    fn receipt_step(&self, check: Check, rid: Rid) -> anyhow::Result<Step> {
        const RECORDS: u64 = 16;
        let keys = &self.deployment.aggregators[0];
        let mut stored = SeqRanges::default();
        stored.insert(1);
        let receipt = Receipt {
            point: keys.point,
            meter: self.deployment.meters[0].meter,
            roster_epoch: 1,
            stored,
            checks: (0..RECORDS).map(|seq| RecordCheck { seq, rid, check }).collect(),
            refused: Vec::new(),
            at: self.now,
        };
        let (context, public) = (self.deployment.roster.context(), keys.key.verifying_key());
        let bytes = Signed::sign(receipt.clone(), &keys.key, &context).into_bytes();
        let step = step("aggregator", "receipt for 16 records: sign, and the meter's check", true, || {
            let signed = Signed::sign(receipt.clone(), &keys.key, &context);
            (signed, Signed::<Receipt>::open(&bytes, &public, &context))
        });
        Ok(Step { micros: step.micros / count(usize::try_from(RECORDS)?), ..step })
    }

    /// What the post-quantum suite costs instead.
    fn suite_steps(&mut self) -> anyhow::Result<Vec<Step>> {
        let (batch, head) = self.batch(START, 16, 1)?;
        let keys = &self.deployment.meters[0];
        let roster = &self.deployment.roster;
        let boxed = roster.document().aggregators[0].box_keys[0].key.clone();
        let info: Vec<u8> = vec![0; 144];
        let sealing =
            step("meter", "instead: seal with X-Wing", false, || boxed.seal(b"b", b"", &info, &mut self.rng));
        let sealed = seal(&batch, head, &keys.key, roster, self.now, &mut self.rng)?;
        let verified =
            ShareMessage::parse(&sealed.messages[0].1)?.verify(&keys.key.verifying_key(), roster)?;
        let identity = self.deployment.aggregator_identity(&self.deployment.aggregators[0]);
        let opening = step("aggregator", "instead: open with X-Wing", false, || {
            verified.open(&identity.box_keys, roster)
        });
        Ok(vec![sealing, opening])
    }

    /// A month of one meter: the tariff on shares, and decoding.
    fn release_steps(&mut self) -> anyhow::Result<Vec<Step>> {
        let text = deployment::TIME_OF_USE_TARIFF;
        let tariff = Tariff::new(utility_sink::tariff_file::parse(text, self.slot)?, self.slot)?;
        let window = SlotRange::new(Slot(START), Slot(START + 28 * 96))?;
        let mut records = Vec::new();
        for batch in 0..28 * 6_u32 {
            let first = START + batch * 16;
            let mut name = [0; 32];
            name[..4].copy_from_slice(&batch.to_be_bytes());
            records
                .push(Held { slots: SlotRange::new(Slot(first), Slot(first + 16))?, rid: Rid::from(name) });
        }
        let vector = ShareVector::from_bytes(&[7; 18 * 8]).context("a share vector of sevens")?;
        let billed = Billed {
            meter: self.deployment.meters[0].meter,
            window,
            anchor: None,
            records,
            scope: Scope::Complete,
        };
        let selection = Selection::Bill(vec![BillEntry::Billed(billed)]);
        let tariffs = [tariff];
        let prices =
            step("aggregator", "tariff: 2,688 prices", false, || tariffs[0].prices(window, self.slot));
        let answer =
            step("aggregator", "bill of a month: registers and one tariff on 168 records", false, || {
                answers(&selection, &tariffs, self.slot, |_| Some(vector.clone()))
            });
        let points = Point::first(self.deployment.roster.n());
        let secrets = vec![Fe::ONE; 672];
        let shares = split(&secrets, self.deployment.roster.t(), &points, &mut self.rng);
        let word: Vec<(Point, Zeroizing<Vec<Fe>>)> = points.into_iter().zip(shares).collect();
        let decode = step("sink", "decode a curve of 672 slots", false, || {
            decode_vector(&word, self.deployment.roster.t(), 672)
        });
        Ok(vec![prices, answer, decode])
    }

    fn cadence(&mut self, slots: u32, name: &'static str) -> anyhow::Result<Cadence> {
        let (batch, head) = self.batch(START, slots, 1 << 32)?;
        let keys = &self.deployment.meters[0];
        let roster = &self.deployment.roster;
        let sealed = seal(&batch, head, &keys.key, roster, self.now, &mut self.rng)?;
        let topic =
            Channel::Share("agg-1".parse()?, keys.meter).of(&roster.document().deployment).to_string();
        // an MQTT PUBLISH with QoS 1: fixed header of 3 bytes, topic length, packet identifier
        let packets: usize =
            sealed.messages.iter().map(|(_, bytes)| bytes.len() + topic.len() + 3 + 2 + 2).sum();
        let batches = 96 / slots;
        let cost =
            step("meter", name, false, || seal(&batch, head, &keys.key, roster, self.now, &mut self.rng));
        let millis = cost.micros * f64::from(batches) / 1_000.0;
        Ok(Cadence { slots, name, bytes: packets * batches as usize, millis })
    }
}

/// One commit with its fsync, by the record, alone and in a group.
fn store_steps(directory: &Path, len: usize) -> anyhow::Result<Vec<Step>> {
    const RECORD: Table = Table("record");
    let mut store = FileStore::open(&directory.join("bench.redb"), 16 << 20)?;
    let (value, mut key) = (vec![7; len], 0_u64);
    let mut failed = None;
    let mut commit = |rows: usize| {
        for _ in 0..rows {
            key += 1;
            // meters come in any order
            let scattered = key.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
            if let Err(error) = store.put(RECORD, &scattered, &value) {
                failed = Some(error);
            }
        }
        if let Err(error) = store.commit() {
            failed = Some(error);
        }
    };
    let group =
        step("aggregator", format!("store: {GROUP} records a commit (fsync)"), true, || commit(GROUP));
    let group = Step { micros: group.micros / count(GROUP), ..group };
    let alone = step("aggregator", "instead: one record a commit", false, || commit(1));
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(vec![group, alone]),
    }
}

/// The median time of a step.
fn step<T>(
    party: &'static str,
    name: impl Into<String>,
    on_the_way: bool,
    mut run: impl FnMut() -> T,
) -> Step {
    std::hint::black_box(run());
    let (began, mut times) = (Instant::now(), Vec::new());
    while began.elapsed() < BUDGET || times.len() < 5 {
        let start = Instant::now();
        std::hint::black_box(run());
        times.push(start.elapsed());
    }
    times.sort_unstable();
    let micros = times[times.len() / 2].as_secs_f64() * 1e6;
    Step { party, name: name.into(), micros, on_the_way }
}

#[expect(clippy::cast_precision_loss, reason = "counts are small")]
fn count(n: usize) -> f64 {
    n as f64
}

impl Costs {
    /// Microseconds of every message's way.
    fn way(&self) -> f64 {
        self.steps.iter().filter(|step| step.on_the_way).map(|step| step.micros).sum()
    }

    /// The figures for a program.
    pub fn to_json(&self) -> Value {
        let way = self.way();
        json!({
            "bench": "steps",
            "aggregators": self.roster.0,
            "threshold": self.roster.1,
            "steps": self.steps.iter().map(|step| json!({
                "party": step.party,
                "step": step.name,
                "micros": step.micros,
                "share": step.on_the_way.then_some(step.micros / way),
            })).collect::<Vec<_>>(),
            "cadences": self.cadences.iter().map(|cadence| json!({
                "slots": cadence.slots,
                "cadence": cadence.name,
                "bytes_per_meter_day": cadence.bytes,
                "meter_millis_per_day": cadence.millis,
            })).collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for Costs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = self.way();
        writeln!(
            f,
            "One share message of a 4-hourly batch (16 slots), n = {}, t = {}\n",
            self.roster.0, self.roster.1
        )?;
        writeln!(f, "{:<11} {:<58} {:>9} {:>6}", "party", "step", "µs", "share")?;
        for step in &self.steps {
            let share =
                if step.on_the_way { format!("{:.0} %", 100.0 * step.micros / way) } else { String::new() };
            writeln!(f, "{:<11} {:<58} {:>9.1} {share:>6}", step.party, step.name, step.micros)?;
        }
        writeln!(f, "{:<11} {:<58} {way:>9.1}  100 %\n", "", "every message's way, without the broker")?;
        writeln!(f, "{:<22} {:>16} {:>22}", "cadence", "bytes/meter-day", "meter ms/meter-day")?;
        for cadence in &self.cadences {
            writeln!(f, "{:<22} {:>16} {:>22.2}", cadence.name, cadence.bytes, cadence.millis)?;
        }
        Ok(())
    }
}
