//! `wattveil status`: who is up, under which roster, and how much waits.

use protocol::unit::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use protocol::revocation::Revocation;
use protocol::roster::Roster;
use protocol::signature::VerifyingKey;
use protocol::status::Status;
use protocol::topic::{Channel, Role, Topic};
use runtime::link::{Endpoint, Settings, Subscriber};
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use deployment::directory::{MetersFile, membership};

/// Show which roles are up, their version and roster, and how many messages wait
#[derive(Clone, Debug, Args)]
pub struct StatusArguments {
    /// The deployment's directory; or the directory or configuration of an observer, the registrar or the sink
    config: PathBuf,
    /// How many seconds to collect statuses
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
    /// Exit with 0 only if every role is up. Revoked meters do not count
    #[arg(long)]
    expect_up: bool,
}

/// What is read of a configuration, whosever it is.
#[derive(Debug, Deserialize)]
pub(crate) struct Watching {
    pub(crate) broker: Endpoint,
    registrar: PathBuf,
    roster: PathBuf,
}

impl Watching {
    /// Reads the configuration of one who may watch.
    ///
    /// # Errors
    ///
    /// A file that is none, or the broker's own.
    pub(crate) fn read(file: &Path) -> anyhow::Result<Self> {
        let own = toml::from_str(&fs::read_to_string(file).unwrap_or_default());
        let own: toml::Table = own.unwrap_or_default();
        anyhow::ensure!(
            !own.contains_key("listen") || own.contains_key("broker"),
            "{} has the broker's own settings, by which nobody can watch; name the configuration of one who may, such as \
             observer/observer.toml or sink/sink.toml",
            file.display()
        );
        Ok(runtime::config::read(file, &[])?)
    }

    /// The registrar's key and the roster, of files in the configuration's directory.
    ///
    /// # Errors
    ///
    /// Files that are not what they should be.
    pub(crate) fn membership(&self, home: &Path) -> anyhow::Result<(VerifyingKey, Roster)> {
        membership(&home.join(&self.registrar), &home.join(&self.roster))
    }
}

/// What was heard of a deployment's roles.
#[derive(Debug)]
pub struct Heard {
    /// Where the broker is, which answered.
    broker: String,
    roster: Roster,
    /// By role and name; `None` for those that are to be there and said nothing.
    parties: BTreeMap<(Role, String), Option<Status>>,
    names: BTreeMap<String, String>,
    /// Meters of which nothing is to be heard any more.
    revoked: BTreeSet<String>,
}

impl StatusArguments {
    /// Listens; gives the table, and whether everybody is up as far as that was asked.
    ///
    /// # Errors
    ///
    /// If a file is not what it should be, or the broker does not let one listen.
    pub async fn run(self) -> anyhow::Result<(String, bool)> {
        let file = find(&self.config)?;
        let heard = listen(&file, Duration::from_secs(self.seconds)).await?;
        let text = if self.json { format!("{:#}\n", heard.to_json()) } else { heard.table() };
        let is_up = |((role, id), status): (&(Role, String), &Option<Status>)| {
            let revoked = *role == Role::Meter && heard.revoked.contains(id);
            revoked || status.as_ref().is_some_and(|status| status.state == "up")
        };
        let well = !self.expect_up || heard.parties.iter().all(is_up);
        Ok((text, well))
    }
}

/// The configuration of one who may watch, that a path names or has in it.
///
/// # Errors
///
/// If there is none.
pub(crate) fn find(path: &Path) -> anyhow::Result<PathBuf> {
    let places = [
        "observer/observer.toml",
        "observer.toml",
        "registrar/registrar.toml",
        "registrar.toml",
        "sink/sink.toml",
        "sink.toml",
    ];
    let mut found = places.into_iter().map(|place| path.join(place));
    if path.is_file() {
        return Ok(path.to_owned());
    }
    found.find(|place| place.is_file()).with_context(|| {
        format!(
            "{} has no observer.toml; name the configuration of one who may watch, such as sink.toml",
            path.display()
        )
    })
}

/// Listens to what roles say of themselves.
async fn listen(file: &Path, time: Duration) -> anyhow::Result<Heard> {
    let home = file.parent().unwrap_or_else(|| Path::new("."));
    let config = Watching::read(file)?;
    let (registrar, roster) = config.membership(home)?;
    let user = config.broker.user.clone().unwrap_or_else(|| "observer".to_owned());
    let settings = config.broker.settings(home, &user)?;
    let mut parties = BTreeMap::from([((Role::Sink, "utility".to_owned()), None)]);
    for aggregator in &roster.document().aggregators {
        parties.insert((Role::Aggregator, aggregator.id.to_string()), None);
    }
    let mut names = BTreeMap::new();
    for row in meters_beside(home)?.0 {
        parties.insert((Role::Meter, row.meter.to_string()), None);
        names.insert(row.meter.to_string(), row.name);
    }
    let deployment = &roster.document().deployment;
    let filters = ["status/#", "revoked/+"].map(|topics| format!("wv/1/{deployment}/{topics}")).to_vec();
    let (mut subscriber, address) = (subscribe(settings, filters).await?, &config.broker.address);
    let mut revoked = BTreeSet::new();
    let deadline = Instant::now() + time;
    while let Ok(delivery) = timeout_at(deadline, subscriber.recv()).await {
        let delivery = delivery.with_context(|| format!("the connection to {address} ended"))?;
        match delivery.topic.parse() {
            Ok(Topic { channel: Channel::Status(role, id), .. }) => {
                if let Ok(status) = Status::decode(&delivery.payload) {
                    parties.insert((role, id), Some(status));
                }
            }
            Ok(Topic { channel: Channel::Revoked(_), .. }) => {
                let revocation = Revocation::open(&delivery.payload, &registrar, deployment);
                let past =
                    revocation.ok().filter(|revocation| revocation.from <= runtime::now::<Timestamp>());
                revoked.extend(past.map(|revocation| revocation.meter.to_string()));
            }
            _ => (),
        }
        subscriber.ack(delivery);
    }
    subscriber.close().await;
    Ok(Heard { broker: address.clone(), roster, parties, names, revoked })
}

/// The meters that are to be there, as far as that is known here.
fn meters_beside(home: &Path) -> anyhow::Result<MetersFile> {
    let places = [home.join("meters.csv"), home.join("../registrar/meters.csv")];
    places
        .iter()
        .find(|place| place.is_file())
        .map_or_else(|| Ok(MetersFile::default()), |file| MetersFile::read(file))
}

/// The table's columns.
const COLUMNS: usize = 7;

/// How long a connection may take.
const PATIENCE: Duration = Duration::from_secs(8);

/// Subscribes for a look, without a session that is kept, or says why that can't be.
///
/// # Errors
///
/// What the broker, or the way to it, said.
pub(crate) async fn subscribe(settings: Settings, filters: Vec<String>) -> anyhow::Result<Subscriber> {
    let address = format!("{}:{}", settings.host, settings.port);
    // of several nodes one may be down
    let alone = settings.others.is_empty();
    let user = settings.login.as_ref().map_or_else(|| "nobody".to_owned(), |login| login.user.clone());
    let subscriber = Subscriber::connect(Settings { keep_session: false, ..settings }, filters);
    let (mut subscribed, mut trouble) = (subscriber.subscribed(), subscriber.trouble());
    let answer = async {
        tokio::select! {
            Ok(_) = subscribed.wait_for(|subscribed| *subscribed) => None,
            Ok(trouble) = trouble.wait_for(Option::is_some), if alone => trouble.clone(),
            else => Some("the client ended".to_owned()),
        }
    };
    let trouble = tokio::time::timeout(PATIENCE, answer).await;
    match trouble.unwrap_or_else(|_| Some(unanswered(PATIENCE))) {
        None => Ok(subscriber),
        Some(trouble) => anyhow::bail!("no use of the broker at {address} as {user}: {trouble}"),
    }
}

/// What is said where nobody answers.
pub(crate) fn unanswered(patience: Duration) -> String {
    format!("no answer for {} s; is its address right, and the port open on the way?", patience.as_secs())
}

impl Heard {
    /// The table's rows; `said` is how long ago, as text for people or in seconds.
    fn rows(&self, said: fn(u64) -> String) -> Vec<[String; COLUMNS]> {
        let (epoch, now) = (self.roster.document().epoch, runtime::now::<Timestamp>());
        let row = |((role, id), status): (&(Role, String), &Option<Status>)| {
            let role = match role {
                Role::Meter => "meter",
                Role::Aggregator => "aggregator",
                Role::Sink => "sink",
            };
            let name = self.names.get(id).unwrap_or(id).clone();
            let revoked = role == "meter" && self.revoked.contains(id);
            let [state, version, roster, waiting, said] = status.as_ref().map_or_else(
                || ["silent", "-", "-", "-", "-"].map(str::to_owned),
                |status| {
                    let old = if status.roster_epoch == epoch { "" } else { " (another)" };
                    let roster = format!("{}{old}", status.roster_epoch);
                    let (state, version) = (clean(&status.state), clean(&status.version));
                    [state, version, roster, status.backlog.to_string(), said(now.since(status.at))]
                },
            );
            let state = if revoked { "revoked".to_owned() } else { state };
            [role.to_owned(), name, state, version, roster, waiting, said]
        };
        let mut rows: Vec<_> = self.parties.iter().map(row).collect();
        let [version, roster, waiting, said] = ["-"; 4].map(str::to_owned);
        rows.push([
            "broker".to_owned(),
            self.broker.clone(),
            "up".to_owned(),
            version,
            roster,
            waiting,
            said,
        ]);
        rows.sort();
        rows
    }

    fn table(&self) -> String {
        let mut rows =
            vec![["role", "name", "state", "version", "roster", "waiting", "said"].map(str::to_owned)];
        rows.extend(self.rows(age));
        let widths: Vec<usize> =
            (0..COLUMNS).map(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0)).collect();
        let mut text = String::new();
        for row in rows {
            let cells: Vec<String> =
                row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
            writeln!(text, "{}", cells.join("  ").trim_end()).expect("a String takes every text");
        }
        text
    }

    fn to_json(&self) -> serde_json::Value {
        let row = |[role, name, state, version, roster, waiting, said]: [String; COLUMNS]| {
            serde_json::json!({
                "role": role, "name": name, "state": state, "version": version,
                "roster": roster.split(' ').next().and_then(|epoch| epoch.parse::<u32>().ok()),
                "waiting": waiting.parse::<u64>().ok(),
                "said_seconds_ago": said.parse::<u64>().ok(),
            })
        };
        self.rows(|seconds| seconds.to_string()).into_iter().map(row).collect()
    }
}

/// How long ago something was said.
fn age(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s ago"),
        120..7_200 => format!("{} min ago", seconds / 60),
        _ => format!("{} h ago", seconds / 3_600),
    }
}

/// What anybody may have written, for a terminal.
fn clean(text: &str) -> String {
    text.chars().filter(char::is_ascii_graphic).take(16).collect()
}
