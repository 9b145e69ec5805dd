//! Bills beside curves: what must not be subtracted from one another is not released together.
//!
//! Rows: `partition` group ‖ 0 ‖ first slot → a window of the group, the cells of its tariffs as its first bill fixes them, and
//! the members of its intervals as the first of these fixes them. See the policy's module documentation for why.
//! `curves` group → empty, if it has curves or intervals; or, if it is levelled, the name of its member set. All
//! windows of an levelled group have this one set, whatever their key, and it has no curves of another kind: else all bills less all
//! curves would be what one home used in the window that it is missing from. The set is for ever: no aggregator knows which bills the
//! others have released, so none can tell when another set would be safe.

use std::collections::{BTreeMap, BTreeSet};

use protocol::id::{GroupId, Hash, MeterId, ServicePoint};
use protocol::policy::partition;
use protocol::release::inventory::Inventory;
use protocol::release::query::{Ask, Path, Query};
use protocol::release::selection::{Billed, Scope, Selection, effective_prices};
use protocol::roster::Roster;
use protocol::rule::Rule;
use protocol::signature::hash;
use protocol::tariff::Tariff;
use protocol::unit::{Price, Slot, SlotRange};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};
use store::{Store, StoreError, Table};

use super::Registry;
use super::taken::{TAKEN, is_taken, taken_key};

const PARTITION: Table = Table("partition");
const CURVES: Table = Table("curves");

/// What is fixed of a group's window.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
struct Fixed {
    window: SlotRange,
    cells: Option<Hash>,
    members: Option<Hash>,
}

/// What a curve or interval that is voted for fixes.
#[derive(Debug)]
pub(super) struct Window(Option<(GroupId, Fixed)>);

/// Checks the curve or interval that a query asks for against the group's other intervals and bills: curves and bills that
/// overlap have one window, and intervals of a window one member set.
pub(super) fn check_window(query: &Query, store: &dyn Store) -> Result<Result<Window, Rule>, StoreError> {
    let (group, window, members) = match &query.ask {
        Ask::Bill(_) => return Ok(Ok(Window(None))),
        Ask::Group(ask) => (&ask.group, query.period, None),
        Ask::Grid(ask) => (&ask.group, ask.window, Some(set_of(&ask.members))),
    };
    let others = fixed_of(group, window, store)?;
    if is_levelled(group, store)? || others.iter().any(|fixed| fixed.window != window) {
        return Ok(Err(Rule::Differencing));
    }
    let fixed = others.first();
    let set = fixed.and_then(|fixed| fixed.members);
    if members.is_some() && set.is_some() && set != members {
        return Ok(Err(Rule::MemberSet));
    }
    let cells = fixed.and_then(|fixed| fixed.cells);
    Ok(Ok(Window(Some((group.clone(), Fixed { window, cells, members: set.or(members) })))))
}

/// Checks the member set of a group's window that is to be levelled.
pub(super) fn check_levelled(
    group: &GroupId,
    set: Hash,
    store: &dyn Store,
) -> Result<Result<(), Rule>, StoreError> {
    Ok(match curves_of(group, store)? {
        None => Ok(()),
        Some(fixed) if fixed == set.as_bytes() => Ok(()),
        Some(fixed) if fixed.is_empty() => Err(Rule::Differencing),
        Some(_) => Err(Rule::MemberSet),
    })
}

/// Keeps the member set of a group that is levelled, with the vote for its first window.
pub(super) fn keep_levelled(group: &GroupId, set: Hash, store: &mut dyn Store) -> Result<(), StoreError> {
    store.put(CURVES, group.as_ref().as_bytes(), set.as_bytes())
}

/// Whether a group is levelled.
fn is_levelled(group: &GroupId, store: &dyn Store) -> Result<bool, StoreError> {
    Ok(curves_of(group, store)?.is_some_and(|set| !set.is_empty()))
}

/// What curves a group has.
fn curves_of(group: &GroupId, store: &dyn Store) -> Result<Option<Vec<u8>>, StoreError> {
    store.get(CURVES, group.as_ref().as_bytes())
}

/// The name of a member set.
pub(super) fn set_of(members: &[MeterId]) -> Hash {
    let mut sorted: Vec<&[u8]> = members.iter().map(|meter| &meter.as_bytes()[..]).collect();
    sorted.sort_unstable();
    hash("members", &sorted)
}

/// Keeps a window and its member set, with the vote for the first curve or interval of it.
pub(super) fn keep_window(window: Window, store: &mut dyn Store) -> Result<(), StoreError> {
    let Some((group, fixed)) = window.0 else { return Ok(()) };
    store.put(CURVES, group.as_ref().as_bytes(), b"")?;
    store.put(PARTITION, &key(&group, fixed.window.start()), &protocol::wire::encode(&fixed))
}

/// What a cut that is voted for adds.
#[derive(Debug, Default)]
pub(super) struct Additions {
    /// Groups whose window and cells it fixes.
    fixed: Vec<(GroupId, Fixed)>,
    /// Service points whose bills are not regular: they are in no curve of these slots.
    apart: Vec<(ServicePoint, SlotRange)>,
}

impl Additions {
    /// What it fixes for a group over slots that overlap `window`.
    fn fixed_of(&self, group: &GroupId, window: SlotRange) -> impl Iterator<Item = Fixed> {
        let of =
            self.fixed.iter().filter(move |(other, fixed)| other == group && fixed.window.overlaps(window));
        of.map(|(_, fixed)| fixed.clone())
    }
}

/// Checks the bills of a selection against the group's other bills and its curves.
pub(super) fn check(
    query: &Query,
    selection: &Selection,
    tariffs: &[Tariff],
    roster: &Roster,
    registry: &Registry,
    store: &dyn Store,
) -> Result<Result<Additions, Rule>, StoreError> {
    let (additions, telling) = examine(query.period, selection, tariffs, roster, registry, store)?;
    Ok(telling.first().map_or(Ok(additions), |(_, rule)| Err(*rule)))
}

/// The meters whose bills would tell something beside the group's other releases, as far as the query and our own
/// inventory say: we refuse these targets, so that the others' bills don't fall with them.
pub(super) fn telling(
    query: &Query,
    own: &Inventory,
    tariffs: &[Tariff],
    roster: &Roster,
    registry: &Registry,
    store: &dyn Store,
) -> Result<Vec<(MeterId, Rule)>, StoreError> {
    // What would be selected if a quorum held what we hold.
    let selection = Selection::derive(query, &vec![own; roster.q()], tariffs, roster);
    Ok(examine(query.period, &selection, tariffs, roster, registry, store)?.1)
}

fn examine(
    period: SlotRange,
    selection: &Selection,
    tariffs: &[Tariff],
    roster: &Roster,
    registry: &Registry,
    store: &dyn Store,
) -> Result<(Additions, Vec<(MeterId, Rule)>), StoreError> {
    let (mut additions, mut telling, mut irregular) = (Additions::default(), Vec::new(), Vec::new());
    let usual = usual_windows(selection, roster, registry);
    for billed in selection.billed() {
        let Some(certificate) = registry.certificates.get(&billed.meter) else {
            telling.push((billed.meter, Rule::UnknownMeter));
            continue;
        };
        if *usual.get(&certificate.group).unwrap_or(&period) == billed.window
            && is_regular(billed, &certificate.group, tariffs, roster, &mut additions, store)?
        {
            continue;
        }
        irregular.push((billed, certificate));
    }
    for (billed, certificate) in irregular {
        if is_taken(Path::Group, &certificate.service_point, billed.window, store)? {
            // Of whole windows, the register difference is no more than regular bills tell.
            let mut others = fixed_of(&certificate.group, billed.window, store)?;
            others.extend(additions.fixed_of(&certificate.group, billed.window));
            let whole = if is_levelled(&certificate.group, store)? {
                // What is levelled lies in windows of its own, so that only a regular bill says where an edge is.
                others.iter().any(|fixed| fixed.window == billed.window)
            } else {
                let windows: BTreeSet<(Slot, Slot)> =
                    others.iter().map(|fixed| (fixed.window.start(), fixed.window.end())).collect();
                make_up(&windows, billed.window)
            };
            if billed.scope != Scope::Registers || !whole {
                telling.push((billed.meter, Rule::Differencing));
            }
        } else {
            additions.apart.push((certificate.service_point.clone(), billed.window));
        }
    }
    Ok((additions, telling))
}

/// The windows that bills of a group have without a gap, other than the query's period, if most of its bills have it and they are enough
/// for a curve: records end where their meters' batches do, so that all may begin and end some slots beside the period.
fn usual_windows(
    selection: &Selection,
    roster: &Roster,
    registry: &Registry,
) -> BTreeMap<GroupId, SlotRange> {
    let mut groups: BTreeMap<&GroupId, Vec<&Billed>> = BTreeMap::new();
    for billed in selection.billed() {
        if let Some(certificate) = registry.certificates.get(&billed.meter) {
            groups.entry(&certificate.group).or_default().push(billed);
        }
    }
    let usual = groups.into_iter().filter_map(|(group, bills)| {
        let alike = |window: SlotRange| {
            bills.iter().filter(|billed| billed.scope == Scope::Complete && billed.window == window).count()
        };
        let window =
            bills.iter().map(|billed| billed.window).find(|window| 2 * alike(*window) > bills.len())?;
        roster.policy().check_group(alike(window)).ok()?;
        Some((group.clone(), window))
    });
    usual.collect()
}

/// Whether windows, next to one another, are all of `whole` and nothing else.
fn make_up(windows: &BTreeSet<(Slot, Slot)>, whole: SlotRange) -> bool {
    let mut at = whole.start();
    for (start, end) in windows {
        if *start != at {
            return false;
        }
        at = *end;
    }
    at == whole.end()
}

/// Whether a bill has no gap, and the window and cells of the group's other bills; the first one sets them.
fn is_regular(
    billed: &Billed,
    group: &GroupId,
    tariffs: &[Tariff],
    roster: &Roster,
    additions: &mut Additions,
    store: &dyn Store,
) -> Result<bool, StoreError> {
    let columns: Option<Vec<Vec<Price>>> =
        tariffs.iter().map(|tariff| effective_prices(billed, tariff, roster.slot())).collect();
    let (Scope::Complete, Some(columns)) = (billed.scope, columns) else { return Ok(false) };
    let this = Fixed { window: billed.window, cells: Some(partition(&columns)), members: None };
    let mut others = fixed_of(group, billed.window, store)?;
    others.extend(additions.fixed_of(group, this.window));
    let like =
        |other: &Fixed| other.window == this.window && (other.cells.is_none() || other.cells == this.cells);
    let regular = others.iter().all(like);
    if regular && others.iter().all(|other| other.cells.is_none()) {
        let members = others.first().and_then(|other| other.members);
        additions.fixed.push((group.clone(), Fixed { members, ..this }));
    }
    Ok(regular)
}

/// What is fixed for a group over slots that overlap `window`.
fn fixed_of(group: &GroupId, window: SlotRange, store: &dyn Store) -> Result<Vec<Fixed>, StoreError> {
    let rows = store::entries_within(PARTITION, &key(group, Slot(0)), &key(group, window.end()), store)?;
    let fixed = rows.into_iter().filter_map(|(_, bytes)| protocol::wire::decode::<Fixed>(&bytes).ok());
    Ok(fixed.filter(|fixed| fixed.window.overlaps(window)).collect())
}

/// Keeps what a cut adds, with the vote for it.
pub(super) fn keep(additions: &Additions, store: &mut dyn Store) -> Result<(), StoreError> {
    for (group, fixed) in &additions.fixed {
        store.put(PARTITION, &key(group, fixed.window.start()), &protocol::wire::encode(fixed))?;
    }
    for (service_point, window) in &additions.apart {
        let row = taken_key(Path::Group, service_point, window.start());
        store.put(TAKEN, &row, &window.end().0.to_be_bytes())?;
    }
    Ok(())
}

fn key(group: &GroupId, first: Slot) -> Vec<u8> {
    // A name holds no byte below `-`, so that 0 ends it.
    [group.as_ref().as_bytes(), &[0], &first.0.to_be_bytes()].concat()
}
