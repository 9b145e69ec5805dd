//! `wattveil ask`: asks for a function of a group's encrypted loads (mode levelled), waits for the values, and exports them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use protocol::analysis::function::Function;
use protocol::shamir::Point;
use protocol::signature::hash;
use protocol::unit::{Slot, SlotLength};
use serde_json::{Value, json};
use utility_sink::config::{Config, KeyConfig, QuestionConfig, SubjectConfig};
use utility_sink::sink::analysis::Finding;

use crate::release::released_within;

/// Ask for a function of a group's loads, computed under encryption (mode levelled), and wait for the values
#[derive(Clone, Debug, Args)]
pub struct AskArguments {
    /// The sink's configuration, with an [analysis] section; the sink itself must not be running meanwhile
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// sum, mean, variance, time-variance, max, min, weighted or forecast
    #[arg(long)]
    function: String,
    /// The group; for max and min of two groups, both with a comma between
    #[arg(long, value_delimiter = ',', required = true)]
    group: Vec<String>,
    /// The day whose beginning, in UTC, is in the window; for max and min of two windows, both with a comma between
    #[arg(long, value_name = "YYYY-MM-DD", value_delimiter = ',', required = true)]
    day: Vec<Date>,
    /// The key's name in the configuration [default: the only one]
    #[arg(long)]
    key: Option<String>,
    /// One weight a slot of the window, with commas between: prices, or a linear model in units of 2^-16
    #[arg(long, value_delimiter = ',', allow_hyphen_values = true)]
    weights: Vec<i64>,
    /// How many members of the group to wait for: whose loads are late are in no value of that window, ever
    #[arg(long, value_name = "HOMES", default_value_t = 0)]
    members: u32,
    /// Write JSON there
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
            let there = file.exists();
            anyhow::ensure!(
                !there,
                "{} is there already; name another file, or move it away",
                file.display()
            );
        }
        let mut config = Config::read(&self.config)?;
        let home = self.config.parent().unwrap_or_else(|| Path::new("."));
        let slot = config.identity(home)?.1.slot();
        let mut analysis = config.analysis.take().with_context(|| {
            let file = self.config.display();
            format!(
                "{file} has no [analysis] section; docs/analytics.md says what to write, and what it means"
            )
        })?;
        let key = self.key_of(&analysis.keys)?.clone();
        let question = self.question(&key, slot)?;
        let name = question.name.clone();
        analysis.questions = vec![question];
        (config.analysis, config.releases) = (Some(analysis), Vec::new());
        let released = released_within(self.patience, &config, home, "nothing was released").await?;
        let found = released.findings.into_iter().find(|(of, _)| *of == name);
        let (_, finding) = found.with_context(|| {
            format!(
                "there are no values after {} s. Is everybody up (wattveil status), and has the group enough members with the whole \
                 window? Type the same again: what was asked is asked once, and goes on",
                self.patience
            )
        })?;
        let wrong = released.wrong.get(&name).cloned().unwrap_or_default();
        let shown = Shown { finding, wrong, slot, window: key.window_slots };
        if let Some(file) = &self.json {
            // values are for the utility's eyes
            let text = format!("{:#}\n", shown.to_json());
            crate::deployment::files::write_new(file, text.as_bytes(), 0o600)?;
        }
        shown.to_text()
    }

    fn key_of<'a>(&self, keys: &'a [KeyConfig]) -> anyhow::Result<&'a KeyConfig> {
        let known = || keys.iter().map(|key| key.name.as_str()).collect::<Vec<_>>().join(", ");
        match (&self.key, keys) {
            (Some(name), _) => keys.iter().find(|key| key.name == *name).with_context(|| {
                format!("there is no [[analysis.key]] `{name}`; type --key with one of: {}", known())
            }),
            (None, [only]) => Ok(only),
            (None, []) => {
                anyhow::bail!("the [analysis] section has no [[analysis.key]]; docs/analytics.md has one")
            }
            (None, _) => anyhow::bail!("there are several keys; type --key with one of: {}", known()),
        }
    }

    /// The question; the same one has the same name, and is asked once.
    fn question(&self, key: &KeyConfig, slot: SlotLength) -> anyhow::Result<QuestionConfig> {
        let (groups, days) = (&self.group, &self.day);
        let count = groups.len().max(days.len());
        let fits = |len: usize| len == 1 || len == count;
        anyhow::ensure!(
            fits(groups.len()) && fits(days.len()),
            "{} groups and {} days do not pair up; type one of them, or as many of both",
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
            "{} is a function of {} (group, day)s; {count} were typed",
            wanted.name(),
            wanted.subjects()
        );
        if let Some(found) = wanted.weights() {
            let slots = usize::from(key.window_slots);
            anyhow::ensure!(
                found == slots,
                "there are {found} weights for the {slots} slots of a window; type --weights W,W,…"
            );
        }
        Ok(question)
    }
}

/// The window that a day's beginning in UTC is in.
fn window(day: Date, slot: SlotLength, slots: u16) -> anyhow::Result<u32> {
    let seconds = u64::try_from(day.to_zoned(TimeZone::UTC)?.timestamp().as_second());
    let seconds = seconds.with_context(|| format!("{day} is before 1970"))?;
    let first =
        slot.slot_at(protocol::unit::Timestamp(seconds)).context("a day beyond the calendar of slots")?;
    first.0.checked_div(slots.into()).context("window_slots is 0; the slots of a day are usual")
}

/// Values, as they are shown.
struct Shown {
    finding: Finding,
    /// Active sets that opened the result to other values.
    wrong: Vec<Vec<Point>>,
    slot: SlotLength,
    window: u16,
}

impl Shown {
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
            "{} of {}, {}; computed under encryption, off by {error:.2} as a standard deviation",
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
            writeln!(
                text,
                "aggregator {point} computed another result: one of you runs another version, or it lies"
            )?;
        }
        for set in &self.wrong {
            let members: Vec<String> = set.iter().map(Point::to_string).collect();
            writeln!(
                text,
                "of aggregators {} one decrypts its part wrongly; these values are of others",
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
