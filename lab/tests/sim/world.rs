//! The world of a history: homes, what is to be released of them, and who watches; over the lab's world.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use aggregator_worker::aggregator;
use deployment::{Deployment, Plan};
use lab::world::network::{Faults, Name, Network};
use lab::world::party::{Paces, Role};
use lab::world::{self, Beginning};
use meter_agent::meter;
use protocol::hpke_box::{OpeningKey, Suite};
use protocol::id::{Hash, MeterId, QueryId};
use protocol::policy::Policy;
use protocol::roster::{Roster, RosterDocument, assemble};
use protocol::rule::Rule;
use protocol::shamir::Point;
use protocol::unit::{Moment, Slot, Timestamp};
use rand::{RngExt, SeedableRng};
use rand_chacha::{ChaCha8Rng, ChaCha20Rng};
use store::{Store, Table};
use utility_sink::sink;

use super::homes::{self, DAY, FIRST, Homes, INTERVAL, day, interval, slot_length, tariffs};
use super::witness::{Witness, committed};

/// What the sink asked for by a name: query ids, kept with the query as the sink's service keeps them.
const ASKED: Table = Table("asked");

/// What a world is like.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) n: usize,
    pub(crate) t: usize,
    pub(crate) homes: usize,
    pub(crate) days: u32,
    pub(crate) batch_slots: u32,
    /// Whether meters can read again what they missed while they were down.
    pub(crate) replayable: bool,
    /// Whether curves are released interval by interval, with the sums of load vectors.
    pub(crate) grid: bool,
    /// Whether the sink asks only when everybody has everything.
    pub(crate) patient: bool,
}

impl Setup {
    pub(crate) fn new(n: usize, t: usize) -> Self {
        Self { n, t, homes: 3, days: 2, batch_slots: 6, replayable: true, grid: false, patient: true }
    }
}

/// What is to be released.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Goal {
    /// Everybody's bill of a day.
    Bills(u32),
    /// The group's curve of a day.
    Curve(u32),
    /// An interval of a day.
    Interval(u32, u32),
}

impl Goal {
    fn day(self) -> u32 {
        match self {
            Self::Bills(day) | Self::Curve(day) | Self::Interval(day, _) => day,
        }
    }
}

/// The world.
pub(crate) struct World {
    #[expect(clippy::struct_field_names, reason = "it is the lab's world, to which this one adds")]
    world: world::World<Witness>,
    pub(crate) setup: Setup,
    pub(crate) homes: Homes,
    pub(crate) goals: BTreeSet<Goal>,
    /// What the sink asked.
    pub(crate) asked: BTreeMap<Goal, QueryId>,
    /// Aggregators that a patient sink does not wait for.
    pub(crate) given_up: BTreeSet<usize>,
    dice: ChaCha20Rng,
}

impl Deref for World {
    type Target = world::World<Witness>;

    fn deref(&self) -> &Self::Target {
        &self.world
    }
}

impl DerefMut for World {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.world
    }
}

/// How all roles pace themselves here: in minutes, since whole days pass.
fn paces(batch_slots: u32) -> Paces {
    Paces {
        meter: meter::Pace {
            batch_slots,
            resend_first: Duration::from_mins(5),
            resend_last: Duration::from_hours(1),
            ..meter::Pace::default()
        },
        aggregator: aggregator::Pace { receipt_every: 60_000, patience: 6 * 3_600_000 },
        sink: sink::Pace { settle: 600_000, resend: 60_000, ..sink::Pace::default() },
        levelled: None,
        tick: 30_000..600_000,
        group: 7,
    }
}

impl World {
    /// A world with all parties up at the first midnight; `faults` draws what goes wrong.
    pub(crate) fn new(
        seed: u64,
        setup: Setup,
        faults: impl FnOnce(&mut ChaCha8Rng, Moment) -> Faults,
    ) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let plan = Plan {
            name: "sim".into(),
            aggregators: setup.n,
            threshold: setup.t,
            suite: Suite::X25519,
            slot: slot_length(),
            policy: Policy {
                k: 2,
                bill_days: 1,
                coverage: 500,
                functionals: 2,
                smallest_cell: 3,
                tariff_meters: 2,
                grid_interval: if setup.grid { INTERVAL * 3_600 } else { 0 },
                ..Policy::production()
            },
            homes: (0..setup.homes).map(|home| format!("home-{home}")).collect(),
            group: setup.homes,
            valid_from: Timestamp(0),
            valid_to: Timestamp(u64::MAX),
        };
        let mut keys = ChaCha20Rng::seed_from_u64(rng.random());
        let deployment = Deployment::create(&plan, &mut keys).expect("the plan keeps its promises");
        let start = Self::moment(0);
        let end = start.plus(u64::from(setup.days) * 86_400_000);
        let faults = faults(&mut rng, end.plus(12 * 3_600_000));
        let until = faults.until;
        let network = Network::new(faults, ChaCha8Rng::seed_from_u64(rng.random()));
        let homes = Homes::draw(setup.homes, setup.days, &mut rng);
        let curves = |day| {
            let parts = if setup.grid { DAY / INTERVAL } else { 0 };
            let whole = (!setup.grid).then_some(Goal::Curve(day));
            whole.into_iter().chain((0..parts).map(move |part| Goal::Interval(day, part)))
        };
        let goals = (0..setup.days).flat_map(|day| curves(day).chain([Goal::Bills(day)])).collect();
        let readings = |home| (FIRST.0..=homes.end().0).map(|slot| homes.reading(home, Slot(slot))).collect();
        let beginning = Beginning {
            deployment,
            now: start,
            paces: paces(setup.batch_slots),
            network,
            readings: (0..setup.homes).map(readings).collect(),
            replayable: setup.replayable,
            documents: tariffs(),
        };
        let mut world = world::World::new(beginning, Witness::default(), rng);
        world.schedule_readings(1_000..60_000);
        if until > start {
            world.schedule_faults(start.0, end.0.max(until.0).min(end.0 + 43_200_000));
        }
        let (asked, given_up, dice) = (BTreeMap::new(), BTreeSet::new(), ChaCha20Rng::seed_from_u64(seed));
        Self { world, setup, homes, goals, asked, given_up, dice }
    }

    /// Schedules a party's end, and its return if it has one.
    pub(crate) fn kill(&mut self, name: Name, back: Option<Moment>) {
        self.world.kill(name, back);
        if let Name::Aggregator(index) = name {
            self.given_up.insert(index);
        }
    }

    /// Makes the next roster, with new box keys of aggregator 1 and of the sink, whose secrets they have from their next start on.
    pub(crate) fn next_roster(&mut self) -> Roster {
        let old = &self.deployment.roster;
        let mut document = RosterDocument { epoch: 2, previous: Some(old.hash()), ..old.document().clone() };
        let mut rng = ChaCha20Rng::seed_from_u64(self.dice.random());
        let (of_aggregator, of_sink) = (
            OpeningKey::generate(2, Suite::X25519, &mut rng),
            OpeningKey::generate(2, Suite::X25519, &mut rng),
        );
        document.aggregators[1].box_keys[0].key = of_aggregator.sealing_key();
        document.utility.box_key = of_sink.sealing_key();
        self.box_keys.extend([(Name::Aggregator(1), of_aggregator), (Name::Sink, of_sink)]);
        let keys: Vec<_> = self.deployment.aggregators.iter().map(|keys| (keys.point, &keys.key)).collect();
        let next = assemble(document, &self.deployment.registrar, &keys).expect("a good successor");
        self.witness.next = Some(next.clone());
        next
    }

    /// Stops a party and starts it again a moment later with another roster.
    pub(crate) fn give(&mut self, name: Name, roster: &Roster) {
        self.rosters.insert(name, roster.clone());
        self.kill(name, Some(self.now.plus(60_000)));
        if let Name::Aggregator(index) = name {
            self.given_up.remove(&index);
        }
    }

    /// The moment so many hours after the first midnight.
    pub(crate) fn moment(hours: u64) -> Moment {
        Moment(slot_length().start_of(FIRST).0 * 1_000).plus(hours * 3_600_000)
    }

    /// Lets events happen up to a moment.
    pub(crate) fn run_until(&mut self, until: Moment) {
        while let Some(ticked) = self.world.next(until) {
            if ticked == Some(Name::Sink) {
                self.ask_what_is_due();
            }
        }
        self.now = until;
    }

    /// Lets events happen until all is done.
    ///
    /// # Panics
    ///
    /// If it is not by then.
    pub(crate) fn run_to_the_end(&mut self, within_hours: u64) {
        let (end, well) = (Self::moment(u64::from(self.setup.days) * 24), self.network.faults.until);
        let deadline = end.max(well).plus(within_hours * 3_600_000);
        while !(self.now >= end && self.is_done()) {
            assert!(self.now < deadline, "not done after {within_hours} hours: {}", self.describe());
            self.run_until(self.now.plus(600_000));
        }
    }

    /// All goals reached, all outboxes empty but for what the dead are owed.
    pub(crate) fn is_done(&self) -> bool {
        let drained = self.parties.values().all(|party| match (&party.role, party.dead) {
            (Some(Role::Meter(meter)), _) => {
                // nobody is owed anything, but for those who are gone for good
                meter.owed().keys().all(|point| self.is_given_up(*point))
                    && meter.resume_at() == Some(self.homes.end())
            }
            (role, dead) => role.is_some() || dead,
        });
        drained && self.goals.iter().all(|goal| self.has_ended(*goal))
    }

    pub(crate) fn has_ended(&self, goal: Goal) -> bool {
        let party = &self.parties[&Name::Sink];
        let Some(id) = self.asked.get(&goal) else { return false };
        party.sink().is_some_and(|sink| {
            let given_up = sink.given_up(*id, &party.store).expect("the store runs");
            sink.has_ended(*id, &party.store).expect("the store runs")
                || matches!((goal, given_up), (Goal::Curve(_), Some(Rule::Differencing)))
        })
    }

    fn describe(&self) -> String {
        let mut lines = vec![format!("{:?}", self.network.faults)];
        for party in self.parties.values() {
            lines.push(match &party.role {
                None => format!("{:?} is down, dead: {}", party.name, party.dead),
                Some(Role::Meter(meter)) => {
                    format!("{:?}: backlog {}, owed {:?}", party.name, meter.backlog(), meter.owed())
                }
                Some(Role::Aggregator(aggregator)) => {
                    format!("{:?}: {} records", party.name, aggregator.records())
                }
                Some(Role::Sink(running)) => {
                    let releases = self.asked.iter().map(|(goal, id)| {
                        let release = running.release(*id);
                        let progress = release.map(sink::release::Release::progress);
                        let waiting = release.and_then(|release| release.waiting().cloned());
                        format!("{goal:?} {id}: {progress:?}, ended {}, {waiting:?}", self.has_ended(*goal))
                    });
                    releases.collect::<Vec<_>>().join("\n")
                }
            });
        }
        lines.push(format!("last refusals: {:?}", self.refusals.iter().rev().take(8).collect::<Vec<_>>()));
        lines.join("\n")
    }

    /// Asks for what is due and was not asked for yet.
    fn ask_what_is_due(&mut self) {
        for goal in self.goals.clone() {
            let hours = match goal {
                Goal::Interval(day, part) => 24 * day + (part + 1) * INTERVAL,
                _ => 24 * (goal.day() + 1),
            };
            if self.now < Self::moment(hours.into()) || self.asked.contains_key(&goal) {
                continue;
            }
            // Curves come after the bills of their slots: a member whose bill has a gap is in none.
            let before = match goal {
                Goal::Bills(day) => day.checked_sub(1).map(Goal::Bills),
                Goal::Curve(day) => Some(Goal::Bills(day)),
                Goal::Interval(..) => None,
            };
            if before.is_some_and(|before| self.goals.contains(&before) && !self.has_ended(before)) {
                continue;
            }
            if self.setup.patient && !self.everybody_has_everything(Slot(FIRST.0 + hours)) {
                continue;
            }
            self.ask(goal);
        }
    }

    /// Whether every meter has sealed up to a slot and every living aggregator has acknowledged all.
    fn everybody_has_everything(&self, until: Slot) -> bool {
        (0..self.setup.homes).all(|home| {
            self.parties[&Name::Meter(home)].meter().is_some_and(|meter| {
                meter.resume_at().is_some_and(|at| at >= until)
                    && meter.owed().keys().all(|point| self.is_given_up(*point))
            })
        })
    }

    fn is_given_up(&self, point: Point) -> bool {
        self.given_up.contains(&(usize::from(u8::from(point)) - 1))
    }

    /// Asks for a goal, once, as the sink's service does.
    fn ask(&mut self, goal: Goal) {
        let meters = self.meter_ids();
        let group = self.deployment.meters[0].group.clone();
        let tariffs = self.tariff_hashes();
        let key = format!("{goal:?}");
        let asked = self.with_sink(|sink, now, store, rng| {
            if let Some(bytes) = store.get(ASKED, key.as_bytes()).expect("the store runs") {
                let bytes = <[u8; 16]>::try_from(&bytes[..]).expect("a query's id");
                return (QueryId::from(bytes), Vec::new());
            }
            let asked = match goal {
                Goal::Bills(index) => sink.ask_bills(day(index), &tariffs, &meters, now, store, rng),
                Goal::Curve(index) => sink.ask_curve(day(index), group, &meters, now, store, rng),
                Goal::Interval(index, part) => {
                    let slots = (interval(index, part), day(index));
                    sink.ask_interval(slots, group, &meters, now, store, rng)
                }
            };
            let (id, sends) = asked.expect("the rules allow it");
            store.put(ASKED, key.as_bytes(), id.as_bytes()).expect("the store runs");
            (id, sends)
        });
        // Known only if it was committed.
        let store = committed(self.sink_store());
        if let Some(id) = asked
            && store.get(ASKED, key.as_bytes()).expect("the store runs").is_some()
        {
            self.asked.insert(goal, id);
            self.witness.asked.insert(id);
        }
    }

    pub(crate) fn tariff_hashes(&self) -> Vec<Hash> {
        self.tariffs.iter().map(|(hash, _)| *hash).collect()
    }

    pub(crate) fn home_of(&self, meter: MeterId) -> usize {
        let position = self.deployment.meters.iter().position(|keys| keys.meter == meter);
        position.expect("a meter of this deployment")
    }

    /// The days of the replay, in slots.
    pub(crate) fn whole(&self) -> protocol::unit::SlotRange {
        homes::range(FIRST.0, self.homes.end().0)
    }
}
