//! Rosters: what is accepted, and every way in which one is refused; and the floor that a meter pins.

use protocol::hpke_box::{SealingKey, Suite};
use protocol::id::Hash;
use protocol::release::cut::Cut;
use protocol::release::vote::Vote;
use protocol::roster::chain::{Chain, ChainError, Changed};
use protocol::roster::floor::{Floor, FloorError};
use protocol::roster::{BoxKey, Roster, RosterDocument, RosterError, accept_as, assemble, bundle, sign};
use protocol::shamir::Point;
use protocol::signature::{OpenError, Signed, SigningKey};
use protocol::unit::{SlotLength, Timestamp};
use protocol::wire;
use serde_bytes::Bytes;

use crate::deployment::{Deployment, NOW, document, meter_key, opener, point, registrar, signer};

/// Signs a document and has its aggregators accept it with the keys of their points.
fn assembled(document: RosterDocument) -> Result<Roster, RosterError> {
    let keys: Vec<(Point, SigningKey)> =
        document.aggregators.iter().map(|a| (a.point, signer(usize::from(u8::from(a.point))))).collect();
    let accepting: Vec<(Point, &SigningKey)> = keys.iter().map(|(point, key)| (*point, key)).collect();
    assemble(document, &registrar(), &accepting)
}

/// A changed roster of four is refused.
fn refused(change: impl FnOnce(&mut RosterDocument)) -> RosterError {
    let mut document = document(4, 2);
    change(&mut document);
    assembled(document).unwrap_err()
}

/// A roster that is signed and accepted says what it was given, and comes back from its bytes.
#[test]
fn accepts_a_signed_roster() {
    let roster = assembled(document(4, 2)).unwrap();
    assert_eq!((roster.n(), roster.t(), roster.q()), (4, 2, 3));
    assert_eq!(*roster.document(), document(4, 2));
    assert_eq!(Roster::accept(roster.bytes(), &registrar().verifying_key()).unwrap(), roster);
    assert_eq!(roster.points(), Point::first(4));
    assert_eq!(roster.aggregator(point(3)), roster.aggregator_named(&"agg-3".parse().unwrap()));
    assert_eq!(roster.aggregator(point(5)), None);
    assert!(!roster.covers(Timestamp(1_699_999_999)) && roster.covers(Timestamp(1_700_000_000)));
    assert!(roster.covers(Timestamp(1_799_999_999)) && !roster.covers(Timestamp(1_800_000_000)));
}

/// Every n, t and Q: accepted exactly when 1 ≤ t ≤ Q ≤ n ≤ 10 and 2Q > n + t − 1.
#[test]
fn numbers_keep_the_promises() {
    for n in 0..=10 {
        for t in 0..=11_u8 {
            for q in 0..=11_u8 {
                let mut document = document(4, 2);
                document.aggregators = self::document(n, 1).aggregators;
                (document.threshold, document.quorum) = (t, q);
                let (wide_t, wide_q) = (usize::from(t), usize::from(q));
                let fits = 1 <= t && t <= q && wide_q <= n && 2 * wide_q + 1 > n + wide_t;
                match assembled(document) {
                    Ok(_) => assert!(fits, "n = {n}, t = {t}, Q = {q}"),
                    Err(RosterError::Numbers { n: found, t: wants, q: quorum }) => {
                        assert!(!fits && (found, wants, quorum) == (n, wide_t, wide_q));
                    }
                    Err(other) => panic!("{other}"),
                }
            }
        }
    }
}

/// The registrar's signature must hold, under its key and for this deployment.
#[test]
fn refuses_a_foreign_registrar() {
    let roster = assembled(document(4, 2)).unwrap();
    let foreign = Roster::accept(roster.bytes(), &meter_key(1).verifying_key());
    assert!(matches!(foreign, Err(RosterError::Registrar(OpenError::Signature(_)))));
    assert!(matches!(Roster::accept(b"", &registrar().verifying_key()), Err(RosterError::Decode(_))));
    assert!(matches!(
        Roster::accept(&[0x82, 0x40, 0x80], &registrar().verifying_key()),
        Err(RosterError::Decode(_))
    ));
}

/// Each aggregator's acceptance must be there, once, by its key, for this roster; and no other.
#[test]
fn refuses_other_acceptances() {
    let signed = sign(document(4, 2), &registrar());
    let other = sign(document(4, 1), &registrar());
    let all: Vec<_> = (1..=4).map(|i| (point(i), accept_as(&signed, &signer(i)))).collect();
    let accept = |list: &[_]| Roster::accept(&bundle(&signed, list.to_vec()), &registrar().verifying_key());
    assert!(accept(&all).is_ok());
    for i in 1..=4 {
        let changed = |change: &dyn Fn(&mut Vec<_>)| {
            let mut list = all.clone();
            change(&mut list);
            match accept(&list) {
                Err(RosterError::Acceptance(of)) => of,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(changed(&|list| list.retain(|(of, _)| *of != point(i))), point(i), "missing");
        assert_eq!(changed(&|list| list[i - 1].1 = accept_as(&signed, &signer(9))), point(i), "by another");
        assert_eq!(changed(&|list| list[i - 1].1 = accept_as(&other, &signer(i))), point(i), "of another");
        assert_eq!(changed(&|list| list.push(all[i - 1])), point(i), "twice");
        assert_eq!(changed(&|list| list.insert(0, (point(i + 4), all[0].1))), point(i + 4), "foreign");
    }
}

/// Points ascend; names and keys are unique; everyone can be sealed to; validity runs forwards.
#[test]
fn refuses_confused_aggregators() {
    let two = |error| match error {
        RosterError::Aggregators(one, other) => (u8::from(one), u8::from(other)),
        other => panic!("{other}"),
    };
    assert_eq!(two(refused(|d| d.aggregators.swap(1, 2))), (3, 2));
    assert_eq!(two(refused(|d| d.aggregators[3].point = point(3))), (3, 3));
    assert_eq!(two(refused(|d| d.aggregators[2].id = d.aggregators[0].id.clone())), (1, 3));
    assert_eq!(two(refused(|d| d.aggregators[3].key = d.aggregators[1].key)), (2, 4));
    let keyless = refused(|d| d.aggregators[1].box_keys.clear());
    assert!(matches!(keyless, RosterError::NoBoxKey(of) if of == point(2)));
    assert!(matches!(refused(|d| d.valid_to = d.valid_from), RosterError::Validity));
}

/// Every box key can be sealed to, whoever states it and whatever its term; else the roster is refused, and says whose it is and why.
#[test]
fn refuses_keys_that_cannot_be_sealed_to() {
    let stated = |key_id: u32, suite: Suite, key: &[u8]| -> SealingKey {
        wire::decode(&wire::encode(&(key_id, suite, Bytes::new(key)))).unwrap()
    };
    let said = |error| match error {
        RosterError::BoxKey { .. } => error.to_string(),
        other => panic!("{other}"),
    };
    let zero = stated(7, Suite::X25519, &[0; 32]);
    let low = "its X25519 point is of low order, so that everybody knows what it agrees on with anybody";
    assert_eq!(
        said(refused(|d| d.aggregators[1].box_keys[0].key = zero.clone())),
        format!("box key 7 of aggregator agg-2 can't be sealed to: {low}")
    );
    assert_eq!(
        said(refused(|d| d.utility.box_key = zero.clone())),
        format!("box key 7 of the utility can't be sealed to: {low}")
    );
    // also one that has ended and stands before a good one
    let ended = BoxKey { key: zero, not_after: Timestamp(0) };
    said(refused(|d| d.aggregators[3].box_keys.insert(0, ended.clone())));
    let empty = stated(1, Suite::X25519, &[]);
    assert_eq!(
        said(refused(|d| d.aggregators[0].box_keys[0].key = empty.clone())),
        "box key 1 of aggregator agg-1 can't be sealed to: it has 0 bytes, and a public key of suite X25519 has 32"
    );
    let unreduced = stated(2, Suite::XWing, &[0xff; 1_216]);
    assert_eq!(
        said(refused(|d| d.utility.box_key = unreduced.clone())),
        "box key 2 of the utility can't be sealed to: a coefficient of its ML-KEM-768 part is not below the modulus of 3329"
    );
    // whoever is to sign it sees the same
    let mut draft = document(4, 2);
    assert!(draft.check().is_ok());
    draft.utility.box_key = unreduced;
    assert!(matches!(draft.check(), Err(RosterError::BoxKey { key_id: 2, .. })));
}

/// The newest key that has not ended is sealed to; none when all have.
#[test]
fn box_keys_rotate() {
    let newer = BoxKey { key: opener(7, Suite::X25519).sealing_key(), not_after: Timestamp(1_760_000_000) };
    let roster = Deployment::with(4, 2, |d| d.aggregators[0].box_keys.push(newer.clone())).roster;
    let aggregator = &roster.document().aggregators[0];
    assert_eq!(aggregator.box_key_at(NOW), Some(&newer.key));
    assert_eq!(aggregator.box_key_at(Timestamp(1_759_999_999)), Some(&newer.key));
    assert_eq!(aggregator.box_key_at(Timestamp(1_760_000_000)), None);
    assert_eq!(roster.document().aggregators[1].box_key_at(Timestamp(1_750_000_000)), None);
}

/// The floor of four aggregators, pinned, and the roster it was taken from.
fn pinned() -> (Floor, Roster) {
    let roster = Deployment::new(4, 2).roster;
    (Floor::of(&roster, registrar().verifying_key().fingerprint()), roster)
}

/// What the floor says to the next roster, changed.
fn next(change: impl FnOnce(&mut RosterDocument)) -> Result<(), FloorError> {
    let (floor, current) = pinned();
    let mut document = document(4, 2);
    (document.epoch, document.previous) = (4, Some(current.hash()));
    change(&mut document);
    floor.admits(&assembled(document).unwrap(), NOW)
}

/// A roster stands on its own floor, and so does its proper successor.
#[test]
fn admits_itself_and_its_successor() {
    let (floor, roster) = pinned();
    assert_eq!(floor.admits(&roster, NOW), Ok(()));
    assert_eq!(next(|_| ()), Ok(()));
    // stronger numbers, and a fifth aggregator
    assert_eq!(next(|d| (d.policy.k, d.policy.bill_days, d.policy.coverage) = (20, 30, 990)), Ok(()));
    let fifth = next(|d| (d.aggregators, d.quorum) = (document(5, 2).aggregators, 4));
    assert_eq!(fifth, Ok(()));
    assert_eq!(floor.registrar, registrar().verifying_key().fingerprint().to_string());
}

fn weaker(what: &'static str, found: usize, wanted: usize) -> FloorError {
    FloorError::Weaker { what, found, wanted }
}

/// Each number may grow and not shrink.
#[test]
fn refuses_every_downgrade() {
    let fewer = |d: &mut RosterDocument| drop(d.aggregators.pop());
    assert_eq!(next(fewer), Err(weaker("number of aggregators", 3, 4)));
    assert_eq!(next(|d| d.threshold = 1), Err(weaker("threshold", 1, 2)));
    let quorum = |q: usize| {
        let (mut floor, roster) = pinned();
        floor.quorum = q;
        floor.admits(&roster, NOW)
    };
    assert_eq!(quorum(4), Err(weaker("quorum", 3, 4)));
    assert_eq!(quorum(3), Ok(()));
    assert_eq!(next(|d| d.policy.k = 14), Err(weaker("smallest group", 14, 15)));
    assert_eq!(next(|d| d.policy.bill_days = 27), Err(weaker("shortest bill in days", 27, 28)));
    assert_eq!(next(|d| d.policy.coverage = 0), Err(weaker("coverage in thousandths", 0, 950)));
    assert_eq!(next(|d| d.policy.smallest_cell = 24), Err(weaker("smallest cell", 24, 25)));
}

/// A suite that was not pinned is refused, also in an older key of a list.
#[test]
fn refuses_other_suites() {
    let post_quantum =
        BoxKey { key: opener(2, Suite::XWing).sealing_key(), not_after: Timestamp(1_800_000_000) };
    let refused = next(|d| d.aggregators[1].box_keys.insert(0, post_quantum));
    assert_eq!(refused, Err(FloorError::Suite { aggregator: "agg-2".to_owned(), suite: Suite::XWing }));
}

/// Before and after its validity a roster is not sealed under.
#[test]
fn refuses_an_expired_roster() {
    let (floor, roster) = pinned();
    for now in [0, 1_699_999_999, 1_800_000_000, u64::MAX].map(Timestamp) {
        assert_eq!(floor.admits(&roster, now), Err(FloorError::Expired { now }));
    }
    let ended = next(|d| d.valid_to = NOW);
    assert_eq!(ended, Err(FloorError::Expired { now: NOW }));
}

/// A chain takes the successor of its last roster, once, and nothing else; what changes more than validity and box keys is none.
#[test]
fn a_chain_takes_successors_only() {
    let (_, first) = pinned();
    let after = |change: &dyn Fn(&mut RosterDocument)| {
        let mut document = document(4, 2);
        (document.epoch, document.previous) = (4, Some(first.hash()));
        change(&mut document);
        let mut chain = Chain::new(first.clone());
        let taken = chain.follow(assembled(document).unwrap());
        taken.map(|new| (new, chain.all().count()))
    };
    let newer = BoxKey { key: opener(9, Suite::XWing).sealing_key(), not_after: Timestamp(1_900_000_000) };
    assert_eq!(after(&|d| d.valid_to = Timestamp(1_900_000_000)).unwrap(), (true, 2));
    assert_eq!(after(&|d| d.aggregators[2].box_keys = vec![newer.clone()]).unwrap(), (true, 2));
    assert_eq!(after(&|d| d.utility.box_key = newer.key.clone()).unwrap(), (true, 2));
    assert_eq!(after(&|d| *d = document(4, 2)).unwrap(), (false, 1), "it is in force already");
    assert!(matches!(after(&|d| d.epoch = 2), Err(ChainError::Older { found: 2, current: 3 })));
    assert!(matches!(after(&|d| d.epoch = 3), Err(ChainError::Fork { found: 3, current: 3, .. })));
    assert!(matches!(after(&|d| d.previous = None), Err(ChainError::Fork { previous: None, .. })));
    let changed = |change: &dyn Fn(&mut RosterDocument)| match after(change) {
        Err(ChainError::Changed { found: 4, what }) => what,
        other => panic!("{other:?}"),
    };
    assert_eq!(changed(&|d| d.deployment = "other".parse().unwrap()), Changed::Deployment);
    let fifth = |d: &mut RosterDocument| (d.aggregators, d.quorum) = (document(5, 2).aggregators, 4);
    assert_eq!(changed(&fifth), Changed::Aggregators);
    assert_eq!(changed(&|d| d.aggregators[0].id = "other".parse().unwrap()), Changed::Aggregators);
    let exchanged = |d: &mut RosterDocument| {
        let (one, two) = (d.aggregators[0].id.clone(), d.aggregators[1].id.clone());
        (d.aggregators[0].id, d.aggregators[1].id) = (two, one);
    };
    assert_eq!(changed(&exchanged), Changed::Aggregators);
    // agg-4 goes to point 5, with the key of that point
    let elsewhere = |d: &mut RosterDocument| {
        d.aggregators[3].point = point(5);
        d.aggregators[3].key = signer(5).verifying_key();
    };
    assert_eq!(changed(&elsewhere), Changed::Aggregators);
    // a registrar can't hand the meters to strangers: agg-5 to agg-8 at points 5 to 8 instead of the last ones
    for count in 1..=4 {
        let strangers = |d: &mut RosterDocument| {
            d.aggregators.truncate(4 - count);
            d.aggregators.extend(document(8, 2).aggregators.into_iter().skip(4).take(count));
        };
        assert_eq!(changed(&strangers), Changed::Aggregators);
    }
    let mut rekeyed = document(4, 2);
    (rekeyed.epoch, rekeyed.previous) = (4, Some(first.hash()));
    rekeyed.aggregators[1].key = signer(8).verifying_key();
    let keys = [1, 8, 3, 4].map(signer);
    let accepting: Vec<_> = Point::first(4).into_iter().zip(&keys).collect();
    let rekeyed = assemble(rekeyed, &registrar(), &accepting).unwrap();
    let error = Chain::new(first.clone()).follow(rekeyed).unwrap_err();
    assert!(matches!(error, ChainError::Changed { what: Changed::Aggregators, .. }), "{error}");
    assert!(matches!(after(&|d| d.previous = Some(Hash::from([0xaa; 32]))), Err(ChainError::Fork { .. })));
    assert_eq!(changed(&|d| d.utility.key = signer(9).verifying_key()), Changed::Utility);
    assert_eq!(changed(&|d| d.quorum = 4), Changed::Numbers);
    assert_eq!(changed(&|d| d.slot = SlotLength::try_from(900).unwrap()), Changed::Slot);
    assert_eq!(changed(&|d| d.policy.k += 1), Changed::Policy);
}

/// A document is opened under the roster that it was signed under, whichever of the chain it is, and says so; a chain is
/// taken up from its rosters in order only.
#[test]
fn a_chain_opens_what_any_of_its_rosters_signed() {
    let (_, first) = pinned();
    let mut next = document(4, 2);
    (next.epoch, next.previous) = (4, Some(first.hash()));
    let next = assembled(next).unwrap();
    let stranger = assembled(RosterDocument { previous: None, ..document(4, 2) }).unwrap();
    let stored = [first.bytes().to_vec(), next.bytes().to_vec()];
    let key = registrar().verifying_key();
    let chain = Chain::read(&stored, &key).unwrap().unwrap();
    assert_eq!(chain.current(), &next);
    assert_eq!((chain.of_epoch(3), chain.of_epoch(5)), (Some(&first), None));
    assert!(Chain::read(&[], &key).unwrap().is_none());
    assert!(matches!(
        Chain::read(&[stored[1].clone(), stored[0].clone()], &key),
        Err(ChainError::Older { .. })
    ));
    let said = |roster: &Roster| {
        let vote = Signed::sign(crate::samples::vote(), &signer(2), &roster.context());
        let cut = Signed::sign(crate::samples::cut(), &crate::deployment::utility(), &roster.context());
        let vote = chain.open_peer::<Vote>(vote.bytes(), |vote| vote.point).ok();
        let cut = chain.open_utility::<Cut>(cut.bytes()).ok();
        (vote.map(|vote| chain.of(&vote).clone()), cut.map(|cut| chain.of(&cut).clone()))
    };
    assert_eq!(said(&first), (Some(first.clone()), Some(first.clone())));
    assert_eq!(said(&next), (Some(next.clone()), Some(next.clone())));
    assert_eq!(said(&stranger), (None, None));
}
