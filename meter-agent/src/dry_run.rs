//! `--dry-run`: what would be sent, for a person who stands before the meter. Nothing is sent and nothing is kept.

use std::io::{self, Write};
use std::path::Path;

use anyhow::Context as _;
use protocol::roster::Roster;
use protocol::unit::Register;
use store::MemoryStore;
use tracing::warn;

use crate::config::Config;
use crate::feed::{Feed, Supply};
use crate::meter::Meter;
use crate::meter::open_batch::{FullBatch, OpenBatch};
use crate::reading::Reading;

/// Prints what the configured source gives, until it ends or `shutdown`.
///
/// # Errors
///
/// A file that is not what it should be, or an output that can't be written.
pub async fn run(
    config: &Config,
    directory: &Path,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let (identity, roster) = config.identity(directory)?;
    let slot = roster.slot();
    let source = config.source.open(directory, slot, &identity.meter)?;
    let limits = config.registers.to_limits(slot)?;
    let (pace, store) = (config.pace.clone(), &mut MemoryStore::default());
    // what a run would reject, this rejects
    Meter::open(identity, roster.clone(), config.floor.clone(), pace.clone(), store, runtime::now())?;
    let mut feed = Feed::open(source, limits, &MemoryStore::default())?.logging_all();
    let mut preview = Preview::new(&roster, pace.batch_slots, io::stdout());
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let Supply { readings, ended, .. } = tokio::select! {
            () = &mut shutdown => break,
            supply = feed.next() => supply?,
        };
        preview.show(&readings).context("cannot print what would be sent")?;
        if ended {
            break;
        }
    }
    feed.finish();
    preview.end().context("cannot print what would be sent")
}

struct Preview<'a, W> {
    out: W,
    roster: &'a Roster,
    batch_slots: u32,
    open: OpenBatch,
    readings: usize,
    records: usize,
    export: bool,
}

impl<'a, W: Write> Preview<'a, W> {
    fn new(roster: &'a Roster, batch_slots: u32, out: W) -> Self {
        let open = OpenBatch::default();
        Self { out, roster, batch_slots, open, readings: 0, records: 0, export: false }
    }

    fn show(&mut self, readings: &[Reading]) -> io::Result<()> {
        for reading in readings {
            let before = self.open.last();
            let full = match self.open.observe(reading, self.batch_slots) {
                Ok(full) => full,
                Err(error) => {
                    warn!(error = &error as &dyn std::error::Error, "reading rejected");
                    continue;
                }
            };
            self.readings += 1;
            let time = self.roster.slot().start_of(reading.at);
            write!(self.out, "{time}  import {} kWh", kilowatt_hours(reading.register))?;
            if let Some((last, before)) = before {
                let used = reading.register.watt_hours() - before.watt_hours();
                let slots = reading.at.0 - last.0;
                write!(self.out, "  +{used} Wh")?;
                if slots > 1 {
                    write!(self.out, " over {slots} slots: no slot's energy is known")?;
                }
            }
            if let Some(export) = reading.export {
                self.export = true;
                write!(self.out, "  export {} kWh", kilowatt_hours(export))?;
            }
            writeln!(self.out)?;
            if let Some(full) = full {
                self.batch(&full)?;
            }
        }
        self.out.flush()
    }

    fn batch(&mut self, full: &FullBatch) -> io::Result<()> {
        self.records += 1;
        let FullBatch { slots, energies, .. } = full;
        let count = energies.len();
        writeln!(
            self.out,
            "  would seal slots {slots} ({count}) as one record, a share for each of {} aggregators",
            self.roster.n()
        )
    }

    fn end(mut self) -> anyhow::Result<()> {
        if let Some(full) = self.open.flush() {
            self.batch(&full)?;
        }
        let messages = self.records * self.roster.n();
        writeln!(
            self.out,
            "{} readings, {} records, {messages} messages. Nothing was sent and nothing was kept",
            self.readings, self.records
        )?;
        if self.export {
            let grid = self.roster.policy().interval_slots(self.roster.slot()).is_some();
            let use_of_it = if grid {
                "Load vectors carry what each interval exported"
            } else {
                "This roster has no grid path, so export is not sent"
            };
            writeln!(self.out, "export is kept apart and is in no bill. {use_of_it}")?;
        }
        Ok(())
    }
}

fn kilowatt_hours(register: Register) -> String {
    let watt_hours = register.watt_hours();
    format!("{}.{:03}", watt_hours / 1_000, watt_hours % 1_000)
}
