//! Inventories of peers, in memory until their query is voted for.
//!
//! Each peer has room of its own; its oldest inventory goes first. What is lost so comes again: the sink repeats a query until
//! there is a cut, and every aggregator answers with its inventory each time; from then on it repeats the inventories that
//! the cut cites, until all have voted. So a flood delays at most those who send it.

use std::collections::{BTreeMap, VecDeque};

use protocol::id::{Hash, QueryId};
use protocol::release::inventory::{Held, Holding, Inventory, InventoryAnswer};
use protocol::shamir::Point;
use protocol::signature::Signed;

/// What is held of peers' inventories, with so many bytes of memory for each peer.
#[derive(Debug)]
pub(super) struct Inbox {
    room: usize,
    inventories: BTreeMap<(QueryId, Point, Hash), Signed<Inventory>>,
    peers: BTreeMap<Point, Peer>,
}

/// What is held of one peer, oldest first.
#[derive(Debug, Default)]
struct Peer {
    order: VecDeque<(QueryId, Hash)>,
    bytes: usize,
}

impl Inbox {
    /// Room for so many bytes of each peer's.
    pub(super) fn new(room: usize) -> Self {
        Self { room, inventories: BTreeMap::new(), peers: BTreeMap::new() }
    }

    /// Keeps an inventory; its maker's oldest ones go, as many as it takes.
    pub(super) fn keep(&mut self, inventory: Signed<Inventory>) {
        let (query, point, hash) = (inventory.query, inventory.point, inventory.hash());
        let size = size(&inventory);
        if size > self.room || self.contains(query, point, &hash) {
            return;
        }
        let peer = self.peers.entry(point).or_default();
        while peer.bytes + size > self.room
            && let Some((query, hash)) = peer.order.pop_front()
        {
            let oldest = self.inventories.remove(&(query, point, hash));
            peer.bytes -= oldest.as_ref().map_or(0, self::size);
        }
        peer.bytes += size;
        peer.order.push_back((query, hash));
        self.inventories.insert((query, point, hash), inventory);
    }

    pub(super) fn contains(&self, query: QueryId, point: Point, hash: &Hash) -> bool {
        self.inventories.contains_key(&(query, point, *hash))
    }

    pub(super) fn get(&self, query: QueryId, point: Point, hash: &Hash) -> Option<&Signed<Inventory>> {
        self.inventories.get(&(query, point, *hash))
    }

    /// How many a peer has sent for a query, of those that are held.
    pub(super) fn count(&self, query: QueryId, point: Point) -> usize {
        let (first, last) = (Hash::from([0; 32]), Hash::from([0xff; 32]));
        self.inventories.range((query, point, first)..=(query, point, last)).count()
    }

    /// Gives up what is held for a query.
    pub(super) fn take(&mut self, query: QueryId) -> Vec<Signed<Inventory>> {
        let points: Vec<Point> = self.peers.keys().copied().collect();
        let mut taken = Vec::new();
        for point in points {
            let Some(peer) = self.peers.get_mut(&point) else { continue };
            let hashes: Vec<Hash> =
                peer.order.iter().filter(|(of, _)| *of == query).map(|(_, hash)| *hash).collect();
            peer.order.retain(|(of, _)| *of != query);
            for hash in hashes {
                if let Some(inventory) = self.inventories.remove(&(query, point, hash)) {
                    peer.bytes -= size(&inventory);
                    taken.push(inventory);
                }
            }
        }
        taken
    }

    /// The bytes that are held of a peer.
    #[cfg(test)]
    pub(super) fn held(&self, point: Point) -> usize {
        let of_peer = self.inventories.iter().filter(|((_, of, _), _)| *of == point);
        let bytes = of_peer.map(|(_, inventory)| size(inventory)).sum();
        assert_eq!(self.peers.get(&point).map_or(0, |peer| peer.bytes), bytes);
        bytes
    }
}

/// What an inventory takes up in memory: some of what decodes from few bytes is many times as long.
fn size(inventory: &Signed<Inventory>) -> usize {
    let answer = match &inventory.answer {
        InventoryAnswer::Holdings(holdings) => {
            let records: usize = holdings.iter().filter_map(Holding::records).map(<[Held]>::len).sum();
            holdings.len() * size_of::<Holding>() + records * size_of::<Held>()
        }
        InventoryAnswer::Refused(_) => 0,
    };
    let seen: usize = inventory.seen.iter().map(|vote| size_of_val(vote) + vote.len()).sum();
    // twice itself for the maps that name it
    2 * size_of::<Signed<Inventory>>() + inventory.bytes().len() + answer + seen
}
