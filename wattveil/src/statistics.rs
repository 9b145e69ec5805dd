//! What the grid path released, for people and their tools: tables, CSV, JSON, a picture.
//!
//! Everything is rounded to a grain before it is shown: what a utility publishes should say no more than it needs.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use jiff::civil::Date;
use protocol::id::GroupId;
use store::FileStore;
use utility_sink::config::Config;
use utility_sink::sink::ledger::{groups, intervals_of};

use self::day::Day;
use crate::export::{self, Kind};

pub mod day;
mod picture;

/// The store's cache in bytes.
const CACHE: usize = 4 << 20;

/// Slots as CSV, and intervals as JSON.
const TABLE: Kind = Kind::Csv { begins: "group,slot_start,members,total_wh", key: &["group", "slot_start"] };
const LIST: Kind = Kind::Json { has: "across_members", key: &["group", "date"] };

/// Print and export what the grid path released: load curves and statistics of groups
#[derive(Args, Debug)]
pub struct Command {
    /// The sink's configuration. Stop the sink before you read its store
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Only this group
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// Only intervals that begin on this day, in UTC
    #[arg(long, value_name = "YYYY-MM-DD")]
    day: Option<Date>,
    /// Round energies to multiples of this many watt-hours
    #[arg(long, value_name = "WH", default_value_t = 10)]
    grain: u32,
    /// Write every slot as a row of this file
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Write everything to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw the curves into this file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

impl Command {
    /// Reads, prints and exports.
    ///
    /// # Errors
    ///
    /// A file that can't be read or written, or that is another; a store that a running sink holds; nothing released that was asked for.
    pub fn run(&self, out: &mut impl Write) -> anyhow::Result<()> {
        let exports = [(&self.csv, TABLE), (&self.json, LIST), (&self.svg, picture::KIND)];
        for (file, kind) in exports {
            file.as_ref().map_or(Ok(()), |file| export::check(file, kind))?;
        }
        let days = self.read()?;
        for day in &days {
            write!(out, "{day}")?;
        }
        let texts = [table, list, picture::draw];
        for ((file, kind), text) in exports.into_iter().zip(texts) {
            file.as_ref().map_or(Ok(()), |file| export::write(file, kind, &text(&days)))?;
        }
        Ok(())
    }

    fn read(&self) -> anyhow::Result<Vec<Day>> {
        let config = Config::read(&self.config)?;
        let directory = self.config.parent().unwrap_or_else(|| Path::new("."));
        let (_, roster) = config.identity(directory)?;
        let path = directory.join(&config.store);
        anyhow::ensure!(
            path.exists(),
            "the store {} does not exist: the sink has not run yet",
            path.display()
        );
        let store = FileStore::open(&path, CACHE).with_context(|| {
            format!("cannot read {}: stop the sink, or copy the file first", path.display())
        })?;
        let wanted: Option<GroupId> = self.group.as_deref().map(str::parse).transpose()?;
        let known = groups(&store)?;
        let mut days = Vec::new();
        for group in known.iter().filter(|group| wanted.as_ref().is_none_or(|wanted| wanted == *group)) {
            for interval in intervals_of(group, &store)? {
                let day = Day::new(&interval, roster.slot(), self.grain);
                if self.day.is_none_or(|wanted| wanted == day.date()) {
                    days.push(day);
                }
            }
        }
        anyhow::ensure!(
            !known.is_empty(),
            "no interval is released yet; add a [[release]] of kind \"grid\" to {}, and run the sink",
            self.config.display()
        );
        anyhow::ensure!(
            !days.is_empty(),
            "no released interval matches; {} groups have intervals: {}",
            known.len(),
            known.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        );
        Ok(days)
    }
}

/// Every slot as a row.
fn table(days: &[Day]) -> String {
    let header = day::COLUMNS.map(str::to_owned).to_vec();
    let rows = days.iter().flat_map(Day::rows).map(Vec::from);
    export::table(&[header].into_iter().chain(rows).collect::<Vec<_>>())
}

/// Every interval as an object.
fn list(days: &[Day]) -> String {
    let all: Vec<_> = days.iter().map(Day::to_json).collect();
    format!("{:#}\n", serde_json::Value::from(all))
}
