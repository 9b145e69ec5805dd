//! Loss, duplication, reordering, crashes at every step, and aggregators that are away: late, never wrong.

use super::{World, curve, gate, make_key, open, scene};
use lab::levelled::{Scene, subject};
use lab::world::network::{Faults, Message, Name};
use std::collections::BTreeMap;

use protocol::levelled::function::Function;
use protocol::levelled::plan::Profile;
use protocol::topic::Topic;
use protocol::unit::Moment;

fn assert_sum(world: &World, finding: &utility_sink::sink::levelled::Finding) {
    for (value, wanted) in finding.values.iter().zip(curve(world, 1, 0)) {
        assert!((value - wanted).abs() < 6.0 * finding.error, "{value} {wanted} ± {}", finding.error);
    }
}

/// A light key made, used and opened under loss, doubling, reordering and crashes, under many seeds.
#[test]
fn faults_delay_and_change_nothing() {
    let seeds = std::env::var("SIM_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(4);
    let mut crashes = 0;
    for seed in 0..seeds {
        // A medium key has shares of hundred parts, which are gathered in memory: crashes are rarer there.
        let medium = seed % 4 == 3;
        let (profile, crash) = if medium { (Profile::Medium, 1) } else { (Profile::Light, 8) };
        let drop = if medium { 20 } else { [0, 50, 100][usize::try_from(seed % 3).unwrap()] };
        let until = Moment(u64::MAX);
        let faults =
            Faults { drop, duplicate: 50, crash, delay: 20, sessions: false, until, ..scene().faults };
        let (homes, group) = (3, 3);
        let mut world = open(Scene { profile, homes, group, faults, seed, batch: 16, ..scene() });
        let key = make_key(&mut world);
        let finding = world.find(key, &Function::Sum, &[subject(1, 0)]).unwrap();
        assert_sum(&world, &finding);
        println!(
            "seed {seed}: {} messages, {} crashes, at {:?}",
            world.witness.0.len(),
            world.crashes,
            world.now
        );
        crashes += world.crashes;
        assert!(said_once(&world), "somebody said two things (seed {seed})");
    }
    assert!(crashes > 0, "nobody crashed");
}

/// Whether every contribution, vote and answer was said in one form only, however often.
fn said_once(world: &World) -> bool {
    use protocol::levelled::contribution::{Contribution, Step};
    use protocol::levelled::reply::{Reply, ReplyStep};
    use protocol::part::Assembly;
    use protocol::signature::Unverified;
    let mut assembly = Assembly::default();
    let mut said: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for Message { topic, payload } in &world.witness.0 {
        let channel = topic.parse::<Topic>().unwrap().channel.to_string();
        if !channel.starts_with("levelled/make/") && !channel.starts_with("levelled/reply/") {
            continue;
        }
        let Ok(Some(document)) = assembly.take(topic, payload) else { continue };
        let slot = if let Ok(contribution) = Unverified::<Contribution>::parse(&document) {
            let Contribution { point, step, .. } = contribution.claim();
            match step {
                Step::Commit(round, _) => format!("{point} commits {round:?}"),
                Step::Reveal(round, _) => format!("{point} reveals {round:?}"),
                Step::Deal(to, _) => format!("{point} deals to {to}"),
                Step::Made(..) => format!("{point} made"),
            }
        } else {
            let reply = Unverified::<Reply>::parse(&document).unwrap();
            let Reply { request, point, step } = reply.claim();
            match step {
                ReplyStep::Vote(_) => format!("{point} votes on {request}"),
                ReplyStep::Answer(answer) => format!("{point} answers {request} with {:?}", answer.members),
                _ => continue,
            }
        };
        if said.entry(slot).or_insert_with(|| document.clone()) != &document {
            return false;
        }
    }
    said.len() > 10
}

/// All n are needed to make a key, and t suffice to open: with one aggregator away after the votes another set opens; and every
/// set gives the same.
#[test]
fn another_active_set_opens() {
    let mut world = open(Scene { profile: Profile::Light, homes: 3, ..scene() });
    let key = make_key(&mut world);
    for away in [0, 1, 3] {
        world.network.cut_off.insert(Name::Aggregator(away));
        // three of four are a quorum; who is away was to be in the first set
        let function = if away == 0 { Function::Sum } else { Function::Mean };
        let subject = [subject(1, u32::from(away == 3))];
        let finding = world.find(key, &function, &subject).unwrap();
        assert!(!finding.opened_by.iter().any(|point| usize::from(u8::from(*point)) == away + 1));
        world.network.cut_off.remove(&Name::Aggregator(away));
    }
}

/// Who votes and then leaves is waited for, then passed over: its set is given up for the next.
#[test]
fn a_silent_member_is_passed_over() {
    let mut world = open(Scene { profile: Profile::Light, homes: 3, ..scene() });
    let key = make_key(&mut world);
    // aggregator 1 says everything but answers
    world.villainies.push(gate(|from, send| {
        let large = send.payload.len() > 4_000 && send.topic.to_string().contains("levelled/reply/");
        if from == Name::Aggregator(0) && large { Vec::new() } else { vec![send.clone()] }
    }));
    let finding = world.find(key, &Function::Sum, &[subject(1, 0)]).unwrap();
    assert!(!finding.opened_by.iter().any(|point| u8::from(*point) == 1), "{:?}", finding.opened_by);
    assert_sum(&world, &finding);
}

/// Who dies between its commitment and what it committed to reveals it from its store.
#[test]
fn a_death_between_commitment_and_reveal_is_made_good() {
    let mut world = open(Scene { profile: Profile::Light, homes: 3, ..scene() });
    world.network.cut_off.insert(Name::Aggregator(3));
    let plan = world.plan();
    let key = world.plan_key(plan).unwrap();
    // the others have committed and wait for it
    world.idle(10);
    for index in 0..3 {
        let store = world.parties[&Name::Aggregator(index)].store.clone();
        world.restore(Name::Aggregator(index), store);
    }
    world.network.cut_off.remove(&Name::Aggregator(3));
    world.until("the key", |world| world.sink().has_key(&key)).unwrap();
}

/// Without one aggregator there is no key, however long one waits; when it comes, there is.
#[test]
fn a_key_takes_all() {
    let mut world = open(Scene { profile: Profile::Light, homes: 3, ..scene() });
    world.network.cut_off.insert(Name::Aggregator(2));
    let plan = world.plan();
    let key = world.plan_key(plan).unwrap();
    world.idle(60);
    assert!(!world.sink().has_key(&key));
    world.network.cut_off.remove(&Name::Aggregator(2));
    world.until("the key", |world| world.sink().has_key(&key)).unwrap();
}
