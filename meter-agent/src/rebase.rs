//! `meter-agent rebase`: an operator states what happened to a register that does not follow from the last one.

use std::io::Write as _;

use anyhow::Context as _;
use protocol::unit::Timestamp;
use runtime::config::ConfigArguments;
use rust_decimal::Decimal;
use store::{FileStore, Store as _};

use crate::config::Config;
use crate::feed;
use crate::meter::open_batch::OpenBatch;
use crate::register::{Rebase, kilowatt_hours};
use crate::service::CACHE;

/// State what happened to a register that does not follow from the last one: a reset, a swap or a real jump
///
/// While a register does not follow, nothing is billed from it. Stop the agent, type this, and start the agent again.
///
/// After a swap, state both registers of the swap's record:
///     meter-agent rebase --config agent.toml --closing 12345.678 --opening 0.012
///
/// After a reset of which no register is known, the last register that was read counts as closing. The next one that is read
/// counts as opening. The energy between the two is not billed:
///     meter-agent rebase --config agent.toml
///
/// When a jump is energy that was used:
///     meter-agent rebase --config agent.toml --jump-is-real
///
/// The answer reports how many kWh the rebase adds to the bill. More than the connection can carry requires --force. So does a
/// second rebase before a register was read. With --export, the rebase changes the export register only.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct RebaseArguments {
    #[command(flatten)]
    config: ConfigArguments,
    /// The old device's last import register, in kWh
    #[arg(long, value_name = "KWH")]
    closing: Option<Decimal>,
    /// The new device's first import register, in kWh
    #[arg(long, value_name = "KWH")]
    opening: Option<Decimal>,
    /// The import register jumped, and the energy was used
    #[arg(long, conflicts_with_all = ["closing", "opening"])]
    jump_is_real: bool,
    /// The export register was reset or, with --jump-is-real, jumped; the import register is unchanged
    #[arg(long, conflicts_with_all = ["closing", "opening"])]
    export: bool,
    /// Store the rebase although the closing register is implausible, or a rebase was stored just now
    #[arg(long)]
    force: bool,
}

impl RebaseArguments {
    /// Stores the rebase for the agent.
    ///
    /// # Errors
    ///
    /// A store that is in use, or a register that can't be.
    pub fn run(self) -> anyhow::Result<()> {
        let config: Config = self.config.read()?;
        let path = self.config.directory().join(&config.store);
        let refused = "cannot open the store. If the agent is running, stop it first, for example by: systemctl stop \
                       wattveil-meter-agent";
        let mut store = FileStore::open(&path, CACHE).context(refused)?;
        let (_, roster) = config.membership(self.config.directory())?;
        let limits = config.registers.to_limits(roster.slot())?;
        let mut registers = feed::load(&store)?.or_from(OpenBatch::load(&store)?.last(), limits.slot);
        let watt_hours = |kwh: Option<Decimal>| {
            let wanted =
                "expected a register in kWh, for example 12345.678; found a number that is too large";
            kwh.map(|kwh| kwh.checked_mul(Decimal::from(1_000)).context(wanted)).transpose()
        };
        let rebase = match (self.export, self.jump_is_real) {
            (false, true) => Rebase::JumpIsReal,
            (true, true) => Rebase::ExportJumpIsReal,
            (true, false) => Rebase::NewExportLevel,
            (false, false) => {
                Rebase::NewLevel { closing: watt_hours(self.closing)?, opening: watt_hours(self.opening)? }
            }
        };
        let adds = registers.rebase(rebase, self.force, runtime::now::<Timestamp>(), &limits)?;
        feed::save(&registers, &mut store)?;
        store.commit()?;
        let effect = match rebase {
            Rebase::JumpIsReal | Rebase::ExportJumpIsReal => {
                "the register is believed from the jump on, and continues from there"
            }
            Rebase::NewExportLevel => {
                "the next export register that is read is the first of a new one. What it counted before is ignored"
            }
            Rebase::NewLevel { closing: Some(_), opening: Some(_) } => {
                "the new device's registers continue the old one's closing register. No energy is lost"
            }
            Rebase::NewLevel { closing: None, opening: Some(_) } => {
                "the new device's registers continue the last one that was read. What the old device counted after that is not \
                 billed"
            }
            Rebase::NewLevel { opening: None, .. } => {
                "the next register that is read is the new device's first. What it counted before is not billed"
            }
        };
        let added = kilowatt_hours(adds);
        let bill = if self.export {
            format!("This counts {added} kWh of export, which is in no bill")
        } else {
            format!("This adds {added} kWh to the bill")
        };
        writeln!(std::io::stdout(), "stored: {effect}. {bill}")?;
        Ok(())
    }
}
