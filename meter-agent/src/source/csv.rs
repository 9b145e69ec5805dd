//! Load data from a CSV file: `interval_start` and one column of integer watt-hours a home.
//!
//! Nothing is guessed: an empty cell, a repeated or missing interval, a number that is none is refused with its line
//! and column.

use std::io::Read;
use std::path::{Path, PathBuf};

use protocol::unit::{MAX_SLOT_WH, Slot, SlotLength, WattHours};

use super::Series;

/// Why a file of load data was refused.
#[derive(Debug, thiserror::Error)]
pub enum CsvError {
    /// The file can't be read.
    #[error("cannot read {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// Not CSV, or rows of different length.
    #[error("line {line}: {reason}")]
    Row {
        /// The line, from 1.
        line: u64,
        /// What was found.
        reason: String,
    },
    /// A header that is not `interval_start,NAME,…`.
    #[error("line 1: the header must be `interval_start` and then one name a home, found `{found}`")]
    Header {
        /// The first column's name.
        found: String,
    },
    /// A time that is none, or not the one that follows.
    #[error("line {line}, column interval_start: {reason}")]
    Time {
        /// The line, from 1.
        line: u64,
        /// What was found and wanted.
        reason: String,
    },
    /// A cell that is no energy.
    #[error(
        "line {line}, column {column}: `{found}` is not a whole number of watt-hours from 0 to {MAX_SLOT_WH}"
    )]
    Cell {
        /// The line, from 1.
        line: u64,
        /// The home.
        column: String,
        /// The cell.
        found: String,
    },
    /// Fewer than two rows: the interval is unknown.
    #[error("the file needs at least two rows, it has {0}")]
    Short(usize),
}

/// Reads every home of a file.
///
/// # Errors
///
/// [`CsvError`].
pub fn read_file(path: &Path) -> Result<Vec<Series>, CsvError> {
    let file = std::fs::File::open(path).map_err(|source| CsvError::Open { path: path.into(), source })?;
    read(std::io::BufReader::new(file))
}

/// Reads every home of CSV text.
///
/// # Errors
///
/// [`CsvError`].
pub fn read(text: impl Read) -> Result<Vec<Series>, CsvError> {
    let mut reader = csv::Reader::from_reader(text);
    let header = reader.headers().map_err(|error| row_error(&error))?.clone();
    let first = header.get(0).unwrap_or_default();
    if first != "interval_start" || header.len() < 2 {
        return Err(CsvError::Header { found: first.chars().take(64).collect() });
    }
    let names: Vec<String> = header.iter().skip(1).map(str::to_owned).collect();
    let mut times: Vec<(u64, i64)> = Vec::new();
    let mut columns: Vec<Vec<WattHours>> = vec![Vec::new(); names.len()];
    for row in reader.records() {
        let row = row.map_err(|error| row_error(&error))?;
        let line = row.position().map_or(0, csv::Position::line);
        times.push((line, time(line, row.get(0).unwrap_or_default())?));
        for ((cell, name), column) in row.iter().skip(1).zip(&names).zip(&mut columns) {
            column.push(energy(line, name, cell)?);
        }
    }
    let (start, slot) = intervals(&times)?;
    Ok(names
        .into_iter()
        .zip(columns)
        .map(|(name, energies)| Series { name, start, slot, energies })
        .collect())
}

fn row_error(error: &csv::Error) -> CsvError {
    let line = error.position().map_or(0, csv::Position::line);
    let reason = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} cells, the header has {expected_len}")
        }
        csv::ErrorKind::Utf8 { .. } => "the text is not UTF-8".to_owned(),
        _ => "the row can't be read".to_owned(),
    };
    CsvError::Row { line, reason }
}

fn time(line: u64, cell: &str) -> Result<i64, CsvError> {
    let parsed: Result<jiff::Timestamp, _> = cell.parse();
    parsed.map(jiff::Timestamp::as_second).map_err(|_| CsvError::Time {
        line,
        reason: format!("`{cell}` is not a time with an offset, such as 2026-01-31T23:45:00+01:00"),
    })
}

fn energy(line: u64, column: &str, cell: &str) -> Result<WattHours, CsvError> {
    let parsed = cell.trim().parse::<i64>().ok().filter(|energy| (0..=MAX_SLOT_WH).contains(energy));
    parsed.map(WattHours).ok_or_else(|| CsvError::Cell {
        line,
        column: column.to_owned(),
        found: cell.chars().take(32).collect(),
    })
}

/// The first slot and the slot length; every row must follow the one before by exactly one interval.
fn intervals(times: &[(u64, i64)]) -> Result<(Slot, SlotLength), CsvError> {
    let [(line, start), (_, second), ..] = times[..] else { return Err(CsvError::Short(times.len())) };
    let length = u32::try_from(second - start).ok().and_then(|seconds| SlotLength::try_from(seconds).ok());
    let slot = length.ok_or_else(|| CsvError::Time {
        line: times[1].0,
        reason: format!("an interval of {} s is not one of 900, 1800, 3600", second - start),
    })?;
    let seconds = i64::from(slot.seconds());
    for pair in times.windows(2) {
        let ((_, before), (line, after)) = (pair[0], pair[1]);
        if after - before != seconds {
            let what = match after - before {
                0 => "it stands twice".to_owned(),
                d if d < 0 => "it runs backwards".to_owned(),
                d => format!("{} s are missing before it", d - seconds),
            };
            return Err(CsvError::Time { line, reason: format!("{what}; intervals are {seconds} s") });
        }
    }
    let number = u32::try_from(start / seconds).ok().filter(|_| start % seconds == 0 && start >= 0);
    let first = number.ok_or_else(|| CsvError::Time {
        line,
        reason: format!("the first interval does not begin at a multiple of {seconds} s of UTC"),
    })?;
    Ok((Slot(first), slot))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shipped homes have the totals of an independent count.
    #[test]
    fn reads_the_real_homes() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/fontana13_load_wh_60min_4w.csv");
        let homes = read_file(&path).unwrap();
        assert_eq!(homes.len(), 13);
        assert_eq!(homes.iter().map(|home| home.total().0).sum::<i64>(), 12_838_123);
        assert_eq!(homes[0].energies.len(), 672);
        assert_eq!((homes[0].start, homes[0].slot.seconds()), (Slot(408_344), 3_600));
    }

    /// What is wrong is named by line and column.
    #[test]
    fn names_line_and_column() {
        let head = "interval_start,h01,h02\n2026-01-01T00:00:00Z,1,2\n";
        for (rows, message) in [
            ("2026-01-01T01:00:00Z,1,\n", "line 3, column h02: `` is not a whole number"),
            ("2026-01-01T01:00:00Z,-5,2\n", "line 3, column h01: `-5`"),
            ("2026-01-01T01:00:00Z,1.5,2\n", "line 3, column h01: `1.5`"),
            ("2026-01-01T01:00:00Z,99999,2\n", "line 3, column h01: `99999`"),
            ("2026-01-01T01:00:00Z,1\n", "line 3: 2 cells, the header has 3"),
            (
                "2026-01-01T01:00:00,1,2\n",
                "line 3, column interval_start: `2026-01-01T01:00:00` is not a time",
            ),
            (
                "2026-01-01T01:00:00Z,1,2\n2026-01-01T01:00:00Z,1,2\n",
                "line 4, column interval_start: it stands twice",
            ),
            (
                "2026-01-01T01:00:00Z,1,2\n2026-01-01T03:00:00Z,1,2\n",
                "line 4, column interval_start: 3600 s are missing",
            ),
            ("2026-01-01T00:07:00Z,1,2\n", "line 3, column interval_start: an interval of 420 s"),
            ("", "at least two rows"),
        ] {
            let error = read(format!("{head}{rows}").as_bytes()).unwrap_err().to_string();
            assert!(error.contains(message), "{error} lacks {message}");
        }
        assert!(matches!(read(&b"time,h01\n"[..]), Err(CsvError::Header { .. })));
    }
}
