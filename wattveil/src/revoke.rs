//! `wattveil revoke`: the registrar's word that a meter measures no more.
//!
//! The word is written to `registrar/revoked` before it is published, and is final. To type the command again publishes
//! it again.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use protocol::certificate::deployment_context;
use protocol::id::MeterId;
use protocol::revocation::{Reason, Revocation};
use protocol::signature::Signed;
use protocol::topic::Channel;
use protocol::unit::Timestamp;
use runtime::link::{Message, Publisher};

use crate::status::unanswered;
use deployment::directory::Directory;
use runtime::file;

/// How long the broker may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Revoke a meter: later readings are rejected, earlier ones can still be billed
#[derive(Clone, Debug, Args)]
pub struct RevokeArguments {
    /// The deployment's directory, with the registrar's key
    directory: PathBuf,
    /// The home's name, or the meter's pseudonym
    meter: String,
    /// The reason, for people. Everybody at the broker can read it
    #[arg(long)]
    reason: String,
    /// The time from which readings are rejected, for example 2026-12-01T00:00:00Z. Not in the past [default: now]
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Sign but do not publish. To publish later, type the same without this flag
    #[arg(long)]
    offline: bool,
}

/// What revoking came to.
#[derive(Debug)]
pub struct Revoked {
    /// What happened, and what to type next.
    pub text: String,
    /// Why the broker does not have it yet, if it was to have it.
    pub unpublished: Option<String>,
}

impl RevokeArguments {
    /// Signs and publishes.
    ///
    /// # Errors
    ///
    /// If the directory is none, there is no such meter, the time or the reason is none, or a file can't be written.
    pub async fn run(self) -> anyhow::Result<Revoked> {
        let directory = Directory::open(&self.directory)?;
        let meters = directory.meters()?;
        let row = meters.find(&self.meter).with_context(|| {
            let known: Vec<&str> = meters.0.iter().map(|row| row.name.as_str()).collect();
            format!(
                "there is no meter `{}` in {}/registrar/meters.csv; type one of: {}",
                self.meter,
                self.directory.display(),
                known.join(", ")
            )
        })?;
        let reason: Reason = self.reason.parse().context("type one line, such as: --reason 'moved out'")?;
        let home = file::new_directory(&self.directory.join("registrar/revoked"))?;
        let known = all(&directory)?.remove(&row.meter);
        let now = runtime::now::<Timestamp>();
        let from = match &self.from {
            Some(text) => time(text, now)?,
            None => now,
        };
        let wanted = Revocation { meter: row.meter, from, reason };
        let (revocation, already) = match known {
            Some(known) if !wanted.precedes(Some(&known)) => (known, true),
            _ => {
                let context = deployment_context(&directory.roster.document().deployment);
                let signed = Signed::sign(wanted, &directory.registrar, &context);
                file::write_public(&home.join(format!("{}-{}.wv", row.meter, from.0)), signed.bytes())?;
                (signed, false)
            }
        };
        let verb = if already { "was revoked already" } else { "is revoked" };
        let mut text = format!(
            "{}, meter {}, {verb} as of {}: {}.\n",
            row.name, row.meter, revocation.from, revocation.reason
        );
        if self.offline {
            text.push_str("Nobody knows of it yet: type the same again without --offline where the broker can be reached.\n");
            return Ok(Revoked { text, unpublished: None });
        }
        let unpublished = publish(&directory, &revocation).await?;
        if unpublished.is_none() {
            text.push_str(
                "Published. Aggregators refuse what it measures from then on, and take what it measured before; leave it its login at \
                 the broker until it has nothing waiting (wattveil status). Its last bill ends with its last record; a part shorter \
                 than the shortest bill is read off its register.\n",
            );
        }
        Ok(Revoked { text, unpublished })
    }
}

/// What was signed of each meter: the earliest holds.
///
/// # Errors
///
/// A file that can't be read, or is no revocation of this registrar.
pub(crate) fn all(directory: &Directory) -> anyhow::Result<BTreeMap<MeterId, Signed<Revocation>>> {
    let home = directory.path.join("registrar/revoked");
    let mut all: BTreeMap<MeterId, Signed<Revocation>> = BTreeMap::new();
    if !home.is_dir() {
        return Ok(all);
    }
    let entries = fs::read_dir(&home).with_context(|| format!("cannot read {}", home.display()))?;
    for entry in entries {
        let path = entry.with_context(|| format!("cannot read {}", home.display()))?.path();
        if path.extension().is_none_or(|extension| extension != "wv") {
            continue;
        }
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let deployment = &directory.roster.document().deployment;
        let revocation = Revocation::open(&bytes, &directory.registrar.verifying_key(), deployment)
            .with_context(|| {
                format!("{} is no revocation of this registrar; move it away", path.display())
            })?;
        if revocation.precedes(all.get(&revocation.meter).map(|earlier| &**earlier)) {
            all.insert(revocation.meter, revocation);
        }
    }
    Ok(all)
}

fn time(text: &str, now: Timestamp) -> anyhow::Result<Timestamp> {
    let time: jiff::Timestamp = text.parse().with_context(|| {
        format!("expected a time, for example --from 2026-12-01T00:00:00Z; found `{text}`")
    })?;
    let from = u64::try_from(time.as_second()).map(Timestamp).unwrap_or_default();
    anyhow::ensure!(
        from >= now,
        "{text} is past, and what was measured since may be stored and billed; leave out --from, or type a time to come"
    );
    Ok(from)
}

/// Publishes a revocation, retained; gives why that could not be.
async fn publish(directory: &Directory, revocation: &Signed<Revocation>) -> anyhow::Result<Option<String>> {
    let broker = &directory.config.broker;
    let user = broker.user.clone().unwrap_or_else(|| "registrar".to_owned());
    let settings = broker.settings(&directory.path.join("registrar"), &user)?;
    let topic = Channel::Revoked(revocation.meter).of(&directory.roster.document().deployment);
    let publisher = Publisher::connect(settings);
    let message = Message { topic: topic.to_string(), payload: revocation.bytes().to_vec(), retain: true };
    publisher.publish(message).await?;
    let mut state = publisher.state();
    let answer = async {
        let state = state.wait_for(|state| state.acknowledged > 0 || state.trouble.is_some() || state.closed);
        state
            .await
            .ok()
            .and_then(|state| if state.acknowledged > 0 { None } else { Some(state.trouble.clone()) })
    };
    let answer = tokio::time::timeout(PATIENCE, answer).await;
    let trouble = answer.unwrap_or_else(|_| Some(Some(unanswered(PATIENCE))));
    publisher.close(Duration::from_secs(1)).await;
    Ok(trouble.map(|trouble| {
        let trouble = trouble.unwrap_or_else(|| "the client ended".to_owned());
        format!(
            "it is signed and kept, and not published: no use of the broker at {} as {user}: {trouble}; then type the same again",
            broker.address
        )
    }))
}
