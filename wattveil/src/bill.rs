//! `wattveil bill`: closes a period. It asks for the bills of the utility's meters, waits for them, and exports them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _, Zoned};
use protocol::certificate::deployment_context;
use protocol::id::{Hash, MeterId};
use protocol::release::selection::Scope;
use protocol::revocation::Revocation;
use protocol::signature::{Signed, hash};
use protocol::tariff::TariffDocument;
use protocol::unit::{Amount, Slot, SlotLength, SlotRange};
use utility_sink::config::{Config, ReleaseConfig};
use utility_sink::sink::Bill;

use crate::directory::{MeterRow, MetersFile};
use crate::release::released_within;

/// Close a period: ask for the meters' bills, wait for them, and export them
#[derive(Clone, Debug, Args)]
pub struct BillArguments {
    /// The sink's configuration; the sink itself must not be running meanwhile
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// A month (2026-10), days from and up to (2026-10-01..2026-11-01), or the last whole days (28d)
    #[arg(long)]
    period: String,
    /// The tariffs' names with commas between [default: all that the sink publishes]
    #[arg(long, value_delimiter = ',')]
    tariffs: Vec<String>,
    /// The meters: lines of name,meter,group [default: meters.csv beside the configuration]
    #[arg(long, value_name = "FILE")]
    meters: Option<PathBuf>,
    /// Only the meters of this group
    #[arg(long)]
    group: Option<String>,
    /// Write CSV there
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Write JSON there
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// How many seconds to wait for answers
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    patience: u64,
}

/// What a period came to.
#[derive(Debug)]
pub struct Closed {
    /// The bills as CSV.
    pub csv: String,
    /// What happened, for people.
    pub summary: String,
    /// Whether every meter has a bill, but for those that are revoked.
    pub complete: bool,
}

/// What is asked for.
struct Asked {
    zone: TimeZone,
    slot: SlotLength,
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
    pub async fn run(self) -> anyhow::Result<Closed> {
        for file in [&self.csv, &self.json].into_iter().flatten() {
            anyhow::ensure!(
                !file.exists(),
                "{} is there already; name another file, or move it away",
                file.display()
            );
        }
        let mut config = Config::read(&self.config)?;
        let home = self.config.parent().unwrap_or_else(|| Path::new("."));
        let asked = self.asked(&config, home)?;
        let meters: Vec<String> = asked.meters.iter().map(|row| row.meter.to_string()).collect();
        let tariffs: Vec<String> = asked.tariffs.iter().map(|tariff| tariff.id.to_string()).collect();
        let (from, to) = (asked.period.start().0, asked.period.end().0);
        // the same question has the same name, and is asked once
        let name = hash("bill", &[meters.concat().as_bytes(), tariffs.join(",").as_bytes()]).to_string();
        let name = format!("bill-{from}-{to}-{}", &name[..8]);
        config.releases = vec![ReleaseConfig::Bill { name, period: (from, to), tariffs, meters }];
        let released = released_within(self.patience, &config, home, "the period was not closed").await?;
        let bills: Vec<&Bill> = released.bills.iter().filter(|bill| asked.concerns(bill)).collect();
        let (csv, json) = (asked.csv(&bills), asked.json(&bills));
        write_new(self.csv.as_deref(), &csv)?;
        write_new(self.json.as_deref(), &format!("{json:#}\n"))?;
        let billed: BTreeSet<_> = bills.iter().map(|bill| bill.meter).collect();
        let revoked: BTreeMap<MeterId, Revocation> =
            released.revoked.into_iter().map(|revocation| (revocation.meter, revocation)).collect();
        let without: Vec<&str> = asked
            .meters
            .iter()
            .filter(|row| !billed.contains(&row.meter) && !revoked.contains_key(&row.meter))
            .map(|row| row.name.as_str())
            .collect();
        Ok(Closed { csv, summary: asked.summary(&bills, &without, &revoked), complete: without.is_empty() })
    }

    fn asked(&self, config: &Config, home: &Path) -> anyhow::Result<Asked> {
        let (identity, roster) = config.identity(home)?;
        let mut tariffs = config.read_tariffs(home, roster.slot())?;
        let known: Vec<String> = tariffs.iter().map(|tariff| tariff.id.to_string()).collect();
        for wanted in &self.tariffs {
            anyhow::ensure!(
                known.contains(wanted),
                "there is no tariff `{wanted}`; type --tariffs with some of: {}",
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
            "there are no meters in {}; enrol some: wattveil enrol DIR NAME",
            file.display()
        );
        if let Some(group) = &self.group {
            let groups: BTreeSet<String> = meters.iter().map(|row| row.group.to_string()).collect();
            meters.retain(|row| row.group.as_ref() == group);
            anyhow::ensure!(
                !meters.is_empty(),
                "there is no group `{group}` in {}; type --group with one of: {}",
                file.display(),
                groups.into_iter().collect::<Vec<_>>().join(", ")
            );
        }
        let now = Timestamp::from_second(i64::try_from(host::now().timestamp().0)?)?;
        let period = period(&self.period, &zone, roster.slot(), now)?;
        let shortest = roster.policy().bill_slots(roster.slot());
        anyhow::ensure!(
            period.len() >= shortest,
            "the period has {} slots, and the roster's policy wants {} days, {shortest} slots, at least; type such as --period {}d",
            period.len(),
            roster.policy().bill_days,
            roster.policy().bill_days
        );
        Ok(Asked { zone, slot: roster.slot(), period, tariffs, hashes, meters })
    }
}

/// The slots of a period as people write it.
fn period(text: &str, zone: &TimeZone, slot: SlotLength, now: Timestamp) -> anyhow::Result<SlotRange> {
    let wrong = || {
        format!(
            "`{text}` is no period; type a month (--period 2026-10), days (--period 2026-10-01..2026-11-01), or --period 28d"
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
        "the period {text} runs backwards; type the earlier day first, and the day after the last one second"
    );
    anyhow::ensure!(
        to <= today,
        "the period {text} is not over yet in {}; close it on {to}",
        zone.iana_name().unwrap_or("UTC")
    );
    let slot_of = |date: Date| {
        let midnight: Zoned = date.to_zoned(zone.clone())?;
        let seconds = u64::try_from(midnight.timestamp().as_second()).context("a day before 1970")?;
        slot.slot_at(protocol::unit::Timestamp(seconds)).context("a day beyond the calendar of slots")
    };
    Ok(SlotRange::new(slot_of(from)?, slot_of(to)?)?)
}

impl Asked {
    fn time(&self, slot: Slot) -> String {
        let seconds = i64::try_from(self.slot.start_of(slot).0).ok();
        let time = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
        time.map_or_else(String::new, |time| {
            time.to_zoned(self.zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
        })
    }

    /// Whether it is a bill of one of the meters, over a part of the period at least.
    fn concerns(&self, bill: &Bill) -> bool {
        self.period.overlaps(bill.window) && self.row_of(bill).is_some()
    }

    fn row_of(&self, bill: &Bill) -> Option<&MeterRow> {
        self.meters.iter().find(|row| row.meter == bill.meter)
    }

    fn csv(&self, bills: &[&Bill]) -> String {
        let mut text = "name,meter,group,from,to,energy_wh".to_owned();
        for tariff in &self.tariffs {
            write!(text, ",{} {}", tariff.id, tariff.currency).expect("a String takes every text");
        }
        text.push_str(",missing_slots,released\n");
        for bill in bills {
            let Some(row) = self.row_of(bill) else { continue };
            let (from, to) = (self.time(bill.window.start()), self.time(bill.window.end()));
            write!(text, "{},{},{},{from},{to},{}", row.name, row.meter, row.group, bill.energy.0)
                .expect("a String takes every text");
            for hash in &self.hashes {
                let amount = amount(bill, hash).map(|amount| amount.to_string()).unwrap_or_default();
                write!(text, ",{amount}").expect("a String takes every text");
            }
            writeln!(text, ",{},{}", bill.missing, scope(bill.scope)).expect("a String takes every text");
        }
        text
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

    fn summary(&self, bills: &[&Bill], without: &[&str], revoked: &BTreeMap<MeterId, Revocation>) -> String {
        let energy: i64 = bills.iter().map(|bill| bill.energy.0).sum();
        let mut text = format!(
            "{} to {}: {} of {} meters have a bill, {energy} Wh in all.\n",
            self.time(self.period.start()),
            self.time(self.period.end()),
            bills.iter().map(|bill| bill.meter).collect::<BTreeSet<_>>().len(),
            self.meters.len()
        );
        // a record may lie across midnight, so a bill's ends are within a day of the period's
        let day = 86_400 / self.slot.seconds();
        let period = self.period;
        let is_other = |bill: &&&Bill| {
            let (from, to) = (bill.window.start(), bill.window.end());
            from.0.abs_diff(period.start().0) > day || to.0.abs_diff(period.end().0) > day
        };
        let other: Vec<&&Bill> = bills.iter().filter(is_other).collect();
        if let Some(first) = other.first() {
            writeln!(
                text,
                "{} of these bills are of other days than were asked for, the first from {} to {}: no slot is billed twice, and what \
                 has no record is not billed.",
                other.len(),
                self.time(first.window.start()),
                self.time(first.window.end())
            )
            .expect("a String takes every text");
        }
        for bill in bills {
            if let (Some(row), true) = (self.row_of(bill), bill.missing > 0) {
                writeln!(
                    text,
                    "{}: {} slots without a record; their energy is in the registers' difference, at the substitute price.",
                    row.name, bill.missing
                )
                .expect("a String takes every text");
            }
        }
        for row in &self.meters {
            let Some(revocation) = revoked.get(&row.meter) else { continue };
            let last =
                bills.iter().filter(|bill| bill.meter == row.meter).map(|bill| bill.window.end()).max();
            let billed = match last {
                Some(end) => format!("billed to its last record, which ends {}", self.time(end)),
                None => {
                    "no bill: what it measured since its last one is shorter than the shortest bill, or billed; read it off its register"
                        .to_owned()
                }
            };
            let from = self.slot.slot_at(revocation.from).map_or_else(String::new, |slot| self.time(slot));
            writeln!(text, "{} is revoked as of {from} ({}): {billed}.", row.name, revocation.reason)
                .expect("a String takes every text");
        }
        if !without.is_empty() {
            writeln!(
                text,
                "No bill for: {}. Is everybody up (wattveil status), with nothing waiting? Type the same again: what was asked is \
                 asked once, and goes on.",
                without.join(", ")
            )
            .expect("a String takes every text");
        }
        text
    }
}

/// What a bill comes to under the tariff of this hash, if it was asked for under it.
fn amount(bill: &Bill, tariff: &Hash) -> Option<Amount> {
    bill.amounts.iter().find(|(hash, _)| hash == tariff).map(|(_, amount)| *amount)
}

fn scope(scope: Scope) -> &'static str {
    match scope {
        Scope::Complete => "complete",
        Scope::Substituted => "substituted",
        Scope::Registers => "registers",
    }
}

fn write_new(file: Option<&Path>, text: &str) -> anyhow::Result<()> {
    let Some(file) = file else { return Ok(()) };
    // bills are for the utility's eyes
    crate::deployment::files::write_new(file, text.as_bytes(), 0o600)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(text: &str) -> Result<(u32, u32), String> {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let slots = period(text, &zone, SlotLength::try_from(3_600).unwrap(), now);
        slots.map(|slots| (slots.start().0, slots.end().0)).map_err(|error| error.to_string())
    }

    /// Months and days are local: October has an hour more.
    #[test]
    fn periods_are_local_days() {
        let (from, to) = slots("2026-10").unwrap();
        assert_eq!(to - from, 31 * 24 + 1);
        assert_eq!(slots("2026-10-01..2026-11-01"), Ok((from, to)));
        let (from, to) = slots("28d").unwrap();
        // the first of these days is the one with an hour more
        assert_eq!((to - from, (to + 1) % 24), (28 * 24 + 1, 0));
    }

    /// Who is revoked is billed to its last record or read off its register, and is not asked for again.
    #[test]
    fn revoked_meters_are_said() {
        let row = |name: &str, number: u8| MeterRow {
            name: name.to_owned(),
            meter: MeterId::from([number; 16]),
            group: "group-1".parse().unwrap(),
        };
        let slot = SlotLength::try_from(3_600).unwrap();
        let period = SlotRange::new(Slot(480_000), Slot(480_672)).unwrap();
        let meters = vec![row("early", 1), row("late", 2), row("silent", 3)];
        let asked =
            Asked { zone: TimeZone::UTC, slot, period, tariffs: Vec::new(), hashes: Vec::new(), meters };
        let bill = Bill {
            meter: MeterId::from([2; 16]),
            window: SlotRange::new(Slot(480_000), Slot(480_650)).unwrap(),
            energy: protocol::unit::WattHours(7),
            amounts: Vec::new(),
            scope: Scope::Registers,
            missing: 0,
            unaccounted: None,
            query: protocol::id::QueryId::from([9; 16]),
        };
        let revoked = [1, 2].map(|number| {
            let (meter, from) = (MeterId::from([number; 16]), slot.start_of(Slot(480_650)));
            (meter, Revocation { meter, from, reason: "moved out".parse().unwrap() })
        });
        let text = asked.summary(&[&bill], &["silent"], &revoked.into());
        for words in [
            "1 of 3 meters have a bill, 7 Wh in all",
            "early is revoked as of 2024-10-31T02:00:00+00:00 (moved out): no bill",
            "read it off its register",
            "late is revoked as of 2024-10-31T02:00:00+00:00 (moved out): billed to its last record, which ends 2024-10-31T02:00",
            "No bill for: silent.",
        ] {
            assert!(text.contains(words), "lacks `{words}`:\n{text}");
        }
    }

    /// A price stands under the tariff that made it, whichever tariffs are asked for now; other days are told as such.
    #[test]
    fn prices_stand_under_their_tariffs() {
        let tariff = |id: &str| TariffDocument {
            id: id.parse().unwrap(),
            currency: "USD".to_owned(),
            zone: "UTC".to_owned(),
            valid_from: Slot(0),
            valid_to: Slot(1_000_000),
            bands: Vec::new(),
            windows: Vec::new(),
            otherwise: 0,
            substitute: 0,
            offsets: Vec::new(),
        };
        let (flat, tou) = (hash("tariff", &[b"flat"]), hash("tariff", &[b"tou"]));
        let window = SlotRange::new(Slot(480_000), Slot(480_672)).unwrap();
        let bill = Bill {
            meter: MeterId::from([1; 16]),
            window,
            energy: protocol::unit::WattHours(7),
            amounts: vec![(flat, Amount(100_000_000)), (tou, Amount(200_000_000))],
            scope: Scope::Complete,
            missing: 0,
            unaccounted: None,
            query: protocol::id::QueryId::from([9; 16]),
        };
        let row = MeterRow { name: "home".to_owned(), meter: bill.meter, group: "group-1".parse().unwrap() };
        let mut asked = Asked {
            zone: TimeZone::UTC,
            slot: SlotLength::try_from(3_600).unwrap(),
            period: window,
            tariffs: vec![tariff("tou")],
            hashes: vec![tou],
            meters: vec![row],
        };
        assert!(asked.csv(&[&bill]).contains(",7,2.00,0,"), "{}", asked.csv(&[&bill]));
        assert_eq!(asked.json(&[&bill])[0]["amounts"]["tou"]["amount"], "2.00");
        assert!(!asked.summary(&[&bill], &[], &BTreeMap::new()).contains("other days"));
        asked.hashes = vec![hash("tariff", &[b"new"])];
        assert!(asked.csv(&[&bill]).contains(",7,,0,"));
        asked.period = SlotRange::new(Slot(479_400), Slot(480_072)).unwrap();
        assert!(asked.concerns(&bill));
        assert!(
            asked.summary(&[&bill], &[], &BTreeMap::new()).contains("1 of these bills are of other days")
        );
    }

    /// What is no period, or not over, says what to type.
    #[test]
    fn mistakes_say_what_to_type() {
        for text in ["october", "2026-13", "0d", "2026-10-01"] {
            assert!(slots(text).unwrap_err().contains("--period 2026-10"), "{text}");
        }
        assert!(slots("2026-11").unwrap_err().contains("close it on 2026-12-01"));
        assert!(slots("2026-10-02..2026-10-01").unwrap_err().contains("earlier day first"));
    }
}
