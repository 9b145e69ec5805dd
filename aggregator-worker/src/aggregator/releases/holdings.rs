//! What an inventory says of each target, and what a cut releases of each service point.

use protocol::id::ServicePoint;
use protocol::release::inventory::{Held, Holding, InventoryAnswer, MAX_RECORDS};
use protocol::release::query::{Ask, GridAsk, GroupAsk, Query};
use protocol::release::selection::Selection;
use protocol::rule::Rule;
use protocol::unit::SlotRange;
use store::{Store, StoreError};

use crate::aggregator::taken::{billed_until, is_taken};
use crate::aggregator::vectors::Vectors;
use crate::aggregator::{Registry, intake};

/// What is held for each target, or why it is refused.
pub(super) fn holdings(
    query: &Query,
    registry: &Registry,
    vectors: &Vectors,
    store: &dyn Store,
) -> Result<InventoryAnswer, StoreError> {
    let mut holdings = Vec::new();
    let mut records = 0;
    for (index, meter) in query.meters().into_iter().enumerate() {
        let span = query.span(index);
        let Some(certificate) = registry.certificates.get(&meter) else {
            holdings.push(Holding::Refused(Rule::UnknownMeter));
            continue;
        };
        let refused = match &query.ask {
            Ask::Group(GroupAsk { group, .. }) | Ask::Grid(GridAsk { group, .. })
                if certificate.group != *group =>
            {
                Some(Rule::ForeignGroup)
            }
            _ if is_taken(query.path(), &certificate.service_point, span, store)? => {
                Some(Rule::AlreadyReleased)
            }
            Ask::Bill(ask) => {
                // A bill that opens later than our last one ended may follow a release that we have yet to learn of:
                // we say what we hold, and vote only when we have caught up.
                let opening = ask.targets.get(index).and_then(|target| target.opening);
                (opening < billed_until(meter, store)?).then_some(Rule::Continuity)
            }
            Ask::Group(_) | Ask::Grid(_) => None,
        };
        holdings.push(match (refused, &query.ask) {
            (Some(rule), _) => Holding::Refused(rule),
            (None, Ask::Grid(_)) => {
                Holding::Vector(intake::held(meter, span, store)?, vectors.held(meter, span, store)?)
            }
            (None, _) => Holding::Records(intake::held(meter, span, store)?),
        });
        records += holdings.last().and_then(Holding::records).map_or(0, <[Held]>::len);
    }
    Ok(if records > MAX_RECORDS {
        InventoryAnswer::Refused(Rule::Targets)
    } else {
        InventoryAnswer::Holdings(holdings)
    })
}

/// What a selection takes from each service point, if nothing of it was taken before and no two targets share one.
pub(super) fn takes(
    query: &Query,
    selection: &Selection,
    registry: &Registry,
    store: &dyn Store,
) -> Result<Result<Vec<(ServicePoint, SlotRange)>, Rule>, StoreError> {
    let mut takes: Vec<(ServicePoint, SlotRange)> = Vec::new();
    for (meter, range) in selection.takes() {
        let Some(certificate) = registry.certificates.get(&meter) else { return Ok(Err(Rule::UnknownMeter)) };
        if let Ask::Group(GroupAsk { group, .. }) | Ask::Grid(GridAsk { group, .. }) = &query.ask
            && certificate.group != *group
        {
            return Ok(Err(Rule::ForeignGroup));
        }
        let service_point = certificate.service_point.clone();
        let twice = takes.iter().any(|(other, taken)| *other == service_point && taken.overlaps(range));
        if twice || is_taken(query.path(), &service_point, range, store)? {
            return Ok(Err(Rule::AlreadyReleased));
        }
        takes.push((service_point, range));
    }
    for billed in selection.billed() {
        if billed_until(billed.meter, store)? != billed.anchor.map(|anchor| anchor.slots.end()) {
            return Ok(Err(Rule::Continuity));
        }
    }
    Ok(Ok(takes))
}
