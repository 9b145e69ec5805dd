//! What is wrong with a source, in a log that somebody can read: the first of a kind are all told, then one a pause that
//! doubles; those between are counted, and told as a number with the last of them.

use std::collections::BTreeMap;
use std::time::Duration;

use runtime::telemetry;
use tokio::time::Instant;
use tracing::{debug, warn};

use crate::register::Anomaly;

/// So many of a kind are told at once.
const FIRST: u64 = 8;

/// The pauses between later ones.
const PAUSE: Duration = Duration::from_mins(1);
const LONGEST: Duration = Duration::from_hours(1);

/// All kinds of complaints of one source.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    all: bool,
    kinds: BTreeMap<&'static str, Kind>,
}

#[derive(Debug)]
struct Kind {
    times: u64,
    /// Those that were not told since the last one that was, and the last of them.
    untold: u64,
    last: String,
    /// When one was told last, and when one came last.
    told: Instant,
    came: Instant,
    pause: Duration,
}

/// Complaints that were not told one by one.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Untold {
    /// Their kind.
    pub(super) kind: &'static str,
    /// How many.
    pub(super) more: u64,
    /// The last of them.
    pub(super) last: String,
}

impl Complaints {
    /// Tells all of them from now on.
    pub(super) fn tell_all(&mut self) {
        self.all = true;
    }

    /// Takes one; gives how many there were of its kind if it is to be told now.
    pub(super) fn take(&mut self, kind: &'static str, now: Instant, words: &str) -> Option<u64> {
        let fresh = || Kind { times: 0, untold: 0, last: String::new(), told: now, came: now, pause: PAUSE };
        let all = self.all;
        let kind = self.kinds.entry(kind).or_insert_with(fresh);
        if kind.untold == 0 && now.duration_since(kind.came) > LONGEST {
            *kind = fresh();
        }
        kind.times += 1;
        kind.came = now;
        if all || kind.times <= FIRST {
            kind.told = now;
            return Some(kind.times);
        }
        kind.untold += 1;
        words.clone_into(&mut kind.last);
        None
    }

    /// Takes one, and says it if it is to be told now.
    pub(super) fn complain(&mut self, kind: &'static str, words: &str) {
        if let Some(times) = self.take(kind, Instant::now(), words) {
            warn!(kind, times, "{words}");
        } else {
            debug!(kind, "{words}");
        }
    }

    /// Takes an anomaly, in these words if it is worth any, and says what is over with it.
    pub(super) fn hear(&mut self, anomaly: &Anomaly, words: Option<&str>) {
        telemetry::count_kind("wattveil_register_anomalies_total", anomaly.name(), 1);
        tell(self.over(anomaly.ends(), Instant::now()));
        if let Some(words) = words {
            self.complain(anomaly.name(), words);
        } else {
            debug!(anomaly = anomaly.name(), "{anomaly}");
        }
    }

    /// Those whose pause is over.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Untold> {
        let due = |kind: &Kind| kind.untold > 0 && now.duration_since(kind.told) >= kind.pause;
        self.kinds.iter_mut().filter(|(_, kind)| due(kind)).map(|(name, kind)| kind.tell(name, now)).collect()
    }

    /// Those that wait, since nothing comes any more.
    pub(super) fn rest(&mut self, now: Instant) -> Vec<Untold> {
        let waits = self.kinds.iter_mut().filter(|(_, kind)| kind.untold > 0);
        waits.map(|(name, kind)| kind.tell(name, now)).collect()
    }

    /// These kinds are over: the next of them is a first one. Gives those that wait.
    pub(super) fn over(&mut self, names: &[&'static str], now: Instant) -> Vec<Untold> {
        let ended = names.iter().filter_map(|name| Some((*name, self.kinds.remove(name)?)));
        ended.filter(|(_, kind)| kind.untold > 0).map(|(name, mut kind)| kind.tell(name, now)).collect()
    }
}

impl Kind {
    fn tell(&mut self, kind: &'static str, now: Instant) -> Untold {
        self.told = now;
        self.pause = (self.pause * 2).min(LONGEST);
        Untold { kind, more: std::mem::take(&mut self.untold), last: std::mem::take(&mut self.last) }
    }
}

/// Says what was counted only.
pub(super) fn tell(untold: Vec<Untold>) {
    for Untold { kind, more, last } in untold {
        warn!(kind, more, "{more} more of this kind, the last: {last}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first are told, then numbers at pauses that double; every one is told or in a number.
    #[test]
    fn every_one_is_told_or_counted() {
        let start = Instant::now();
        let mut complaints = Complaints::default();
        let (mut told, mut counted, mut lines) = (0, 0, 0);
        for second in 0..86_400 {
            let now = start + Duration::from_secs(second);
            told += u64::from(complaints.take("crc", now, &format!("at {second}")).is_some());
            for untold in complaints.due(now) {
                assert_eq!((untold.kind, untold.last), ("crc", format!("at {second}")));
                counted += untold.more;
                lines += 1;
            }
        }
        let rest = complaints.rest(start);
        counted += rest.iter().map(|untold| untold.more).sum::<u64>();
        assert_eq!((told, told + counted), (FIRST, 86_400));
        assert!((20..40).contains(&lines), "{lines} lines a day");
        assert_eq!(complaints.rest(start), []);
    }

    /// What is over, or long ago, begins anew; whoever wants all of them gets them.
    #[test]
    fn what_is_over_begins_anew() {
        let start = Instant::now();
        let mut complaints = Complaints::default();
        for _ in 0..10 {
            complaints.take("zero", start, "fell");
        }
        let untold = Untold { kind: "zero", more: 2, last: "fell".into() };
        assert_eq!(complaints.over(&["zero", "jump"], start), [untold]);
        assert_eq!(complaints.take("zero", start, "fell"), Some(1));
        assert_eq!(complaints.take("zero", start + 2 * LONGEST, "fell"), Some(1));
        complaints.tell_all();
        assert!((0..100).all(|_| complaints.take("zero", start, "fell").is_some()));
        assert_eq!(complaints.rest(start), []);
    }
}
