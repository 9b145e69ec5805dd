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

use crate::agenda;
use crate::agenda::progress::State;
use crate::agenda::results::Results;
use crate::config::Config;
use crate::sink::Agreement;

/// Ask for certified releases, decode them, and keep the ledger of bills and curves, until stopped
///
/// The environment (WATTVEIL_PACE__SETTLE=500ms) and --set (--set pace.settle=500ms) override every parameter of the
/// configuration.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Command {
    #[command(flatten)]
    config: ConfigArguments,
    /// Stop when every configured release has ended
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
        let stopped_early = Cell::new(false);
        let stopped = runtime::stopped();
        let stopped = async {
            stopped.await;
            stopped_early.set(true);
        };
        telemetry::serve_metrics(config.metrics)?;
        let directory = self.config.directory();
        let results = agenda::run(&config, directory, self.until_done, stopped, |_| ()).await;
        let results = results.context("the utility sink stopped")?;
        if self.until_done {
            log_end(&results);
        }
        print(&results).context("cannot print what was released")?;
        let missing = results.progress.iter().filter(|progress| progress.state != State::Ended).count();
        anyhow::ensure!(
            !self.until_done || missing == 0 || stopped_early.get(),
            "{missing} of {} configured releases are missing; the warnings above give the reasons",
            results.progress.len()
        );
        Ok(())
    }
}

/// Logs what was released, and what was not and why.
fn log_end(results: &Results) {
    for progress in results.progress.iter().filter(|progress| progress.state != State::Ended) {
        warn!("not released: {progress}");
    }
    let mut unbilled: BTreeMap<Rule, usize> = BTreeMap::new();
    for rule in results.unbilled.values() {
        *unbilled.entry(*rule).or_default() += 1;
    }
    for (rule, meters) in unbilled {
        warn!(rule = rule.name(), meters, "not billed: {}", rule.meaning());
    }
    info!(
        bills = results.bills.len(),
        curve_days = results.curves.len(),
        intervals = results.intervals.len(),
        findings = results.findings.len(),
        "results of the configured releases"
    );
}

fn print(results: &Results) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for bill in &results.bills {
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
    for curve in &results.curves {
        let energies: Vec<i64> = curve.energies.iter().map(|energy| energy.0).collect();
        let line = serde_json::json!({
            "group": curve.group.to_string(),
            "from_slot": curve.slots.start().0,
            "members": curve.members,
            "energy_wh": energies,
        });
        writeln!(out, "{line}")?;
    }
    for (name, finding) in &results.findings {
        let points = |set: &Vec<Point>| set.iter().map(|point| u8::from(*point)).collect::<Vec<_>>();
        let wrong: Vec<Vec<u8>> = results.wrong.get(name).into_iter().flatten().map(points).collect();
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
    for interval in &results.intervals {
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
