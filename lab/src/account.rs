//! What roles did while somebody watched: time, messages, bytes; by reading, by second, by day.

use std::time::Duration;

use serde_json::{Value, json};

use crate::world::network::Name;

/// What a role has done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Work {
    /// Time in its calls.
    pub busy: Duration,
    /// Messages it sent.
    pub messages: u64,
    /// Their bytes: payloads, topics and MQTT headers.
    pub bytes: u64,
}

/// What the roles have done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Works {
    /// All meters.
    pub meters: Work,
    /// All aggregators.
    pub aggregators: Work,
    /// The sink.
    pub sink: Work,
}

impl Works {
    /// That of a party's role.
    pub fn of(&mut self, name: Name) -> &mut Work {
        match name {
            Name::Meter(_) => &mut self.meters,
            Name::Aggregator(_) => &mut self.aggregators,
            Name::Sink => &mut self.sink,
        }
    }

    /// All roles.
    pub fn all(&self) -> [Work; 3] {
        [self.meters, self.aggregators, self.sink]
    }
}

/// What the readings of some meters took, from the register to what was released of them.
#[derive(Clone, Debug)]
pub struct Account {
    /// How many meters.
    pub meters: usize,
    /// Slots a batch.
    pub batch: u32,
    /// Seconds from a reading to the next.
    pub interval: u32,
    /// Readings taken.
    pub readings: u64,
    /// What the roles did.
    pub works: Works,
    /// Bytes among what meters sent that come once a roster: key deals.
    pub dealt: u64,
    /// How many aggregators.
    pub aggregators: usize,
    /// Whether all that was released is the plaintext's: equal in mode `sum`, within six estimated deviations in mode `levelled`.
    pub exact: bool,
}

impl Account {
    /// An account of nothing yet.
    pub fn new(meters: usize, batch: u32, interval: u32, aggregators: usize) -> Self {
        let (works, readings, dealt, exact) = (Works::default(), 0, 0, false);
        Self { meters, batch, interval, readings, works, dealt, aggregators, exact }
    }

    /// Microseconds of a reading: meter, each aggregator, sink.
    pub fn micros(&self) -> [f64; 3] {
        let of = |work: Work| micros(work.busy) / float(self.readings);
        let Works { meters, aggregators, sink } = self.works;
        [of(meters), of(aggregators) / float(self.aggregators as u64), of(sink)]
    }

    /// Microseconds of all roles a reading.
    pub fn micros_a_reading(&self) -> f64 {
        self.works.all().iter().map(|work| micros(work.busy)).sum::<f64>() / float(self.readings)
    }

    /// Readings a second that one core carries, all roles together.
    pub fn readings_a_second(&self) -> f64 {
        1e6 / self.micros_a_reading()
    }

    /// Messages a second that one core carries, all roles together.
    pub fn messages_a_second(&self) -> f64 {
        self.messages_a_reading() * self.readings_a_second()
    }

    fn messages_a_reading(&self) -> f64 {
        float(self.works.all().iter().map(|work| work.messages).sum()) / float(self.readings)
    }

    /// Messages a second that these meters cause at their interval.
    pub fn messages_a_second_caused(&self) -> f64 {
        self.messages_a_reading() * float(self.meters as u64) / f64::from(self.interval)
    }

    /// Which share of one core these meters take at their interval, all roles together.
    pub fn share_of_a_core(&self) -> f64 {
        self.micros_a_reading() / 1e6 * float(self.meters as u64) / f64::from(self.interval)
    }

    /// Bytes that a meter sends a day at its interval, without what comes once a roster.
    pub fn bytes_a_meter_day(&self) -> f64 {
        float(self.works.meters.bytes - self.dealt) / float(self.readings) * 86_400.0
            / f64::from(self.interval)
    }

    /// Bytes of a meter's key deal, once a roster.
    pub fn bytes_a_deal(&self) -> u64 {
        self.dealt / self.meters as u64
    }

    /// For a program.
    pub fn to_json(&self) -> Value {
        let [meter, aggregator, sink] = self.micros();
        json!({
            "meters": self.meters,
            "batch_slots": self.batch,
            "seconds_between_readings": self.interval,
            "readings_measured": self.readings,
            "readings_a_second_a_core": self.readings_a_second(),
            "messages_a_second_a_core": self.messages_a_second(),
            "messages_a_second_caused": self.messages_a_second_caused(),
            "share_of_a_core": self.share_of_a_core(),
            "bytes_a_meter_day": self.bytes_a_meter_day(),
            "bytes_a_key_deal": self.bytes_a_deal(),
            "us_a_reading": { "meter": meter, "each_aggregator": aggregator, "sink": sink },
            "equals_plaintext": self.exact,
        })
    }

    /// The head of a table of rows.
    pub const HEAD: &'static str = "  meters  batch  interval  readings  readings/s  messages/s  bytes/meter-day  \
        µs/reading: meter  aggregator    sink  core %";

    /// A row of a table.
    pub fn to_row(&self) -> String {
        let [meter, aggregator, sink] = self.micros();
        format!(
            "  {:>6} {:>6} {:>7} s {:>9} {:>11.0} {:>11.0} {:>16.0} {meter:>18.1} {aggregator:>11.1} {sink:>7.1} {:>7.3}  {}",
            self.meters,
            self.batch,
            self.interval,
            self.readings,
            self.readings_a_second(),
            self.messages_a_second(),
            self.bytes_a_meter_day(),
            100.0 * self.share_of_a_core(),
            if self.exact { "equal" } else { "NOT EQUAL" }
        )
    }
}

/// Microseconds.
pub fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// A count as a number to divide by.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub fn float(count: u64) -> f64 {
    count as f64
}
