//! The network between the parties: what a broker and its connections may do to messages.
//!
//! Delivery goes by topic filters. A message may be dropped, doubled and delayed, and by unequal delays reordered; a
//! party may be cut off for a while; the broker may forget all that it holds.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use protocol::unit::Moment;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// A party.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Name {
    /// A meter, by index.
    Meter(usize),
    /// An aggregator, by index.
    Aggregator(usize),
    /// The sink.
    Sink,
}

/// A message on its way.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its topic.
    pub topic: String,
    /// Its bytes.
    pub payload: Vec<u8>,
}

impl Message {
    /// Its bytes as an MQTT PUBLISH: fixed header, topic length, topic, packet id, payload.
    pub fn bytes(&self) -> u64 {
        (self.topic.len() + self.payload.len() + 7) as u64
    }
}

/// What may go wrong, in thousandths where not said otherwise, up to a moment after which nothing does.
#[derive(Clone, Debug)]
pub struct Faults {
    /// Deliveries lost.
    pub drop: u32,
    /// Deliveries doubled.
    pub duplicate: u32,
    /// The longest delay of a delivery, in milliseconds.
    pub delay: u64,
    /// Steps that end in a crash.
    pub crash: u32,
    /// Times a party is cut off for a while.
    pub partitions: u32,
    /// Times the broker forgets everything.
    pub broker_restarts: u32,
    /// Whether the broker keeps messages for whoever is away.
    pub sessions: bool,
    /// Whether it keeps retained messages.
    pub retained: bool,
    /// The longest time that a party is down after a crash, in milliseconds.
    pub down: u64,
    /// From when on all is well.
    pub until: Moment,
    /// The longest delay of a delivery when all is well, in milliseconds; with 1, messages arrive in the order of their sending.
    pub latency: u64,
}

impl Faults {
    /// A network without fault.
    pub fn none() -> Self {
        Self {
            drop: 0,
            duplicate: 0,
            delay: 1_000,
            crash: 0,
            partitions: 0,
            broker_restarts: 0,
            sessions: true,
            retained: true,
            down: 1_000,
            until: Moment(0),
            latency: 999,
        }
    }

    /// Faults of a severity drawn for each seed: from a good day to a very bad one.
    pub fn drawn(rng: &mut ChaCha8Rng, until: Moment) -> Self {
        Self {
            drop: [0, 10, 100, 300][rng.random_range(0..4)],
            duplicate: [0, 20, 200][rng.random_range(0..3)],
            delay: [1_000, 60_000, 900_000][rng.random_range(0..3)],
            crash: [0, 5, 30][rng.random_range(0..3)],
            partitions: rng.random_range(0..4),
            broker_restarts: rng.random_range(0..4),
            sessions: rng.random(),
            retained: rng.random(),
            down: 2 * 3_600_000,
            until,
            latency: 999,
        }
    }
}

/// Whether a delivery from one party to another goes through.
pub type Gate = Box<dyn Fn(Name, Name, &str) -> bool>;

/// The network.
pub struct Network {
    /// What may go wrong.
    pub faults: Faults,
    rng: ChaCha8Rng,
    filters: BTreeMap<Name, Vec<String>>,
    retained: BTreeMap<String, Vec<u8>>,
    /// Parties that nothing reaches and nothing leaves.
    pub cut_off: BTreeSet<Name>,
    /// What every delivery has to pass.
    pub gates: Vec<Gate>,
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").field("faults", &self.faults).finish_non_exhaustive()
    }
}

impl Network {
    /// A network on which nobody has subscribed yet.
    pub fn new(faults: Faults, rng: ChaCha8Rng) -> Self {
        Self {
            faults,
            rng,
            filters: BTreeMap::new(),
            retained: BTreeMap::new(),
            cut_off: BTreeSet::new(),
            gates: Vec::new(),
        }
    }

    /// A party subscribes; returns the retained messages that it gets.
    pub fn subscribe(&mut self, name: Name, filters: Vec<String>) -> Vec<Message> {
        let matching = |topic: &str| filters.iter().any(|filter| matches(filter, topic));
        let retained = self
            .retained
            .iter()
            .filter(|(topic, _)| self.faults.retained && matching(topic))
            .map(|(topic, payload)| Message { topic: topic.clone(), payload: payload.clone() })
            .collect();
        self.filters.insert(name, filters);
        retained
    }

    /// The broker starts anew and knows nothing.
    pub fn forget(&mut self) {
        self.retained.clear();
    }

    /// Receives a message; returns who gets it after how many milliseconds.
    pub fn publish(&mut self, from: Name, message: &Message, retain: bool, now: Moment) -> Vec<(Name, u64)> {
        if self.cut_off.contains(&from) {
            return Vec::new();
        }
        if retain {
            self.retained.insert(message.topic.clone(), message.payload.clone());
        }
        let well = now >= self.faults.until;
        let mut deliveries = Vec::new();
        for (to, filters) in &self.filters {
            let wanted = filters.iter().any(|filter| matches(filter, &message.topic));
            let open = self.gates.iter().all(|gate| gate(from, *to, &message.topic));
            if !wanted || !open || self.cut_off.contains(to) {
                continue;
            }
            if well {
                deliveries.push((*to, self.rng.random_range(1..=self.faults.latency)));
                continue;
            }
            let copies = 1 + u32::from(self.rng.random_range(0..1_000) < self.faults.duplicate);
            for _ in 0..copies {
                if self.rng.random_range(0..1_000) >= self.faults.drop {
                    deliveries.push((*to, self.rng.random_range(1..=self.faults.delay)));
                }
            }
        }
        deliveries
    }
}

/// MQTT 3.1.1, 4.7: `+` is one level, `#` this level and all below.
fn matches(filter: &str, topic: &str) -> bool {
    let (mut filter, mut topic) = (filter.split('/'), topic.split('/'));
    loop {
        match (filter.next(), topic.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(_)) => {}
            (Some(wanted), Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Filters match as MQTT 3.1.1 says.
    #[test]
    fn filters_match_levels() {
        for (filter, topic, fits) in [
            ("a/+/c", "a/b/c", true),
            ("a/+/c", "a/b/d", false),
            ("a/+", "a", false),
            ("a/+", "a/b/c", false),
            ("a/#", "a", true),
            ("a/#", "a/b/c", true),
            ("a/b", "a/b", true),
            ("a/b", "a/b/c", false),
            ("#", "a/b", true),
        ] {
            assert_eq!(matches(filter, topic), fits, "{filter} {topic}");
        }
    }
}
