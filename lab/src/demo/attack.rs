//! Messages that no honest party sends.

use protocol::field::Fe;
use protocol::id::{Hash, MeterId, QueryId};
use protocol::record::{Head, Kind};
use protocol::release::cut::Cut;
use protocol::release::inventory::{Holding, Inventory, InventoryAnswer};
use protocol::release::query::{Ask, BillAsk, BillTarget, Query};
use protocol::release::selection::Selection;
use protocol::shamir::split;
use protocol::share::{Batch, SealedBatch, seal, seal_shares};
use protocol::signature::{Signed, SigningKey, Unverified};
use protocol::tariff::{Band, Offset, Tariff, TariffDocument, Window};
use protocol::topic::{Channel, Outgoing};
use protocol::unit::{Price, Register, Slot, SlotRange, Timestamp, WattHours};
use rand::CryptoRng;

use deployment::{Deployment, MeterKeys};

/// The messages of a sealed batch, on their topics.
pub(super) fn messages(deployment: &Deployment, keys: &MeterKeys, sealed: SealedBatch) -> Vec<Outgoing> {
    let name = &deployment.roster.document().deployment;
    let to = |point| deployment.roster.aggregator(point).map(|aggregator| aggregator.id.clone());
    sealed
        .messages
        .into_iter()
        .filter_map(|(point, payload)| {
            Some(Outgoing::new(Channel::Share(to(point)?, keys.meter).of(name), payload))
        })
        .collect()
}

fn head(deployment: &Deployment, keys: &MeterKeys, first: Slot) -> anyhow::Result<Head> {
    Ok(Head {
        kind: Kind::Import,
        roster_epoch: deployment.roster.document().epoch,
        meter: keys.meter,
        seq: 7,
        version: 0,
        slots: SlotRange::new(first, Slot(first.0 + 4))?,
    })
}

/// A batch in the name of `keys`' meter, signed with `signer`: a forgery unless that is the meter's own key.
pub(super) fn batch<R: CryptoRng>(
    deployment: &Deployment,
    keys: &MeterKeys,
    signer: &SigningKey,
    first: Slot,
    rng: &mut R,
) -> anyhow::Result<Vec<Outgoing>> {
    let batch = Batch::new(&[WattHours(30_000); 4], Register::try_from(900_000)?)?;
    let now = runtime::now::<Timestamp>();
    let sealed = seal(&batch, head(deployment, keys, first)?, signer, &deployment.roster, now, rng)?;
    Ok(messages(deployment, keys, sealed))
}

/// A batch whose shares for one aggregator are off the polynomials.
pub(super) fn bad_batch<R: CryptoRng>(
    deployment: &Deployment,
    keys: &MeterKeys,
    first: Slot,
    rng: &mut R,
) -> anyhow::Result<Vec<Outgoing>> {
    let roster = &deployment.roster;
    let secrets: Vec<Fe> = [500, 500, 500, 500, 2_000, 77].map(Fe::from_u64).to_vec();
    let mut shares = split(&secrets, roster.t(), &roster.points(), rng);
    shares[0][2] += Fe::from_u64(5_000);
    let now = runtime::now::<Timestamp>();
    let sealed = seal_shares(&shares, head(deployment, keys, first)?, &keys.key, roster, now, rng)?;
    Ok(messages(deployment, keys, sealed))
}

/// A tariff whose prices spell the readings of single slots: 2^0 and 2^15 on two slots, nothing elsewhere.
pub(super) fn crafted_tariff(
    deployment: &Deployment,
    start: Slot,
    end: Slot,
) -> anyhow::Result<TariffDocument> {
    let band = |name: &str, price| {
        Ok::<_, anyhow::Error>(Band { name: name.into(), price: Price::try_from(price)? })
    };
    let from = u64::from(start.0) * u64::from(deployment.roster.slot().seconds());
    let weekday = (from / 86_400 + 3) % 7;
    let minute = u16::try_from(from % 86_400 / 60)?;
    let window = |band, offset: u16| Window {
        days: 1 << weekday,
        from_minute: minute + offset,
        to_minute: minute + offset + 60,
        band,
    };
    Ok(TariffDocument {
        id: "crafted".parse()?,
        currency: "USD".into(),
        zone: "UTC".into(),
        valid_from: start,
        valid_to: end,
        bands: vec![band("zero", 0)?, band("one", 1)?, band("two-to-the-15", 1 << 15)?],
        windows: vec![window(1, 0), window(2, 60)],
        otherwise: 0,
        substitute: 0,
        offsets: vec![Offset { from: Timestamp(0), seconds: 0 }],
    })
}

/// A query for bills in the utility's name, beside the sink.
pub(super) fn query<R: CryptoRng>(
    deployment: &Deployment,
    period: SlotRange,
    tariffs: &[Hash],
    meters: &[MeterId],
    rng: &mut R,
) -> Signed<Query> {
    let targets = meters.iter().map(|meter| BillTarget { meter: *meter, opening: None }).collect();
    let ask = Ask::Bill(BillAsk { tariffs: tariffs.to_vec(), targets });
    let query = Query { id: QueryId::random(rng), period, ask, excluded: Vec::new() };
    Signed::sign(query, &deployment.utility, &deployment.roster.context())
}

/// The inventories of a query, of all that were seen.
pub(super) fn inventories_of(
    deployment: &Deployment,
    query: QueryId,
    seen: &[Vec<u8>],
) -> Vec<Signed<Inventory>> {
    let mut inventories: Vec<Signed<Inventory>> = seen
        .iter()
        .filter_map(|bytes| {
            let unverified = Unverified::<Inventory>::parse(bytes).ok()?;
            let key = deployment.roster.aggregator(unverified.claim().point)?.key;
            unverified.verify(&key, &deployment.roster.context()).ok()
        })
        .filter(|inventory| inventory.query == query)
        .collect();
    inventories.sort_by_key(|inventory| inventory.point);
    inventories.dedup_by_key(|inventory| inventory.point);
    inventories
}

/// A cut that leaves out one record which a quorum holds: the utility would read the rest's difference.
pub(super) fn dropping_cut(
    deployment: &Deployment,
    query: &Query,
    inventories: &[Signed<Inventory>],
    tariffs: &[Tariff],
) -> Signed<Cut> {
    let mut doctored: Vec<Inventory> = inventories.iter().map(|inventory| (**inventory).clone()).collect();
    for inventory in &mut doctored {
        if let InventoryAnswer::Holdings(holdings) = &mut inventory.answer
            && let Some(Holding::Records(records)) = holdings.first_mut()
        {
            records.remove(records.len() / 2);
        }
    }
    let plain: Vec<&Inventory> = doctored.iter().collect();
    let selection = Selection::derive(query, &plain, tariffs, &deployment.roster);
    let cited = inventories.iter().map(|inventory| (inventory.point, inventory.hash())).collect();
    sign(deployment, Cut { query: query.id, cited, selection: selection.hash() })
}

/// Another cut of a query, from fewer inventories: with it the utility would have two releases to subtract.
pub(super) fn second_cut(
    deployment: &Deployment,
    query: &Query,
    inventories: &[Signed<Inventory>],
    tariffs: &[Tariff],
) -> Signed<Cut> {
    let fewer: Vec<&Signed<Inventory>> = inventories.iter().take(deployment.roster.q()).collect();
    sign(deployment, Cut::propose(query, &fewer, tariffs, &deployment.roster).0)
}

/// The bytes of an honest reading as they would stand in a message, were they not sealed: big-endian CBOR and
/// little-endian field elements, with their neighbours so that chance finds none.
pub(super) fn traces(energies: &[WattHours]) -> Vec<Vec<u8>> {
    energies.windows(2).map(|pair| pair.iter().flat_map(|x| Fe::from_i64(x.0).to_bytes()).collect()).collect()
}

fn sign(deployment: &Deployment, cut: Cut) -> Signed<Cut> {
    Signed::sign(cut, &deployment.utility, &deployment.roster.context())
}
