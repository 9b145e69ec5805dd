//! What feeds the role as time passes: a replay, or a meter whose registers are looked at first.

use std::collections::{BTreeMap, VecDeque};
use std::error::Error as _;
use std::time::Duration;

use host::telemetry;
use protocol::unit::{MAX_SLOT_WH, Register, Slot, SlotLength, Timestamp};
use store::{Store, StoreError, Table};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use self::looked::Looked;
use crate::measurement::{Measurement, Quantity};
use crate::meter::{MeterError, Reading};
use crate::register::{Boundary, Clock, Limits, Registers, Vetted};
use crate::source::Heard;

mod looked;

/// What is believed of the meter's registers: one row.
const REGISTERS: Table = Table("registers");

/// What is believed of registers between slots' starts is kept so often.
const KEEP: Duration = Duration::from_mins(1);

/// Readings taken at once by a replay without a speed.
const GROUP: usize = 64;

/// What came in.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Fed {
    /// Slots' starts with their registers.
    pub boundaries: Vec<Boundary>,
    /// Nothing will come any more.
    pub ended: bool,
    /// What is believed now is to be kept at once: an fsync for each of a register's seconds would wear out a small disk,
    /// and a register tells again what was forgotten.
    pub keep: bool,
}

/// Where readings come from.
#[derive(Debug)]
pub struct Feed(Kind);

#[derive(Debug)]
enum Kind {
    Replay(Replay),
    Live(Box<Live>),
}

#[derive(Debug)]
struct Replay {
    readings: VecDeque<Reading>,
    pace: Pace,
    base: Base,
    due: Instant,
    looked: Option<Box<Looked>>,
}

/// Where the registers of a replay come from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Base {
    /// They are the meter's.
    Measured,
    /// They are sums of energies, above a register that somebody said.
    Said,
    /// They are sums of energies, and go on from the last register that was taken.
    Open,
}

/// Why a replay of energies does not go on from what was taken before.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ReplayError {
    /// Nobody knows what was used between.
    #[error(
        "the data begin at slot {first}, and the last register that was taken is of slot {last}: what was used in the {} slots \
         between is not in them. Add it to the data; or say [source.csv] register = WH, what the register was when the data \
         begin", first.0 - last.0
    )]
    Apart {
        /// The slot of the last register that was taken.
        last: Slot,
        /// The data's first slot.
        first: Slot,
    },
    /// Another register than the one that was taken.
    #[error(
        "by [source.csv] register, the register of slot {at} is {by} Wh {side} the one that was taken for it. Leave `register` out, \
         and the data go on from what was taken"
    )]
    Other {
        /// The slot.
        at: Slot,
        /// By how many watt-hours.
        by: u64,
        /// `above` or `below`.
        side: &'static str,
    },
    /// More energy between than slots can carry, or less than none.
    #[error(
        "by [source.csv] register, the data begin {by} Wh {side} the last register that was taken, {slots} slots before, which is \
         not from 0 to the {most} Wh that they can carry: it is what the register was in Wh when the data begin"
    )]
    Between {
        /// By how many watt-hours.
        by: u64,
        /// `above` or `below`.
        side: &'static str,
        /// How many slots are between.
        slots: u32,
        /// What they can carry in watt-hours.
        most: u64,
    },
    /// A register beyond the largest.
    #[error("with the energies of the data, the register would pass the largest there can be")]
    Beyond,
}

/// How fast readings are replayed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Pace {
    /// As fast as receipts allow.
    Receipts,
    /// One a so often.
    Every(Duration),
    /// Each at its own time.
    Own(SlotLength),
}

#[derive(Debug)]
struct Live {
    hears: mpsc::Receiver<Heard>,
    registers: Registers,
    limits: Limits,
    started: Instant,
    seen: Seen,
    ended: bool,
    told_export: bool,
    kept: Instant,
}

/// How often each anomaly was seen, so that the log has each of them but not all of them.
#[derive(Debug, Default)]
struct Seen(BTreeMap<&'static str, u64>);

impl Seen {
    /// Counts one; the 1st, 2nd, 4th, 8th … are worth a line.
    fn again(&mut self, name: &'static str) -> Option<u64> {
        let times = self.0.entry(name).or_default();
        *times += 1;
        times.is_power_of_two().then_some(*times)
    }

    /// Counts what is wrong, says it, and gives the rest.
    fn explain(&mut self, vetted: Vetted) -> Vec<Boundary> {
        for anomaly in vetted.anomalies {
            telemetry::count_kind("wattveil_register_anomalies_total", anomaly.name(), 1);
            match self.again(anomaly.name()) {
                Some(times) if !anomaly.is_everyday() => warn!(anomaly = anomaly.name(), times, "{anomaly}"),
                _ => debug!(anomaly = anomaly.name(), "{anomaly}"),
            }
            for over in anomaly.ends() {
                self.0.remove(over);
            }
        }
        vetted.boundaries
    }
}

impl Feed {
    /// Replays readings at so many slots a second; 0 is as fast as receipts allow.
    pub fn replay(readings: Vec<Reading>, slots_per_second: f64) -> Self {
        let pace = if slots_per_second > 0.0 {
            Pace::Every(Duration::from_secs_f64(slots_per_second.recip()))
        } else {
            Pace::Receipts
        };
        Self::new(readings, pace)
    }

    /// Replays readings, each at its own time; those of the past at once.
    pub fn at_own_time(readings: Vec<Reading>, slot: SlotLength) -> Self {
        Self::new(readings, Pace::Own(slot))
    }

    fn new(readings: Vec<Reading>, pace: Pace) -> Self {
        Self(Kind::Replay(Replay {
            readings: readings.into(),
            pace,
            base: Base::Measured,
            due: Instant::now(),
            looked: None,
        }))
    }

    /// Looks at the registers of a replay as at a live meter's, going on from what the store knows of them. Sums of energies
    /// are no meter's registers: they are as they are.
    ///
    /// # Errors
    ///
    /// [`MeterError`] if the store is damaged.
    pub fn looking(mut self, limits: Limits, store: &dyn Store) -> Result<Self, MeterError> {
        if let Kind::Replay(replay) = &mut self.0
            && replay.base == Base::Measured
        {
            replay.looked = Some(Box::new(Looked::new(load(store)?, limits)));
        }
        Ok(self)
    }

    /// A replay whose registers come from elsewhere than the meter.
    #[must_use]
    pub fn based(mut self, base: Base) -> Self {
        if let Kind::Replay(replay) = &mut self.0 {
            replay.base = base;
        }
        self
    }

    /// Looks at what a live source hears, going on from what the store knows of its registers.
    ///
    /// # Errors
    ///
    /// [`MeterError`] if the store is damaged.
    pub fn live(hears: mpsc::Receiver<Heard>, limits: Limits, store: &dyn Store) -> Result<Self, MeterError> {
        let registers = load(store)?;
        Ok(Self(Kind::Live(Box::new(Live {
            hears,
            registers,
            limits,
            started: Instant::now(),
            seen: Seen::default(),
            ended: false,
            told_export: false,
            kept: Instant::now(),
        }))))
    }

    /// Passes over what was taken before the last stop, and goes on from the last register that was taken; gives how much was
    /// passed over.
    ///
    /// # Errors
    ///
    /// [`ReplayError`] if sums of energies do not go on from it.
    pub fn resume(&mut self, last: Option<(Slot, Register)>) -> Result<u64, ReplayError> {
        let mut passed = 0;
        match (&mut self.0, last) {
            (Kind::Replay(replay), Some((last, taken))) => {
                replay.join(last, taken.watt_hours())?;
                if let Some(looked) = &mut replay.looked {
                    looked.resume((last, taken));
                }
                while replay.readings.pop_front_if(|reading| reading.at <= last).is_some() {
                    passed += 1;
                }
            }
            // after a replay of energies, say, of which no register is known
            (Kind::Live(live), Some(_)) => {
                live.registers = std::mem::take(&mut live.registers).or_from(last, live.limits.slot);
            }
            (_, None) => {}
        }
        Ok(passed)
    }

    /// Whether nothing will come any more.
    pub fn has_ended(&mut self) -> bool {
        match &mut self.0 {
            Kind::Replay(replay) => replay.readings.is_empty(),
            Kind::Live(live) => live.ended,
        }
    }

    /// Whether it waits for nothing but receipts: then it should not be asked for more before they come.
    pub fn waits_for_receipts(&self) -> bool {
        matches!(&self.0, Kind::Replay(replay) if replay.pace == Pace::Receipts)
    }

    /// What comes next; pending for ever after the end. Cancel-safe.
    pub async fn next(&mut self) -> Fed {
        match &mut self.0 {
            Kind::Replay(replay) => replay.next().await,
            Kind::Live(live) => live.next().await,
        }
    }

    /// Keeps what is believed of the registers, to be durable with the next commit.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn save(&self, store: &mut dyn Store) -> Result<(), StoreError> {
        match &self.0 {
            Kind::Replay(replay) => {
                replay.looked.as_ref().map_or(Ok(()), |looked| save(looked.registers(), store))
            }
            Kind::Live(live) => save(&live.registers, store),
        }
    }
}

/// What the store knows of a meter's registers.
///
/// # Errors
///
/// [`MeterError`] if the store is damaged.
pub fn load(store: &dyn Store) -> Result<Registers, MeterError> {
    let Some(bytes) = store.get(REGISTERS, b"")? else { return Ok(Registers::default()) };
    protocol::wire::decode_own(&bytes).map_err(|_| MeterError::Damaged("the meter's registers can't be read"))
}

/// Keeps what is known of a meter's registers, to be durable with the next commit.
///
/// # Errors
///
/// [`StoreError`].
pub fn save(registers: &Registers, store: &mut dyn Store) -> Result<(), StoreError> {
    store.put(REGISTERS, b"", &protocol::wire::encode(registers))
}

impl Replay {
    /// Makes sums of energies go on from the register that was taken for a slot.
    fn join(&mut self, at: Slot, taken: u64) -> Result<(), ReplayError> {
        let side = |here: u64| if here > taken { "above" } else { "below" };
        let same = self.readings.iter().find(|reading| reading.at == at);
        let same = same.map(|reading| reading.register.watt_hours());
        let later = self.readings.front().filter(|first| first.at > at);
        match (self.base, same, later) {
            (Base::Said, Some(here), _) if here != taken => {
                Err(ReplayError::Other { at, by: here.abs_diff(taken), side: side(here) })
            }
            (Base::Said, None, Some(first)) => {
                let (here, slots) = (first.register.watt_hours(), first.at.0 - at.0);
                let most = u64::from(slots) * MAX_SLOT_WH.unsigned_abs();
                if here < taken || here - taken > most {
                    return Err(ReplayError::Between {
                        by: here.abs_diff(taken),
                        side: side(here),
                        slots,
                        most,
                    });
                }
                Ok(())
            }
            (Base::Open, None, Some(first)) => Err(ReplayError::Apart { last: at, first: first.at }),
            (Base::Open, Some(here), _) => {
                for reading in self.readings.iter_mut().filter(|reading| reading.at >= at) {
                    let register = taken.checked_add(reading.register.watt_hours() - here);
                    let register = register.and_then(|register| Register::try_from(register).ok());
                    reading.register = register.ok_or(ReplayError::Beyond)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn next(&mut self) -> Fed {
        let Some(reading) = self.readings.front() else { return std::future::pending().await };
        let group = match self.pace {
            Pace::Receipts => GROUP,
            Pace::Every(pause) => {
                tokio::time::sleep_until(self.due).await;
                self.due += pause;
                1
            }
            Pace::Own(slot) => {
                let start = slot.start_of(reading.at);
                // a long wait in short ones: the time of day may be set meanwhile
                loop {
                    let left = start.since(host::now().timestamp());
                    if left == 0 {
                        break;
                    }
                    tokio::time::sleep(Duration::from_secs(left.min(60))).await;
                }
                1
            }
        };
        let group = group.min(self.readings.len());
        let mut boundaries = Vec::with_capacity(group);
        for reading in self.readings.drain(..group) {
            match &mut self.looked {
                Some(looked) => boundaries.extend(looked.take(reading)),
                None => boundaries.push(Boundary::from(reading)),
            }
        }
        Fed { boundaries, ended: self.readings.is_empty(), keep: true }
    }
}

impl Live {
    async fn next(&mut self) -> Fed {
        if self.ended {
            return std::future::pending().await;
        }
        let heard = self.hears.recv().await;
        // an energy is told once only
        let once = matches!(&heard, Some(Ok(Measurement { import: Quantity::Energy { .. }, .. })));
        let boundaries = match heard {
            Some(Ok(measurement)) => {
                telemetry::count("wattveil_measurements_total", 1);
                let clock = Clock { wall: now(), uptime: self.started.elapsed() };
                let vet = || self.registers.observe(&measurement, Some(clock), &self.limits);
                let vetted = telemetry::timed("vet", vet);
                if measurement.export.is_some() && !std::mem::replace(&mut self.told_export, true) {
                    info!(
                        "the meter tells an export register: it is kept apart, is in no bill, and goes into load vectors where \
                         the roster has a grid path; --dry-run shows it"
                    );
                }
                self.seen.explain(vetted)
            }
            Some(Err(error)) => {
                telemetry::count_kind("wattveil_source_errors_total", error.name(), 1);
                if let Some(times) = self.seen.again(error.name()) {
                    warn!(cause = error.source(), times, "left out: {error}");
                }
                Vec::new()
            }
            None => {
                self.ended = true;
                Vec::new()
            }
        };
        let keep = once || self.ended || !boundaries.is_empty() || self.kept.elapsed() >= KEEP;
        if keep {
            self.kept = Instant::now();
        }
        Fed { boundaries, ended: self.ended, keep }
    }
}

fn now() -> Timestamp {
    host::now().timestamp()
}

#[cfg(test)]
mod tests {
    use store::MemoryStore;

    use super::*;

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

    /// Energies from slot `first`, one a slot, as a file has them.
    fn energies(first: u32, register: u64, energies: &[u64], base: Base) -> Feed {
        let mut sum = register;
        let mut readings = vec![(first, sum)];
        for (energy, at) in energies.iter().zip(first + 1..) {
            sum += energy;
            readings.push((at, sum));
        }
        let reading = |(at, register)| Reading { at: Slot(at), register: wh(register), export: None };
        Feed::replay(readings.into_iter().map(reading).collect(), 0.0).based(base)
    }

    fn wh(register: u64) -> Register {
        Register::try_from(register).unwrap()
    }

    async fn replayed(mut feed: Feed, last: (u32, u64)) -> Result<Vec<(u32, u64)>, ReplayError> {
        feed.resume(Some((Slot(last.0), wh(last.1))))?;
        let mut shown = Vec::new();
        while !feed.has_ended() {
            shown.extend(feed.next().await.boundaries.iter().map(|b| (b.at.0, b.import.watt_hours())));
        }
        Ok(shown)
    }

    /// Files of energies follow one another on one register, whether they begin where the last one ended or before.
    #[tokio::test]
    async fn energies_go_on_from_the_last_register() {
        let wanted = vec![(11, 30_005), (12, 30_011)];
        let next = energies(10, 0, &[5, 6], Base::Open);
        assert_eq!(replayed(next, (10, 30_000)).await.unwrap(), wanted);
        let longer = energies(7, 0, &[1, 2, 3, 5, 6], Base::Open);
        assert_eq!(replayed(longer, (10, 30_000)).await.unwrap(), wanted);
        let whole = energies(7, 50_000, &[1, 2, 3, 5, 6], Base::Open);
        assert_eq!(replayed(whole, (10, 30_000)).await.unwrap(), wanted);
        let old = energies(7, 0, &[1, 2], Base::Open);
        assert_eq!(replayed(old, (10, 30_000)).await.unwrap(), []);
        let said = energies(8, 29_990, &[4, 6, 5, 6], Base::Said);
        assert_eq!(replayed(said, (10, 30_000)).await.unwrap(), wanted);
    }

    /// Energies that do not follow are refused before any is taken: by nothing that was used between, or by another register.
    #[tokio::test]
    async fn energies_that_do_not_follow_are_refused() {
        for (feed, wanted) in [
            (
                energies(12, 0, &[5], Base::Open),
                "the last register that was taken is of slot 10: what was used in the 2",
            ),
            (energies(10, 0, &[5, 6], Base::Said), "the register of slot 10 is 30000 Wh below"),
            (energies(9, 30_000, &[5, 6], Base::Said), "the register of slot 10 is 5 Wh above"),
            (energies(11, 29_999, &[5, 6], Base::Said), "the data begin 1 Wh below the last register"),
            (energies(11, 70_000, &[5, 6], Base::Said), "not from 0 to the 32767 Wh"),
        ] {
            let error = replayed(feed, (10, 30_000)).await.unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
    }
}
