//! The play: who is on stage, the replay, and what each party is left with at the end.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aggregator_worker::aggregator::Aggregator;
use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use protocol::id::{Hash, MeterId, QueryId};
use protocol::policy::Policy;
use protocol::shamir::Point;
use protocol::unit::{Slot, SlotRange};
use rand::rngs::StdRng;
use runtime::link::Publisher;
use store::FileStore;
use tokio::sync::watch;
use utility_sink::sink::ledger::{bills_of, curve_of};
use utility_sink::tariff_file;

use super::cast::{ATTACKER, AgentTask, PATIENCE, SinkTask, Stage, Worker};
use super::homes::Homes;
use super::liar::Liar;
use super::observer::Seen;
use super::report::{self, Act, BillRow, CurveRow, Report, Sight};
use super::{LIAR, Options, TARIFFS, VICTIM, attack, half_sizes, observer};
use deployment::{Deployment, Setup};

/// Slots a batch.
const BATCH: u32 = 4;

pub(super) struct Play {
    pub(super) deployment: Arc<Deployment>,
    pub(super) homes: Homes,
    pub(super) options: Options,
    pub(super) stage: Stage,
    pub(super) workers: Vec<Worker>,
    pub(super) sink: SinkTask,
    pub(super) agents: Vec<AgentTask>,
    pub(super) seen: watch::Receiver<Seen>,
    pub(super) attacker: Publisher,
    pub(super) tariffs: [Hash; 2],
    pub(super) liar: Option<Liar>,
    pub(super) shapes: watch::Sender<Vec<Vec<usize>>>,
    pub(super) acts: Vec<Act>,
    pub(super) dice: StdRng,
    /// Crashes and lies that n, t and Q leave room for.
    pub(super) spare: usize,
    pub(super) correctable: usize,
}

impl Play {
    pub(super) async fn open(
        deployment: Arc<Deployment>,
        homes: Homes,
        options: &Options,
        directory: &Path,
        mut dice: StdRng,
    ) -> anyhow::Result<Self> {
        let stage = Stage::open(&deployment, directory, &mut dice).await?;
        let name = deployment.roster.document().deployment.to_string();
        let seen = observer::watch(stage.settings("observer", "observer"), format!("wv/1/{name}/#"));
        let pace = aggregator_worker::aggregator::Pace { receipt_every: 100, patience: 600_000 };
        let setup = Setup { aggregators: pace, ..stage.setup.clone() };
        let configs = deployment.write_aggregators(directory, &setup)?;
        let workers =
            configs.iter().map(|config| Worker::start(config)).collect::<anyhow::Result<Vec<_>>>()?;
        let sink =
            SinkTask::start(&deployment, &directory.join("sink.redb"), stage.settings("sink", "sink"))?;
        let attacker = Publisher::connect(stage.settings(ATTACKER, ATTACKER));
        let slot = homes.slot();
        let tariffs = sink
            .ask(move |sink, store, _| {
                let (flat, mut sends) = sink.publish_tariff(tariff_file::parse(TARIFFS[0], slot)?, store)?;
                let (tou, more) = sink.publish_tariff(tariff_file::parse(TARIFFS[1], slot)?, store)?;
                sends.extend(more);
                Ok(([flat, tou], sends))
            })
            .await?;
        let (n, q) = (deployment.roster.n(), deployment.roster.q());
        let (shapes, _) = watch::channel(Vec::new());
        let mut play = Self {
            spare: n - q,
            correctable: protocol::decode::correctable(n, deployment.roster.t()),
            options: options.clone(),
            deployment,
            homes,
            stage,
            workers,
            sink,
            agents: Vec::new(),
            seen,
            attacker,
            tariffs,
            liar: None,
            shapes,
            acts: Vec::new(),
            dice,
        };
        play.wait_up(n).await?;
        for (keys, home) in play.deployment.meters.iter().zip(&play.homes.series) {
            let link = play.stage.settings(&keys.meter.to_string(), &format!("meter-{}", keys.meter));
            let slots = play.homes.slots();
            let pace = (play.options.speed, BATCH);
            let agent = AgentTask::start(&play.deployment, keys, home, slots, pace, directory, link)?;
            play.agents.push(agent);
        }
        Ok(play)
    }

    pub(super) fn period(&self) -> anyhow::Result<SlotRange> {
        let start = self.homes.start();
        Ok(SlotRange::new(start, Slot(start.0 + u32::try_from(self.homes.slots())?))?)
    }

    /// Waits until so many aggregators say that they listen.
    pub(super) async fn wait_up(&mut self, count: usize) -> anyhow::Result<()> {
        let up =
            self.seen.wait_for(|seen| seen.up.iter().filter(|id| id.starts_with("agg-")).count() >= count);
        tokio::time::timeout(PATIENCE, up).await.context("the aggregators did not start")??;
        Ok(())
    }

    /// The replay, with one aggregator killed half-way.
    pub(super) async fn replay(&mut self) -> anyhow::Result<()> {
        let all = (self.homes.slots() + 1) * self.agents.len();
        let bar = ProgressBar::new(all as u64);
        if self.options.quiet {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        bar.set_style(ProgressStyle::with_template("{msg:34} {wide_bar} {pos}/{len} readings {elapsed}")?);
        bar.set_message("meters measure, seal and deliver");
        let mut alive = true;
        let deadline = Instant::now() + PATIENCE + self.replay_time();
        loop {
            let read: u64 = self.agents.iter().map(|agent| agent.progress.borrow().readings).sum();
            bar.set_position(read);
            if alive && self.spare > 0 && read * 2 >= all as u64 {
                self.workers[VICTIM].kill().await?;
                alive = false;
                bar.set_message(format!("{} killed (SIGKILL)", self.deployment.aggregators[VICTIM].id));
            }
            let delivered = self.agents.iter().all(|agent| {
                let progress = agent.progress.borrow();
                progress.drained && progress.lag == 0
            });
            if delivered {
                break;
            }
            anyhow::ensure!(
                !self.agents.iter().any(AgentTask::has_ended),
                "a meter agent stopped: see demo.log"
            );
            anyhow::ensure!(Instant::now() < deadline, "the replay took too long");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bar.finish_and_clear();
        Ok(())
    }

    pub(super) fn replay_time(&self) -> Duration {
        let slots = u32::try_from(self.homes.slots()).unwrap_or(u32::MAX);
        if self.options.speed > 0.0 {
            Duration::from_secs_f64(f64::from(slots) / self.options.speed)
        } else {
            Duration::from_millis(u64::try_from(self.homes.slots() * self.agents.len()).unwrap_or(u64::MAX))
        }
    }

    /// The meters of each bill query, of the first half or of the second.
    pub(super) fn halves(&self, second: bool) -> Vec<Vec<MeterId>> {
        let first = self.deployment.meters.len().div_ceil(2);
        let mut rest: Vec<MeterId> = self.deployment.meters.iter().map(|keys| keys.meter).collect();
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

    pub(super) async fn ask_bills(
        &self,
        meters: Vec<MeterId>,
        tariffs: Vec<Hash>,
        period: SlotRange,
    ) -> anyhow::Result<QueryId> {
        self.sink
            .ask(move |sink, store, rng| {
                Ok(sink.ask_bills(period, &tariffs, &meters, runtime::now(), store, rng)?)
            })
            .await
    }

    /// Waits for a release's end; gives who was used and who was wrong.
    pub(super) async fn finish(&self, id: QueryId) -> anyhow::Result<(Vec<Point>, Vec<Point>)> {
        self.sink
            .wait_for("a release", move |sink, _| {
                let outcome = sink.release(id).and_then(|release| release.finished());
                Ok(outcome.map(|outcome| (outcome.used.clone(), outcome.faulty.clone())))
            })
            .await
    }

    pub(super) fn first_half(&self) -> usize {
        self.deployment.meters.len().div_ceil(2)
    }

    /// Whether every bill of a half equals the oracle's.
    pub(super) async fn exact_bills(&self, second: bool) -> anyhow::Result<bool> {
        let rows = self.bill_rows().await?;
        let (first, rest) = rows.split_at(self.first_half());
        Ok((if second { rest } else { first }).iter().all(BillRow::exact))
    }

    pub(super) async fn bill_rows(&self) -> anyhow::Result<Vec<BillRow>> {
        let meters: Vec<MeterId> = self.deployment.meters.iter().map(|keys| keys.meter).collect();
        let bills = self
            .sink
            .ask(move |_, store, _| {
                let mut bills = Vec::new();
                for meter in meters {
                    bills.push(bills_of(meter, store)?.into_iter().next());
                }
                Ok((bills, Vec::new()))
            })
            .await?;
        bills
            .into_iter()
            .zip(&self.homes.series)
            .map(|(bill, home)| {
                Ok(BillRow {
                    home: home.name.clone(),
                    energy: bill.as_ref().map(|bill| bill.energy.0),
                    flat: bill.as_ref().and_then(|bill| bill.amounts.first().map(|(_, amount)| *amount)),
                    time_of_use: bill
                        .as_ref()
                        .and_then(|bill| bill.amounts.get(1).map(|(_, amount)| *amount)),
                    unaccounted: bill.as_ref().and_then(|bill| bill.unaccounted.map(|rest| rest.0)),
                    oracle: (self.homes.energy(home), self.homes.flat(home), self.homes.time_of_use(home)?),
                })
            })
            .collect()
    }

    pub(super) async fn curve_row(&self) -> anyhow::Result<CurveRow> {
        let mut groups: Vec<_> = self.deployment.meters.iter().map(|keys| keys.group.clone()).collect();
        groups.dedup();
        let days = self
            .sink
            .ask(move |_, store, _| {
                let mut days = Vec::new();
                for group in &groups {
                    days.extend(curve_of(group, store)?);
                }
                Ok((days, Vec::new()))
            })
            .await?;
        let mut released = vec![0; self.homes.slots()];
        for day in days {
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
        for agent in std::mem::take(&mut self.agents) {
            agent.stop().await?;
        }
        if let Some(liar) = self.liar.take() {
            liar.stop().await?;
        }
        for (index, worker) in self.workers.iter_mut().enumerate() {
            if index != LIAR || self.correctable == 0 {
                worker.kill().await?;
            }
        }
        self.attacker.close(Duration::from_secs(1)).await;
        self.sink.stop().await?;
        let seen = self.seen.borrow().clone();
        let pairs = aggregator_sight(&self.workers, &self.deployment, &self.homes)?;
        let roster = &self.deployment.roster;
        let sight = Sight {
            carried: seen.carried.clone(),
            sample: seen.shares.first().cloned().unwrap_or_default(),
            leaks: leaks(&self.homes, &seen),
            shares: pairs.iter().take(6).copied().collect(),
            correlation: report::correlation(&pairs),
            values: pairs.len(),
        };
        let report = Report {
            origin: self.homes.origin.clone(),
            roster: (roster.n(), roster.t(), roster.q()),
            policy: roster.policy().clone(),
            production: roster.policy().clone() == Policy { late_grace: u32::MAX, ..Policy::production() },
            bills,
            curve,
            acts: std::mem::take(&mut self.acts),
            sight,
            grid: None,
            levelled: None,
            directory: self.options.keep.clone(),
            seconds: 0.0,
        };
        self.stage.broker.stop().await;
        Ok(report)
    }
}

/// Every reading, with the first aggregator's share of it.
fn aggregator_sight(
    workers: &[Worker],
    deployment: &Deployment,
    homes: &Homes,
) -> anyhow::Result<Vec<(i64, u64)>> {
    let store = FileStore::open(&workers[0].store(), 1 << 20)?;
    let end = Slot(homes.start().0 + u32::try_from(homes.slots())?);
    let period = SlotRange::new(homes.start(), end)?;
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
