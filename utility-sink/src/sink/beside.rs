//! Bills beside curves, as far as the sink knows of both: no cut is made that every honest aggregator refuses by rule
//! [`Differencing`](protocol::rule::Rule::Differencing).
//!
//! Each inventory alone may show a home without a gap where a quorum's do not agree: it told aggregators different things, or some
//! records came late. Then the cut bills it with a gap although it is in curves, nobody votes, and since a cut is never given up
//! ([`refusals`](super::release::refusals)) none of its homes could be billed again. So the sink looks before it makes the cut.
//!
//! Rows: `drawn` first slot ‖ last slot ‖ group → the members of a curve or interval of this window that a cut was made for.

use protocol::id::{GroupId, MeterId};
use protocol::release::query::{Ask, Query};
use protocol::release::selection::{Billed, Scope, Selection};
use protocol::unit::{Slot, SlotRange};
use protocol::wire;
use store::{Store, StoreError, Table};

const DRAWN: Table = Table("drawn");

/// Keeps who is in a curve or interval, with its cut.
pub(super) fn keep(query: &Query, selection: &Selection, store: &mut dyn Store) -> Result<(), StoreError> {
    let (group, window) = match &query.ask {
        Ask::Bill(_) => return Ok(()),
        Ask::Group(ask) => (&ask.group, query.period),
        Ask::Grid(ask) => (&ask.group, ask.window),
    };
    let members: Vec<MeterId> = match (selection.days().next(), selection.interval()) {
        (Some(day), _) => day.members.iter().map(|(meter, _)| *meter).collect(),
        (None, Some(interval)) => interval.members.iter().map(|member| member.meter).collect(),
        (None, None) => return Ok(()),
    };
    store.put(DRAWN, &key(window, group), &wire::encode(&members))
}

/// The meters whose bills nobody would vote for beside the curves and intervals that they are in.
pub(super) fn unfit(selection: &Selection, store: &dyn Store) -> Result<Vec<MeterId>, StoreError> {
    let Some(end) = selection.billed().map(|billed| billed.window.end()).max() else { return Ok(Vec::new()) };
    let rows = store::entries_within(DRAWN, &[], &end.0.to_be_bytes(), store)?;
    let drawn: Vec<(SlotRange, Vec<MeterId>)> = rows
        .iter()
        .filter_map(|(key, members)| Some((window_of(key)?, wire::decode(members).ok()?)))
        .collect();
    let fits = |billed: &Billed| {
        let windows = drawn
            .iter()
            .filter(|(window, members)| window.overlaps(billed.window) && members.contains(&billed.meter));
        windows.map(|(window, _)| *window).all(|window| match billed.scope {
            Scope::Complete => window == billed.window,
            Scope::Substituted => false,
            Scope::Registers => billed.window.covers(window),
        })
    };
    Ok(selection.billed().filter(|billed| !fits(billed)).map(|billed| billed.meter).collect())
}

fn key(window: SlotRange, group: &GroupId) -> Vec<u8> {
    [&window.start().0.to_be_bytes()[..], &window.end().0.to_be_bytes(), group.as_ref().as_bytes()].concat()
}

fn window_of(key: &[u8]) -> Option<SlotRange> {
    let slot = |bytes: &[u8]| Some(Slot(u32::from_be_bytes(bytes.try_into().ok()?)));
    SlotRange::new(slot(key.get(..4)?)?, slot(key.get(4..8)?)?).ok()
}
