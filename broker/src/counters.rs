//! What has happened so far, as numbers.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::packet_filter::{RateLimit, Refusal};

/// How many refusals are logged a second, at most; all are counted.
const LINES: u32 = 20;

/// What a broker has seen since it started.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Counters {
    /// Clients that were let in.
    pub connected: u64,
    /// Clients that were refused at CONNECT, or before.
    pub refused_connections: u64,
    /// Clients that were cut off for what they published.
    pub refused_publishes: u64,
    /// Subscriptions that were answered with failure.
    pub refused_subscriptions: u64,
    /// Clients that were cut off for anything else they sent.
    pub refused_packets: u64,
    /// Connections that had to leave since they took too long to say who they are.
    pub evicted: u64,
    /// Messages taken from clients.
    pub messages_in: u64,
    /// Messages written to clients.
    pub messages_out: u64,
    /// Messages that a subscriber was away or slow for longer than its filter's log lasts, and did not get: its outage was
    /// over the stated budget. A lower bound: of filters that overlap, and of a subscription that nothing was ever
    /// delivered on and that was not its filter's first, they are not seen.
    pub lost: u64,
    /// Sessions that ended by a panic, each a bug.
    pub panics: u64,
}

impl Counters {
    /// Each with the name that it has for Prometheus.
    pub fn named(&self) -> [(&'static str, u64); 10] {
        [
            ("wattveil_broker_connected_total", self.connected),
            ("wattveil_broker_refused_connections_total", self.refused_connections),
            ("wattveil_broker_refused_publishes_total", self.refused_publishes),
            ("wattveil_broker_refused_subscriptions_total", self.refused_subscriptions),
            ("wattveil_broker_refused_packets_total", self.refused_packets),
            ("wattveil_broker_evicted_total", self.evicted),
            ("wattveil_broker_messages_in_total", self.messages_in),
            ("wattveil_broker_messages_out_total", self.messages_out),
            ("wattveil_broker_lost_total", self.lost),
            ("wattveil_broker_panics_total", self.panics),
        ]
    }
}

/// Counts what happens.
#[derive(Debug)]
pub(crate) struct Tally {
    connected: AtomicU64,
    refused_connections: AtomicU64,
    refused_publishes: AtomicU64,
    refused_subscriptions: AtomicU64,
    refused_packets: AtomicU64,
    evicted: AtomicU64,
    messages_in: AtomicU64,
    messages_out: AtomicU64,
    lost: AtomicU64,
    panics: AtomicU64,
    lines: Mutex<RateLimit>,
}

impl Default for Tally {
    fn default() -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            connected: zero(),
            refused_connections: zero(),
            refused_publishes: zero(),
            refused_subscriptions: zero(),
            refused_packets: zero(),
            evicted: zero(),
            messages_in: zero(),
            messages_out: zero(),
            lost: zero(),
            panics: zero(),
            lines: Mutex::new(RateLimit::new(LINES, Instant::now())),
        }
    }
}

fn add(counter: &AtomicU64, more: usize) {
    if more > 0 {
        counter.fetch_add(more as u64, Ordering::Relaxed);
    }
}

impl Tally {
    pub(crate) fn connected(&self) {
        add(&self.connected, 1);
    }

    pub(crate) fn evicted(&self) {
        add(&self.evicted, 1);
    }

    pub(crate) fn handshake_failed(&self) {
        add(&self.refused_connections, 1);
    }

    pub(crate) fn panicked(&self) {
        add(&self.panics, 1);
    }

    pub(crate) fn messages(&self, taken: usize, written: usize) {
        add(&self.messages_in, taken);
        add(&self.messages_out, written);
    }

    pub(crate) fn lost(&self, messages: u64) {
        self.lost.fetch_add(messages, Ordering::Relaxed);
    }

    pub(crate) fn subscription_refused(&self) {
        add(&self.refused_subscriptions, 1);
    }

    /// A client was cut off, before or after it was let in.
    pub(crate) fn refused(&self, refusal: &Refusal, let_in: bool) {
        let counter = match refusal {
            _ if !let_in => &self.refused_connections,
            Refusal::Publish(_) | Refusal::Topics | Refusal::Retained => &self.refused_publishes,
            _ => &self.refused_packets,
        };
        add(counter, 1);
    }

    /// Whether there is room for another line in the log: whoever is refused may not fill the disk with it.
    pub(crate) fn may_log(&self) -> bool {
        let mut lines = self.lines.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let now = Instant::now();
        let room = lines.charge(0, now).is_zero();
        if room {
            lines.charge(1, now);
        }
        room
    }

    pub(crate) fn read(&self) -> Counters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            connected: read(&self.connected),
            refused_connections: read(&self.refused_connections),
            refused_publishes: read(&self.refused_publishes),
            refused_subscriptions: read(&self.refused_subscriptions),
            refused_packets: read(&self.refused_packets),
            evicted: read(&self.evicted),
            messages_in: read(&self.messages_in),
            messages_out: read(&self.messages_out),
            lost: read(&self.lost),
            panics: read(&self.panics),
        }
    }
}
