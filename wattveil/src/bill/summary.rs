//! What happened to a period, in words: who has its bill, who has another, who has none and why, and what to type.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan as _, Zoned};
use protocol::id::MeterId;
use protocol::revocation::Revocation;
use protocol::rule::Rule;
use protocol::unit::{Slot, SlotRange};
use utility_sink::agenda::progress::State;
use utility_sink::sink::Bill;

use super::Closing;
use super::billed::Run;
use crate::release::Stop;
use deployment::directory::MeterRow;

/// The most names in a row; more are counted.
const NAMES: usize = 12;

/// What is known once nothing more comes.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    pub(super) bills: &'a [&'a Bill],
    pub(super) revoked: &'a BTreeMap<MeterId, Revocation>,
    /// The meters that were to be asked for, and how far the question for each had come; nothing if its turn had not come.
    pub(super) asked: &'a BTreeMap<MeterId, Option<State>>,
    /// By meter, why all else of its query was released and it was not.
    pub(super) unbilled: &'a BTreeMap<MeterId, Rule>,
    pub(super) ended: Stop,
}

/// Names with commas between; many are counted.
fn names(rows: &[&MeterRow]) -> String {
    let shown: Vec<&str> = rows.iter().take(NAMES).map(|row| row.name.as_str()).collect();
    match rows.len().saturating_sub(NAMES) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

impl Closing {
    /// A slot's start in the tariff's zone.
    fn zoned(&self, slot: Slot) -> Option<Zoned> {
        let seconds = i64::try_from(self.slot.start_of(slot).0).ok()?;
        Some(Timestamp::from_second(seconds).ok()?.to_zoned(self.zone.clone()))
    }

    pub(super) fn time(&self, slot: Slot) -> String {
        let zoned = self.zoned(slot);
        zoned.map_or_else(String::new, |zoned| zoned.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string())
    }

    /// The first day of slots, and the one after the last.
    fn days(&self, window: SlotRange) -> Option<(Date, Date)> {
        let (from, to) = (self.zoned(window.start())?, self.zoned(window.end())?);
        let midnight = to.start_of_day().ok()? == to;
        let after = if midnight { to.date() } else { to.date().tomorrow().ok()? };
        Some((from.date(), after))
    }

    /// A meter's bills of these days, as one.
    fn run<'a>(&self, meter: MeterId, bills: &'a [&'a Bill]) -> Option<Run> {
        let of = bills.iter().copied();
        Run::of(of.filter(|bill| bill.meter == meter && self.touches(bill)))
    }

    /// The meters whose period is not closed. One that is revoked is closed unless it was to be asked for and something may come of
    /// that.
    pub(super) fn open(&self, known: &Facts<'_>) -> Vec<&MeterRow> {
        let open = |row: &&MeterRow| {
            let run = self.run(row.meter, known.bills);
            if run.is_some_and(|run| run.closes(self.period, &self.policy, self.slot)) {
                return false;
            }
            match (known.revoked.contains_key(&row.meter), known.asked.get(&row.meter)) {
                (true, None) => false,
                (true, Some(Some(State::Ended))) => run.is_none(),
                _ => true,
            }
        };
        self.meters.iter().filter(open).collect()
    }

    pub(super) fn summary(&self, known: &Facts<'_>) -> String {
        let mut text = self.headline(known);
        for bill in known.bills {
            if let (Some(row), true) = (self.row_of(bill), bill.missing > 0) {
                let line = format!(
                    "{}: {} slots have no record. Their energy comes from the registers, at the substitute price.\n",
                    row.name, bill.missing
                );
                text.push_str(&line);
            }
        }
        text.push_str(&self.revoked_lines(known));
        text.push_str(&self.without_lines(known));
        text
    }

    /// For how many the period is closed, and whose bills are of other days.
    fn headline(&self, known: &Facts<'_>) -> String {
        let (mut count, mut energy) = (0, 0);
        let mut others: BTreeMap<(SlotRange, bool), (Vec<&MeterRow>, i64)> = BTreeMap::new();
        for row in &self.meters {
            let Some(run) = self.run(row.meter, known.bills) else { continue };
            let closes = run.closes(self.period, &self.policy, self.slot);
            if closes {
                count += 1;
                energy += run.energy;
            }
            if !run.is_of(self.period, &self.policy, self.slot) {
                let other = others.entry((run.window, closes)).or_default();
                other.0.push(row);
                other.1 += run.energy;
            }
        }
        let mut text = format!(
            "{} to {}: {count} of {} meters have their bill, {energy} Wh in all.\n",
            self.time(self.period.start()),
            self.time(self.period.end()),
            self.meters.len()
        );
        for ((window, closes), (rows, energy)) in &others {
            let line = format!(
                "{} above, {} of other days, from {} to {}, {energy} Wh in all: {}.",
                if *closes { "Counted" } else { "Not counted" },
                if rows.len() == 1 { "a bill".to_owned() } else { format!("{} bills", rows.len()) },
                self.time(window.start()),
                self.time(window.end()),
                names(rows)
            );
            let asked = rows.iter().any(|row| known.asked.contains_key(&row.meter));
            let more = if asked || *closes {
                " No slot is billed twice, and a slot without a record is not billed.".to_owned()
            } else {
                self.next(*window)
            };
            writeln!(text, "{line}{more}").expect("a String takes every text");
        }
        text
    }

    /// What can be asked for where a period is billed up to somewhere else than its end.
    fn next(&self, billed: SlotRange) -> String {
        let Some((from, after)) = self.days(billed) else { return String::new() };
        let next = self.zoned(billed.end()).map(|end| end.date());
        let Some(end) = next.and_then(|next| self.shortest_to(next, after)) else { return String::new() };
        let Some(next) = next else { return String::new() };
        let when = if end <= self.today { "type".to_owned() } else { format!("from {end} on, type") };
        let left = if billed.end() < self.period.end() {
            let days = self.policy.bill_days;
            format!(
                "The rest of the period is shorter than the shortest bill, {days} days. It comes with the next bill"
            )
        } else {
            "The rest of the period can't be billed: it lies before a bill".to_owned()
        };
        format!(
            " {left}. For the next bill, {when} --period {next}..{end}; to see these bills, type --period {from}..{after}"
        )
    }

    /// The day up to which a period is to be asked for that begins on one day and bills what was measured from another on: the shortest
    /// bill's days, and one more if one of them has an hour less.
    fn shortest_to(&self, from: Date, after: Date) -> Option<Date> {
        let end = after.checked_add(i32::from(self.policy.bill_days).days()).ok()?;
        let second = |day: Date| Some(day.to_zoned(self.zone.clone()).ok()?.timestamp().as_second());
        let shortest = i64::from(self.policy.bill_days) * 86_400;
        if second(end)? - second(from)? < shortest { end.tomorrow().ok() } else { Some(end) }
    }

    fn revoked_lines(&self, known: &Facts<'_>) -> String {
        let mut text = String::new();
        let open: BTreeSet<MeterId> = self.open(known).iter().map(|row| row.meter).collect();
        for row in &self.meters {
            let Some(revocation) = known.revoked.get(&row.meter) else { continue };
            let billed = match self.run(row.meter, known.bills) {
                _ if open.contains(&row.meter) => format!("not billed to its last record. {}", reason(row, known)),
                Some(run) => format!("billed to its last record, which ends {}.", self.time(run.window.end())),
                None => {
                    "no bill. The time since its last bill is billed, or shorter than the shortest bill; read it off its register."
                        .to_owned()
                }
            };
            let from = self.slot.slot_at(revocation.from).map_or_else(String::new, |slot| self.time(slot));
            writeln!(text, "{} is revoked as of {from} ({}): {billed}", row.name, revocation.reason)
                .expect("a String takes every text");
        }
        text
    }

    /// Who has no bill of these days, or of a part of them only, and why; those that are revoked have been told.
    fn without_lines(&self, known: &Facts<'_>) -> String {
        let mut by_reason: BTreeMap<(bool, String), Vec<&MeterRow>> = BTreeMap::new();
        for row in self.open(known).into_iter().filter(|row| !known.revoked.contains_key(&row.meter)) {
            let partly = self.run(row.meter, known.bills).is_some();
            // of what is billed otherwise, and was not to be asked for, the headline tells
            if !partly || known.asked.contains_key(&row.meter) {
                by_reason.entry((partly, reason(row, known))).or_default().push(row);
            }
        }
        let line = |((partly, reason), rows): (&(bool, String), &Vec<&MeterRow>)| {
            let what = if *partly { "No bill for the rest" } else { "No bill" };
            format!("{what}: {}. {reason}\n", names(rows))
        };
        by_reason.iter().map(line).collect()
    }
}

/// Why a meter has no bill.
fn reason(row: &MeterRow, known: &Facts<'_>) -> String {
    if let Some(rule) = known.unbilled.get(&row.meter) {
        return by_rule(*rule);
    }
    let Some(state) = known.asked.get(&row.meter) else {
        return "Either it is billed beyond the period already, or its answers have not arrived. The sink accepts late answers.".to_owned();
    };
    match state {
        None => "It was not asked for yet, because earlier questions have no answer. Type the same again."
            .to_owned(),
        Some(State::NotAsked(refusal)) if refusal.rule != Rule::TariffMeters => {
            format!("It was not asked for (rule {}): {}.", refusal.rule, refusal.detail)
        }
        Some(State::NotAsked(refusal)) => format!(
            "It was not asked for alone (rule {}): {}. Its next bill includes this energy, when other meters are billed too.",
            refusal.rule, refusal.detail
        ),
        Some(State::GivenUp(rule)) => format!(
            "The aggregators rejected the whole question, so it was given up without a bill. {}",
            by_rule(*rule)
        ),
        Some(State::Blocked(rule)) => format!(
            "Too many aggregators vote against it, so no quorum is left. {} The question stays open. To ask them again, run the sink, \
             or type the same again.",
            by_rule(*rule)
        ),
        Some(State::Waiting(what)) => {
            let why = match known.ended {
                Stop::Stopped => "It was stopped".to_owned(),
                Stop::Patience(seconds) => format!("Nothing more arrived within {seconds} s"),
                Stop::Done => "It has ended".to_owned(),
            };
            format!(
                "{why} while it waited for {what}. Check that every party is up (wattveil status). Type the same again: the open \
                 question continues."
            )
        }
        Some(State::Ended) => "Its answers do not agree yet. The sink accepts late answers.".to_owned(),
    }
}

/// A rule in words, and what to do about it.
fn by_rule(rule: Rule) -> String {
    let hint = match rule {
        Rule::Differencing => {
            "Curves or levelled results of its group cover some of these slots. Beside them, its bill must have no gap and cover exactly \
             the days of the group's other bills (docs/levelled.md). Type a --period of such days."
        }
        Rule::Anchor | Rule::Window => {
            "Check that its meter and the aggregators are up (wattveil status). Then type the same again."
        }
        Rule::UnknownMeter => {
            "A meter publishes its certificate when it starts. Start the meter, and type the same again."
        }
        Rule::Continuity | Rule::AlreadyReleased => {
            "The aggregators know of later bills than this sink does. If the sink's store was lost or restored from a backup, the later \
             bills are in the exports only, and this sink cannot bill the meter any more: see docs/operating.md (Disaster). \
             Otherwise type the same again."
        }
        Rule::Targets => {
            "Its meters have too many records for one query. Type a shorter --period, or --group if there are several groups. For later \
             periods, write a larger batch_slots into each agent.toml."
        }
        Rule::LedgerRollback => {
            "An aggregator was restored from a backup and does not vote any more: see docs/operating.md (Disaster)."
        }
        _ => "",
    };
    format!("Rule {rule}: {} {hint}", rule.meaning()).trim_end().to_owned()
}
