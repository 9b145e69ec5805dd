//! The grid path on stage: 48 homes in groups of 16, quarter-hours, a load vector a day; an aggregator is killed for real and
//! stays down. Every day of every group is opened from ciphertexts and compared with the plaintext and with the shares.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use grid::sum::{Layout, Statistics, attempt_alone};
use meter_agent::source::{Series, csv};
use protocol::id::GroupId;
use protocol::policy::Policy;
use protocol::release::result::{Pieces, ResultShare};
use protocol::signature::Signed;
use protocol::unit::{Slot, SlotRange};
use store::{FileStore, Table};
use utility_sink::sink::ledger::intervals_of;
use utility_sink::sink::{Agreement, Interval};

use super::cast::{Cast, PATIENCE, Scene};
use super::grid_report::{GridReport, GroupRow};
use super::narrator::Narrator;
use super::report::correlation;
use super::{Options, plan};
use deployment::Deployment;

/// 48 synthetic German households, a winter week in quarter-hours.
const SYNPRO: &str = include_str!("../../../data/synpro48_load_wh_15min_1w.csv");

/// Homes in a group.
const GROUP: usize = 16;

/// A batch is a day: the grid path needs no shorter one.
const BATCH: u32 = 96;

/// Which aggregator is killed, from 0.
const VICTIM: usize = 3;

/// Runs the act in a directory below `directory`.
pub(super) async fn run(
    options: &Options,
    directory: &Path,
    narrator: &Narrator,
) -> anyhow::Result<GridReport> {
    let began = Instant::now();
    let homes = csv::read_energies(SYNPRO.as_bytes(), &csv::Format::default())?;
    let first = homes.first().context("the shipped homes are missing")?;
    let slots = first.energies.len();
    let days = u16::try_from(slots)? / u16::try_from(first.slot.per_day())?;
    let policy = Policy { bill_days: days, late_grace: u32::MAX, ..Policy::production() };
    narrator.say("The grid path: 48 synthetic homes, a winter week in quarter-hours");
    let scene = Scene {
        plan: plan("grid", options, &homes, first.slot, GROUP, policy),
        homes: &homes,
        slots,
        batch: BATCH,
        speed: 0.0,
        tariffs: Vec::new(),
        directory: &directory.join("grid"),
        narrator: narrator.clone(),
    };
    let mut cast = Cast::open(scene, &mut runtime::entropy()?).await?;
    let deployment = Arc::clone(&cast.deployment);
    let roster = &deployment.roster;
    let victim = (roster.n() > roster.q()).then(|| VICTIM.min(roster.n() - 1));
    cast.replay(victim).await?;
    let released = release(&mut cast, &homes).await?;
    let store = cast.workers[0].store();
    let carried = cast.seen.borrow().carried.clone();
    cast.close().await?;
    let alone = alone(&store, &deployment, &released, &homes)?;
    Ok(GridReport {
        roster: (roster.n(), roster.t(), roster.q()),
        killed: victim.map(|index| deployment.aggregators[index].id.to_string()),
        groups: rows(&deployment, &released, &homes),
        alone,
        carried,
        meter_days: homes.len() * released.first().map_or(0, |(_, days)| days.len()),
        seconds: began.elapsed().as_secs_f64(),
    })
}

/// The days of the replay.
fn days(homes: &[Series]) -> anyhow::Result<(SlotRange, Vec<SlotRange>)> {
    let (start, per_day) = (homes[0].start.0, homes[0].slot.per_day());
    let end = start + u32::try_from(homes[0].energies.len())?;
    let day = |first: u32| SlotRange::new(Slot(first), Slot(first + per_day));
    let days = (start..end).step_by(per_day as usize).map(day).collect::<Result<Vec<_>, _>>()?;
    Ok((SlotRange::new(Slot(start), Slot(end))?, days))
}

/// Asks for every day of every group, and waits for all.
async fn release(cast: &mut Cast, homes: &[Series]) -> anyhow::Result<Vec<(GroupId, Vec<Interval>)>> {
    let (window, days) = days(homes)?;
    let groups = cast.groups();
    let names: Vec<GroupId> = groups.iter().map(|(group, _)| group.clone()).collect();
    let (wanted, of_days) = (days.len(), days);
    cast.narrator.begin("The utility asks for every day of every group", wanted * groups.len());
    let ask = cast.sink.ask(move |sink, store, rng| {
        let mut sends = Vec::new();
        for day in of_days {
            for (group, members) in &groups {
                let slots = (day, window);
                sends.extend(sink.ask_interval(slots, group.clone(), members, runtime::now(), store, rng)?.1);
            }
        }
        Ok(((), sends))
    });
    ask.await?;
    let all = async |cast: &mut Cast| {
        let names = names.clone();
        let released = cast.sink.ask(move |_, store, _| {
            let days = |group: GroupId| Ok((group.clone(), intervals_of(&group, store)?));
            Ok((names.into_iter().map(days).collect::<anyhow::Result<Vec<_>>>()?, Vec::new()))
        });
        let released = released.await?;
        cast.narrator.reach(released.iter().map(|(_, days)| days.len()).sum());
        Ok(released.iter().all(|(_, days)| days.len() == wanted).then_some(released))
    };
    let released = cast.wait_for("releasing the days of the groups", PATIENCE, all).await?;
    cast.narrator.say(&format!("{} days of groups opened from ciphertexts", wanted * names.len()));
    Ok(released)
}

/// Each group beside the plaintext.
fn rows(deployment: &Deployment, released: &[(GroupId, Vec<Interval>)], homes: &[Series]) -> Vec<GroupRow> {
    let row = |(group, days): &(GroupId, Vec<Interval>)| {
        let mut row = GroupRow { group: group.to_string(), ..GroupRow::default() };
        for day in days {
            let members: Vec<&Series> = deployment
                .meters
                .iter()
                .zip(homes)
                .filter(|(keys, _)| day.members.contains(&keys.meter))
                .map(|(_, home)| home)
                .collect();
            row.add(day, &members);
        }
        row
    };
    released.iter().map(row).collect()
}

/// What the first aggregator makes of all that it holds, beside the truth: a correlation, over how many values.
fn alone(
    store: &Path,
    deployment: &Deployment,
    released: &[(GroupId, Vec<Interval>)],
    homes: &[Series],
) -> anyhow::Result<(f64, usize)> {
    let (keys, roster) = (&deployment.aggregators[0], &deployment.roster);
    let store = FileStore::open(store, 1 << 20)?;
    let mut pairs = Vec::new();
    for (_, bytes) in store::entries(Table("result"), &store)? {
        let share = Signed::<ResultShare>::open(&bytes, &keys.key.verifying_key(), &roster.context())?;
        let Some(day) = released.iter().flat_map(|(_, days)| days).find(|day| day.query == share.query)
        else {
            continue;
        };
        // Sealed to the utility: here it is opened to look at what the aggregator had computed.
        let opened = share.open(&deployment.utility_box, roster, &[day.slots.len()])?;
        let Some(pieces): Option<Pieces> = opened.1 else { continue };
        let Some(values) = attempt_alone(keys.point, &pieces, day.slots, roster) else { continue };
        let layout = Layout::new(day.slots.len());
        for (t, value) in values.iter().take(layout.slots()).enumerate() {
            let index = (day.slots.start().0 - homes[0].start.0) as usize + t;
            let truth: i64 = deployment
                .meters
                .iter()
                .zip(homes)
                .filter(|(keys, _)| day.members.contains(&keys.meter))
                .map(|(_, home)| home.energies[index].0)
                .sum();
            // As a residue, so that the sign does not matter.
            pairs.push((truth, u64::try_from(value.rem_euclid(1 << 53))?));
        }
    }
    Ok((correlation(&pairs), pairs.len()))
}

impl GroupRow {
    /// Adds a day that was released, next to the plaintext of its members.
    fn add(&mut self, day: &Interval, members: &[&Series]) {
        let Some(first) = members.first() else { return };
        let start = (day.slots.start().0 - first.start.0) as usize;
        let energies = |t: usize| members.iter().map(move |home| home.energies[start + t].0);
        let truth: Vec<i64> = (0..day.slots.len()).map(|t| energies(t).sum()).collect();
        self.members = members.len();
        self.days += 1;
        self.slots += truth.len();
        self.agreeing += usize::from(day.agreement == Agreement::Agrees);
        self.by_shares += day.energies.iter().zip(&truth).filter(|(x, y)| x.0 == **y).count();
        let Some(sums) = &day.sums else { return };
        self.by_ciphertexts += sums.energies.iter().zip(&truth).filter(|(x, y)| x == y).count();
        let squares = |t: usize| energies(t).map(|x| x * x).sum::<i64>();
        self.squares += sums.squares.iter().enumerate().filter(|(t, y)| **y == squares(*t)).count();
        let statistics = Statistics::of(sums);
        for (t, slot) in statistics.slots.iter().enumerate() {
            let oracle = variance(&energies(t).collect::<Vec<_>>());
            let off = (slot.variance - oracle).abs() / oracle.max(1.0);
            self.variance_off = self.variance_off.max(off);
        }
        self.curve.extend(&sums.energies);
        self.deviations.extend(statistics.slots.iter().map(super::grid_report::whole_deviation));
        self.total += statistics.total;
        self.medians.extend(statistics.means.at(0.5));
        self.highest.extend(statistics.peaks.at(1.0));
    }
}

/// Population variance, the slow way.
#[expect(clippy::cast_precision_loss, reason = "energies are far below 2^52")]
fn variance(values: &[i64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<i64>() as f64 / n;
    values.iter().map(|x| (*x as f64 - mean).powi(2)).sum::<f64>() / n
}
