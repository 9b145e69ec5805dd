//! Intervals of the grid path: what may be asked, and that all members are in or none.

use protocol::grid::{DealMessage, seal_deal};
use protocol::id::{Hash, MeterId, QueryId, Rid};
use protocol::release::inventory::{Held, HeldVector, Holding, Inventory, InventoryAnswer};
use protocol::release::query::{Ask, GridAsk, Query};
use protocol::release::selection::{IntervalEntry, Selection};
use protocol::roster::chain::Chain;
use protocol::rule::Rule;
use zeroize::Zeroizing;

use super::{MIDNIGHT, days};
use crate::deployment::{Deployment, NOW, meter, meter_key, point, slots, stream};

/// A query for the second six hours of a window of two days.
fn query(members: usize) -> Query {
    let members = (1..=members).map(meter).collect();
    let window = slots(MIDNIGHT, MIDNIGHT + 48);
    let ask = Ask::Grid(GridAsk { group: "north".parse().unwrap(), members, window });
    Query {
        id: QueryId::from([1; 16]),
        period: slots(MIDNIGHT + 6, MIDNIGHT + 12),
        ask,
        excluded: Vec::new(),
    }
}

/// What aggregator i says it holds of each member: its record from `from` to `to`, and a load vector of this number.
fn inventory(i: usize, held: &[(u32, u32, Option<u8>)]) -> Inventory {
    let holding = |&(from, to, vector): &(u32, u32, Option<u8>)| {
        let slots = slots(MIDNIGHT + from, MIDNIGHT + to);
        let rid = Rid::from([u8::try_from(from).unwrap(); 32]);
        let vector = vector.map(|v| HeldVector { vector: Hash::from([v; 32]), deal: Hash::from([9; 32]) });
        Holding::Vector(vec![Held { slots, rid }], vector)
    };
    let answer = InventoryAnswer::Holdings(held.iter().map(holding).collect());
    Inventory { query: QueryId::from([1; 16]), point: point(i), answer, seen: Vec::new() }
}

/// An interval is one of the roster's, within a window that is long enough, of k members at least.
#[test]
fn intervals_are_the_rosters() {
    let roster = Chain::new(days().roster);
    assert_eq!(query(2).check(&roster, &[]), Ok(()));
    assert_eq!(query(1).check(&roster, &[]), Err(Rule::GroupSize));
    let changed = |change: &dyn Fn(&mut Query, &mut GridAsk)| {
        let mut changed = query(2);
        let Ask::Grid(mut ask) = changed.ask.clone() else { panic!("an interval is asked for") };
        change(&mut changed, &mut ask);
        Query { ask: Ask::Grid(ask), ..changed }.check(&roster, &[])
    };
    let at = |from, to| slots(MIDNIGHT + from, MIDNIGHT + to);
    assert_eq!(changed(&|query, _| query.period = at(6, 18)), Err(Rule::Interval));
    assert_eq!(changed(&|query, _| query.period = at(5, 11)), Err(Rule::Interval));
    assert_eq!(changed(&|query, _| query.period = at(48, 54)), Err(Rule::Interval));
    assert_eq!(changed(&|_, ask| ask.window = at(7, 55)), Err(Rule::Interval));
    assert_eq!(changed(&|_, ask| ask.window = at(5, 53)), Ok(()));
    assert_eq!(changed(&|_, ask| ask.window = at(0, 24)), Err(Rule::Window));
    let without = Chain::new(Deployment::with(4, 2, |document| document.policy.grid_interval = 0).roster);
    assert_eq!(query(15).check(&without, &[]), Err(Rule::Interval));
}

/// A roster whose interval is no part of a day in whole slots, or that has too many active sets, is refused.
#[test]
fn rosters_have_possible_intervals() {
    use protocol::roster::{RosterError, assemble};
    let refused = |n: usize, t: usize, seconds: u32| {
        let mut document = crate::deployment::document(n, t);
        document.policy.grid_interval = seconds;
        let signers: Vec<_> = (1..=n).map(crate::deployment::signer).collect();
        let accepting: Vec<_> = (1..=n).map(point).zip(&signers).collect();
        matches!(
            assemble(document, &crate::deployment::registrar(), &accepting),
            Err(RosterError::Interval { .. })
        )
    };
    for (seconds, wanted) in
        [(86_400, false), (3_600, false), (900, true), (5 * 3_600, true), (172_800, true)]
    {
        assert_eq!(refused(4, 2, seconds), wanted, "{seconds} s");
    }
    assert!(!refused(7, 3, 86_400) && refused(10, 4, 86_400) && !refused(10, 4, 0));
}

/// Whoever lacks a record or the load vector, or has two, keeps all from being released, and is named.
#[test]
fn all_members_or_none() {
    let (roster, query) = (days().roster, query(2));
    let derive = |inventories: &[Inventory]| {
        let all: Vec<&Inventory> = inventories.iter().collect();
        (Selection::derive(&query, &all, &[], &roster), Selection::lacking(&query, &all, &roster))
    };
    let whole = [(6, 12, Some(1)), (4, 16, Some(2))];
    let three = |of: &dyn Fn(usize) -> Vec<(u32, u32, Option<u8>)>| {
        (1..=3).map(|i| inventory(i, &of(i))).collect::<Vec<_>>()
    };
    let (selection, lacking) = derive(&three(&|_| whole.to_vec()));
    let interval = selection.interval().expect("all is held");
    assert_eq!(interval.members.iter().map(|member| member.meter).collect::<Vec<_>>(), [meter(1), meter(2)]);
    assert_eq!(selection.lengths(0), [6]);
    assert_eq!(selection.records().count(), 2);
    assert_eq!(selection.takes(), [(meter(1), query.period), (meter(2), query.period)]);
    assert_eq!(lacking, Vec::<MeterId>::new());
    for (what, second) in [
        ("no vector at one", [(4, 16, Some(2)), (4, 16, None), (4, 16, Some(2))]),
        ("another vector at one", [(4, 16, Some(2)), (4, 16, Some(3)), (4, 16, Some(2))]),
        ("another record at one", [(4, 16, Some(2)), (5, 16, Some(2)), (4, 16, Some(2))]),
        ("a slot too few", [(7, 16, Some(2)), (7, 16, Some(2)), (7, 16, Some(2))]),
    ] {
        let (selection, lacking) = derive(&three(&|i| vec![whole[0], second[i - 1]]));
        assert_eq!(
            selection,
            Selection::Grid(IntervalEntry::Refused(query.period, Rule::MemberSet)),
            "{what}"
        );
        assert_eq!(lacking, [meter(2)], "{what}");
        assert!(selection.takes().is_empty());
    }
}

/// A chunk is believed and opened by its aggregator only, and by its place.
#[test]
fn chunks_are_bound_to_their_place() {
    let deployment = Deployment::new(3, 2);
    let roster = &deployment.roster;
    let long: Vec<u8> = (0..25_000_u32).map(|i| u8::try_from(i % 251).unwrap()).collect();
    let plaintexts = [vec![1], long.clone(), vec![3]].map(Zeroizing::new);
    let sealed = seal_deal(&plaintexts, (meter(1), 40), &meter_key(1), roster, NOW, &mut stream(1)).unwrap();
    let shape: Vec<Vec<usize>> = sealed
        .messages
        .iter()
        .map(|of| of.iter().map(|(point, _)| usize::from(u8::from(*point))).collect())
        .collect();
    assert_eq!(shape, [vec![1, 2, 3], vec![2], vec![2]]);
    assert!(sealed.messages.iter().flatten().all(|(_, bytes)| bytes.len() <= 16 * 1024));
    let mut whole = Vec::new();
    for (index, of) in sealed.messages.iter().enumerate() {
        let bytes = &of.iter().find(|(to, _)| *to == point(2)).unwrap().1;
        let message = DealMessage::parse(bytes).unwrap();
        assert_eq!((message.seq(), message.deal()), (40 + index as u64, sealed.hash));
        assert!(message.clone().verify(&meter_key(2).verifying_key(), roster).is_err());
        let chunk = message.verify(&meter_key(1).verifying_key(), roster).unwrap();
        assert!(chunk.open(&deployment.openers[..1], roster).is_err());
        whole.extend_from_slice(&chunk.open(&deployment.openers[1..2], roster).unwrap());
    }
    assert_eq!(whole, long);
}
