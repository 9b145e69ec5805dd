//! A village in memory: all roles, no network, no disk; every call is timed, so that each role's share of the work shows.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use aggregator_worker::aggregator::{self, Aggregator};
use meter_agent::meter::{self, Meter, Reading};
use protocol::hpke_box::Suite;
use protocol::id::{GroupId, MeterId};
use protocol::policy::Policy;
use protocol::topic::{Channel, Outgoing};
use protocol::unit::{Moment, Register, Slot, SlotLength, SlotRange, Timestamp};
use rand::rngs::StdRng;
use store::{MemoryStore, Store};
use utility_sink::sink::ledger::intervals_of;
use utility_sink::sink::{self, Agreement, Interval, Sink};

use crate::deployment::{Deployment, Plan};

/// Slots a day.
const DAY: u32 = 96;

/// The first slot: Monday 2026-01-05T00:00Z in quarter-hours.
const START: u32 = 1_963_968;

/// Bytes of an MQTT PUBLISH around topic and payload: fixed header, topic length, packet id.
const HEADER: usize = 7;

/// What a role has done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Work {
    /// Time in its calls.
    pub busy: Duration,
    /// Messages it sent.
    pub messages: u64,
    /// Their bytes: payloads, topics and MQTT headers.
    pub bytes: u64,
}

/// What a day of a village took.
#[derive(Clone, Debug)]
pub struct Account {
    /// How many meters.
    pub meters: usize,
    /// Slots a batch.
    pub batch: u32,
    /// Readings taken.
    pub readings: u64,
    /// All meters.
    pub of_meters: Work,
    /// Bytes of key deals among what meters sent: once a roster.
    pub dealt: u64,
    /// All aggregators.
    pub of_aggregators: Work,
    /// How many aggregators.
    pub aggregators: usize,
    /// The sink.
    pub of_sink: Work,
    /// Whether every group's day was opened and equals the plaintext by both paths.
    pub exact: bool,
}

/// A party with its store.
struct Party<R> {
    role: R,
    store: MemoryStore,
}

/// The village.
struct Village {
    deployment: Deployment,
    meters: BTreeMap<MeterId, Party<Meter>>,
    aggregators: BTreeMap<String, Party<Aggregator>>,
    sink: Party<Sink>,
    rng: StdRng,
    now: Moment,
    account: Account,
}

/// Who sends.
#[derive(Clone, Copy, Debug)]
enum Sender {
    Meter,
    Aggregator,
    Sink,
}

/// The energy of a meter in a slot, Wh.
fn energy(meter: usize, slot: u32) -> i64 {
    let (meter, slot) = (i64::try_from(meter).unwrap_or(0), i64::from(slot));
    20 + (meter * 37 + slot * 101 + meter * slot * 13) % 700
}

/// Runs a day of `meters` meters with batches of `batch` slots over n = 4 aggregators, t = 2, and opens every group's day.
///
/// # Errors
///
/// If a role fails.
pub fn run(meters: usize, batch: u32, group: usize) -> anyhow::Result<Account> {
    let mut village = Village::open(meters, batch, group)?;
    village.measure()?;
    village.release()?;
    Ok(village.account)
}

impl Village {
    fn open(meters: usize, batch: u32, group: usize) -> anyhow::Result<Self> {
        let mut rng = host::entropy()?;
        let members = meters / meters.div_ceil(group);
        let plan = Plan {
            name: "village".into(),
            aggregators: 4,
            threshold: 2,
            suite: Suite::X25519,
            slot: SlotLength::try_from(900)?,
            policy: Policy { k: u16::try_from(members.min(15))?, bill_days: 1, ..Policy::production() },
            homes: (0..meters).map(|home| format!("home-{home}")).collect(),
            group,
            valid_from: Timestamp(0),
            valid_to: Timestamp(u64::MAX),
        };
        let deployment = Deployment::create(&plan, &mut rng)?;
        let now = Moment(plan.slot.start_of(Slot(START + 2 * DAY)).0 * 1_000);
        let mut homes = BTreeMap::new();
        for keys in &deployment.meters {
            let mut store = MemoryStore::default();
            let pace = meter::Pace { batch_slots: batch, resend_first: 3_600_000, ..meter::Pace::default() };
            let identity = deployment.meter_identity(keys);
            let (roster, floor) = (deployment.roster.clone(), deployment.floor());
            let role = Meter::open(identity, roster, floor, pace, &mut store, now)?;
            homes.insert(keys.meter, Party { role, store });
        }
        let mut aggregators = BTreeMap::new();
        for keys in &deployment.aggregators {
            let mut store = MemoryStore::default();
            let pace = aggregator::Pace { receipt_every: 0, ..aggregator::Pace::default() };
            let identity = deployment.aggregator_identity(keys);
            let role = Aggregator::open(identity, deployment.roster.clone(), pace, &mut store)?;
            aggregators.insert(keys.id.to_string(), Party { role, store });
        }
        let mut store = MemoryStore::default();
        let roster = deployment.roster.clone();
        let role = Sink::open(deployment.sink_identity(), roster, sink::Pace::default(), &mut store, now)?;
        let account = Account {
            meters,
            batch,
            readings: 0,
            of_meters: Work::default(),
            dealt: 0,
            of_aggregators: Work::default(),
            aggregators: aggregators.len(),
            of_sink: Work::default(),
            exact: false,
        };
        let sink = Party { role, store };
        Ok(Self { deployment, meters: homes, aggregators, sink, rng, now, account })
    }

    /// Every meter's day, slot by slot; receipts at the end.
    fn measure(&mut self) -> anyhow::Result<()> {
        let names: Vec<MeterId> = self.deployment.meters.iter().map(|keys| keys.meter).collect();
        let mut registers = vec![1_000_000_u64; names.len()];
        // A batch that reaches beyond the day is measured to its end.
        for slot in START..=(START + DAY).next_multiple_of(self.account.batch) {
            for (home, name) in names.iter().enumerate() {
                let reading = Reading { at: Slot(slot), register: Register::try_from(registers[home])? };
                let Some(Party { role, store }) = self.meters.get_mut(name) else { continue };
                let began = Instant::now();
                let sends = role.observe(reading, self.now, store, &mut self.rng)??;
                store.commit()?;
                self.account.of_meters.busy += began.elapsed();
                self.account.readings += 1;
                registers[home] += u64::try_from(energy(home, slot))?;
                self.route(Sender::Meter, sends)?;
            }
        }
        self.tick()
    }

    /// Lets time pass for the aggregators, which then give their receipts.
    fn tick(&mut self) -> anyhow::Result<()> {
        self.now = self.now.plus(10_000);
        let mut sends = Vec::new();
        for Party { role, store } in self.aggregators.values_mut() {
            let began = Instant::now();
            sends.extend(role.tick(self.now, store, &mut self.rng)?);
            store.commit()?;
            self.account.of_aggregators.busy += began.elapsed();
        }
        self.route(Sender::Aggregator, sends)
    }

    /// Opens every group's day.
    fn release(&mut self) -> anyhow::Result<()> {
        let day = SlotRange::new(Slot(START), Slot(START + DAY))?;
        let mut groups: BTreeMap<GroupId, Vec<MeterId>> = BTreeMap::new();
        for keys in &self.deployment.meters {
            groups.entry(keys.group.clone()).or_default().push(keys.meter);
        }
        for (group, members) in &groups {
            let Party { role, store } = &mut self.sink;
            let began = Instant::now();
            let asked = role.ask_interval((day, day), group.clone(), members, self.now, store, &mut self.rng);
            store.commit()?;
            self.account.of_sink.busy += began.elapsed();
            self.route(Sender::Sink, asked?.1)?;
        }
        self.account.exact = true;
        for (group, members) in &groups {
            let released = intervals_of(group, &self.sink.store)?;
            self.account.exact &= released.len() == 1 && self.is_exact(&released[0], members);
        }
        Ok(())
    }

    fn is_exact(&self, released: &Interval, members: &[MeterId]) -> bool {
        let homes = self.deployment.meters.iter().enumerate();
        let homes: Vec<usize> =
            homes.filter(|(_, keys)| members.contains(&keys.meter)).map(|(home, _)| home).collect();
        let sum = |slot, power| homes.iter().map(|home| energy(*home, slot).pow(power)).sum::<i64>();
        let truth = |power| (START..START + DAY).map(|slot| sum(slot, power)).collect::<Vec<i64>>();
        released.agreement == Agreement::Agrees
            && released.energies.iter().map(|energy| energy.0).eq(truth(1))
            && released
                .sums
                .as_ref()
                .is_some_and(|sums| sums.energies == truth(1) && sums.squares == truth(2))
    }

    /// Delivers messages, and what they lead to, until nobody has anything to say.
    fn route(&mut self, from: Sender, sends: Vec<Outgoing>) -> anyhow::Result<()> {
        let mut waiting: Vec<(Sender, Outgoing)> =
            sends.into_iter().map(|outgoing| (from, outgoing)).collect();
        while !waiting.is_empty() {
            for (from, outgoing) in std::mem::take(&mut waiting) {
                let work = match from {
                    Sender::Meter => &mut self.account.of_meters,
                    Sender::Aggregator => &mut self.account.of_aggregators,
                    Sender::Sink => &mut self.account.of_sink,
                };
                work.messages += 1;
                let topic = outgoing.topic.to_string();
                let bytes = (outgoing.payload.len() + topic.len() + HEADER) as u64;
                work.bytes += bytes;
                if let Channel::Deal(..) = outgoing.topic.channel {
                    self.account.dealt += bytes;
                }
                waiting.extend(self.deliver(&outgoing, &topic)?);
            }
        }
        Ok(())
    }

    fn deliver(&mut self, outgoing: &Outgoing, topic: &str) -> anyhow::Result<Vec<(Sender, Outgoing)>> {
        let Self { meters, aggregators, sink, rng, now, account, .. } = self;
        let (to_one, to_all, to_sink) = match &outgoing.topic.channel {
            Channel::Share(to, _) | Channel::Grid(to, _) | Channel::Deal(to, _) => {
                (Some(to.to_string()), false, false)
            }
            Channel::Certificate(_) | Channel::Query | Channel::Cut | Channel::Votes => (None, true, false),
            Channel::Inventory(_) | Channel::Vote(_) => (None, true, true),
            Channel::Result(_) | Channel::Receipt(..) => (None, false, true),
            _ => (None, false, false),
        };
        let mut answers = Vec::new();
        for (name, Party { role, store }) in aggregators {
            if to_all || to_one.as_ref() == Some(name) {
                let began = Instant::now();
                let handled = role.handle(topic, &outgoing.payload, *now, store, rng)?;
                store.commit()?;
                account.of_aggregators.busy += began.elapsed();
                answers.extend(handled.sends.into_iter().map(|outgoing| (Sender::Aggregator, outgoing)));
            }
        }
        if to_sink {
            let began = Instant::now();
            let handled = sink.role.handle(topic, &outgoing.payload, *now, &mut sink.store)?;
            sink.store.commit()?;
            account.of_sink.busy += began.elapsed();
            answers.extend(handled.sends.into_iter().map(|outgoing| (Sender::Sink, outgoing)));
        }
        if let Channel::Receipt(meter, _) = &outgoing.topic.channel
            && let Some(Party { role, store }) = meters.get_mut(meter)
        {
            let began = Instant::now();
            let handled = role.handle(topic, &outgoing.payload, *now, store)?;
            store.commit()?;
            account.of_meters.busy += began.elapsed();
            answers.extend(handled.sends.into_iter().map(|outgoing| (Sender::Meter, outgoing)));
        }
        Ok(answers)
    }
}

impl Account {
    /// Microseconds of all roles a reading.
    pub fn micros_a_reading(&self) -> f64 {
        let busy = self.of_meters.busy + self.of_aggregators.busy + self.of_sink.busy;
        micros(busy) / float(self.readings)
    }

    /// Readings a second that one core carries, all roles together.
    pub fn readings_a_second(&self) -> f64 {
        1e6 / self.micros_a_reading()
    }

    /// Messages a second that one core carries, all roles together.
    pub fn messages_a_second(&self) -> f64 {
        let messages = self.of_meters.messages + self.of_aggregators.messages + self.of_sink.messages;
        float(messages) / float(self.readings) * self.readings_a_second()
    }

    /// Bytes that a meter sends a day, its key deal not counted.
    pub fn bytes_a_meter_day(&self) -> u64 {
        (self.of_meters.bytes - self.dealt) / self.meters as u64
    }

    /// Bytes of a meter's key deal, once a roster.
    pub fn bytes_a_deal(&self) -> u64 {
        self.dealt / self.meters as u64
    }
}

/// Microseconds.
pub(super) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// A count as a number to divide by.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub(super) fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A village's day is exact by both paths, and every role has worked for it.
    #[test]
    fn a_day_is_exact() {
        let account = run(4, 24, 2).unwrap();
        assert!(account.exact);
        assert_eq!(account.readings, 4 * 97);
        assert!(account.of_meters.messages >= 4 * (4 + 1) * 4);
        assert!(account.of_aggregators.messages > 0 && account.of_sink.messages > 0);
        assert!((4 * 2_000..30_000).contains(&account.bytes_a_meter_day()));
        // Six shares of 51 KiB.
        assert!((300_000..360_000).contains(&account.bytes_a_deal()));
        assert!(run(2, 10, 2).unwrap().exact, "batches need not end with the day");
    }
}
