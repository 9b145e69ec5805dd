//! What the plaintext says, told so simply that it can't be wrong: no time-zone database, no code of ours.
//!
//! The shipped data begins on Monday, 1 August 2016, at 00:00 of Pacific *standard* time. In August California's clocks
//! are an hour ahead of that.

/// The shipped homes.
pub(crate) const CSV: &str = include_str!("../../../data/fontana13_load_wh_60min_4w.csv");

/// The first slot: hours since 1970, UTC.
pub(crate) const FIRST: u32 = 408_344;

/// So many days of the shipped homes.
#[derive(Debug)]
pub(crate) struct Homes {
    /// Their names.
    pub(crate) names: Vec<String>,
    /// Watt-hours: one row an hour, one column a home.
    pub(crate) rows: Vec<Vec<i64>>,
}

impl Homes {
    pub(crate) fn read(days: u32) -> Self {
        let mut lines = CSV.lines();
        let names = lines.next().unwrap().split(',').skip(1).map(str::to_owned).collect();
        let cells = |line: &str| line.split(',').skip(1).map(|cell| cell.parse().unwrap()).collect();
        let rows = lines.take(24 * days as usize).map(cells).collect();
        Self { names, rows }
    }

    /// First slot and the slot after the last.
    pub(crate) fn period(&self) -> (u32, u32) {
        (FIRST, FIRST + u32::try_from(self.rows.len()).unwrap())
    }

    fn hours(&self, home: usize) -> impl Iterator<Item = (usize, i64)> {
        self.rows.iter().map(move |row| row[home]).enumerate()
    }

    pub(crate) fn energy(&self, home: usize) -> i64 {
        self.hours(home).map(|(_, energy)| energy).sum()
    }

    /// 0.31250 a kilowatt-hour, in 10^−8.
    pub(crate) fn flat(&self, home: usize) -> i64 {
        self.energy(home) * 31_250
    }

    /// Dear from 16:00 to 21:00, most of all from Monday to Friday, in 10^−8.
    pub(crate) fn time_of_use(&self, home: usize) -> i64 {
        let price = |t: usize| match ((t + 1) % 24, (t + 1) / 24 % 7) {
            (16..21, 0..5) => 46_782,
            (16..21, _) => 38_119,
            _ => 26_473,
        };
        self.hours(home).map(|(t, energy)| energy * price(t)).sum()
    }

    /// All homes together, hour by hour.
    pub(crate) fn curve(&self) -> Vec<i64> {
        self.rows.iter().map(|row| row.iter().sum()).collect()
    }
}
