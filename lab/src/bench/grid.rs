//! What the grid path costs in mode `sum`: each step, a day of villages of many sizes, and how exact it all is.

use std::fmt;
use std::time::Instant;

use grid::sum::{GridKey, KeyShares, Layout, Loads, Total, Vector, open};
use protocol::hpke_box;
use protocol::policy::Policy;
use protocol::unit::{Slot, SlotLength, SlotRange, Timestamp};
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::suite::{Beside, Measured, Suite};
use super::village;
use crate::account::micros;
use deployment::{Deployment, Plan};

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
    /// Days of villages.
    pub suites: Vec<Measured>,
}

/// Seconds of readings in the suite of intervals.
const SPAN: u32 = 600;

/// Measures steps, sums of up to `largest` load vectors, and one suite or all of them, of up to so many meters.
///
/// # Errors
///
/// If a step fails.
pub fn run(largest: usize, suite: Option<Suite>) -> anyhow::Result<GridCosts> {
    let mut bench = Bench::new()?;
    let steps = bench.steps()?;
    // a suite by itself has the sums of its own villages
    let sizes = if suite.is_some() { vec![13] } else { vec![13, 48, 1_000, largest] };
    let sums = sizes.into_iter().filter(|size| *size <= largest).map(|size| bench.sum(size));
    let sums = sums.collect::<anyhow::Result<Vec<_>>>()?;
    let measure =
        |suite: Suite| suite.measure(suite.shapes(largest, 96, SPAN), |shape| village::run(shape, GROUP));
    let suites = Suite::chosen(suite).into_iter().map(measure).collect::<anyhow::Result<_>>()?;
    Ok(GridCosts { steps, sums, suites })
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
        let mut rng = runtime::entropy()?;
        let slot = SlotLength::try_from(900)?;
        let plan = Plan {
            name: "bench".into(),
            aggregators: 4,
            threshold: 2,
            suite: hpke_box::Suite::X25519,
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
        self.sums.iter().all(|sum| sum.exact) && self.suites.iter().all(Measured::exact)
    }

    /// For a program.
    pub fn to_json(&self) -> Value {
        let Steps { encrypt, deal, bytes, added, pieces, open } = self.steps;
        let sums: Vec<Value> = self
            .sums
            .iter()
            .map(|sum| json!({ "meters": sum.meters, "exact": sum.exact, "seconds": sum.seconds }))
            .collect();
        json!({
            "bench": "grid",
            "steps": {
                "meter_encrypts_a_day_us": encrypt, "meter_deals_its_key_us": deal, "ciphertext_bytes": bytes,
                "aggregator_adds_a_second": added, "aggregator_pieces_us": pieces, "sink_opens_us": open,
            },
            "sums": sums,
            "suites": self.suites.iter().map(Measured::to_json).collect::<Vec<Value>>(),
            "published": Beside(&self.suites).to_json(),
        })
    }
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
        let deal = self
            .suites
            .iter()
            .flat_map(|suite| &suite.rows)
            .map(crate::account::Account::bytes_a_deal)
            .next();
        writeln!(f, "  bytes of a key deal, once a roster        {:>9}\n", deal.unwrap_or(0))?;
        writeln!(f, "  sums beside the plaintext's, keys and deals included")?;
        for Sum { meters, exact, seconds } in &self.sums {
            let verdict = if *exact { "equal" } else { "DIFFERENT" };
            writeln!(f, "  {meters:>8} meters   {verdict}   {seconds:>7.1} s")?;
        }
        writeln!(
            f,
            "\nDays of villages in memory, on one core for all roles: shares, load vectors, receipts, one opening a group and day\n"
        )?;
        for suite in &self.suites {
            write!(f, "{suite}")?;
        }
        write!(f, "{}", Beside(&self.suites))
    }
}
