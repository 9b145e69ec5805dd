//! The three suites of the benches: by meters, by seconds between readings, by slots a batch. A student system that this one grew out of
//! measured itself by the same three.

use std::fmt;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use serde_json::{Value, json};

use crate::account::Account;

/// Meters, seconds between readings, slots a batch.
const METERS: [usize; 6] = [2, 5, 10, 20, 100, 1_000];
const INTERVALS: [u32; 4] = [1, 5, 10, 30];
const BATCHES: [u32; 4] = [1, 5, 10, 20];

/// What does not vary in a suite: meters, slots a batch, seconds between readings. Quarter-hours are what real meters have.
const TYPICAL: (usize, u32, u32) = (20, 10, 900);

/// What the student system published, on a machine of its own: readings a minute for 20 meters; milliseconds a reading in batches of 20.
const PUBLISHED: (f64, f64, f64) = (7_500.0, 50.0, 80.0);

/// Which numbers vary.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Suite {
    /// 2, 5, 10, 20, 100 and 1,000 meters
    Meters,
    /// A reading every 1, 5, 10 and 30 seconds
    Intervals,
    /// Batches of 1, 5, 10 and 20 readings
    Batches,
}

/// What a row is to measure.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Shape {
    /// Meters.
    pub meters: usize,
    /// Slots a batch.
    pub batch: u32,
    /// Seconds between readings.
    pub interval: u32,
    /// Slots that every meter measures, at least.
    pub slots: u32,
}

/// A suite that was measured.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Which one.
    pub suite: Suite,
    /// Its rows.
    pub rows: Vec<Account>,
    /// What it took.
    pub took: Duration,
}

impl Suite {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Meters, Self::Intervals, Self::Batches];

    /// This suite, or all of them.
    pub fn chosen(one: Option<Self>) -> Vec<Self> {
        one.map_or_else(|| Self::ALL.to_vec(), |one| vec![one])
    }

    /// The rows, of up to `largest` meters. A row has `slots` slots of each meter, and in the suite of intervals those of
    /// `seconds` seconds if these are more.
    pub fn shapes(self, largest: usize, slots: u32, seconds: u32) -> Vec<Shape> {
        let (meters, batch, interval) = TYPICAL;
        let typical = Shape { meters, batch, interval, slots };
        match self {
            Self::Meters => {
                let sizes = METERS.into_iter().filter(|size| *size <= largest.max(meters));
                sizes.map(|meters| Shape { meters, ..typical }).collect()
            }
            Self::Intervals => INTERVALS
                .into_iter()
                .map(|interval| Shape { interval, slots: slots.max(seconds / interval), ..typical })
                .collect(),
            Self::Batches => BATCHES.into_iter().map(|batch| Shape { batch, ..typical }).collect(),
        }
    }

    /// Measures every row.
    ///
    /// # Errors
    ///
    /// If a row fails.
    pub fn measure(
        self,
        shapes: Vec<Shape>,
        measure: impl FnMut(Shape) -> anyhow::Result<Account>,
    ) -> anyhow::Result<Measured> {
        let began = Instant::now();
        let rows = shapes.into_iter().map(measure).collect::<anyhow::Result<_>>()?;
        Ok(Measured { suite: self, rows, took: began.elapsed() })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Meters => "meters",
            Self::Intervals => "intervals",
            Self::Batches => "batches",
        }
    }
}

impl Measured {
    /// Whether all that was released is the plaintext's.
    pub fn exact(&self) -> bool {
        self.rows.iter().all(|row| row.exact)
    }

    /// For a program.
    pub fn to_json(&self) -> Value {
        let rows: Vec<Value> = self.rows.iter().map(Account::to_json).collect();
        json!({ "suite": self.suite.name(), "seconds": self.took.as_secs_f64(), "rows": rows })
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "suite {}, measured in {:.1} s", self.suite.name(), self.took.as_secs_f64())?;
        writeln!(f, "{}", Account::HEAD)?;
        for row in &self.rows {
            writeln!(f, "{}", row.to_row())?;
        }
        writeln!(f)
    }
}

/// The published figures beside ours.
#[derive(Clone, Copy, Debug)]
pub struct Beside<'a>(pub &'a [Measured]);

impl Beside<'_> {
    fn find(self, found: impl Fn(&&Account) -> bool) -> Option<f64> {
        let row = self.0.iter().flat_map(|suite| &suite.rows).find(found);
        row.map(Account::micros_a_reading)
    }

    /// Readings a minute at 20 meters in the usual batches.
    fn minute(self) -> Option<f64> {
        let typical = |row: &&Account| (row.meters, row.batch, row.interval) == TYPICAL;
        self.find(typical).map(|micros| 60e6 / micros)
    }

    /// Milliseconds of all roles a reading in batches of 20.
    fn batch_of_20(self) -> Option<f64> {
        self.find(|row| row.batch == 20).map(|micros| micros / 1e3)
    }

    /// For a program.
    pub fn to_json(self) -> Value {
        json!({
            "readings_a_minute_at_20_meters": { "published": PUBLISHED.0, "here": self.minute() },
            "ms_a_reading_at_batch_20": { "published": [PUBLISHED.1, PUBLISHED.2], "here": self.batch_of_20() },
        })
    }
}

impl fmt::Display for Beside<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (published, low, high) = PUBLISHED;
        if let Some(ours) = self.minute() {
            writeln!(
                f,
                "published by the student system, on a machine of its own: {published:.0} readings a minute at 20 meters;\n  \
                 here, one core for all roles: {ours:.0}, {:.0} times that",
                ours / published
            )?;
        }
        if let Some(ours) = self.batch_of_20() {
            writeln!(
                f,
                "published: {low:.0} to {high:.0} ms a reading in batches of 20;\n  here {ours:.2} ms, four aggregators and the sink \
                 included"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every number of the three suites is a row, and the suite of intervals measures as long as it says.
    #[test]
    fn suites_have_their_rows() {
        let of = |suite: Suite| suite.shapes(1_000, 20, 600);
        assert!(of(Suite::Meters).iter().map(|row| row.meters).eq(METERS));
        assert_eq!(Suite::Meters.shapes(5, 20, 600).len(), 4, "20 meters are in every suite");
        assert!(of(Suite::Batches).iter().map(|row| row.batch).eq(BATCHES));
        let intervals: Vec<_> = of(Suite::Intervals).iter().map(|row| (row.interval, row.slots)).collect();
        assert_eq!(intervals, [(1, 600), (5, 120), (10, 60), (30, 20)]);
    }
}
