//! `meter-agent rebase`: somebody says what happened to a register that does not follow from the last one.

use protocol::unit::Timestamp;
use std::io::Write as _;

use anyhow::Context as _;
use runtime::config::ConfigArguments;
use rust_decimal::Decimal;
use store::{FileStore, Store as _};

use crate::config::Config;
use crate::feed;
use crate::meter::open_batch::OpenBatch;
use crate::register::{Rebase, kilowatt_hours};
use crate::service::CACHE;

/// Say what happened to a register that does not follow from the last one: reset, swapped, or a real jump
///
/// While a register does not follow, nothing is billed from it. Stop the agent, type this, start the agent again.
///
/// After a swap, both registers of the swap's record:
///     meter-agent rebase --config agent.toml --closing 12345.678 --opening 0.012
///
/// After a reset of which no register is known, the last one that was read counts as closing, and the next one that is read
/// as opening; what was used between the two is not billed:
///     meter-agent rebase --config agent.toml
///
/// When a jump is energy that was used:
///     meter-agent rebase --config agent.toml --jump-is-real
///
/// The answer says how many kWh that adds to the bill. More than the connection can carry, or a second word before anything was
/// read, is taken down with --force only. With --export all this is said of the export register, and of that alone.
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
    /// The import register jumped, and what it says was used
    #[arg(long, conflicts_with_all = ["closing", "opening"])]
    jump_is_real: bool,
    /// The export register was reset or, with --jump-is-real, jumped; import is as it was
    #[arg(long, conflicts_with_all = ["closing", "opening"])]
    export: bool,
    /// Take it down although the closing register can't be plausible, or something was taken down just now
    #[arg(long)]
    force: bool,
}

impl RebaseArguments {
    /// Takes it down in the agent's store.
    ///
    /// # Errors
    ///
    /// A store that is in use, or a register that can't be.
    pub fn run(self) -> anyhow::Result<()> {
        let config: Config = self.config.read()?;
        let path = self.config.directory().join(&config.store);
        let refused = "the store can't be opened; an agent that runs has it: stop it first, such as by systemctl stop \
                       wattveil-meter-agent";
        let mut store = FileStore::open(&path, CACHE).context(refused)?;
        let limits = config.registers.to_limits(config.read_roster(self.config.directory())?.slot())?;
        let mut registers = feed::load(&store)?.or_from(OpenBatch::load(&store)?.last(), limits.slot);
        let watt_hours = |kwh: Option<Decimal>| {
            let exact =
                kwh.map(|kwh| kwh.checked_mul(Decimal::from(1_000)).context("that is no register in kWh"));
            exact.transpose()
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
        let said = match rebase {
            Rebase::JumpIsReal | Rebase::ExportJumpIsReal => {
                "the register is believed since it jumped, and goes on from there"
            }
            Rebase::NewExportLevel => {
                "the next export register that is read is a new one's first; what it counted before counts nowhere"
            }
            Rebase::NewLevel { closing: Some(_), opening: Some(_) } => {
                "the new device's registers go on from the old one's closing register; no energy is lost"
            }
            Rebase::NewLevel { closing: None, opening: Some(_) } => {
                "the new device's registers go on from the last one that was read; what the old one counted after that is not \
                 billed"
            }
            Rebase::NewLevel { opening: None, .. } => {
                "the next register that is read is the new device's first; what it counted before is not billed"
            }
        };
        let added = kilowatt_hours(adds);
        let bill = if self.export {
            format!("This counts {added} kWh of export, which is in no bill")
        } else {
            format!("This adds {added} kWh to the bill")
        };
        writeln!(std::io::stdout(), "taken down: {said}. {bill}")?;
        Ok(())
    }
}
