//! The parties of a run: a broker, aggregators and a sink, each a process of its own with its files; and who may send the
//! meters' messages.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aggregator_worker::aggregator::{Aggregator, Pace};
use anyhow::Context as _;
use broker::Role;
use meter_agent::config::SourceConfig;
use protocol::hpke_box::Suite;
use protocol::policy::Policy;
use protocol::topic::Channel;
use protocol::unit::{SlotLength, Timestamp};
use rand::Rng as _;
use rand::rngs::StdRng;
use runtime::link::{Login, Settings, Tls, TlsFiles};
use runtime::now;
use store::{FileStore, Store as _};

use crate::town::{self, Process, Usage, free_address};
use deployment::{Authority, Deployment, Files, Plan, Setup};
use runtime::file;

/// Whoever sends all meters' messages.
const LOAD: &str = "load";

/// The store's cache while certificates are put in and records are counted.
const CACHE: usize = 16 << 20;

/// A running town, and how the load reaches its broker.
#[derive(Debug)]
pub(super) struct Town {
    pub(super) processes: town::Town,
    pub(super) settings: Settings,
    sink: Process,
    setup: Setup,
}

/// What the parties have used: the broker, all aggregators, the largest of them in memory, the sink, and the load.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Used {
    pub(super) broker: Usage,
    pub(super) aggregators: Usage,
    pub(super) sink: Usage,
    pub(super) load: Usage,
}

/// A deployment of so many meters, four aggregators and threshold 2, with production's policy except that old slots are
/// taken.
pub(in crate::bench) fn deployment(meters: usize, rng: &mut StdRng) -> anyhow::Result<Deployment> {
    let plan = Plan {
        name: "bench".into(),
        aggregators: 4,
        threshold: 2,
        suite: Suite::X25519,
        slot: SlotLength::try_from(900)?,
        policy: Policy { late_grace: u32::MAX, ..Policy::production() },
        homes: (0..meters).map(|home| format!("home-{home}")).collect(),
        group: meters,
        valid_from: Timestamp(0),
        valid_to: now::<Timestamp>().plus(86_400),
    };
    Deployment::create(&plan, rng)
}

impl Town {
    /// Starts everybody, with TLS, a user a party and the permissions of its role, in a new directory within `parent`. The
    /// aggregators have the meters' certificates already.
    ///
    /// # Errors
    ///
    /// If a file can't be written, or a role does not start.
    pub(super) fn start(meters: usize, parent: &Path, rng: &mut StdRng) -> anyhow::Result<Self> {
        let deployment = deployment(meters, rng)?;
        let directory = tempfile::tempdir_in(parent).context("cannot make a directory for the run")?;
        let home = directory.path().join("broker");
        fs::create_dir(&home)?;
        let authority = Arc::new(Authority::create("bench")?);
        let mut setup = Setup::new(free_address()?);
        let names = deployment.aggregators.iter().map(|keys| keys.id.to_string());
        // one meter may also come by itself
        let meter = deployment.meters.iter().map(|keys| keys.meter.to_string()).take(1);
        let users = names.chain([LOAD.to_owned(), "sink".to_owned()]).chain(meter);
        setup.logins =
            users.map(|user| (user, format!("{:016x}{:016x}", rng.next_u64(), rng.next_u64()))).collect();
        let config = broker_config(&deployment, &setup, &authority, &home)?;
        setup.authority = Some(authority);
        let program = std::env::current_exe().context("this program does not know its own path")?;
        let mut broker = Process::start(&program, "broker", &config, &[])?;
        broker.wait_for("listening")?;
        let settings = settings(&setup, &home)?;
        let files = Files {
            broker: config,
            aggregators: deployment.write_aggregators(directory.path(), &setup)?,
            sink: deployment.write_sink(directory.path(), &setup)?,
            meters: Vec::new(),
        };
        let mut town = town::Town::new(&program, deployment, files, broker, directory);
        for (index, keys) in town.deployment.aggregators.iter().enumerate() {
            introduce(&town.deployment, keys, &town.store(index), rng)?;
        }
        town.start_aggregators(&[])?;
        let sink = town.start_sink(&[])?;
        Ok(Self { processes: town, settings, sink, setup })
    }

    /// What the parties have used so far.
    ///
    /// # Errors
    ///
    /// If one has ended.
    pub(super) fn used(&self) -> anyhow::Result<Used> {
        let aggregators = self.processes.aggregators_used()?;
        let load = Usage::of(std::process::id())?;
        Ok(Used { broker: self.processes.broker.usage()?, aggregators, sink: self.sink.usage()?, load })
    }

    /// What the parties warned of: nothing should be.
    pub(super) fn complaints(&self) -> Vec<String> {
        let all = self.processes.aggregators.iter().chain([&self.processes.broker, &self.sink]);
        all.flat_map(Process::complaints).collect()
    }

    /// An aggregator's store, in bytes.
    ///
    /// # Errors
    ///
    /// If it can't be looked at.
    pub(super) fn store_bytes(&self) -> anyhow::Result<u64> {
        Ok(fs::metadata(self.processes.store(0))?.len())
    }

    /// Kills an aggregator and starts it again; what it has used when it listens.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub(super) fn restart_worker(&mut self) -> anyhow::Result<Usage> {
        let worker = self.processes.aggregators.first_mut().context("no aggregator")?;
        let before = worker.says("listening");
        worker.kill()?;
        worker.restart()?;
        worker.waits_for("listening", before + 1)?;
        worker.usage()
    }

    /// Starts the first meter's agent, whose next reading is hours away, and looks at it after a while.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub(super) fn idle_agent(&self, pause: Duration) -> anyhow::Result<Usage> {
        let Self { processes: town, setup, .. } = self;
        let keys = town.deployment.meters.first().context("no meter")?;
        let source =
            SourceConfig::Synthetic { seed: 1, index: 0, start: 0, slots: 96, slots_per_second: 1e-4 };
        let config = town.deployment.write_meter(town.path(), setup, keys, &source)?;
        let mut agent = Process::start(&std::env::current_exe()?, "meter-agent", &config, &[])?;
        std::thread::sleep(pause);
        let usage = agent.usage()?;
        agent.kill()?;
        Ok(usage)
    }

    /// Kills the aggregators without a goodbye, opens their stores, and gives how many records the poorest of them has.
    ///
    /// # Errors
    ///
    /// If one had ended before, or a store is damaged.
    pub(super) fn kill_and_count(mut self) -> anyhow::Result<u64> {
        self.processes.aggregators.iter_mut().try_for_each(Process::kill)?;
        let (deployment, mut least) = (&self.processes.deployment, u64::MAX);
        for (index, keys) in deployment.aggregators.iter().enumerate() {
            let mut store = FileStore::open(&self.processes.store(index), CACHE)?;
            let (identity, roster) = (deployment.aggregator_identity(keys), deployment.roster.clone());
            let aggregator = Aggregator::open(identity, roster, Pace::default(), &mut store)?;
            least = least.min(aggregator.records());
        }
        Ok(least)
    }
}

impl Used {
    /// What was used since `before`.
    pub(super) fn since(self, before: Self) -> Self {
        Self {
            broker: self.broker.since(before.broker),
            aggregators: self.aggregators.since(before.aggregators),
            sink: self.sink.since(before.sink),
            load: self.load.since(before.load),
        }
    }
}

/// The broker's settings: those of a deployment, and whoever may publish every meter's shares and read every receipt.
fn broker_config(
    deployment: &Deployment,
    setup: &Setup,
    authority: &Authority,
    home: &Path,
) -> anyhow::Result<PathBuf> {
    let root = "wv/1/{deployment}";
    let mut config = broker::Config {
        tls: Some(authority.write_broker(home, &["127.0.0.1".to_owned()])?),
        roles: vec![Role {
            name: LOAD.to_owned(),
            ids: (0..=super::load::CLIENTS).map(|client| format!("{{user}}-{client}")).collect(),
            publish: vec![format!("{root}/agg/+/share/+")],
            subscribe: vec![format!("{root}/receipt/+/+")],
            topics: 1_000_000,
            filters: 1,
        }],
        // receipts of all meters come to one who reads them, not each to its meter
        filter_queues: Vec::new(),
        ..deployment.broker_config(setup)
    };
    for user in config.users.iter_mut().filter(|user| user.name == LOAD) {
        LOAD.clone_into(&mut user.role);
    }
    let path = home.join("broker.toml");
    file::write_secret(&path, toml::to_string(&config)?.as_bytes())?;
    Ok(path)
}

fn settings(setup: &Setup, home: &Path) -> anyhow::Result<Settings> {
    let mut settings = Settings::new(setup.broker.ip().to_string(), setup.broker.port(), LOAD);
    let login = setup.logins.iter().find(|(user, _)| user == LOAD).cloned();
    settings.login = login.map(|(user, password)| Login { user, password });
    let files = TlsFiles { authority: "ca.pem".into(), identity: None };
    settings.tls = Some(Tls::load(home, &files)?);
    Ok(settings)
}

/// Gives an aggregator the meters' certificates before it starts.
fn introduce(
    deployment: &Deployment,
    keys: &deployment::AggregatorKeys,
    path: &Path,
    rng: &mut StdRng,
) -> anyhow::Result<()> {
    let mut store = FileStore::open(path, CACHE)?;
    let identity = deployment.aggregator_identity(keys);
    let mut aggregator = Aggregator::open(identity, deployment.roster.clone(), Pace::default(), &mut store)?;
    for meter in &deployment.meters {
        let topic = Channel::Certificate(meter.meter).of(&deployment.roster.document().deployment);
        let handled =
            aggregator.handle(&topic.to_string(), meter.certificate.bytes(), now(), &mut store, rng)?;
        anyhow::ensure!(handled.refusal.is_none(), "a certificate was refused: {:?}", handled.refusal);
    }
    store.commit()?;
    Ok(())
}
