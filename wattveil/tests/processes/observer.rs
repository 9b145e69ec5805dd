//! Who watches what the broker carries, to know when to strike.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use link::{Settings, Subscriber};
use protocol::id::MeterId;
use protocol::receipt::Receipt;
use protocol::shamir::Point;
use protocol::signature::Unverified;
use protocol::topic::{Channel, Topic};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::process::wait_until;

/// What was seen so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Messages with shares, each counted once.
    pub(crate) shares: BTreeSet<u64>,
    /// How many records each aggregator says it has stored of each meter.
    pub(crate) stored: BTreeMap<(MeterId, Point), u64>,
    /// Messages of a release, by what they are.
    pub(crate) queries: usize,
    pub(crate) cuts: usize,
    pub(crate) results: usize,
    pub(crate) outcomes: usize,
    /// Messages with chunks of key deals.
    pub(crate) chunks: usize,
}

impl Seen {
    fn take(&mut self, topic: &Topic, payload: &[u8]) {
        match topic.channel {
            Channel::Share(..) => {
                let mut hasher = DefaultHasher::new();
                payload.hash(&mut hasher);
                self.shares.insert(hasher.finish());
            }
            Channel::Receipt(..) => {
                if let Ok(receipt) = Unverified::<Receipt>::parse(payload) {
                    let Receipt { point, meter, stored, .. } = receipt.claim();
                    let count: u64 = stored.as_slice().iter().map(|(from, to)| to - from + 1).sum();
                    let most = self.stored.entry((*meter, *point)).or_default();
                    *most = count.max(*most);
                }
            }
            Channel::Query => self.queries += 1,
            Channel::Cut => self.cuts += 1,
            Channel::Result(_) => self.results += 1,
            Channel::Outcome => self.outcomes += 1,
            Channel::Deal(..) => self.chunks += 1,
            _ => {}
        }
    }
}

/// An observer on a connection of its own.
pub(crate) struct Observer {
    seen: watch::Receiver<Seen>,
    _runtime: Runtime,
}

impl Observer {
    /// Watches; returns when it is subscribed.
    pub(crate) fn start(settings: Settings) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (sender, seen) = watch::channel(Seen::default());
        let mut subscriber = {
            let _inside = runtime.enter();
            Subscriber::connect(settings, vec!["wv/1/#".into()])
        };
        let subscribed = subscriber.subscribed();
        runtime.spawn(async move {
            while let Some(delivery) = subscriber.recv().await {
                if let Ok(topic) = delivery.topic.parse::<Topic>() {
                    sender.send_modify(|seen| seen.take(&topic, &delivery.payload));
                }
                subscriber.ack(delivery);
            }
        });
        wait_until("the observer's subscription", || *subscribed.borrow());
        Self { seen, _runtime: runtime }
    }

    /// Waits until what was seen is enough.
    pub(crate) fn wait(&self, what: &str, enough: impl Fn(&Seen) -> bool) {
        wait_until(what, || enough(&self.seen.borrow()));
    }
}
