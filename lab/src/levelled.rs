//! Mode levelled in one process and in memory: a key ceremony, encrypted batches and releases with the real roles, between which
//! messages go in order. For the demonstration and the bench; the processes do the same over a broker.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use aggregator_worker::aggregator::{self, Aggregator};
use anyhow::Context as _;
use meter_agent::meter::{self, Meter, Reading};
use protocol::hpke_box::Suite;
use protocol::id::{Hash, QueryId};
use protocol::levelled::function::{Function, Subject};
use protocol::levelled::plan::{Plan, Profile};
use protocol::policy::Policy;
use protocol::topic::Outgoing;
use protocol::unit::{Moment, Register, Slot, SlotLength, Timestamp};
use rand::RngExt as _;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use store::{MemoryStore, Store as _};
use utility_sink::sink::levelled::finding::finding_of;
use utility_sink::sink::levelled::{Finding, Question};
use utility_sink::sink::{self, Sink};

use crate::account::Work;
use deployment::{self, Deployment};

/// The first window.
const FIRST: u32 = 20_000;

/// Ticks until something must have come about.
const PATIENCE: usize = 2_000;

/// What a town is to be like.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// The lattice parameters.
    pub profile: Profile,
    /// Groups.
    pub groups: usize,
    /// Homes in each group.
    pub group: usize,
    /// Slots a ciphertext.
    pub batch: u32,
    /// Slots a window.
    pub window: u16,
    /// Windows that are measured.
    pub windows: u32,
}

/// What the roles did so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Works {
    /// All meters.
    pub meters: Work,
    /// All aggregators.
    pub aggregators: Work,
    /// The sink.
    pub sink: Work,
}

/// Who sends.
#[derive(Clone, Copy, Debug)]
enum Sender {
    Meter,
    Aggregator,
    Sink,
}

/// Bytes of an MQTT PUBLISH around topic and payload: fixed header, topic length, packet id.
const HEADER: usize = 7;

/// Groups of homes, four aggregators and a utility, in memory.
pub struct Town {
    shape: Shape,
    deployment: Deployment,
    rng: StdRng,
    now: Moment,
    sink: (Sink, MemoryStore),
    aggregators: Vec<(Aggregator, MemoryStore)>,
    meters: Vec<(Meter, MemoryStore)>,
    queue: VecDeque<(String, Vec<u8>)>,
    /// Where each meter is in the list.
    index: BTreeMap<String, usize>,
    /// What homes used in their windows.
    loads: Vec<Vec<i64>>,
    /// What was done.
    pub work: Works,
}

impl std::fmt::Debug for Town {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Town").field("shape", &self.shape).finish_non_exhaustive()
    }
}

impl Town {
    /// Makes the roles.
    ///
    /// # Errors
    ///
    /// If a role does not start.
    pub fn new(shape: Shape, seed: u64) -> anyhow::Result<Self> {
        let mut rng = StdRng::seed_from_u64(seed);
        let slot = SlotLength::try_from(900)?;
        let homes = shape.groups * shape.group;
        let plan = deployment::Plan {
            name: "levelled".into(),
            aggregators: 4,
            threshold: 2,
            suite: Suite::X25519,
            slot,
            policy: Policy { k: u16::try_from(shape.group)?, ..Policy::production() },
            homes: (1..=homes).map(|home| format!("home-{home}")).collect(),
            group: shape.group,
            valid_from: Timestamp(0),
            valid_to: Timestamp(u64::from(u32::MAX)),
        };
        let deployment = Deployment::create(&plan, &mut rng)?;
        let window = u32::from(shape.window);
        let now = Moment(slot.start_of(Slot((FIRST + shape.windows) * window)).0 * 1_000);
        let roster = || deployment.roster.clone();
        // one opening a result: nobody lies here
        let pace = sink::levelled::LevelledPace { confirm: false, ..sink::levelled::LevelledPace::default() };
        let mut store = MemoryStore::default();
        let sink = Sink::open(deployment.sink_identity(), roster(), sink::Pace::default(), &mut store, now)?;
        let sink = (sink.with_levelled(pace, &store, now)?, store);
        let mut aggregators = Vec::new();
        for keys in &deployment.aggregators {
            let mut store = MemoryStore::default();
            let (identity, pace) = (deployment.aggregator_identity(keys), aggregator::Pace::default());
            let aggregator = Aggregator::open(identity, roster(), pace, &mut store)?;
            let pace = aggregator::LevelledPace::default();
            aggregators.push((aggregator.with_levelled(pace, &mut store)?, store));
        }
        let mut meters = Vec::new();
        for keys in &deployment.meters {
            let mut store = MemoryStore::default();
            let pace = meter::Pace { batch_slots: shape.batch, ..meter::Pace::default() };
            let (identity, floor) = (deployment.meter_identity(keys), deployment.floor());
            let meter = Meter::open(identity, roster(), floor, pace, &mut store, now)?;
            meters.push((meter.with_levelled(&store, now)?, store));
        }
        let mut loads = Vec::new();
        for _ in 0..homes {
            loads.push((0..shape.windows).flat_map(|_| load(shape.window, &mut rng)).collect());
        }
        let index =
            (0..).zip(&deployment.meters).map(|(index, keys)| (keys.meter.to_string(), index)).collect();
        let (queue, work) = (VecDeque::new(), Works::default());
        Ok(Self { shape, deployment, rng, now, sink, aggregators, meters, queue, index, loads, work })
    }

    /// Makes a key, and gives it to the meters.
    ///
    /// # Errors
    ///
    /// If it does not come about.
    pub fn make_key(&mut self) -> anyhow::Result<Hash> {
        let plan = Plan {
            nonce: QueryId::random(&mut self.rng),
            profile: self.shape.profile,
            full_scale: 8_192,
            window: self.shape.window,
            k: u16::try_from(self.shape.group)?,
            log_openings: 10,
            smudging_bits: 40,
        };
        let (key, sends) = self.sink.0.plan_key(plan, self.now, &mut self.sink.1)?;
        self.publish(Sender::Sink, sends);
        self.until("the key", |town| town.meters.iter().all(|(meter, _)| meter.has_collective_key()))?;
        Ok(key)
    }

    /// Every home measures its windows, encrypts and delivers them.
    ///
    /// # Errors
    ///
    /// If that does not come about.
    pub fn measure(&mut self) -> anyhow::Result<()> {
        for (index, load) in self.loads.clone().into_iter().enumerate() {
            let (mut register, first) = (1_000, FIRST * u32::from(self.shape.window));
            for (at, energy) in (first..).zip([0].into_iter().chain(load)) {
                register += energy.unsigned_abs();
                let reading = Reading::new(Slot(at), Register::try_from(register)?);
                let began = Instant::now();
                let (meter, store) = &mut self.meters[index];
                let sends = meter.observe(reading, self.now, store, &mut self.rng)??;
                store.commit()?;
                self.work.meters.busy += began.elapsed();
                self.publish(Sender::Meter, sends);
                self.drain()?;
            }
            let (meter, store) = &mut self.meters[index];
            let sends = meter.flush(self.now, store, &mut self.rng)?;
            store.commit()?;
            self.publish(Sender::Meter, sends);
            self.drain()?;
        }
        self.until("the delivery", |town| town.meters.iter().all(|(meter, _)| meter.backlog() == 0))
    }

    /// Asks for a function of groups in a window, counted from the first one, and waits for the values.
    ///
    /// # Errors
    ///
    /// If they don't come.
    pub fn find(
        &mut self,
        key: Hash,
        function: Function,
        groups: &[usize],
        window: u32,
    ) -> anyhow::Result<Finding> {
        let group =
            |group: &usize| Ok(Subject { group: format!("group-{group}").parse()?, window: FIRST + window });
        let subjects = groups.iter().map(group).collect::<anyhow::Result<Vec<_>>>()?;
        let (sink, store) = &mut self.sink;
        let members = u32::try_from(self.shape.group)?;
        let question = Question { key, function, subjects, members };
        let (id, sends) = sink.ask_levelled(question, self.now, store, &mut self.rng)?;
        self.publish(Sender::Sink, sends);
        self.until("the values", |town| matches!(finding_of(id, &town.sink.1), Ok(Some(_))))?;
        finding_of(id, &self.sink.1)?.context("the values were there")
    }

    /// What the homes of a group used, slot by slot over all windows.
    pub fn loads(&self, group: usize) -> &[Vec<i64>] {
        &self.loads[(group - 1) * self.shape.group..group * self.shape.group]
    }

    /// How many homes there are.
    pub fn homes(&self) -> usize {
        self.meters.len()
    }

    fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) -> anyhow::Result<()> {
        for _ in 0..PATIENCE {
            self.drain()?;
            if holds(self) {
                return Ok(());
            }
            self.now = self.now.plus(1_000);
            let now = self.now;
            let sends = timed(&mut self.work.sink, || -> anyhow::Result<_> {
                let sends = self.sink.0.tick(now, &mut self.sink.1)?;
                self.sink.1.commit()?;
                Ok(sends)
            })?;
            self.publish(Sender::Sink, sends);
            for index in 0..self.aggregators.len() {
                let (aggregator, store) = &mut self.aggregators[index];
                let sends = timed(&mut self.work.aggregators, || -> anyhow::Result<_> {
                    let sends = aggregator.tick(now, store, &mut self.rng)?;
                    store.commit()?;
                    Ok(sends)
                })?;
                self.publish(Sender::Aggregator, sends);
            }
            for index in 0..self.meters.len() {
                let (meter, store) = &mut self.meters[index];
                let sends = timed(&mut self.work.meters, || -> anyhow::Result<_> {
                    let sends = meter.tick(now, store, &mut self.rng)?;
                    store.commit()?;
                    Ok(sends)
                })?;
                self.publish(Sender::Meter, sends);
            }
        }
        anyhow::bail!("{what} did not come about")
    }

    fn publish(&mut self, from: Sender, sends: Vec<Outgoing>) {
        let work = match from {
            Sender::Meter => &mut self.work.meters,
            Sender::Aggregator => &mut self.work.aggregators,
            Sender::Sink => &mut self.work.sink,
        };
        for Outgoing { topic, payload, .. } in sends {
            let text = topic.to_string();
            work.messages += 1;
            work.bytes += (text.len() + payload.len() + HEADER) as u64;
            self.queue.push_back((text, payload));
        }
    }

    /// Delivers everything, to whom it is for.
    fn drain(&mut self) -> anyhow::Result<()> {
        while let Some((topic, payload)) = self.queue.pop_front() {
            let below = topic.splitn(4, '/').nth(3).unwrap_or_default().to_owned();
            let now = self.now;
            let for_aggregators = below.starts_with("cert/")
                || ["plan", "make/", "data/", "upload/", "direction"]
                    .iter()
                    .any(|of| below.strip_prefix("levelled/").is_some_and(|rest| rest.starts_with(of)));
            let mut answers = Vec::new();
            for (index, (aggregator, store)) in self.aggregators.iter_mut().enumerate() {
                let own = format!("agg/{}/", self.deployment.aggregators[index].id);
                if for_aggregators || below.starts_with(&own) {
                    let handled = timed(&mut self.work.aggregators, || -> anyhow::Result<_> {
                        let handled = aggregator.handle(&topic, &payload, now, store, &mut self.rng)?;
                        store.commit()?;
                        Ok(handled)
                    })?;
                    answers.push((Sender::Aggregator, handled.sends));
                }
            }
            if ["levelled/make/", "levelled/data/agg/", "levelled/reply/", "receipt/"]
                .iter()
                .any(|of| below.starts_with(of))
            {
                let (sink, store) = &mut self.sink;
                let handled = timed(&mut self.work.sink, || -> anyhow::Result<_> {
                    let handled = sink.handle(&topic, &payload, now, store)?;
                    store.commit()?;
                    Ok(handled)
                })?;
                answers.push((Sender::Sink, handled.sends));
            }
            for index in self.readers(&below) {
                let (meter, store) = &mut self.meters[index];
                let handled = timed(&mut self.work.meters, || -> anyhow::Result<_> {
                    let handled = meter.handle(&topic, &payload, now, store)?;
                    store.commit()?;
                    Ok(handled)
                })?;
                answers.push((Sender::Meter, handled.sends));
            }
            for (from, sends) in answers {
                self.publish(from, sends);
            }
        }
        Ok(())
    }

    /// The meters that a message below the deployment is for.
    fn readers(&self, below: &str) -> Vec<usize> {
        if below.starts_with("levelled/key") {
            return (0..self.meters.len()).collect();
        }
        let rest = ["receipt/", "levelled/taken/"].iter().find_map(|of| below.strip_prefix(of));
        let meter = rest.and_then(|rest| rest.split('/').next());
        meter.and_then(|meter| self.index.get(meter)).copied().into_iter().collect()
    }
}

/// Does something on a role's account.
fn timed<T>(work: &mut Work, act: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let done = act();
    work.busy += began.elapsed();
    done
}

/// A home's window: a little always, more in the evening.
fn load(window: u16, rng: &mut StdRng) -> Vec<i64> {
    let evening = window * 3 / 4..window * 11 / 12;
    (0..window)
        .map(|t| if evening.contains(&t) { rng.random_range(300..1_500) } else { rng.random_range(40..250) })
        .collect()
}
