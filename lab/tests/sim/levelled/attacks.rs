//! What is asked, sent or answered against the rules is refused, and gives nothing.

use super::{WINDOW, World, curve, gate, make_key, open, refused, scene, uploads};
use grid::levelled::encryptor::Encryptor;
use grid::levelled::setup::Setup;
use lab::levelled::{FIRST, Scene, subject};
use lab::world::Villainy;
use lab::world::network::{Message, Name};
use protocol::id::{Hash, MeterId, QueryId};
use protocol::levelled::blob::Blob;
use protocol::levelled::direction::{Ask, Direction, DirectionStep, Open};
use protocol::levelled::function::{Function, Member};
use protocol::levelled::plan::Profile;
use protocol::levelled::reply::{Answer, Opened, Reply, ReplyStep};
use protocol::levelled::upload::Upload;
use protocol::part::Assembly;
use protocol::roster::assemble;
use protocol::rule::Rule;
use protocol::shamir::Point;
use protocol::signature::{Signed, Unverified};
use protocol::topic::{Channel, LevelledChannel, Outgoing, Role, Topic};
use protocol::unit::{Slot, SlotRange, WattHours};
use protocol::wire;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use serde_bytes::ByteBuf;
use store::{Store as _, Table};
use utility_sink::sink::levelled::finding::wrong_sets_of;

fn town() -> (World, Hash) {
    let mut world = open(Scene { profile: Profile::Light, ..scene() });
    let key = make_key(&mut world);
    (world, key)
}

fn topic(world: &World, channel: LevelledChannel) -> Topic {
    Channel::Levelled(channel).of(&world.deployment.roster.document().deployment)
}

/// Publishes what the utility signs, without its own checks.
fn direct(world: &mut World, request: u8, step: DirectionStep) -> Hash {
    let direction = Direction { request: QueryId::from([request; 16]), step };
    let signed = Signed::sign(direction, &world.deployment.utility, &world.deployment.roster.context());
    let topic = topic(world, LevelledChannel::Direction);
    world.publish(Name::Sink, Outgoing::parts(&topic, signed.bytes()));
    world.idle(2);
    signed.hash()
}

/// What the aggregators replied to a request.
fn replies(world: &World, request: u8) -> Vec<Signed<Reply>> {
    let (mut assembly, mut found) = (Assembly::default(), Vec::new());
    for Message { topic, payload } in &world.witness.0 {
        if !topic.contains("levelled/reply/") {
            continue;
        }
        let Ok(Some(document)) = assembly.take(topic, payload) else { continue };
        let claim = Unverified::<Reply>::parse(&document).unwrap();
        if claim.claim().request == QueryId::from([request; 16]) {
            found.push(world.deployment.roster.open_peer(&document, |reply: &Reply| reply.point).unwrap());
        }
    }
    found
}

fn votes(world: &World, request: u8) -> usize {
    replies(world, request).iter().filter(|reply| matches!(reply.step, ReplyStep::Vote(_))).count()
}

fn sum(key: Hash, window: u32) -> DirectionStep {
    DirectionStep::Ask(Ask { key, function: Function::Sum, subjects: vec![subject(1, window)] })
}

fn holdings(world: &World, request: u8) -> Vec<Member> {
    let found = replies(world, request).into_iter().find_map(|reply| match &reply.step {
        ReplyStep::Holdings(sets) => Some(sets[0].clone()),
        _ => None,
    });
    found.unwrap()
}

/// One aggregator that decrypts its part wrongly is noticed and makes no value wrong; where results are opened once only, it does.
#[test]
fn a_wrong_decryption_is_noticed() {
    for confirm in [true, false] {
        let mut world = open(Scene { profile: Profile::Light, homes: 3, confirm, ..scene() });
        let key = make_key(&mut world);
        let liar = liar(&world);
        world.villainies.push(liar);
        let id = world.ask(key, &Function::Sum, &[subject(1, 0)]).unwrap();
        world.until("the values", |world| world.finding(id).is_some()).unwrap();
        let finding = world.finding(id).unwrap();
        let curve = curve(&world, 1, 0);
        let right = finding
            .values
            .iter()
            .zip(&curve)
            .all(|(value, wanted)| (value - wanted).abs() < 6.0 * finding.error);
        assert_eq!(right, confirm, "{:?} and not {curve:?}", finding.values);
        let wrong = wrong_sets_of(id, &world.parties[&Name::Sink].store).unwrap();
        let liar = Point::try_from(1).unwrap();
        assert_eq!(wrong.is_empty(), !confirm);
        assert!(wrong.iter().all(|set| set.contains(&liar)), "{wrong:?}");
    }
}

/// Aggregator 1 decrypts wrongly: it adds an eighth of full scale to every slot. The utility hears no vote of aggregator 4, so that
/// aggregators 1 and 2 are the first to be asked.
fn liar(world: &World) -> Villainy {
    let (sink, roster) = (world.deployment.sink_identity(), world.deployment.roster.clone());
    let (key, setup) = (world.deployment.aggregators[0].key.clone(), Setup::new(&world.plan()).unwrap());
    let (mut assembly, mut rng) = (Assembly::default(), ChaCha20Rng::seed_from_u64(7));
    gate(move |from, send| {
        let topic = send.topic.to_string();
        let theirs = matches!(from, Name::Aggregator(0 | 3)) && topic.contains("levelled/reply/");
        if !theirs {
            return vec![send.clone()];
        }
        let Ok(Some(document)) = assembly.take(&topic, &send.payload) else { return Vec::new() };
        let reply = roster.open_peer(&document, |reply: &Reply| reply.point).unwrap();
        let answer = match (&reply.step, from) {
            (ReplyStep::Vote(_), Name::Aggregator(3)) => return Vec::new(),
            (ReplyStep::Answer(answer), Name::Aggregator(0)) => answer,
            _ => return Outgoing::parts(&send.topic, reply.bytes()),
        };
        let opened = answer.open(reply.point, &sink.box_keys[0], &roster).unwrap();
        let partials = lie(&setup, &opened.partials).into();
        let opened = Opened { partials, ..opened };
        let (cut, members) = (answer.cut, answer.members.clone());
        let answer = Answer::seal(cut, members, reply.point, &opened, &roster, &mut rng).unwrap();
        let reply = Reply { step: ReplyStep::Answer(answer), ..(*reply).clone() };
        let reply = Signed::sign(reply, &key, &roster.context());
        Outgoing::parts(&send.topic, reply.bytes())
    })
}

/// Partial decryptions with an eighth of full scale added: to the constant coefficient, which is all residues in evaluation form.
fn lie(setup: &Setup, partials: &[u8]) -> Vec<u8> {
    let params = setup.params();
    let scale = setup.scale().value(params);
    let delta = 1_u128 << (0..64).find(|log2| 8.0 * 2_f64.powi(*log2) >= scale).unwrap();
    let mut partials: Vec<ByteBuf> = wire::decode_own(partials).unwrap();
    for bytes in &mut partials {
        // 20 bytes of header, one of the level; then the residues, row by row
        let (level, mut bit) = (usize::from(bytes[20]), 8 * 21);
        for index in 0..params.primes_at(level) {
            let q = u64::from(params.prime(index));
            let length = (u64::BITS - q.leading_zeros()) as usize;
            for _ in 0..params.n() {
                let value: u64 =
                    (0..length).map(|i| u64::from(bytes[(bit + i) / 8] >> ((bit + i) % 8) & 1) << i).sum();
                let value = (value + u64::try_from(delta % u128::from(q)).unwrap()) % q;
                for i in 0..length {
                    let mask = 1 << ((bit + i) % 8);
                    bytes[(bit + i) / 8] &= !mask;
                    bytes[(bit + i) / 8] |= if value >> i & 1 == 1 { mask } else { 0 };
                }
                bit += length;
            }
            bit = bit.next_multiple_of(8);
        }
    }
    wire::encode(&partials)
}

/// A set without one of its members, a second set for one (group, window), a function asked twice, and a group below k: no votes.
#[test]
fn nothing_is_there_to_subtract() {
    let (mut world, key) = town();
    let ask = sum(key, 0);
    direct(&mut world, 1, ask.clone());
    let all = holdings(&world, 1);
    assert_eq!(all.len(), 3);
    // a group below k
    direct(&mut world, 1, DirectionStep::Cut(vec![all[..2].to_vec()]));
    assert_eq!((votes(&world, 1), refused(&world, Rule::GroupSize)), (0, true));
    // a member of the other group in the set
    let other = vec![subject(2, 0)];
    direct(&mut world, 2, DirectionStep::Ask(Ask { key, function: Function::Sum, subjects: other }));
    let mut mixed = [&all[..2], &holdings(&world, 2)[..2]].concat();
    mixed.sort_by_key(|member| member.meter);
    direct(&mut world, 1, DirectionStep::Cut(vec![mixed]));
    assert_eq!((votes(&world, 1), refused(&world, Rule::ForeignGroup)), (0, true));
    // one member twice
    let mut twice = all.clone();
    twice.push(all[2].clone());
    direct(&mut world, 1, DirectionStep::Cut(vec![twice]));
    assert_eq!(votes(&world, 1), 0);
    // a member without a part of its window
    let mut part = all.clone();
    part[0].uploads.pop();
    direct(&mut world, 1, DirectionStep::Cut(vec![part]));
    assert_eq!((votes(&world, 1), refused(&world, Rule::MemberSet)), (0, true));
    // the set as it is
    direct(&mut world, 1, DirectionStep::Cut(vec![all.clone()]));
    assert_eq!(votes(&world, 1), 4);
    // the same function again, and another cut in the same release
    direct(&mut world, 3, ask);
    assert_eq!(holdings(&world, 3), all);
    direct(&mut world, 3, DirectionStep::Cut(vec![all]));
    assert_eq!((votes(&world, 3), refused(&world, Rule::AlreadyReleased)), (0, true));
}

/// Once a set is fixed for a group and window, another function of it gets no other set - of a larger group, so that k is no help.
#[test]
fn one_group_and_window_has_one_set() {
    let scene = Scene { profile: Profile::Light, homes: 4, group: 4, ..scene() };
    let mut world = open(scene);
    let key = make_key(&mut world);
    let ask = sum(key, 0);
    direct(&mut world, 1, ask);
    let all = holdings(&world, 1);
    assert_eq!(all.len(), 4);
    direct(&mut world, 1, DirectionStep::Cut(vec![all.clone()]));
    assert_eq!(votes(&world, 1), 4);
    let mean = Ask { key, function: Function::Mean, subjects: vec![subject(1, 0)] };
    direct(&mut world, 2, DirectionStep::Ask(mean));
    direct(&mut world, 2, DirectionStep::Cut(vec![all[1..].to_vec()]));
    assert_eq!((votes(&world, 2), refused(&world, Rule::MemberSet)), (0, true));
    // also under a second key: the slots are in a release already
    let nonce = QueryId::from([8; 16]);
    let plan = protocol::levelled::plan::Plan { nonce, ..world.plan() };
    let second = world.plan_key(plan).unwrap();
    world.until("the second key", |world| world.sink().has_key(&second)).unwrap();
    let before = world.refusals.len();
    let ask = sum(second, 0);
    direct(&mut world, 3, ask);
    direct(&mut world, 3, DirectionStep::Cut(vec![all[1..].to_vec()]));
    assert_eq!(votes(&world, 3), 0);
    assert!(world.refusals.len() > before);
    // and the curve of these slots is not released on the share path either
    let meters: Vec<_> = world.deployment.meters.iter().map(|keys| keys.meter).collect();
    let group = world.deployment.meters[0].group.clone();
    let slots =
        SlotRange::new(Slot(FIRST * u32::from(WINDOW)), Slot((FIRST + 1) * u32::from(WINDOW))).unwrap();
    for index in 0..4 {
        let store = &world.parties[&Name::Aggregator(index)].store;
        let taken = store::entries(Table("taken"), store).unwrap();
        assert_eq!(taken.len(), meters.len(), "{group} {slots}");
    }
}

/// An opening without a quorum's votes, of a cut that was not voted for, or by no active set, is refused; a retry gives the same bytes.
#[test]
fn nothing_is_opened_without_a_certificate() {
    let (mut world, key) = town();
    let ask = sum(key, 0);
    direct(&mut world, 1, ask);
    let all = holdings(&world, 1);
    let cut = direct(&mut world, 1, DirectionStep::Cut(vec![all]));
    let voted: Vec<_> = replies(&world, 1)
        .into_iter()
        .filter(|reply| reply.step == ReplyStep::Vote(cut))
        .map(|vote| ByteBuf::from(vote.into_bytes()))
        .collect();
    let point = |i: u8| Point::try_from(i).unwrap();
    let answers = |world: &World| {
        let all = replies(world, 1).into_iter();
        all.filter(|reply| matches!(reply.step, ReplyStep::Answer(_))).collect::<Vec<_>>()
    };
    let open = |members: &[u8], votes: &[ByteBuf], cut: Hash| {
        let members = members.iter().map(|i| point(*i)).collect();
        DirectionStep::Open(Open { cut, members, votes: votes.to_vec() })
    };
    let forged = Hash::from([1; 32]);
    let doubled = [voted[0].clone(), voted[0].clone(), voted[1].clone()];
    for (members, votes, cut) in [
        (&[1, 2][..], &voted[..2], cut),
        (&[1, 2], &doubled[..], cut),
        (&[1, 2], &voted[..], forged),
        (&[1], &voted[..], cut),
        (&[2, 1], &voted[..], cut),
        (&[1, 2, 3], &voted[..], cut),
        (&[1, 9], &voted[..], cut),
    ] {
        direct(&mut world, 1, open(members, votes, cut));
        assert!(answers(&world).is_empty(), "{members:?} with {} votes", votes.len());
    }
    direct(&mut world, 1, open(&[1, 2], &voted, cut));
    assert_eq!(answers(&world).len(), 2);
    direct(&mut world, 1, open(&[1, 2], &voted, cut));
    let again = answers(&world);
    assert_eq!(again.len(), 4);
    for answer in &again {
        assert_eq!(again.iter().filter(|other| other.bytes() == answer.bytes()).count(), 2, "byte for byte");
    }
    // another set gives other bytes, and is independent of the first
    direct(&mut world, 1, open(&[1, 3], &voted, cut));
    let third = answers(&world);
    assert_eq!(third.len(), 6);
    assert!(third[4..].iter().all(|answer| again.iter().all(|other| other.bytes() != answer.bytes())));
}

/// A key is used for as many openings as it was planned for.
#[test]
fn keys_are_exhausted() {
    let mut world = open(Scene { profile: Profile::Light, log_openings: 0, homes: 3, ..scene() });
    let key = make_key(&mut world);
    let subject = [subject(1, 0)];
    world.find(key, &Function::Sum, &subject).unwrap();
    let id = world.ask(key, &Function::Mean, &subject).unwrap();
    world.idle(60);
    // two sets of two have opened one result each: nobody of them opens another
    assert!(refused(&world, Rule::Exhausted));
    let opened = world.finding(id);
    assert!(opened.is_none_or(|finding| finding.opened_by == [3, 4].map(|i| Point::try_from(i).unwrap())));
}

/// Uploads that are forged, copied, transparent, of other parameters, of another length, or for slots that are held.
#[test]
fn bad_uploads_are_refused() {
    let (mut world, key) = town();
    let plan = world.plan();
    let setup = Setup::new(&plan).unwrap();
    let meter = world.deployment.meters[0].meter;
    let store = &world.parties[&Name::Meter(0)].store;
    let public = store::entries(Table("levelled-public"), store).unwrap().remove(0).1;
    let encryptor = Encryptor::new(setup, &public).unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    // a window that no meter has uploaded
    let slots = |window: u32, len: u32| {
        let first = (FIRST + window) * u32::from(WINDOW);
        SlotRange::new(Slot(first), Slot(first + len)).unwrap()
    };
    let good = encryptor.encrypt(0, &[WattHours(5); 4], &mut rng).unwrap();
    let mut transparent = good.clone();
    let second = transparent.len() - 4_096 * (19 + 18 + 30) / 8;
    transparent[second..].fill(0);
    // the hash of the parameters is in bytes 4 to 19
    let mut foreign = good.clone();
    foreign[4] ^= 1;
    let stale = {
        let plan = protocol::levelled::plan::Plan { window: 1_024, ..plan };
        let other = Encryptor::new(Setup::new(&plan).unwrap(), &public).unwrap();
        other.encrypt(0, &[WattHours(5)], &mut rng).unwrap()
    };
    let mut long = good.clone();
    long.extend([0; 200]);
    let copied = {
        let blob =
            store::entries(Table("levelled-copy"), &world.parties[&Name::Aggregator(0)].store).unwrap();
        let name = blob[0].0.clone();
        let store = &world.parties[&Name::Aggregator(0)].store;
        store::Store::get(store, Table("levelled-blob"), &name).unwrap().unwrap()
    };
    let held = slots(0, 4);
    let before = uploads(&world, 0);
    let cases = [
        (Rule::Ciphertext, slots(5, 4), transparent, 0),
        (Rule::Ciphertext, slots(6, 4), foreign, 0),
        (Rule::Ciphertext, slots(6, 4), stale, 0),
        (Rule::Ciphertext, slots(7, 4), long, 0),
        (Rule::Copied, slots(8, 4), copied, 0),
        (Rule::Equivocation, held, good.clone(), 0),
        (Rule::Window, slots(9, u32::from(WINDOW) + 1), good.clone(), 0),
        (Rule::Forged, slots(10, 4), good.clone(), 1),
    ];
    for (rule, slots, ciphertext, signer) in cases {
        world.refusals.clear();
        let upload = Upload { key, meter, slots, ciphertext: Blob::of(&ciphertext) };
        let signed =
            Signed::sign(upload, &world.deployment.meters[signer].key, &world.deployment.roster.context());
        let head = topic(&world, LevelledChannel::Upload(meter));
        let data = topic(&world, LevelledChannel::Data(Role::Meter, meter.to_string()));
        let mut sends = vec![Outgoing::new(head, signed.into_bytes())];
        sends.extend(Blob::parts(&ciphertext).into_iter().map(|part| Outgoing::new(data.clone(), part)));
        world.publish(Name::Meter(0), sends);
        world.idle(2);
        assert!(refused(&world, rule), "{rule} for {slots}: {:?}", world.refusals);
    }
    assert_eq!(uploads(&world, 0), before, "nothing of it is held");
    // and the good one, for slots of its own, is taken
    let upload = Upload { key, meter, slots: slots(11, 4), ciphertext: Blob::of(&good) };
    let signed = Signed::sign(upload, &world.deployment.meters[0].key, &world.deployment.roster.context());
    let head = topic(&world, LevelledChannel::Upload(meter));
    let data = topic(&world, LevelledChannel::Data(Role::Meter, meter.to_string()));
    let mut sends = vec![Outgoing::new(head, signed.into_bytes())];
    sends.extend(Blob::parts(&good).into_iter().map(|part| Outgoing::new(data.clone(), part)));
    world.publish(Name::Meter(0), sends);
    world.idle(2);
    assert_eq!(uploads(&world, 0), before + 1);
    // of two that overlap and are on their way together, one is taken
    let both = [(0, 4), (2, 6)].map(|(from, to)| {
        let first = (FIRST + 12) * u32::from(WINDOW);
        let slots = SlotRange::new(Slot(first + from), Slot(first + to)).unwrap();
        let ciphertext = encryptor.encrypt(from as usize, &[WattHours(5); 4], &mut rng).unwrap();
        let upload = Upload { key, meter, slots, ciphertext: Blob::of(&ciphertext) };
        let keys = &world.deployment.meters[0].key;
        (Signed::sign(upload, keys, &world.deployment.roster.context()), ciphertext)
    });
    world.refusals.clear();
    let head = topic(&world, LevelledChannel::Upload(meter));
    let data = topic(&world, LevelledChannel::Data(Role::Meter, meter.to_string()));
    let heads = both.iter().map(|(upload, _)| Outgoing::new(head.clone(), upload.bytes().to_vec()));
    let parts = both.iter().flat_map(|(_, ciphertext)| Blob::parts(ciphertext));
    let sends = heads.chain(parts.map(|part| Outgoing::new(data.clone(), part))).collect();
    world.publish(Name::Meter(0), sends);
    world.idle(2);
    assert_eq!((uploads(&world, 0), refused(&world, Rule::Equivocation)), (before + 2, true));
}

/// A request of an older roster, named again under the next one, stops no aggregator and gives nothing.
#[test]
fn old_requests_under_a_new_roster_stop_nobody() {
    let (mut world, key) = town();
    let ask = sum(key, 0);
    direct(&mut world, 1, ask);
    let all = holdings(&world, 1);
    direct(&mut world, 1, DirectionStep::Cut(vec![all.clone()]));
    assert_eq!(votes(&world, 1), 4);
    let mut document = world.deployment.roster.document().clone();
    document.epoch += 1;
    document.previous = Some(world.deployment.roster.hash());
    let keys = world.deployment.aggregators.iter();
    let keys: Vec<_> =
        document.aggregators.iter().map(|row| row.point).zip(keys.map(|keys| &keys.key)).collect();
    world.deployment.roster = assemble(document, &world.deployment.registrar, &keys).unwrap();
    for name in (0..4).map(Name::Aggregator) {
        let store = world.parties[&name].store.clone();
        world.restore(name, store);
    }
    world.witness.0.clear();
    world.refusals.clear();
    direct(&mut world, 1, DirectionStep::Cut(vec![all[1..].to_vec()]));
    assert_eq!((votes(&world, 1), refused(&world, Rule::SplitView)), (0, true), "{:?}", world.refusals);
}

/// An aggregator that computes another result is found out: its set gives nothing, the next one does, and it is named.
#[test]
fn a_result_that_differs_is_not_opened() {
    let (mut world, key) = town();
    // aggregator 1 answers with a result of its own making
    let (roster, signer) = (world.deployment.roster.clone(), world.deployment.aggregators[0].key.clone());
    let sink = world.deployment.sink_identity().box_keys.remove(0);
    let mut assembly = Assembly::default();
    world.villainies.push(gate(move |from, send| {
        let text = send.topic.to_string();
        if from == Name::Aggregator(3) && text.contains("levelled/reply/") {
            // so that aggregator 1 is among the voters, and in the first set
            return Vec::new();
        }
        if from != Name::Aggregator(0) || !text.contains("levelled/reply/") {
            return vec![send.clone()];
        }
        let Ok(Some(document)) = assembly.take(&text, &send.payload) else { return Vec::new() };
        let reply = roster.open_peer(&document, |reply: &Reply| reply.point).unwrap();
        let ReplyStep::Answer(answer) = &reply.step else { return Outgoing::parts(&send.topic, &document) };
        let mut opened = answer.open(reply.point, &sink, &roster).unwrap();
        let last = opened.result.len() - 1;
        opened.result[last] ^= 1;
        let mut rng = ChaCha20Rng::seed_from_u64(6);
        let (cut, members) = (answer.cut, answer.members.clone());
        let lie = Answer::seal(cut, members, reply.point, &opened, &roster, &mut rng);
        let lie = Reply { step: ReplyStep::Answer(lie.unwrap()), ..(*reply).clone() };
        Outgoing::parts(&send.topic, Signed::sign(lie, &signer, &roster.context()).bytes())
    }));
    let finding = world.find(key, &Function::Sum, &[subject(1, 0)]).unwrap();
    assert_eq!(finding.differing, [Point::try_from(1).unwrap()]);
    for (value, wanted) in finding.values.iter().zip(curve(&world, 1, 0)) {
        assert!((value - wanted).abs() < 6.0 * finding.error);
    }
}

/// An aggregator restored from a backup, whose vote is not in its ledger any more, opens and votes no more.
#[test]
fn a_restored_ledger_votes_no_more() {
    let (mut world, key) = town();
    let backups: Vec<_> = (0..4).map(|i| world.parties[&Name::Aggregator(i)].store.clone()).collect();
    world.find(key, &Function::Sum, &[subject(1, 0)]).unwrap();
    // the utility says the first release's opening again to one who voted for it
    let (mut assembly, mut opening) = (Assembly::default(), None);
    for Message { topic, payload } in &world.witness.0 {
        if topic.ends_with("levelled/direction")
            && let Ok(Some(document)) = assembly.take(topic, payload)
            && let Ok(direction) = Unverified::<Direction>::parse(&document)
            && let DirectionStep::Open(open) = &direction.claim().step
        {
            let vote = Unverified::<Reply>::parse(&open.votes[0]).unwrap();
            opening = Some((document, usize::from(u8::from(vote.claim().point)) - 1));
        }
    }
    let (opening, voter) = opening.unwrap();
    world.restore(Name::Aggregator(voter), backups[voter].clone());
    world.refusals.clear();
    let topic = topic(&world, LevelledChannel::Direction);
    world.publish(Name::Sink, Outgoing::parts(&topic, &opening));
    world.idle(2);
    let id = world.ask(key, &Function::Mean, &[subject(1, 0)]).unwrap();
    world.until("the mean", |world| world.finding(id).is_some()).unwrap();
    let by_voter = world.refusals.iter().filter(|(name, _)| *name == Name::Aggregator(voter));
    let rollbacks = by_voter.filter(|(_, refusal)| refusal.rule == Rule::LedgerRollback).count();
    assert!(rollbacks >= 2, "once for the opening, once for the next cut: {:?}", world.refusals);
    assert!(
        !world.finding(id).unwrap().opened_by.iter().any(|point| usize::from(u8::from(*point)) == voter + 1)
    );
}

/// A member that is left out of one window only does not stand alone: all bills less all curves would be what it used in that window.
#[test]
fn bills_less_curves_are_nobodys_window() {
    let scene = Scene { profile: Profile::Light, homes: 4, group: 4, bill_days: 0, ..scene() };
    let mut world = open(scene);
    let key = make_key(&mut world);
    // the first window with everybody, the second without home 0: both sets have k members
    let mut curves = Vec::new();
    for (request, window, left_out) in [(1, 0, 0), (2, 1, 1)] {
        let ask = sum(key, window);
        direct(&mut world, request, ask);
        let all = holdings(&world, request);
        let set = all[left_out..].to_vec();
        direct(&mut world, request, DirectionStep::Cut(vec![set.clone()]));
        let homes = 0..world.scene.homes;
        let member = |home: &usize| set.iter().any(|m| m.meter == world.deployment.meters[*home].meter);
        let span = window as usize * usize::from(WINDOW)..(window as usize + 1) * usize::from(WINDOW);
        // what the opening of this set tells the utility
        let curve: i64 = homes.filter(member).flat_map(|home| &world.loads[home][span.clone()]).sum();
        curves.push((votes(&world, request) >= 3).then_some(curve));
    }
    // the register difference of every home over both windows
    let period =
        SlotRange::new(Slot(FIRST * u32::from(WINDOW)), Slot((FIRST + 2) * u32::from(WINDOW))).unwrap();
    let meters: Vec<_> = world.deployment.meters.iter().map(|keys| keys.meter).collect();
    world
        .with_sink(|sink, now, store, rng| sink.ask_bills(period, &[], &meters, now, store, rng).unwrap())
        .unwrap();
    for _ in 0..400 {
        world.idle(1);
    }
    let store = &world.parties[&Name::Sink].store;
    let bills: Vec<i64> = meters
        .iter()
        .flat_map(|m| utility_sink::sink::ledger::bills_of(*m, store).unwrap())
        .map(|b| b.energy.0)
        .collect();
    let (Some(first), Some(second), 4) = (curves[0], curves[1], bills.len()) else { return };
    let difference = bills.iter().sum::<i64>() - first - second;
    let sorted = {
        let mut all: Vec<_> = (0..4).map(|home| (world.deployment.meters[home].meter, home)).collect();
        all.sort();
        all
    };
    let alone = sorted[0].1;
    let window: i64 = world.loads[alone][usize::from(WINDOW)..].iter().sum();
    assert_ne!(difference, window, "home {alone} used {window} Wh in the second window");
}

/// A bill that would tell something beside mode `levelled` is not released, and the utility learns by which rule.
#[test]
fn a_bill_beside_levelled_is_refused_by_its_rule() {
    let scene = Scene { profile: Profile::Light, homes: 4, group: 4, bill_days: 0, ..scene() };
    let mut world = open(scene);
    let key = make_key(&mut world);
    world.find(key, &Function::Sum, &[subject(1, 0)]).unwrap();
    // half of the window: less the curve it would be the other half
    let first = FIRST * u32::from(WINDOW);
    let period = SlotRange::new(Slot(first), Slot(first + u32::from(WINDOW) / 2)).unwrap();
    let meters: Vec<_> = world.deployment.meters.iter().map(|keys| keys.meter).collect();
    let id = world
        .with_sink(|sink, now, store, rng| sink.ask_bills(period, &[], &meters, now, store, rng).unwrap())
        .unwrap();
    let kept = |world: &World| {
        let store = &world.parties[&Name::Sink].store;
        store.get(Table("unbilled"), id.as_bytes()).unwrap()
    };
    world.until("a reason", |world| kept(world).is_some()).unwrap();
    let unbilled: Vec<(MeterId, Rule)> = wire::decode(&kept(&world).unwrap()).unwrap();
    let wanted: Vec<(MeterId, Rule)> = meters.iter().map(|meter| (*meter, Rule::Differencing)).collect();
    assert_eq!(unbilled, wanted);
}
