//! What is refused: queries by each rule, cuts that don't follow, exclusions that nothing proves.

use protocol::codeword::{Verdict, judge};
use protocol::field::Fe;
use protocol::id::{Hash, QueryId};
use protocol::receipt::Receipt;
use protocol::release::cut::Cut;
use protocol::release::exclusion::Exclusion;
use protocol::release::inventory::{Holding, Inventory, InventoryAnswer};
use protocol::release::query::{
    Ask, BillAsk, BillTarget, GroupAsk, MAX_EXCLUDED, MAX_MEMBERS, MAX_PERIOD_DAYS, MAX_TARGETS, Path, Query,
};
use protocol::roster::chain::Chain;
use protocol::roster::{RosterDocument, assemble};
use protocol::rule::Rule;
use protocol::shamir::split;
use protocol::share::{SealedBatch, seal_shares};
use protocol::signature::Signed;
use protocol::tariff::Tariff;
use protocol::unit::Slot;
use serde_bytes::ByteBuf;

use super::{MIDNIGHT, days, flat, held, tariff, time_of_use};
use crate::deployment::{Deployment, NOW, meter, meter_key, point, signer, slots, stream};
use crate::samples;

/// A query for so many bills under these tariffs' hashes, 4 weeks long.
fn bills(meters: usize, tariffs: usize) -> Query {
    let targets = (0..meters).map(|j| BillTarget { meter: name(j), opening: None }).collect();
    Query {
        id: QueryId::from([1; 16]),
        period: slots(MIDNIGHT, MIDNIGHT + 672),
        ask: Ask::Bill(BillAsk { tariffs: vec![Hash::from([7; 32]); tariffs], targets }),
        excluded: Vec::new(),
    }
}

fn name(j: usize) -> protocol::id::MeterId {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&j.to_be_bytes());
    bytes.into()
}

fn curve(members: usize) -> Query {
    let members = (0..members).map(name).collect();
    let ask = Ask::Group(GroupAsk { group: "north".parse().unwrap(), members });
    Query { ask, ..bills(1, 1) }
}

fn production() -> Chain {
    Chain::new(Deployment::new(4, 2).roster)
}

/// Whatever is within the policy passes.
#[test]
fn good_queries_pass() {
    let rosters = production();
    assert_eq!(bills(15, 1).check(&rosters, &[time_of_use()]), Ok(()));
    assert_eq!(
        bills(MAX_TARGETS, 4).check(&rosters, &[time_of_use(), flat(), time_of_use(), flat()]),
        Ok(())
    );
    assert_eq!(curve(15).check(&rosters, &[]), Ok(()));
    assert_eq!((bills(15, 1).path(), curve(15).path()), (Path::Bill, Path::Group));
}

/// Each rule refuses what it is for.
#[test]
fn each_rule_refuses() {
    let rosters = production();
    let bill = |change: &dyn Fn(&mut Query), tariffs: &[Tariff]| {
        let mut query = bills(15, tariffs.len());
        change(&mut query);
        query.check(&rosters, tariffs)
    };
    let ask = |query: &mut Query, change: &dyn Fn(&mut BillAsk)| match &mut query.ask {
        Ask::Bill(ask) => change(ask),
        Ask::Group(_) | Ask::Grid(_) => panic!("a bill is asked for"),
    };
    let day = 24;
    let longest = MIDNIGHT + MAX_PERIOD_DAYS * day;
    // targets
    assert_eq!(bill(&|q| ask(q, &|a| a.targets.clear()), &[flat()]), Err(Rule::Targets));
    assert_eq!(bill(&|q| ask(q, &|a| a.targets.push(a.targets[3])), &[flat()]), Err(Rule::Targets));
    assert_eq!(bills(MAX_TARGETS + 1, 1).check(&rosters, &[flat()]), Err(Rule::Targets));
    assert_eq!(curve(0).check(&rosters, &[]), Err(Rule::Targets));
    assert_eq!(curve(MAX_MEMBERS + 1).check(&rosters, &[]), Err(Rule::Targets));
    // window
    assert_eq!(bill(&|q| q.period = slots(MIDNIGHT, MIDNIGHT + 671), &[flat()]), Err(Rule::Window));
    assert_eq!(bill(&|q| q.period = slots(MIDNIGHT, longest), &[flat()]), Ok(()));
    assert_eq!(bill(&|q| q.period = slots(MIDNIGHT, longest + 1), &[flat()]), Err(Rule::Window));
    assert_eq!(bill(&|q| q.period = slots(0, u32::MAX), &[flat()]), Err(Rule::Window));
    let opening = |slot| move |q: &mut Query| ask(q, &|a| a.targets[2].opening = Some(Slot(slot)));
    assert_eq!(bill(&opening(MIDNIGHT - 24), &[flat()]), Ok(()));
    assert_eq!(bill(&opening(0), &[flat()]), Err(Rule::Window));
    for (period, expected) in [
        (slots(MIDNIGHT, MIDNIGHT + 28 * 24), Ok(())),
        (slots(MIDNIGHT, MIDNIGHT + 28 * 24 + 1), Err(Rule::Window)),
        (slots(MIDNIGHT, MIDNIGHT + 27 * 24), Err(Rule::Window)),
        (slots(0, u32::MAX - u32::MAX % day), Err(Rule::Window)),
    ] {
        assert_eq!(Query { period, ..curve(15) }.check(&rosters, &[]), expected, "a curve of {period}");
    }
    // functionals and tariffs
    assert_eq!(bills(1, 0).check(&rosters, &[]), Ok(()), "the register difference only, of whomever");
    assert_eq!(bill(&|q| q.period = slots(MIDNIGHT, MIDNIGHT + 671), &[]), Err(Rule::Window));
    assert_eq!(bills(0, 0).check(&rosters, &[]), Err(Rule::Targets));
    assert_eq!(
        bills(15, 5).check(&rosters, &[flat(), flat(), flat(), flat(), flat()]),
        Err(Rule::Functionals)
    );
    assert_eq!(bills(14, 1).check(&rosters, &[flat()]), Err(Rule::TariffMeters));
    assert_eq!(bills(15, 2).check(&rosters, &[flat()]), Err(Rule::TariffUnknown), "one of two is there");
    assert_eq!(bills(15, 1).check(&rosters, &[]), Err(Rule::TariffUnknown), "none is there");
    let late = |q: &mut Query| q.period = slots(600_000 - 671, 600_001);
    assert_eq!(bill(&late, &[flat()]), Err(Rule::TariffUnknown), "it ends before the period");
    // cells
    let one_hour = tariff(&[1, 2], |hour| u8::from(hour == 3), 0);
    assert_eq!(bill(&|_| (), &[one_hour]), Ok(()), "28 slots at 3 o'clock");
    let week = tariff(&[1, 2], |hour| u8::from(hour == 3), 0).document().clone();
    let on_mondays = |document: &mut protocol::tariff::TariffDocument| document.windows[3].days = 1;
    let mut mondays = week;
    on_mondays(&mut mondays);
    let mondays = Tariff::new(mondays, rosters.current().slot()).unwrap();
    assert_eq!(bill(&|_| (), &[mondays]), Err(Rule::Cell), "4 slots on Mondays at 3 o'clock");
    // groups
    assert_eq!(curve(14).check(&rosters, &[]), Err(Rule::GroupSize));
    // exclusions
    let unproved = Exclusion { rid: [1; 32].into(), receipts: Vec::new() };
    assert_eq!(bill(&|q| q.excluded = vec![unproved.clone()], &[flat()]), Err(Rule::Exclusion));
    let many = |q: &mut Query| q.excluded = vec![unproved.clone(); MAX_EXCLUDED + 1];
    assert_eq!(bill(&many, &[flat()]), Err(Rule::Exclusion));
}

/// A record of four shares, of which those named are off the polynomial.
fn dealt(deployment: &Deployment, bad: &[usize]) -> SealedBatch {
    dealt_from(deployment, bad, 0x55)
}

/// Another one.
fn dealt_anew(deployment: &Deployment, bad: &[usize]) -> SealedBatch {
    dealt_from(deployment, bad, 0x65)
}

fn dealt_from(deployment: &Deployment, bad: &[usize], seed: u8) -> SealedBatch {
    let secrets = [831, 12, 4_711, 99].map(Fe::from_u64);
    let roster = &deployment.roster;
    let mut shares = split(&secrets, roster.t(), &roster.points(), &mut stream(seed));
    for i in bad {
        shares[i - 1][1] += Fe::from_u64(40) * point(*i).to_fe();
    }
    seal_shares(&shares, samples::head(), &meter_key(1), roster, NOW, &mut stream(seed + 1)).unwrap()
}

fn receipt(deployment: &Deployment, sealed: &SealedBatch, i: usize) -> Signed<Receipt> {
    Signed::sign(samples::receipt(deployment, sealed, i), &signer(i), &deployment.roster.context())
}

/// Receipts prove a record bad if no liar explains them: of four aggregators all have to have told, and one that is odd proves
/// nothing.
#[test]
fn exclusions_are_proved_by_receipts() {
    let deployment = Deployment::new(4, 2);
    for (bad, from, proved) in [
        (&[][..], &[1, 2, 3, 4][..], false),
        (&[2], &[1, 2, 3, 4], false),
        (&[2], &[1, 2, 3], false),
        (&[2], &[], false),
        (&[1, 4], &[1, 2, 3, 4], true),
        (&[1, 4], &[1, 2, 3], false),
        (&[1, 4], &[1, 2, 4], false),
        (&[1, 4], &[2, 3], false),
    ] {
        let sealed = dealt(&deployment, bad);
        let receipts = from.iter().map(|i| receipt(&deployment, &sealed, *i).into_bytes().into()).collect();
        let found = Exclusion { rid: sealed.rid, receipts }.verify(&Chain::new(deployment.roster.clone()));
        let expected = if proved { Ok(sealed.rid) } else { Err(Rule::Exclusion) };
        assert_eq!(found, expected, "{bad:?} bad, receipts of {from:?}");
    }
    let sealed = dealt(&deployment, &[2]);
    let check = |i| (point(i), samples::opened(&deployment, &sealed, i).check(&sealed.rid));
    assert_eq!(judge(&[1, 2, 3, 4].map(check), 2, 1), Verdict::Odd(vec![point(2)]));
}

/// Receipts that are repeated, forged, of another record, of another roster or too many prove nothing.
#[test]
fn other_receipts_prove_nothing() {
    let deployment = Deployment::new(4, 2);
    let sealed = dealt(&deployment, &[2, 3]);
    let rosters = Chain::new(deployment.roster.clone());
    let [one, two, three, four] = [1, 2, 3, 4].map(|i| receipt(&deployment, &sealed, i));
    let verify = |rid, receipts: &[&Signed<Receipt>]| {
        let receipts: Vec<ByteBuf> = receipts.iter().map(|r| ByteBuf::from(r.bytes())).collect();
        Exclusion { rid, receipts }.verify(&rosters)
    };
    assert_eq!(verify(sealed.rid, &[&one, &two, &three, &four]), Ok(sealed.rid));
    assert_eq!(verify(sealed.rid, &[&one, &two, &three, &three]), Err(Rule::Exclusion), "repeated");
    let nine = [&one, &two, &three, &four, &four, &four, &four, &four, &four];
    assert_eq!(
        verify(sealed.rid, &nine),
        Err(Rule::Exclusion),
        "nine, where two records of four are told in eight"
    );
    let other = dealt(&deployment, &[]);
    assert_eq!(verify(other.rid, &[&one, &two, &three, &four]), Err(Rule::Exclusion), "of another record");
    let context = deployment.roster.context();
    let forged = Signed::sign((*three).clone(), &signer(4), &context);
    assert_eq!(verify(sealed.rid, &[&one, &two, &forged, &four]), Err(Rule::Exclusion), "signed by another");
    let mut foreign = (*three).clone();
    foreign.point = point(9);
    let foreign = Signed::sign(foreign, &signer(9), &context);
    assert_eq!(verify(sealed.rid, &[&one, &two, &foreign, &four]), Err(Rule::Exclusion), "of no aggregator");
    let elsewhere = Receipt { meter: name(9), ..(*three).clone() };
    let elsewhere = Signed::sign(elsewhere, &signer(3), &context);
    assert_eq!(verify(sealed.rid, &[&one, &two, &elsewhere, &four]), Err(Rule::Exclusion), "of two meters");
    let mut twice = (*three).clone();
    twice.checks[0].check = samples::opened(&deployment, &sealed, 4).check(&sealed.rid);
    let twice = Signed::sign(twice, &signer(3), &context);
    assert_eq!(
        verify(sealed.rid, &[&one, &two, &three, &four, &twice]),
        Err(Rule::Exclusion),
        "contradictory"
    );
    let stranger = Chain::new(Deployment::with(4, 2, |document| document.epoch = 9).roster);
    let receipts = [one, two, three, four].map(|receipt| receipt.into_bytes().into()).to_vec();
    assert_eq!(Exclusion { rid: sealed.rid, receipts }.verify(&stranger), Err(Rule::Exclusion));
    let bytes = vec![ByteBuf::from(b"no receipt".to_vec()); 4];
    assert_eq!(Exclusion { rid: sealed.rid, receipts: bytes }.verify(&stranger), Err(Rule::Exclusion));
}

/// Receipts prove a record bad under whichever rosters of the chain they are, after a rotation too.
#[test]
fn receipts_of_any_roster_prove() {
    let deployment = Deployment::new(4, 2);
    let sealed = dealt(&deployment, &[2, 3]);
    let previous = Some(deployment.roster.hash());
    let document = RosterDocument { epoch: 4, previous, ..deployment.roster.document().clone() };
    let signers = [1, 2, 3, 4].map(|i| (point(i), signer(i)));
    let accepting: Vec<_> = signers.iter().map(|(point, key)| (*point, key)).collect();
    let next = assemble(document, &deployment.registrar, &accepting).unwrap();
    let receipts = (1..=4).map(|i| {
        let (roster, epoch) = if i < 3 { (&deployment.roster, 3) } else { (&next, 4) };
        let receipt = Receipt { roster_epoch: epoch, ..samples::receipt(&deployment, &sealed, i) };
        Signed::sign(receipt, &signer(i), &roster.context()).into_bytes().into()
    });
    let exclusion = Exclusion { rid: sealed.rid, receipts: receipts.collect() };
    let mut rosters = Chain::new(deployment.roster);
    assert_eq!(exclusion.verify(&rosters), Err(Rule::Exclusion), "the newer roster is not known here");
    rosters.follow(next).unwrap();
    assert_eq!(exclusion.verify(&rosters), Ok(sealed.rid));
}

/// Two records of a meter that are odd at one aggregator each prove it bad if these are two, and then each may be left out.
#[test]
fn records_of_one_meter_prove_together() {
    let deployment = Deployment::new(4, 2);
    let rosters = Chain::new(deployment.roster.clone());
    let receipts = |records: [&SealedBatch; 2]| -> Vec<ByteBuf> {
        let told =
            records.into_iter().flat_map(|sealed| [1, 2, 3, 4].map(|i| receipt(&deployment, sealed, i)));
        told.map(|receipt| receipt.into_bytes().into()).collect()
    };
    let (one, same, other, good) = (
        dealt(&deployment, &[2]),
        dealt_anew(&deployment, &[2]),
        dealt_anew(&deployment, &[3]),
        dealt_anew(&deployment, &[]),
    );
    let verify = |rid, records| Exclusion { rid, receipts: receipts(records) }.verify(&rosters);
    assert_eq!(verify(one.rid, [&one, &other]), Ok(one.rid));
    assert_eq!(verify(other.rid, [&one, &other]), Ok(other.rid));
    assert_eq!(verify(one.rid, [&one, &same]), Err(Rule::Exclusion), "one liar explains both");
    assert_eq!(verify(good.rid, [&one, &good]), Err(Rule::Exclusion), "nothing is wrong with it");
}

/// Four inventories of one meter with ten batches, of which aggregator 4 lacks one; and a query for them.
fn inventories(deployment: &Deployment) -> (Query, Vec<Signed<Inventory>>) {
    let mut query = bills(1, 1);
    query.period = slots(MIDNIGHT, MIDNIGHT + 60);
    let all: Vec<_> = (0..10_u8)
        .map(|k| {
            let from = MIDNIGHT + 6 * u32::from(k);
            held(slots(from, from + 6), 1, k)
        })
        .collect();
    let inventories = (1..=4).map(|i| {
        let mut records = all.clone();
        if i == 4 {
            records.remove(7);
        }
        let answer = InventoryAnswer::Holdings(vec![Holding::Records(records)]);
        let inventory = Inventory { query: query.id, point: point(i), answer, seen: Vec::new() };
        Signed::sign(inventory, &signer(i), &deployment.roster.context())
    });
    let inventories = inventories.collect();
    (query, inventories)
}

/// A cut is taken exactly when it follows from Q or more inventories that the checker has itself.
#[test]
fn cuts_follow_from_inventories() {
    let deployment = days();
    let roster = &deployment.roster;
    let (query, all) = inventories(&deployment);
    let tariffs = [time_of_use()];
    let propose = |of: &[usize]| {
        let cited: Vec<&Signed<Inventory>> = of.iter().map(|i| &all[i - 1]).collect();
        Cut::propose(&query, &cited, &tariffs, roster)
    };
    let check_with = |cut: &Cut, known: &[Signed<Inventory>]| {
        cut.check(&query, |hash| known.iter().find(|i| i.hash() == *hash).cloned(), &tariffs, roster)
    };
    let check = |cut: &Cut| check_with(cut, &all);
    // any quorum, in any order
    for of in [&[1, 2, 3][..], &[4, 1, 2], &[4, 3, 2, 1]] {
        let (cut, selection) = propose(of);
        assert_eq!(check(&cut), Ok(selection), "{of:?}");
    }
    let (cut, selection) = propose(&[1, 2, 3]);
    assert_eq!(selection.billed().next().unwrap().records.len(), 10);
    // with aggregator 4's inventory among three, the record that it lacks is a gap
    assert_eq!(propose(&[1, 2, 4]).1.billed().next().unwrap().records.len(), 9);
    // among four it is not
    assert_eq!(propose(&[1, 2, 3, 4]).1.billed().next().unwrap().records.len(), 10);
    // fewer than Q
    assert_eq!(check(&propose(&[1, 2]).0), Err(Rule::CutNotDerived));
    assert_eq!(check(&propose(&[]).0), Err(Rule::CutNotDerived));
    // one cited twice
    assert_eq!(check(&propose(&[1, 2, 2]).0), Err(Rule::CutNotDerived));
    assert_eq!(check(&propose(&[1, 2, 3, 3]).0), Err(Rule::CutNotDerived));
    // not ascending
    let mut reversed = cut.clone();
    reversed.cited.reverse();
    assert_eq!(check(&reversed), Err(Rule::CutNotDerived));
    // another selection
    let mut other = cut.clone();
    other.selection = propose(&[1, 2, 4]).1.hash();
    assert_eq!(check(&other), Err(Rule::CutNotDerived));
    // an inventory under another's point
    let mut renamed = cut.clone();
    renamed.cited[2].0 = point(4);
    assert_eq!(check(&renamed), Err(Rule::CutNotDerived));
    // an inventory that did not arrive, and one that nobody made
    assert_eq!(check_with(&cut, &all[..2]), Err(Rule::InventoryMissing));
    let mut unknown = cut.clone();
    unknown.cited[0].1 = Hash::from([9; 32]);
    assert_eq!(check(&unknown), Err(Rule::InventoryMissing));
    // an inventory of another query
    let mut stale = (*all[1]).clone();
    stale.query = QueryId::from([2; 16]);
    let stale = Signed::sign(stale, &signer(2), &roster.context());
    let (mixed, _) = Cut::propose(&query, &[&all[0], &stale, &all[2]], &tariffs, roster);
    assert_eq!(check_with(&mixed, &[all[0].clone(), stale, all[2].clone()]), Err(Rule::CutNotDerived));
    // for another period it is another selection
    let longer = Query { period: slots(MIDNIGHT, MIDNIGHT + 54), ..query.clone() };
    let known = |hash: &Hash| all.iter().find(|i| i.hash() == *hash).cloned();
    assert_eq!(cut.check(&longer, known, &tariffs, roster), Err(Rule::CutNotDerived));
}

/// What a selection takes from whom is what the ledgers lock.
#[test]
fn a_selection_names_what_it_takes() {
    let deployment = days();
    let (query, all) = inventories(&deployment);
    let cited: Vec<&Signed<Inventory>> = all.iter().collect();
    let (_, selection) = Cut::propose(&query, &cited, &[flat()], &deployment.roster);
    assert_eq!(selection.takes(), [(name(0), slots(MIDNIGHT, MIDNIGHT + 60))]);
    assert_ne!(name(0), meter(1));
}
