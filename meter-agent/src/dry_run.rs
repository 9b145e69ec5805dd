//! `--dry-run`: what would be sent, for the eyes of whoever stands before the meter; nothing is sent and nothing is kept.

use std::io::{self, Write};
use std::path::Path;

use anyhow::Context as _;
use protocol::roster::Roster;
use protocol::unit::{Register, SlotLength};
use store::MemoryStore;
use tracing::warn;

use crate::config::Config;
use crate::feed::Fed;
use crate::meter::Meter;
use crate::meter::open_batch::{FullBatch, OpenBatch};
use crate::register::Boundary;

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
    let pace = config.pace.to_pace()?;
    let batch_slots = pace.batch_slots;
    // what a run would refuse, this refuses
    Meter::open(
        identity,
        roster.clone(),
        config.floor.clone(),
        pace,
        &mut MemoryStore::default(),
        runtime::now(),
    )?;
    let mut feed = source.feed(directory, limits, &MemoryStore::default())?.telling_all();
    let mut shown = Shown { out: io::stdout(), slot, batch_slots, ..Shown::of(&roster) };
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let Fed { boundaries, ended, .. } = tokio::select! {
            () = &mut shutdown => break,
            fed = feed.next() => fed,
        };
        shown.show(&boundaries).context("cannot print what would be sent")?;
        if ended {
            break;
        }
    }
    feed.tell_rest();
    shown.end().context("cannot print what would be sent")
}

struct Shown<W> {
    out: W,
    slot: SlotLength,
    batch_slots: u32,
    aggregators: usize,
    open: OpenBatch,
    readings: usize,
    records: usize,
    export: bool,
    /// Whether the roster has a grid path.
    grid: bool,
}

impl Shown<io::Stdout> {
    fn of(roster: &Roster) -> Self {
        Self {
            out: io::stdout(),
            slot: roster.slot(),
            batch_slots: 1,
            aggregators: roster.points().len(),
            open: OpenBatch::default(),
            readings: 0,
            records: 0,
            export: false,
            grid: roster.policy().interval_slots(roster.slot()).is_some(),
        }
    }
}

impl<W: Write> Shown<W> {
    fn show(&mut self, boundaries: &[Boundary]) -> io::Result<()> {
        for boundary in boundaries {
            let before = self.open.last();
            let full = match self.open.take_up(boundary, self.batch_slots) {
                Ok(full) => full,
                Err(error) => {
                    warn!(error = &error as &dyn std::error::Error, "reading refused");
                    continue;
                }
            };
            self.readings += 1;
            let time = self.slot.start_of(boundary.at);
            write!(self.out, "{time}  import {} kWh", kilowatt_hours(boundary.import))?;
            if let Some((last, before)) = before {
                let used = boundary.import.watt_hours() - before.watt_hours();
                let slots = boundary.at.0 - last.0;
                write!(self.out, "  +{used} Wh")?;
                if slots > 1 {
                    write!(self.out, " over {slots} slots: no slot's energy is known")?;
                }
            }
            if let Some(export) = boundary.export {
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
            self.aggregators
        )
    }

    fn end(mut self) -> anyhow::Result<()> {
        if let Some(full) = self.open.flush() {
            self.batch(&full)?;
        }
        let messages = self.records * self.aggregators;
        writeln!(
            self.out,
            "{} readings, {} records, {messages} messages; nothing was sent and nothing was kept",
            self.readings, self.records
        )?;
        if self.export {
            writeln!(
                self.out,
                "export is a channel of its own: it is in no bill; {}",
                if self.grid {
                    "load vectors carry what each interval exported"
                } else {
                    "this roster has no grid path, so it is not sent"
                }
            )?;
        }
        Ok(())
    }
}

fn kilowatt_hours(register: Register) -> String {
    let watt_hours = register.watt_hours();
    format!("{}.{:03}", watt_hours / 1_000, watt_hours % 1_000)
}
