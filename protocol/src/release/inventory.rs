//! An inventory: which records an aggregator holds for a query, and what it refuses.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::id::{Hash, QueryId, Rid};
use crate::rule::Rule;
use crate::shamir::Point;
use crate::signature::Document;
use crate::unit::SlotRange;

/// The most records in one inventory: more would not fit a document.
pub const MAX_RECORDS: usize = 22_000;

/// An aggregator's answer to a query.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct Inventory {
    /// The query.
    pub query: QueryId,
    /// The aggregator.
    pub point: Point,
    /// What it holds, or why it refuses the query.
    pub answer: InventoryAnswer,
    /// The newest signed vote of each other aggregator that it has seen: whoever was restored from an old backup
    /// learns so before it votes again.
    pub seen: Vec<ByteBuf>,
}

impl Document for Inventory {
    const KIND: &'static str = "inventory";
}

/// What an aggregator holds.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum InventoryAnswer {
    /// One holding a target, in the query's order.
    Holdings(Vec<Holding>),
    /// The query is refused.
    Refused(Rule),
}

/// What an aggregator holds of one target.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Holding {
    /// The records that reach into the target's span, and the one that ends where it starts; ascending.
    Records(Vec<Held>),
    /// The same, and the target's load vector of the interval, if it is held with all of the key deal that it is under.
    Vector(Vec<Held>, Option<HeldVector>),
    /// The target is refused.
    Refused(Rule),
}

/// A load vector that is held.
#[derive(Clone, Copy, Debug, Deserialize_tuple, Eq, Ord, PartialEq, PartialOrd, Serialize_tuple)]
pub struct HeldVector {
    /// Its hash.
    pub vector: Hash,
    /// The hash of the key deal.
    pub deal: Hash,
}

impl Holding {
    /// The records, if the target is not refused.
    pub fn records(&self) -> Option<&[Held]> {
        match self {
            Self::Records(records) | Self::Vector(records, _) => Some(records),
            Self::Refused(_) => None,
        }
    }
}

/// A record that is held.
#[derive(Clone, Copy, Debug, Deserialize_tuple, Eq, Ord, PartialEq, PartialOrd, Serialize_tuple)]
pub struct Held {
    /// Its slots.
    pub slots: SlotRange,
    /// Its name.
    pub rid: Rid,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::query::MAX_TARGETS;
    use crate::shamir::MAX_PARTIES;
    use crate::signature::{Context, Signed, SigningKey};
    use crate::unit::Slot;
    use crate::wire::MAX_DOCUMENT;

    /// The largest inventory fits a document, whatever is in it.
    #[test]
    fn the_largest_inventory_fits_a_document() {
        let slots = SlotRange::new(Slot(u32::MAX - 1), Slot(u32::MAX)).unwrap();
        let record = Held { slots, rid: Rid::from([0xff; 32]) };
        let mut holdings = vec![Holding::Records(vec![record; MAX_RECORDS - MAX_TARGETS + 1])];
        holdings.extend((1..MAX_TARGETS).map(|_| Holding::Records(vec![record])));
        let inventory = Inventory {
            query: QueryId::from([0xff; 16]),
            point: Point::first(MAX_PARTIES)[MAX_PARTIES - 1],
            answer: InventoryAnswer::Holdings(holdings),
            seen: vec![ByteBuf::from(vec![0; 512]); MAX_PARTIES],
        };
        let signed =
            Signed::sign(inventory, &SigningKey::from_bytes(&[1; 32]), &Context::from(Hash::from([2; 32])));
        assert!(signed.bytes().len() <= MAX_DOCUMENT, "{} bytes", signed.bytes().len());
    }
}
