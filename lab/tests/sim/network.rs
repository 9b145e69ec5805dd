//! The network between the parties: what a broker and its connections may do to messages.
//!
//! Delivery goes by topic filters. A message may be dropped, doubled and delayed, and by unequal delays reordered; a
//! party may be cut off for a while; the broker may forget all that it holds.

use std::collections::{BTreeMap, BTreeSet};

use protocol::unit::Moment;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// A party.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Name {
    /// A meter, by index.
    Meter(usize),
    /// An aggregator, by index.
    Aggregator(usize),
    /// The sink.
    Sink,
}

/// A message on its way.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
}

/// What may go wrong, in thousandths where not said otherwise, up to a moment after which nothing does.
#[derive(Clone, Debug)]
pub(crate) struct Faults {
    /// Deliveries lost.
    pub(crate) drop: u32,
    /// Deliveries doubled.
    pub(crate) duplicate: u32,
    /// The longest delay of a delivery, in milliseconds.
    pub(crate) delay: u64,
    /// Steps that end in a crash.
    pub(crate) crash: u32,
    /// Times a party is cut off for a while.
    pub(crate) partitions: u32,
    /// Times the broker forgets everything.
    pub(crate) broker_restarts: u32,
    /// Whether the broker keeps messages for whoever is away.
    pub(crate) sessions: bool,
    /// Whether it keeps retained messages.
    pub(crate) retained: bool,
    /// From when on all is well.
    pub(crate) until: Moment,
}

impl Faults {
    /// A network without fault.
    pub(crate) fn none() -> Self {
        Self {
            drop: 0,
            duplicate: 0,
            delay: 1_000,
            crash: 0,
            partitions: 0,
            broker_restarts: 0,
            sessions: true,
            retained: true,
            until: Moment(0),
        }
    }

    /// Faults of a severity drawn for each seed: from a good day to a very bad one.
    pub(crate) fn drawn(rng: &mut ChaCha8Rng, until: Moment) -> Self {
        Self {
            drop: [0, 10, 100, 300][rng.random_range(0..4)],
            duplicate: [0, 20, 200][rng.random_range(0..3)],
            delay: [1_000, 60_000, 900_000][rng.random_range(0..3)],
            crash: [0, 5, 30][rng.random_range(0..3)],
            partitions: rng.random_range(0..4),
            broker_restarts: rng.random_range(0..4),
            sessions: rng.random(),
            retained: rng.random(),
            until,
        }
    }
}

/// Whether a delivery from one party to another goes through.
pub(crate) type Gate = Box<dyn Fn(Name, Name, &str) -> bool>;

/// The network.
pub(crate) struct Network {
    pub(crate) faults: Faults,
    rng: ChaCha8Rng,
    filters: BTreeMap<Name, Vec<String>>,
    retained: BTreeMap<String, Vec<u8>>,
    pub(crate) cut_off: BTreeSet<Name>,
    pub(crate) gates: Vec<Gate>,
}

impl Network {
    pub(crate) fn new(faults: Faults, rng: ChaCha8Rng) -> Self {
        Self {
            faults,
            rng,
            filters: BTreeMap::new(),
            retained: BTreeMap::new(),
            cut_off: BTreeSet::new(),
            gates: Vec::new(),
        }
    }

    /// A party subscribes; gives the retained messages that it gets.
    pub(crate) fn subscribe(&mut self, name: Name, filters: Vec<String>) -> Vec<Message> {
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
    pub(crate) fn forget(&mut self) {
        self.retained.clear();
    }

    /// Takes a message; gives who gets it after how many milliseconds.
    pub(crate) fn publish(
        &mut self,
        from: Name,
        message: &Message,
        retain: bool,
        now: Moment,
    ) -> Vec<(Name, u64)> {
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
                deliveries.push((*to, self.rng.random_range(1..1_000)));
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
pub(crate) fn matches(filter: &str, topic: &str) -> bool {
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
