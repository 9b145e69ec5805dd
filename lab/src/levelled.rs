//! Mode levelled in the simulated world: a key ceremony, encrypted batches and releases, for the demonstration, the benches and the
//! system tests; the processes do the same over a broker.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use aggregator_worker::aggregator;
use anyhow::Context as _;
use meter_agent::meter::{self, Reading};
use protocol::hpke_box::Suite;
use protocol::id::{Hash, QueryId};
use protocol::levelled::function::{Function, Subject};
use protocol::levelled::plan::{Plan, Profile};
use protocol::policy::Policy;
use protocol::unit::{Moment, Register, Slot, SlotLength, Timestamp};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::{ChaCha8Rng, ChaCha20Rng};
use utility_sink::sink;
use utility_sink::sink::levelled::finding::finding_of;
use utility_sink::sink::levelled::{Finding, Question};

use crate::world::network::{Faults, Name, Network};
use crate::world::party::Paces;
use crate::world::{Beginning, Watch, World};
use deployment::Deployment;

/// The first window.
pub const FIRST: u32 = 20_000;

/// Milliseconds from a tick of every party to the next one.
const TICK: u64 = 500;

/// Ticks until something must have come about.
const PATIENCE: usize = 2_000;

/// What a town is to be like.
#[derive(Clone, Debug)]
pub struct Scene {
    /// Aggregators.
    pub aggregators: usize,
    /// How many of them open a result together.
    pub threshold: usize,
    /// Homes.
    pub homes: usize,
    /// Homes in each group.
    pub group: usize,
    /// Slots a ciphertext.
    pub batch: u32,
    /// Slots a window.
    pub window: u16,
    /// Windows that are measured.
    pub windows: u32,
    /// The most that a home uses in a slot, in watt-hours.
    pub peak: i64,
    /// What no home may use in a slot, in watt-hours: a power of two.
    pub full_scale: u32,
    /// The lattice parameters.
    pub profile: Profile,
    /// The smallest group.
    pub k: u16,
    /// Days that a bill has at least.
    pub bill_days: u16,
    /// Openings that a key is planned for, as a power of two.
    pub log_openings: u8,
    /// Whether several active sets open each result.
    pub confirm: bool,
    /// What goes wrong.
    pub faults: Faults,
    /// From this, everything follows.
    pub seed: u64,
}

impl Scene {
    /// Groups of so many homes, in which everybody is honest and every message arrives, in order.
    ///
    /// # Errors
    ///
    /// If a group is too large.
    pub fn quiet(profile: Profile, groups: usize, group: usize) -> anyhow::Result<Self> {
        Ok(Self {
            aggregators: 4,
            threshold: 2,
            homes: groups * group,
            group,
            batch: 24,
            window: 96,
            windows: 1,
            peak: 1_500,
            full_scale: 8_192,
            profile,
            k: u16::try_from(group)?,
            bill_days: 28,
            log_openings: 10,
            confirm: false,
            faults: Faults { latency: 1, ..Faults::none() },
            seed: 11,
        })
    }
}

/// Groups of homes, aggregators and a utility.
#[derive(Debug)]
pub struct Town<W> {
    /// Everybody.
    world: World<W>,
    /// What it is like.
    pub scene: Scene,
    /// What homes used, slot by slot over all windows.
    pub loads: Vec<Vec<i64>>,
}

impl<W> Deref for Town<W> {
    type Target = World<W>;

    fn deref(&self) -> &World<W> {
        &self.world
    }
}

impl<W> DerefMut for Town<W> {
    fn deref_mut(&mut self) -> &mut World<W> {
        &mut self.world
    }
}

impl<W: Watch> Town<W> {
    /// Makes the roles.
    ///
    /// # Errors
    ///
    /// If there is no such deployment.
    pub fn new(scene: Scene, witness: W) -> anyhow::Result<Self> {
        let mut rng = ChaCha8Rng::seed_from_u64(scene.seed);
        let slot = SlotLength::try_from(900)?;
        let plan = deployment::Plan {
            name: "levelled".into(),
            aggregators: scene.aggregators,
            threshold: scene.threshold,
            suite: Suite::X25519,
            slot,
            policy: Policy { k: scene.k, bill_days: scene.bill_days, ..Policy::production() },
            homes: (1..=scene.homes).map(|home| format!("home-{home}")).collect(),
            group: scene.group,
            valid_from: Timestamp(0),
            valid_to: Timestamp(u64::from(u32::MAX)),
        };
        let deployment = Deployment::create(&plan, &mut ChaCha20Rng::seed_from_u64(scene.seed))?;
        let loads: Vec<Vec<i64>> = (0..scene.homes).map(|_| load(&scene, &mut rng)).collect();
        let (first, last) = (Self::start_of(&scene, 0), Self::start_of(&scene, scene.windows));
        let readings = loads.iter().map(|load| readings(first, load)).collect::<anyhow::Result<_>>()?;
        let beginning = Beginning {
            deployment,
            now: Moment(slot.start_of(last).0 * 1_000),
            paces: paces(&scene),
            network: Network::new(scene.faults.clone(), ChaCha8Rng::seed_from_u64(rng.random())),
            readings,
            replayable: true,
            documents: Vec::new(),
        };
        Ok(Self { world: World::new(beginning, witness, rng), scene, loads })
    }

    fn start_of(scene: &Scene, window: u32) -> Slot {
        Slot((FIRST + window) * u32::from(scene.window))
    }

    /// The first slot of a window, counted from the first one.
    pub fn slot(&self, window: u32) -> Slot {
        Self::start_of(&self.scene, window)
    }

    /// The plan of this scene's key.
    pub fn plan(&self) -> Plan {
        Plan {
            nonce: QueryId::from([7; 16]),
            profile: self.scene.profile,
            full_scale: self.scene.full_scale,
            window: self.scene.window,
            k: self.scene.k,
            log_openings: self.scene.log_openings,
            smudging_bits: 40,
        }
    }

    /// Has the sink plan a key; gives its name.
    ///
    /// # Errors
    ///
    /// If the sink rejects the plan.
    pub fn plan_key(&mut self, plan: Plan) -> anyhow::Result<Hash> {
        let planned = self.with_sink(|sink, now, store, _| parted(sink.plan_key(plan, now, store)));
        Ok(planned.context("the sink is down")??)
    }

    /// Makes a key, and gives it to the meters.
    ///
    /// # Errors
    ///
    /// If it does not come about.
    pub fn make_key(&mut self) -> anyhow::Result<Hash> {
        let key = self.plan_key(self.plan())?;
        self.until("the key", |town| {
            let mut meters = (0..town.scene.homes).map(|home| town.parties[&Name::Meter(home)].meter());
            meters.all(|meter| meter.is_some_and(meter::Meter::has_collective_key))
        })?;
        Ok(key)
    }

    /// Every home measures its windows and encrypts them, if it has a key.
    pub fn measure(&mut self) {
        for home in 0..self.scene.homes {
            self.read(home);
        }
    }

    /// Waits until every home has delivered what it measured.
    ///
    /// # Errors
    ///
    /// If that does not come about.
    pub fn deliver(&mut self) -> anyhow::Result<()> {
        self.until("the delivery", |town| {
            (0..town.scene.homes).all(|home| {
                let party = &town.parties[&Name::Meter(home)];
                let rows =
                    |table| store::entries(store::Table(table), &party.store).map_or(1, |rows| rows.len());
                party.meter().is_some_and(|meter| meter.backlog() == 0)
                    && rows("levelled-queue") + rows("levelled-owed") == 0
            })
        })
    }

    /// Asks for a function.
    ///
    /// # Errors
    ///
    /// If the sink rejects the question.
    pub fn ask(&mut self, key: Hash, function: &Function, subjects: &[Subject]) -> anyhow::Result<QueryId> {
        let question = Question { key, function: function.clone(), subjects: subjects.to_vec(), members: 0 };
        let asked =
            self.with_sink(|sink, now, store, rng| parted(sink.ask_levelled(question, now, store, rng)));
        Ok(asked.context("the sink is down")??)
    }

    /// What was found, if it was.
    ///
    /// # Panics
    ///
    /// If the sink's store is damaged.
    pub fn finding(&self, id: QueryId) -> Option<Finding> {
        finding_of(id, self.sink_store()).expect("the store runs")
    }

    /// Asks for a function, and waits for the values.
    ///
    /// # Errors
    ///
    /// If they don't come.
    pub fn find(&mut self, key: Hash, function: &Function, subjects: &[Subject]) -> anyhow::Result<Finding> {
        let id = self.ask(key, function, subjects)?;
        self.until(function.name(), |town| town.finding(id).is_some())?;
        self.finding(id).context("the values were there")
    }

    /// What the homes of a group used, slot by slot over all windows.
    pub fn loads(&self, group: usize) -> &[Vec<i64>] {
        &self.loads[(group - 1) * self.scene.group..group * self.scene.group]
    }

    /// Lets some ticks pass.
    pub fn idle(&mut self, ticks: u64) {
        let until = self.now.plus(ticks * TICK);
        self.run_until(until);
    }

    /// Goes on until something holds.
    ///
    /// # Errors
    ///
    /// If it does not for long.
    pub fn until(&mut self, what: &str, mut holds: impl FnMut(&Self) -> bool) -> anyhow::Result<()> {
        for _ in 0..PATIENCE {
            if holds(self) {
                return Ok(());
            }
            self.idle(1);
        }
        let last: Vec<_> = self.refusals.iter().rev().take(8).collect();
        anyhow::bail!("{what} did not come about in {PATIENCE} ticks; last refusals {last:?}")
    }
}

/// A group in a window, counted from the first one.
///
/// # Panics
///
/// Never: a group's number is a part of its name.
pub fn subject(group: usize, window: u32) -> Subject {
    let group = format!("group-{group}").parse().expect("a group's name");
    Subject { group, window: FIRST + window }
}

/// The value and what is to be sent.
fn parted<T, E, M>(done: Result<(T, Vec<M>), E>) -> (Result<T, E>, Vec<M>) {
    match done {
        Ok((value, sends)) => (Ok(value), sends),
        Err(error) => (Err(error), Vec::new()),
    }
}

/// Everybody ticks twice a second, and sends again after seconds what may be lost.
fn paces(scene: &Scene) -> Paces {
    Paces {
        meter: meter::Pace {
            batch_slots: scene.batch,
            resend_first: Duration::from_secs(2),
            resend_last: Duration::from_secs(6),
            ..meter::Pace::default()
        },
        aggregator: aggregator::Pace::default(),
        sink: sink::Pace::default(),
        levelled: Some((
            aggregator::LevelledPace { resend_first: 1_000, resend_last: 6_000 },
            sink::levelled::LevelledPace {
                resend: 2_000,
                resend_last: 6_000,
                settle: 1_000,
                patience: 8_000,
                confirm: scene.confirm,
            },
        )),
        tick: TICK..TICK + 1,
        group: 0,
    }
}

/// What a home uses: a little always, more in the evening.
fn load(scene: &Scene, rng: &mut ChaCha8Rng) -> Vec<i64> {
    let evening = scene.window * 3 / 4..scene.window * 11 / 12;
    let range = |slot| {
        let (low, high) = if evening.contains(&slot) { (5, 1) } else { (40, 6) };
        scene.peak / low..scene.peak / high
    };
    (0..scene.windows).flat_map(|_| 0..scene.window).map(|slot| rng.random_range(range(slot))).collect()
}

fn readings(first: Slot, load: &[i64]) -> anyhow::Result<Vec<Reading>> {
    let mut register = 1_000;
    (first.0..)
        .zip([0].iter().chain(load))
        .map(|(at, energy)| {
            register += energy.unsigned_abs();
            Ok(Reading::new(Slot(at), Register::try_from(register)?))
        })
        .collect()
}
