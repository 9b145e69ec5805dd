//! Known answers of mode `levelled`.

use protocol::id::Hash;
use protocol::levelled::blob::Blob;
use protocol::levelled::contribution::{Contribution, Round, Step, commitment};
use protocol::levelled::direction::Direction;
use protocol::levelled::function::{Function, release_hash};
use protocol::levelled::key::{CollectiveKey, KeyBundle};
use protocol::levelled::plan::Plan;
use protocol::levelled::reply::{Reply, ReplyStep};
use protocol::levelled::upload::{Taken, Upload};
use protocol::rule::Rule;
use protocol::signature::Signed;
use protocol::wire;

use super::{deployment, hex, is, levelled_messages as messages, sha256};
use crate::deployment::{meter_key, point, signer, utility};
use crate::samples;

/// A plan, whose hash names the key.
#[test]
fn plan() {
    let (_, context) = deployment();
    is::<Plan>(samples::plan(), messages::PLAN, &utility(), &context);
    let key = "e6d9c007767012e3c0379ef565bf491db0629f02f8df5c9b20652e206380c615";
    assert_eq!(Signed::sign(samples::plan(), &utility(), &context).hash().to_string(), key);
}

/// Contributions of all four kinds, and the commitment of the first.
#[test]
fn contributions() {
    let (deployment, context) = deployment();
    let first = Step::Commit(Round::Seed, Hash::from([0xc0; 32]));
    for (step, digits) in [
        (first, messages::COMMIT),
        (Step::Reveal(Round::First, samples::blob()), messages::REVEAL),
        (Step::Deal(point(3), samples::blob()), messages::DEAL),
        (samples::made(), messages::MADE),
    ] {
        let contribution: Contribution = (*samples::contribution(&deployment, step)).clone();
        is::<Contribution>(contribution, digits, &signer(2), &context);
    }
    let (key, seed) = (Hash::from([0x9e; 32]), [0x5e; 32]);
    let committed = commitment(&key, point(2), Round::Seed, &seed);
    assert_eq!(committed, sha256("commitment", &[key.as_bytes(), &[2, 1], &seed]));
    assert_eq!(Blob::of(&seed), Blob { hash: sha256("part", &[&seed]), len: 32 });
}

/// A collective key: the plan and everybody's word; it opens to the public key that they name.
#[test]
fn key_bundle() {
    let (deployment, _) = deployment();
    let bytes = hex(messages::BUNDLE);
    assert_eq!(wire::encode(&samples::key_bundle(&deployment)), bytes);
    assert_eq!(wire::decode::<KeyBundle>(&bytes).unwrap(), samples::key_bundle(&deployment));
    let key = CollectiveKey::open(&bytes, &deployment.roster).unwrap();
    assert_eq!((key.public, key.relin), (samples::blob(), Hash::from([0x4e; 32])));
    assert_eq!(*key.plan, samples::plan());
}

/// A meter's upload, and an aggregator's word for it.
#[test]
fn upload_and_word() {
    let (_, context) = deployment();
    is::<Upload>(samples::upload(), messages::UPLOAD, &meter_key(1), &context);
    is::<Taken>(samples::taken(), messages::WORD, &signer(1), &context);
}

/// The three directions of a release.
#[test]
fn directions() {
    let (deployment, context) = deployment();
    is::<Direction>(samples::levelled_ask(), messages::ASK, &utility(), &context);
    is::<Direction>(samples::levelled_cut(), messages::CUT, &utility(), &context);
    is::<Direction>(samples::levelled_open(&deployment), messages::OPEN, &utility(), &context);
}

/// The four replies of a release; the utility opens the answer.
#[test]
fn replies() {
    let (deployment, context) = deployment();
    let answer = samples::levelled_answer(&deployment);
    assert_eq!(
        answer.open(point(2), &deployment.sink, &deployment.roster).unwrap(),
        samples::opened_answer()
    );
    for (step, digits) in [
        (ReplyStep::Holdings(samples::sets()), messages::HOLDINGS),
        (ReplyStep::Refused(Rule::MemberSet), messages::REFUSED),
        (ReplyStep::Vote(Hash::from([0xcc; 32])), messages::VOTE),
        (ReplyStep::Answer(answer), messages::ANSWER),
    ] {
        let reply: Reply = (*samples::replied(&deployment, step)).clone();
        is::<Reply>(reply, digits, &signer(2), &context);
    }
}

/// Every function has one name on the wire, and a ledger knows releases by these hashes.
#[test]
fn functions() {
    for (function, digits) in [
        (Function::Sum, "6353756d"),
        (Function::Mean, "644d65616e"),
        (Function::Variance, "6856617269616e6365"),
        (Function::TimeVariance, "6c54696d6556617269616e6365"),
        (Function::Max, "634d6178"),
        (Function::Min, "634d696e"),
        // {"Weighted": [30000, 1048576]}
        (Function::Weighted(vec![30_000, 1 << 20]), "a1685765696768746564821975301a00100000"),
        // {"Forecast": [65536, -1]}
        (Function::Forecast(vec![65_536, -1]), "a168466f726563617374821a0001000020"),
    ] {
        assert_eq!(wire::encode(&function), hex(digits), "{}", function.name());
        assert_eq!(wire::decode::<Function>(&hex(digits)).unwrap(), function);
    }
    let subjects = [];
    // ["Sum", []]
    assert_eq!(release_hash(&Function::Sum, &subjects), sha256("levelled", &[&hex("826353756d80")]));
}
