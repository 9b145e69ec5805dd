//! A meter that is listened to: its registers are looked at, and what is wrong with them is said.

use std::error::Error as _;
use std::time::Duration;

use protocol::unit::{Register, Slot, Timestamp};
use runtime::telemetry;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{info, warn};

use super::cadence::Cadence;
use super::complaints::{Complaints, tell};
use super::{Fed, interval};
use crate::measurement::{Measurement, Quantity};
use crate::register::{Anomaly, Boundary, Clock, Limits, Registers};
use crate::source::{Heard, SourceError};

/// What is believed of registers between slots' starts is kept so often.
const KEEP: Duration = Duration::from_mins(1);

/// So many readings in a row with one time: its clock stands.
const STANDS: u32 = 10;

#[derive(Debug)]
pub(super) struct Live {
    hears: mpsc::Receiver<Heard>,
    pub(super) registers: Registers,
    limits: Limits,
    /// Whether what is heard was measured just now.
    now: bool,
    started: Instant,
    complaints: Complaints,
    cadence: Cadence,
    /// The last measurement, and how many more there were of its time.
    last: Option<Measurement>,
    again: u32,
    pub(super) ended: bool,
    told_export: bool,
    kept: Instant,
}

impl Live {
    pub(super) fn new(hears: mpsc::Receiver<Heard>, registers: Registers, limits: Limits) -> Self {
        Self {
            hears,
            registers,
            limits,
            now: false,
            started: Instant::now(),
            complaints: Complaints::default(),
            cadence: Cadence::default(),
            last: None,
            again: 0,
            ended: false,
            told_export: false,
            kept: Instant::now(),
        }
    }

    /// What is heard was measured just now: a time long ago is a clock that is wrong.
    pub(super) fn hears_at_once(&mut self) {
        self.now = true;
    }

    pub(super) fn tell_all(&mut self) {
        self.complaints.tell_all();
    }

    /// Goes on from the last register that was taken, if nothing else is known.
    pub(super) fn resume(&mut self, last: (Slot, Register)) {
        self.registers = std::mem::take(&mut self.registers).or_from(Some(last), self.limits.slot);
    }

    pub(super) async fn next(&mut self) -> Fed {
        if self.ended {
            return std::future::pending().await;
        }
        let heard = self.hears.recv().await;
        // an energy is told once only
        let once = matches!(&heard, Some(Ok(Measurement { import: Quantity::Energy { .. }, .. })));
        let boundaries = match heard {
            Some(Ok(measurement)) => {
                telemetry::count("wattveil_measurements_total", 1);
                self.take(measurement)
            }
            Some(Err(error)) => {
                self.refuse(&error);
                Vec::new()
            }
            None => {
                self.ended = true;
                self.tell_rest();
                Vec::new()
            }
        };
        tell(self.complaints.due(Instant::now()));
        let keep = once || self.ended || !boundaries.is_empty() || self.kept.elapsed() >= KEEP;
        if keep {
            self.kept = Instant::now();
        }
        Fed { boundaries, ended: self.ended, keep }
    }

    fn take(&mut self, mut measurement: Measurement) -> Vec<Boundary> {
        if measurement.export.is_some() && !std::mem::replace(&mut self.told_export, true) {
            info!(
                "the meter tells an export register: it is kept apart, is in no bill, and goes into load vectors where the \
                 roster has a grid path; --dry-run shows it"
            );
        }
        let clock = Clock { wall: now(), uptime: self.started.elapsed() };
        if let Some(words) = self.behind(measurement.at, clock.wall) {
            telemetry::count_kind("wattveil_register_anomalies_total", "behind", 1);
            self.complaints.complain("behind", &words);
        }
        let first = interval::begin(&mut measurement, self.registers.last_at());
        let mut boundaries = Vec::new();
        for measurement in first.into_iter().chain([measurement]) {
            boundaries.extend(self.observe(measurement, clock));
        }
        boundaries
    }

    /// What is to be said of a time that is long ago, where what is heard was measured just now.
    fn behind(&self, at: Timestamp, wall: Timestamp) -> Option<String> {
        let behind = wall.since(at);
        (self.now && behind > self.limits.ahead.into()).then(|| {
            format!(
                "the reading's time is {behind} s behind this machine's clock, and its energy counts for then: is the meter's clock \
                 right (winter_offset says its zone), and this machine's (type: timedatectl)?"
            )
        })
    }

    fn observe(&mut self, measurement: Measurement, clock: Clock) -> Vec<Boundary> {
        let vet = || self.registers.observe(&measurement, Some(clock), &self.limits);
        let vetted = telemetry::timed("vet", vet);
        let taken = self.registers.last_at() == Some(measurement.at);
        // the interval itself, which comes next, is refused for the same
        if !taken && matches!(measurement.import, Quantity::Energy { seconds: 0, .. }) {
            return Vec::new();
        }
        for anomaly in &vetted.anomalies {
            let words = self.words(anomaly, &measurement);
            self.complaints.hear(anomaly, words.as_deref());
        }
        if taken && !vetted.anomalies.contains(&Anomaly::Repeated) {
            self.cadence.hear(measurement.at);
            (self.last, self.again) = (Some(measurement), 0);
        }
        for boundary in &vetted.boundaries {
            if let Some(seconds) = self.cadence.begin(boundary.at) {
                warn!(
                    "no slot's energy is known, and no record is made: readings come {seconds} s apart or more, slots are {} s \
                     long, and both ends of a slot have to be read, within {} s (registers.tolerance_s). Let the meter tell its \
                     register more often, or ask for a roster of longer slots (wattveil init --slot-minutes 15, 30 or 60)",
                    self.limits.slot.seconds(),
                    self.limits.tolerance
                );
            }
        }
        vetted.boundaries
    }

    /// What is to be said of an anomaly: of a measurement whose energy no register has, that it is lost.
    fn words(&mut self, anomaly: &Anomaly, measurement: &Measurement) -> Option<String> {
        Some(match (anomaly, measurement.import) {
            (Anomaly::Repeated, _) => return self.repeated(measurement),
            (Anomaly::Late { at, last }, Quantity::Energy { .. }) => format!(
                "the energy of an interval that ended at {at} came after the one of {last}: left out, and it is in no register, \
                 so it is not billed"
            ),
            (Anomaly::Late { at, last }, Quantity::Power(_)) => format!(
                "the power of {at} came after the one of {last}: left out, what was used is told by the powers around it"
            ),
            _ => anomaly.to_string(),
        })
    }

    /// A second measurement of one time is everyday, unless it tells another energy, or the time stands.
    fn repeated(&mut self, measurement: &Measurement) -> Option<String> {
        self.again += 1;
        let at = measurement.at;
        let told =
            |last: &Measurement| last.import == measurement.import && last.export == measurement.export;
        let same = self.last.as_ref().is_none_or(told);
        if !same && matches!(measurement.import, Quantity::Energy { .. }) {
            return Some(format!(
                "a second energy of the interval that ended at {at}, and another one: left out, and it is in no register, so it is \
                 not billed; `time` is to be the interval's own end"
            ));
        }
        (self.again >= STANDS).then(|| {
            let again = self.again;
            format!(
                "{again} readings in a row have the time of the one before, {at}: left out; does the clock that gives the time \
                 stand?"
            )
        })
    }

    fn refuse(&mut self, error: &SourceError) {
        telemetry::count_kind("wattveil_source_errors_total", error.name(), 1);
        let left_out = match error {
            SourceError::Lost { .. } | SourceError::Closed { .. } | SourceError::Silent { .. } => "",
            _ => "left out: ",
        };
        let words = match error.source() {
            Some(cause) => format!("{left_out}{error}: {cause}"),
            None => format!("{left_out}{error}"),
        };
        self.complaints.complain(error.name(), &words);
    }

    /// Says what was counted only.
    pub(super) fn tell_rest(&mut self) {
        tell(self.complaints.rest(Instant::now()));
        let again = std::mem::take(&mut self.again);
        if let Some(last) = self.last.as_ref().filter(|_| (1..STANDS).contains(&again) && self.ended) {
            warn!(
                "the source ended with {again} readings of the time of the one before, {}: left out. Where telegrams tell no time \
                 it is that of their reading, and a file of them is one moment",
                last.at
            );
        }
    }
}

fn now() -> Timestamp {
    runtime::now::<Timestamp>()
}

#[cfg(test)]
mod tests {
    use protocol::unit::SlotLength;
    use store::MemoryStore;

    use super::*;
    use crate::feed::Feed;

    /// 2025-01-01T00:00:00Z.
    const START: u64 = 1_735_689_600;

    /// An energy is kept at once, a register with the slots' starts that it gives; the end is told once.
    #[tokio::test]
    async fn what_is_told_once_is_kept_at_once() {
        let limits = Limits::new(SlotLength::try_from(900).unwrap());
        let (heard, hears) = mpsc::channel(8);
        let mut feed = Feed::live(hears, limits, &MemoryStore::default()).unwrap();
        let register = Quantity::Register(5.into());
        let energy = Quantity::Energy { energy: 1.into(), seconds: 60 };
        for (seconds, import) in [(0, register), (10, register), (70, energy), (900, register)] {
            let at = Timestamp(START + seconds);
            heard.send(Ok(Measurement { at, import, export: None, device: None })).await.unwrap();
        }
        drop(heard);
        let mut kept = Vec::new();
        while !feed.has_ended() {
            let Fed { boundaries, ended, keep } = feed.next().await;
            kept.push((boundaries.len(), ended, keep));
        }
        // the energy's register begins at 0, below the other: of two kinds of quantities only one can be believed
        let wanted =
            [(1, false, true), (0, false, false), (0, false, true), (1, false, true), (0, true, true)];
        assert_eq!(kept, wanted);
    }

    fn a_meter() -> Live {
        let (_, hears) = mpsc::channel(1);
        Live::new(hears, Registers::default(), Limits::new(SlotLength::try_from(900).unwrap()))
    }

    fn energy(at: u64, watt_hours: u32, seconds: u32) -> Measurement {
        let import = Quantity::Energy { energy: watt_hours.into(), seconds };
        Measurement { at: Timestamp(START + at), import, export: None, device: None }
    }

    fn register(at: u64, watt_hours: u32) -> Measurement {
        Measurement { import: Quantity::Register(watt_hours.into()), ..energy(at, 0, 0) }
    }

    fn taken(measurements: impl IntoIterator<Item = Measurement>) -> Vec<(u64, u64)> {
        let mut live = a_meter();
        let boundaries: Vec<Boundary> = measurements.into_iter().flat_map(|m| live.take(m)).collect();
        let slot = START / 900;
        boundaries.iter().map(|b| (u64::from(b.at.0) - slot, b.import.watt_hours())).collect()
    }

    /// The energy of every interval is between two registers: that of the first too, and that of one after a gap.
    #[test]
    fn every_interval_has_a_register_at_both_ends() {
        let intervals =
            [(1, 200), (2, 300), (5, 400), (6, 500)].map(|(slot, wh)| energy(slot * 900, wh, 900));
        assert_eq!(taken(intervals), [(0, 0), (1, 200), (2, 500), (4, 500), (5, 900), (6, 1_400)]);
    }

    /// A second of jitter or drift in the times drops no interval.
    #[test]
    fn jitter_drops_no_interval() {
        let jitter = (1..20_u64).map(|slot| energy(slot * 900 + slot % 2, 100, 900));
        let drift = (1..20_u64).map(|slot| energy(slot * 901, 100, 900));
        for measurements in [jitter.collect::<Vec<_>>(), drift.collect()] {
            let wanted: Vec<(u64, u64)> = (0..20).map(|slot| (slot, slot * 100)).collect();
            assert_eq!(taken(measurements), wanted);
        }
    }

    /// What a second measurement of the same time is told to be, if anything.
    fn told(live: &mut Live, measurement: Measurement) -> Option<String> {
        let clock = Clock { wall: now(), uptime: Duration::ZERO };
        let vetted = live.registers.observe(&measurement, Some(clock), &live.limits);
        let words = vetted.anomalies.iter().find_map(|anomaly| live.words(anomaly, &measurement));
        if vetted.anomalies.is_empty() {
            live.last = Some(measurement);
        }
        words
    }

    /// A reading that came twice is everyday; another energy of the same interval is lost, and a time that stands is said.
    #[test]
    fn second_readings_of_a_time_are_told_where_something_is_lost() {
        let mut live = a_meter();
        assert_eq!(told(&mut live, energy(900, 100, 900)), None);
        assert_eq!(told(&mut live, energy(900, 100, 900)), None);
        let lost = told(&mut live, energy(900, 5_000, 900)).unwrap();
        assert!(lost.contains("another one: left out") && lost.contains("not billed"), "{lost}");
        let late = told(&mut live, energy(450, 5, 450)).unwrap();
        assert!(late.contains("is in no register, so it is not billed"), "{late}");
        let mut live = a_meter();
        let words: Vec<_> = (0..50).map(|wh| told(&mut live, register(900, wh))).collect();
        assert!(words[..10].iter().all(Option::is_none));
        assert!(words[10..].iter().flatten().all(|words| words.contains("does the clock")));
        assert_eq!(words.iter().flatten().count(), 40);
    }

    /// A meter's clock that is behind is told where it is listened to; what a file has is of whenever it was.
    #[test]
    fn a_clock_that_is_behind_is_told() {
        let mut live = a_meter();
        let wall = Timestamp(START);
        assert_eq!(live.behind(Timestamp(START - 3_600), wall), None);
        live.hears_at_once();
        assert!(live.behind(Timestamp(START - 3_600), wall).unwrap().contains("3600 s behind"));
        assert!(live.behind(Timestamp(1), wall).is_some());
        for at in [START - 300, START, START + 10] {
            assert_eq!(live.behind(Timestamp(at), wall), None);
        }
    }

    /// What is left out again and again is told or counted, and after the register has come back it is told anew.
    #[test]
    fn what_comes_back_is_told_anew() {
        let mut live = a_meter();
        live.take(register(0, 100_000));
        let mut at = 0;
        for resets in [9, 7] {
            for _ in 0..resets {
                at += 60;
                live.take(register(at, 0));
            }
            at += 60;
            live.take(register(at, 100_000));
            // the next one is the first of its kind
            assert_eq!(live.complaints.take("zero", Instant::now(), ""), Some(1));
            live.complaints.over(&["zero"], Instant::now());
        }
    }
}
