//! `wattveil init`: makes a deployment's directory, and says what everybody types next.

use protocol::unit::Timestamp;
use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use meter_agent::config::SourceConfig;
use meter_agent::meter::Pace;
use meter_agent::source::input::Input;
use protocol::hpke_box::Suite;
use protocol::levelled::CAUTION;
use protocol::levelled::plan::Profile;
use protocol::policy::Policy;
use protocol::shamir::MAX_PARTIES;
use protocol::unit::SlotLength;
use utility_sink::config::{KeyConfig, LevelledConfig};

use deployment::directory::meters;
use deployment::{Authority, Deployment, Plan, Setup};
use runtime::file;

const DAY: u64 = 86_400;

/// The zone of the example tariffs as they are.
const ZONE: &str = "America/Los_Angeles";

/// How far back synthetic homes go: a bill of 28 days and what the edges need.
const SYNTHETIC_DAYS: u64 = 31;

/// Make a deployment's directory: keys, roster, certificates and a configuration for each role
#[derive(Clone, Debug, Args)]
pub struct InitArguments {
    /// The directory to make. Nothing in it is overwritten
    directory: PathBuf,
    /// The deployment's name, a part of every topic [default: the directory's name]
    #[arg(long)]
    name: Option<String>,
    /// How many aggregators. Each should belong to another organisation
    #[arg(long, value_name = "N", default_value_t = 4)]
    aggregators: usize,
    /// How many aggregators can reconstruct a value together. Fewer learn nothing
    #[arg(long, value_name = "T", default_value_t = 2)]
    threshold: usize,
    /// The meters' names with commas between, or how many; `wattveil enrol` adds more [default: none; with --synthetic as many
    /// as a bill needs]
    #[arg(long, value_name = "NAMES|N")]
    meters: Option<String>,
    /// The most homes in a group. Load curves are of groups
    #[arg(long, value_name = "HOMES", default_value_t = 48)]
    group_size: usize,
    /// The fewest homes of a load curve and of a tariff's bills. Fewer than 15 are for demonstrations only
    #[arg(long, value_name = "HOMES", default_value_t = 15)]
    smallest_group: u16,
    /// Minutes of a slot: 15, 30 or 60
    #[arg(long, value_name = "MINUTES", default_value_t = 15)]
    slot_minutes: u32,
    /// Hours of an interval on the grid path. 0 turns the grid path off
    #[arg(long, value_name = "HOURS", default_value_t = 24)]
    grid_hours: u32,
    /// Turn mode `levelled` on with a key of this profile: light, medium, strong or largest. It trusts meters to encrypt
    /// honestly: docs/levelled.md
    #[arg(long, value_name = "PROFILE")]
    levelled: Option<String>,
    /// Where all parties reach the broker [default: 127.0.0.1:8883, without TLS 127.0.0.1:1883]
    #[arg(long, value_name = "HOST:PORT")]
    broker: Option<String>,
    /// Where the broker listens [default: the address of --broker if it is this machine, else all addresses]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Use no TLS with the broker. Readings stay sealed, but others can read names, times and passwords
    #[arg(long)]
    no_tls: bool,
    /// Seal shares with X-Wing, which quantum computers cannot break
    #[arg(long)]
    post_quantum: bool,
    /// The time zone of the example tariffs. A period begins at midnight there [default: America/Los_Angeles; with --levelled
    /// Etc/UTC]
    #[arg(long)]
    zone: Option<String>,
    /// For how many days the roster is valid. `wattveil rotate` makes its successor
    #[arg(long, value_name = "DAYS", default_value_t = 730, value_parser = clap::value_parser!(u64).range(1..=36_525))]
    days: u64,
    /// Give each meter synthetic readings of the last month, to try everything out
    #[arg(long)]
    synthetic: bool,
}

impl InitArguments {
    /// Makes the directory; gives what to type next.
    ///
    /// # Errors
    ///
    /// If the numbers can't keep the promises, a name is none, or something is there already.
    pub fn run(self) -> anyhow::Result<String> {
        let root = self.directory.join("registrar");
        anyhow::ensure!(
            !root.exists(),
            "{} is a deployment's directory already, and nothing in it is overwritten; name another directory, or add meters \
             with: wattveil enrol {} NAME",
            self.directory.display(),
            self.directory.display()
        );
        let plan = self.plan()?;
        let (address, listen) = self.addresses()?;
        let mut rng = runtime::entropy()?;
        let deployment = Deployment::create(&plan, &mut rng)?;
        let slot = plan.slot;
        let sources =
            (0..plan.homes.len()).map(|home| self.source(home, &plan)).collect::<anyhow::Result<_>>()?;
        let authority = if self.no_tls { None } else { Some(Arc::new(Authority::create(&plan.name)?)) };
        let host = address.rsplit_once(':').map_or("", |(host, _)| host).trim_matches(['[', ']']);
        let setup = Setup {
            address: Some(address.clone()),
            expose_plain_text: self.no_tls && !listen.ip().is_loopback(),
            broker_names: vec![host.to_owned()],
            logins: deployment.logins(&["observer", "registrar"], &mut rng),
            authority,
            sources,
            levelled: self.levelled(slot)?,
            meters: self.pace(slot),
            tariffs: vec![
                ("flat.toml".into(), self.tariff(deployment::FLAT_TARIFF)?),
                ("tou.toml".into(), self.tariff(deployment::TIME_OF_USE_TARIFF)?),
            ],
            ..Setup::new(listen)
        };
        self.make(&deployment, &setup)?;
        let mut text = format!(
            "Made the deployment {} in {}: {} aggregators, of which any {} give a value and {} certify one; {}; slots of {} \
             minutes.\n",
            plan.name,
            self.directory.display(),
            deployment.roster.n(),
            deployment.roster.t(),
            deployment.roster.q(),
            meters(plan.homes.len()),
            slot.seconds() / 60,
        );
        self.warn(&plan, &listen, &mut text);
        self.next(&plan, &mut text);
        Ok(text)
    }

    /// Writes the deployment whole or not at all: beside its place first, so that what fails halfway leaves no keys.
    fn make(&self, deployment: &Deployment, setup: &Setup) -> anyhow::Result<()> {
        let (root, shown) = (&self.directory, self.directory.display());
        let new = !root.exists();
        file::new_directory(root)?;
        let made = || {
            let beside = tempfile::Builder::new().prefix(".init-").tempdir_in(root);
            let beside = beside.with_context(|| format!("nothing can be written in {shown}"))?;
            deployment.write(beside.path(), setup)?;
            let entries = fs::read_dir(beside.path())?.map(|entry| Ok(entry?.file_name()));
            let names = entries.collect::<std::io::Result<Vec<_>>>()?;
            if let Some(name) = names.iter().find(|name| fs::symlink_metadata(root.join(name)).is_ok()) {
                anyhow::bail!(
                    "{} is there already, and nothing was made; move it away, or name another directory",
                    root.join(name).display()
                );
            }
            for name in &names {
                let place = root.join(name);
                fs::rename(beside.path().join(name), &place)
                    .with_context(|| format!("cannot make {}", place.display()))?;
            }
            Ok(())
        };
        let made = made();
        if made.is_err() && new {
            // It has nothing in it.
            drop(fs::remove_dir(root));
        }
        made
    }

    /// An example tariff, in the zone that is wanted.
    fn tariff(&self, example: &str) -> anyhow::Result<String> {
        // in mode `levelled`, a bill is from batch to batch, and batches of a day begin at midnight UTC
        let standard = if self.levelled.is_some() { "Etc/UTC" } else { ZONE };
        let zone = self.zone.as_deref().unwrap_or(standard);
        jiff::tz::TimeZone::get(zone).with_context(|| {
            format!("expected a time zone, for example --zone Europe/Berlin; found `{zone}`")
        })?;
        Ok(example.replace(&format!("zone = \"{ZONE}\""), &format!("zone = \"{zone}\"")))
    }

    fn plan(&self) -> anyhow::Result<Plan> {
        let name = match &self.name {
            Some(name) => name.clone(),
            None => {
                self.directory.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
            }
        };
        name.parse::<protocol::id::Deployment>().context("type another one: --name NAME")?;
        let slot = SlotLength::try_from(self.slot_minutes.saturating_mul(60))
            .with_context(|| format!("expected --slot-minutes 15, 30 or 60; found {}", self.slot_minutes))?;
        let (n, t) = (self.aggregators, self.threshold);
        anyhow::ensure!(
            (1..=n).contains(&t) && n <= MAX_PARTIES,
            "expected 1 to {MAX_PARTIES} aggregators and a threshold that is not larger, for example --aggregators 4 --threshold 2; found n = {n}, t = {t}"
        );
        let fewest = usize::from(self.smallest_group);
        let standard = if self.synthetic { self.smallest_group.to_string() } else { String::new() };
        let homes = names(self.meters.as_ref().unwrap_or(&standard))?;
        anyhow::ensure!(
            !self.synthetic || homes.len() >= fewest,
            "a bill needs {fewest} meters, and --meters has {}. Leave out --meters, or type --meters {fewest}. For a demonstration \
             that protects nobody's readings type --smallest-group {}",
            homes.len(),
            homes.len().max(2)
        );
        anyhow::ensure!(
            self.group_size >= fewest,
            "groups of {} homes would never be released, because the smallest group has {}. Type --group-size {} or more, or a smaller \
             --smallest-group",
            self.group_size,
            self.smallest_group,
            self.smallest_group
        );
        for home in &homes {
            home.parse::<protocol::id::ServicePoint>().context("type other names: --meters NAME,NAME")?;
        }
        let policy = Policy {
            k: self.smallest_group,
            tariff_meters: self.smallest_group,
            grid_interval: self.grid_hours.saturating_mul(3_600),
            ..Policy::production()
        };
        let now = runtime::now::<Timestamp>();
        let back = if self.synthetic { SYNTHETIC_DAYS + 1 } else { 1 };
        let valid_from = Timestamp(now.0.saturating_sub(back * DAY));
        Ok(Plan {
            name,
            aggregators: self.aggregators,
            threshold: self.threshold,
            suite: if self.post_quantum { Suite::XWing } else { Suite::X25519 },
            slot,
            policy,
            homes,
            group: self.group_size,
            valid_from,
            valid_to: now.plus(self.days * DAY),
        })
    }

    /// Where parties reach the broker, and where it listens.
    fn addresses(&self) -> anyhow::Result<(String, SocketAddr)> {
        let standard = if self.no_tls { "127.0.0.1:1883" } else { "127.0.0.1:8883" };
        let address = self.broker.clone().unwrap_or_else(|| standard.to_owned());
        let port = address
            .rsplit_once(':')
            .filter(|(host, _)| !host.is_empty())
            .and_then(|(_, port)| port.parse().ok());
        let port: u16 = port.with_context(|| {
            format!("expected HOST:PORT, for example --broker broker.example.org:8883; found `{address}`")
        })?;
        let literal = match address.strip_prefix("localhost:") {
            Some(port) => format!("127.0.0.1:{port}"),
            None => address.clone(),
        };
        let here = literal.parse::<SocketAddr>().ok().filter(|address| address.ip().is_loopback());
        let everywhere = SocketAddr::new(IpAddr::from([0, 0, 0, 0]), port);
        Ok((address, self.listen.or(here).unwrap_or(everywhere)))
    }

    fn source(&self, home: usize, plan: &Plan) -> anyhow::Result<SourceConfig> {
        if !self.synthetic {
            return Ok(SourceConfig::Lines { input: Input::File("-".into()) });
        }
        let slot_at = |seconds| plan.slot.slot_at(seconds).context("this machine's clock is out of range");
        let now = runtime::now::<Timestamp>();
        let start = slot_at(Timestamp((now.0 / DAY - SYNTHETIC_DAYS) * DAY))?.0;
        Ok(SourceConfig::Synthetic {
            seed: 1,
            index: u32::try_from(home)?,
            start,
            slots: slot_at(now)?.0 - start,
            slots_per_second: 0.0,
        })
    }

    /// The section of the sink's configuration, with a key whose windows are days.
    fn levelled(&self, slot: SlotLength) -> anyhow::Result<Option<LevelledConfig>> {
        let Some(profile) = &self.levelled else { return Ok(None) };
        let names: Vec<&str> = Profile::ALL.into_iter().map(Profile::name).collect();
        anyhow::ensure!(
            names.contains(&profile.as_str()),
            "expected a profile ({}), for example --levelled medium; found `{profile}`",
            names.join(", ")
        );
        let day = u16::try_from(DAY / u64::from(slot.seconds()))?;
        let key = KeyConfig::of_days("loads", profile, day, self.smallest_group);
        Ok(Some(LevelledConfig { keys: vec![key], ..LevelledConfig::default() }))
    }

    /// A ciphertext costs the same whatever its batch holds: in mode `levelled` a batch is a day.
    fn pace(&self, slot: SlotLength) -> Pace {
        let usual = Pace::default();
        let day = u32::try_from(DAY / u64::from(slot.seconds())).unwrap_or(usual.batch_slots);
        Pace { batch_slots: if self.levelled.is_some() { day } else { usual.batch_slots }, ..usual }
    }

    fn warn(&self, plan: &Plan, listen: &SocketAddr, text: &mut String) {
        let (fewest, enrolled) = (usize::from(self.smallest_group), plan.homes.len());
        let mut note = |line: &str| writeln!(text, "Note: {line}").expect("a String takes every text");
        if enrolled < fewest {
            note(&format!(
                "bills and load curves need {fewest} meters. Enrol {} more, each with:\n      wattveil enrol {} NAME",
                fewest - enrolled,
                self.directory.display()
            ));
        }
        if self.smallest_group < Policy::production().k {
            note(&format!(
                "groups of {fewest} are for a demonstration only: a curve of few homes shows\n      each of them. Leave out \
                 --smallest-group for {} homes.",
                Policy::production().k
            ));
        }
        if self.no_tls && !listen.ip().is_loopback() {
            note(
                "the broker speaks plain text on the network: others can read passwords.\n      Leave out --no-tls unless the \
                 network is yours.",
            );
        }
        if self.levelled.is_some() {
            note(&format!("mode `levelled` is on. {CAUTION}."));
        }
        if plan.threshold < 2 {
            note(
                "with a threshold of 1 each aggregator reads everything. Type --threshold 2\n      or more.",
            );
        }
    }

    fn next(&self, plan: &Plan, text: &mut String) {
        let (root, n) = (self.directory.display(), plan.aggregators);
        if self.synthetic {
            write!(
                text,
                "\nTo run all roles on this machine, type:\n\n  wattveil run {root}\n\nOnce it prints that all readings are with \
                 the aggregators, type in another\nterminal:\n\n  wattveil bill --config {root}/sink/sink.toml --period \
                 28d\n"
            )
            .expect("a String takes every text");
        } else {
            let meter = if plan.homes.is_empty() {
                format!("  wattveil enrol {root} NAME      (one for each meter)")
            } else {
                format!(
                    "  wattveil meter-agent --config {root}/meters/NAME/agent.toml\n\nEach meter's agent.toml first needs a \
                     [source.KIND] section instead of\n[source.lines], which says where its readings come from."
                )
            };
            write!(
                text,
                "\nMove each directory to the machine of its party. Its files have mode 0600:\n\n  \
                 {root}/broker               the broker's\n  \
                 {root}/agg-1 to agg-{n}       one each for {n} organisations\n  \
                 {root}/sink                 the utility's\n  \
                 {root}/meters/NAME          each meter's device\n  \
                 {root}/registrar, authority yours. Their keys can make meters: keep them\n                               \
                 offline, with a backup\n\n\
                 Then each party types (or uses systemd, see packaging/systemd):\n\n  \
                 wattveil broker --config {root}/broker/broker.toml\n  \
                 wattveil aggregator-worker --config {root}/agg-1/worker.toml   (to agg-{n})\n  \
                 wattveil utility-sink --config {root}/sink/sink.toml\n{meter}\n"
            )
            .expect("a String takes every text");
        }
        write!(
            text,
            "\nAt any time:\n\n  \
             wattveil check {root}      what is wrong, and what to type\n  \
             wattveil explain {root}    who can learn what\n  \
             wattveil status {root}     which roles are up\n"
        )
        .expect("a String takes every text");
    }
}

/// Names with commas between, or so many made-up ones.
fn names(text: &str) -> anyhow::Result<Vec<String>> {
    let names: Vec<String> = match text.trim().parse::<usize>() {
        Ok(count) => (1..=count).map(|number| format!("home-{number}")).collect(),
        Err(_) => {
            text.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
        }
    };
    for (index, name) in names.iter().enumerate() {
        anyhow::ensure!(!names[..index].contains(name), "meter `{name}` is named twice; type each name once");
    }
    Ok(names)
}
