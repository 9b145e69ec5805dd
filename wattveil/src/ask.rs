//! `wattveil ask`: asks for a function of a group's encrypted loads (mode levelled), waits for the values, and exports them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use protocol::id::MeterId;
use protocol::levelled::function::Function;
use protocol::roster::Roster;
use protocol::shamir::Point;
use protocol::signature::hash;
use protocol::unit::{Slot, SlotLength};
use serde_json::{Value, json};
use store::FileStore;
use utility_sink::agenda::progress::State;
use utility_sink::config::{Config, KeyConfig, QuestionConfig, SubjectConfig};
use utility_sink::sink::levelled::Finding;
use utility_sink::sink::revoked_in;

use crate::export::{self, Kind};
use crate::release::{Stop, explained, released_within};
use deployment::directory::MetersFile;

/// The cache of a store that is looked at once.
const CACHE: usize = 4 << 20;

/// Values as JSON.
const VALUES: Kind = Kind::Json { has: "standard_deviation_of_the_error", key: &["function", "subjects"] };

/// Ask for a function of a group's loads, computed under encryption (mode levelled), and wait for the values
#[derive(Clone, Debug, Args)]
pub struct AskArguments {
    /// The sink's configuration, with a `levelled` section. Stop the sink before you ask
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// sum, mean, variance, time-variance, max, min, weighted or forecast
    #[arg(long)]
    function: String,
    /// The group. For max and min of two groups, both, separated by a comma
    #[arg(long, value_delimiter = ',', required = true)]
    group: Vec<String>,
    /// The day whose start, in UTC, is in the window. For max and min of two windows, both, separated by a comma
    #[arg(long, value_name = "YYYY-MM-DD", value_delimiter = ',', required = true)]
    day: Vec<Date>,
    /// The key's name in the configuration [default: the only one]
    #[arg(long)]
    key: Option<String>,
    /// One weight for each slot of the window, separated by commas: prices, or a linear model in units of 2^-16
    #[arg(long, value_delimiter = ',', allow_hyphen_values = true)]
    weights: Vec<i64>,
    /// How many members of the group to wait for. A member whose loads arrive later is never in that window's values
    #[arg(long, value_name = "HOMES", default_value_t = 0)]
    members: u32,
    /// Write the values as JSON to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// How many seconds to wait for the values
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    patience: u64,
}

impl AskArguments {
    /// Asks, waits, exports; gives the values for people.
    ///
    /// # Errors
    ///
    /// A file or a question that is not what it should be; a sink that runs; no values in time.
    pub async fn run(self) -> anyhow::Result<String> {
        if let Some(file) = &self.json {
            export::check(file, VALUES)?;
        }
        let mut config = Config::read(&self.config)?;
        let home = self.config.parent().unwrap_or_else(|| Path::new("."));
        let roster = config.identity(home)?.1;
        let slot = roster.slot();
        let mut levelled = config.levelled.take().with_context(|| {
            let file = self.config.display();
            format!("{file} has no [levelled] section; docs/levelled.md explains how to write one")
        })?;
        let key = self.key_of(&levelled.keys)?.clone();
        let question = self.question(&key, slot)?;
        let failed = "nothing was asked";
        let store = home.join(&config.store);
        let revoked = revoked(&store).map_err(|error| explained(error, failed, &store))?;
        self.check_subjects(&question, &key, &Utility { home, revoked }, &roster)?;
        let name = question.name.clone();
        levelled.questions = vec![question];
        (config.levelled, config.releases) = (Some(levelled), Vec::new());
        let (released, ended) = released_within(self.patience, &config, home, failed).await?;
        let state = released.progress.into_iter().find(|standing| standing.name == name);
        let found = released.findings.into_iter().find(|(of, _)| *of == name);
        let (_, finding) = found.with_context(|| nothing(state.map(|standing| standing.state), ended))?;
        let wrong = released.wrong.get(&name).cloned().unwrap_or_default();
        let shown = Report { finding, wrong, slot, window: key.window_slots };
        if let Some(file) = &self.json {
            export::write(file, VALUES, &format!("{:#}\n", shown.to_json()))?;
        }
        shown.to_text()
    }

    fn key_of<'a>(&self, keys: &'a [KeyConfig]) -> anyhow::Result<&'a KeyConfig> {
        let known = || keys.iter().map(|key| key.name.as_str()).collect::<Vec<_>>().join(", ");
        match (&self.key, keys) {
            (Some(name), _) => keys.iter().find(|key| key.name == *name).with_context(|| {
                format!("--key: expected the name of a [[levelled.key]], one of {}; found `{name}`", known())
            }),
            (None, [only]) => Ok(only),
            (None, []) => {
                anyhow::bail!(
                    "the [levelled] section has no [[levelled.key]]; docs/levelled.md has an example"
                )
            }
            (None, _) => anyhow::bail!("there are several keys; type --key with one of: {}", known()),
        }
    }

    /// Checks that the windows are over, and that the groups are as large as is wanted, where the utility's list of meters is.
    fn check_subjects(
        &self,
        question: &QuestionConfig,
        key: &KeyConfig,
        utility: &Utility<'_>,
        roster: &Roster,
    ) -> anyhow::Result<()> {
        let now = runtime::now::<protocol::unit::Timestamp>();
        for (subject, day) in question.subjects.iter().zip(self.day.iter().cycle()) {
            let end =
                subject.window.checked_add(1).and_then(|next| next.checked_mul(key.window_slots.into()));
            let end = roster.slot().start_of(Slot(end.context("the day is too late to have a slot number")?));
            anyhow::ensure!(
                end <= now,
                "the window of {day} ends {end}; ask after that, or type --day with an earlier day"
            );
        }
        let file = utility.home.join("meters.csv");
        if !file.is_file() {
            return Ok(());
        }
        let rows = MetersFile::read(&file)?.0;
        let groups: BTreeSet<&str> = rows.iter().map(|row| row.group.as_ref()).collect();
        for SubjectConfig { group, .. } in &question.subjects {
            anyhow::ensure!(
                groups.contains(group.as_str()),
                "--group: expected a group of {}, one of {}; found `{group}`",
                file.display(),
                groups.into_iter().collect::<Vec<_>>().join(", ")
            );
            let size = rows.iter().filter(|row| row.group.as_ref() == group).count();
            // Whose line was taken out after its revocation may have been in any group.
            let most = size
                + utility.revoked.iter().filter(|gone| rows.iter().all(|row| row.meter != **gone)).count();
            let least = usize::from(key.k.max(roster.policy().k));
            anyhow::ensure!(
                most >= least,
                "group `{group}` has {size} meters; at least {least} are needed (k of the key and of the roster's policy); to add a meter, \
                 type: wattveil enrol DIR NAME"
            );
            anyhow::ensure!(
                self.members as usize <= most,
                "group `{group}` has {size} meters, fewer than {}; type --members {size} or less",
                self.members
            );
        }
        Ok(())
    }

    /// The question; the same one has the same name, and is asked once.
    fn question(&self, key: &KeyConfig, slot: SlotLength) -> anyhow::Result<QuestionConfig> {
        let (groups, days) = (&self.group, &self.day);
        let count = groups.len().max(days.len());
        let fits = |len: usize| len == 1 || len == count;
        anyhow::ensure!(
            fits(groups.len()) && fits(days.len()),
            "expected one group, one day, or as many groups as days; found {} groups and {} days",
            groups.len(),
            days.len()
        );
        let mut subjects = Vec::new();
        for index in 0..count {
            let group = groups[index.min(groups.len() - 1)].clone();
            let window = window(days[index.min(days.len() - 1)], slot, key.window_slots)?;
            subjects.push(SubjectConfig { group, window });
        }
        let text = serde_json::to_string(&(&self.function, &subjects, &self.weights, &key.name))?;
        let name = format!("ask-{}", &hash("question", &[text.as_bytes()]).to_string()[..16]);
        let (function, weights) = (self.function.clone(), self.weights.clone());
        let question = QuestionConfig {
            name,
            key: key.name.clone(),
            function,
            weights,
            members: self.members,
            subjects,
        };
        let wanted = question.function()?;
        anyhow::ensure!(
            wanted.subjects() == count,
            "{} needs {} pairs of a group and a day; found {count}",
            wanted.name(),
            wanted.subjects()
        );
        anyhow::ensure!(
            wanted.weights().is_some() || self.weights.is_empty(),
            "{} has no weights; leave out --weights, or type --function weighted or forecast",
            wanted.name()
        );
        if let Some(found) = wanted.weights() {
            let slots = usize::from(key.window_slots);
            anyhow::ensure!(
                found == slots,
                "--weights: expected {slots} numbers, one for each slot of a window, for example 3,5,…; found {found}"
            );
        }
        Ok(question)
    }
}

/// What the utility knows of its meters.
struct Utility<'a> {
    /// The directory of its files.
    home: &'a Path,
    /// The meters that are revoked.
    revoked: Vec<MeterId>,
}

/// The meters that are revoked, as the sink's store has them.
fn revoked(store: &Path) -> anyhow::Result<Vec<MeterId>> {
    if !store.exists() {
        return Ok(Vec::new());
    }
    let revoked = revoked_in(&FileStore::open(store, CACHE)?)?;
    Ok(revoked.into_iter().map(|revocation| revocation.meter).collect())
}

/// Why there are no values, and what to type.
fn nothing(state: Option<State>, ended: Stop) -> String {
    let again = "type the same again: the open question continues";
    let what = match state {
        Some(State::NotAsked(refusal)) => {
            return format!("nothing was asked (rule {}): {}", refusal.rule, refusal.detail);
        }
        Some(State::Blocked(rule) | State::GivenUp(rule)) => {
            return format!(
                "too many aggregators reject the question, so no quorum is left (rule {rule}): {} docs/levelled.md explains what can be \
                 asked",
                rule.meaning()
            );
        }
        Some(State::Waiting(what)) => what,
        Some(State::Ended) | None => "the answers".to_owned(),
    };
    match ended {
        Stop::Stopped => format!("it was stopped while it waited for {what}; {again}"),
        Stop::Patience(seconds) => format!(
            "there are no values after {seconds} s; it waited for {what}. Check that every party is up (wattveil status), and that the \
             group has enough members with the whole window. Then {again}"
        ),
        Stop::Done => format!("there are no values; it waited for {what}; {again}"),
    }
}

/// The window that a day's beginning in UTC is in.
fn window(day: Date, slot: SlotLength, slots: u16) -> anyhow::Result<u32> {
    let seconds = u64::try_from(day.to_zoned(TimeZone::UTC)?.timestamp().as_second());
    let seconds = seconds.with_context(|| format!("{day} is before 1970"))?;
    let first = slot
        .slot_at(protocol::unit::Timestamp(seconds))
        .context("the day is too late to have a slot number")?;
    first
        .0
        .checked_div(slots.into())
        .context("window_slots: expected at least 1, for example the slots of a day; found 0")
}

/// Values, as they are shown.
struct Report {
    finding: Finding,
    /// Active sets that opened the result to other values.
    wrong: Vec<Vec<Point>>,
    slot: SlotLength,
    window: u16,
}

impl Report {
    fn unit(&self) -> &'static str {
        match self.finding.function {
            Function::Variance => "Wh²",
            Function::TimeVariance => "Wh, Wh²",
            Function::Weighted(_) => "Wh × weight",
            _ => "Wh",
        }
    }

    /// The start of a slot of the first subject's window, if the values are one a slot of one window.
    fn time(&self, index: usize) -> Option<Timestamp> {
        let subjects = &self.finding.subjects;
        let windows: Vec<u32> = subjects.iter().map(|subject| subject.window).collect();
        let one =
            self.finding.values.len() == usize::from(self.window) && windows.iter().all(|w| *w == windows[0]);
        let first =
            windows.first()?.checked_mul(u32::from(self.window))?.checked_add(u32::try_from(index).ok()?)?;
        let second = i64::try_from(self.slot.start_of(Slot(first)).0).ok()?;
        Timestamp::from_second(second).ok().filter(|_| one)
    }

    fn to_json(&self) -> Value {
        let Finding { function, subjects, members, values, error, opened_by, differing, .. } = &self.finding;
        let subjects: Vec<Value> = subjects
            .iter()
            .zip(members)
            .map(|(subject, members)| {
                json!({ "group": subject.group.to_string(), "window": subject.window, "members": members })
            })
            .collect();
        let starts: Vec<Option<String>> =
            (0..values.len()).map(|index| self.time(index).map(|time| time.to_string())).collect();
        let points = |points: &[Point]| points.iter().map(|point| u8::from(*point)).collect::<Vec<_>>();
        let wrong: Vec<Vec<u8>> = self.wrong.iter().map(|set| points(set)).collect();
        json!({
            "function": function.name(), "unit": self.unit(), "subjects": subjects, "slot_starts": starts,
            "values": values, "standard_deviation_of_the_error": error,
            "opened_by": points(opened_by), "differing_results_from": points(differing),
            "one_decrypts_wrongly_of": wrong,
        })
    }

    fn to_text(&self) -> anyhow::Result<String> {
        let Finding { function, subjects, members, values, error, differing, .. } = &self.finding;
        let mut text = String::new();
        let of: Vec<String> = subjects
            .iter()
            .zip(members)
            .map(|(subject, members)| format!("{} ({members} members)", subject.group))
            .collect();
        writeln!(
            text,
            "{} of {}, {}; computed under encryption, standard deviation of the error {error:.2}",
            function.name(),
            of.join(" and "),
            self.unit()
        )?;
        for (index, value) in values.iter().enumerate() {
            match self.time(index) {
                Some(time) => writeln!(text, "{time}  {value:>14.2}")?,
                None => writeln!(text, "{index:>20}  {value:>14.2}")?,
            }
        }
        for point in differing {
            writeln!(text, "aggregator {point} computed another result: its version differs, or it lies")?;
        }
        for set in &self.wrong {
            let members: Vec<String> = set.iter().map(Point::to_string).collect();
            writeln!(
                text,
                "one of the aggregators {} decrypts wrongly; these values come from others",
                members.join(", ")
            )?;
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Windows are counted from 1970, whatever their length.
    #[test]
    fn a_day_is_in_its_window() {
        let hour = SlotLength::try_from(3_600).unwrap();
        let day: Date = "2026-11-21".parse().unwrap();
        // 20,778 days after 1970-01-01
        assert_eq!(window(day, hour, 24).unwrap(), 20_778);
        assert_eq!(window(day, hour, 12).unwrap(), 2 * 20_778);
        assert_eq!(window(day, SlotLength::try_from(900).unwrap(), 96).unwrap(), 20_778);
        assert!(window(day, hour, 0).is_err());
        assert!(window("1969-01-01".parse().unwrap(), hour, 24).is_err());
    }
}
