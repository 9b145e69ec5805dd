//! The cast of a demonstration: a broker, aggregators as processes of their own, a sink, an agent a home; all on
//! loopback, in a directory of their own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use broker::{Broker, QueueSize, Role};
use meter_agent::feed::Feed;
use meter_agent::meter::{Meter, Pace};
use meter_agent::register::Limits;
use meter_agent::service::{Agent, Progress};
use meter_agent::source::{Replay, Series, Source};
use protocol::topic::Outgoing;
use protocol::unit::Register;
use rand::rngs::StdRng;
use runtime::link::{Login, Settings, Tls, TlsFiles};
use runtime::now;
use store::{FileStore, Store};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use utility_sink::service::Request;
use utility_sink::sink::Sink;

use deployment::{Authority, Deployment, MeterKeys, Setup};

/// How long anything may take before the demonstration fails.
pub(super) const PATIENCE: Duration = Duration::from_mins(3);

/// The store's cache of each party in bytes.
const CACHE: usize = 1 << 20;

/// The broker with its users.
#[derive(Debug)]
pub(super) struct Stage {
    /// The broker.
    pub(super) broker: Broker,
    /// Who uses it, with which passwords, and who vouches for it: made for this run.
    pub(super) setup: Setup,
    tls: Tls,
}

/// Somebody who has got past the broker's permissions, to see what the protocol alone refuses.
pub(super) const ATTACKER: &str = "attacker";

impl Stage {
    /// Starts a broker on a port that the operating system chooses, with TLS, a user for each party, and the permissions
    /// of its role.
    ///
    /// # Errors
    ///
    /// If it can't listen.
    pub(super) async fn open(
        deployment: &Deployment,
        directory: &Path,
        rng: &mut StdRng,
    ) -> anyhow::Result<Self> {
        let authority = Authority::create("demo")?;
        let home = directory.join("broker");
        fs::create_dir(&home).context("cannot make a directory for the broker")?;
        let mut setup = Setup::new(([127, 0, 0, 1], 0).into());
        setup.logins = deployment.logins(&["observer", ATTACKER], rng);
        let mut config = broker::Config {
            tls: Some(authority.write_broker(&home, &[])?),
            // a replay is faster than any month: what waits for a busy subscriber is kept
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
            ..deployment.broker_config(&setup)
        };
        for user in config.users.iter_mut().filter(|user| user.name == ATTACKER) {
            ATTACKER.clone_into(&mut user.role);
        }
        let broker = Broker::start(config).await?;
        setup.broker = broker.address();
        setup.authority = Some(Arc::new(authority));
        let files = TlsFiles { authority: "ca.pem".into(), identity: None };
        let tls = Tls::load(&home, &files)?;
        Ok(Self { broker, setup, tls })
    }

    /// The settings of a client of this broker.
    pub(super) fn settings(&self, user: &str, client_id: &str) -> Settings {
        let address = self.broker.address();
        let mut settings = Settings::new(address.ip().to_string(), address.port(), client_id);
        let password =
            self.setup.logins.iter().find(|(name, _)| name == user).map(|(_, password)| password.clone());
        settings.login = password.map(|password| Login { user: user.to_owned(), password });
        settings.tls = Some(self.tls.clone());
        settings
    }
}

/// An aggregator worker as a process of its own.
#[derive(Debug)]
pub(super) struct Worker {
    child: Option<Child>,
    config: PathBuf,
    log: PathBuf,
}

impl Worker {
    /// Starts this program as an aggregator worker.
    ///
    /// # Errors
    ///
    /// If it can't be started.
    pub(super) fn start(config: &Path) -> anyhow::Result<Self> {
        let log = config.with_file_name("worker.log");
        let mut worker = Self { child: None, config: config.to_owned(), log };
        worker.restart()?;
        Ok(worker)
    }

    /// Starts it again.
    ///
    /// # Errors
    ///
    /// If it can't be started.
    pub(super) fn restart(&mut self) -> anyhow::Result<()> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let program = std::env::current_exe().context("this program does not know its own path")?;
        let child = Command::new(program)
            .arg("aggregator-worker")
            .arg("--config")
            .arg(&self.config)
            .env("RUST_LOG", "info,aggregator_worker=debug")
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
    ///
    /// # Errors
    ///
    /// If it was not running.
    pub(super) async fn kill(&mut self) -> anyhow::Result<()> {
        let mut child = self.child.take().context("the aggregator worker is not running")?;
        child.kill().await.context("the aggregator worker could not be killed")
    }

    /// What it has logged.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The store's path.
    pub(super) fn store(&self) -> PathBuf {
        self.config.with_file_name("worker.redb")
    }
}

/// A running sink.
#[derive(Debug)]
pub(super) struct SinkTask {
    requests: mpsc::Sender<Request>,
    stop: watch::Sender<bool>,
    task: JoinHandle<anyhow::Result<()>>,
}

impl SinkTask {
    /// Starts the sink in this process.
    ///
    /// # Errors
    ///
    /// If its store can't be opened.
    pub(super) fn start(deployment: &Deployment, path: &Path, link: Settings) -> anyhow::Result<Self> {
        let mut store = FileStore::open(path, CACHE)?;
        let pace =
            utility_sink::sink::Pace { settle: 800, resend: 2_000, ..utility_sink::sink::Pace::default() };
        let sink =
            Sink::open(deployment.sink_identity(), deployment.roster.clone(), pace, &mut store, now())?;
        let (requests, receiver) = mpsc::channel(4);
        let (stop, stopping) = watch::channel(false);
        let task = tokio::spawn(utility_sink::service::run(sink, store, link, receiver, until(stopping)));
        Ok(Self { requests, stop, task })
    }

    /// Has the sink do something; what it sends is published after the commit.
    ///
    /// # Errors
    ///
    /// What `act` returns, or that the sink has stopped.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
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
        self.requests.send(request).await.ok().context("the sink has stopped")?;
        answered.await.context("the sink has stopped")
    }

    /// Waits until the sink says `Some`.
    ///
    /// # Errors
    ///
    /// What `look` returns, or that it took too long.
    pub(super) async fn wait_for<T: Send + 'static>(
        &self,
        what: &str,
        look: impl Fn(&Sink, &dyn Store) -> anyhow::Result<Option<T>> + Clone + Send + 'static,
    ) -> anyhow::Result<T> {
        let wait = async {
            loop {
                let look = look.clone();
                if let Some(found) =
                    self.ask(move |sink, store, _| Ok((look(sink, store)?, Vec::new()))).await?
                {
                    return Ok(found);
                }
                tokio::time::sleep(Duration::from_millis(40)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.with_context(|| format!("{what} took too long"))?
    }

    /// Stops the sink.
    ///
    /// # Errors
    ///
    /// If it failed.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        self.stop.send_replace(true);
        self.task.await.context("the sink panicked")?
    }
}

/// A running meter agent.
#[derive(Debug)]
pub(super) struct AgentTask {
    /// How far it has come.
    pub(super) progress: watch::Receiver<Progress>,
    stop: watch::Sender<bool>,
    task: JoinHandle<anyhow::Result<()>>,
}

impl AgentTask {
    /// Starts an agent in this process that replays a home.
    ///
    /// # Errors
    ///
    /// If its store can't be opened.
    pub(super) fn start(
        deployment: &Deployment,
        keys: &MeterKeys,
        home: &Series,
        slots: usize,
        (slots_per_second, batch_slots): (f64, u32),
        directory: &Path,
        link: Settings,
    ) -> anyhow::Result<Self> {
        let mut store = FileStore::open(&directory.join(format!("{}.redb", keys.home)), CACHE)?;
        let pace = Pace { batch_slots, ..Pace::default() };
        let identity = deployment.meter_identity(keys);
        let meter =
            Meter::open(identity, deployment.roster.clone(), deployment.floor(), pace, &mut store, now())?;
        // A register does not begin at zero: this one shows where the pseudonym points.
        let [a, b, ..] = *keys.meter.as_bytes();
        let register = Register::try_from(u64::from(a) * 100_000 + u64::from(b))?;
        let readings = home.readings(register).take(slots + 1).collect();
        let replay = Source::Replay(Replay::new(readings, slots_per_second));
        let feed = Feed::open(replay, Limits::new(deployment.roster.slot()), &store)?;
        let agent = Agent { meter, store, link, feed, until_done: false };
        let (progress, receiver) = watch::channel(Progress::default());
        let (stop, stopping) = watch::channel(false);
        let task = tokio::spawn(agent.run(progress, until(stopping)));
        Ok(Self { progress: receiver, stop, task })
    }

    /// Whether it has ended by itself, which it should not.
    pub(super) fn has_ended(&self) -> bool {
        self.task.is_finished()
    }

    /// Stops the agent.
    ///
    /// # Errors
    ///
    /// If it failed.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        self.stop.send_replace(true);
        self.task.await.context("a meter agent panicked")?
    }
}

/// Ends when the other side says so, or is gone.
pub(super) async fn until(mut stopping: watch::Receiver<bool>) {
    if stopping.wait_for(|stop| *stop).await.is_err() {
        // The other side is gone: that is a stop too.
    }
}
