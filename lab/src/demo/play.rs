//! The play: who is on stage, the replay, and what each party is left with at the end.

use std::path::Path;
use std::time::Duration;

use aggregator_worker::aggregator::Aggregator;
use meter_agent::source::Series;
use protocol::id::{Hash, MeterId, QueryId};
use protocol::policy::Policy;
use protocol::shamir::Point;
use protocol::tariff::Tariff;
use rand::rngs::StdRng;
use runtime::link::Publisher;
use store::FileStore;
use tokio::sync::watch;
use utility_sink::sink::Bill;
use utility_sink::sink::ledger::{bills_of, curve_of};
use utility_sink::tariff_file;

use super::cast::{ATTACKER, Cast, Scene, Task};
use super::homes::Homes;
use super::narrator::Narrator;
use super::observer::Seen;
use super::report::{self, Act, BillRow, CurveRow, Report, Sight};
use super::{Options, VICTIM, attack, half_sizes};
use deployment::{Deployment, Plan};

/// Slots a batch.
const BATCH: u32 = 4;

pub(super) struct Play {
    pub(super) cast: Cast,
    pub(super) homes: Homes,
    pub(super) attacker: Publisher,
    pub(super) tariffs: [Hash; 2],
    /// The tariffs that were published, as everybody computes with them.
    pub(super) published: Vec<Tariff>,
    pub(super) liar: Option<Task>,
    pub(super) shapes: watch::Sender<Vec<Vec<usize>>>,
    pub(super) acts: Vec<Act>,
    pub(super) dice: StdRng,
    /// Crashes and lies that n, t and Q leave room for.
    pub(super) spare: usize,
    pub(super) correctable: usize,
}

impl Play {
    pub(super) async fn open(
        plan: Plan,
        homes: Homes,
        options: &Options,
        directory: &Path,
        narrator: &Narrator,
    ) -> anyhow::Result<Self> {
        let mut dice = runtime::entropy()?;
        let files = homes.tariffs()?;
        let scene = Scene {
            plan,
            homes: &homes.series,
            slots: homes.slots(),
            batch: BATCH,
            speed: options.speed,
            tariffs: files.to_vec(),
            directory,
            narrator: narrator.clone(),
        };
        let mut cast = Cast::open(scene, &mut dice).await?;
        let parse = |(_, text): &(String, String)| tariff_file::parse(text, homes.slot());
        let [flat, tou] = [parse(&files[0])?, parse(&files[1])?];
        let published =
            vec![Tariff::new(flat.clone(), homes.slot())?, Tariff::new(tou.clone(), homes.slot())?];
        let tariffs = cast
            .sink
            .ask(move |sink, store, _| {
                let (flat, mut sends) = sink.publish_tariff(flat, store)?;
                let (tou, more) = sink.publish_tariff(tou, store)?;
                sends.extend(more);
                Ok(([flat, tou], sends))
            })
            .await?;
        narrator.say("The utility published two tariffs: flat, and by time of use");
        let roster = &cast.deployment.roster;
        Ok(Self {
            spare: roster.n() - roster.q(),
            correctable: protocol::decode::correctable(roster.n(), roster.t()),
            attacker: Publisher::connect(cast.settings(ATTACKER, ATTACKER)),
            cast,
            homes,
            tariffs,
            published,
            liar: None,
            shapes: watch::channel(Vec::new()).0,
            acts: Vec::new(),
            dice,
        })
    }

    /// Notes an act and says what came of it.
    pub(super) fn note(&mut self, act: Act) {
        self.cast.narrator.say(&format!("{}: {}", capital(&act.name), act.mark()));
        self.acts.push(act);
    }

    /// The replay, with one aggregator killed half-way.
    pub(super) async fn replay(&mut self) -> anyhow::Result<()> {
        self.cast.replay((self.spare > 0).then_some(VICTIM)).await
    }

    /// The meters of each bill query, of the first half or of the second.
    pub(super) fn halves(&self, second: bool) -> Vec<Vec<MeterId>> {
        let first = self.first_half();
        let mut rest = self.meters();
        let mut sizes = half_sizes(rest.len()).into_iter();
        let (mut before, mut queries) = (0, Vec::new());
        for size in sizes.by_ref() {
            let query: Vec<MeterId> = rest.drain(..size).collect();
            if (before >= first) == second {
                queries.push(query);
            }
            before += size;
        }
        queries
    }

    /// Asks for the bills of a half; gives each query, who was used and who was wrong.
    pub(super) async fn bill(
        &mut self,
        second: bool,
    ) -> anyhow::Result<Vec<(QueryId, Vec<Point>, Vec<Point>)>> {
        let (period, tariffs) = (self.homes.period()?, self.tariffs);
        let mut billed = Vec::new();
        for meters in self.halves(second) {
            self.cast.narrator.begin(format!("The utility asks for {} bills", meters.len()), 0);
            self.shapes.send_modify(|shapes| shapes.push(vec![2 + tariffs.len(); meters.len()]));
            let ask = self.cast.sink.ask(move |sink, store, rng| {
                Ok(sink.ask_bills(period, &tariffs, &meters, runtime::now(), store, rng)?)
            });
            let id = ask.await?;
            let (used, faulty) = self.finish(id).await?;
            billed.push((id, used, faulty));
        }
        Ok(billed)
    }

    /// Waits for a release's end; gives who was used and who was wrong.
    pub(super) async fn finish(&mut self, id: QueryId) -> anyhow::Result<(Vec<Point>, Vec<Point>)> {
        self.cast
            .ask_until("a release", move |sink, _| {
                let outcome = sink.release(id).and_then(|release| release.finished());
                Ok(outcome.map(|outcome| (outcome.used.clone(), outcome.faulty.clone())))
            })
            .await
    }

    pub(super) fn meters(&self) -> Vec<MeterId> {
        self.cast.deployment.meters.iter().map(|keys| keys.meter).collect()
    }

    pub(super) fn first_half(&self) -> usize {
        self.homes.series.len().div_ceil(2)
    }

    /// Whether every bill of a half equals the oracle's.
    pub(super) async fn exact_bills(&mut self, second: bool) -> anyhow::Result<bool> {
        let rows = self.bill_rows().await?;
        let (first, rest) = rows.split_at(self.first_half());
        Ok((if second { rest } else { first }).iter().all(BillRow::exact))
    }

    async fn bill_rows(&mut self) -> anyhow::Result<Vec<BillRow>> {
        let meters = self.meters();
        let ask = self.cast.sink.ask(move |_, store, _| {
            let first = |meter| Ok(bills_of(meter, store)?.into_iter().next());
            Ok((meters.into_iter().map(first).collect::<anyhow::Result<Vec<_>>>()?, Vec::new()))
        });
        let row = |(bill, home): (Option<Bill>, &Series)| {
            let amount = |index: usize| bill.as_ref()?.amounts.get(index).map(|(_, amount)| *amount);
            Ok(BillRow {
                home: home.name.clone(),
                energy: bill.as_ref().map(|bill| bill.energy.0),
                flat: amount(0),
                time_of_use: amount(1),
                unaccounted: bill.as_ref().and_then(|bill| bill.unaccounted.map(|rest| rest.0)),
                oracle: (self.homes.energy(home), self.homes.flat(home), self.homes.time_of_use(home)?),
            })
        };
        ask.await?.into_iter().zip(&self.homes.series).map(row).collect()
    }

    async fn curve_row(&mut self) -> anyhow::Result<CurveRow> {
        let groups = self.cast.groups();
        let ask = self.cast.sink.ask(move |_, store, _| {
            let mut days = Vec::new();
            for (group, _) in &groups {
                days.extend(curve_of(group, store)?);
            }
            Ok((days, Vec::new()))
        });
        let mut released = vec![0; self.homes.slots()];
        for day in ask.await? {
            for (t, energy) in day.slots.numbers().zip(day.energies) {
                if let Some(sum) = released.get_mut((t - self.homes.start().0) as usize) {
                    *sum += energy.0;
                }
            }
        }
        Ok(CurveRow { released, oracle: self.homes.curve() })
    }

    /// Ends everything, and looks at what each party was left with.
    pub(super) async fn close(mut self) -> anyhow::Result<Report> {
        let (bills, curve) = (self.bill_rows().await?, self.curve_row().await?);
        let Self { cast, homes, attacker, liar, acts, .. } = self;
        cast.narrator.begin("Stopping everybody, and looking at what each was left with", 0);
        if let Some(liar) = liar {
            liar.stop().await?;
        }
        attacker.close(Duration::from_secs(1)).await;
        let (seen, deployment) = (cast.seen.borrow().clone(), std::sync::Arc::clone(&cast.deployment));
        let (store, narrator) = (cast.workers[0].store(), cast.narrator.clone());
        cast.close().await?;
        let pairs = aggregator_sight(&store, &deployment, &homes)?;
        let leaks = leaks(&homes, &seen);
        narrator.say("Looked at what an aggregator and the broker were left with");
        let roster = &deployment.roster;
        Ok(Report {
            origin: homes.origin.clone(),
            roster: (roster.n(), roster.t(), roster.q()),
            policy: roster.policy().clone(),
            production: roster.policy().clone() == Policy { late_grace: u32::MAX, ..Policy::production() },
            bills,
            curve,
            acts,
            sight: Sight {
                sample: seen.shares.first().cloned().unwrap_or_default(),
                carried: seen.carried,
                leaks,
                shares: pairs.iter().take(4).copied().collect(),
                correlation: report::correlation(&pairs),
                values: pairs.len(),
            },
            grid: None,
            levelled: None,
            again: None,
            seconds: 0.0,
        })
    }
}

/// A sentence begins with a capital letter, unless it begins with a name such as `agg-1`.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) if !text.starts_with("agg-") => first.to_uppercase().chain(letters).collect(),
        _ => text.to_owned(),
    }
}

/// Every reading, with the first aggregator's share of it.
fn aggregator_sight(store: &Path, deployment: &Deployment, homes: &Homes) -> anyhow::Result<Vec<(i64, u64)>> {
    let store = FileStore::open(store, 1 << 20)?;
    let period = homes.period()?;
    let mut pairs = Vec::new();
    for (keys, home) in deployment.meters.iter().zip(&homes.series) {
        for (slot, share) in Aggregator::shares_of(keys.meter, period, &store)? {
            pairs.push((home.energies[(slot.0 - home.start.0) as usize].0, share));
        }
    }
    Ok(pairs)
}

/// How many captured messages hold two consecutive readings in the clear.
fn leaks(homes: &Homes, seen: &Seen) -> usize {
    let traces: Vec<Vec<u8>> = homes.series.iter().flat_map(|home| attack::traces(&home.energies)).collect();
    let shows = |payload: &[u8]| {
        traces.iter().any(|trace| payload.windows(trace.len()).any(|window| window == trace))
    };
    seen.shares.iter().filter(|(_, payload)| shows(payload)).count()
}
