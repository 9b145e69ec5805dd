//! The witness: sees every message that leaves a party and checks what must be true of all of them together.

use std::collections::{BTreeMap, BTreeSet};

use deployment::Deployment;
use protocol::grid::{DealMessage, LoadVector};
use protocol::id::{AggregatorId, Hash, MeterId, QueryId, Rid};
use protocol::part::Assembly;
use protocol::receipt::Receipt;
use protocol::release::inventory::Inventory;
use protocol::release::objection::Objection;
use protocol::release::outcome::Outcome;
use protocol::release::result::ResultShare;
use protocol::release::vote::Vote;
use protocol::roster::Roster;
use protocol::roster::chain::Chain;
use protocol::rule::Rule;
use protocol::shamir::Point;
use protocol::share::ShareMessage;
use protocol::signature::{Document, Signed, Unverified};
use protocol::topic::{Channel, Topic};
use protocol::unit::{Slot, SlotRange};
use protocol::wire;
use serde_bytes::ByteBuf;
use store::{MemoryStore, Store, Table};

use lab::world::Watch;
use lab::world::network::{Message, Name};
use lab::world::party::Party;
use protocol::release::selection::Selection;

/// The witness.
#[derive(Default)]
pub(crate) struct Witness {
    assembly: Assembly,
    /// Sealed bytes, by meter, number and aggregator.
    sealed: BTreeMap<(MeterId, u64, Point), Vec<u8>>,
    /// Load vectors, by meter and number, and the number of each key's vector of an interval.
    vectors: BTreeMap<(MeterId, u64), Vec<u8>>,
    encrypted: BTreeMap<(MeterId, Hash, Slot), u64>,
    /// Signed documents that may exist once, by kind, query and aggregator.
    pub(crate) said: BTreeMap<(&'static str, QueryId, Point), Vec<u8>>,
    /// Every vote.
    pub(crate) votes: BTreeMap<QueryId, BTreeMap<Point, Hash>>,
    /// Every aggregator's last objection.
    pub(crate) objections: BTreeMap<QueryId, BTreeMap<Point, Rule>>,
    /// The ledgers as they were published: height → vote.
    chain: BTreeMap<(Point, u64), Hash>,
    /// Every outcome.
    pub(crate) outcomes: BTreeMap<QueryId, Vec<Signed<Outcome>>>,
    /// The roster that follows the deployment's first.
    pub(crate) next: Option<Roster>,
    /// Who lost what it had stored: it may say something else now.
    pub(crate) restored: BTreeSet<Name>,
    /// What the sink asked, and what it derived.
    pub(crate) asked: BTreeSet<QueryId>,
    pub(crate) selections: BTreeMap<QueryId, Selection>,
}

impl Watch for Witness {
    /// A selection never changes.
    fn committed(&mut self, party: &Party) {
        let Some(sink) = party.sink() else { return };
        for id in &self.asked {
            if let Some(selection) = sink.release(*id).and_then(|release| release.selection()) {
                let first = self.selections.entry(*id).or_insert_with(|| selection.clone());
                assert_eq!(first, selection, "the selection of {id} changed");
            }
        }
    }

    fn message(&mut self, from: Name, message: &Message, store: &MemoryStore, deployment: &Deployment) {
        let topic: Topic = message.topic.parse().expect("roles publish on topics of wv/1");
        match &topic.channel {
            Channel::Share(..) => return self.share(message),
            Channel::Grid(to, _) => return self.vector(to, message),
            Channel::Deal(..) => return self.chunk(message),
            Channel::Receipt(meter, _) => return self.receipt(*meter, message, store, deployment),
            Channel::Certificate(_) | Channel::Revoked(_) | Channel::Status(..) => return,
            _ => {}
        }
        if self.restored.contains(&from) {
            return;
        }
        let whole = self.assembly.take(&message.topic, &message.payload).expect("roles publish whole parts");
        let Some(document) = whole else { return };
        match (from, &topic.channel) {
            (Name::Aggregator(_), Channel::Inventory(_)) => {
                self.once::<Inventory>(&document, |inventory| (inventory.query, inventory.point));
            }
            (Name::Aggregator(_), Channel::Vote(_)) => {
                let vote = self.once::<Vote>(&document, |vote| (vote.query, vote.point));
                let first = self.chain.entry((vote.point, vote.height)).or_insert(vote.cut);
                assert_eq!(*first, vote.cut, "aggregator {} voted twice at one height", vote.point);
                self.votes.entry(vote.query).or_default().insert(vote.point, vote.cut);
                let durable = rows(Table("own-vote"), &committed(store));
                assert!(durable.contains(&document), "a vote left before it was durable");
            }
            // An objection may be made again by another rule, and binds nobody.
            (Name::Aggregator(_), Channel::Objection(_)) => {
                let objection = Unverified::<Objection>::parse(&document).expect("it is one");
                let (query, point) = (objection.claim().query, objection.claim().point);
                self.objections.entry(query).or_default().insert(point, objection.claim().rule);
            }
            (Name::Aggregator(_), Channel::Result(_)) => {
                let result = self.once::<ResultShare>(&document, |result| (result.query, result.point));
                // Its own vote counts once it is durable, published or not.
                let votes = self.votes.entry(result.query).or_default();
                votes.insert(result.point, result.cut);
                let same = votes.values().filter(|cut| **cut == result.cut).count();
                assert!(same >= deployment.roster.q(), "an answer to a cut with {same} votes");
            }
            (Name::Sink, Channel::Outcome) => {
                let rosters = self.rosters(deployment);
                let outcome = rosters.open_utility::<Outcome>(&document).expect("the sink signs outcomes");
                let before = self.outcomes.entry(outcome.query).or_default();
                assert!(before.iter().all(|other| other.cut == outcome.cut), "two cuts of one query ended");
                before.push(outcome);
            }
            _ => {}
        }
    }
}

impl Witness {
    fn rosters(&self, deployment: &Deployment) -> Chain {
        let mut chain = Chain::new(deployment.roster.clone());
        if let Some(next) = &self.next {
            chain.follow(next.clone()).expect("the next roster follows the first");
        }
        chain
    }

    /// A receipt tells only of what is on the disk.
    fn receipt(&self, meter: MeterId, message: &Message, store: &MemoryStore, deployment: &Deployment) {
        let rosters = self.rosters(deployment);
        let opened = rosters.open_peer(&message.payload, |receipt: &Receipt| receipt.point);
        receipt(meter, &opened.expect("aggregators sign receipts"), store);
    }

    /// The same number to the same aggregator is always the same bytes.
    fn share(&mut self, message: &Message) {
        let share = ShareMessage::parse(&message.payload).expect("meters publish share messages");
        let key = (share.head().meter, share.head().seq, share.point());
        let first = self.sealed.entry(key).or_insert_with(|| message.payload.clone());
        assert!(*first == message.payload, "record {} was sealed twice", share.head().seq);
    }

    fn vector(&mut self, to: &AggregatorId, message: &Message) {
        let vector = Unverified::<LoadVector>::parse(&message.payload).expect("meters publish load vectors");
        let (meter, seq) = (vector.claim().meter, vector.claim().seq);
        let first = self.vectors.entry((meter, seq)).or_insert_with(|| message.payload.clone());
        assert!(*first == message.payload, "load vector {seq} to {to} was encrypted twice");
        let interval = (meter, vector.claim().deal, vector.claim().slots.start());
        assert_eq!(*self.encrypted.entry(interval).or_insert(seq), seq, "a key encrypted an interval twice");
    }

    fn chunk(&mut self, message: &Message) {
        let chunk = DealMessage::parse(&message.payload).expect("meters publish chunks of deals");
        let key = (chunk.claim().meter, chunk.seq(), chunk.point());
        let first = self.sealed.entry(key).or_insert_with(|| message.payload.clone());
        assert!(*first == message.payload, "chunk {} was sealed twice", chunk.seq());
    }

    /// A document of its kind is said once a query and aggregator, and then repeated byte for byte.
    fn once<T: Document>(&mut self, document: &[u8], key: impl Fn(&T) -> (QueryId, Point)) -> T {
        let unverified = Unverified::<T>::parse(document).expect("aggregators sign what they say");
        let (query, point) = key(unverified.claim());
        let first = self.said.entry((T::KIND, query, point)).or_insert_with(|| document.to_vec());
        assert!(*first == document, "aggregator {point} said another {} for query {query}", T::KIND);
        wire::decode(&wire::encode(unverified.claim())).expect("a document is what it was")
    }
}

fn receipt(meter: MeterId, receipt: &Receipt, store: &MemoryStore) {
    let point = receipt.point;
    let durable = records(meter, &committed(store));
    let vectors = vectors(meter, &committed(store));
    for &(from, to) in receipt.stored.as_slice() {
        for seq in from..=to {
            assert!(
                durable.contains_key(&seq) || vectors.contains(&seq),
                "aggregator {point} gave a receipt for {seq} without having it"
            );
        }
    }
    for check in &receipt.checks {
        assert_eq!(durable.get(&check.seq), Some(&check.rid), "a check value of a record that is not there");
    }
}

/// What would be left after a crash.
pub(crate) fn committed(store: &MemoryStore) -> MemoryStore {
    let mut left = store.clone();
    left.crash();
    left
}

/// The values of a table.
pub(crate) fn rows(table: Table, store: &MemoryStore) -> Vec<Vec<u8>> {
    let all = store.range(table, &[][..]..&[0xff; 80][..], usize::MAX).expect("the store runs");
    all.into_iter().map(|(_, value)| value).collect()
}

/// What an aggregator holds of a meter: number → record.
pub(crate) fn records(meter: MeterId, store: &MemoryStore) -> BTreeMap<u64, Rid> {
    type Stored = (u64, SlotRange, Rid, ByteBuf, ByteBuf, ByteBuf);
    let (from, to) = ([&meter.as_bytes()[..], &[0]].concat(), [&meter.as_bytes()[..], &[0xff; 6]].concat());
    let rows = store.range(Table("record"), &from[..]..&to[..], usize::MAX).expect("the store runs");
    rows.into_iter()
        .map(|(_, value)| wire::decode::<Stored>(&value).expect("a record as the aggregator keeps it"))
        .map(|(seq, _, rid, ..)| (seq, rid))
        .collect()
}

/// The numbers of the load vectors and chunks that an aggregator holds of a meter.
fn vectors(meter: MeterId, store: &MemoryStore) -> BTreeSet<u64> {
    let (from, to) = (meter.as_bytes().to_vec(), [&meter.as_bytes()[..], &[0xff; 40]].concat());
    let of = |table| store.range(table, &from[..]..&to[..], usize::MAX).expect("the store runs");
    let names = of(Table("vector-name")).into_iter().map(|(_, value)| {
        let (seq, ..): (u64, Hash, Hash) = wire::decode(&value).expect("a name as the aggregator keeps it");
        seq
    });
    let deals = of(Table("deal")).into_iter().flat_map(|(_, value)| {
        let (seq, _, held): (u64, u16, Vec<u16>) =
            wire::decode(&value).expect("a deal as the aggregator keeps it");
        held.into_iter().map(move |index| seq + u64::from(index))
    });
    names.chain(deals).collect()
}
