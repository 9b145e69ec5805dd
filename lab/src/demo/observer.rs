//! The observer: what the broker carries, seen as anybody sees it who may read everything.

use std::collections::{BTreeMap, BTreeSet};

use protocol::part::Assembly;
use protocol::status::Status;
use protocol::topic::{Channel, Topic};
use runtime::link::{Settings, Subscriber};
use tokio::sync::watch;

/// Share messages that are kept as samples.
const SAMPLES: usize = 64;

/// What was seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// Messages and bytes by what they are.
    pub(super) carried: BTreeMap<&'static str, (u64, u64)>,
    /// Some share messages: topic and payload.
    pub(super) shares: Vec<(String, Vec<u8>)>,
    /// Inventories, whole.
    pub(super) inventories: Vec<Vec<u8>>,
    /// Roles that are up.
    pub(super) up: BTreeSet<String>,
}

impl Seen {
    fn take(&mut self, topic: &Topic, payload: &[u8], assembly: &mut Assembly) {
        let kind = kind(&topic.channel);
        let carried = self.carried.entry(kind).or_default();
        carried.0 += 1;
        carried.1 += (payload.len() + topic.to_string().len()) as u64;
        match &topic.channel {
            Channel::Share(..) if self.shares.len() < SAMPLES => {
                self.shares.push((topic.to_string(), payload.to_vec()));
            }
            Channel::Inventory(_) => {
                if let Ok(Some(document)) = assembly.take(&topic.to_string(), payload) {
                    self.inventories.push(document);
                }
            }
            Channel::Status(_, id) => {
                let up = Status::decode(payload).is_ok_and(|status| status.state == "up");
                if up {
                    self.up.insert(id.clone())
                } else {
                    self.up.remove(id)
                };
            }
            _ => {}
        }
    }
}

fn kind(channel: &Channel) -> &'static str {
    match channel {
        Channel::Roster | Channel::Tariff(_) => "roster and tariffs",
        Channel::Certificate(_) => "certificates",
        Channel::Share(..) => "sealed shares",
        Channel::Grid(..) => "load vectors",
        Channel::Deal(..) => "key deals",
        Channel::Receipt(..) => "receipts",
        Channel::Query | Channel::Cut | Channel::Votes | Channel::Outcome => "queries, cuts, outcomes",
        Channel::Inventory(_) | Channel::Vote(_) => "inventories and votes",
        Channel::Result(_) => "sealed results",
        Channel::Objection(_) => "objections",
        Channel::Status(..) => "status",
        Channel::Revoked(_) => "revocation",
        Channel::Levelled(_) => "levelled",
    }
}

/// Watches a deployment until the receiver is dropped.
pub(super) fn watch(settings: Settings, filter: String) -> watch::Receiver<Seen> {
    let (sender, receiver) = watch::channel(Seen::default());
    let mut subscriber = Subscriber::connect(settings, vec![filter]);
    tokio::spawn(async move {
        let mut assembly = Assembly::default();
        while let Some(delivery) = subscriber.recv().await {
            if sender.is_closed() {
                break;
            }
            if let Ok(topic) = delivery.topic.parse::<Topic>() {
                sender.send_modify(|seen| seen.take(&topic, &delivery.payload, &mut assembly));
            }
            subscriber.ack(delivery);
        }
        subscriber.close().await;
    });
    receiver
}
