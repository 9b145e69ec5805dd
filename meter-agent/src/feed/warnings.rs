//! What is wrong with a source, in a log that people can read: the first of a kind are all logged, then one at the end of a
//! pause that doubles. Those between are counted, and logged as a number with the last of them.

use std::collections::BTreeMap;
use std::time::Duration;

use runtime::telemetry;
use tokio::time::Instant;
use tracing::{debug, warn};

use crate::register::Anomaly;

/// So many of a kind are logged at once.
const FIRST: u64 = 8;

/// The pauses between later ones.
const PAUSE: Duration = Duration::from_mins(1);
const LONGEST: Duration = Duration::from_hours(1);

/// All kinds of warnings of one source.
#[derive(Debug, Default)]
pub(super) struct Warnings {
    all: bool,
    kinds: BTreeMap<&'static str, Kind>,
}

#[derive(Debug)]
struct Kind {
    times: u64,
    /// Those that were only counted since the last one that was logged, and the last of them.
    counted: u64,
    last: String,
    /// When one was logged last, and when one came last.
    logged: Instant,
    came: Instant,
    pause: Duration,
}

/// Warnings that were not logged one by one.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Summary {
    /// Their kind.
    pub(super) kind: &'static str,
    /// How many.
    pub(super) more: u64,
    /// The last of them.
    pub(super) last: String,
}

impl Warnings {
    /// Logs all of them from now on.
    pub(super) fn log_all(&mut self) {
        self.all = true;
    }

    /// Counts one; gives how many there were of its kind if it is to be logged now.
    pub(super) fn count(&mut self, kind: &'static str, now: Instant, words: &str) -> Option<u64> {
        let fresh =
            || Kind { times: 0, counted: 0, last: String::new(), logged: now, came: now, pause: PAUSE };
        let all = self.all;
        let kind = self.kinds.entry(kind).or_insert_with(fresh);
        if kind.counted == 0 && now.duration_since(kind.came) > LONGEST {
            *kind = fresh();
        }
        kind.times += 1;
        kind.came = now;
        if all || kind.times <= FIRST {
            kind.logged = now;
            return Some(kind.times);
        }
        kind.counted += 1;
        words.clone_into(&mut kind.last);
        None
    }

    /// Counts one, and logs it if it is to be logged now.
    pub(super) fn warn(&mut self, kind: &'static str, words: &str) {
        if let Some(times) = self.count(kind, Instant::now(), words) {
            warn!(kind, times, "{words}");
        } else {
            debug!(kind, "{words}");
        }
    }

    /// Reports an anomaly, in these words if it is worth any, and what is over with it.
    pub(super) fn report(&mut self, anomaly: &Anomaly, words: Option<&str>) {
        telemetry::count_kind("wattveil_register_anomalies_total", anomaly.name(), 1);
        log(self.over(anomaly.ends(), Instant::now()));
        if let Some(words) = words {
            self.warn(anomaly.name(), words);
        } else {
            debug!(anomaly = anomaly.name(), "{anomaly}");
        }
    }

    /// Those whose pause is over.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Summary> {
        let due = |kind: &Kind| kind.counted > 0 && now.duration_since(kind.logged) >= kind.pause;
        self.kinds
            .iter_mut()
            .filter(|(_, kind)| due(kind))
            .map(|(name, kind)| kind.summary(name, now))
            .collect()
    }

    /// Those that wait, since nothing comes any more.
    pub(super) fn rest(&mut self, now: Instant) -> Vec<Summary> {
        let waits = self.kinds.iter_mut().filter(|(_, kind)| kind.counted > 0);
        waits.map(|(name, kind)| kind.summary(name, now)).collect()
    }

    /// These kinds are over: the next of them is a first one. Gives those that wait.
    pub(super) fn over(&mut self, names: &[&'static str], now: Instant) -> Vec<Summary> {
        let ended = names.iter().filter_map(|name| Some((*name, self.kinds.remove(name)?)));
        ended.filter(|(_, kind)| kind.counted > 0).map(|(name, mut kind)| kind.summary(name, now)).collect()
    }
}

impl Kind {
    fn summary(&mut self, kind: &'static str, now: Instant) -> Summary {
        self.logged = now;
        self.pause = (self.pause * 2).min(LONGEST);
        Summary { kind, more: std::mem::take(&mut self.counted), last: std::mem::take(&mut self.last) }
    }
}

/// Logs what was counted only.
pub(super) fn log(summaries: Vec<Summary>) {
    for Summary { kind, more, last } in summaries {
        warn!(kind, more, "{more} more of this kind. The last one: {last}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first are logged, then numbers at pauses that double; every one is logged or in a number.
    #[test]
    fn every_one_is_logged_or_counted() {
        let start = Instant::now();
        let mut warnings = Warnings::default();
        let (mut logged, mut counted, mut lines) = (0, 0, 0);
        for second in 0..86_400 {
            let now = start + Duration::from_secs(second);
            logged += u64::from(warnings.count("crc", now, &format!("at {second}")).is_some());
            for summary in warnings.due(now) {
                assert_eq!((summary.kind, summary.last), ("crc", format!("at {second}")));
                counted += summary.more;
                lines += 1;
            }
        }
        let rest = warnings.rest(start);
        counted += rest.iter().map(|summary| summary.more).sum::<u64>();
        assert_eq!((logged, logged + counted), (FIRST, 86_400));
        assert!((20..40).contains(&lines), "{lines} lines a day");
        assert_eq!(warnings.rest(start), []);
    }

    /// What is over, or long ago, begins anew; all of them are logged on request.
    #[test]
    fn what_is_over_begins_anew() {
        let start = Instant::now();
        let mut warnings = Warnings::default();
        for _ in 0..10 {
            warnings.count("zero", start, "fell");
        }
        let summary = Summary { kind: "zero", more: 2, last: "fell".into() };
        assert_eq!(warnings.over(&["zero", "jump"], start), [summary]);
        assert_eq!(warnings.count("zero", start, "fell"), Some(1));
        assert_eq!(warnings.count("zero", start + 2 * LONGEST, "fell"), Some(1));
        warnings.log_all();
        assert!((0..100).all(|_| warnings.count("zero", start, "fell").is_some()));
        assert_eq!(warnings.rest(start), []);
    }
}
