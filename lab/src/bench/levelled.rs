//! What mode `levelled` cost (mode `levelled`): the making of a key, the three suites from the register to released sums, and
//! what a result costs to compute and to open.

use std::fmt;

use anyhow::Context as _;
use grid::levelled::accuracy::{Accuracy, Extent};
use grid::levelled::setup::Setup;
use protocol::id::QueryId;
use protocol::levelled::function::Function;
use protocol::levelled::plan::{Plan, Profile};
use serde_json::{Value, json};

use super::suite::{self, Beside, Measured, Suite};
use crate::account::{Account, Work, float};
use crate::levelled::{Scene, Town, subject};

/// Slots a window.
const WINDOW: u16 = 20;

/// Seconds of readings in the suite of intervals.
const SPAN: u32 = 600;

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

/// The making of a key.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyCost {
    /// Seconds of processor of all roles.
    pub seconds: f64,
    /// Messages.
    pub messages: u64,
    /// Megabytes.
    pub megabytes: f64,
}

/// All that was measured.
#[derive(Clone, Debug)]
pub struct LevelledCosts {
    /// Which parameters.
    pub profile: &'static str,
    /// The making of a key for four aggregators and the fewest meters.
    pub key: KeyCost,
    /// Windows of towns.
    pub suites: Vec<Measured>,
    /// Sets that were evaluated, in the suite of meters.
    pub sets: Vec<Set>,
}

/// Measures one suite or all of them; of up to `largest` meters.
///
/// # Errors
///
/// If a step fails.
pub fn run(profile: Profile, largest: usize, suite: Option<Suite>) -> anyhow::Result<LevelledCosts> {
    let (mut key, mut suites, mut sets) = (None, Vec::new(), Vec::new());
    for suite in Suite::chosen(suite) {
        let shapes = suite.shapes(largest, WINDOW.into(), SPAN);
        suites.push(suite.measure(shapes, |shape| {
            let row = Row::measure(profile, shape)?;
            key.get_or_insert(row.key);
            if suite == Suite::Meters {
                sets.push(row.set(profile)?);
            }
            Ok(row.account)
        })?);
    }
    let key = key.unwrap_or_default();
    Ok(LevelledCosts { profile: profile.name(), key, suites, sets })
}

/// One row of a suite.
struct Row {
    key: KeyCost,
    account: Account,
    /// Milliseconds of an aggregator that evaluates and opens, for a sum and for a variance.
    millis: [f64; 2],
}

impl Row {
    /// Makes a key, measures and encrypts, and releases the sum of every window, and the variance of the first where there is one.
    fn measure(profile: Profile, shape: suite::Shape) -> anyhow::Result<Self> {
        let suite::Shape { meters, batch, interval, slots } = shape;
        let windows = slots.div_ceil(WINDOW.into()).max(1);
        let scene = Scene { batch, window: WINDOW, windows, ..Scene::quiet(profile, 1, meters)? };
        let mut town = Town::new(scene, ())?;
        let name = town.make_key()?;
        let all = std::mem::take(&mut town.work).all();
        let key = KeyCost {
            seconds: all.iter().map(|work| work.busy.as_secs_f64()).sum(),
            messages: all.iter().map(|work| work.messages).sum(),
            megabytes: float(all.iter().map(|work| work.bytes).sum()) / 1e6,
        };
        town.measure();
        town.deliver()?;
        let mut account = Account::new(meters, batch, interval, 4);
        account.readings = u64::from(windows) * u64::from(WINDOW) * meters as u64;
        account.exact = true;
        let mut sum_millis = f64::NAN;
        for window in 0..windows {
            let before = town.work.aggregators;
            let finding = town.find(name, &Function::Sum, &[subject(1, window)])?;
            sum_millis = each_evaluating(before, town.work.aggregators);
            let first = window as usize * usize::from(WINDOW);
            account.exact &= finding.values.len() == usize::from(WINDOW);
            for (t, value) in finding.values.iter().enumerate() {
                let wanted: i64 = town.loads(1).iter().map(|load| load[first + t]).sum();
                let wanted = f64::from(i32::try_from(wanted).context("a sum is far below 2^31")?);
                account.exact &= (value - wanted).abs() <= 6.0 * finding.error;
            }
        }
        account.works = town.work;
        let mut millis = [sum_millis, f64::NAN];
        if profile != Profile::Light {
            let before = town.work.aggregators;
            town.find(name, &Function::Variance, &[subject(1, 0)])?;
            millis[1] = each_evaluating(before, town.work.aggregators);
        }
        Ok(Self { key, account, millis })
    }

    fn set(&self, profile: Profile) -> anyhow::Result<Set> {
        let plan = Plan {
            nonce: QueryId::from([0; 16]),
            profile,
            full_scale: 8_192,
            window: WINDOW,
            k: 2,
            log_openings: 10,
            smudging_bits: 40,
        };
        let meters = self.account.meters;
        let extent = Extent { members: meters, uploads: 2 * meters, most: 2 };
        let error = Accuracy::of(&Setup::new(&plan)?, &Function::Sum, &[extent])?.outputs()[0].error();
        Ok(Set { meters, millis: self.millis, error })
    }
}

/// Milliseconds of an aggregator that evaluates: two of four do, the others only vote.
fn each_evaluating(before: Work, after: Work) -> f64 {
    after.busy.saturating_sub(before.busy).as_secs_f64() * 1e3 / 2.0
}

impl LevelledCosts {
    /// Whether all that was released is the plaintext's, within six estimated deviations.
    pub fn exact(&self) -> bool {
        self.suites.iter().all(Measured::exact)
    }

    /// For programs.
    pub fn to_json(&self) -> Value {
        let set = |set: &Set| {
            let [sum, variance] = set.millis;
            json!({
                "meters": set.meters, "sum_millis": sum, "variance_millis": variance,
                "sum_deviation_wh": set.error,
            })
        };
        let KeyCost { seconds, messages, megabytes } = self.key;
        json!({
            "bench": "levelled",
            "profile": self.profile,
            "key": { "seconds": seconds, "messages": messages, "megabytes": megabytes },
            "suites": self.suites.iter().map(Measured::to_json).collect::<Vec<Value>>(),
            "sets": self.sets.iter().map(set).collect::<Vec<Value>>(),
            "published": Beside(&self.suites).to_json(),
        })
    }
}

impl fmt::Display for LevelledCosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let KeyCost { seconds, messages, megabytes } = self.key;
        writeln!(f, "mode levelled, profile {}, n = 4, t = 2\n", self.profile)?;
        writeln!(
            f,
            "a collective key: {seconds:.1} s of processor in all, {messages} messages, {megabytes:.1} MB\n"
        )?;
        writeln!(
            f,
            "Windows of {WINDOW} slots of towns in memory, on one core for all roles: shares, ciphertexts, receipts, one sum a window;\n\
             equal: within six estimated deviations\n"
        )?;
        for suite in &self.suites {
            write!(f, "{suite}")?;
        }
        if !self.sets.is_empty() {
            writeln!(f, "meters  sum ms  variance ms  deviation of a sum, Wh")?;
        }
        for set in &self.sets {
            let [sum, variance] = set.millis;
            writeln!(f, "{:>6}  {sum:>6.0}  {variance:>11.0}  {:>22.2}", set.meters, set.error)?;
        }
        write!(f, "\n{}", Beside(&self.suites))
    }
}
