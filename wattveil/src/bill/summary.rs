//! What happened to a period, in words: who has its bill, who has another, who has none and why, and what to type.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan as _, Zoned};
use protocol::id::MeterId;
use protocol::revocation::Revocation;
use protocol::rule::Rule;
use protocol::unit::{Slot, SlotRange};
use utility_sink::service::State;
use utility_sink::sink::Bill;

use super::Asked;
use super::billed::Run;
use crate::directory::MeterRow;
use crate::release::Ended;

/// The most names in a row; more are counted.
const NAMES: usize = 12;

/// What is known once nothing more comes.
#[derive(Debug)]
pub(super) struct Known<'a> {
    pub(super) bills: &'a [&'a Bill],
    pub(super) revoked: &'a BTreeMap<MeterId, Revocation>,
    /// The meters that were asked for.
    pub(super) asked: &'a BTreeSet<MeterId>,
    /// By meter, why all else of its query was released and it was not.
    pub(super) unbilled: &'a BTreeMap<MeterId, Rule>,
    /// How far the question had come, if there was one.
    pub(super) state: Option<&'a State>,
    pub(super) ended: Ended,
}

/// Names with commas between; many are counted.
fn names(rows: &[&MeterRow]) -> String {
    let shown: Vec<&str> = rows.iter().take(NAMES).map(|row| row.name.as_str()).collect();
    match rows.len().saturating_sub(NAMES) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

impl Asked {
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
        let period = self.period;
        let of = bills.iter().copied();
        Run::of(of.filter(move |bill| bill.meter == meter && period.overlaps(bill.window)))
    }

    /// The meters whose period is not closed, those that are revoked aside.
    pub(super) fn open(&self, known: &Known<'_>) -> Vec<&MeterRow> {
        let closed = |row: &&MeterRow| {
            let run = self.run(row.meter, known.bills);
            run.is_some_and(|run| run.closes(self.period, &self.policy, self.slot))
        };
        self.meters.iter().filter(|row| !known.revoked.contains_key(&row.meter) && !closed(row)).collect()
    }

    pub(super) fn summary(&self, known: &Known<'_>) -> String {
        let mut text = self.headline(known);
        for bill in known.bills {
            if let (Some(row), true) = (self.row_of(bill), bill.missing > 0) {
                let line = format!(
                    "{}: {} slots without a record; their energy is in the registers' difference, at the substitute price.\n",
                    row.name, bill.missing
                );
                text.push_str(&line);
            }
        }
        text.push_str(&self.revoked_lines(known));
        text.push_str(&self.without_lines(known));
        text
    }

    /// How many have their bill, and which have one of other days.
    fn headline(&self, known: &Known<'_>) -> String {
        let (mut count, mut energy) = (0, 0);
        let mut others: BTreeMap<SlotRange, (Vec<&MeterRow>, i64)> = BTreeMap::new();
        for row in &self.meters {
            let Some(run) = self.run(row.meter, known.bills) else { continue };
            if run.is_of(self.period, &self.policy, self.slot) {
                count += 1;
                energy += run.energy;
            } else {
                let other = others.entry(run.window).or_default();
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
        for (window, (rows, energy)) in &others {
            let line = format!(
                "Not counted above, {} of other days, from {} to {}, {energy} Wh in all: {}.",
                if rows.len() == 1 { "a bill".to_owned() } else { format!("{} bills", rows.len()) },
                self.time(window.start()),
                self.time(window.end()),
                names(rows)
            );
            let asked = rows.iter().any(|row| known.asked.contains(&row.meter));
            let more = if asked {
                " No slot is billed twice, and what has no record is not billed.".to_owned()
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
        let end = after.checked_add(i32::from(self.policy.bill_days).days()).ok();
        let (Some(next), Some(end)) = (next, end) else { return String::new() };
        let when = if end <= self.today { "type".to_owned() } else { format!("from {end} on type") };
        let left = if billed.end() < self.period.end() {
            let days = self.policy.bill_days;
            format!(
                "What is left of the period is shorter than the shortest bill of {days} days and comes with the next one"
            )
        } else {
            "Nothing of the period is left: no slot is billed twice, and none that lies before a bill"
                .to_owned()
        };
        format!(
            " {left}. To bill on, {when} such as --period {next}..{end}; to see what is billed, type --period {from}..{after}"
        )
    }

    fn revoked_lines(&self, known: &Known<'_>) -> String {
        let mut text = String::new();
        for row in &self.meters {
            let Some(revocation) = known.revoked.get(&row.meter) else { continue };
            let billed = match self.run(row.meter, known.bills) {
                Some(run) => format!("billed to its last record, which ends {}", self.time(run.window.end())),
                None => {
                    "no bill: what it measured since its last one is shorter than the shortest bill, or billed; read it off its register"
                        .to_owned()
                }
            };
            let from = self.slot.slot_at(revocation.from).map_or_else(String::new, |slot| self.time(slot));
            writeln!(text, "{} is revoked as of {from} ({}): {billed}.", row.name, revocation.reason)
                .expect("a String takes every text");
        }
        text
    }

    /// Who has no bill of these days or others, and why.
    fn without_lines(&self, known: &Known<'_>) -> String {
        let without = self.open(known).into_iter().filter(|row| self.run(row.meter, known.bills).is_none());
        let mut by_reason: BTreeMap<String, Vec<&MeterRow>> = BTreeMap::new();
        for row in without {
            by_reason.entry(reason(row, known)).or_default().push(row);
        }
        let line =
            |(reason, rows): (&String, &Vec<&MeterRow>)| format!("No bill for: {}. {reason}\n", names(rows));
        by_reason.iter().map(line).collect()
    }
}

/// Why a meter has no bill.
fn reason(row: &MeterRow, known: &Known<'_>) -> String {
    if let Some(rule) = known.unbilled.get(&row.meter) {
        return by_rule(*rule);
    }
    if !known.asked.contains(&row.meter) {
        return "It is billed beyond the period, or its answers have not come; the sink takes them when they do.".to_owned();
    }
    match known.state {
        Some(State::NotAsked(refusal)) => format!(
            "It was not asked for alone, by rule {}: {}. What it used comes with its next bill, of a period in which the others are \
             billed too.",
            refusal.rule, refusal.detail
        ),
        Some(State::GivenUp(rule)) => format!(
            "The aggregators refuse the whole question, so that it was given up; nothing is billed by it. {}",
            by_rule(*rule)
        ),
        Some(State::Blocked(rule)) => format!(
            "So many aggregators do not vote for it that no quorum is left. {} The question stays, and goes on if they vote: a \
             running sink asks them again, and so does the same line.",
            by_rule(*rule)
        ),
        Some(State::Waiting(what)) => {
            let why = match known.ended {
                Ended::Stopped => "It was stopped".to_owned(),
                Ended::Patience(seconds) => format!("Nothing more came within {seconds} s"),
                Ended::Done => "It has ended".to_owned(),
            };
            format!(
                "{why} while it waited for {what}. Is everybody up (wattveil status), with nothing waiting? Type the same again: what \
                 was asked is asked once, and goes on."
            )
        }
        Some(State::Ended) | None => {
            "Its answers do not fit together yet: the sink takes what comes late.".to_owned()
        }
    }
}

/// A rule in words, and what to do about it.
fn by_rule(rule: Rule) -> String {
    let hint = match rule {
        Rule::Differencing => {
            "Its group's curves or analytics cover some of these slots: only a bill without a gap, of exactly the days of the group's \
             other bills, is released beside them (docs/analytics.md). Type a --period of such days."
        }
        Rule::Anchor | Rule::Window => {
            "Are its meter and the aggregators up, with nothing waiting (wattveil status)? Then type the same again."
        }
        Rule::UnknownMeter => {
            "Its certificate is published by its meter when it starts: start it, and type the same again."
        }
        Rule::Continuity | Rule::AlreadyReleased => {
            "Aggregators have released these slots before. If the sink's store was brought back from a backup, what was billed since is \
             lost to it; type a --period that begins later."
        }
        Rule::LedgerRollback => {
            "An aggregator was brought back from a backup, and votes no more: see docs/operating.md."
        }
        _ => "",
    };
    format!("Rule {rule}: {} {hint}", rule.meaning()).trim_end().to_owned()
}
