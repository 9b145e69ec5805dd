//! What the grid path costs in mode `sum`: each step, a day of villages of many sizes, and how exact it all is.

use std::fmt;
use std::time::Instant;

use grid::sum::{GridKey, KeyShares, Layout, Loads, Total, Vector, open};
use protocol::hpke_box::Suite;
use protocol::policy::Policy;
use protocol::unit::{Slot, SlotLength, SlotRange, Timestamp};
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::village::{self, Account, float, micros};
use crate::deployment::{Deployment, Plan};

/// The suites over villages: meters, and slots a batch. A student system that this one grew out of published 7,500 readings a
/// minute for 20 meters, and 50 to 80 ms a reading in batches of 20.
const METERS: [usize; 6] = [2, 5, 10, 20, 100, 1_000];
const BATCHES: [u32; 4] = [1, 5, 10, 20];
const INTERVALS: [u64; 4] = [1, 5, 10, 30];

/// The published figures to stand beside: readings a minute for 20 meters; milliseconds a reading in batches of 20.
pub const PUBLISHED: (f64, f64, f64) = (7_500.0, 50.0, 80.0);

/// Meters in the suites where these do not vary, and slots a batch.
const TYPICAL: (usize, u32) = (20, 10);

/// The largest group in a village.
const GROUP: usize = 256;

/// The steps of a load vector.
#[derive(Clone, Copy, Debug)]
pub struct Steps {
    /// Microseconds for a meter to encrypt a day's loads.
    pub encrypt: f64,
    /// Microseconds for a meter to deal its key, once a roster.
    pub deal: f64,
    /// Bytes of the ciphertext.
    pub bytes: usize,
    /// Load vectors that an aggregator parses and adds a second.
    pub added: f64,
    /// Microseconds for an aggregator's pieces of an opening.
    pub pieces: f64,
    /// Microseconds for the sink to open a sum from four aggregators.
    pub open: f64,
}

/// A sum of many load vectors beside the plaintext's.
#[derive(Clone, Copy, Debug)]
pub struct Sum {
    /// How many were summed.
    pub meters: usize,
    /// Whether every value is equal.
    pub exact: bool,
    /// Seconds it took, keys and deals included.
    pub seconds: f64,
}

/// All that was measured.
#[derive(Clone, Debug)]
pub struct GridCosts {
    /// The steps.
    pub steps: Steps,
    /// Sums.
    pub sums: Vec<Sum>,
    /// Villages by how many meters they have.
    pub by_meters: Vec<Account>,
    /// Villages by slots a batch.
    pub by_batch: Vec<Account>,
}

/// Measures everything. `largest` is how many load vectors the largest sum has.
///
/// # Errors
///
/// If a step fails.
pub fn run(largest: usize) -> anyhow::Result<GridCosts> {
    let mut bench = Bench::new()?;
    let steps = bench.steps()?;
    let sizes = [13, 48, 1_000, largest];
    let sums = sizes.into_iter().filter(|size| *size <= largest).map(|size| bench.sum(size));
    let sums = sums.collect::<anyhow::Result<Vec<_>>>()?;
    let village = |meters, batch| village::run(meters, batch, GROUP);
    let sizes = METERS.into_iter().filter(|size| *size <= largest.max(20));
    Ok(GridCosts {
        steps,
        sums,
        by_meters: sizes.map(|meters| village(meters, TYPICAL.1)).collect::<anyhow::Result<_>>()?,
        by_batch: BATCHES
            .into_iter()
            .map(|batch| village(TYPICAL.0, batch))
            .collect::<anyhow::Result<_>>()?,
    })
}

/// A roster to measure with.
struct Bench {
    deployment: Deployment,
    slot: SlotLength,
    day: SlotRange,
    rng: StdRng,
}

impl Bench {
    fn new() -> anyhow::Result<Self> {
        let mut rng = host::entropy()?;
        let slot = SlotLength::try_from(900)?;
        let plan = Plan {
            name: "bench".into(),
            aggregators: 4,
            threshold: 2,
            suite: Suite::X25519,
            slot,
            policy: Policy::production(),
            homes: vec!["home".into()],
            group: 1,
            valid_from: Timestamp(0),
            valid_to: Timestamp(u64::MAX),
        };
        let deployment = Deployment::create(&plan, &mut rng)?;
        let day = SlotRange::new(Slot(1_963_968), Slot(1_964_064))?;
        Ok(Self { deployment, slot, day, rng })
    }

    fn key(&mut self) -> GridKey {
        let mut seed = Zeroizing::new([0; 32]);
        self.rng.fill_bytes(&mut *seed);
        GridKey::from_seed(&seed)
    }

    fn loads(&mut self) -> anyhow::Result<Loads> {
        let energies = (0..self.day.len()).map(|_| i64::from(self.rng.next_u32() % 4_000)).collect();
        Loads::new(energies, 3).ok_or_else(|| anyhow::anyhow!("loads are within their bounds"))
    }

    fn steps(&mut self) -> anyhow::Result<Steps> {
        const TIMES: u32 = 200;
        let (roster, day) = (self.deployment.roster.clone(), self.day);
        let (key, loads) = (self.key(), self.loads()?);
        let mut times = |act: &mut dyn FnMut(&mut StdRng)| {
            let mut best = f64::INFINITY;
            for _ in 0..TIMES {
                let began = Instant::now();
                act(&mut self.rng);
                best = best.min(micros(began.elapsed()));
            }
            best
        };
        let encrypt = times(&mut |rng| drop(key.encrypt(&loads, day, &roster, rng)));
        let deal = times(&mut |rng| drop(key.deal(&roster, rng)));
        let bytes = key.encrypt(&loads, day, &roster, &mut self.rng);
        let began = Instant::now();
        let mut total = Total::default();
        let added: u32 = 5_000;
        for _ in 0..added {
            total.add(&Vector::parse(&bytes, day, &roster)?)?;
        }
        let added = f64::from(added) / began.elapsed().as_secs_f64();
        let mut total = Total::default();
        total.add(&Vector::parse(&bytes, day, &roster)?)?;
        let dealt = key.deal(&roster, &mut self.rng);
        let (mut pieces, mut of_one) = (std::collections::BTreeMap::new(), f64::INFINITY);
        for (point, dealt) in roster.points().into_iter().zip(&dealt) {
            let shares = KeyShares::parse(dealt, &roster, point)?;
            let began = Instant::now();
            let piece = shares.pieces(&total, day, &roster, &mut self.rng);
            of_one = of_one.min(micros(began.elapsed()));
            pieces.extend(piece.map(|piece| (point, piece)));
        }
        let began = Instant::now();
        open(&pieces, day, &roster)?;
        let open = micros(began.elapsed());
        Ok(Steps { encrypt, deal, bytes: bytes.len(), added, pieces: of_one, open })
    }

    /// Keys, deals, load vectors, their sum, its opening: and whether it is the plaintext's.
    fn sum(&mut self, meters: usize) -> anyhow::Result<Sum> {
        let began = Instant::now();
        let (roster, day) = (self.deployment.roster.clone(), self.day);
        let points = roster.points();
        let mut shares: Vec<KeyShares> =
            points.iter().map(|point| KeyShares::zero(&roster, *point)).collect();
        let mut total = Total::default();
        let mut truth = vec![0_i128; Layout::new(day.len()).len()];
        for _ in 0..meters {
            let (key, loads) = (self.key(), self.loads()?);
            for (sum, value) in truth.iter_mut().zip(loads.to_vector(self.slot).iter()) {
                *sum += i128::from(*value);
            }
            let bytes = key.encrypt(&loads, day, &roster, &mut self.rng);
            total.add(&Vector::parse(&bytes, day, &roster)?)?;
            for ((sum, dealt), point) in shares.iter_mut().zip(key.deal(&roster, &mut self.rng)).zip(&points)
            {
                sum.add(&KeyShares::parse(&dealt, &roster, *point)?);
            }
        }
        let pieces = points.iter().zip(&shares).filter_map(|(point, shares)| {
            Some((*point, shares.pieces(&total, day, &roster, &mut self.rng)?))
        });
        let opened = open(&pieces.collect(), day, &roster)?;
        Ok(Sum { meters, exact: opened.values == truth, seconds: began.elapsed().as_secs_f64() })
    }
}

impl GridCosts {
    /// Whether every sum and every village's day was exact.
    pub fn exact(&self) -> bool {
        self.sums.iter().all(|sum| sum.exact)
            && self.by_meters.iter().chain(&self.by_batch).all(|account| account.exact)
    }

    /// For a program.
    pub fn to_json(&self) -> Value {
        let Steps { encrypt, deal, bytes, added, pieces, open } = self.steps;
        let sums: Vec<Value> = self
            .sums
            .iter()
            .map(|sum| json!({ "meters": sum.meters, "exact": sum.exact, "seconds": sum.seconds }))
            .collect();
        let of = |accounts: &[Account]| accounts.iter().map(row).collect::<Vec<Value>>();
        json!({
            "mode": "sum",
            "steps": {
                "meter_encrypts_a_day_us": encrypt, "meter_deals_its_key_us": deal, "ciphertext_bytes": bytes,
                "aggregator_adds_a_second": added, "aggregator_pieces_us": pieces, "sink_opens_us": open,
            },
            "sums": sums,
            "by_meters": of(&self.by_meters),
            "by_batch": of(&self.by_batch),
            "by_interval": self.intervals().map(|(seconds, share)| {
                json!({ "seconds_between_readings": seconds, "meters": TYPICAL.0, "share_of_a_core": share })
            }).collect::<Vec<Value>>(),
            "published": {
                "readings_a_minute_at_20_meters": PUBLISHED.0,
                "ms_a_reading_at_batch_20": [PUBLISHED.1, PUBLISHED.2],
            },
        })
    }

    /// What share of one core the typical village takes, all roles, if a reading comes every so many seconds.
    fn intervals(&self) -> impl Iterator<Item = (u64, f64)> {
        let typical = self.by_meters.iter().find(|account| account.meters == TYPICAL.0);
        let micros = typical.map_or(f64::NAN, Account::micros_a_reading);
        let meters = float(TYPICAL.0 as u64);
        INTERVALS.into_iter().map(move |seconds| (seconds, meters / float(seconds) * micros / 1e6))
    }
}

fn row(account: &Account) -> Value {
    json!({
        "meters": account.meters,
        "batch_slots": account.batch,
        "readings": account.readings,
        "readings_a_second_a_core": account.readings_a_second(),
        "messages_a_second_a_core": account.messages_a_second(),
        "bytes_a_meter_day": account.bytes_a_meter_day(),
        "bytes_a_key_deal": account.bytes_a_deal(),
        "us_a_reading": {
            "meter": micros(account.of_meters.busy) / float(account.readings),
            "each_aggregator":
                micros(account.of_aggregators.busy) / float(account.readings) / float(account.aggregators as u64),
            "sink": micros(account.of_sink.busy) / float(account.readings),
        },
        "exact": account.exact,
    })
}

impl fmt::Display for GridCosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Steps { encrypt, deal, bytes, added, pieces, open } = self.steps;
        writeln!(
            f,
            "mode sum: 4 aggregators, any 2 open a sum; a day of quarter-hours, {bytes} bytes a ciphertext\n"
        )?;
        writeln!(f, "  a meter encrypts a day's loads            {encrypt:>9.0} µs")?;
        writeln!(f, "  a meter deals its key, once a roster      {deal:>9.0} µs")?;
        writeln!(f, "  an aggregator adds                        {added:>9.0} meter-days a second")?;
        writeln!(f, "  an aggregator's pieces of an opening      {pieces:>9.0} µs")?;
        writeln!(f, "  the sink opens a sum                      {open:>9.0} µs")?;
        let deal = self.by_batch.first().map_or(0, Account::bytes_a_deal);
        writeln!(f, "  bytes of a key deal, once a roster        {deal:>9}\n")?;
        writeln!(f, "  sums beside the plaintext's, keys and deals included")?;
        for Sum { meters, exact, seconds } in &self.sums {
            let verdict = if *exact { "equal" } else { "DIFFERENT" };
            writeln!(f, "  {meters:>8} meters   {verdict}   {seconds:>7.1} s")?;
        }
        writeln!(
            f,
            "\n  a day of a village in memory, on one core: shares, load vectors, receipts, one opening a group\n  \
             meters  batch   readings/s   messages/s   bytes/meter-day   µs a reading: meter  aggregator   sink"
        )?;
        for account in self.by_meters.iter().chain(&self.by_batch) {
            let of = |work: village::Work| micros(work.busy) / float(account.readings);
            writeln!(
                f,
                "  {:>6} {:>6} {:>12.0} {:>12.0} {:>17} {:>20.1} {:>11.1} {:>6.1}  {}",
                account.meters,
                account.batch,
                account.readings_a_second(),
                account.messages_a_second(),
                account.bytes_a_meter_day(),
                of(account.of_meters),
                of(account.of_aggregators) / float(account.aggregators as u64),
                of(account.of_sink),
                if account.exact { "exact" } else { "NOT EXACT" }
            )?;
        }
        writeln!(f, "\n  {} meters, batches of {}: share of one core, all roles", TYPICAL.0, TYPICAL.1)?;
        for (seconds, share) in self.intervals() {
            writeln!(f, "  a reading every {seconds:>2} s   {:>6.2} %", share * 100.0)?;
        }
        let (minute, low, high) = PUBLISHED;
        let of =
            |accounts: &[Account], found: &dyn Fn(&&Account) -> bool| accounts.iter().find(found).cloned();
        if let Some(twenty) = of(&self.by_meters, &|account| account.meters == 20) {
            let ours = twenty.readings_a_second() * 60.0;
            writeln!(
                f,
                "\n  published by the student system, on its own machine: {minute:.0} readings a minute at 20 meters; \
                 here {ours:.0}: {:.0} times",
                ours / minute
            )?;
        }
        if let Some(batch) = of(&self.by_batch, &|account| account.batch == 20) {
            let ours = batch.micros_a_reading() / 1e3;
            writeln!(
                f,
                "  published: {low:.0} to {high:.0} ms a reading in batches of 20; here {ours:.2} ms, four aggregators and \
                 the sink included"
            )?;
        }
        Ok(())
    }
}
