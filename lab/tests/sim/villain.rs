//! Villains: parties that keep to the letter of the protocol and lie in what they sign.

use deployment::Deployment;
use meter_agent::meter::Identity;
use protocol::field::Fe;
use protocol::id::{QueryId, Rid};
use protocol::part::Assembly;
use protocol::record::{Head, Kind};
use protocol::release::inventory::{Holding, Inventory, InventoryAnswer};
use protocol::release::result::ResultShare;
use protocol::release::vote::Vote;
use protocol::rule::Rule;
use protocol::shamir::{Point, split};
use protocol::share::{SealedBatch, seal_shares};
use protocol::signature::{Document, Signed, Unverified};
use protocol::topic::{Channel, Outgoing};
use protocol::unit::{Slot, SlotRange};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use super::homes::Homes;
use super::world::World;
use lab::world::Villainy;
use lab::world::network::Name;

/// An aggregator whose answers are all off by something of its own.
pub(crate) fn lies_in_answers(liar: usize) -> Villainy {
    let mut rng = ChaCha20Rng::seed_from_u64(liar as u64);
    rewrites(liar, move |deployment, channel, document| {
        let Channel::Result(_) = channel else { return vec![document.to_vec()] };
        let share = claim::<ResultShare>(document);
        // What a result holds depends on the query; any shape that opens is tried.
        let shapes = (1..=3).flat_map(|entries| [1, 3, 4, 24].map(|len| vec![len; entries]));
        let mut opened = shapes.map(|s| share.open(&deployment.utility_box, &deployment.roster, &s));
        let opened = opened.find_map(Result::ok);
        let Some((mut answers, pieces)) = opened else { return vec![document.to_vec()] };
        for value in answers.iter_mut().flatten().flat_map(|answer| answer.iter_mut()) {
            *value += Fe::from_u64(1_000 + liar as u64 * liar as u64);
        }
        let roster = &deployment.roster;
        let lie = ResultShare::seal(share.query, share.cut, share.point, &answers, pieces, roster, &mut rng);
        vec![sign(lie.expect("the utility's key is good"), liar, deployment)]
    })
}

/// An aggregator whose partial decryptions are all off, and whose shares are true.
pub(crate) fn lies_in_pieces(liar: usize) -> Villainy {
    let mut rng = ChaCha20Rng::seed_from_u64(liar as u64);
    rewrites(liar, move |deployment, channel, document| {
        let Channel::Result(_) = channel else { return vec![document.to_vec()] };
        let share = claim::<ResultShare>(document);
        let (key, roster) = (&deployment.utility_box, &deployment.roster);
        let opened = share.open(key, roster, &[super::homes::INTERVAL as usize]);
        let Ok((answers, Some(mut pieces))) = opened else { return vec![document.to_vec()] };
        for partial in &mut pieces.partials {
            *partial.last_mut().expect("a partial decryption has bytes") ^= 0x40;
        }
        let lie =
            ResultShare::seal(share.query, share.cut, share.point, &answers, Some(pieces), roster, &mut rng);
        vec![sign(lie.expect("the utility's key is good"), liar, deployment)]
    })
}

/// An aggregator that sends others two inventories before the one that it gives the sink.
pub(crate) fn floods_inventories(liar: usize) -> Villainy {
    rewrites(liar, move |deployment, channel, document| {
        let Channel::Inventory(_) = channel else { return vec![document.to_vec()] };
        let inventory = claim::<Inventory>(document);
        let other = |rule| {
            let answer = InventoryAnswer::Refused(rule);
            sign(Inventory { answer, seen: Vec::new(), ..inventory.clone() }, liar, deployment)
        };
        vec![other(Rule::Cell), other(Rule::Window), document.to_vec()]
    })
}

/// An aggregator that says of a bill's target, by its place, that it lacks the records from a slot on.
pub(crate) fn denies(liar: usize, target: usize, from: Slot) -> Villainy {
    rewrites(liar, move |deployment, channel, document| {
        let Channel::Inventory(_) = channel else { return vec![document.to_vec()] };
        let mut inventory = claim::<Inventory>(document);
        let InventoryAnswer::Holdings(holdings) = &mut inventory.answer else {
            return vec![document.to_vec()];
        };
        let Some(Holding::Records(records)) = holdings.get_mut(target) else {
            return vec![document.to_vec()];
        };
        records.retain(|held| held.slots.start() < from);
        vec![sign(inventory, liar, deployment)]
    })
}

/// An aggregator that sends, with each inventory and vote, others of queries that nobody asked.
pub(crate) fn floods_unknown_queries(liar: usize) -> Villainy {
    let mut rng = ChaCha20Rng::seed_from_u64(liar as u64);
    rewrites(liar, move |deployment, channel, document| {
        let mut said = Vec::new();
        for _ in 0..40 {
            let query = QueryId::random(&mut rng);
            said.extend(match channel {
                Channel::Inventory(_) => {
                    Some(sign(Inventory { query, ..claim::<Inventory>(document) }, liar, deployment))
                }
                Channel::Vote(_) => Some(sign(Vote { query, ..claim::<Vote>(document) }, liar, deployment)),
                _ => None,
            });
        }
        said.push(document.to_vec());
        said
    })
}

/// An aggregator that sends the sink boxes which do not open.
pub(crate) fn garbles_answers(liar: usize) -> Villainy {
    rewrites(liar, move |deployment, channel, document| {
        let Channel::Result(_) = channel else { return vec![document.to_vec()] };
        let share = claim::<ResultShare>(document);
        let empty = ResultShare::seal(
            share.query,
            share.cut,
            share.point,
            &Vec::new(),
            None,
            &deployment.roster,
            &mut ChaCha20Rng::seed_from_u64(1),
        );
        vec![sign(empty.expect("the utility's key is good"), liar, deployment)]
    })
}

/// Rewrites the documents of one aggregator.
fn rewrites(
    liar: usize,
    mut rewrite: impl FnMut(&Deployment, &Channel, &[u8]) -> Vec<Vec<u8>> + 'static,
) -> Villainy {
    let mut assembly = Assembly::default();
    Box::new(move |deployment, from, sends| {
        if from != Name::Aggregator(liar) {
            return;
        }
        let mut said = Vec::new();
        for outgoing in std::mem::take(sends) {
            let topic = outgoing.topic.clone();
            if let Channel::Receipt(..) | Channel::Status(..) = topic.channel {
                said.push(outgoing);
                continue;
            }
            let whole = assembly.take(&topic.to_string(), &outgoing.payload).expect("roles publish parts");
            for document in whole.map(|whole| rewrite(deployment, &topic.channel, &whole)).unwrap_or_default()
            {
                said.extend(Outgoing::parts(&topic, &document));
            }
        }
        *sends = said;
    })
}

fn claim<T: Document + Clone>(document: &[u8]) -> T {
    Unverified::<T>::parse(document).expect("aggregators sign what they say").claim().clone()
}

fn sign<T: Document>(document: T, aggregator: usize, deployment: &Deployment) -> Vec<u8> {
    let key = &deployment.aggregators[aggregator].key;
    Signed::sign(document, key, &deployment.roster.context()).into_bytes()
}

/// A batch that a dishonest meter deals: its true energies, with `amiss` added to one element of some aggregators'
/// shares.
pub(crate) struct Deal {
    pub(crate) home: usize,
    pub(crate) seq: u64,
    pub(crate) slots: SlotRange,
    pub(crate) amiss: Vec<usize>,
}

impl Deal {
    /// Seals it.
    pub(crate) fn seal(&self, world: &World) -> SealedBatch {
        let (deployment, homes, now) = (&world.deployment, &world.homes, world.now);
        let mut rng = ChaCha20Rng::seed_from_u64(self.seq);
        let identity = deployment.meter_identity(&deployment.meters[self.home]);
        let mut shares =
            split(&self.vector(homes), deployment.roster.t(), &deployment.roster.points(), &mut rng);
        for (place, aggregator) in self.amiss.iter().enumerate() {
            shares[*aggregator][0] += Fe::from_u64(77 + 13 * place as u64);
        }
        let head = self.head(&identity, deployment);
        seal_shares(&shares, head, &identity.key, &deployment.roster, now.timestamp(), &mut rng)
            .expect("the keys are good")
    }

    fn head(&self, identity: &Identity, deployment: &Deployment) -> Head {
        Head {
            kind: Kind::Import,
            roster_epoch: deployment.roster.document().epoch,
            meter: identity.meter,
            seq: self.seq,
            version: 0,
            slots: self.slots,
        }
    }

    fn vector(&self, homes: &Homes) -> Vec<Fe> {
        let energies = homes.energies(self.home, self.slots).into_iter().map(|energy| Fe::from_i64(energy.0));
        let close = homes.register(self.home, self.slots.end()).watt_hours();
        energies.chain([Fe::from_u64(close), Fe::from_u64(self.seq.wrapping_mul(0x9e37_79b9))]).collect()
    }
}

impl World {
    /// Hands a sealed batch to the aggregators named; gives its name and what they refuse by.
    pub(crate) fn deal(
        &mut self,
        home: usize,
        sealed: &SealedBatch,
        to: &[usize],
    ) -> (Rid, Vec<Option<Rule>>) {
        let meter = self.deployment.meters[home].meter;
        let mut rules = Vec::new();
        for index in to {
            let topic = self.share_topic(*index, meter);
            let payload = sealed.messages[*index].1.clone();
            rules.push(self.inject(Name::Aggregator(*index), topic, payload).map(|refusal| refusal.rule));
        }
        (sealed.rid, rules)
    }

    pub(crate) fn share_topic(&self, aggregator: usize, meter: protocol::id::MeterId) -> String {
        let id = self.deployment.aggregators[aggregator].id.clone();
        Channel::Share(id, meter).of(&self.deployment.roster.document().deployment).to_string()
    }

    pub(crate) fn point(&self, aggregator: usize) -> Point {
        self.deployment.aggregators[aggregator].point
    }
}
