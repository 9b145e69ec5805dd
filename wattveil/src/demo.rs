//! The demonstration: real readings become exact bills over a real broker, while parties crash, lie and attack.
//!
//! Everything it claims is checked, and it fails if one check does. Aggregators are processes of their own, so that one
//! can be killed for real; the sink and the agents run in this process, on connections of their own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aggregator_worker::aggregator::Aggregator;
use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use link::{Message, Publisher};
use protocol::hpke_box::Suite;
use protocol::id::{Hash, MeterId, QueryId};
use protocol::policy::Policy;
use protocol::release::inventory::{Holding, InventoryAnswer};
use protocol::rule::Rule;
use protocol::shamir::Point;
use protocol::tariff::Tariff;
use protocol::topic::{Channel, Outgoing};
use protocol::unit::{Slot, SlotRange, Timestamp};
use rand::rngs::StdRng;
use store::FileStore;
use tokio::sync::watch;
use utility_sink::sink::ledger::{bills_of, curve_of};
use utility_sink::tariff_file;

use self::cast::{AgentTask, PATIENCE, SinkTask, Stage, Worker};
use self::homes::Homes;
use self::liar::Liar;
use self::observer::Seen;
use self::report::{Act, BillRow, CurveRow, Report, Sight};
use crate::deployment::{Deployment, MeterKeys, Plan};

mod attack;
mod cast;
mod homes;
mod liar;
mod observer;
pub mod report;

/// What a demonstration is to show.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// A file of load data instead of the shipped homes.
    pub data: Option<PathBuf>,
    /// So many synthetic homes instead of the shipped ones; with `data`, the first so many of the file.
    pub meters: Option<usize>,
    /// n.
    pub aggregators: usize,
    /// t.
    pub threshold: usize,
    /// Slots a second; 0 is as fast as it goes.
    pub speed: f64,
    /// Where to keep everything it made.
    pub keep: Option<PathBuf>,
    /// Whether nothing but the report may be printed.
    pub quiet: bool,
}

/// The most homes in a group, and in one query.
const GROUP: usize = 48;

/// Which aggregator is killed, and which one lies, from 0.
const VICTIM: usize = 2;
const LIAR: usize = 1;

/// Runs a demonstration in `directory`.
///
/// # Errors
///
/// If a part of it could not be run; a claim that does not hold is in the report.
pub async fn run(options: &Options, directory: &Path) -> anyhow::Result<Report> {
    let began = Instant::now();
    let homes = Homes::load(options.data.as_deref(), options.meters)?;
    let mut dice = host::entropy()?;
    let plan = plan(&homes, options)?;
    let deployment = Arc::new(Deployment::create(&plan, &mut dice)?);
    let mut play = Play::open(deployment, homes, options, directory, dice).await?;
    play.replay().await?;
    play.bills_with_one_down().await?;
    play.attacks_at_intake().await?;
    play.everyone_back().await?;
    play.bills_with_a_liar().await?;
    play.refused_queries().await?;
    play.curves().await?;
    let mut report = play.close().await?;
    report.seconds = began.elapsed().as_secs_f64();
    Ok(report)
}

/// A deployment that fits the homes: the production policy, as far as there are homes and days for it.
fn plan(homes: &Homes, options: &Options) -> anyhow::Result<Plan> {
    let count = homes.series.len();
    let groups = count.div_ceil(GROUP);
    let production = Policy::production();
    let per_query = half_sizes(count).into_iter().min().unwrap_or(1);
    let policy = Policy {
        k: production.k.min(u16::try_from(count / groups)?),
        bill_days: production.bill_days.min(u16::try_from(homes.days())?),
        smallest_cell: production.smallest_cell.min(u16::try_from(homes.slots() / 27)?.max(1)),
        tariff_meters: production.tariff_meters.min(u16::try_from(per_query)?),
        // the replay's data may be years old
        late_grace: u32::MAX,
        ..production
    };
    let now = host::now().timestamp();
    Ok(Plan {
        name: "demo".into(),
        aggregators: options.aggregators,
        threshold: options.threshold,
        suite: Suite::X25519,
        slot: homes.slot(),
        policy,
        homes: homes.series.iter().map(|home| home.name.to_lowercase()).collect(),
        group: GROUP,
        valid_from: Timestamp(0),
        valid_to: now.plus(86_400),
    })
}

/// How the homes are split over bill queries: the first half before the crash is mended, the second after.
fn half_sizes(count: usize) -> Vec<usize> {
    let first = count.div_ceil(2);
    [first, count - first]
        .into_iter()
        .filter(|half| *half > 0)
        .flat_map(|half| {
            let queries = half.div_ceil(GROUP);
            (0..queries).map(move |i| half * (i + 1) / queries - half * i / queries)
        })
        .collect()
}

struct Play {
    deployment: Arc<Deployment>,
    homes: Homes,
    options: Options,
    stage: Stage,
    workers: Vec<Worker>,
    sink: SinkTask,
    agents: Vec<AgentTask>,
    seen: watch::Receiver<Seen>,
    attacker: Publisher,
    tariffs: [Hash; 2],
    liar: Option<Liar>,
    shapes: watch::Sender<Vec<Vec<usize>>>,
    acts: Vec<Act>,
    dice: StdRng,
    /// Crashes and lies that n, t and Q leave room for.
    spare: usize,
    correctable: usize,
}

impl Play {
    async fn open(
        deployment: Arc<Deployment>,
        homes: Homes,
        options: &Options,
        directory: &Path,
        mut dice: StdRng,
    ) -> anyhow::Result<Self> {
        let stage = Stage::open(&deployment, &mut dice).await?;
        let name = deployment.roster.document().deployment.to_string();
        let seen = observer::watch(stage.settings("observer", "observer"), format!("wv/1/{name}/#"));
        let pace = aggregator_worker::config::PaceConfig { receipt_every_ms: 100, patience_s: 600 };
        let address = stage.broker.address().to_string();
        let configs = deployment.write_aggregators(directory, &address, &stage.logins, &pace)?;
        let workers =
            configs.iter().map(|config| Worker::start(config)).collect::<anyhow::Result<Vec<_>>>()?;
        let sink =
            SinkTask::start(&deployment, &directory.join("sink.redb"), stage.settings("sink", "sink"))?;
        let attacker = Publisher::connect(stage.settings("attacker", "attacker"));
        let slot = homes.slot();
        let tariffs = sink
            .ask(move |sink, store, _| {
                let (flat, mut sends) = sink
                    .publish_tariff(tariff_file::parse(include_str!("../assets/flat.toml"), slot)?, store)?;
                let (tou, more) = sink
                    .publish_tariff(tariff_file::parse(include_str!("../assets/tou.toml"), slot)?, store)?;
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
            let link = play.stage.settings("meters", &format!("meter-{}", keys.home));
            let slots = play.homes.slots();
            let speed = play.options.speed;
            let agent = AgentTask::start(&play.deployment, keys, home, slots, speed, directory, link)?;
            play.agents.push(agent);
        }
        Ok(play)
    }

    fn period(&self) -> anyhow::Result<SlotRange> {
        let start = self.homes.start();
        Ok(SlotRange::new(start, Slot(start.0 + u32::try_from(self.homes.slots())?))?)
    }

    /// Waits until so many aggregators say that they listen.
    async fn wait_up(&mut self, count: usize) -> anyhow::Result<()> {
        let up =
            self.seen.wait_for(|seen| seen.up.iter().filter(|id| id.starts_with("agg-")).count() >= count);
        tokio::time::timeout(PATIENCE, up).await.context("the aggregators did not start")??;
        Ok(())
    }

    /// The replay, with one aggregator killed half-way.
    async fn replay(&mut self) -> anyhow::Result<()> {
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
            anyhow::ensure!(Instant::now() < deadline, "the replay took too long");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bar.finish_and_clear();
        Ok(())
    }

    fn replay_time(&self) -> Duration {
        let slots = u32::try_from(self.homes.slots()).unwrap_or(u32::MAX);
        if self.options.speed > 0.0 {
            Duration::from_secs_f64(f64::from(slots) / self.options.speed)
        } else {
            Duration::from_millis(u64::try_from(self.homes.slots() * self.agents.len()).unwrap_or(u64::MAX))
        }
    }

    /// The meters of each bill query, of the first half or of the second.
    fn halves(&self, second: bool) -> Vec<Vec<MeterId>> {
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

    async fn ask_bills(
        &self,
        meters: Vec<MeterId>,
        tariffs: Vec<Hash>,
        period: SlotRange,
    ) -> anyhow::Result<QueryId> {
        self.sink
            .ask(move |sink, store, rng| {
                Ok(sink.ask_bills(period, &tariffs, &meters, host::now(), store, rng)?)
            })
            .await
    }

    /// Waits for a release's end; gives who was used and who was wrong.
    async fn finish(&self, id: QueryId) -> anyhow::Result<(Vec<Point>, Vec<Point>)> {
        self.sink
            .wait_for("a release", move |sink, _| {
                let outcome = sink.release(id).and_then(|release| release.finished());
                Ok(outcome.map(|outcome| (outcome.used.clone(), outcome.faulty.clone())))
            })
            .await
    }

    async fn bills_with_one_down(&mut self) -> anyhow::Result<()> {
        let mut used = Vec::new();
        for meters in self.halves(false) {
            let id = self.ask_bills(meters, self.tariffs.to_vec(), self.period()?).await?;
            used = self.finish(id).await?.0;
        }
        if self.spare == 0 {
            self.acts.push(Act::left_out(
                "an aggregator is killed half-way",
                "n = Q: this roster survives no crash",
            ));
            return Ok(());
        }
        let victim = self.deployment.aggregators[VICTIM].point;
        let exact = self.exact_bills(false).await?;
        self.acts.push(Act {
            name: format!("{} is killed half-way (SIGKILL)", self.deployment.aggregators[VICTIM].id),
            rule: None,
            held: exact && !used.contains(&victim) && used.len() >= self.deployment.roster.q(),
            evidence: format!("{} bills exact from aggregators {}", self.first_half(), report::points(&used)),
        });
        Ok(())
    }

    fn first_half(&self) -> usize {
        self.deployment.meters.len().div_ceil(2)
    }

    /// Whether every bill of a half equals the oracle's.
    async fn exact_bills(&self, second: bool) -> anyhow::Result<bool> {
        let rows = self.bill_rows().await?;
        let (first, rest) = rows.split_at(self.first_half());
        Ok((if second { rest } else { first }).iter().all(BillRow::exact))
    }

    async fn attacks_at_intake(&mut self) -> anyhow::Result<()> {
        let first = self.homes.start();
        let deployment = Arc::clone(&self.deployment);
        let honest = &deployment.meters[0];
        // a replay: an honest message again, as it was
        let (topic, payload) = self.seen.borrow().shares.first().cloned().context("no share was seen")?;
        let replayed = Outgoing::new(topic.parse()?, payload);
        self.attack("an honest message is replayed", Rule::Replay, vec![replayed]).await?;
        // a forgery: another key signs in an honest meter's name
        let stranger = protocol::signature::SigningKey::generate(&mut self.dice);
        let forged = attack::batch(&self.deployment, honest, &stranger, Slot(first.0 + 4), &mut self.dice)?;
        self.attack("a meter's message is forged", Rule::Forged, forged).await?;
        // a meter that the registrar does not know
        let fake = self.stranger("fake-home")?;
        let unknown = attack::batch(&self.deployment, &fake, &fake.key, first, &mut self.dice)?;
        self.attack("a meter is made up", Rule::UnknownMeter, unknown).await?;
        // an honest key that tells two stories
        let second = attack::batch(&self.deployment, honest, &honest.key.clone(), first, &mut self.dice)?;
        self.attack("a meter tells two stories of the same slots", Rule::Equivocation, second).await?;
        self.bad_dealer(first).await
    }

    /// A meter with a key but no certificate of the registrar's.
    fn stranger(&mut self, home: &str) -> anyhow::Result<MeterKeys> {
        self.deployment.issue(home, "group-1".parse()?, &mut self.dice)
    }

    /// Sends messages, and waits until an aggregator's own log names the rule that refused one of them.
    async fn attack(&mut self, name: &str, rule: Rule, messages: Vec<Outgoing>) -> anyhow::Result<()> {
        let before = self.refusals(rule);
        for message in messages {
            self.send(message).await?;
        }
        let held = self.wait_refused(rule, before).await;
        self.acts.push(Act {
            name: name.to_owned(),
            rule: Some(rule),
            held,
            evidence: format!("refused by {} aggregators", self.refusals(rule).saturating_sub(before)),
        });
        Ok(())
    }

    async fn send(&self, Outgoing { topic, payload, retain }: Outgoing) -> anyhow::Result<()> {
        self.attacker.publish(Message { topic: topic.to_string(), payload, retain }).await?;
        Ok(())
    }

    /// How often the aggregators' logs name a rule.
    fn refusals(&self, rule: Rule) -> usize {
        let word = format!("rule=\"{}\"", rule.name());
        self.workers.iter().map(|worker| worker.log().matches(&word).count()).sum()
    }

    async fn wait_refused(&self, rule: Rule, before: usize) -> bool {
        for _ in 0..100 {
            if self.refusals(rule) > before {
                // the others follow at once
                tokio::time::sleep(Duration::from_millis(60)).await;
                return true;
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        false
    }

    /// A certified meter deals one aggregator a share that is off the polynomial.
    async fn bad_dealer(&mut self, first: Slot) -> anyhow::Result<()> {
        let name = "a meter deals a bad share";
        if self.deployment.roster.n() - usize::from(self.spare > 0) <= self.deployment.roster.t() {
            self.acts.push(Act::left_out(name, "n = t: there is no share too many to tell by"));
            return Ok(());
        }
        let dealer = self.stranger("bad-home")?;
        let topic = Channel::Certificate(dealer.meter).of(&self.deployment.roster.document().deployment);
        self.send(Outgoing::new(topic, dealer.certificate.bytes().to_vec())).await?;
        for message in attack::bad_batch(&self.deployment, &dealer, first, &mut self.dice)? {
            self.send(message).await?;
        }
        let meter = dealer.meter;
        let named = self
            .sink
            .wait_for("naming a bad dealer", move |sink, _| {
                let named = sink.checks().named_meters();
                Ok((!named.is_empty()).then_some(named))
            })
            .await?;
        self.acts.push(Act {
            name: name.to_owned(),
            rule: Some(Rule::BadShare),
            held: named.len() == 1 && named.contains(&meter),
            evidence: format!("named at intake: meter {}", short(&meter)),
        });
        Ok(())
    }

    /// The killed aggregator starts again and catches up from the meters' outboxes.
    async fn everyone_back(&mut self) -> anyhow::Result<()> {
        if self.spare > 0 {
            self.workers[VICTIM].restart()?;
            self.wait_up(self.deployment.roster.n()).await?;
        }
        let deadline = Instant::now() + PATIENCE;
        while self.agents.iter().any(|agent| agent.progress.borrow().backlog > 0) {
            anyhow::ensure!(Instant::now() < deadline, "the restarted aggregator did not catch up");
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        if self.spare > 0 {
            self.acts.push(Act {
                name: format!("{} starts again", self.deployment.aggregators[VICTIM].id),
                rule: None,
                held: true,
                evidence: "caught up from the meters' outboxes: every record has its n receipts".into(),
            });
        }
        Ok(())
    }

    async fn bills_with_a_liar(&mut self) -> anyhow::Result<()> {
        let lies = self.correctable > 0;
        if lies {
            self.workers[LIAR].kill().await?;
            let store = self.workers[LIAR].store();
            let name = self.deployment.aggregators[LIAR].id.to_string();
            let link = self.stage.settings(&name, &format!("{name}-liar"));
            let shapes = self.shapes.subscribe();
            self.liar = Some(Liar::start(&self.deployment, LIAR, &store, link, shapes)?);
        }
        let mut faulty = Vec::new();
        let mut dropped = false;
        for meters in self.halves(true) {
            let shape = vec![2 + self.tariffs.len(); meters.len()];
            self.shapes.send_modify(|shapes| shapes.push(shape));
            let id = self.ask_bills(meters, self.tariffs.to_vec(), self.period()?).await?;
            if !std::mem::replace(&mut dropped, true) {
                self.drop_a_record(id).await?;
            }
            faulty = self.finish(id).await?.1;
            self.split_view(id).await?;
        }
        let name = format!("{} lies about every bill", self.deployment.aggregators[LIAR].id);
        if !lies {
            self.acts.push(Act::left_out(&name, "n < t + 2: this roster corrects no lie"));
            return Ok(());
        }
        let liar = self.deployment.aggregators[LIAR].point;
        self.acts.push(Act {
            name,
            rule: None,
            held: faulty == [liar] && self.exact_bills(true).await?,
            evidence: format!("bills exact; named: aggregator {}", report::points(&faulty)),
        });
        Ok(())
    }

    /// The utility itself proposes a cut that leaves one record out, while the query is fresh.
    async fn drop_a_record(&mut self, id: QueryId) -> anyhow::Result<()> {
        let deployment = Arc::clone(&self.deployment);
        let q = deployment.roster.q();
        let enough =
            self.seen.wait_for(|seen| attack::inventories_of(&deployment, id, &seen.inventories).len() >= q);
        let inventories = {
            let seen = tokio::time::timeout(PATIENCE, enough).await.context("no inventories were seen")??;
            attack::inventories_of(&deployment, id, &seen.inventories)
        };
        let (query, tariffs) = self.query(id).await?;
        let cut = attack::dropping_cut(&deployment, &query, &inventories, &tariffs);
        self.propose(
            "the utility's cut leaves a record out",
            &[Rule::CutNotDerived, Rule::SplitView],
            cut.bytes(),
        )
        .await
    }

    /// The utility sends another cut of a query that was voted on.
    async fn split_view(&mut self, id: QueryId) -> anyhow::Result<()> {
        let inventories = attack::inventories_of(&self.deployment, id, &self.seen.borrow().inventories);
        let (query, tariffs) = self.query(id).await?;
        let cut = if inventories.len() > self.deployment.roster.q() {
            attack::second_cut(&self.deployment, &query, &inventories, &tariffs)
        } else {
            attack::dropping_cut(&self.deployment, &query, &inventories, &tariffs)
        };
        self.propose("the utility shows two cuts (split view)", &[Rule::SplitView], cut.bytes()).await
    }

    /// Sends a cut in the utility's name, and waits until a rule refuses it.
    async fn propose(&mut self, name: &str, rules: &[Rule], cut: &[u8]) -> anyhow::Result<()> {
        if self.acts.iter().any(|act| act.name == name) {
            return Ok(());
        }
        let topic = Channel::Cut.of(&self.deployment.roster.document().deployment);
        let before: Vec<usize> = rules.iter().map(|rule| self.refusals(*rule)).collect();
        for part in Outgoing::parts(&topic, cut) {
            self.send(part).await?;
        }
        let mut refused = None;
        for _ in 0..100 {
            let mut both = rules.iter().zip(&before);
            refused = both.find(|(rule, before)| self.refusals(**rule) > **before).map(|(rule, _)| *rule);
            if refused.is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        self.acts.push(Act {
            name: name.to_owned(),
            rule: Some(refused.unwrap_or(rules[0])),
            held: refused.is_some(),
            evidence: "no aggregator voted for it".into(),
        });
        Ok(())
    }

    async fn query(&self, id: QueryId) -> anyhow::Result<(protocol::release::query::Query, Vec<Tariff>)> {
        let slot = self.homes.slot();
        let tariffs = [include_str!("../assets/flat.toml"), include_str!("../assets/tou.toml")];
        let tariffs = tariffs
            .into_iter()
            .map(|text| Ok(Tariff::new(tariff_file::parse(text, slot)?, slot)?))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let query = self
            .sink
            .ask(move |sink, _, _| {
                let release = sink.release(id).context("the sink forgot a query")?;
                Ok((release.query().clone(), Vec::new()))
            })
            .await?;
        Ok((query, tariffs))
    }

    async fn refused_queries(&mut self) -> anyhow::Result<()> {
        // a tariff that spells single readings
        let period = self.period()?;
        let tariff = attack::crafted_tariff(&self.deployment, period.start(), period.end())?;
        let crafted = self.sink.ask(move |sink, store, _| Ok(sink.publish_tariff(tariff, store)?)).await?;
        let meters: Vec<MeterId> = self.halves(false).concat().into_iter().take(GROUP).collect();
        let id = self.ask_bills(meters.clone(), vec![crafted], period).await?;
        let (n, q) = (self.deployment.roster.n(), self.deployment.roster.q());
        let rule = self
            .sink
            .wait_for("refusing a crafted tariff", move |sink, _| {
                Ok(sink.release(id).and_then(|release| release.refused(n, q)))
            })
            .await?;
        self.acts.push(Act {
            name: "a crafted tariff spells single readings".into(),
            rule: Some(rule),
            held: rule == Rule::Cell,
            evidence: "the whole query is refused".into(),
        });
        // the same slots again, a day shifted: the difference would be a day
        let shifted = SlotRange::new(
            Slot(period.start().0 + self.homes.slot().per_day()),
            Slot(period.end().0 + self.homes.slot().per_day()),
        )?;
        let id = self.ask_overlapping(meters, shifted).await?;
        let rules = self
            .sink
            .wait_for("refusing an overlapping query", move |sink, _| {
                let Some(release) = sink.release(id) else { return Ok(None) };
                let rules: Vec<Rule> = release
                    .inventories()
                    .flat_map(|inventory| match &inventory.answer {
                        InventoryAnswer::Refused(rule) => vec![*rule],
                        InventoryAnswer::Holdings(holdings) => holdings
                            .iter()
                            .filter_map(|holding| match holding {
                                Holding::Refused(rule) => Some(*rule),
                                Holding::Records(_) => None,
                            })
                            .collect(),
                    })
                    .collect();
                let answered = release.inventories().count() >= q;
                Ok(answered.then_some(rules))
            })
            .await?;
        self.acts.push(Act {
            name: "a second query overlaps the first".into(),
            rule: rules.first().copied(),
            held: !rules.is_empty() && rules.iter().all(|rule| *rule == Rule::AlreadyReleased),
            evidence: "every target is refused: the difference would be a day".into(),
        });
        Ok(())
    }

    /// Asks for bills as if none had been given: what a malicious utility would send.
    async fn ask_overlapping(&self, meters: Vec<MeterId>, period: SlotRange) -> anyhow::Result<QueryId> {
        let flat = self.tariffs[0];
        self.sink
            .ask(move |sink, store, rng| {
                Ok(sink.ask_bills_unanchored(period, &[flat], &meters, host::now(), store, rng)?)
            })
            .await
    }

    async fn curves(&mut self) -> anyhow::Result<()> {
        let period = self.period()?;
        let mut groups: Vec<_> = self.deployment.meters.iter().map(|keys| keys.group.clone()).collect();
        groups.dedup();
        for group in groups {
            let members: Vec<MeterId> = self
                .deployment
                .meters
                .iter()
                .filter(|keys| keys.group == group)
                .map(|keys| keys.meter)
                .collect();
            let shape = vec![self.homes.slot().per_day() as usize; self.homes.days() as usize];
            self.shapes.send_modify(|shapes| shapes.push(shape));
            let id = self
                .sink
                .ask(move |sink, store, rng| {
                    Ok(sink.ask_curve(period, group, &members, host::now(), store, rng)?)
                })
                .await?;
            self.finish(id).await?;
        }
        Ok(())
    }

    async fn bill_rows(&self) -> anyhow::Result<Vec<BillRow>> {
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

    async fn curve_row(&self) -> anyhow::Result<CurveRow> {
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
    async fn close(mut self) -> anyhow::Result<Report> {
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
        let (shares, correlation, values) = aggregator_sight(&self.workers, &self.deployment, &self.homes)?;
        let roster = &self.deployment.roster;
        let sight = Sight {
            carried: seen.carried.clone(),
            sample: seen.shares.first().cloned().unwrap_or_default(),
            leaks: leaks(&self.homes, &seen),
            shares,
            correlation,
            values,
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
            directory: self.options.keep.clone(),
            seconds: 0.0,
        };
        self.stage.broker.stop().await;
        Ok(report)
    }
}

/// What the first aggregator holds, next to what was measured: some pairs, their correlation, their number.
fn aggregator_sight(
    workers: &[Worker],
    deployment: &Deployment,
    homes: &Homes,
) -> anyhow::Result<(Vec<(i64, u64)>, f64, usize)> {
    let store = FileStore::open(&workers[0].store(), 1 << 20)?;
    let end = Slot(homes.start().0 + u32::try_from(homes.slots())?);
    let period = SlotRange::new(homes.start(), end)?;
    let mut pairs = Vec::new();
    for (keys, home) in deployment.meters.iter().zip(&homes.series) {
        for (slot, share) in Aggregator::shares_of(keys.meter, period, &store)? {
            pairs.push((home.energies[(slot.0 - home.start.0) as usize].0, share));
        }
    }
    let sample = pairs.iter().take(6).copied().collect();
    Ok((sample, report::correlation(&pairs), pairs.len()))
}

/// How many captured messages hold two consecutive readings in the clear.
fn leaks(homes: &Homes, seen: &Seen) -> usize {
    let traces: Vec<Vec<u8>> = homes.series.iter().flat_map(|home| attack::traces(&home.energies)).collect();
    let shows = |payload: &[u8]| {
        traces.iter().any(|trace| payload.windows(trace.len()).any(|window| window == trace))
    };
    seen.shares.iter().filter(|(_, payload)| shows(payload)).count()
}

fn short(meter: &MeterId) -> String {
    let text = meter.to_string();
    format!("{}…", &text[..8])
}
