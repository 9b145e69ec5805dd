//! The proofs that meters deal badly, in the sink's store: what may be left out of releases.
//!
//! A proof holds under any roster of the chain, so that it is kept for as long as the record may be billed. Only a meter that does
//! deal badly has any, as long as no more aggregators lie than are tolerated; and at most [`MAX_PROOFS`] of it are kept.
//!
//! Rows: `bad-dealing` meter ‖ record → its sequence number, and the receipts.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use protocol::id::{MeterId, Rid};
use protocol::release::exclusion::Exclusion;
use protocol::release::query::MAX_EXCLUDED;
use protocol::wire::{self, MAX_DOCUMENT};
use serde_bytes::ByteBuf;
use store::{Store, StoreError, Table};

const BAD_DEALING: Table = Table("bad-dealing");

/// The most proofs that are kept of one meter, of its newest records: four times what a query may leave out.
const MAX_PROOFS: usize = 4 * MAX_EXCLUDED;

/// The most bytes of proofs in one query, which is to fit a document with the rest of it.
const MAX_BYTES: usize = MAX_DOCUMENT / 2;

/// A kept proof.
struct Proof {
    seq: u64,
    exclusion: Exclusion,
}

/// The meters that are proved to deal badly.
pub(super) fn meters(store: &dyn Store) -> Result<BTreeSet<MeterId>, StoreError> {
    let mut meters = BTreeSet::new();
    store::visit(BAD_DEALING, store, |key, _| {
        meters.extend(key.first_chunk::<16>().map(|meter| MeterId::from(*meter)));
        Ok::<(), StoreError>(())
    })?;
    Ok(meters)
}

/// Whether there is a proof about a record.
pub(super) fn is_kept(meter: MeterId, rid: Rid, store: &dyn Store) -> Result<bool, StoreError> {
    Ok(store.get(BAD_DEALING, &key(meter, rid))?.is_some())
}

/// Keeps a proof that was verified; the oldest of the meter gives way.
pub(super) fn keep(
    meter: MeterId,
    seq: u64,
    exclusion: &Exclusion,
    store: &mut dyn Store,
) -> Result<(), StoreError> {
    store.put(BAD_DEALING, &key(meter, exclusion.rid), &wire::encode(&(seq, &exclusion.receipts)))?;
    for oldest in of_meter(meter, store)?.into_iter().skip(MAX_PROOFS) {
        store.remove(BAD_DEALING, &key(meter, oldest.exclusion.rid))?;
    }
    Ok(())
}

/// What a query about some meters is to leave out: first of each its newest record, and so on, as far as there is room.
pub(super) fn of<'a>(
    meters: impl Iterator<Item = &'a MeterId>,
    store: &dyn Store,
) -> Result<Vec<Exclusion>, StoreError> {
    let mut ranked = Vec::new();
    for meter in meters {
        let newest = of_meter(*meter, store)?.into_iter().take(MAX_EXCLUDED);
        ranked.extend(newest.map(|proof| proof.exclusion).enumerate());
    }
    ranked.sort_by_key(|(rank, _)| *rank);
    let (mut excluded, mut bytes) = (Vec::new(), 0);
    for (_, exclusion) in ranked {
        bytes += wire::encode(&exclusion).len();
        if excluded.len() == MAX_EXCLUDED || bytes > MAX_BYTES {
            break;
        }
        excluded.push(exclusion);
    }
    Ok(excluded)
}

/// The proofs about a meter's records, newest first.
fn of_meter(meter: MeterId, store: &dyn Store) -> Result<Vec<Proof>, StoreError> {
    let (first, end) = (key(meter, Rid::from([0; 32])), [&meter.as_bytes()[..], &[0xff; 33]].concat());
    let rows = store::entries_within(BAD_DEALING, &first, &end, store)?;
    let mut proofs: Vec<Proof> = rows
        .iter()
        .filter_map(|(key, value)| {
            let rid = Rid::from(<[u8; 32]>::try_from(key.get(16..)?).ok()?);
            let (seq, receipts) = wire::decode_own::<(u64, Vec<ByteBuf>)>(value).ok()?;
            Some(Proof { seq, exclusion: Exclusion { rid, receipts } })
        })
        .collect();
    proofs.sort_by_key(|proof| Reverse(proof.seq));
    Ok(proofs)
}

fn key(meter: MeterId, rid: Rid) -> Vec<u8> {
    [&meter.as_bytes()[..], &rid.as_bytes()[..]].concat()
}
