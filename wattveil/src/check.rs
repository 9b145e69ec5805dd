//! `wattveil check`: what is wrong with a deployment's directory or one role's configuration, and what to type.

use protocol::signature::SigningKey;
use runtime::file;
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::Context as _;
use clap::Args;
use meter_agent::config::SourceConfig;
use meter_agent::source::input::Input;
use protocol::certificate::MeterCertificate;
use protocol::id::MeterId;
use protocol::revocation::Revocation;
use protocol::roster::Roster;
use protocol::roster::chain::Chain;
use protocol::signature::{Signed, VerifyingKey};
use protocol::status::Status;
use protocol::topic::{Channel, Topic};
use protocol::unit::Timestamp;
use runtime::link::Endpoint;
use store::{FileStore, StoreError, Table};
use tokio::time::{Instant, timeout_at};
use utility_sink::agenda::not_allowed;

use crate::revoke;
use crate::status::subscribe;
use deployment::directory::{Config, Directory, MetersFile, meters, or_init};

mod clock;

/// What ends within so many seconds is worth a note.
const SOON: u64 = 30 * 86_400;

/// How long the aggregators have to say what time it is.
const LISTEN: Duration = Duration::from_secs(2);

/// The cache of a store that is looked at once.
const CACHE: usize = 4 << 20;

/// Check a deployment's directory, or one role's configuration: keys, roster, certificates, clock, connection
#[derive(Clone, Debug, Args)]
pub struct CheckArguments {
    /// The directory, of a deployment or of one party, or a role's configuration
    path: PathBuf,
    /// Do not connect to the broker
    #[arg(long)]
    offline: bool,
}

/// How grave a finding is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Grade {
    Fine,
    Note,
    Wrong,
}

/// What was found of one thing.
#[derive(Debug)]
struct Finding {
    grade: Grade,
    place: String,
    text: String,
}

/// All that was found.
#[derive(Debug, Default)]
pub struct Findings {
    found: Vec<Finding>,
    place: String,
    /// The broker was tried, and there is no use in trying it again.
    unreachable: bool,
    /// Meters that the registrar revoked, as far as that is known here.
    revoked: BTreeMap<MeterId, Signed<Revocation>>,
}

impl Findings {
    /// Whether nothing is wrong.
    pub fn are_well(&self) -> bool {
        self.found.iter().all(|finding| finding.grade != Grade::Wrong)
    }

    fn add(&mut self, grade: Grade, text: impl Into<String>) {
        self.found.push(Finding { grade, place: self.place.clone(), text: text.into() });
    }

    /// That all this is well, unless something of it is wrong.
    fn fine(&mut self, text: impl Into<String>) {
        let wrong = |found: &Finding| found.grade == Grade::Wrong && found.place == self.place;
        if !self.found.iter().any(wrong) {
            self.add(Grade::Fine, text);
        }
    }

    /// Notes an error; gives the value if there is one.
    fn expect<T>(&mut self, result: anyhow::Result<T>) -> Option<T> {
        result.map_err(|error| self.add(Grade::Wrong, format!("{error:#}"))).ok()
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Finding { grade, place, text } in &self.found {
            let grade = match grade {
                Grade::Fine => "ok   ",
                Grade::Note => "note ",
                Grade::Wrong => "WRONG",
            };
            writeln!(f, "{grade}  {place}: {text}")?;
        }
        let wrong = self.found.iter().filter(|finding| finding.grade == Grade::Wrong).count();
        match wrong {
            0 => writeln!(f, "\nAll is well."),
            1 => writeln!(f, "\n1 thing is wrong."),
            wrong => writeln!(f, "\n{wrong} things are wrong."),
        }
    }
}

/// What kind of configuration a file is.
enum Kind {
    Broker,
    Worker,
    Sink,
    Agent,
    Other,
}

impl CheckArguments {
    /// Checks.
    ///
    /// # Errors
    ///
    /// If there is nothing to check.
    pub async fn run(self) -> anyhow::Result<Findings> {
        let files = files_of(&self.path)?;
        let mut findings = Findings { unreachable: self.offline, ..Findings::default() };
        let whole = self.path.join("registrar/registrar.toml").is_file();
        if whole {
            "registrar".clone_into(&mut findings.place);
            check_directory(&self.path, &mut findings);
        }
        for file in files {
            let home = file.parent().unwrap_or_else(|| Path::new("."));
            let shown = file.strip_prefix(&self.path).ok().filter(|shown| !shown.as_os_str().is_empty());
            findings.place = shown.unwrap_or(&file).display().to_string();
            check_file(&file, home, &mut findings).await;
        }
        Ok(findings)
    }
}

/// The configurations that there may be in a directory.
const NAMES: [&str; 6] =
    ["broker.toml", "worker.toml", "sink.toml", "agent.toml", "registrar.toml", "observer.toml"];

/// The configurations below a path.
fn files_of(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let (mut files, mut homes) = (Vec::new(), vec![path.to_owned()]);
    for depth in 0..3 {
        let mut below = Vec::new();
        for home in homes {
            files.extend(NAMES.iter().map(|name| home.join(name)).filter(|file| file.is_file()));
            if depth < 2 && home.is_dir() {
                let entries =
                    fs::read_dir(&home).with_context(|| format!("cannot read {}", home.display()))?;
                below.extend(
                    entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()),
                );
            }
        }
        below.sort();
        homes = below;
    }
    anyhow::ensure!(
        !files.is_empty(),
        "{} has no configuration of a role; name a directory that `wattveil init` made or a .toml of it{}",
        path.display(),
        or_init(path)
    );
    Ok(files)
}

/// What only the whole directory tells.
fn check_directory(path: &Path, findings: &mut Findings) {
    let Some(directory) = findings.expect(Directory::open(path)) else { return };
    if let Some(MetersFile(rows)) = findings.expect(directory.meters()) {
        let fewest = usize::from(directory.roster.policy().k);
        let mut groups: Vec<_> = rows.iter().map(|row| row.group.clone()).collect();
        groups.sort();
        for group in groups.chunk_by(|a, b| a == b).filter(|group| group.len() < fewest) {
            let name = &group[0];
            let text = format!(
                "{name} has {}; for its curve there are to be {fewest}: wattveil enrol {} NAME --group {name}",
                meters(group.len()),
                path.display()
            );
            findings.add(Grade::Note, text);
        }
        findings
            .add(Grade::Fine, format!("the registrar's key and roster; enrolled: {}", meters(rows.len())));
    }
    if let Some(revoked) = findings.expect(revoke::all(&directory)) {
        findings.revoked = revoked;
    }
    for party in ["authority", "registrar"].map(|name| path.join(name)).iter().filter(|party| party.is_dir())
    {
        let mode = fs::metadata(party).map_or(0, |metadata| metadata.permissions().mode() & 0o777);
        if mode & 0o077 != 0 {
            let text = format!(
                "{} is open to others (mode {mode:o}); type: chmod 700 {}",
                party.display(),
                party.display()
            );
            findings.add(Grade::Wrong, text);
        }
    }
}

async fn check_file(file: &Path, home: &Path, findings: &mut Findings) {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()));
    let Some(text) = findings.expect(text) else { return };
    let has =
        |key: &str| text.lines().any(|line| line.split('=').next().is_some_and(|name| name.trim() == key));
    let kind = if has("aggregator") {
        Kind::Worker
    } else if has("meter") {
        Kind::Agent
    } else if has("box_key") {
        Kind::Sink
    } else if has("listen") || has("name") {
        Kind::Broker
    } else {
        Kind::Other
    };
    let party = match kind {
        Kind::Broker => return check_broker(file, findings),
        Kind::Worker => check_worker(file, home, findings),
        Kind::Sink => check_sink(file, home, findings),
        Kind::Agent => check_agent(file, home, findings),
        Kind::Other => check_other(file, home, findings),
    };
    if let Some(party) = party {
        check_connection(&party, home, findings).await;
        // last: whoever was about to start has its store by now
        check_rosters(&party, findings);
    }
}

fn check_broker(file: &Path, findings: &mut Findings) {
    let Some(config) = findings.expect(broker::Config::read(Some(file), &[]).map_err(Into::into)) else {
        return;
    };
    if let Some(tls) = &config.tls {
        let ends = findings.expect(tls.ends().map_err(Into::into)).unwrap_or_default();
        for (path, end) in ends {
            let end = end.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
            let what = format!("the certificate in {}", path.display());
            let next = if Some(&path) == tls.client_authority.as_ref() {
                "make a new deployment's authority, or name one of your own in [tls] and in every party's [broker.tls]"
            } else {
                "type at the registrar's: wattveil rotate broker DIR"
            };
            check_validity(&what, Timestamp(0), Timestamp(end), next, findings);
        }
    }
    closed(file, findings);
    if config.users.is_empty() {
        findings
            .add(Grade::Note, "there are no users: everybody on this machine may do anything at the broker");
    }
    let listen = config.listen;
    findings.fine(format!("the broker's settings: {} users, to listen on {listen}", config.users.len()));
}

/// A secret is its owner's alone.
fn closed(path: &Path, findings: &mut Findings) {
    let mode = fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode() & 0o777);
    if mode & 0o077 != 0 {
        let path = path.display();
        findings.add(
            Grade::Wrong,
            format!("{path} may be read by others (mode {mode:o}); type: chmod 600 {path}"),
        );
    }
}

/// What is left to look at once a configuration is read.
struct Party {
    endpoint: Endpoint,
    roster: Roster,
    registrar: VerifyingKey,
    /// The store, and its table of rosters.
    store: Option<(PathBuf, Table)>,
}

fn check_worker(file: &Path, home: &Path, findings: &mut Findings) -> Option<Party> {
    let config = findings.expect(aggregator_worker::config::Config::read(file).map_err(Into::into))?;
    let (identity, roster) = findings.expect(config.identity(home))?;
    check_roster(&roster, findings);
    let row = roster.aggregator(identity.point)?.clone();
    if row.key != identity.key.verifying_key() {
        let text = format!(
            "the roster names another key for {}; bring the key and roster.wv back from one backup",
            row.id
        );
        findings.add(Grade::Wrong, text);
    }
    for key in &row.box_keys {
        if !identity.box_keys.iter().any(|own| own.sealing_key() == key.key) {
            let text = format!(
                "the roster has box key {} of {}, and `box_keys` not its secret: meters would seal what nobody opens; add its file \
                 to box_keys",
                key.key.key_id, row.id
            );
            findings.add(Grade::Wrong, text);
        }
    }
    let store = home.join(&config.store);
    check_store(&store, findings);
    findings.fine(format!("{} at point {}, {}", row.id, row.point, box_keys(identity.box_keys.len())));
    let store = Some((store, aggregator_worker::aggregator::ROSTER));
    Some(Party { endpoint: config.broker, roster, registrar: identity.registrar, store })
}

fn box_keys(number: usize) -> String {
    if number == 1 { "one box key".to_owned() } else { format!("{number} box keys") }
}

fn check_sink(file: &Path, home: &Path, findings: &mut Findings) -> Option<Party> {
    let config = findings.expect(utility_sink::config::Config::read(file).map_err(Into::into))?;
    let (identity, roster) = findings.expect(config.identity(home))?;
    check_roster(&roster, findings);
    if identity.key.verifying_key() != roster.document().utility.key {
        findings.add(
            Grade::Wrong,
            "the roster names another key for the utility; bring key and roster.wv back from one backup",
        );
    }
    let store = home.join(&config.store);
    check_store(&store, findings);
    if let Some(tariffs) = findings.expect(config.read_tariffs(home, roster.slot())) {
        for (release, refusal) in findings.expect(not_allowed(&config, home)).unwrap_or_default() {
            let text =
                format!("[[release]] `{release}` is not asked, by rule {}: {}", refusal.rule, refusal.detail);
            findings.add(Grade::Wrong, text);
        }
        findings.fine(format!("the utility's keys; {} tariffs", tariffs.len()));
    }
    let store = Some((store, utility_sink::sink::ROSTER));
    Some(Party { endpoint: config.broker, roster, registrar: identity.registrar, store })
}

fn check_agent(file: &Path, home: &Path, findings: &mut Findings) -> Option<Party> {
    let config = findings.expect(meter_agent::config::Config::read(file).map_err(Into::into))?;
    let (identity, roster) = findings.expect(config.identity(home))?;
    let now = runtime::now::<Timestamp>();
    check_roster(&roster, findings);
    if let Err(error) = config.floor.admits(&roster, now) {
        findings.add(
            Grade::Wrong,
            format!("{error}; ask the registrar for a roster that keeps what this meter was promised"),
        );
    }
    let certificate =
        MeterCertificate::open(&identity.certificate, &identity.registrar, &roster.document().deployment)
            .context(
                "the certificate was refused; ask the registrar to enrol this meter: wattveil enrol DIR NAME",
            );
    let certificate = findings.expect(certificate)?;
    if certificate.meter != identity.meter || certificate.key != identity.key.verifying_key() {
        let wanted = &certificate.meter;
        findings.add(
            Grade::Wrong,
            format!("the certificate is of meter {wanted} and its key, not of this one; adopt the enrolment of this device"),
        );
    }
    let again = "ask the registrar to enrol this home anew, under another name: wattveil enrol DIR NAME";
    check_validity("the certificate", certificate.valid_from, certificate.valid_to, again, findings);
    findings.expect(config.registers.to_limits(roster.slot()));
    check_store(&home.join(&config.store), findings);
    if let Some(revocation) = findings.revoked.get(&identity.meter).cloned() {
        check_revocation(&revocation, findings);
    }
    check_input(&config.source, findings);
    let (place, group) = (&certificate.service_point, &certificate.group);
    match config.source.open(home, roster.slot(), &identity.meter) {
        Ok(_) => findings.fine(format!("meter {} at {place}, in {group}", identity.meter)),
        Err(error) => findings.add(Grade::Wrong, format!("[source]: {error:#}")),
    }
    Some(Party { endpoint: config.broker, roster, registrar: identity.registrar, store: None })
}

fn check_other(file: &Path, home: &Path, findings: &mut Findings) -> Option<Party> {
    let config: Config = findings.expect(runtime::config::read(file, &[]).map_err(Into::into))?;
    let (public, roster): (VerifyingKey, Roster) = findings.expect(config.membership(home))?;
    check_roster(&roster, findings);
    let key = config
        .key
        .as_ref()
        .map(|key| file::read_secret(&home.join(key), str::parse::<SigningKey>).map_err(Into::into));
    if let Some(key) = key.and_then(|key| findings.expect(key)) {
        if key.verifying_key() != public {
            findings.add(
                Grade::Wrong,
                "sign.key and registrar.pub do not belong together; bring both back from one backup",
            );
        }
        findings.fine("the registrar's key and roster");
    }
    Some(Party { endpoint: config.broker, roster, registrar: public, store: None })
}

/// Where readings come from: a port, which opens only once the agent runs, is to be there.
fn check_input(source: &SourceConfig, findings: &mut Findings) {
    let (SourceConfig::Lines { input } | SourceConfig::P1 { input, .. } | SourceConfig::Sml { input, .. }) =
        source
    else {
        return;
    };
    match input {
        Input::File(path) if path.as_os_str() == "-" => findings.add(
            Grade::Note,
            "readings are to come on the agent's standard input, as init and adopt have it; if they come from elsewhere, put another \
             [source.KIND] in the place of this one",
        ),
        Input::Serial(path) if !path.exists() => findings.add(
            Grade::Wrong,
            format!(
                "[source]: there is no serial port {}; is it plugged in? Type: ls /dev/serial/by-id /dev/tty*",
                path.display()
            ),
        ),
        _ => (),
    }
}

/// A meter that measures no more, or will not.
fn check_revocation(revocation: &Revocation, findings: &mut Findings) {
    let Revocation { meter, from, reason } = revocation;
    let now = runtime::now::<Timestamp>();
    let (grade, text) = if *from > now {
        (Grade::Note, format!("meter {meter} is revoked from {from} on ({reason})"))
    } else {
        let text = format!(
            "meter {meter} is revoked as of {from} ({reason}): what it measures since is refused; stop its agent once nothing of it waits \
             (wattveil status), and enrol the home anew, if it is to go on, under another name: wattveil enrol DIR NAME"
        );
        (Grade::Wrong, text)
    };
    findings.add(grade, text);
}

/// The role starts under this roster: it refuses an older one than its store has.
fn check_rosters(party: &Party, findings: &mut Findings) {
    let Some((store, table)) = party.store.as_ref().filter(|(store, _)| store.exists()) else { return };
    let stored = match FileStore::open(store, CACHE) {
        Ok(opened) => store::entries(*table, &opened),
        // the role runs
        Err(StoreError::InUse { .. }) => return,
        Err(error) => Err(error),
    };
    let Some(stored) = findings.expect(stored.map_err(Into::into)) else { return };
    let stored: Vec<Vec<u8>> = stored.into_iter().map(|(_, row)| row).collect();
    let followed = Chain::resume(&stored, party.roster.clone(), &party.registrar);
    findings.expect(followed.map(drop).context("the role would refuse to start"));
}

fn check_roster(roster: &Roster, findings: &mut Findings) {
    let document = roster.document();
    let now = runtime::now::<Timestamp>();
    let next = "the registrar gives everybody the next roster: wattveil rotate draft DIR";
    check_validity(
        &format!("roster {}", document.epoch),
        document.valid_from,
        document.valid_to,
        next,
        findings,
    );
    for aggregator in &document.aggregators {
        if aggregator.box_key_at(now).is_none() {
            let id = &aggregator.id;
            findings.add(Grade::Wrong, format!("every box key of {id} has ended; {next}"));
        }
    }
}

fn check_validity(what: &str, from: Timestamp, to: Timestamp, next: &str, findings: &mut Findings) {
    let now = runtime::now::<Timestamp>();
    if now < from {
        let text = format!(
            "{what} begins in {} s: this machine's clock is slow; type: timedatectl set-ntp true",
            from.since(now)
        );
        findings.add(Grade::Wrong, text);
    } else if now >= to {
        let days = now.since(to) / 86_400;
        findings.add(
            Grade::Wrong,
            format!("{what} ended {days} days ago, if this machine's clock is right (type: date); {next}"),
        );
    } else if to.since(now) < SOON {
        findings.add(Grade::Note, format!("{what} ends in {} days; {next}", to.since(now) / 86_400));
    }
}

/// A store can be written where it is to be.
fn check_store(store: &Path, findings: &mut Findings) {
    let home = store.parent().unwrap_or_else(|| Path::new("."));
    if let Err(error) = tempfile::tempfile_in(home) {
        let home = home.display();
        findings.add(
            Grade::Wrong,
            format!("nothing can be written in {home}: {error}; the role's user is to own it"),
        );
    }
}

async fn check_connection(party: &Party, home: &Path, findings: &mut Findings) {
    let Party { endpoint, roster, registrar, .. } = party;
    let user = endpoint.user.clone().unwrap_or_else(|| "check".to_owned());
    let settings = findings.expect(endpoint.settings(home, &user).map_err(Into::into));
    let Some(settings) = settings.filter(|_| !findings.unreachable) else { return };
    let deployment = &roster.document().deployment;
    // a meter may hear whether it is revoked itself
    let own = user.parse::<MeterId>().ok().map(|_| format!("wv/1/{deployment}/revoked/{user}"));
    let filters = own.into_iter().chain([format!("wv/1/{deployment}/status/agg/+")]).collect();
    let mut subscriber = match subscribe(settings, filters).await {
        Ok(subscriber) => subscriber,
        Err(error) => {
            // the others would only say so again
            findings.unreachable = !format!("{error:#}").contains("refused the");
            return findings.add(Grade::Wrong, format!("{error:#}"));
        }
    };
    findings.add(Grade::Fine, format!("connected, logged in and subscribed at {}", endpoint.address));
    let (mut heard, deadline) = (BTreeMap::new(), Instant::now() + LISTEN);
    // an aggregator's own word proves nothing to it
    let others = roster.document().aggregators.iter().filter(|row| row.id.as_ref() != user).count();
    while heard.len() < others
        && let Ok(Some(delivery)) = timeout_at(deadline, subscriber.recv()).await
    {
        if let (Ok(Topic { channel: Channel::Status(_, id), .. }), Ok(status)) =
            (delivery.topic.parse(), Status::decode(&delivery.payload))
            && status.state == "up"
            && id != user
            && roster.document().aggregators.iter().any(|row| row.id.as_ref() == id)
        {
            heard.insert(id, status.at);
        }
        if let Ok(Topic { channel: Channel::Revoked(meter), .. }) = delivery.topic.parse()
            && let Ok(revocation) = Revocation::open(&delivery.payload, registrar, deployment)
            && !findings.revoked.contains_key(&meter)
        {
            check_revocation(&revocation, findings);
        }
        subscriber.ack(delivery);
    }
    subscriber.close().await;
    let (grade, text) = clock::judge(runtime::now::<Timestamp>(), &heard.into_iter().collect::<Vec<_>>());
    findings.add(grade, text);
}
