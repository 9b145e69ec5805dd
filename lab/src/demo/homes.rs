//! The homes of a demonstration, and what the plaintext says: an oracle that shares no code with the protocol.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context as _;
use jiff::ToSpan as _;
use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use meter_agent::source::{Series, csv, synthetic};
use protocol::policy::Policy;
use protocol::unit::{Slot, SlotLength, SlotRange};

use super::{GROUP, Options, half_sizes, plan};
use deployment::Plan;

/// The shipped homes: 13 real ones in California, 28 days, hourly.
const FONTANA: &str = include_str!("../../../data/fontana13_load_wh_60min_4w.csv");

/// The shipped homes' grand total in watt-hours, counted by somebody else.
const FONTANA_TOTAL: i64 = 12_838_123;

/// Days of a synthetic replay.
const DAYS: u32 = 28;

/// The fewest homes that a curve or a bill by tariff may be of.
const FEWEST: usize = 2;

/// The seed of synthetic homes.
const SEED: u64 = 20_160_801;

/// Homes with the same slots.
#[derive(Debug)]
pub(super) struct Homes {
    /// Where they are from, for people.
    pub(super) origin: String,
    /// One series a home.
    pub(super) series: Vec<Series>,
}

impl Homes {
    /// The homes of a file, so many synthetic ones, or the shipped ones.
    pub(super) fn load(data: Option<&Path>, synthetic: Option<usize>) -> anyhow::Result<Self> {
        let (origin, mut series) = match (data, synthetic) {
            (Some(path), _) => {
                let series =
                    csv::read_file(path).with_context(|| format!("{} was refused", path.display()))?;
                (path.display().to_string(), series)
            }
            (None, Some(count)) => {
                let hour = SlotLength::try_from(3_600)?;
                // Monday 2026-01-05T00:00Z
                let start = Slot(490_992);
                let homes = (0..u32::try_from(count)?)
                    .map(|index| synthetic::home(SEED, index, start, DAYS * hour.per_day(), hour));
                (format!("{count} synthetic homes, {DAYS} days, hourly, seed {SEED}"), homes.collect())
            }
            (None, None) => {
                let series = csv::read_energies(FONTANA.as_bytes(), &csv::Format::default())?;
                ("13 real homes in Fontana, California: August 2016, 28 days, hourly".to_owned(), series)
            }
        };
        if let (Some(count), Some(path)) = (synthetic, data) {
            let (there, path) = (series.len(), path.display());
            anyhow::ensure!(
                count <= there,
                "expected at most {there} homes, as many as {path} has; found {count}; type at most --meters {there}"
            );
            series.truncate(count);
        }
        let homes = Self { origin, series };
        anyhow::ensure!(
            homes.series.len() >= FEWEST,
            "expected load data of at least {FEWEST} homes: bills by tariff and load curves of fewer would show one home's \
             readings; found {}; add a column, or type --meters 20 without --data",
            homes.series.len()
        );
        let mut names = BTreeSet::new();
        for home in &homes.series {
            let name = home.name.to_lowercase();
            name.parse::<protocol::id::ServicePoint>().context("rename this column of the file")?;
            anyhow::ensure!(names.insert(name), "two homes are named {}; rename one column", home.name);
        }
        anyhow::ensure!(
            homes.days() > 0,
            "expected at least one whole day of load data, {} intervals; found {}; add rows to the file",
            homes.slot().per_day(),
            homes.series[0].energies.len()
        );
        if data.is_none() && synthetic.is_none() {
            anyhow::ensure!(homes.total() == FONTANA_TOTAL, "the shipped data is not what it should be");
        }
        Ok(homes)
    }

    /// A deployment that fits the homes: the production policy, as far as there are homes and days for it.
    pub(super) fn plan(&self, options: &Options) -> anyhow::Result<Plan> {
        let count = self.series.len();
        let production = Policy::production();
        let per_query = half_sizes(count).into_iter().min().unwrap_or(1);
        let policy = Policy {
            k: production.k.min(u16::try_from(count / count.div_ceil(GROUP))?),
            bill_days: production.bill_days.min(u16::try_from(self.days())?),
            smallest_cell: production.smallest_cell.min(u16::try_from(self.slots() / 26)?.max(1)),
            tariff_meters: production.tariff_meters.min(u16::try_from(per_query)?),
            // the replay's data may be years old
            late_grace: u32::MAX,
            // the homes' curve is asked for as a whole, after their bills
            grid_interval: 0,
            ..production
        };
        Ok(plan("demo", options, &self.series, self.slot(), GROUP, policy))
    }

    /// The example tariffs as files, a flat one and one by time of use. They are valid when the homes were measured.
    pub(super) fn tariffs(&self) -> anyhow::Result<[(String, String); 2]> {
        let day = |slot: u32| -> anyhow::Result<Date> {
            let seconds = i64::try_from(self.slot().start_of(Slot(slot)).0)?;
            Ok(jiff::Timestamp::from_second(seconds)?.to_zoned(TimeZone::UTC).date())
        };
        let period = self.period()?;
        let before = day(period.start().0)?.checked_sub(1.day())?;
        let after = day(period.end().0)?.checked_add(2.days())?;
        let from = before.clamp(date(1970, 1, 1), date(2015, 1, 1));
        let to = after.max(date(2035, 1, 1));
        let valid =
            |text: &str| text.replace("2015-01-01", &from.to_string()).replace("2035-01-01", &to.to_string());
        Ok([
            ("flat.toml".to_owned(), valid(deployment::FLAT_TARIFF)),
            ("tou.toml".to_owned(), valid(deployment::TIME_OF_USE_TARIFF)),
        ])
    }

    /// The slots of the whole days.
    pub(super) fn period(&self) -> anyhow::Result<SlotRange> {
        Ok(SlotRange::new(self.start(), Slot(self.start().0 + u32::try_from(self.slots())?))?)
    }

    /// Whole days of data.
    pub(super) fn days(&self) -> u32 {
        let slots = self.series.first().map_or(0, |home| home.energies.len());
        u32::try_from(slots).unwrap_or(u32::MAX) / self.slot().per_day()
    }

    /// The slot length.
    pub(super) fn slot(&self) -> SlotLength {
        self.series[0].slot
    }

    /// The first slot.
    pub(super) fn start(&self) -> Slot {
        self.series[0].start
    }

    /// Slots in the whole days.
    pub(super) fn slots(&self) -> usize {
        (self.days() * self.slot().per_day()) as usize
    }

    /// Watt-hours of all homes.
    pub(super) fn total(&self) -> i64 {
        self.series.iter().map(|home| self.energy(home)).sum()
    }

    /// Watt-hours of a home.
    pub(super) fn energy(&self, home: &Series) -> i64 {
        home.energies.iter().take(self.slots()).map(|energy| energy.0).sum()
    }

    /// Watt-hours of all homes in each slot.
    pub(super) fn curve(&self) -> Vec<i64> {
        (0..self.slots()).map(|t| self.series.iter().map(|home| home.energies[t].0).sum()).collect()
    }

    /// What a home pays by the flat tariff, in 10^−8 of the currency unit: 0.31250 a kilowatt-hour.
    pub(super) fn flat(&self, home: &Series) -> i64 {
        self.energy(home) * 31_250
    }

    /// What a home pays by time of use, in 10^−8 of the currency unit: the tariff told again, hour by local hour.
    pub(super) fn time_of_use(&self, home: &Series) -> anyhow::Result<i64> {
        let zone = TimeZone::get("America/Los_Angeles")?;
        let mut sum = 0;
        for (t, energy) in (0_u32..).zip(home.energies.iter().take(self.slots())) {
            let start = self.slot().start_of(Slot(home.start.0 + t)).0;
            let local = jiff::Timestamp::from_second(i64::try_from(start)?)?.to_zoned(zone.clone());
            let weekend = local.weekday().to_monday_zero_offset() >= 5;
            let price = match (16..21).contains(&local.hour()) {
                true if weekend => 38_119,
                true => 46_782,
                false => 26_473,
            };
            sum += energy.0 * price;
        }
        Ok(sum)
    }
}
