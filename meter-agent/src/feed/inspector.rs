//! What is believed of a source's measurements, live or replayed, and what the log says about the rest.

use std::error::Error as _;

use protocol::unit::{Register, Slot, Timestamp};
use runtime::telemetry;
use tokio::time::Instant;
use tracing::{info, warn};

use super::cadence::Cadence;
use super::interval;
use super::warnings::{Warnings, log};
use crate::measurement::{Measurement, Quantity};
use crate::reading::Reading;
use crate::register::{Anomaly, Clock, Limits, Registers};
use crate::source::SourceError;

/// So many readings in a row with one time: its clock stands.
const STANDS: u32 = 10;

/// A meter's registers, and what was wrong with its measurements.
#[derive(Debug)]
pub(super) struct Inspector {
    pub(super) registers: Registers,
    pub(super) warnings: Warnings,
    limits: Limits,
    /// Whether measurements are of just now: a time long ago is then a clock that is wrong.
    immediate: bool,
    started: Instant,
    cadence: Cadence,
    /// The last measurement, and how many more there were of its time.
    last: Option<Measurement>,
    again: u32,
    export_logged: bool,
}

impl Inspector {
    pub(super) fn new(registers: Registers, limits: Limits, immediate: bool) -> Self {
        Self {
            registers,
            limits,
            immediate,
            started: Instant::now(),
            warnings: Warnings::default(),
            cadence: Cadence::default(),
            last: None,
            again: 0,
            export_logged: false,
        }
    }

    /// Continues from the last reading, if nothing else is known: after a replay of energies, for example.
    pub(super) fn resume(&mut self, last: (Slot, Register)) {
        self.registers = std::mem::take(&mut self.registers).or_from(Some(last), self.limits.slot);
    }

    /// The clocks of a live measurement.
    pub(super) fn clock(&self) -> Clock {
        Clock { wall: runtime::now::<Timestamp>(), uptime: self.started.elapsed() }
    }

    /// A reading that is replayed, as the measurement that it was.
    pub(super) fn replayed(&self, reading: &Reading) -> Measurement {
        let quantity = |register: Register| Quantity::Register(register.watt_hours().into());
        let (import, export) = (quantity(reading.register), reading.export.map(quantity));
        Measurement { at: self.limits.slot.start_of(reading.at), import, export, device: None }
    }

    /// The readings that a measurement gives; a replayed one has no clocks.
    pub(super) fn inspect(&mut self, mut measurement: Measurement, clock: Option<Clock>) -> Vec<Reading> {
        telemetry::count("wattveil_measurements_total", 1);
        if measurement.export.is_some() && !std::mem::replace(&mut self.export_logged, true) {
            info!(
                "the meter reports an export register. It is kept apart and is in no bill. If the roster has a grid path, load \
                 vectors carry it. To see it, use --dry-run"
            );
        }
        if let Some(words) = clock.and_then(|clock| self.behind(measurement.at, clock.wall)) {
            telemetry::count_kind("wattveil_register_anomalies_total", "behind", 1);
            self.warnings.warn("behind", &words);
        }
        let first = interval::begin(&mut measurement, self.registers.last_at());
        let mut readings = Vec::new();
        for measurement in first.into_iter().chain([measurement]) {
            readings.extend(self.observe(measurement, clock));
        }
        readings
    }

    /// The warning about a time that is long ago, where measurements are of just now.
    fn behind(&self, at: Timestamp, wall: Timestamp) -> Option<String> {
        let behind = wall.since(at);
        (self.immediate && behind > self.limits.ahead).then(|| {
            format!(
                "the reading's time is {behind} s behind this machine's clock, and its energy counts for that time. Is the meter's \
                 clock right (winter_offset sets its zone)? Is this machine's (type: timedatectl)?"
            )
        })
    }

    fn observe(&mut self, measurement: Measurement, clock: Option<Clock>) -> Vec<Reading> {
        let assess = || self.registers.observe(&measurement, clock, &self.limits);
        let assessment = telemetry::timed("vet", assess);
        let believed = self.registers.last_at() == Some(measurement.at);
        // the interval itself, which comes next, is rejected for the same reason
        if !believed && matches!(measurement.import, Quantity::Energy { seconds: 0, .. }) {
            return Vec::new();
        }
        for anomaly in &assessment.anomalies {
            let words = self.words(anomaly, &measurement);
            self.warnings.report(anomaly, words.as_deref());
        }
        if believed && !assessment.anomalies.contains(&Anomaly::Repeated) {
            self.cadence.note(measurement.at);
            (self.last, self.again) = (Some(measurement), 0);
        }
        for reading in &assessment.readings {
            if let Some(seconds) = self.cadence.begin(reading.at) {
                warn!(
                    "no slot's energy is known, and no record is made. Readings are {seconds} s apart or more, and slots are {} s \
                     long. Each slot needs a reading at both ends, within {} s (registers.tolerance). Configure the meter to \
                     report more often, or ask for a roster with longer slots (wattveil init --slot-minutes 15, 30 or 60)",
                    self.limits.slot.seconds(),
                    self.limits.tolerance
                );
            }
        }
        assessment.readings
    }

    /// The warning about an anomaly. If no register has the energy of a measurement, it states the loss.
    fn words(&mut self, anomaly: &Anomaly, measurement: &Measurement) -> Option<String> {
        Some(match (anomaly, measurement.import) {
            (Anomaly::Repeated, _) => return self.repeated(measurement),
            (Anomaly::Late { at, last }, Quantity::Energy { .. }) => format!(
                "the energy of an interval that ended at {at} came after the one of {last}. It is left out. It is in no register, \
                 so it is not billed"
            ),
            (Anomaly::Late { at, last }, Quantity::Power(_)) => format!(
                "the power of {at} came after the one of {last}. It is left out: the powers around it give the energy"
            ),
            _ => anomaly.to_string(),
        })
    }

    /// A second measurement of one time is everyday, unless it has another energy, or the time stands.
    fn repeated(&mut self, measurement: &Measurement) -> Option<String> {
        self.again += 1;
        let at = measurement.at;
        let equal =
            |last: &Measurement| last.import == measurement.import && last.export == measurement.export;
        let same = self.last.as_ref().is_none_or(equal);
        if !same && matches!(measurement.import, Quantity::Energy { .. }) {
            return Some(format!(
                "a second, different energy of the interval that ended at {at} is left out. It is in no register, so it is not \
                 billed. `time` must be the interval's own end"
            ));
        }
        (self.again >= STANDS).then(|| {
            let again = self.again;
            format!(
                "{again} readings in a row have the time of the one before, {at}. They are left out. Does the clock that gives the \
                 time stand still?"
            )
        })
    }

    /// Warns of something that was no measurement.
    pub(super) fn reject(&mut self, error: &SourceError) {
        telemetry::count_kind("wattveil_source_errors_total", error.name(), 1);
        let left_out = match error {
            SourceError::Lost(..) | SourceError::Closed(_) | SourceError::Silent { .. } => "",
            _ => "left out: ",
        };
        let words = match error.source() {
            Some(cause) => format!("{left_out}{error}: {cause}"),
            None => format!("{left_out}{error}"),
        };
        self.warnings.warn(error.name(), &words);
    }

    /// Logs what was only counted, before a stop or at the source's end.
    pub(super) fn finish(&mut self, ended: bool) {
        log(self.warnings.rest(Instant::now()));
        let again = std::mem::take(&mut self.again);
        if let Some(last) = self.last.as_ref().filter(|_| (1..STANDS).contains(&again) && ended) {
            warn!(
                "the source ended with {again} readings of the time of the one before, {}. They are left out. Telegrams without a \
                 time have that of their reading, so a file of them is one moment",
                last.at
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use protocol::unit::SlotLength;

    use super::*;

    /// 2025-01-01T00:00:00Z.
    const START: u64 = 1_735_689_600;

    fn a_meter(immediate: bool) -> Inspector {
        let limits = Limits::new(SlotLength::try_from(900).unwrap());
        Inspector::new(Registers::default(), limits, immediate)
    }

    fn energy(at: u64, watt_hours: u32, seconds: u32) -> Measurement {
        let import = Quantity::Energy { energy: watt_hours.into(), seconds };
        Measurement { at: Timestamp(START + at), import, export: None, device: None }
    }

    fn register(at: u64, watt_hours: u32) -> Measurement {
        Measurement { import: Quantity::Register(watt_hours.into()), ..energy(at, 0, 0) }
    }

    fn readings(measurements: impl IntoIterator<Item = Measurement>) -> Vec<(u64, u64)> {
        let mut meter = a_meter(false);
        let clock = meter.clock();
        let readings = measurements.into_iter().flat_map(|m| meter.inspect(m, Some(clock)));
        readings.map(|r| (u64::from(r.at.0) - START / 900, r.register.watt_hours())).collect()
    }

    /// The energy of every interval is between two registers: that of the first too, and that of one after a gap.
    #[test]
    fn every_interval_has_a_register_at_both_ends() {
        let intervals =
            [(1, 200), (2, 300), (5, 400), (6, 500)].map(|(slot, wh)| energy(slot * 900, wh, 900));
        assert_eq!(readings(intervals), [(0, 0), (1, 200), (2, 500), (4, 500), (5, 900), (6, 1_400)]);
    }

    /// A second of jitter or drift in the times drops no interval.
    #[test]
    fn jitter_drops_no_interval() {
        let jitter = (1..20_u64).map(|slot| energy(slot * 900 + slot % 2, 100, 900));
        let drift = (1..20_u64).map(|slot| energy(slot * 901, 100, 900));
        for measurements in [jitter.collect::<Vec<_>>(), drift.collect()] {
            let wanted: Vec<(u64, u64)> = (0..20).map(|slot| (slot, slot * 100)).collect();
            assert_eq!(readings(measurements), wanted);
        }
    }

    /// The warning about a second measurement of the same time, if there is one.
    fn warning(meter: &mut Inspector, measurement: Measurement) -> Option<String> {
        let clock = Clock { uptime: Duration::ZERO, ..meter.clock() };
        let assessment = meter.registers.observe(&measurement, Some(clock), &meter.limits);
        let words = assessment.anomalies.iter().find_map(|anomaly| meter.words(anomaly, &measurement));
        if assessment.anomalies.is_empty() {
            meter.last = Some(measurement);
        }
        words
    }

    /// A reading that came twice is everyday; another energy of the same interval is lost, and a time that stands is reported.
    #[test]
    fn second_readings_of_a_time_are_reported_where_something_is_lost() {
        let mut meter = a_meter(false);
        assert_eq!(warning(&mut meter, energy(900, 100, 900)), None);
        assert_eq!(warning(&mut meter, energy(900, 100, 900)), None);
        let lost = warning(&mut meter, energy(900, 5_000, 900)).unwrap();
        assert!(lost.contains("a second, different energy") && lost.contains("not billed"), "{lost}");
        let late = warning(&mut meter, energy(450, 5, 450)).unwrap();
        assert!(late.contains("in no register, so it is not billed"), "{late}");
        let mut meter = a_meter(false);
        let words: Vec<_> = (0..50).map(|wh| warning(&mut meter, register(900, wh))).collect();
        assert!(words[..10].iter().all(Option::is_none));
        assert!(words[10..].iter().flatten().all(|words| words.contains("Does the clock")));
        assert_eq!(words.iter().flatten().count(), 40);
    }

    /// A meter's clock that is behind is reported for a live meter; what a file has may be old.
    #[test]
    fn a_clock_that_is_behind_is_reported() {
        let meter = a_meter(false);
        let wall = Timestamp(START);
        assert_eq!(meter.behind(Timestamp(START - 3_600), wall), None);
        let meter = a_meter(true);
        assert!(meter.behind(Timestamp(START - 3_600), wall).unwrap().contains("3600 s behind"));
        assert!(meter.behind(Timestamp(1), wall).is_some());
        for at in [START - 300, START, START + 10] {
            assert_eq!(meter.behind(Timestamp(at), wall), None);
        }
    }

    /// What is left out again and again is logged or counted, and after the register has returned it is logged anew.
    #[test]
    fn what_returns_is_logged_anew() {
        let mut meter = a_meter(false);
        let clock = Some(meter.clock());
        meter.inspect(register(0, 100_000), clock);
        let mut at = 0;
        for resets in [9, 7] {
            for _ in 0..resets {
                at += 60;
                meter.inspect(register(at, 0), clock);
            }
            at += 60;
            meter.inspect(register(at, 100_000), clock);
            // the next one is the first of its kind
            assert_eq!(meter.warnings.count("zero", Instant::now(), ""), Some(1));
            meter.warnings.over(&["zero"], Instant::now());
        }
    }
}
