//! A village in the simulated world, without a fault: what each role takes for whole days of load vectors and their release.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::ops::RangeInclusive;
use std::time::Duration;

use aggregator_worker::aggregator;
use anyhow::Context as _;
use meter_agent::meter::{self, Reading};
use protocol::hpke_box::Suite;
use protocol::id::{GroupId, MeterId};
use protocol::policy::Policy;
use protocol::unit::{Moment, Register, Slot, SlotLength, SlotRange, Timestamp};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use store::MemoryStore;
use utility_sink::sink::ledger::intervals_of;
use utility_sink::sink::{self, Agreement, Interval};

use crate::account::Account;
use crate::bench::suite::Shape;
use crate::world::network::{Faults, Message, Name, Network};
use crate::world::party::Paces;
use crate::world::{Beginning, Watch, World};
use deployment::{Deployment, Plan};

/// Slots a day.
const DAY: u32 = 96;

/// Milliseconds a slot.
const SLOT_MILLIS: u64 = 900_000;

/// The first slot: Monday 2026-01-05T00:00Z in quarter-hours.
const START: u32 = 1_963_968;

/// Bytes of key deals, which come once a roster, and of those that were only repeated.
#[derive(Default)]
struct Dealt {
    bytes: u64,
    repeated: u64,
    seen: BTreeSet<u64>,
}

impl Watch for Dealt {
    fn message(&mut self, _: Name, message: &Message, _: &MemoryStore, _: &Deployment) {
        if message.topic.contains("/deal/") {
            let mut hasher = DefaultHasher::new();
            (&message.topic, &message.payload).hash(&mut hasher);
            let is_new = self.seen.insert(hasher.finish());
            *(if is_new { &mut self.bytes } else { &mut self.repeated }) += message.bytes();
        }
    }
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

/// Its registers, slot by slot.
fn readings(home: usize, slots: RangeInclusive<u32>) -> anyhow::Result<Vec<Reading>> {
    let (mut import, mut export) = (1_000_000, 50_000);
    slots
        .map(|slot| {
            let at = Slot(slot);
            let (register, exported) = (Register::try_from(import)?, Register::try_from(export)?);
            import += u64::try_from(energy(home, slot))?;
            export += u64::try_from(exported_energy(home, slot))?;
            Ok(Reading { export: Some(exported), ..Reading::new(at, register) })
        })
        .collect()
}

/// Runs whole days of 96 slots, as many slots as the shape has at least, over n = 4 aggregators, t = 2, and opens every group's days.
/// What a reading takes does not depend on the seconds to the next one: they only say how many a day has.
///
/// # Errors
///
/// If a role fails.
pub fn run(shape: Shape, group: usize) -> anyhow::Result<Account> {
    let mut account = Account::new(shape.meters, shape.batch, shape.interval, 4);
    let days = shape.slots.div_ceil(DAY).max(1);
    // A batch that reaches beyond the day is measured to its end.
    let end = (START + days * DAY).next_multiple_of(shape.batch);
    account.readings = u64::from(end - START + 1) * shape.meters as u64;
    let mut world = open(&account, START..=end, group)?;
    world.schedule_readings(0..1);
    // the last receipts are given at the next tick
    let over = world.now.plus(u64::from(end - START + 2) * SLOT_MILLIS);
    world.run_until(over);
    account.exact = release(&mut world, days)?;
    (account.works, account.dealt) = (world.work, world.witness.bytes);
    account.works.meters.bytes -= world.witness.repeated;
    Ok(account)
}

fn open(account: &Account, slots: RangeInclusive<u32>, group: usize) -> anyhow::Result<World<Dealt>> {
    let mut rng = runtime::entropy()?;
    let members = account.meters / account.meters.div_ceil(group);
    let plan = Plan {
        name: "village".into(),
        aggregators: account.aggregators,
        threshold: 2,
        suite: Suite::X25519,
        slot: SlotLength::try_from(900)?,
        policy: Policy { k: u16::try_from(members.min(15))?, bill_days: 1, ..Policy::production() },
        homes: (0..account.meters).map(|home| format!("home-{home}")).collect(),
        group,
        valid_from: Timestamp(0),
        valid_to: Timestamp(u64::MAX),
    };
    let mut random = || ChaCha8Rng::seed_from_u64(rng.random());
    let (network, dice) = (Network::new(Faults { latency: 1, ..Faults::none() }, random()), random());
    let paces = Paces {
        // nothing is lost here, and receipts come with an aggregator's next tick
        meter: meter::Pace {
            batch_slots: account.batch,
            resend_first: Duration::from_hours(1),
            ..meter::Pace::default()
        },
        aggregator: aggregator::Pace { receipt_every: 0, ..aggregator::Pace::default() },
        sink: sink::Pace::default(),
        levelled: None,
        tick: SLOT_MILLIS..SLOT_MILLIS + 1,
        group: 0,
    };
    let beginning = Beginning {
        deployment: Deployment::create(&plan, &mut rng)?,
        now: Moment(plan.slot.start_of(Slot(START)).0 * 1_000),
        paces,
        network,
        readings: (0..account.meters)
            .map(|home| readings(home, slots.clone()))
            .collect::<anyhow::Result<_>>()?,
        replayable: true,
        documents: Vec::new(),
    };
    Ok(World::new(beginning, Dealt::default(), dice))
}

/// Opens every group's days; whether all are the plaintext's.
fn release(world: &mut World<Dealt>, days: u32) -> anyhow::Result<bool> {
    let mut groups: BTreeMap<GroupId, Vec<MeterId>> = BTreeMap::new();
    for keys in &world.deployment.meters {
        groups.entry(keys.group.clone()).or_default().push(keys.meter);
    }
    for (day, (group, members)) in (0..days).flat_map(|day| groups.iter().map(move |group| (day, group))) {
        let start = START + day * DAY;
        let day = SlotRange::new(Slot(start), Slot(start + DAY))?;
        let asked = world.with_sink(|sink, now, store, rng| {
            match sink.ask_interval((day, day), group.clone(), members, now, store, rng) {
                Ok((_, sends)) => (Ok(()), sends),
                Err(error) => (Err(error), Vec::new()),
            }
        });
        asked.context("the sink is up")??;
        world.run_until(world.now.plus(1_000));
    }
    let mut exact = true;
    for (group, members) in &groups {
        let released = intervals_of(group, world.sink_store())?;
        exact &= released.len() == days as usize;
        exact &= released.iter().all(|released| is_exact(&world.deployment, released, members));
    }
    Ok(exact)
}

fn is_exact(deployment: &Deployment, released: &Interval, members: &[MeterId]) -> bool {
    let homes = deployment.meters.iter().enumerate();
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
        assert!(account.works.meters.messages >= 4 * (4 + 1) * 4);
        assert!(account.works.aggregators.messages > 0 && account.works.sink.messages > 0);
        assert!((8_000.0..30_000.0).contains(&account.bytes_a_meter_day()));
        // Six shares of 51 KiB.
        assert!((300_000..360_000).contains(&account.bytes_a_deal()), "{}", account.bytes_a_deal());
        assert!(
            run(shape(2, 10, 97), 2).unwrap().exact,
            "batches need not end with the day, and days may be several"
        );
    }
}
