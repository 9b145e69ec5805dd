//! What analytics under encryption cost (mode `levelled`): a key, a ciphertext on its way, evaluation and opening; by slots a
//! ciphertext, seconds an interval, and meters.
//!
//! A ciphertext costs the same whatever it holds, so the tables follow from one measured way of a ciphertext and from evaluations
//! that were really done.

use std::fmt;

use grid::levelled::accuracy::{Accuracy, Extent};
use grid::levelled::setup::Setup;
use protocol::analysis::function::Function;
use protocol::analysis::plan::{Plan, Profile};
use protocol::id::QueryId;
use serde_json::{Value, json};

use crate::levelled::{Shape, Town, Work};

/// Slots a ciphertext.
pub const BATCHES: [u32; 4] = [1, 5, 10, 20];

/// Seconds an interval.
pub const INTERVALS: [u32; 4] = [1, 5, 10, 30];

/// Meters in a set.
pub const METERS: [usize; 6] = [2, 5, 10, 20, 100, 1_000];

/// The way of a ciphertext, by slots in it.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// Slots in a ciphertext.
    pub batch: u32,
    /// Messages a ciphertext.
    pub messages: f64,
    /// Bytes a ciphertext, words back from four aggregators included.
    pub bytes: f64,
    /// Microseconds of a meter's processor a ciphertext, its sealed shares included.
    pub meter: f64,
    /// Microseconds of one aggregator's processor a ciphertext, its sealed shares included.
    pub aggregator: f64,
}

/// A set of so many meters.
#[derive(Clone, Copy, Debug)]
pub struct Set {
    /// Meters.
    pub meters: usize,
    /// Milliseconds of one aggregator's processor for a sum of one window, and for a variance; opening included.
    pub millis: [f64; 2],
    /// The deviation of a sum's slot in watt-hours at a full scale of 8,192 Wh.
    pub error: f64,
}

/// All that was measured.
#[derive(Clone, Debug)]
pub struct LevelledCosts {
    /// Which parameters.
    pub profile: &'static str,
    /// The making of a key: processor time of all in seconds, messages, megabytes.
    pub key: (f64, u64, f64),
    /// Ciphertexts on their way.
    pub ways: Vec<Way>,
    /// Sets that were evaluated.
    pub sets: Vec<Set>,
}

/// Measures everything; sets of up to `largest` meters.
///
/// # Errors
///
/// If a step fails.
pub fn run(profile: Profile, largest: usize) -> anyhow::Result<LevelledCosts> {
    let mut key = (0.0, 0, 0.0);
    let mut ways = Vec::new();
    for batch in BATCHES {
        let mut town = Town::new(Shape { profile, group: 2, batch, window: 20 }, 5)?;
        town.make_key()?;
        let made = town.work;
        #[expect(clippy::cast_precision_loss, reason = "a few megabytes")]
        let megabytes = made.bytes as f64 / 1e6;
        key = ((made.meters + made.aggregators + made.sink).as_secs_f64(), made.messages, megabytes);
        town.measure()?;
        let ciphertexts = f64::from(20 / batch) * float(town.homes());
        ways.push(way(batch, made, town.work, ciphertexts));
    }
    let mut sets = Vec::new();
    for meters in METERS.into_iter().filter(|meters| *meters <= largest) {
        sets.push(set(profile, meters)?);
    }
    Ok(LevelledCosts { profile: profile.name(), key, ways, sets })
}

fn way(batch: u32, before: Work, after: Work, ciphertexts: f64) -> Way {
    let micros = |before: std::time::Duration, after: std::time::Duration| {
        (after - before).as_secs_f64() * 1e6 / ciphertexts
    };
    #[expect(clippy::cast_precision_loss, reason = "counts of one run")]
    let each = |before: u64, after: u64| (after - before) as f64 / ciphertexts;
    Way {
        batch,
        messages: each(before.messages, after.messages),
        bytes: each(before.bytes, after.bytes),
        meter: micros(before.meters, after.meters),
        aggregator: micros(before.aggregators, after.aggregators) / 4.0,
    }
}

/// Releases a sum and, where there is one, a variance of so many meters.
fn set(profile: Profile, meters: usize) -> anyhow::Result<Set> {
    let mut town = Town::new(Shape { profile, group: meters, batch: 20, window: 20 }, 6)?;
    let key = town.make_key()?;
    town.measure()?;
    let mut millis = [0.0; 2];
    for (millis, function) in millis.iter_mut().zip([Function::Sum, Function::Variance]) {
        if profile == Profile::Light && function == Function::Variance {
            continue;
        }
        let before = town.work.aggregators;
        town.find(key, function, &[1])?;
        // two aggregators evaluate and open, four take part
        *millis = (town.work.aggregators - before).as_secs_f64() * 1e3 / 2.0;
    }
    let plan = Plan {
        nonce: QueryId::from([0; 16]),
        profile,
        full_scale: 8_192,
        window: 20,
        k: 2,
        log_openings: 10,
        smudging_bits: 40,
    };
    let extent = Extent { members: meters, uploads: meters, most: 1 };
    let error = Accuracy::of(&Setup::new(&plan)?, &Function::Sum, &[extent])?.outputs()[0].error();
    Ok(Set { meters, millis, error })
}

#[expect(clippy::cast_precision_loss, reason = "a few thousand")]
fn float(count: usize) -> f64 {
    count as f64
}

impl Way {
    /// Ciphertexts that one aggregator's core takes a second.
    pub fn rate(&self) -> f64 {
        1e6 / self.aggregator
    }

    /// Megabytes up a meter-day at intervals of so many seconds.
    pub fn megabytes_a_day(&self, interval: u32) -> f64 {
        self.ciphertexts_a_day(interval) * self.bytes / 1e6
    }

    /// Seconds of a meter's processor a day.
    pub fn meter_seconds_a_day(&self, interval: u32) -> f64 {
        self.ciphertexts_a_day(interval) * self.meter / 1e6
    }

    fn ciphertexts_a_day(&self, interval: u32) -> f64 {
        86_400.0 / f64::from(interval * self.batch)
    }
}

impl LevelledCosts {
    /// For programs.
    pub fn to_json(&self) -> Value {
        let ways: Vec<Value> = self
            .ways
            .iter()
            .map(|way| {
                let days: Vec<Value> = INTERVALS
                    .iter()
                    .map(|interval| {
                        json!({
                            "interval_s": interval,
                            "megabytes_a_meter_day": way.megabytes_a_day(*interval),
                            "meter_seconds_a_day": way.meter_seconds_a_day(*interval),
                            "meters_an_aggregator_core": way.rate() * f64::from(interval * way.batch),
                        })
                    })
                    .collect();
                json!({
                    "batch": way.batch, "messages": way.messages, "bytes": way.bytes,
                    "meter_micros": way.meter, "aggregator_micros": way.aggregator,
                    "readings_a_minute": 60.0 * way.rate() * f64::from(way.batch), "intervals": days,
                })
            })
            .collect();
        let sets: Vec<Value> = self
            .sets
            .iter()
            .map(|set| {
                json!({
                    "meters": set.meters, "sum_millis": set.millis[0], "variance_millis": set.millis[1],
                    "sum_deviation_wh": set.error,
                })
            })
            .collect();
        json!({
            "profile": self.profile, "key_seconds": self.key.0, "key_messages": self.key.1,
            "key_megabytes": self.key.2, "ciphertexts": ways, "sets": sets,
        })
    }
}

impl fmt::Display for LevelledCosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, messages, megabytes) = self.key;
        writeln!(f, "Mode levelled, profile {}, n = 4, t = 2\n", self.profile)?;
        writeln!(
            f,
            "a collective key: {seconds:.1} s of processor in all, {messages} messages, {megabytes:.1} MB\n"
        )?;
        writeln!(f, "slots  messages     bytes  meter µs  aggregator µs  ciphertexts/s  readings/min")?;
        for way in &self.ways {
            let Way { batch, messages, bytes, meter, aggregator } = way;
            let (rate, minute) = (way.rate(), 60.0 * way.rate() * f64::from(*batch));
            writeln!(
                f,
                "{batch:>5}  {messages:>8.1}  {bytes:>8.0}  {meter:>8.0}  {aggregator:>13.0}  {rate:>13.0}  {minute:>12.0}"
            )?;
        }
        writeln!(f, "\nslots  interval  MB/meter-day  meter s/day  meters a core")?;
        for way in &self.ways {
            for interval in INTERVALS {
                let (size, time) = (way.megabytes_a_day(interval), way.meter_seconds_a_day(interval));
                let meters = way.rate() * f64::from(interval * way.batch);
                writeln!(f, "{:>5}  {interval:>6} s  {size:>12.1}  {time:>11.1}  {meters:>13.0}", way.batch)?;
            }
        }
        writeln!(f, "\nmeters  sum ms  variance ms  deviation of a sum, Wh")?;
        for set in &self.sets {
            let [sum, variance] = set.millis;
            writeln!(f, "{:>6}  {sum:>6.0}  {variance:>11.0}  {:>22.2}", set.meters, set.error)?;
        }
        Ok(())
    }
}
