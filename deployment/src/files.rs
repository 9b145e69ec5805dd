//! A deployment in a directory: one directory a party, with what that party has on its machine and nothing else.
//!
//! ```text
//! registrar/      registrar.toml  sign.key  meters.csv  password   what `enrol`, `rotate` and `revoke` sign with
//! authority/      ca.pem       ca.key                                if the parties speak TLS
//! broker/         broker.toml  broker.pem  broker.key  ca.pem        users with their roles and passwords' hashes
//! agg-1/ …        worker.toml  sign.key  box-1.key  password
//! sink/           sink.toml    sign.key  box-1.key  password  meters.csv  *.toml   tariffs
//! observer/       observer.toml  password                            whoever asks for `status`, if somebody may
//! meters/HOME/ …  agent.toml   sign.key  certificate.wv  password
//! ```
//!
//! Each party's has `registrar.pub` and `roster.wv` too, and `broker-ca.pem`. Secrets are 0600, directories 0700, and nothing that is
//! there already is overwritten.

use runtime::file;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use broker::{FilterQueue, QueueSize, User};
use meter_agent::config::{RegistersConfig, SourceConfig};
use protocol::id::MeterId;
use protocol::roster::Roster;
use protocol::roster::floor::Floor;
use protocol::signature::VerifyingKey;
use rand::Rng;
use runtime::link::{Endpoint, TlsFiles};
use runtime::telemetry::LogFormat;
use serde::Serialize;
use serde::de::DeserializeOwned;
use utility_sink::config::{LevelledConfig, ReleaseConfig};

use super::{AggregatorKeys, Authority, Deployment, MeterKeys};
use crate::directory::{Config, MeterRow, MetersFile};

/// How the parties of a deployment work together, beyond who they are.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Where the broker listens.
    pub broker: SocketAddr,
    /// Where the parties reach it, `HOST:PORT`, if that is elsewhere.
    pub address: Option<String>,
    /// Whether the broker may speak plain text on an address that other machines reach.
    pub expose_plain_text: bool,
    /// Under which other names and addresses it is reached.
    pub broker_names: Vec<String>,
    /// Users and passwords; a party without one does not log in.
    pub logins: Vec<(String, String)>,
    /// Who signs the broker's certificate; without one, everybody speaks plain text.
    pub authority: Option<Arc<Authority>>,
    /// How aggregators pace themselves.
    pub aggregators: aggregator_worker::aggregator::Pace,
    /// How meters pace themselves.
    pub meters: meter_agent::meter::Pace,
    /// How the sink paces itself.
    pub sink: utility_sink::sink::Pace,
    /// Where each meter has its readings from, in the deployment's order; relative paths are of the meter's directory.
    pub sources: Vec<SourceConfig>,
    /// Tariffs to publish: file name and text.
    pub tariffs: Vec<(String, String)>,
    /// What the utility asks for.
    pub releases: Vec<ReleaseConfig>,
    /// Mode `levelled`, if they are on: every party takes part then.
    pub levelled: Option<LevelledConfig>,
}

impl Setup {
    /// Nobody logs in, no meter has readings, nothing is asked for.
    pub fn new(broker: SocketAddr) -> Self {
        Self {
            broker,
            address: None,
            expose_plain_text: false,
            broker_names: Vec::new(),
            logins: Vec::new(),
            authority: None,
            aggregators: aggregator_worker::aggregator::Pace::default(),
            meters: meter_agent::meter::Pace::default(),
            sink: utility_sink::sink::Pace::default(),
            sources: Vec::new(),
            tariffs: Vec::new(),
            releases: Vec::new(),
            levelled: None,
        }
    }

    /// How a user reaches the broker.
    pub fn access(&self, user: &str) -> Access {
        let password =
            self.logins.iter().find(|(name, _)| name == user).map(|(_, password)| password.clone());
        Access {
            address: self.address.clone().unwrap_or_else(|| self.broker.to_string()),
            login: password.map(|password| (user.to_owned(), password)),
            authority: self.authority.as_ref().map(|authority| authority.certificate().to_owned()),
        }
    }
}

/// The configuration files that were written: one a process.
#[derive(Clone, Debug)]
pub struct Files {
    /// The broker's.
    pub broker: PathBuf,
    /// The aggregators', in the deployment's order.
    pub aggregators: Vec<PathBuf>,
    /// The sink's.
    pub sink: PathBuf,
    /// The meters', in the deployment's order.
    pub meters: Vec<PathBuf>,
}

/// The users' names of the sink, the registrar, and whoever watches.
const SINK: &str = "sink";
const REGISTRAR: &str = "registrar";
const OBSERVER: &str = "observer";

/// Every role's configuration with every parameter.
const BROKER: &str = include_str!("../../broker/example.toml");
const CONFIG: &str = include_str!("../assets/membership.toml");
const WORKER: &str = include_str!("../../aggregator-worker/example.toml");
const UTILITY: &str = include_str!("../../utility-sink/example.toml");
const AGENT: &str = include_str!("../../meter-agent/example.toml");

/// A meter's receipts are few and sent again: for each meter the broker keeps 48 KiB of them or more, some 200. The sink
/// reads all of them by another filter.
const RECEIPTS: (&str, QueueSize) =
    ("wv/1/+/receipt/+/+", QueueSize { segment_bytes: 16 << 10, segments: 4 });

impl Deployment {
    /// A login for every party, and for `others`: an aggregator by its name, a meter by its pseudonym, the `sink`.
    pub fn logins<R: Rng>(&self, others: &[&str], rng: &mut R) -> Vec<(String, String)> {
        let aggregators = self.aggregators.iter().map(|keys| keys.id.to_string());
        let meters = self.meters.iter().map(|keys| keys.meter.to_string());
        let others = others.iter().copied().chain([SINK]).map(str::to_owned);
        let users = aggregators.chain(meters).chain(others);
        users.map(|user| (user, format!("{:016x}{:016x}", rng.next_u64(), rng.next_u64()))).collect()
    }

    /// The users of the broker, each in the role that it has in this deployment; whoever else there is observes, unless
    /// its name is a role's.
    pub fn users(&self, logins: &[(String, String)]) -> Vec<User> {
        let user = |(name, password): &(String, String)| {
            let role = if self.aggregators.iter().any(|keys| keys.id.to_string() == *name) {
                "aggregator"
            } else if self.meters.iter().any(|keys| keys.meter.to_string() == *name) {
                "meter"
            } else if [SINK, REGISTRAR].contains(&name.as_str()) {
                name
            } else {
                "observer"
            };
            User::with_random_password(name, role, password)
        };
        logins.iter().map(user).collect()
    }

    /// The broker's settings for this deployment: its users, and what is kept for whom.
    pub fn broker_config(&self, setup: &Setup) -> broker::Config {
        let (filter, size) = RECEIPTS;
        broker::Config {
            listen: setup.broker,
            deployment: Some(self.roster.document().deployment.to_string()),
            users: self.users(&setup.logins),
            expose_plain_text: setup.expose_plain_text,
            filter_queues: vec![FilterQueue { filter: filter.to_owned(), size }],
            ..broker::Config::default()
        }
    }

    /// Writes everything that the processes of this deployment need.
    ///
    /// # Errors
    ///
    /// If a meter has no source, or a file can't be written or is there already.
    pub fn write(&self, directory: &Path, setup: &Setup) -> anyhow::Result<Files> {
        anyhow::ensure!(
            setup.sources.len() == self.meters.len(),
            "there are {} sources for {} meters",
            setup.sources.len(),
            self.meters.len()
        );
        let broker = self.write_broker(directory, setup)?;
        let aggregators = self.write_aggregators(directory, setup)?;
        let sink = self.write_sink(directory, setup)?;
        let meters = self
            .meters
            .iter()
            .zip(&setup.sources)
            .map(|(keys, source)| self.write_meter(directory, setup, keys, source))
            .collect::<anyhow::Result<_>>()?;
        self.write_registrar(directory, setup)?;
        Ok(Files { broker, aggregators, sink, meters })
    }

    fn write_broker(&self, directory: &Path, setup: &Setup) -> anyhow::Result<PathBuf> {
        let home = file::new_directory(&directory.join("broker"))?;
        let mut config = self.broker_config(setup);
        if let Some(authority) = &setup.authority {
            authority.write(&directory.join("authority"))?;
            let names = setup.broker_names.iter().cloned().chain([setup.broker.ip().to_string()]);
            authority.write_broker(&home, &names.collect::<Vec<_>>())?;
            // relative to the file, so that the directory can be moved to another machine
            config.tls = Some(broker::TlsConfig {
                certificate: "broker.pem".into(),
                key: "broker.key".into(),
                client_authority: Some("ca.pem".into()),
            });
        }
        let path = home.join("broker.toml");
        file::write_secret(&path, runtime::commented::render(BROKER, &config)?.as_bytes())?;
        Ok(path)
    }

    /// What the registrar keeps, and what an observer gets.
    fn write_registrar(&self, directory: &Path, setup: &Setup) -> anyhow::Result<()> {
        let home = self.write_party(&directory.join(REGISTRAR))?;
        file::write_secret(&home.join("sign.key"), self.registrar.to_text().as_bytes())?;
        file::write_public(&home.join("meters.csv"), self.meters_csv().as_bytes())?;
        let access = setup.access(REGISTRAR);
        let config = Config::new(access.write(&home)?, Some("sign.key".into()));
        write_config(home.join("registrar.toml"), CONFIG, &config)?;
        let access = setup.access(OBSERVER);
        if access.login.is_some() {
            let home = self.write_party(&directory.join(OBSERVER))?;
            let config = Config::new(access.write(&home)?, None);
            write_config(home.join("observer.toml"), CONFIG, &config)?;
        }
        Ok(())
    }

    fn meters_csv(&self) -> String {
        let row = |keys: &MeterKeys| MeterRow {
            name: keys.home.clone(),
            meter: keys.meter,
            group: keys.group.clone(),
        };
        MetersFile(self.meters.iter().map(row).collect()).to_text()
    }

    /// Writes what the aggregators need; gives their configuration files.
    ///
    /// # Errors
    ///
    /// If a file can't be written or is there already.
    pub fn write_aggregators(&self, directory: &Path, setup: &Setup) -> anyhow::Result<Vec<PathBuf>> {
        self.aggregators.iter().map(|keys| self.write_aggregator(directory, setup, keys)).collect()
    }

    fn write_aggregator(
        &self,
        directory: &Path,
        setup: &Setup,
        keys: &AggregatorKeys,
    ) -> anyhow::Result<PathBuf> {
        let home = self.write_party(&directory.join(keys.id.as_ref()))?;
        file::write_secret(&home.join("sign.key"), keys.key.to_text().as_bytes())?;
        file::write_secret(&home.join("box-1.key"), keys.box_key.to_text().as_bytes())?;
        let config = aggregator_worker::config::Config {
            aggregator: keys.id.to_string(),
            broker: setup.access(keys.id.as_ref()).write(&home)?,
            key: "sign.key".into(),
            box_keys: vec!["box-1.key".into()],
            registrar: "registrar.pub".into(),
            roster: "roster.wv".into(),
            store: "worker.redb".into(),
            cache_mib: aggregator_worker::config::DEFAULT_CACHE_MIB,
            log: LogFormat::Text,
            metrics: None,
            pace: setup.aggregators.clone(),
            levelled: setup.levelled.is_some().then(Default::default),
        };
        write_config(home.join("worker.toml"), WORKER, &config)
    }

    /// Writes what the sink needs; gives its configuration file.
    ///
    /// # Errors
    ///
    /// If a file can't be written or is there already.
    pub fn write_sink(&self, directory: &Path, setup: &Setup) -> anyhow::Result<PathBuf> {
        let home = self.write_party(&directory.join("sink"))?;
        file::write_secret(&home.join("sign.key"), self.utility.to_text().as_bytes())?;
        file::write_secret(&home.join("box-1.key"), self.utility_box.to_text().as_bytes())?;
        file::write_public(&home.join("meters.csv"), self.meters_csv().as_bytes())?;
        for (name, text) in &setup.tariffs {
            file::write_public(&home.join(name), text.as_bytes())?;
        }
        let config = utility_sink::config::Config {
            broker: setup.access(SINK).write(&home)?,
            key: "sign.key".into(),
            box_key: "box-1.key".into(),
            more_box_keys: Vec::new(),
            registrar: "registrar.pub".into(),
            roster: "roster.wv".into(),
            store: "sink.redb".into(),
            log: LogFormat::Text,
            metrics: None,
            tariffs: setup.tariffs.iter().map(|(name, _)| name.into()).collect(),
            releases: setup.releases.clone(),
            pace: setup.sink.clone(),
            levelled: setup.levelled.clone(),
        };
        write_config(home.join("sink.toml"), UTILITY, &config)
    }

    /// Writes what a meter needs; gives its configuration file.
    ///
    /// # Errors
    ///
    /// If a file can't be written or is there already.
    pub fn write_meter(
        &self,
        directory: &Path,
        setup: &Setup,
        keys: &MeterKeys,
        source: &SourceConfig,
    ) -> anyhow::Result<PathBuf> {
        let home = directory.join("meters").join(&keys.home);
        let meter = MeterFiles {
            meter: keys.meter,
            registrar: self.registrar.verifying_key(),
            roster: self.roster.clone(),
            certificate: keys.certificate.bytes().to_vec(),
            access: setup.access(&keys.meter.to_string()),
            pace: setup.meters.clone(),
            source: source.clone(),
            levelled: setup.levelled.is_some(),
        };
        let home = file::new_directory(&home)?;
        file::write_secret(&home.join("sign.key"), keys.key.to_text().as_bytes())?;
        meter.write(&home)
    }

    /// Makes a party's directory, with what everybody has.
    fn write_party(&self, home: &Path) -> anyhow::Result<PathBuf> {
        let home = file::new_directory(home)?;
        write_membership(&home, &self.registrar.verifying_key(), &self.roster)?;
        Ok(home)
    }
}

fn write_membership(home: &Path, registrar: &VerifyingKey, roster: &Roster) -> anyhow::Result<()> {
    file::write_public(&home.join("registrar.pub"), registrar.to_text().as_bytes())?;
    file::write_public(&home.join("roster.wv"), roster.bytes())?;
    Ok(())
}

/// What a meter has in its directory, but for its key.
#[derive(Clone, Debug)]
pub struct MeterFiles {
    /// Its pseudonym.
    pub meter: MeterId,
    /// The registrar's key.
    pub registrar: VerifyingKey,
    /// The roster in force when it was made.
    pub roster: Roster,
    /// Its certificate.
    pub certificate: Vec<u8>,
    /// How it reaches the broker.
    pub access: Access,
    /// How it paces itself.
    pub pace: meter_agent::meter::Pace,
    /// Where its readings come from.
    pub source: SourceConfig,
    /// Whether it takes part in mode `levelled`.
    pub levelled: bool,
}

impl MeterFiles {
    /// Writes them; gives the configuration file.
    ///
    /// # Errors
    ///
    /// If a file can't be written or is there already.
    pub fn write(&self, home: &Path) -> anyhow::Result<PathBuf> {
        write_membership(home, &self.registrar, &self.roster)?;
        file::write_public(&home.join("certificate.wv"), &self.certificate)?;
        let config = meter_agent::config::Config {
            meter: self.meter.to_string(),
            broker: self.access.write(home)?,
            key: "sign.key".into(),
            certificate: "certificate.wv".into(),
            registrar: "registrar.pub".into(),
            roster: "roster.wv".into(),
            store: "agent.redb".into(),
            levelled: self.levelled,
            log: LogFormat::Text,
            metrics: None,
            floor: Floor::of(&self.roster, self.registrar.fingerprint()),
            pace: self.pace.clone(),
            registers: RegistersConfig::default(),
            source: self.source.clone(),
        };
        write_config(home.join("agent.toml"), AGENT, &config)
    }
}

/// How one party reaches the broker, and proves who it is.
#[derive(Clone)]
pub struct Access {
    /// `HOST:PORT`.
    pub address: String,
    /// User and password, if anybody logs in.
    pub login: Option<(String, String)>,
    /// Who may say who the broker is, as PEM; without it, plain text.
    pub authority: Option<String>,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Access {
    /// Writes password and authority to a party's directory; gives the `[broker]` table of its configuration.
    ///
    /// # Errors
    ///
    /// If a file can't be written or is there already.
    pub fn write(&self, home: &Path) -> anyhow::Result<Endpoint> {
        let mut endpoint = Endpoint::new(self.address.clone());
        if let Some((user, password)) = &self.login {
            file::write_secret(&home.join("password"), format!("{password}\n").as_bytes())?;
            endpoint.user = Some(user.clone());
            endpoint.password_file = Some("password".into());
        }
        if let Some(authority) = &self.authority {
            file::write_public(&home.join("broker-ca.pem"), authority.as_bytes())?;
            endpoint.tls = Some(TlsFiles { authority: "broker-ca.pem".into(), identity: None });
        }
        Ok(endpoint)
    }
}

/// Writes a configuration with what its role's template says of every parameter.
fn write_config<T>(path: PathBuf, template: &str, config: &T) -> anyhow::Result<PathBuf>
where
    T: Serialize + DeserializeOwned,
{
    file::write_public(&path, runtime::commented::render(template, config)?.as_bytes())?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use protocol::hpke_box::Suite;
    use protocol::policy::Policy;
    use protocol::unit::{SlotLength, Timestamp};
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;
    use crate::Plan;

    /// Every party can read what was written for it, and nobody else the secrets.
    #[test]
    fn every_party_can_read_its_directory_and_nobody_else_its_secrets() {
        let mut rng = StdRng::seed_from_u64(5);
        let plan = Plan {
            name: "town".into(),
            aggregators: 4,
            threshold: 2,
            suite: Suite::X25519,
            slot: SlotLength::try_from(3_600).unwrap(),
            policy: Policy::production(),
            homes: ["a", "b", "c"].map(str::to_owned).to_vec(),
            group: 3,
            valid_from: Timestamp(0),
            valid_to: Timestamp(1_000),
        };
        let deployment = Deployment::create(&plan, &mut rng).unwrap();
        let synthetic =
            SourceConfig::Synthetic { seed: 1, index: 0, start: 0, slots: 24, slots_per_second: 0.0 };
        let setup = Setup {
            logins: deployment.logins(&["observer"], &mut rng),
            authority: Some(Arc::new(Authority::create("town").unwrap())),
            sources: vec![synthetic; 3],
            tariffs: vec![("flat.toml".into(), crate::FLAT_TARIFF.into())],
            releases: vec![ReleaseConfig::Curve {
                name: "august".into(),
                period: (0, 24),
                group: "group-1".into(),
                meters: deployment.meters.iter().map(|keys| keys.meter.to_string()).collect(),
            }],
            ..Setup::new(([127, 0, 0, 1], 1883).into())
        };
        let directory = tempfile::tempdir().unwrap();
        let files = deployment.write(directory.path(), &setup).unwrap();

        let broker = broker::Config::read(Some(&files.broker), &[]).unwrap();
        assert_eq!((broker.listen, broker.users.len()), (setup.broker, 4 + 3 + 2));
        let role = |name: &str| broker.users.iter().find(|user| user.name == name).unwrap().role.clone();
        let meter = deployment.meters[0].meter.to_string();
        assert_eq!(
            ["agg-1", &meter, "sink", "observer"].map(role),
            ["aggregator", "meter", "sink", "observer"]
        );
        let text = std::fs::read_to_string(&files.broker).unwrap();
        assert!(!setup.logins.iter().any(|(_, password)| text.contains(password)), "a password in the clear");
        assert_eq!((files.aggregators.len(), files.meters.len()), (4, 3));
        for (path, keys) in files.aggregators.iter().zip(&deployment.aggregators) {
            let config = aggregator_worker::config::Config::read(path).unwrap();
            let home = path.parent().unwrap();
            assert_eq!(config.identity(home).unwrap().0.point, keys.point);
            let settings = config.broker.settings(home, "x").unwrap();
            assert!(settings.login.is_some() && settings.tls.is_some());
        }
        for (path, keys) in files.meters.iter().zip(&deployment.meters) {
            let config = meter_agent::config::Config::read(path).unwrap();
            let (identity, roster) = config.identity(path.parent().unwrap()).unwrap();
            assert_eq!((identity.meter, roster.hash()), (keys.meter, deployment.roster.hash()));
            assert_eq!(config.floor, deployment.floor());
        }
        let home = files.sink.parent().unwrap();
        let config = utility_sink::config::Config::read(&files.sink).unwrap();
        assert_eq!(config.identity(home).unwrap().0.key.verifying_key(), deployment.utility.verifying_key());
        assert_eq!(config.read_tariffs(home, plan.slot).unwrap().len(), 1);
        assert_eq!(config.releases[0].meters().unwrap().len(), 3);

        for secret in [
            "broker/broker.toml",
            "broker/broker.key",
            "authority/ca.key",
            "agg-1/sign.key",
            "sink/password",
            "meters/c/sign.key",
        ] {
            let mode = std::fs::metadata(directory.path().join(secret)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{secret}");
        }
        let refused = deployment.write(directory.path(), &setup).unwrap_err().to_string();
        assert!(refused.contains("cannot write"), "{refused}");
    }
}
