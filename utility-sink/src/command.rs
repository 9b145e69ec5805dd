//! The utility sink as a command: its flags, what it does with them, and what it prints.

use anyhow::Context as _;
use clap::Parser;
use protocol::rule::Rule;
use protocol::shamir::Point;
use runtime::config::ConfigArguments;
use runtime::telemetry;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{self, Write as _};
use tracing::{info, warn};

use crate::config::Config;
use crate::service::{self, Released, State};
use crate::sink::Agreement;

/// Asks for certified releases, decodes them, keeps the ledger of bills and curves, until it is stopped
///
/// Every parameter of the configuration can be set over the file: in the environment (WATTVEIL_PACE__SETTLE_MS=500) or with
/// --set (--set pace.settle_ms=500).
#[derive(Debug, Parser)]
#[command(version)]
pub struct Command {
    #[command(flatten)]
    config: ConfigArguments,
    /// End once every configured release has ended
    #[arg(long)]
    until_done: bool,
}

impl Command {
    /// Runs until control-C or SIGTERM; then prints what the configured releases gave as JSON, one line each.
    ///
    /// # Errors
    ///
    /// A file that is not what it should be, whatever makes going on impossible, and with `until_done` a release that did not end, unless
    /// somebody stopped it before.
    pub async fn run(self) -> anyhow::Result<()> {
        let config: Config = self.config.read()?;
        telemetry::log_to_stderr(config.log);
        let told = Cell::new(false);
        let stopped = runtime::stopped();
        let stopped = async {
            stopped.await;
            told.set(true);
        };
        telemetry::serve_metrics(config.metrics)?;
        let directory = self.config.directory();
        let done = service::run_configured(&config, directory, self.until_done, stopped).await;
        let released = done.context("the utility sink stopped")?;
        if self.until_done {
            close(&released);
        }
        print(&released).context("cannot print what was released")?;
        let lacking = released.standings.iter().filter(|standing| standing.state != State::Ended).count();
        anyhow::ensure!(
            !self.until_done || lacking == 0 || told.get(),
            "{lacking} of {} releases were not released; what is above says why",
            released.standings.len()
        );
        Ok(())
    }
}

/// Says what was released and what was not.
fn close(released: &Released) {
    for standing in released.standings.iter().filter(|standing| standing.state != State::Ended) {
        warn!("not released: {standing}");
    }
    let mut unbilled: BTreeMap<Rule, usize> = BTreeMap::new();
    for rule in released.unbilled.values() {
        *unbilled.entry(*rule).or_default() += 1;
    }
    for (rule, meters) in unbilled {
        warn!(rule = rule.name(), meters, "not billed: {}", rule.meaning());
    }
    info!(
        bills = released.bills.len(),
        curve_days = released.curves.len(),
        intervals = released.intervals.len(),
        findings = released.findings.len(),
        "ended: this is what was released"
    );
}

fn print(released: &Released) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for bill in &released.bills {
        let amounts: Vec<String> = bill.amounts.iter().map(|(_, amount)| amount.to_string()).collect();
        let line = serde_json::json!({
            "meter": bill.meter.to_string(),
            "from_slot": bill.window.start().0,
            "to_slot": bill.window.end().0,
            "energy_wh": bill.energy.0,
            "amounts": amounts,
            "missing_slots": bill.missing,
        });
        writeln!(out, "{line}")?;
    }
    for curve in &released.curves {
        let energies: Vec<i64> = curve.energies.iter().map(|energy| energy.0).collect();
        let line = serde_json::json!({
            "group": curve.group.to_string(),
            "from_slot": curve.slots.start().0,
            "members": curve.members,
            "energy_wh": energies,
        });
        writeln!(out, "{line}")?;
    }
    for (name, finding) in &released.findings {
        let points = |set: &Vec<Point>| set.iter().map(|point| u8::from(*point)).collect::<Vec<_>>();
        let wrong: Vec<Vec<u8>> = released.wrong.get(name).into_iter().flatten().map(points).collect();
        let subjects: Vec<String> =
            finding.subjects.iter().map(|subject| format!("{}/{}", subject.group, subject.window)).collect();
        let line = serde_json::json!({
            "question": name,
            "function": finding.function.name(),
            "subjects": subjects,
            "members": finding.members,
            "values": finding.values,
            "deviation": finding.error,
            "one_decrypts_wrongly_of": wrong,
        });
        writeln!(out, "{line}")?;
    }
    for interval in &released.intervals {
        let energies: Vec<i64> = interval.energies.iter().map(|energy| energy.0).collect();
        let line = serde_json::json!({
            "group": interval.group.to_string(),
            "from_slot": interval.slots.start().0,
            "members": interval.members.len(),
            "energy_wh": energies,
            "energy_wh_by_ciphertexts": interval.sums.as_ref().map(|sums| &sums.energies),
            "export_wh": interval.sums.as_ref().map(|sums| sums.export),
            "squares_wh2": interval.sums.as_ref().map(|sums| &sums.squares),
            "paths_agree": interval.agreement == Agreement::Agrees,
        });
        writeln!(out, "{line}")?;
    }
    out.flush()
}
