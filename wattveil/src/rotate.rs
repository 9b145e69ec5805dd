//! `wattveil rotate`: a roster's successor, with new box keys and a later end, from its draft to whoever runs under it.
//!
//! Every party does its part on its own machine: `key` makes a secret that never leaves it, `draft` is the registrar's,
//! `accept` each aggregator's, `finish` the registrar's again, `adopt` everybody's; meters take the roster from the utility
//! over the broker. No key is overwritten or removed: what was sealed to an old one must still be opened. Each step may be
//! cut off and typed again. The broker's certificate, which is in no roster, has a step of its own.

use protocol::unit::Timestamp;
use runtime::file;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use protocol::certificate::deployment_context;
use protocol::hpke_box::{OpeningKey, SealingKey};
use protocol::roster::chain::Chain;
use protocol::roster::{BoxKey, Roster, RosterDocument, accept_as, bundle, sign};
use protocol::shamir::Point;
use protocol::signature::{Signature, Signed, VerifyingKey};

use crate::line::{from_line, to_line};
use deployment::directory::{Directory, membership};

mod broker;

const DAY: u64 = 86_400;

/// What the lines begin with that are carried from one party to another.
const KEY: &str = "wvk1-";
const ACCEPTANCE: &str = "wva1-";

/// Make the deployment's next roster with new keys and a later end, or the broker's next certificate
#[derive(Clone, Debug, Args)]
pub struct RotateArguments {
    #[command(subcommand)]
    step: Step,
}

#[derive(Clone, Debug, Subcommand)]
enum Step {
    /// Aggregator or utility: make the next box key and print its public half as a line
    Key {
        /// The party's directory
        party: PathBuf,
    },
    /// Registrar: sign the draft of the next roster
    Draft {
        /// The deployment's directory, with the registrar's key
        directory: PathBuf,
        /// A line of `wattveil rotate key`, for each party that has a new key
        #[arg(long, value_name = "LINE")]
        key: Vec<String>,
        /// For how many days it is valid
        #[arg(long, default_value_t = 730)]
        days: u64,
    },
    /// Aggregator: check the draft and print your acceptance as a line
    Accept {
        /// The aggregator's directory
        party: PathBuf,
        /// The draft
        draft: PathBuf,
    },
    /// Registrar: make the roster from the draft and all acceptances
    Finish {
        /// The deployment's directory
        directory: PathBuf,
        /// A file with the lines of `wattveil rotate accept`
        #[arg(long, value_name = "FILE")]
        acceptances: PathBuf,
    },
    /// Every party, meters are optional: replace the roster with its successor
    Adopt {
        /// The party's directory
        party: PathBuf,
        /// The next roster
        roster: PathBuf,
    },
    /// Registrar: make the broker's next key and certificate, signed by the deployment's authority
    Broker {
        /// The deployment's directory, with `authority`
        directory: PathBuf,
        /// One more name or address of the broker, beside those in the registrar's configuration
        #[arg(long, value_name = "HOST")]
        also: Vec<String>,
    },
}

/// What a step came to.
#[derive(Debug)]
pub struct Rotated {
    /// A line to be carried to another party.
    pub line: Option<String>,
    /// What happened, and what to type next.
    pub next: String,
}

impl RotateArguments {
    /// Does one step.
    ///
    /// # Errors
    ///
    /// A directory, a line or a roster that is not what it should be; a file that can't be written.
    pub fn run(self) -> anyhow::Result<Rotated> {
        match self.step {
            Step::Key { party } => new_key(&party),
            Step::Draft { directory, key, days } => draft(&Directory::open(&directory)?, &key, days),
            Step::Accept { party, draft } => accept(&party, &draft),
            Step::Finish { directory, acceptances } => finish(&Directory::open(&directory)?, &acceptances),
            Step::Adopt { party, roster } => adopt(&party, &roster),
            Step::Broker { directory, also } => broker::certify(&Directory::open(&directory)?, also),
        }
    }
}

/// A party that has keys of its own.
enum Party {
    Aggregator(aggregator_worker::config::Config),
    Sink(utility_sink::config::Config),
    Meter(Box<meter_agent::config::Config>),
    /// The registrar or an observer: it reads only.
    Reader(deployment::directory::Config),
}

impl Party {
    fn read(home: &Path) -> anyhow::Result<(PathBuf, Self)> {
        let file = |name: &str| Some(home.join(name)).filter(|file| file.is_file());
        if let Some(file) = file("worker.toml") {
            let config = aggregator_worker::config::Config::read(&file)?;
            return Ok((file, Self::Aggregator(config)));
        }
        if let Some(file) = file("sink.toml") {
            let config = utility_sink::config::Config::read(&file)?;
            return Ok((file, Self::Sink(config)));
        }
        if let Some(file) = file("agent.toml") {
            let config = Box::new(meter_agent::config::Config::read(&file)?);
            return Ok((file, Self::Meter(config)));
        }
        if let Some(file) = file("observer.toml").or_else(|| file("registrar.toml")) {
            let config = runtime::config::read(&file, &[])?;
            return Ok((file, Self::Reader(config)));
        }
        let home = home.display();
        anyhow::bail!(
            "{home} has no worker.toml, sink.toml or observer.toml; name the directory of one party, such as DIR/agg-1"
        )
    }

    /// The registrar's key, and the roster that this party has.
    fn membership(&self, home: &Path) -> anyhow::Result<(VerifyingKey, PathBuf, Roster)> {
        let (registrar, roster) = match self {
            Self::Aggregator(config) => (&config.registrar, &config.roster),
            Self::Sink(config) => (&config.registrar, &config.roster),
            Self::Meter(config) => (&config.registrar, &config.roster),
            Self::Reader(config) => (&config.registrar, &config.roster),
        };
        let path = home.join(roster);
        let (registrar, roster) = membership(&home.join(registrar), &path)?;
        Ok((registrar, path, roster))
    }
}

fn new_key(home: &Path) -> anyhow::Result<Rotated> {
    let (file, party) = Party::read(home)?;
    let (name, list, held) = match &party {
        Party::Aggregator(config) => (config.aggregator.clone(), "box_keys", config.box_keys.clone()),
        Party::Sink(config) => {
            let held = [&config.box_key].into_iter().chain(&config.more_box_keys).cloned().collect();
            ("sink".to_owned(), "more_box_keys", held)
        }
        Party::Meter(_) | Party::Reader(_) => {
            anyhow::bail!("{} has no box keys; name an aggregator's or the sink's directory", home.display())
        }
    };
    let held: Vec<OpeningKey> = held
        .iter()
        .map(|key| file::read_secret(&home.join(key), str::parse::<OpeningKey>))
        .collect::<Result<_, _>>()?;
    let newest = held.iter().max_by_key(|key| key.key_id()).context("the configuration names no box key")?;
    let roster = party.membership(home)?.2;
    let row = roster.document().aggregators.iter().find(|row| row.id.as_ref() == name);
    let in_force = if let Party::Sink(_) = party {
        Some(roster.document().utility.box_key.key_id)
    } else {
        row.and_then(|row| row.box_keys.iter().map(|key| key.key.key_id).max())
    };
    if in_force.is_some_and(|in_force| newest.key_id() > in_force) {
        let next = format!(
            "Box key {} was made before and is in no roster here yet; this is its line again, for the registrar. For another one, \
             take its file out of {list} in {} first:\n",
            newest.key_id(),
            file.display()
        );
        return Ok(Rotated { line: Some(to_line(KEY, &(name, newest.sealing_key()))), next });
    }
    let number = newest.key_id().checked_add(1).context("there is no number for another key")?;
    let key_name = format!("box-{number}.key");
    let path = home.join(&key_name);
    // A key that is there and not yet named was made by a step that was cut off.
    let key = if path.exists() {
        file::read_secret(&path, str::parse::<OpeningKey>)?
    } else {
        let key = OpeningKey::generate(number, newest.suite(), &mut runtime::entropy()?);
        file::write_secret(&path, key.to_text().as_bytes())?;
        key
    };
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let text = with_another(&text, list, &key_name).with_context(|| {
        format!(
            "{} has no line `{list} = [...]`; add \"{key_name}\" to {list} there, and type the same again",
            file.display()
        )
    })?;
    file::replace(&file, text.as_bytes())?;
    let next = format!(
        "Made {} and named it in {}; the keys before it stay, for what was sealed to them. Give the registrar this line:\n",
        path.display(),
        file.display()
    );
    Ok(Rotated { line: Some(to_line(KEY, &(name, key.sealing_key()))), next })
}

/// A configuration's text with one file more in a list, which may still be a comment with its default.
fn with_another(text: &str, list: &str, file: &str) -> Option<String> {
    let of_list = |line: &&str| {
        let rest = line.strip_prefix('#').unwrap_or(line).strip_prefix(list).map(str::trim_start);
        rest.is_some_and(|rest| rest.starts_with('=') && rest.contains('[')) && line.trim_end().ends_with(']')
    };
    let mut found = text.lines().filter(of_list);
    let (Some(line), None) = (found.next(), found.next()) else { return None };
    let (before, _) = line.trim_end().rsplit_once(']')?;
    let before = before.strip_prefix('#').unwrap_or(before);
    let comma = if before.trim_end().ends_with('[') { "" } else { ", " };
    Some(text.replacen(line, &format!("{before}{comma}\"{file}\"]"), 1))
}

fn draft(directory: &Directory, keys: &[String], days: u64) -> anyhow::Result<Rotated> {
    let mut document: RosterDocument = directory.roster.document().clone();
    let now = runtime::now::<Timestamp>();
    document.epoch = document.epoch.checked_add(1).context("there is no number for another roster")?;
    document.previous = Some(directory.roster.hash());
    document.valid_from = now;
    document.valid_to = now.plus(days.saturating_mul(DAY));
    for aggregator in &mut document.aggregators {
        // Shares are sealed to the newest key only; an aggregator keeps the secrets of the others.
        let newest = aggregator.box_keys.pop();
        let newest = newest.map(|key| BoxKey { not_after: document.valid_to, ..key });
        aggregator.box_keys = newest.into_iter().collect();
    }
    for line in keys {
        let (name, key): (String, SealingKey) =
            from_line(KEY, line).context("it is the line that `wattveil rotate key` printed")?;
        if name == "sink" {
            document.utility.box_key = key;
            continue;
        }
        let aggregator = document.aggregators.iter_mut().find(|aggregator| aggregator.id.as_ref() == name);
        let aggregator = aggregator
            .with_context(|| format!("the line is of `{name}`, which is no aggregator of this roster"))?;
        aggregator.box_keys = vec![BoxKey { key, not_after: document.valid_to }];
    }
    document
        .check()
        .context("nobody would take such a roster; if it is a key, ask its owner for the line of: wattveil rotate key DIR")?;
    let (epoch, valid_to) = (document.epoch, document.valid_to);
    let path = directory.path.join(format!("registrar/roster-{epoch}.draft"));
    anyhow::ensure!(
        !path.exists(),
        "{} is there already; collect its acceptances, or, if nobody has seen it, remove it and type the same again",
        path.display()
    );
    file::write_public(&path, sign(document, &directory.registrar).bytes())?;
    let days = valid_to.since(now) / DAY;
    Ok(Rotated {
        line: None,
        next: format!(
            "Roster {epoch} is drafted in {path}, valid for {days} days. Give every aggregator that file; each types on its machine:\n\n  \
             wattveil rotate accept DIR roster-{epoch}.draft\n\nPut the lines that they print into a file; then type here:\n\n  \
             wattveil rotate finish {} --acceptances FILE\n",
            directory.path.display(),
            path = path.display()
        ),
    })
}

fn open_draft(
    path: &Path,
    registrar: &VerifyingKey,
    current: &Roster,
) -> anyhow::Result<Signed<RosterDocument>> {
    let bytes = fs::read(path).with_context(|| format!("cannot read the draft {}", path.display()))?;
    let context = deployment_context(&current.document().deployment);
    Signed::open(&bytes, registrar, &context)
        .with_context(|| format!("{} is no draft of this deployment's registrar", path.display()))
}

fn accept(home: &Path, draft: &Path) -> anyhow::Result<Rotated> {
    let (_, party) = Party::read(home)?;
    let (registrar, _, roster) = party.membership(home)?;
    let Party::Aggregator(config) = &party else {
        anyhow::bail!("only aggregators accept a roster; name an aggregator's directory, such as DIR/agg-1")
    };
    let next = open_draft(draft, &registrar, &roster)?;
    let current = roster.document();
    anyhow::ensure!(
        // Exactly the next number: the note below is by number, and two numbers after one roster would be two histories.
        next.previous == Some(roster.hash()) && Some(next.epoch) == current.epoch.checked_add(1),
        "the draft of roster {} does not follow roster {}, which is here; bring the newest roster.wv from the registrar, or a new draft",
        next.epoch,
        current.epoch
    );
    if let Some(what) = next.changes(current) {
        anyhow::bail!(
            "the draft changes {what}: a successor changes validity and box keys only; ask the registrar"
        );
    }
    next.check().context("nobody would take the roster of this draft; ask the registrar for another one")?;
    let (identity, _) = config.identity(home)?;
    let row = next.aggregators.iter().find(|aggregator| aggregator.point == identity.point);
    let newest = |keys: &[BoxKey]| keys.iter().map(|key| key.key.key_id).max();
    let in_force = roster.aggregator(identity.point).and_then(|row| newest(&row.box_keys));
    let drafted = row.and_then(|row| row.box_keys.iter().map(|key| key.key.key_id).min());
    anyhow::ensure!(
        drafted >= in_force,
        "the draft goes back to an older box key of `{}`, which may be known to others by now; give the registrar the line of: \
         wattveil rotate key {}",
        config.aggregator,
        home.display()
    );
    for listed in row.map(|row| &row.box_keys[..]).unwrap_or_default() {
        anyhow::ensure!(
            identity.box_keys.iter().any(|held| held.sealing_key() == listed.key),
            "the draft has box key {} for `{}`, whose secret is not here: meters would seal what nobody opens; give the registrar the \
             line of: wattveil rotate key {}",
            listed.key.key_id,
            config.aggregator,
            home.display()
        );
    }
    // An aggregator accepts one successor, ever: two would be two histories.
    let noted = home.join(format!("roster-{}.accepted", next.epoch));
    let name = next.hash().to_string();
    if noted.exists() {
        let before =
            fs::read_to_string(&noted).with_context(|| format!("cannot read {}", noted.display()))?;
        anyhow::ensure!(
            before.trim() == name,
            "another draft of roster {} was accepted here ({}); ask the registrar which one holds: there can be one only",
            next.epoch,
            noted.display()
        );
    } else {
        file::replace(&noted, name.as_bytes())?;
    }
    let acceptance = accept_as(&next, &identity.key);
    Ok(Rotated {
        line: Some(to_line(ACCEPTANCE, &(identity.point, acceptance))),
        next: format!(
            "`{}` accepts roster {}. Give the registrar this line:\n",
            config.aggregator, next.epoch
        ),
    })
}

fn finish(directory: &Directory, acceptances: &Path) -> anyhow::Result<Rotated> {
    let in_force = directory.roster.document().epoch;
    let epoch = in_force.saturating_add(1);
    let home = directory.path.join("registrar");
    let registrar = directory.registrar.verifying_key();
    let path = home.join(format!("roster-{epoch}.draft"));
    anyhow::ensure!(
        path.is_file(),
        "there is no draft of roster {epoch}, and roster {in_force} is in force here; if that is the one you mean, everybody takes it \
         now: wattveil rotate adopt DIR {}; else begin the next: wattveil rotate draft {}",
        home.join(format!("roster-{in_force}.wv")).display(),
        directory.path.display()
    );
    let draft = open_draft(&path, &registrar, &directory.roster)?;
    let text = fs::read_to_string(acceptances)
        .with_context(|| format!("cannot read the acceptances {}", acceptances.display()))?;
    let mut given: Vec<(Point, Signature)> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let acceptance: (Point, Signature) =
            from_line(ACCEPTANCE, line).context("it is a line that `wattveil rotate accept` printed")?;
        if !given.contains(&acceptance) {
            given.push(acceptance);
        }
    }
    let next = Roster::accept(&bundle(&draft, given), &registrar)
        .context("each aggregator is to accept this draft: wattveil rotate accept DIR roster.draft")?;
    let path = home.join(format!("roster-{epoch}.wv"));
    if !path.exists() {
        file::replace(&path, next.bytes())?;
    }
    put_in_place(&home.join(&directory.config.roster), &directory.roster, next)?;
    Ok(Rotated {
        line: None,
        next: format!(
            "Roster {epoch} is in {path}. Give it to every aggregator, the utility and whoever watches; each types on its machine, in any \
             order, and starts its role again:\n\n  wattveil rotate adopt DIR roster-{epoch}.wv\n\nMeters get it from the utility over the \
             broker. New enrolments have it.\n",
            path = path.display()
        ),
    })
}

fn adopt(home: &Path, file: &Path) -> anyhow::Result<Rotated> {
    let (config, party) = Party::read(home)?;
    let (registrar, place, current) = party.membership(home)?;
    let bytes = fs::read(file).with_context(|| format!("cannot read the roster {}", file.display()))?;
    let next = Roster::accept(&bytes, &registrar)
        .with_context(|| format!("the roster {} was refused", file.display()))?;
    let epoch = next.document().epoch;
    // Whoever lacks a secret that the roster wants learns it now, not when it starts.
    let absolute = std::path::absolute(file).with_context(|| format!("cannot find {}", file.display()))?;
    match party {
        Party::Aggregator(config) => {
            drop(aggregator_worker::config::Config { roster: absolute, ..config }.identity(home)?);
        }
        Party::Sink(config) => {
            drop(utility_sink::config::Config { roster: absolute, ..config }.identity(home)?);
        }
        Party::Meter(config) => {
            let admitted = config.floor.admits(&next, runtime::now::<Timestamp>());
            admitted.context("ask the registrar for a roster that keeps what this meter was promised")?;
        }
        Party::Reader(_) => (),
    }
    put_in_place(&place, &current, next)?;
    Ok(Rotated {
        line: None,
        next: format!("{} is under roster {epoch}. Start its role again.\n", config.display()),
    })
}

/// Puts the successor of a roster in its file's place; the one before stays beside it.
fn put_in_place(place: &Path, current: &Roster, next: Roster) -> anyhow::Result<()> {
    let bytes = next.bytes().to_vec();
    if Chain::new(current.clone()).follow(next)? {
        let kept = place.with_file_name(format!("roster-{}.wv", current.document().epoch));
        if !kept.exists() {
            file::replace(&kept, current.bytes())?;
        }
        file::replace(place, &bytes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file is added to a list that is there, or that is a comment with its default; nothing else changes.
    #[test]
    fn lists_grow_by_one() {
        let text = "# box_keys are secret\nkey = \"a\"\nbox_keys = [\"box-1.key\"]\n#more_box_keys = []\n";
        let one = with_another(text, "box_keys", "box-2.key").unwrap();
        assert_eq!(one, text.replace("\"box-1.key\"]", "\"box-1.key\", \"box-2.key\"]"));
        let other = with_another(text, "more_box_keys", "box-2.key").unwrap();
        assert_eq!(other, text.replace("#more_box_keys = []", "more_box_keys = [\"box-2.key\"]"));
        assert_eq!(with_another("box_keys = [\n  \"a\",\n]\n", "box_keys", "b"), None);
        assert_eq!(with_another("", "box_keys", "b"), None);
    }
}
