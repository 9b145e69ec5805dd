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

use crate::account::Account;
use crate::bench::suite::Shape;
use deployment::{Deployment, Plan};

/// Slots a day.
const DAY: u32 = 96;

/// The first slot: Monday 2026-01-05T00:00Z in quarter-hours.
const START: u32 = 1_963_968;

/// Bytes of an MQTT PUBLISH around topic and payload: fixed header, topic length, packet id.
const HEADER: usize = 7;

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
    /// Whole days of 96 slots that are measured and opened.
    days: u32,
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

/// What it exports, Wh.
fn exported_energy(meter: usize, slot: u32) -> i64 {
    energy(meter, slot) % 11
}

/// Runs whole days of 96 slots, as many slots as the shape has at least, over n = 4 aggregators, t = 2, and opens every group's days.
/// What a reading takes does not depend on the seconds to the next one: they only say how many a day has.
///
/// # Errors
///
/// If a role fails.
pub fn run(shape: Shape, group: usize) -> anyhow::Result<Account> {
    let account = Account::new(shape.meters, shape.batch, shape.interval, 4);
    let mut village = Village::open(account, shape.slots.div_ceil(DAY).max(1), group)?;
    village.measure()?;
    village.release()?;
    Ok(village.account)
}

impl Village {
    fn open(account: Account, days: u32, group: usize) -> anyhow::Result<Self> {
        let (meters, batch) = (account.meters, account.batch);
        let mut rng = runtime::entropy()?;
        let members = meters / meters.div_ceil(group);
        let plan = Plan {
            name: "village".into(),
            aggregators: account.aggregators,
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
        let now = Moment(plan.slot.start_of(Slot(START + (days + 1) * DAY)).0 * 1_000);
        let mut homes = BTreeMap::new();
        for keys in &deployment.meters {
            let mut store = MemoryStore::default();
            let pace = meter::Pace {
                batch_slots: batch,
                resend_first: Duration::from_hours(1),
                ..meter::Pace::default()
            };
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
        let sink = Party { role, store };
        Ok(Self { deployment, meters: homes, aggregators, sink, rng, now, days, account })
    }

    /// Every meter's days, slot by slot; receipts at the end of each.
    fn measure(&mut self) -> anyhow::Result<()> {
        let names: Vec<MeterId> = self.deployment.meters.iter().map(|keys| keys.meter).collect();
        let mut registers = vec![(1_000_000_u64, 50_000_u64); names.len()];
        // A batch that reaches beyond the day is measured to its end.
        for slot in START..=(START + self.days * DAY).next_multiple_of(self.account.batch) {
            if slot > START && slot.is_multiple_of(DAY) {
                self.tick()?;
            }
            for (home, name) in names.iter().enumerate() {
                let (import, exported) = registers[home];
                let (register, export) = (Register::try_from(import)?, Some(Register::try_from(exported)?));
                let reading = Reading { export, ..Reading::new(Slot(slot), register) };
                let Some(Party { role, store }) = self.meters.get_mut(name) else { continue };
                let began = Instant::now();
                let sends = role.observe(reading, self.now, store, &mut self.rng)??;
                store.commit()?;
                self.account.of_meters.busy += began.elapsed();
                self.account.readings += 1;
                let more = (u64::try_from(energy(home, slot))?, u64::try_from(exported_energy(home, slot))?);
                registers[home] = (import + more.0, exported + more.1);
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

    /// Opens every group's days.
    fn release(&mut self) -> anyhow::Result<()> {
        let mut groups: BTreeMap<GroupId, Vec<MeterId>> = BTreeMap::new();
        for keys in &self.deployment.meters {
            groups.entry(keys.group.clone()).or_default().push(keys.meter);
        }
        for (day, (group, members)) in
            (0..self.days).flat_map(|day| groups.iter().map(move |group| (day, group)))
        {
            let start = START + day * DAY;
            let day = SlotRange::new(Slot(start), Slot(start + DAY))?;
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
            self.account.exact &= released.len() == self.days as usize;
            self.account.exact &= released.iter().all(|released| self.is_exact(released, members));
        }
        Ok(())
    }

    fn is_exact(&self, released: &Interval, members: &[MeterId]) -> bool {
        let homes = self.deployment.meters.iter().enumerate();
        let homes: Vec<usize> =
            homes.filter(|(_, keys)| members.contains(&keys.meter)).map(|(home, _)| home).collect();
        let sum = |slot, power| homes.iter().map(|home| energy(*home, slot).pow(power)).sum::<i64>();
        let truth = |power| released.slots.numbers().map(|slot| sum(slot, power)).collect::<Vec<i64>>();
        let exported =
            |home: &usize| released.slots.numbers().map(|slot| exported_energy(*home, slot)).sum::<i64>();
        let export = homes.iter().map(exported).sum::<i64>();
        released.agreement == Agreement::Agrees
            && released.energies.iter().map(|energy| energy.0).eq(truth(1))
            && released.sums.as_ref().is_some_and(|sums| {
                sums.energies == truth(1) && sums.squares == truth(2) && sums.export == export
            })
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A village's day is exact by both paths, and every role has worked for it.
    #[test]
    fn a_day_is_exact() {
        let shape = |meters, batch, slots| Shape { meters, batch, interval: 900, slots };
        let account = run(shape(4, 24, 96), 2).unwrap();
        assert!(account.exact);
        assert_eq!(account.readings, 4 * 97);
        assert!(account.of_meters.messages >= 4 * (4 + 1) * 4);
        assert!(account.of_aggregators.messages > 0 && account.of_sink.messages > 0);
        assert!((8_000.0..30_000.0).contains(&account.bytes_a_meter_day()));
        // Six shares of 51 KiB.
        assert!((300_000..360_000).contains(&account.bytes_a_deal()));
        assert!(
            run(shape(2, 10, 97), 2).unwrap().exact,
            "batches need not end with the day, and days may be several"
        );
    }
}
