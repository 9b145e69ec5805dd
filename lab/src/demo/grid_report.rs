//! What the grid path gave, and how it is shown.

use std::collections::BTreeMap;
use std::fmt;

use grid::sum::{SlotStatistics, bin_name};
use serde_json::{Value, json};

use super::report::{WIDTH, draw, table};

/// The largest relative error of a variance beside the plaintext's: both are computed in floating point from exact sums.
const VARIANCE: f64 = 1e-6;

/// Lines of a drawn curve.
const HEIGHT: usize = 6;

/// A group's days beside the plaintext.
#[derive(Clone, Debug, Default)]
pub struct GroupRow {
    /// The group.
    pub group: String,
    /// Its members.
    pub members: usize,
    /// Days released.
    pub days: usize,
    /// Slots released.
    pub slots: usize,
    /// Days on which shares and ciphertexts agree.
    pub agreeing: usize,
    /// Slots whose sum equals the plaintext's, by the shares and by the ciphertexts.
    pub by_shares: usize,
    /// As before.
    pub by_ciphertexts: usize,
    /// Slots whose sum of squares equals the plaintext's.
    pub squares: usize,
    /// The largest relative error of a variance.
    pub variance_off: f64,
    /// The curve, Wh a slot.
    pub curve: Vec<i64>,
    /// Standard deviation across the members, Wh, one a slot.
    pub deviations: Vec<i64>,
    /// Wh of all days.
    pub total: i64,
    /// The bin of the median mean power of each day, in watts.
    pub medians: Vec<(u32, Option<u32>)>,
    /// The bin of the highest slot of each day.
    pub highest: Vec<(u32, Option<u32>)>,
}

impl GroupRow {
    /// Whether everything equals the plaintext.
    pub fn exact(&self) -> bool {
        self.days > 0
            && self.agreeing == self.days
            && [self.by_shares, self.by_ciphertexts, self.squares].iter().all(|equal| *equal == self.slots)
            && self.variance_off <= VARIANCE
    }
}

/// What the act on the grid path found.
#[derive(Clone, Debug)]
pub struct GridReport {
    /// n, t, Q.
    pub roster: (usize, usize, usize),
    /// Who was killed before anything was released, and stayed down.
    pub killed: Option<String>,
    /// The groups.
    pub groups: Vec<GroupRow>,
    /// What one aggregator makes of its own pieces: the correlation with the truth, over how many values.
    pub alone: (f64, usize),
    /// Messages and bytes by what they are.
    pub carried: BTreeMap<&'static str, (u64, u64)>,
    /// Meters times days.
    pub meter_days: usize,
    /// How long it took.
    pub seconds: f64,
}

impl GridReport {
    /// Whether every claim held.
    pub fn held(&self) -> bool {
        !self.groups.is_empty()
            && self.groups.iter().all(GroupRow::exact)
            && (self.roster.1 == 1 || self.alone.1 > 0 && self.alone.0.abs() < self.chance())
    }

    /// What chance alone exceeds once in 30,000 runs.
    #[expect(clippy::cast_precision_loss, reason = "a count of values is far below 2^52")]
    fn chance(&self) -> f64 {
        4.2 / (self.alone.1.max(1) as f64).sqrt()
    }

    /// Bytes of a load vector to one aggregator, on average.
    fn vector_bytes(&self) -> u64 {
        let (messages, bytes) = self.carried.get("load vectors").copied().unwrap_or_default();
        bytes / messages.max(1)
    }

    /// The report for a program.
    pub fn to_json(&self) -> Value {
        let groups: Vec<Value> = self
            .groups
            .iter()
            .map(|row| {
                json!({
                    "group": row.group,
                    "members": row.members,
                    "days": row.days,
                    "slots": row.slots,
                    "agreeing_days": row.agreeing,
                    "equal_by_shares": row.by_shares,
                    "equal_by_ciphertexts": row.by_ciphertexts,
                    "equal_squares": row.squares,
                    "largest_relative_error_of_a_variance": row.variance_off,
                    "total_wh": row.total,
                })
            })
            .collect();
        json!({
            "killed": self.killed,
            "groups": groups,
            "one_aggregator_alone": { "values": self.alone.1, "correlation": self.alone.0 },
            "bytes_of_a_load_vector": self.vector_bytes(),
            "seconds": self.seconds,
            "held": self.held(),
        })
    }
}

impl fmt::Display for GridReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "THE GRID PATH: 48 synthetic homes, a winter week, opened from ciphertexts")?;
        if let Some(killed) = &self.killed {
            writeln!(f, "  {killed} was killed half-way through the replay, and stayed down.")?;
        }
        writeln!(f, "  Slots equal to the plaintext by shares, by ciphertexts, and in their squares:")?;
        let row = |row: &GroupRow| {
            vec![
                row.group.clone(),
                row.days.to_string(),
                row.by_shares.to_string(),
                row.by_ciphertexts.to_string(),
                row.squares.to_string(),
                row.total.to_string(),
                bin(row.medians.last()),
                bin(row.highest.last()),
                if row.exact() { "equal" } else { "DIFFERENT" }.to_owned(),
            ]
        };
        let header = ["group", "days", "shares", "ciph.", "squares", "Wh", "median W", "peak W", ""];
        write!(f, "{}", table(&header, 1, self.groups.iter().map(row)))?;
        if let Some(row) = self.groups.first() {
            let most = row.curve.iter().max().copied().unwrap_or(0);
            writeln!(f, "  Load of {} over the week, at most {most} Wh a slot:", row.group)?;
            for line in draw(&row.curve, usize::from(WIDTH) - 4, HEIGHT) {
                writeln!(f, "{}", format!("    {line}").trim_end())?;
            }
            let deviation = row.deviations.iter().max().copied().unwrap_or(0);
            writeln!(f, "  Standard deviation across its homes: at most {deviation} Wh in a slot.")?;
        }
        let (correlation, values) = self.alone;
        writeln!(
            f,
            "  One aggregator alone has noise: correlation {correlation:+.4} over {values} values\n  \
             (by chance below {:.4}).",
            self.chance()
        )?;
        writeln!(
            f,
            "  {} meter-days; a load vector is {} bytes to each aggregator; in {:.1} s.\n",
            self.meter_days,
            self.vector_bytes(),
            self.seconds
        )
    }
}

/// A day's bin, if there is one.
fn bin(edges: Option<&(u32, Option<u32>)>) -> String {
    edges.copied().map_or_else(|| "-".to_owned(), bin_name)
}

/// A standard deviation to the whole watt-hour.
#[expect(clippy::cast_possible_truncation, reason = "a slot has at most 2^15 Wh")]
pub(super) fn whole_deviation(slot: &SlotStatistics) -> i64 {
    slot.deviation().round() as i64
}
