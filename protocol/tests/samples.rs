//! One message of each kind, with fixed keys and randomness: known answers and bad messages are made of them.

use protocol::certificate::{MeterCertificate, deployment_context};
use protocol::grid::{Deal, DealMessage, LoadVector, SealedDeal, seal_deal};
use protocol::id::{Hash, QueryId};
use protocol::levelled::blob::Blob;
use protocol::levelled::contribution::{Contribution, Round, Step};
use protocol::levelled::direction::{self, Direction, DirectionStep};
use protocol::levelled::function::{Function, Member, Subject};
use protocol::levelled::key::{CollectiveKey, KeyBundle};
use protocol::levelled::plan::{Plan, Profile};
use protocol::levelled::reply::{Answer, Opened, Reply, ReplyStep};
use protocol::levelled::upload::{NotTaken, Taken, Upload};
use protocol::part::{self, Assembly};
use protocol::receipt::{Receipt, RecordCheck, Refused, SeqRanges};
use protocol::record::{Head, Kind, Record};
use protocol::release::cut::Cut;
use protocol::release::exclusion::Exclusion;
use protocol::release::inventory::{Held, HeldVector, Holding, Inventory, InventoryAnswer};
use protocol::release::objection::Objection;
use protocol::release::outcome::Outcome;
use protocol::release::query::{Ask, BillAsk, BillTarget, GridAsk, GroupAsk, Path, Query};
use protocol::release::result::{Answers, Pieces, ResultShare};
use protocol::release::vote::{Vote, Votes};
use protocol::revocation::Revocation;
use protocol::roster::{Roster, RosterDocument};
use protocol::rule::Rule;
use protocol::share::{Batch, SealedBatch, ShareMessage, ShareVector, seal, seal_shares};
use protocol::signature::{Context, Document, Signed, VerifyingKey};
use protocol::status::Status;
use protocol::tariff::{Band, Offset, TariffDocument, Window};
use protocol::unit::{Price, Register, Slot, Timestamp, WattHours};
use protocol::wire;
use serde_bytes::ByteBuf;

mod levelled;

pub(crate) use levelled::*;

use crate::deployment::{Deployment, NOW, meter, meter_key, point, signer, slots, stream};

/// A message, and who takes it.
pub(crate) struct Sample {
    pub(crate) name: &'static str,
    /// As it travels.
    pub(crate) bytes: Vec<u8>,
    /// What is signed: the document in the envelope. The message itself if nobody signs it.
    pub(crate) body: Vec<u8>,
    /// Whether a receiver believes the message.
    pub(crate) believed: fn(&Deployment, &[u8]) -> bool,
    /// What the body decodes to, encoded again.
    pub(crate) encoded_again: fn(&[u8]) -> Option<Vec<u8>>,
}

/// Three aggregators, two of which suffice.
pub(crate) fn deployment() -> Deployment {
    Deployment::new(3, 2)
}

pub(crate) fn certificate() -> MeterCertificate {
    MeterCertificate {
        meter: meter(1),
        key: meter_key(1).verifying_key(),
        service_point: "sp-1".parse().unwrap(),
        group: "north".parse().unwrap(),
        valid_from: Timestamp(1_700_000_000),
        valid_to: Timestamp(1_800_000_000),
        previous: Some(meter(9)),
    }
}

pub(crate) fn revocation() -> Revocation {
    Revocation { meter: meter(1), from: Timestamp(1_700_300_400), reason: "moved out".parse().unwrap() }
}

pub(crate) fn head() -> Head {
    Head {
        kind: Kind::Import,
        roster_epoch: 3,
        meter: meter(1),
        seq: (7 << 32) + 5,
        version: 0,
        slots: slots(472_300, 472_302),
    }
}

/// 831 Wh and 12 Wh; the register then stands at 4,711 Wh.
pub(crate) fn sealed(deployment: &Deployment) -> SealedBatch {
    let batch = Batch::new(&[WattHours(831), WattHours(12)], Register::try_from(4_711_u64).unwrap()).unwrap();
    seal(&batch, head(), &meter_key(1), &deployment.roster, NOW, &mut stream(0x07)).unwrap()
}

/// A record whose meter dealt aggregator 2 one share that is off by one.
pub(crate) fn badly_dealt(deployment: &Deployment) -> SealedBatch {
    use protocol::field::Fe;
    use protocol::shamir::split;
    let secrets = [831, 12, 4_711, 99].map(Fe::from_u64);
    let points = deployment.roster.points();
    let mut shares = split(&secrets, deployment.roster.t(), &points, &mut stream(0x08));
    shares[1][0] += Fe::ONE;
    seal_shares(&shares, head(), &meter_key(1), &deployment.roster, NOW, &mut stream(0x09)).unwrap()
}

/// Aggregator i's shares of a batch.
pub(crate) fn opened(deployment: &Deployment, sealed: &SealedBatch, i: usize) -> ShareVector {
    let message = ShareMessage::parse(&sealed.messages[i - 1].1).unwrap();
    let verified = message.verify(&meter_key(1).verifying_key(), &deployment.roster).unwrap();
    verified.open(&deployment.openers[i - 1..i], &deployment.roster).unwrap()
}

/// Aggregator i's receipt for a batch.
pub(crate) fn receipt(deployment: &Deployment, sealed: &SealedBatch, i: usize) -> Receipt {
    let check = opened(deployment, sealed, i).check(&sealed.rid);
    Receipt {
        point: point(i),
        meter: meter(1),
        roster_epoch: 3,
        stored: SeqRanges::try_from(vec![(7 << 32, (7 << 32) + 2), ((7 << 32) + 5, (7 << 32) + 5)]).unwrap(),
        checks: vec![RecordCheck { seq: (7 << 32) + 5, rid: sealed.rid, check }],
        refused: vec![Refused { seq: (7 << 32) + 4, rule: Rule::BadShare }],
        at: NOW,
    }
}

/// What is said of a badly dealt record. Of three aggregators one may lie, so that it proves nothing; but so it is written.
pub(crate) fn exclusion(deployment: &Deployment) -> Exclusion {
    let bad = badly_dealt(deployment);
    let context = deployment.roster.context();
    let receipts = (1..=3)
        .map(|i| Signed::sign(receipt(deployment, &bad, i), &signer(i), &context).into_bytes().into())
        .collect();
    Exclusion { rid: bad.rid, receipts }
}

pub(crate) fn bill_query() -> Query {
    Query {
        id: QueryId::from([0x51; 16]),
        period: slots(472_296, 472_968),
        ask: Ask::Bill(BillAsk {
            tariffs: vec![Hash::from([0x7a; 32])],
            targets: vec![
                BillTarget { meter: meter(1), opening: Some(Slot(472_300)) },
                BillTarget { meter: meter(2), opening: None },
            ],
        }),
        excluded: Vec::new(),
    }
}

pub(crate) fn group_query(deployment: &Deployment) -> Query {
    Query {
        id: QueryId::from([0x52; 16]),
        period: slots(472_296, 472_320),
        ask: Ask::Group(GroupAsk { group: "north".parse().unwrap(), members: vec![meter(1), meter(2)] }),
        excluded: vec![exclusion(deployment)],
    }
}

pub(crate) fn grid_query() -> Query {
    Query {
        id: QueryId::from([0x53; 16]),
        period: slots(472_296, 472_320),
        ask: Ask::Grid(GridAsk {
            group: "north".parse().unwrap(),
            members: vec![meter(1), meter(2)],
            window: slots(472_296, 472_968),
        }),
        excluded: Vec::new(),
    }
}

pub(crate) fn load_vector() -> LoadVector {
    LoadVector {
        roster_epoch: 3,
        meter: meter(1),
        seq: (7 << 32) + 6,
        slots: slots(472_296, 472_320),
        deal: Hash::from([0xde; 32]),
        ciphertext: ByteBuf::from([0xc7; 20]),
    }
}

/// Shares of a key, two bytes for each aggregator.
pub(crate) fn deal(deployment: &Deployment) -> SealedDeal {
    let plaintexts: Vec<_> = (1..=3).map(|i| zeroize::Zeroizing::new(vec![i, 0x5e])).collect();
    let number = (meter(1), (7 << 32) + 7);
    seal_deal(&plaintexts, number, &meter_key(1), &deployment.roster, NOW, &mut stream(0x0b)).unwrap()
}

pub(crate) fn vote() -> Vote {
    Vote {
        query: QueryId::from([0x51; 16]),
        cut: Hash::from([0xcc; 32]),
        point: point(2),
        height: 17,
        previous: Hash::from([0x1e; 32]),
    }
}

pub(crate) fn signed_vote(deployment: &Deployment) -> Signed<Vote> {
    Signed::sign(vote(), &signer(2), &deployment.roster.context())
}

pub(crate) fn inventory(deployment: &Deployment) -> Inventory {
    Inventory {
        query: QueryId::from([0x51; 16]),
        point: point(1),
        answer: InventoryAnswer::Holdings(vec![
            Holding::Records(vec![Held { slots: slots(472_300, 472_302), rid: sealed(deployment).rid }]),
            Holding::Refused(Rule::AlreadyReleased),
            Holding::Vector(
                Vec::new(),
                Some(HeldVector { vector: Hash::from([0x4c; 32]), deal: Hash::from([0xde; 32]) }),
            ),
            Holding::Vector(Vec::new(), None),
        ]),
        seen: vec![signed_vote(deployment).into_bytes().into()],
    }
}

pub(crate) fn refusing_inventory() -> Inventory {
    Inventory {
        query: QueryId::from([0x51; 16]),
        point: point(3),
        answer: InventoryAnswer::Refused(Rule::Cell),
        seen: Vec::new(),
    }
}

pub(crate) fn cut() -> Cut {
    Cut {
        query: QueryId::from([0x51; 16]),
        cited: vec![(point(1), Hash::from([0xc1; 32])), (point(3), Hash::from([0xc3; 32]))],
        selection: Hash::from([0x5e; 32]),
    }
}

pub(crate) fn votes(deployment: &Deployment) -> Votes {
    Votes(vec![signed_vote(deployment).into_bytes().into()])
}

/// One answer of two values, and an entry that the aggregator can't answer.
pub(crate) fn answers() -> Answers {
    use protocol::field::Fe;
    vec![Some(zeroize::Zeroizing::new(vec![Fe::from_u64(831), Fe::from_i64(-1)])), None]
}

/// A sum of three bytes and one partial decryption of two.
pub(crate) fn pieces() -> Pieces {
    Pieces { sum: ByteBuf::from([0x50; 3]), partials: vec![ByteBuf::from([0x51; 2])] }
}

pub(crate) fn result(deployment: &Deployment) -> ResultShare {
    let (query, cut) = (QueryId::from([0x51; 16]), Hash::from([0xcc; 32]));
    let rng = &mut stream(0x0a);
    ResultShare::seal(query, cut, point(1), &answers(), Some(pieces()), &deployment.roster, rng).unwrap()
}

pub(crate) fn objection() -> Objection {
    Objection {
        query: QueryId::from([0x51; 16]),
        cut: Hash::from([0xcc; 32]),
        point: point(3),
        rule: Rule::Differencing,
    }
}

pub(crate) fn outcome() -> Outcome {
    Outcome {
        query: QueryId::from([0x51; 16]),
        cut: Hash::from([0xcc; 32]),
        path: Path::Bill,
        taken: vec![(meter(1), slots(472_300, 472_968))],
        used: vec![point(1), point(3)],
        faulty: vec![point(2)],
        result: Hash::from([0x4e; 32]),
        at: NOW,
    }
}

pub(crate) fn tariff() -> TariffDocument {
    TariffDocument {
        id: "tou".parse().unwrap(),
        currency: "USD".into(),
        zone: "America/Los_Angeles".into(),
        valid_from: Slot(472_296),
        valid_to: Slot(481_056),
        bands: vec![
            Band { name: "off-peak".into(), price: Price::try_from(30_000).unwrap() },
            Band { name: "peak".into(), price: Price::try_from(50_000).unwrap() },
        ],
        windows: vec![Window { days: 0x1f, from_minute: 960, to_minute: 1_260, band: 1 }],
        otherwise: 0,
        substitute: 0,
        offsets: vec![Offset { from: Timestamp(1_699_174_800), seconds: -28_800 }],
    }
}

pub(crate) fn status() -> Status {
    Status {
        state: "up".into(),
        version: "0.1.0".into(),
        roster_epoch: 3,
        backlog: 300,
        at: Timestamp(1_700_000_000),
    }
}

/// A signed document as a sample.
fn of<T: Document>(
    name: &'static str,
    signed: &Signed<T>,
    believed: fn(&Deployment, &[u8]) -> bool,
) -> Sample {
    let encoded_again = |body: &[u8]| wire::decode::<T>(body).ok().map(|document| wire::encode(&document));
    Sample { name, bytes: signed.bytes().to_vec(), body: wire::encode(&**signed), believed, encoded_again }
}

fn opens<T: Document>(bytes: &[u8], key: &VerifyingKey, context: &Context) -> bool {
    Signed::<T>::open(bytes, key, context).is_ok()
}

/// What the registrar says of a meter.
fn by_registrar(deployment: &Deployment) -> Vec<Sample> {
    let registrars = deployment_context(&deployment.roster.document().deployment);
    vec![
        of("certificate", &Signed::sign(certificate(), &deployment.registrar, &registrars), |d, bytes| {
            let deployment = &d.roster.document().deployment;
            MeterCertificate::open(bytes, &d.registrar.verifying_key(), deployment).is_ok()
        }),
        of("revocation", &Signed::sign(revocation(), &deployment.registrar, &registrars), |d, bytes| {
            let deployment = &d.roster.document().deployment;
            Revocation::open(bytes, &d.registrar.verifying_key(), deployment).is_ok()
        }),
    ]
}

/// One sample a kind of message.
pub(crate) fn all(deployment: &Deployment) -> Vec<Sample> {
    let context = deployment.roster.context();
    let sealed = sealed(deployment);
    let by_utility = &deployment.utility;
    let document = deployment.roster.document().clone();
    let mut samples = by_registrar(deployment);
    samples.extend([
        Sample {
            name: "roster",
            bytes: deployment.roster.bytes().to_vec(),
            body: wire::encode(&document),
            believed: |d, bytes| Roster::accept(bytes, &d.registrar.verifying_key()).is_ok(),
            encoded_again: |body| wire::decode::<RosterDocument>(body).ok().map(|d| wire::encode(&d)),
        },
        Sample {
            name: "share",
            bytes: sealed.messages[1].1.clone(),
            body: record(&sealed.messages[1].1),
            believed: |d, bytes| {
                ShareMessage::parse(bytes)
                    .ok()
                    .and_then(|message| message.verify(&meter_key(1).verifying_key(), &d.roster).ok())
                    .is_some_and(|verified| verified.open(&d.openers[1..2], &d.roster).is_ok())
            },
            encoded_again: |body| Record::decode(body).ok().map(|record| wire::encode(&record)),
        },
        of("receipt", &Signed::sign(receipt(deployment, &sealed, 1), &signer(1), &context), |d, bytes| {
            opens::<Receipt>(bytes, &signer(1).verifying_key(), &d.roster.context())
        }),
        Sample {
            name: "part",
            bytes: part::split(b"a document").remove(0),
            body: part::split(b"a document").remove(0),
            believed: |_, bytes| matches!(Assembly::default().take("query", bytes), Ok(Some(_))),
            encoded_again: |bytes| {
                let whole = Assembly::default().take("query", bytes).ok()??;
                Some(part::split(&whole).remove(0))
            },
        },
        of("query-bill", &Signed::sign(bill_query(), by_utility, &context), query_believed),
        of("query-group", &Signed::sign(group_query(deployment), by_utility, &context), query_believed),
        of("query-grid", &Signed::sign(grid_query(), by_utility, &context), query_believed),
        of("vector", &Signed::sign(load_vector(), &meter_key(1), &context), |d, bytes| {
            opens::<LoadVector>(bytes, &meter_key(1).verifying_key(), &d.roster.context())
        }),
        Sample {
            name: "deal",
            bytes: deal(deployment).messages[0][1].1.clone(),
            body: signed_deal(&deal(deployment).messages[0][1].1),
            believed: |d, bytes| {
                DealMessage::parse(bytes)
                    .ok()
                    .and_then(|message| message.verify(&meter_key(1).verifying_key(), &d.roster).ok())
                    .is_some_and(|chunk| chunk.open(&d.openers[1..2], &d.roster).is_ok())
            },
            encoded_again: |body| wire::decode::<Deal>(body).ok().map(|deal| wire::encode(&deal)),
        },
        of("inventory", &Signed::sign(inventory(deployment), &signer(1), &context), |d, bytes| {
            opens::<Inventory>(bytes, &signer(1).verifying_key(), &d.roster.context())
        }),
        of("inventory-refused", &Signed::sign(refusing_inventory(), &signer(3), &context), |d, bytes| {
            opens::<Inventory>(bytes, &signer(3).verifying_key(), &d.roster.context())
        }),
        of("cut", &Signed::sign(cut(), by_utility, &context), |d, bytes| {
            opens::<Cut>(bytes, &d.utility.verifying_key(), &d.roster.context())
        }),
        of("vote", &signed_vote(deployment), vote_believed),
        Sample {
            name: "votes",
            bytes: wire::encode(&votes(deployment)),
            body: wire::encode(&votes(deployment)),
            believed: |d, bytes| {
                wire::decode::<Votes>(bytes)
                    .is_ok_and(|votes| !votes.0.is_empty() && votes.0.iter().all(|v| vote_believed(d, v)))
            },
            encoded_again: |body| wire::decode::<Votes>(body).ok().map(|votes| wire::encode(&votes)),
        },
        of("result", &Signed::sign(result(deployment), &signer(1), &context), |d, bytes| {
            Signed::<ResultShare>::open(bytes, &signer(1).verifying_key(), &d.roster.context())
                .is_ok_and(|result| result.open(&d.sink, &d.roster, &[2, 1]).is_ok())
        }),
        of("objection", &Signed::sign(objection(), &signer(3), &context), |d, bytes| {
            opens::<Objection>(bytes, &signer(3).verifying_key(), &d.roster.context())
        }),
        of("outcome", &Signed::sign(outcome(), by_utility, &context), |d, bytes| {
            opens::<Outcome>(bytes, &d.utility.verifying_key(), &d.roster.context())
        }),
        of("tariff", &Signed::sign(tariff(), by_utility, &context), |d, bytes| {
            opens::<TariffDocument>(bytes, &d.utility.verifying_key(), &d.roster.context())
        }),
        Sample {
            name: "status",
            bytes: status().encode(),
            body: status().encode(),
            believed: |_, bytes| Status::decode(bytes).is_ok_and(|found| found == status()),
            encoded_again: |bytes| Status::decode(bytes).ok().map(|status| status.encode()),
        },
    ]);
    samples.extend(of_levelled(deployment));
    samples
}

fn query_believed(deployment: &Deployment, bytes: &[u8]) -> bool {
    opens::<Query>(bytes, &deployment.utility.verifying_key(), &deployment.roster.context())
}

fn vote_believed(deployment: &Deployment, bytes: &[u8]) -> bool {
    opens::<Vote>(bytes, &signer(2).verifying_key(), &deployment.roster.context())
}

/// The body of the deal within a chunk.
fn signed_deal(message: &[u8]) -> Vec<u8> {
    type Chunk = (ByteBuf, u8, Vec<Hash>, u16, (u32, ByteBuf, ByteBuf));
    let (deal, ..): Chunk = wire::decode(message).unwrap();
    let (body, _): (ByteBuf, ByteBuf) = wire::decode(&deal).unwrap();
    body.into_vec()
}

/// The record within a share message.
pub(crate) fn record(message: &[u8]) -> Vec<u8> {
    let (record, ..): (ByteBuf, ByteBuf, u8, (u32, ByteBuf, ByteBuf)) = wire::decode(message).unwrap();
    record.into_vec()
}
