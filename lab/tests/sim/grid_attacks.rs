//! Attacks on the grid path: a lying aggregator, a utility that wants an interval twice or of others.

use protocol::id::QueryId;
use protocol::release::inventory::{Holding, InventoryAnswer};
use protocol::release::query::{Ask, BillAsk, BillTarget, GridAsk, Query};
use protocol::rule::Rule;
use protocol::topic::Channel;
use protocol::unit::SlotRange;
use utility_sink::sink::ledger::intervals_of;

use crate::homes::{FIRST, day, interval, range};
use crate::seeds;
use crate::villain::lies_in_pieces;
use crate::world::{Goal, Setup, World};
use lab::world::network::{Faults, Name};

fn setup() -> Setup {
    Setup { grid: true, days: 1, ..Setup::new(4, 2) }
}

/// An aggregator whose partial decryptions are off changes no sum, and is named in every outcome.
#[test]
fn a_liar_on_the_grid_path_is_named() {
    seeds("a_liar_on_the_grid_path_is_named", 4, |seed| {
        let mut world = World::new(seed, setup(), Faults::drawn);
        let liar = usize::try_from(seed % 4).unwrap();
        world.villainies.push(lies_in_pieces(liar));
        world.run_to_the_end(72);
        // Whoever answers late is looked at late.
        world.run_until(world.now.plus(24 * 3_600_000));
        world.check_intervals();
        let point = world.deployment.aggregators[liar].point;
        for (goal, id) in &world.asked {
            let faulty = &world.witness.outcomes[id].last().unwrap().faulty;
            let wanted = if matches!(goal, Goal::Interval(..)) { vec![point] } else { Vec::new() };
            assert_eq!(*faulty, wanted, "{goal:?}");
        }
    });
}

/// A query for an interval, as the utility likes it.
fn query(world: &World, slots: SlotRange, window: SlotRange, members: usize, id: u8) -> Vec<u8> {
    let members = world.meter_ids().into_iter().take(members).collect();
    let ask = Ask::Grid(GridAsk { group: world.deployment.meters[0].group.clone(), members, window });
    let query = Query { id: QueryId::from([id; 16]), period: slots, ask, excluded: Vec::new() };
    world.as_utility(query).into_bytes()
}

/// An interval is released once; all of a window have one member set, one window, and k members.
#[test]
fn an_interval_is_released_once_and_to_one_member_set() {
    let mut world = World::new(1, setup(), |_, _| Faults::none());
    world.goals.remove(&Goal::Interval(0, 3));
    world.run_to_the_end(24);
    world.check_intervals();
    let group = world.deployment.meters[0].group.clone();
    let sink = &world.parties[&Name::Sink].store;
    assert_eq!(intervals_of(&group, sink).unwrap().len(), 3);
    let (open, window) = (interval(0, 3), day(0));
    for aggregator in 0..4 {
        let mut tell = |slots, window, members, id| {
            let bytes = query(&world, slots, window, members, id);
            world.tell(aggregator, &Channel::Query, &bytes)
        };
        // Less a member: the difference would be one home's interval.
        assert_eq!(tell(open, window, 2, 0x21), Some(Rule::MemberSet));
        assert_eq!(tell(open, window, 1, 0x22), Some(Rule::GroupSize));
        let shifted = range(FIRST.0 + 6, FIRST.0 + 30);
        assert_eq!(tell(open, shifted, 3, 0x23), Some(Rule::Differencing));
        assert_eq!(tell(range(FIRST.0 + 17, FIRST.0 + 23), window, 3, 0x24), Some(Rule::Interval));
        // The same interval again is asked for in good order, and every target is refused.
        assert_eq!(tell(interval(0, 0), window, 3, 0x25), None);
        let inventory = world.inventory_of(QueryId::from([0x25; 16]), aggregator);
        let InventoryAnswer::Holdings(holdings) = &inventory.answer else { panic!("it answers") };
        assert!(holdings.iter().all(|holding| *holding == Holding::Refused(Rule::AlreadyReleased)));
    }
}

/// Who is in curves gets no register difference but of their windows as they are: a batch more or less, or between two windows, would be
/// the energy of that batch.
#[test]
fn register_differences_are_of_whole_windows() {
    let mut world = World::new(3, Setup { days: 4, ..Setup::new(4, 2) }, |_, _| Faults::none());
    world.goals.retain(|goal| matches!(goal, Goal::Curve(0 | 1 | 3)));
    world.run_to_the_end(120);
    let meter = world.meter_ids()[0];
    let (from, to) = (day(0).start().0, day(3).end().0);
    let batch = world.setup.batch_slots;
    for (id, slots, allowed) in [
        (0x31, day(0), true),
        (0x32, range(from, day(1).end().0), true),
        (0x33, range(from, day(0).end().0 + batch), false),
        (0x34, range(day(1).start().0 - batch, day(1).end().0), false),
        (0x35, range(from + batch, day(1).end().0), false),
        (0x36, range(from, day(1).end().0 + batch), false),
        // The third day has no curve, and lies between windows that have.
        (0x37, range(from, to), false),
        (0x38, day(2), true),
    ] {
        let target = BillTarget { meter, opening: None };
        let ask = Ask::Bill(BillAsk { tariffs: Vec::new(), targets: vec![target] });
        let query = Query { id: QueryId::from([id; 16]), period: slots, ask, excluded: Vec::new() };
        let query = world.as_utility(query);
        for aggregator in 0..4 {
            assert_eq!(world.tell(aggregator, &Channel::Query, query.bytes()), None, "{slots}");
            let inventory = world.inventory_of(query.id, aggregator);
            let InventoryAnswer::Holdings(holdings) = &inventory.answer else { panic!("it answers") };
            let refused = holdings[0] == Holding::Refused(Rule::Differencing);
            assert_eq!(refused, !allowed, "{slots}: {:?}", holdings[0]);
        }
    }
}
