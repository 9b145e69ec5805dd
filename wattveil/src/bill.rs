//! `wattveil bill`: closes a period. It asks for the bills of the utility's meters, waits for them, and exports them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _, Zoned};
use protocol::certificate::deployment_context;
use protocol::id::{Hash, MeterId};
use protocol::policy::Policy;
use protocol::revocation::Revocation;
use protocol::rule::{Refusal, Rule};
use protocol::signature::Signed;
use protocol::tariff::TariffDocument;
use protocol::unit::{Amount, SlotLength, SlotRange};
use utility_sink::agenda::progress::State;
use utility_sink::config::Config;
use utility_sink::sink::Bill;

use self::billed::{Ledger, scope};
use self::questions::{AT_ONCE, Question};
use self::summary::Facts;
use crate::export::{self, Kind};
use crate::release::{Stop, explained, released_within};
use deployment::directory::{MeterRow, MetersFile};

mod billed;
mod questions;
mod summary;
#[cfg(test)]
mod tests;

/// Close a period: ask for the meters' bills, wait for them, and export them
#[derive(Clone, Debug, Args)]
pub struct BillArguments {
    /// The sink's configuration. Stop the sink before you close a period
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// A month (2026-10), days from and up to (2026-10-01..2026-11-01), or the last whole days (28d)
    #[arg(long)]
    period: String,
    /// The tariffs' names, separated by commas [default: all tariffs of the sink]
    #[arg(long, value_delimiter = ',')]
    tariffs: Vec<String>,
    /// CSV with the columns name,meter,group [default: meters.csv beside the configuration]
    #[arg(long, value_name = "FILE")]
    meters: Option<PathBuf>,
    /// Only the meters of this group
    #[arg(long)]
    group: Option<String>,
    /// Write the bills as CSV to this file, one file for each period
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Write the bills as JSON to this file, one file for each period
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// How many seconds to wait for the answers to the open questions, up to four at a time
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    patience: u64,
}

/// The columns that every export begins with.
const COLUMNS: &str = "name,meter,group,from,to,energy_wh";

/// What tells a bill from others.
const BILL: &[&str] = &["meter", "from", "to"];

/// Bills as CSV and as JSON.
const TABLE: Kind = Kind::Csv { begins: COLUMNS, key: BILL };
const LIST: Kind = Kind::Json { has: "query", key: BILL };

/// What a period came to.
#[derive(Debug)]
pub struct Outcome {
    /// The bills as CSV.
    pub csv: String,
    /// What happened, for people.
    pub summary: String,
    /// Whether every meter has its bill, and nothing is to come of those that are revoked.
    pub complete: bool,
    /// Why an export was not written.
    pub unwritten: Option<String>,
}

/// What is asked for.
#[derive(Debug)]
struct Closing {
    zone: TimeZone,
    /// The day that it is, there.
    today: Date,
    slot: SlotLength,
    policy: Policy,
    period: SlotRange,
    tariffs: Vec<TariffDocument>,
    /// The tariffs' hashes, in the same order: bills name what priced them by it.
    hashes: Vec<Hash>,
    meters: Vec<MeterRow>,
}

impl BillArguments {
    /// Asks, waits, exports.
    ///
    /// # Errors
    ///
    /// A file or a period that is not what it should be; a sink that runs.
    pub async fn run(self) -> anyhow::Result<Outcome> {
        for (file, kind) in [(&self.csv, TABLE), (&self.json, LIST)] {
            file.as_ref().map_or(Ok(()), |file| export::check(file, kind))?;
        }
        let mut config = Config::read(&self.config)?;
        let home = self.config.parent().unwrap_or_else(|| Path::new("."));
        let asked = self.asked(&config, home)?;
        let store = home.join(&config.store);
        let failed = "the period was not closed";
        let ledger = Ledger::open(&store).map_err(|error| explained(error, failed, &store))?;
        let mut questions = VecDeque::from(asked.questions(&ledger)?);
        // the sink has the store from here on
        drop(ledger);
        // nobody waits for the answers to other questions
        if let Some(levelled) = &mut config.levelled {
            levelled.questions.clear();
        }
        let tariffs: Vec<String> = asked.tariffs.iter().map(|tariff| tariff.id.to_string()).collect();
        let (mut states, mut unbilled) = (BTreeMap::new(), BTreeMap::new());
        let (ledger, revoked, ended) = loop {
            let turn: Vec<Question> = questions.drain(..questions.len().min(AT_ONCE)).collect();
            config.releases = turn.iter().map(|question| question.release(&tariffs)).collect();
            let (released, ended) = released_within(self.patience, &config, home, failed).await?;
            let ledger = Ledger::open(&store)?;
            for question in turn {
                let standing = released.progress.iter().find(|standing| standing.name == question.name());
                let state = standing.map(|standing| standing.state.clone());
                if let Some(state) = &state {
                    questions.extend(asked.after(&question, state, &released.unbilled, &ledger)?);
                }
                states.extend(question.meters.into_iter().map(|meter| (meter, state.clone())));
            }
            unbilled.extend(released.unbilled);
            if questions.is_empty() || ended != Stop::Done {
                break (ledger, released.revoked, ended);
            }
        };
        for question in questions {
            states.extend(question.meters.into_iter().map(|meter| (meter, None)));
        }
        let mut all = Vec::new();
        for row in &asked.meters {
            all.extend(ledger.bills(row.meter)?);
        }
        let bills: Vec<&Bill> = all.iter().filter(|bill| asked.concerns(bill)).collect();
        let refusals = states.values().map(|state| match state {
            Some(State::NotAsked(refusal)) => Some(refusal),
            _ => None,
        });
        if let (Some(Some(refusal)), true) = (refusals.min_by_key(Option::is_some), bills.is_empty()) {
            anyhow::bail!("{}", self.not_asked(refusal));
        }
        let (csv, json) = (asked.csv(&bills), asked.json(&bills));
        let json = format!("{json:#}\n");
        let mut unwritten = String::new();
        for (file, kind, text) in [(&self.csv, TABLE, &csv), (&self.json, LIST, &json)] {
            if let Some(Err(error)) = file.as_ref().map(|file| export::write(file, kind, text)) {
                writeln!(unwritten, "{error:#}").expect("a String takes every text");
            }
        }
        let revoked: BTreeMap<MeterId, Revocation> =
            revoked.into_iter().map(|revocation| (revocation.meter, revocation)).collect();
        let known = Facts { bills: &bills, revoked: &revoked, asked: &states, unbilled: &unbilled, ended };
        Ok(Outcome {
            csv,
            summary: asked.summary(&known),
            complete: asked.open(&known).is_empty(),
            unwritten: (!unwritten.is_empty()).then_some(unwritten),
        })
    }

    /// What was found and what to type where the rules do not allow the question.
    fn not_asked(&self, refusal: &Refusal) -> String {
        let hint = match refusal.rule {
            Rule::TariffMeters if self.group.is_some() || self.meters.is_some() => {
                "; type it without --group and --meters, for all meters together"
            }
            Rule::Targets => "; remove the lines that name a meter twice from the list of meters",
            Rule::TariffMeters => "; to add a meter, type: wattveil enrol DIR NAME",
            Rule::Functionals | Rule::Cell => "; type --tariffs with fewer of them, or a longer --period",
            Rule::Window | Rule::TariffUnknown => "; type another --period",
            _ => "",
        };
        format!("nothing was asked (rule {}): {}{hint}", refusal.rule, refusal.detail)
    }

    fn asked(&self, config: &Config, home: &Path) -> anyhow::Result<Closing> {
        let (identity, roster) = config.identity(home)?;
        let mut tariffs = config.read_tariffs(home, roster.slot())?;
        let known: Vec<String> = tariffs.iter().map(|tariff| tariff.id.to_string()).collect();
        for wanted in &self.tariffs {
            anyhow::ensure!(
                known.contains(wanted),
                "--tariffs: expected names from {}; found `{wanted}`",
                known.join(",")
            );
        }
        if !self.tariffs.is_empty() {
            tariffs.retain(|tariff| self.tariffs.contains(&tariff.id.to_string()));
        }
        let context = deployment_context(&roster.document().deployment);
        let signed = |tariff: &TariffDocument| Signed::sign(tariff.clone(), &identity.key, &context).hash();
        let hashes = tariffs.iter().map(signed).collect();
        let zone = match tariffs.first() {
            Some(tariff) => TimeZone::get(&tariff.zone).context("the tariff's zone is unknown")?,
            None => TimeZone::UTC,
        };
        let file = self.meters.clone().unwrap_or_else(|| home.join("meters.csv"));
        let mut meters = MetersFile::read(&file)?.0;
        anyhow::ensure!(
            !meters.is_empty(),
            "{} has no meters; to add one, type: wattveil enrol DIR NAME",
            file.display()
        );
        if let Some(group) = &self.group {
            let groups: BTreeSet<String> = meters.iter().map(|row| row.group.to_string()).collect();
            meters.retain(|row| row.group.as_ref() == group);
            anyhow::ensure!(
                !meters.is_empty(),
                "--group: expected a group of {}, one of {}; found `{group}`",
                file.display(),
                groups.into_iter().collect::<Vec<_>>().join(", ")
            );
        }
        let now = Timestamp::from_second(i64::try_from(runtime::now::<protocol::unit::Timestamp>().0)?)?;
        let period = period(&self.period, &zone, roster.slot(), now)?;
        let policy = roster.policy().clone();
        let shortest = policy.bill_slots(roster.slot());
        anyhow::ensure!(
            period.len() >= shortest,
            "the period has {} slots; the roster's policy needs at least {} days, {shortest} slots; type for example --period {}d",
            period.len(),
            policy.bill_days,
            policy.bill_days
        );
        let today = now.to_zoned(zone.clone()).date();
        Ok(Closing { zone, today, slot: roster.slot(), policy, period, tariffs, hashes, meters })
    }
}

/// The slots of a period as people write it.
fn period(text: &str, zone: &TimeZone, slot: SlotLength, now: Timestamp) -> anyhow::Result<SlotRange> {
    let wrong = || {
        format!(
            "--period: expected a month (2026-10), a range of days (2026-10-01..2026-11-01), or a number of days (28d); found `{text}`"
        )
    };
    let today = now.to_zoned(zone.clone()).date();
    let (from, to): (Date, Date) = if let Some(days) = text.strip_suffix('d') {
        let days: i32 = days.parse().ok().filter(|days| (1..=3_660).contains(days)).with_context(wrong)?;
        (today.checked_sub(days.days())?, today)
    } else if let Some((from, to)) = text.split_once("..") {
        (from.parse().ok().with_context(wrong)?, to.parse().ok().with_context(wrong)?)
    } else {
        let first: Date = format!("{text}-01").parse().ok().with_context(wrong)?;
        (first, first.checked_add(1.month())?)
    };
    anyhow::ensure!(
        from < to,
        "--period: expected the earlier day first, and the day after the last day second; found `{text}`"
    );
    anyhow::ensure!(
        to <= today,
        "the period {text} is not over yet in {}; close it on {to} or later",
        zone.iana_name().unwrap_or("UTC")
    );
    let slot_of = |date: Date| {
        let midnight: Zoned = date.to_zoned(zone.clone())?;
        let seconds = u64::try_from(midnight.timestamp().as_second()).context("a day before 1970")?;
        slot.slot_at(protocol::unit::Timestamp(seconds)).context("the day is too late to have a slot number")
    };
    Ok(SlotRange::new(slot_of(from)?, slot_of(to)?)?)
}

impl Closing {
    /// Whether it is a bill of one of the meters, over a part of the period at least.
    fn concerns(&self, bill: &Bill) -> bool {
        self.touches(bill) && self.row_of(bill).is_some()
    }

    /// Whether a bill is over a part of the period. One that begins within its last day and ends after it is the next period's: the
    /// last record of a period may end hours before midnight.
    fn touches(&self, bill: &Bill) -> bool {
        let (period, window) = (self.period, bill.window);
        let next = window.end() > period.end() && window.start().0 + self.slot.per_day() >= period.end().0;
        period.overlaps(window) && !next
    }

    fn row_of(&self, bill: &Bill) -> Option<&MeterRow> {
        self.meters.iter().find(|row| row.meter == bill.meter)
    }

    fn csv(&self, bills: &[&Bill]) -> String {
        let prices = self.tariffs.iter().map(|tariff| format!("{} {}", tariff.id, tariff.currency));
        let header = COLUMNS.split(',').map(str::to_owned).chain(prices);
        let header = header.chain(["missing_slots", "released"].map(str::to_owned)).collect();
        let row = |bill: &&Bill| {
            let MeterRow { name, meter, group } = self.row_of(bill)?;
            let (from, to) = (self.time(bill.window.start()), self.time(bill.window.end()));
            let begin =
                [name.clone(), meter.to_string(), group.to_string(), from, to, bill.energy.0.to_string()];
            let amount = |hash| amount(bill, hash).map(|amount| amount.to_string()).unwrap_or_default();
            let end = [bill.missing.to_string(), scope(bill.scope).to_owned()];
            Some(begin.into_iter().chain(self.hashes.iter().map(amount)).chain(end).collect())
        };
        let rows: Vec<Vec<String>> = [header].into_iter().chain(bills.iter().filter_map(row)).collect();
        export::table(&rows)
    }

    fn json(&self, bills: &[&Bill]) -> serde_json::Value {
        let one = |bill: &&Bill| {
            let row = self.row_of(bill)?;
            let amounts: serde_json::Map<String, serde_json::Value> = self
                .tariffs
                .iter()
                .zip(&self.hashes)
                .filter_map(|(tariff, hash)| {
                    let amount = amount(bill, hash)?.to_string();
                    Some((
                        tariff.id.to_string(),
                        serde_json::json!({ "amount": amount, "currency": tariff.currency }),
                    ))
                })
                .collect();
            Some(serde_json::json!({
                "name": row.name,
                "meter": row.meter.to_string(),
                "group": row.group.to_string(),
                "from": self.time(bill.window.start()),
                "to": self.time(bill.window.end()),
                "energy_wh": bill.energy.0,
                "amounts": amounts,
                "missing_slots": bill.missing,
                "released": scope(bill.scope),
                "unaccounted_wh": bill.unaccounted.map(|energy| energy.0),
                "query": bill.query.to_string(),
            }))
        };
        bills.iter().filter_map(one).collect()
    }
}

/// What a bill comes to under the tariff of this hash, if it was asked for under it.
fn amount(bill: &Bill, tariff: &Hash) -> Option<Amount> {
    bill.amounts.iter().find(|(hash, _)| hash == tariff).map(|(_, amount)| *amount)
}
