use protocol::hpke_box::{OpeningKey, Suite};
use protocol::policy::Policy;
use protocol::release::inventory::{Held, MAX_RECORDS};
use protocol::release::query::BillAsk;
use protocol::roster::chain::Chain;
use protocol::roster::{Aggregator, BoxKey, RosterDocument, Utility, assemble};
use protocol::signature::SigningKey;
use protocol::unit::{Slot, SlotLength, SlotRange, Timestamp};
use store::MemoryStore;

use super::super::{Identity, Pace};
use super::*;

fn point(i: usize) -> Point {
    Point::first(4)[i - 1]
}

fn key(i: u8) -> SigningKey {
    SigningKey::from_bytes(&[i; 32])
}

/// Aggregator 1 of four.
fn party() -> Party {
    let box_key = OpeningKey::from_bytes(1, Suite::X25519, &[0x40; 32]).unwrap();
    let aggregator = |(point, i): (Point, u8)| Aggregator {
        id: format!("agg-{point}").parse().unwrap(),
        point,
        organisation: format!("Org {point}"),
        key: key(i).verifying_key(),
        box_keys: vec![BoxKey { key: box_key.sealing_key(), not_after: Timestamp(2_000_000_000) }],
    };
    let document = RosterDocument {
        deployment: "town".parse().unwrap(),
        epoch: 1,
        previous: None,
        valid_from: Timestamp(0),
        valid_to: Timestamp(2_000_000_000),
        threshold: 2,
        quorum: 3,
        slot: SlotLength::try_from(3_600).unwrap(),
        aggregators: Point::first(4).into_iter().zip(1..).map(aggregator).collect(),
        utility: Utility { key: key(0x20).verifying_key(), box_key: box_key.sealing_key() },
        policy: Policy::production(),
    };
    let keys = [1, 2, 3, 4].map(key);
    let accepting: Vec<(Point, &SigningKey)> = Point::first(4).into_iter().zip(&keys).collect();
    let registrar = key(0x10);
    let rosters = Chain::new(assemble(document, &registrar, &accepting).unwrap());
    let identity = Identity {
        point: point(1),
        key: key(1),
        box_keys: vec![box_key],
        registrar: registrar.verifying_key(),
    };
    Party { identity, rosters, pace: Pace::default(), name: "agg-1".parse().unwrap() }
}

fn id(number: u64) -> QueryId {
    let mut bytes = [0xee; 16];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    QueryId::from(bytes)
}

/// A query as it is in the store once it has come.
fn put_query(number: u64, party: &Party, store: &mut dyn Store) {
    let ask = Ask::Bill(BillAsk { tariffs: Vec::new(), targets: Vec::new() });
    let period = SlotRange::new(Slot(0), Slot(672)).unwrap();
    let query = Query { id: id(number), period, ask, excluded: Vec::new() };
    let query = Signed::sign(query, &key(0x20), &party.roster().context());
    store.put(QUERY, id(number).as_bytes(), query.bytes()).unwrap();
}

/// Aggregator i's inventory of so many records.
fn inventory(i: u8, number: u64, records: usize, party: &Party) -> Signed<Inventory> {
    let held = Held { slots: SlotRange::new(Slot(0), Slot(1)).unwrap(), rid: [i; 32].into() };
    let answer = InventoryAnswer::Holdings(vec![Holding::Records(vec![held; records])]);
    let inventory = Inventory { query: id(number), point: point(i.into()), answer, seen: Vec::new() };
    Signed::sign(inventory, &key(i), &party.roster().context())
}

fn vote(i: u8, number: u64, party: &Party) -> Signed<Vote> {
    let vote = Vote {
        query: id(number),
        cut: [0xcc; 32].into(),
        point: point(i.into()),
        height: 0,
        previous: [0; 32].into(),
    };
    Signed::sign(vote, &key(i), &party.roster().context())
}

/// A peer that sends long inventories and votes of queries that nobody asked opens no release, and pushes out nothing but its own;
/// what others said before a query came is there when it comes.
#[test]
fn a_flood_of_unknown_queries_opens_nothing() {
    let (party, registry, mut store) = (party(), Registry::default(), MemoryStore::default());
    let mut releases = Releases::default();
    let honest = inventory(2, 1, MAX_RECORDS, &party);
    let hash = honest.hash();
    assert!(releases.take_inventory(honest, &party, &registry, &store).unwrap().is_none());
    assert!(releases.take_vote(vote(2, 1, &party), &party, &registry, &store).unwrap().is_none());
    for number in 100..140 {
        let long = inventory(3, number, MAX_RECORDS, &party);
        releases.take_inventory(long, &party, &registry, &store).unwrap();
        assert!(releases.early.held(point(3)) <= EARLY_ROOM);
    }
    for number in 1_000..12_000 {
        let short = inventory(3, number, 0, &party);
        releases.take_inventory(short, &party, &registry, &store).unwrap();
        releases.take_vote(vote(3, number, &party), &party, &registry, &store).unwrap();
    }
    assert!(releases.early.held(point(3)) <= EARLY_ROOM && releases.early.held(point(2)) > MAX_RECORDS * 40);
    assert_eq!((releases.open.len(), releases.early_votes[&point(3)].len()), (0, MAX_EARLY_VOTES));
    put_query(1, &party, &mut store);
    assert!(releases.recall(id(1), &party, &registry, &store).unwrap().is_some());
    releases.take_early(id(1));
    assert!(releases.inventories.contains(id(1), point(2), &hash));
    assert_eq!(releases.open[&id(1)].votes.keys().collect::<Vec<_>>(), [&point(2)]);
    assert_eq!(releases.early.held(point(2)), 0);
}

/// A peer that sends long inventories of queries that are here has bounded room too, whatever it sends for one of them, and a cut
/// still gets the inventories of the others.
#[test]
fn a_flood_of_known_queries_pushes_out_its_own_only() {
    let (party, registry, mut store) = (party(), Registry::default(), MemoryStore::default());
    let mut releases = Releases::default();
    (0..100).for_each(|number| put_query(number, &party, &mut store));
    let honest = [2, 4].map(|i| inventory(i, 0, 100, &party));
    for inventory in &honest {
        releases.take_inventory(inventory.clone(), &party, &registry, &store).unwrap();
    }
    for number in 0..100 {
        for records in [MAX_RECORDS, MAX_RECORDS - 1, MAX_RECORDS - 2] {
            let long = inventory(3, number, records, &party);
            releases.take_inventory(long, &party, &registry, &store).unwrap();
            assert!(releases.inventories.held(point(3)) <= INVENTORY_ROOM);
            assert!(releases.inventories.count(id(number), point(3)) <= MAX_INVENTORIES);
        }
    }
    assert_eq!(releases.inventories.count(id(0), point(3)), 0);
    let cited = honest.iter().chain([&inventory(3, 0, 7, &party)]).map(|i| (i.point, i.hash())).collect();
    let cut = Cut { query: id(0), cited, selection: [1; 32].into() };
    let cut = Signed::sign(cut, &key(0x20), &party.roster().context());
    releases.open.get_mut(&id(0)).unwrap().pending = Some(cut.clone());
    for other in [8, 9, 10] {
        let waits = releases.take_inventory(inventory(3, 0, other, &party), &party, &registry, &store);
        assert!(waits.unwrap().is_none());
    }
    let complete = releases.take_inventory(inventory(3, 0, 7, &party), &party, &registry, &store).unwrap();
    assert_eq!(complete.map(|complete| complete.hash()), Some(cut.hash()), "what the cut cites is wanted");
    assert_eq!(releases.inventories.take(id(0)).len(), 5);
    assert_eq!((releases.inventories.held(point(2)), releases.inventories.held(point(4))), (0, 0));
}

/// Releases beyond the most that are open make room, those first that nothing waits for.
#[test]
fn what_awaits_a_vote_stays_open() {
    let (party, registry, mut store) = (party(), Registry::default(), MemoryStore::default());
    let mut releases = Releases::default();
    for number in 0..2 * MAX_RELEASES as u64 {
        put_query(number, &party, &mut store);
        let release = releases.recall(id(number), &party, &registry, &store).unwrap().unwrap();
        if number == 0 {
            let cut = Cut { query: id(0), cited: Vec::new(), selection: [1; 32].into() };
            release.pending = Some(Signed::sign(cut, &key(0x20), &party.roster().context()));
        }
        release.answered = number == 1;
    }
    assert_eq!(releases.open.len(), MAX_RELEASES);
    assert!(releases.open.contains_key(&id(0)) && !releases.open.contains_key(&id(1)));
}
