//! The cast of a demonstration: all parties of one deployment on loopback, in the directory that `wattveil init` would make
//! for them. Aggregators are processes of their own, so that one can be killed; the others run in this process.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use broker::{Broker, QueueSize, Role, TlsConfig, User};
use meter_agent::config::SourceConfig;
use meter_agent::feed::Feed;
use meter_agent::meter::{Meter, Pace};
use meter_agent::register::Limits;
use meter_agent::service::{Agent, Progress};
use meter_agent::source::{Replay, Series, Source};
use protocol::id::{GroupId, MeterId};
use protocol::topic::Outgoing;
use protocol::unit::{Register, Slot, WattHours};
use rand::Rng as _;
use rand::rngs::StdRng;
use runtime::link::{Login, Settings, Tls, TlsFiles};
use runtime::{file, now};
use store::{FileStore, Store};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use utility_sink::service::Request;
use utility_sink::sink::Sink;

use super::narrator::Narrator;
use super::observer::{self, Seen};
use deployment::{Authority, Deployment, MeterKeys, Plan, Setup};

/// How long anything may take before the demonstration fails.
pub(super) const PATIENCE: Duration = Duration::from_mins(3);

/// The store's cache of each party in bytes.
const CACHE: usize = 1 << 20;

/// Somebody who has got past the broker's permissions, to see what the protocol alone refuses. No file names this user.
pub(super) const ATTACKER: &str = "attacker";

/// What is to be played, by whom, and where.
pub(super) struct Scene<'a> {
    pub(super) plan: Plan,
    /// One home a meter.
    pub(super) homes: &'a [Series],
    /// Slots of each home that are replayed.
    pub(super) slots: usize,
    /// Slots a record.
    pub(super) batch: u32,
    /// Slots a second; 0 is as fast as receipts allow.
    pub(super) speed: f64,
    /// The sink's tariffs: file name and text.
    pub(super) tariffs: Vec<(String, String)>,
    /// A new directory for it.
    pub(super) directory: &'a Path,
    pub(super) narrator: Narrator,
}

/// All parties of a deployment, while they run.
pub(super) struct Cast {
    pub(super) deployment: Arc<Deployment>,
    pub(super) narrator: Narrator,
    pub(super) workers: Vec<Worker>,
    pub(super) sink: SinkTask,
    pub(super) agents: Vec<AgentTask>,
    /// What the observer has seen.
    pub(super) seen: watch::Receiver<Seen>,
    broker: Broker,
    tls: Tls,
    logins: Vec<(String, String)>,
    slots: usize,
    /// How long the replay takes at the speed that was asked for, at most.
    replay_time: Duration,
}

impl Cast {
    /// Makes the deployment's directory and starts everybody.
    pub(super) async fn open(scene: Scene<'_>, dice: &mut StdRng) -> anyhow::Result<Self> {
        let Scene { plan, homes, slots, batch, speed, tariffs, directory, narrator } = scene;
        narrator.begin("Making keys and certificates", 0);
        let deployment = Arc::new(Deployment::create(&plan, dice)?);
        let setup = Setup {
            logins: deployment.logins(&["observer", "registrar"], dice),
            authority: Some(Arc::new(Authority::create(&plan.name)?)),
            aggregators: aggregator_worker::aggregator::Pace { receipt_every: 100, patience: 600_000 },
            meters: Pace { batch_slots: batch, ..Pace::default() },
            sources: deployment.meters.iter().zip(homes).map(|(keys, home)| source(keys, home)).collect(),
            tariffs,
            // the port is in everybody's file, so it is chosen before the broker listens
            ..Setup::new(TcpListener::bind("127.0.0.1:0").context("no port is free")?.local_addr()?)
        };
        let files = deployment.write(directory, &setup)?;
        for (config, home) in files.meters.iter().zip(homes) {
            file::write_secret(&config.with_file_name(READINGS), readings_csv(home, slots)?.as_bytes())?;
        }
        let password = format!("{:016x}{:016x}", dice.next_u64(), dice.next_u64());
        let home = directory.join("broker");
        let broker = Broker::start(broker_config(&deployment, &setup, &home, &password)).await?;
        narrator.say(&format!("Broker up: {}, TLS, a password for each party", broker.address()));
        let tls = Tls::load(&home, &TlsFiles { authority: "ca.pem".into(), identity: None })?;
        let mut logins = setup.logins;
        logins.push((ATTACKER.to_owned(), password));
        let link = |user: &str, client: &str| settings(&broker, &logins, &tls, user, client);
        let filter = format!("wv/1/{}/#", plan.name);
        let seen = observer::watch(link("observer", "observer"), filter);
        narrator.begin(format!("Starting {} aggregators", files.aggregators.len()), 0);
        let workers =
            files.aggregators.iter().map(|config| Worker::start(config)).collect::<anyhow::Result<_>>()?;
        let sink = SinkTask::start(&deployment, &files.sink, link("sink", "sink"))?;
        let readings = u32::try_from(slots * homes.len())?;
        let replay_time = if speed > 0.0 {
            Duration::try_from_secs_f64(f64::from(u32::try_from(slots)?) / speed)
                .context("--speed is too slow")?
        } else {
            Duration::from_millis(u64::from(readings))
        };
        let agents = Vec::new();
        let mut cast = Self {
            deployment,
            narrator,
            workers,
            sink,
            agents,
            seen,
            broker,
            tls,
            logins,
            slots,
            replay_time,
        };
        cast.wait_up().await?;
        cast.narrator.say(&format!("{} aggregators up, each a process of its own", cast.workers.len()));
        for ((keys, home), config) in cast.deployment.meters.iter().zip(homes).zip(&files.meters) {
            let link = cast.settings(&keys.meter.to_string(), &format!("meter-{}", keys.meter));
            let pace = Pace { batch_slots: batch, ..Pace::default() };
            let readings = home.readings(register(keys)).take(slots + 1).collect();
            let source = Source::Replay(Replay::new(readings, speed));
            cast.agents.push(AgentTask::start(&cast.deployment, keys, pace, source, config, link)?);
        }
        Ok(cast)
    }

    /// The settings of a client of the broker.
    pub(super) fn settings(&self, user: &str, client: &str) -> Settings {
        settings(&self.broker, &self.logins, &self.tls, user, client)
    }

    /// Waits until there is an answer. If somebody ends meanwhile, the reason is the error.
    pub(super) async fn wait_for<T>(
        &mut self,
        what: &str,
        patience: Duration,
        mut look: impl AsyncFnMut(&mut Self) -> anyhow::Result<Option<T>>,
    ) -> anyhow::Result<T> {
        let began = Instant::now();
        loop {
            if let Some(found) = look(self).await? {
                return Ok(found);
            }
            for worker in &mut self.workers {
                worker.check()?;
            }
            let agents = self.agents.iter_mut().map(|agent| &mut agent.task);
            for task in agents.chain([&mut self.sink.task]) {
                task.check().await?;
            }
            anyhow::ensure!(
                began.elapsed() < patience,
                "{what} took longer than {} s; type --keep DIR to find the parties' logs in DIR",
                patience.as_secs()
            );
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    /// Waits until the sink's answer is not `None`.
    pub(super) async fn ask_until<T: Send + 'static>(
        &mut self,
        what: &str,
        look: impl Fn(&Sink, &dyn Store) -> anyhow::Result<Option<T>> + Clone + Send + 'static,
    ) -> anyhow::Result<T> {
        let answer = async |cast: &mut Self| {
            let look = look.clone();
            cast.sink.ask(move |sink, store, _| Ok((look(sink, store)?, Vec::new()))).await
        };
        self.wait_for(what, PATIENCE, answer).await
    }

    /// Waits until all aggregators report that they are up.
    pub(super) async fn wait_up(&mut self) -> anyhow::Result<()> {
        let up = async |cast: &mut Self| {
            let up = cast.seen.borrow().up.iter().filter(|id| id.starts_with("agg-")).count();
            Ok((up >= cast.workers.len()).then_some(()))
        };
        self.wait_for("starting the aggregators", PATIENCE, up).await
    }

    /// Waits until everything is measured, sealed and delivered. Kills an aggregator half-way, if one is named.
    pub(super) async fn replay(&mut self, mut victim: Option<usize>) -> anyhow::Result<()> {
        let (each, agents) = (self.slots + 1, self.agents.len());
        let per_week = 7 * self.deployment.roster.slot().per_day() as usize;
        let (weeks, mut week) = (self.slots.div_ceil(per_week), 0);
        let patience = PATIENCE + self.replay_time;
        let delivered = async |cast: &mut Self| {
            let progress = |agent: &AgentTask| agent.progress.borrow().clone();
            let all: Vec<Progress> = cast.agents.iter().map(progress).collect();
            let read: usize =
                all.iter().map(|agent| usize::try_from(agent.readings).unwrap_or(usize::MAX)).sum();
            let now = (read / agents / per_week + 1).min(weeks);
            if now > week {
                week = now;
                let text = format!("{agents} agents measure, seal and deliver week {week} of {weeks}");
                cast.narrator.begin(text, each * agents);
            }
            cast.narrator.reach(read);
            if let Some(index) = victim.filter(|_| read * 2 >= each * agents) {
                cast.kill(index).await?;
                victim = None;
            }
            Ok(all.iter().all(|agent| agent.drained && agent.lag == 0).then_some(()))
        };
        self.wait_for("the replay", patience, delivered).await?;
        self.narrator.say(&format!("All {} readings sealed, delivered and receipted", each * agents));
        Ok(())
    }

    /// Kills an aggregator.
    pub(super) async fn kill(&mut self, index: usize) -> anyhow::Result<()> {
        self.workers[index].kill().await?;
        self.narrator.say(&format!("{} killed (SIGKILL)", self.deployment.aggregators[index].id));
        Ok(())
    }

    /// The meters of each group.
    pub(super) fn groups(&self) -> Vec<(GroupId, Vec<MeterId>)> {
        let meters = self.deployment.meters.chunk_by(|a, b| a.group == b.group);
        meters.map(|keys| (keys[0].group.clone(), keys.iter().map(|keys| keys.meter).collect())).collect()
    }

    /// Stops everybody.
    pub(super) async fn close(self) -> anyhow::Result<()> {
        for agent in self.agents {
            agent.task.stop().await?;
        }
        for mut worker in self.workers.into_iter().filter(|worker| worker.child.is_some()) {
            worker.kill().await?;
        }
        self.sink.task.stop().await?;
        self.broker.stop().await;
        Ok(())
    }
}

fn settings(broker: &Broker, logins: &[(String, String)], tls: &Tls, user: &str, client: &str) -> Settings {
    let address = broker.address();
    let mut settings = Settings::new(address.ip().to_string(), address.port(), client);
    let login = logins.iter().find(|(name, _)| name == user).cloned();
    settings.login = login.map(|(user, password)| Login { user, password });
    settings.tls = Some(tls.clone());
    settings
}

/// The deployment's own configuration, with the attacker, who may publish everything, and with room for a replay, which is
/// faster than any month: what waits for a busy subscriber is kept.
fn broker_config(deployment: &Deployment, setup: &Setup, home: &Path, password: &str) -> broker::Config {
    let mut config = broker::Config {
        tls: Some(TlsConfig {
            certificate: home.join("broker.pem"),
            key: home.join("broker.key"),
            client_authority: Some(home.join("ca.pem")),
        }),
        queue: QueueSize { segment_bytes: 1 << 20, segments: 256 },
        filter_queues: Vec::new(),
        max_queue_bytes: 1 << 40,
        roles: vec![Role {
            name: ATTACKER.to_owned(),
            ids: vec!["{user}".to_owned()],
            publish: vec!["#".to_owned()],
            subscribe: Vec::new(),
            topics: 10_000,
            filters: 0,
        }],
        ..deployment.broker_config(setup)
    };
    config.users.push(User::with_random_password(ATTACKER, ATTACKER, password));
    config
}

/// A home's readings in its meter's directory.
const READINGS: &str = "readings.csv";

/// The register before the first interval. A register does not begin at zero: this one shows where the pseudonym points.
fn register(keys: &MeterKeys) -> Register {
    let [a, b, ..] = *keys.meter.as_bytes();
    Register::try_from(u64::from(a) * 100_000 + u64::from(b)).expect("far below the largest register")
}

fn source(keys: &MeterKeys, home: &Series) -> SourceConfig {
    SourceConfig::Csv {
        file: READINGS.into(),
        column: home.name.clone(),
        register: Some(register(keys).watt_hours()),
        slots_per_second: 0.0,
        own_time: false,
        format: meter_agent::source::csv::Format::default(),
    }
}

fn readings_csv(home: &Series, slots: usize) -> anyhow::Result<String> {
    let mut text = format!("interval_start,{}\n", home.name);
    for (t, WattHours(energy)) in (home.start.0..).zip(home.energies.iter().take(slots)) {
        let start = i64::try_from(home.slot.start_of(Slot(t)).0)?;
        writeln!(text, "{},{energy}", jiff::Timestamp::from_second(start)?)?;
    }
    Ok(text)
}

/// An aggregator worker as a process of its own.
#[derive(Debug)]
pub(super) struct Worker {
    child: Option<Child>,
    config: PathBuf,
}

impl Worker {
    fn start(config: &Path) -> anyhow::Result<Self> {
        let mut worker = Self { child: None, config: config.to_owned() };
        worker.restart()?;
        Ok(worker)
    }

    /// Starts this program as the aggregator worker, the first time or again.
    pub(super) fn restart(&mut self) -> anyhow::Result<()> {
        let log = File::options().create(true).append(true).open(self.config.with_file_name("worker.log"))?;
        let program = std::env::current_exe().context("this program does not know its own path")?;
        let child = Command::new(program)
            .args(["aggregator-worker", "--config"])
            .arg(&self.config)
            .env("RUST_LOG", "info,runtime::service=debug")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("an aggregator worker could not be started")?;
        self.child = Some(child);
        Ok(())
    }

    /// Kills it: SIGKILL, no goodbye.
    pub(super) async fn kill(&mut self) -> anyhow::Result<()> {
        self.check()?;
        let mut child = self.child.take().context("the aggregator worker is not running")?;
        child.kill().await.context("the aggregator worker could not be killed")
    }

    /// The end of its log, if it has ended by itself.
    fn check(&mut self) -> anyhow::Result<()> {
        let Some(child) = &mut self.child else { return Ok(()) };
        let Some(status) = child.try_wait()? else { return Ok(()) };
        let log = self.log();
        let last = log.rfind("error: ").map_or("", |at| log[at..].trim_end());
        let name = self.config.parent().unwrap_or(&self.config).display();
        anyhow::bail!("the aggregator in {name} ended by itself with {status}\n{last}")
    }

    /// What it has logged.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.config.with_file_name("worker.log")).unwrap_or_default()
    }

    /// The store's path.
    pub(super) fn store(&self) -> PathBuf {
        self.config.with_file_name("worker.redb")
    }
}

/// A role that runs in this process.
#[derive(Debug)]
pub(super) struct Task {
    name: String,
    stop: watch::Sender<bool>,
    handle: JoinHandle<anyhow::Result<()>>,
}

impl Task {
    /// Runs a role until it is stopped.
    pub(super) fn start<F>(name: impl Into<String>, role: impl FnOnce(Stopping) -> F) -> Self
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let (stop, stopping) = watch::channel(false);
        Self { name: name.into(), stop, handle: tokio::spawn(role(Stopping(stopping))) }
    }

    /// Why it has ended, if it has ended by itself.
    async fn check(&mut self) -> anyhow::Result<()> {
        if self.handle.is_finished() { Err(self.failure().await) } else { Ok(()) }
    }

    /// Waits for its end, which should not come, and gives the reason.
    async fn failure(&mut self) -> anyhow::Error {
        let Self { name, handle, .. } = self;
        match handle.await {
            Ok(Ok(())) => anyhow::anyhow!("{name} ended by itself"),
            Ok(Err(error)) => error.context(format!("{name} has failed")),
            Err(panic) => anyhow::Error::from(panic).context(format!("{name} has a bug")),
        }
    }

    /// Stops it; its error, if it failed.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        let Self { name, stop, handle } = self;
        stop.send_replace(true);
        handle
            .await
            .with_context(|| format!("{name} has a bug"))?
            .with_context(|| format!("{name} has failed"))
    }
}

/// How a role learns that it is to stop.
pub(super) struct Stopping(watch::Receiver<bool>);

impl Stopping {
    /// Ends when it is to stop, or nobody is there any more who could say so.
    pub(super) async fn asked(mut self) {
        drop(self.0.wait_for(|stop| *stop).await);
    }
}

/// A running sink.
#[derive(Debug)]
pub(super) struct SinkTask {
    requests: mpsc::Sender<Request>,
    task: Task,
}

impl SinkTask {
    fn start(deployment: &Deployment, config: &Path, link: Settings) -> anyhow::Result<Self> {
        let mut store = FileStore::open(&config.with_file_name("sink.redb"), CACHE)?;
        let pace =
            utility_sink::sink::Pace { settle: 800, resend: 2_000, ..utility_sink::sink::Pace::default() };
        let sink =
            Sink::open(deployment.sink_identity(), deployment.roster.clone(), pace, &mut store, now())?;
        let (requests, receiver) = mpsc::channel(4);
        let run = |stop: Stopping| utility_sink::service::run(sink, store, link, receiver, stop.asked());
        Ok(Self { requests, task: Task::start("the utility's sink", run) })
    }

    /// Has the sink do something; what it sends is published after the commit.
    pub(super) async fn ask<T: Send + 'static>(
        &mut self,
        act: impl FnOnce(&mut Sink, &mut dyn Store, &mut StdRng) -> anyhow::Result<(T, Vec<Outgoing>)>
        + Send
        + 'static,
    ) -> anyhow::Result<T> {
        let (answer, answered) = oneshot::channel();
        let request: Request = Box::new(move |sink, store, rng| {
            let (value, sends) = act(sink, store, rng)?;
            anyhow::ensure!(answer.send(value).is_ok(), "nobody waits for the sink's answer");
            Ok(sends)
        });
        if self.requests.send(request).await.is_ok()
            && let Ok(value) = answered.await
        {
            return Ok(value);
        }
        Err(self.task.failure().await)
    }
}

/// A running meter agent.
#[derive(Debug)]
pub(super) struct AgentTask {
    /// How far it has come.
    pub(super) progress: watch::Receiver<Progress>,
    task: Task,
}

impl AgentTask {
    fn start(
        deployment: &Deployment,
        keys: &MeterKeys,
        pace: Pace,
        source: Source,
        config: &Path,
        link: Settings,
    ) -> anyhow::Result<Self> {
        let mut store = FileStore::open(&config.with_file_name("agent.redb"), CACHE)?;
        let (identity, floor) = (deployment.meter_identity(keys), deployment.floor());
        let meter = Meter::open(identity, deployment.roster.clone(), floor, pace, &mut store, now())?;
        let feed = Feed::open(source, Limits::new(deployment.roster.slot()), &store)?;
        let agent = Agent { meter, store, link, feed, until_done: false };
        let (progress, receiver) = watch::channel(Progress::default());
        let run = |stop: Stopping| agent.run(progress, stop.asked());
        Ok(Self { progress: receiver, task: Task::start(format!("the meter agent of {}", keys.home), run) })
    }
}
