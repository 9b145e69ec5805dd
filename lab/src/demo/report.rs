//! What a demonstration found, and how it is shown.

use std::collections::BTreeMap;
use std::fmt;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use protocol::policy::Policy;
use protocol::rule::Rule;
use protocol::shamir::Point;
use protocol::unit::Amount;
use serde_json::{Value, json};

use super::grid_report::GridReport;
use super::levelled_act::LevelledReport;

/// A home's bill next to the oracle's.
#[derive(Clone, Debug)]
pub struct BillRow {
    /// The home.
    pub home: String,
    /// Watt-hours billed.
    pub energy: Option<i64>,
    /// The price by the flat tariff.
    pub flat: Option<Amount>,
    /// The price by time of use.
    pub time_of_use: Option<Amount>,
    /// How far the slots' sum is from the register difference.
    pub unaccounted: Option<i64>,
    /// The oracle's watt-hours, flat price and time-of-use price in 10^−8.
    pub oracle: (i64, i64, i64),
}

impl BillRow {
    /// Whether it is equal to the watt-hour and to 10^−8 of the currency unit.
    pub fn exact(&self) -> bool {
        let (energy, flat, time_of_use) = self.oracle;
        self.energy == Some(energy)
            && self.flat == Some(Amount(flat))
            && self.time_of_use == Some(Amount(time_of_use))
            && self.unaccounted == Some(0)
    }
}

/// The groups' curve next to the oracle's.
#[derive(Clone, Debug)]
pub struct CurveRow {
    /// Watt-hours a slot, released.
    pub released: Vec<i64>,
    /// Watt-hours a slot, by the oracle.
    pub oracle: Vec<i64>,
}

impl CurveRow {
    /// Slots that are equal.
    pub fn equal(&self) -> usize {
        self.released.iter().zip(&self.oracle).filter(|(a, b)| a == b).count()
    }

    /// Whether all are.
    pub fn exact(&self) -> bool {
        self.released == self.oracle
    }
}

/// A crash, a lie or an attack, and what came of it.
#[derive(Clone, Debug)]
pub struct Act {
    /// What was done.
    pub name: String,
    /// The rule that refused it.
    pub rule: Option<Rule>,
    /// Whether this roster leaves room for it.
    pub tried: bool,
    /// Whether it came out as claimed, or was not tried.
    pub held: bool,
    /// What was seen, or why it was not tried.
    pub evidence: String,
}

impl Act {
    /// An act that was tried.
    pub fn tried(name: &str, rule: Option<Rule>, held: bool, evidence: String) -> Self {
        Self { name: name.to_owned(), rule, tried: true, held, evidence }
    }

    /// How it came out, in a word.
    pub fn mark(&self) -> &'static str {
        match (self.tried, self.held) {
            (false, _) => "not tried",
            (true, true) => "held",
            (true, false) => "FAILED",
        }
    }

    /// An act that this roster leaves no room for.
    pub fn left_out(name: &str, why: &str) -> Self {
        Self { name: name.to_owned(), rule: None, tried: false, held: true, evidence: why.to_owned() }
    }
}

/// What parties other than the utility were left with.
#[derive(Clone, Debug)]
pub struct Sight {
    /// Messages and bytes by what they are.
    pub carried: BTreeMap<&'static str, (u64, u64)>,
    /// A share message: topic and payload.
    pub sample: (String, Vec<u8>),
    /// Captured messages that hold readings in the clear.
    pub leaks: usize,
    /// Some readings, each with the share that an aggregator holds of it.
    pub shares: Vec<(i64, u64)>,
    /// The correlation of all readings with that aggregator's shares.
    pub correlation: f64,
    /// Of how many.
    pub values: usize,
}

impl Sight {
    /// What chance alone exceeds once in 30,000 runs.
    fn chance(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a count of readings is far below 2^52")]
        let values = self.values.max(1) as f64;
        4.2 / values.sqrt()
    }

    fn held(&self) -> bool {
        self.leaks == 0 && self.values > 0 && self.correlation.abs() < self.chance()
    }
}

/// What a demonstration found.
#[derive(Clone, Debug)]
pub struct Report {
    /// Where the homes are from.
    pub origin: String,
    /// n, t, Q.
    pub roster: (usize, usize, usize),
    /// The policy.
    pub policy: Policy,
    /// Whether it is the production policy.
    pub production: bool,
    /// The bills.
    pub bills: Vec<BillRow>,
    /// The curve.
    pub curve: CurveRow,
    /// The acts.
    pub acts: Vec<Act>,
    /// What the others saw.
    pub sight: Sight,
    /// What the grid path gave, if it was shown.
    pub grid: Option<GridReport>,
    /// What was computed under encryption, if it was shown.
    pub levelled: Option<LevelledReport>,
    /// Where everything was kept, and how it is started again.
    pub again: Option<String>,
    /// How long it took.
    pub seconds: f64,
}

impl Report {
    /// Whether every claim held.
    pub fn held(&self) -> bool {
        self.bills.iter().all(BillRow::exact)
            && self.curve.exact()
            && self.acts.iter().all(|act| act.held)
            && self.sight.held()
            && self.grid.as_ref().is_none_or(GridReport::held)
    }

    /// The report for a program.
    pub fn to_json(&self) -> Value {
        let bills: Vec<Value> = self
            .bills
            .iter()
            .map(|row| {
                json!({
                    "home": row.home,
                    "energy_wh": row.energy,
                    "flat": row.flat.map(|amount| amount.to_string()),
                    "time_of_use": row.time_of_use.map(|amount| amount.to_string()),
                    "oracle_wh": row.oracle.0,
                    "oracle_flat": Amount(row.oracle.1).to_string(),
                    "oracle_time_of_use": Amount(row.oracle.2).to_string(),
                    "exact": row.exact(),
                })
            })
            .collect();
        let acts: Vec<Value> = self
            .acts
            .iter()
            .map(|act| {
                json!({
                    "act": act.name,
                    "rule": act.rule.map(Rule::name),
                    "tried": act.tried,
                    "held": act.held,
                    "evidence": act.evidence,
                })
            })
            .collect();
        let (n, t, q) = self.roster;
        json!({
            "homes": self.origin,
            "aggregators": n,
            "threshold": t,
            "quorum": q,
            "bills": bills,
            "total_wh": self.total(),
            "curve": { "slots": self.curve.oracle.len(), "equal": self.curve.equal() },
            "acts": acts,
            "broker": self.sight.carried.iter().map(|(kind, (messages, bytes))| {
                json!({ "kind": kind, "messages": messages, "bytes": bytes })
            }).collect::<Vec<_>>(),
            "aggregator": { "shares": self.sight.values, "correlation": self.sight.correlation },
            "grid": self.grid.as_ref().map(GridReport::to_json),
            "seconds": self.seconds,
            "held": self.held(),
        })
    }

    fn total(&self) -> i64 {
        self.bills.iter().filter_map(|row| row.energy).sum()
    }
}

/// Bills that are shown one by one.
const SHOWN: usize = 16;

/// The widest line of all that is shown: a terminal's usual width.
pub(super) const WIDTH: u16 = 80;

/// Columns with two spaces between, the first `words` of them to the left and the others to the right; long cells are
/// broken so that the table fits [`WIDTH`].
pub(super) fn table(header: &[&str], words: usize, rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    table.set_header(header).add_rows(rows);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((2, 0));
        column.set_cell_alignment(if index < words { CellAlignment::Left } else { CellAlignment::Right });
    }
    table.trim_fmt() + "\n"
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (n, t, q) = self.roster;
        writeln!(f, "\n{}", self.origin)?;
        writeln!(f, "{n} aggregators: any {t} of them give a value, {q} must agree on each release\n")?;
        if !self.production {
            let Policy { k, bill_days, smallest_cell, tariff_meters, .. } = self.policy;
            writeln!(
                f,
                "These homes are too few, or their days, for the policy of a real deployment.\n\
                 This policy is weaker: groups of {k}, bills of {bill_days} days, cells of {smallest_cell} slots,\n\
                 {tariff_meters} meters a tariff.\n"
            )?;
        }
        self.fmt_bills(f)?;
        self.fmt_curve(f)?;
        self.fmt_sight(f)?;
        if let Some(grid) = &self.grid {
            write!(f, "{grid}")?;
        }
        if let Some(levelled) = &self.levelled {
            writeln!(f, "{levelled}")?;
        }
        self.fmt_acts(f)?;
        let verdict = if self.held() { "every claim was checked and held" } else { "A CLAIM DID NOT HOLD" };
        writeln!(f, "\n{verdict}, in {:.1} s", self.seconds)?;
        writeln!(f, "\nWHAT NEXT")?;
        match &self.again {
            Some(again) => writeln!(f, "{again}")?,
            None => writeln!(
                f,
                "  wattveil demo --keep DIR       keep everything, to look at it and to start it again"
            )?,
        }
        writeln!(f, "  wattveil init DIR --synthetic  make a deployment of your own")?;
        writeln!(f, "  wattveil help                  all commands; README.md and docs/ explain them")
    }
}

impl Report {
    fn fmt_bills(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "BILLS: what the utility learned, and what the plaintext says (USD)")?;
        let cell = |value: Option<String>| value.unwrap_or_else(|| "-".into());
        let row = |row: &BillRow| {
            vec![
                row.home.clone(),
                cell(row.energy.map(|energy| energy.to_string())),
                cell(row.flat.map(|amount| amount.to_string())),
                cell(row.time_of_use.map(|amount| amount.to_string())),
                row.oracle.0.to_string(),
                Amount(row.oracle.1).to_string(),
                Amount(row.oracle.2).to_string(),
                if row.exact() { "equal" } else { "DIFFERENT" }.to_owned(),
            ]
        };
        let oracle: i64 = self.bills.iter().map(|row| row.oracle.0).sum();
        let mut rows: Vec<Vec<String>> = self.bills.iter().take(SHOWN).map(row).collect();
        if self.bills.len() > SHOWN {
            rows.push(vec![format!("{} more", self.bills.len() - SHOWN)]);
        }
        let empty = String::new;
        rows.push(vec!["all".into(), self.total().to_string(), empty(), empty(), oracle.to_string()]);
        let header = ["home", "Wh", "flat", "by time", "plain Wh", "flat", "by time", ""];
        write!(f, "{}", table(&header, 1, rows))?;
        let exact = self.bills.iter().filter(|row| row.exact()).count();
        writeln!(f, "  {exact} of {} bills equal to the watt-hour and to the cent\n", self.bills.len())
    }

    fn fmt_curve(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slots = self.curve.oracle.len();
        writeln!(f, "LOAD CURVE of all homes: {} of {slots} intervals equal", self.curve.equal())?;
        let first = &self.curve.released[..slots.min(slots / 4 + 1)];
        writeln!(f, "  {}\n", draw(first, usize::from(WIDTH) - 4, 1).concat())
    }

    fn fmt_sight(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sight = &self.sight;
        let first = self.bills.first().map_or("", |row| &row.home);
        let (messages, bytes) = sight.carried.values().fold((0, 0), |(n, b), (m, c)| (n + m, b + c));
        writeln!(f, "WHO SAW WHAT")?;
        writeln!(f, "  The utility: {} bills and one load curve of all homes.", self.bills.len())?;
        writeln!(f, "  An aggregator: {} shares. Readings of home {first}, and its shares:", sight.values)?;
        for (reading, share) in &sight.shares {
            writeln!(f, "    {reading:>6} Wh   {share:>20}")?;
        }
        writeln!(
            f,
            "    correlation of all shares with the readings {:+.4}; by chance below {:.4}",
            sight.correlation,
            sight.chance()
        )?;
        writeln!(f, "  The broker, and everybody who may subscribe: {messages} messages, {bytes} bytes.")?;
        let row = |(kind, (messages, bytes)): (&&str, &(u64, u64))| {
            vec![format!("  {kind}"), messages.to_string(), format!("{bytes} bytes")]
        };
        write!(f, "{}", table(&["  kind", "messages", ""], 1, sight.carried.iter().map(row)))?;
        writeln!(f, "    one message: {}", sight.sample.0)?;
        write!(f, "      … ")?;
        for byte in sight.sample.1.iter().rev().take(34).rev() {
            write!(f, "{byte:02x}")?;
        }
        writeln!(f, "\n    captured messages with readings in the clear: {}\n", sight.leaks)
    }

    fn fmt_acts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "WHAT WAS TRIED")?;
        let row = |act: &Act| {
            let rule = act.rule.map_or_else(String::new, |rule| format!("[{rule}] "));
            vec![act.mark().to_owned(), act.name.clone(), format!("{rule}{}", act.evidence)]
        };
        write!(f, "{}", table(&["", "what", "what came of it"], 3, self.acts.iter().map(row)))
    }
}

/// Points as people write them: `1, 3, 4`.
pub(super) fn points(points: &[Point]) -> String {
    points.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Lines of blocks, the highest value at the top, one column for each of `width` equal stretches.
pub(super) fn draw(values: &[i64], width: usize, height: usize) -> Vec<String> {
    const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let stretch = values.len().div_ceil(width).max(1);
    let mean = |chunk: &[i64]| chunk.iter().sum::<i64>() / i64::try_from(chunk.len()).unwrap_or(1);
    let means: Vec<i64> = values.chunks(stretch).map(mean).collect();
    let most = means.iter().copied().max().unwrap_or(0).max(1);
    let steps = i64::try_from(8 * height).unwrap_or(8);
    let eighths = |mean: &i64| usize::try_from(mean.max(&0) * steps / most).unwrap_or(0);
    let line =
        |row: usize| means.iter().map(|mean| BLOCKS[eighths(mean).saturating_sub(8 * row).min(8)]).collect();
    (0..height).rev().map(line).collect()
}

/// Pearson's correlation of readings and shares.
#[expect(clippy::cast_precision_loss, reason = "a correlation needs no more than 52 bits")]
pub(super) fn correlation(pairs: &[(i64, u64)]) -> f64 {
    let n = pairs.len().max(1) as f64;
    let mean = |value: fn(&(i64, u64)) -> f64| pairs.iter().map(value).sum::<f64>() / n;
    let (x, y) = (mean(|pair| pair.0 as f64), mean(|pair| pair.1 as f64));
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for &(reading, share) in pairs {
        let (dx, dy) = (reading as f64 - x, share as f64 - y);
        xy += dx * dy;
        xx += dx * dx;
        yy += dy * dy;
    }
    if xx * yy > 0.0 { xy / (xx * yy).sqrt() } else { 0.0 }
}
