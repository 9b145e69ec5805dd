//! Bad messages of mode `levelled`: numbers out of range, keys that not everybody stands for, answers in another's place.

use protocol::id::Hash;
use protocol::levelled::blob::Blob;
use protocol::levelled::contribution::{Contribution, Round, Step};
use protocol::levelled::direction::Direction;
use protocol::levelled::function::Function;
use protocol::levelled::key::{CollectiveKey, KeyBundle};
use protocol::levelled::plan::Plan;
use protocol::levelled::reply::{Answer, AnswerError, Opened, Reply, ReplyStep};
use protocol::levelled::upload::{Taken, Upload};
use protocol::rule::Rule;
use protocol::signature::Signed;
use protocol::wire;
use serde_bytes::ByteBuf;

use super::{decodes, with};
use crate::deployment::{Deployment, meter_key, point, signer, slots, stream};
use crate::samples;

/// Profiles, rounds, points, rules and weights are what there are; slots run forwards.
#[test]
fn numbers_out_of_range_are_refused() {
    let deployment = samples::deployment();
    let first = |step| (*samples::contribution(&deployment, step)).clone();
    let commit = first(Step::Commit(Round::Seed, Hash::from([0xc0; 32])));
    let deal = first(Step::Deal(point(3), samples::blob()));
    let reply = (*samples::replied(&deployment, ReplyStep::Refused(Rule::MemberSet))).clone();
    for number in 0..=300_u64 {
        assert_eq!(decodes::<Plan>(&with(&samples::plan(), "1", number)), (1..=4).contains(&number));
        let round = decodes::<Contribution>(&with(&commit, "2.Commit.0", number));
        assert_eq!(round, (1..=3).contains(&number), "round {number}");
        let is_point = (1..=10).contains(&number);
        assert_eq!(decodes::<Contribution>(&with(&commit, "1", number)), is_point, "by {number}");
        assert_eq!(decodes::<Contribution>(&with(&deal, "2.Deal.0", number)), is_point, "to {number}");
        assert_eq!(decodes::<Taken>(&with(&samples::taken(), "0", number)), is_point, "word of {number}");
        assert_eq!(decodes::<Reply>(&with(&reply, "1", number)), is_point, "reply of {number}");
        let open = samples::levelled_open(&deployment);
        assert_eq!(decodes::<Direction>(&with(&open, "1.Open.1.0", number)), is_point, "opened by {number}");
        let rule = Rule::ALL.iter().any(|rule| u64::from(u8::from(*rule)) == number);
        assert_eq!(decodes::<Reply>(&with(&reply, "2.Refused", number)), rule, "rule {number}");
        assert_eq!(decodes::<Taken>(&with(&samples::taken(), "3.0.1", number)), rule, "rule {number}");
    }
    for (path, bits) in [("2", 32), ("3", 16), ("4", 16), ("5", 8), ("6", 8)] {
        assert!(decodes::<Plan>(&with(&samples::plan(), path, (1_u64 << bits) - 1)), "plan, field {path}");
        assert!(!decodes::<Plan>(&with(&samples::plan(), path, 1_u64 << bits)), "plan, field {path}");
    }
    let upload = Upload { slots: slots(5, 7), ..samples::upload() };
    for (end, fits) in [(7_u64, true), (6, true), (5, false), (4, false), (0, false), (1 << 32, false)] {
        assert_eq!(decodes::<Upload>(&with(&upload, "2.1", end)), fits, "upload of 5..{end}");
    }
    assert!(!decodes::<Upload>(&with(&upload, "3.1", 1_u64 << 32)), "a ciphertext of 4 GiB");
    for (weight, fits) in [
        (b"\x1a\x7f\xff\xff\xff", true),
        (b"\x1a\x80\x00\x00\x00", false),
        (b"\x3a\x7f\xff\xff\xff", true),
        (b"\x3a\x80\x00\x00\x00", false),
    ] {
        // {"Forecast": [weight]}
        let forecast = [&b"\xa1\x68Forecast\x81"[..], weight].concat();
        assert_eq!(decodes::<Function>(&forecast), fits, "{weight:x?}");
    }
    for bad in
        [&b"\x63sum"[..], b"\x66Median", b"\xa1\x63Sum\xf6", b"\xa1\x63Max\x80", b"\x68Weighted", b"\x00"]
    {
        assert!(!decodes::<Function>(bad), "{bad:x?}");
    }
}

/// A collective key stands only if every aggregator says the same of the utility's plan.
#[test]
fn keys_that_somebody_does_not_stand_for_are_refused() {
    let deployment = samples::deployment();
    let (roster, context) = (&deployment.roster, deployment.roster.context());
    let good = samples::key_bundle(&deployment);
    let open = |bundle: &KeyBundle| {
        CollectiveKey::open(&wire::encode(bundle), roster).map(|_| ()).map_err(|refusal| refusal.rule)
    };
    assert_eq!(open(&good), Ok(()));
    let said = |i: usize, step: Step, plan: &Plan| {
        let key = Signed::sign(plan.clone(), &deployment.utility, &context).hash();
        let signed = Signed::sign(Contribution { key, point: point(i), step }, &signer(i), &context);
        ByteBuf::from(signed.into_bytes())
    };
    let third = |third: ByteBuf| KeyBundle(good.0.clone(), vec![good.1[0].clone(), good.1[1].clone(), third]);
    assert_eq!(open(&third(said(3, samples::made(), &samples::plan()))), Ok(()), "the bundle itself");
    let other = Step::Made(Blob::of(b"another key"), Hash::from([0x4e; 32]));
    assert_eq!(open(&third(said(3, other, &samples::plan()))), Err(Rule::Making), "another public key");
    let other = Step::Made(samples::blob(), Hash::from([0x4f; 32]));
    assert_eq!(
        open(&third(said(3, other, &samples::plan()))),
        Err(Rule::Making),
        "another relinearisation key"
    );
    let other = Plan { window: 95, ..samples::plan() };
    assert_eq!(open(&third(said(3, samples::made(), &other))), Err(Rule::Making), "of another plan");
    let commit = Step::Commit(Round::Seed, Hash::from([1; 32]));
    assert_eq!(open(&third(said(3, commit, &samples::plan()))), Err(Rule::Making), "another step");
    assert_eq!(open(&third(good.1[1].clone())), Err(Rule::Making), "one of them twice");
    let mut missing = good.clone();
    missing.1.pop();
    assert_eq!(open(&missing), Err(Rule::Making), "one missing");
    // aggregator 3's word by aggregator 2's key
    let key = Signed::sign(samples::plan(), &deployment.utility, &context).hash();
    let forged = Contribution { key, point: point(3), step: samples::made() };
    let forged = Signed::sign(forged, &signer(2), &context).into_bytes();
    assert_eq!(open(&third(forged.into())), Err(Rule::NotTheAggregator), "signed by another");
    let planned = Signed::sign(samples::plan(), &signer(1), &context).into_bytes();
    assert_eq!(open(&KeyBundle(planned.into(), good.1.clone())), Err(Rule::NotTheUtility), "another's plan");
    let next = Deployment::with(3, 2, |document| document.epoch = 4);
    assert!(CollectiveKey::open(&wire::encode(&good), &next.roster).is_err(), "another roster");
}

/// An answer opens for the cut, the active set, the aggregator and the roster that it was sealed for.
#[test]
fn answers_in_anothers_place_do_not_open() {
    let deployment = samples::deployment();
    let (roster, sink) = (&deployment.roster, &deployment.sink);
    let good = samples::levelled_answer(&deployment);
    assert!(good.open(point(2), sink, roster).is_ok());
    let fails = |what: &str, answer: &Answer, by: usize, roster| {
        let opened = answer.open(point(by), sink, roster);
        assert!(matches!(opened, Err(AnswerError::Box(_))), "{what}: {opened:?}");
    };
    fails("another aggregator's", &good, 1, roster);
    fails("another cut", &Answer { cut: Hash::from([0xcd; 32]), ..good.clone() }, 2, roster);
    fails("another set", &Answer { members: vec![point(2), point(3)], ..good.clone() }, 2, roster);
    fails("a smaller set", &Answer { members: vec![point(2)], ..good.clone() }, 2, roster);
    let next = Deployment::with(3, 2, |document| document.epoch = 4);
    fails("another roster", &good, 2, &next.roster);
    // a box that opens and holds no answer
    let aad = [&roster.hash().as_bytes()[..], good.cut.as_bytes(), &[1, 2, 2]].concat();
    let key = &roster.document().utility.box_key;
    for (plain, fits) in [
        (wire::encode(&samples::opened_answer()), true),
        (b"\x82\x46result".to_vec(), false),
        (b"\x83\x41a\x41b\x41c".to_vec(), false),
        (Vec::new(), false),
    ] {
        let sealed = key.seal(b"wv/1 levelled answer", &aad, &plain, &mut stream(9)).unwrap();
        let opened: Result<Opened, _> = Answer { sealed, ..good.clone() }.open(point(2), sink, roster);
        assert_eq!(opened.is_ok(), fits, "{plain:x?}");
    }
}

/// An upload is its meter's alone, under its roster.
#[test]
fn uploads_of_another_key_are_forged() {
    let deployment = samples::deployment();
    let context = deployment.roster.context();
    let forged = Signed::sign(samples::upload(), &meter_key(2), &context);
    assert!(Signed::<Upload>::open(forged.bytes(), &meter_key(1).verifying_key(), &context).is_err());
    let good = Signed::sign(samples::upload(), &meter_key(1), &context);
    assert!(Signed::<Upload>::open(good.bytes(), &meter_key(1).verifying_key(), &context).is_ok());
    let next = Deployment::with(3, 2, |document| document.epoch = 4).roster.context();
    assert!(Signed::<Upload>::open(good.bytes(), &meter_key(1).verifying_key(), &next).is_err());
}
