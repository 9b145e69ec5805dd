//! The ledger: this aggregator's votes, hash-chained, and what it has seen of others'.
//!
//! Rows: `vote` height → the signed vote; `seen` point → the newest signed vote of a peer; `rolled-back` height
//! → a signed vote of ours that should be in the ledger and is not.

use std::collections::BTreeMap;

use protocol::id::Hash;
use protocol::release::inventory::Inventory;
use protocol::release::vote::Vote;
use protocol::rule::{Refusal, Rule};
use protocol::shamir::Point;
use protocol::signature::Signed;
use serde_bytes::ByteBuf;
use store::{Store, StoreError, Table};

use super::{AggregatorError, Party};

const VOTE: Table = Table("vote");
const SEEN: Table = Table("seen");
const ROLLED_BACK: Table = Table("rolled-back");

/// The ledger.
#[derive(Debug)]
pub(super) struct Ledger {
    height: u64,
    head: Hash,
    seen: BTreeMap<Point, Signed<Vote>>,
    /// A vote of ours was seen that is not here: this store was restored from a backup, and votes no more.
    rolled_back: bool,
}

impl Ledger {
    /// Reads the ledger and checks its chain.
    pub(super) fn load(party: &Party, store: &dyn Store) -> Result<Self, AggregatorError> {
        let mut ledger =
            Self { height: 0, head: Hash::from([0; 32]), seen: BTreeMap::new(), rolled_back: false };
        for (_, bytes) in store::entries(VOTE, store)? {
            let vote = party
                .rosters
                .open_peer(&bytes, |vote: &Vote| vote.point)
                .map_err(|_| AggregatorError::Damaged("a vote in the ledger can't be read"))?;
            if vote.height != ledger.height || vote.previous != ledger.head {
                return Err(AggregatorError::Damaged("the ledger's chain is broken"));
            }
            ledger.height += 1;
            ledger.head = vote.hash();
        }
        for (_, bytes) in store::entries(SEEN, store)? {
            if let Ok(vote) = party.rosters.open_peer(&bytes, |vote: &Vote| vote.point) {
                ledger.seen.insert(vote.point, vote);
            }
        }
        ledger.rolled_back = !store::entries(ROLLED_BACK, store)?.is_empty();
        Ok(ledger)
    }

    /// Writes a vote.
    pub(super) fn vote(
        &mut self,
        cut: &Signed<protocol::release::cut::Cut>,
        party: &Party,
        store: &mut dyn Store,
    ) -> Result<Signed<Vote>, StoreError> {
        let vote = Vote {
            query: cut.query,
            cut: cut.hash(),
            point: party.identity.point,
            height: self.height,
            previous: self.head,
        };
        // Keys and points of aggregators are the same in all rosters of a chain, so that the ledger is one chain too.
        let vote = party.sign_under(vote, cut.context());
        store.put(VOTE, &self.height.to_be_bytes(), vote.bytes())?;
        self.height += 1;
        self.head = vote.hash();
        Ok(vote)
    }

    /// Notes the newest vote of a peer, and whether one of ours is missing here.
    pub(super) fn witness(
        &mut self,
        vote: &Signed<Vote>,
        party: &Party,
        store: &mut dyn Store,
    ) -> Result<Option<Refusal>, StoreError> {
        if vote.point == party.identity.point {
            let kept = store.get(VOTE, &vote.height.to_be_bytes())?;
            if kept.as_deref() != Some(vote.bytes()) {
                self.rolled_back = true;
                store.put(ROLLED_BACK, &vote.height.to_be_bytes(), vote.bytes())?;
                let detail =
                    format!("our vote number {} is not in this ledger of {}", vote.height, self.height);
                return Ok(Some(Refusal::new(Rule::LedgerRollback, detail)));
            }
        } else if self.seen.get(&vote.point).is_none_or(|seen| seen.height < vote.height) {
            store.put(SEEN, &[u8::from(vote.point)], vote.bytes())?;
            self.seen.insert(vote.point, vote.clone());
        }
        Ok(None)
    }

    /// The newest votes of peers, for an inventory.
    pub(super) fn seen(&self) -> Vec<ByteBuf> {
        self.seen.values().map(|vote| ByteBuf::from(vote.bytes())).collect()
    }

    /// Whether this ledger may still vote, given what peers say in their inventories.
    pub(super) fn check(
        &mut self,
        inventories: &[Signed<Inventory>],
        party: &Party,
        store: &mut dyn Store,
    ) -> Result<Result<(), Refusal>, StoreError> {
        for bytes in inventories.iter().flat_map(|inventory| &inventory.seen) {
            if let Ok(vote) = party.rosters.open_peer(bytes, |vote: &Vote| vote.point)
                && vote.point == party.identity.point
                && let Some(refusal) = self.witness(&vote, party, store)?
            {
                return Ok(Err(refusal));
            }
        }
        Ok(if self.rolled_back {
            Err(Refusal::new(Rule::LedgerRollback, "a vote of ours was seen that is not in this ledger"))
        } else {
            Ok(())
        })
    }
}
