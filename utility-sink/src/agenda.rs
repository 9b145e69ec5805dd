//! The agenda of a sink: the tariffs, releases and questions of its configuration. Each release and question is asked once.

use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future, pending};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use protocol::id::{Hash, QueryId};
use protocol::rule::Refusal;
use runtime::{entropy, now};
use store::{FileStore, MemoryStore, Store};
use tokio::sync::{mpsc, oneshot};
use tracing::warn;

use self::progress::{Progress, State};
use self::release::{Context, ask_once, query_of};
use self::results::Results;
use self::watch::IntervalWatch;
use crate::config::{Config, LevelledConfig};
use crate::service::{self, Request};
use crate::sink::Sink;

pub mod progress;
mod questions;
pub mod release;
pub mod results;
mod watch;

/// How often the progress is checked if the sink stops once all has ended.
const CHECK: Duration = Duration::from_millis(100);

/// How often the sink checks for intervals that have ended.
const WATCH: Duration = Duration::from_secs(5);

/// The store's cache in bytes.
const CACHE: usize = 16 << 20;

/// Opens the sink of a configuration and publishes its tariffs; returns their hashes by name.
fn open(
    config: &Config,
    directory: &Path,
    store: &mut dyn Store,
) -> anyhow::Result<(Sink, BTreeMap<String, Hash>)> {
    let (identity, roster) = config.identity(directory)?;
    let tariffs = config.read_tariffs(directory, roster.slot())?;
    let mut sink = Sink::open(identity, roster, config.pace.clone(), store, now())?;
    let mut published = BTreeMap::new();
    for tariff in tariffs {
        let name = tariff.id.to_string();
        published.insert(name, sink.publish_tariff(tariff, store)?.0);
    }
    Ok((sink, published))
}

/// The configured releases that the rules do not allow, even if nothing was released before.
///
/// # Errors
///
/// A file with an error.
pub fn not_allowed(config: &Config, directory: &Path) -> anyhow::Result<Vec<(String, Refusal)>> {
    let (mut store, mut rng) = (MemoryStore::default(), entropy()?);
    let (mut sink, published) = open(config, directory, &mut store)?;
    let context = Context { published: &published, configured: &BTreeSet::new() };
    let mut refused = Vec::new();
    for release in &config.releases {
        let allowed = match IntervalWatch::of(release, sink.roster())? {
            Some(watch) => watch.check(&sink, &store, &mut rng)?,
            None => ask_once(release, &context, &mut sink, &mut store, &mut rng)?.map(drop),
        };
        refused.extend(allowed.err().map(|refusal| (release.name().to_owned(), refusal)));
    }
    Ok(refused)
}

/// Runs a sink until `shutdown`, or with `until_done` until every release and question has ended. Reports their progress
/// each time that it was checked. With `until_done`, it does not connect if there is nothing to wait for.
///
/// # Errors
///
/// A file with an error; and as [`service::run`].
pub async fn run(
    config: &Config,
    directory: &Path,
    until_done: bool,
    shutdown: impl Future<Output = ()>,
    mut report: impl FnMut(&[Progress]),
) -> anyhow::Result<Results> {
    let path = directory.join(&config.store);
    let mut store = FileStore::open(&path, CACHE)?;
    let link = config.broker.settings(directory, "sink")?;
    let mut rng = entropy()?;
    let (mut sink, published) = open(config, directory, &mut store)?;
    let mut agenda = Agenda { levelled: config.levelled.clone().unwrap_or_default(), ..Agenda::default() };
    if config.levelled.is_some() {
        sink = sink.with_levelled(agenda.levelled.to_pace(), &store, now())?;
        agenda.refused = questions::plan_once(&mut agenda.levelled, &mut sink, &mut store, &mut rng)?;
    }
    let mut configured = BTreeSet::new();
    for release in &config.releases {
        configured.extend(query_of(release.name(), &store)?);
    }
    for release in &config.releases {
        let name = release.name().to_owned();
        let allowed = if let Some(watch) = IntervalWatch::of(release, sink.roster())? {
            watch.check(&sink, &store, &mut rng)?.map(|()| agenda.watches.push(watch))
        } else {
            let context = Context { published: &published, configured: &configured };
            ask_once(release, &context, &mut sink, &mut store, &mut rng)?.map(|id| {
                configured.insert(id);
                agenda.queries.push((name.clone(), id));
            })
        };
        if let Err(refusal) = allowed {
            warn!(release = name, rule = refusal.rule.name(), "not asked: {}", refusal.detail);
            agenda.refused.push(Progress { name, state: State::NotAsked(refusal) });
        }
    }
    // A new roster, tariffs and queries are durable before the sink sends anything.
    store.commit()?;
    let is_over = |all: &[Progress]| all.iter().all(|progress| progress.state.is_over());
    let mut progress = agenda.progress(&sink, &store)?;
    if until_done && agenda.watches.is_empty() && is_over(&progress) {
        return Results::read(config, progress, &agenda.queries, &store);
    }
    let (requests, receiver) = mpsc::channel::<Request>(1);
    let agenda = Arc::new(agenda);
    let ended = async {
        if !until_done && agenda.watches.is_empty() {
            return pending().await;
        }
        loop {
            let (sender, answer) = oneshot::channel();
            let agenda = Arc::clone(&agenda);
            let request: Request = Box::new(move |sink, store, rng| {
                let mut sends = Vec::new();
                let mut progress = agenda.progress(sink, store)?;
                for watch in &agenda.watches {
                    progress.push(watch.ask_due(sink, store, rng, &mut sends)?);
                }
                // A sink that stops no longer waits for the answer.
                anyhow::ensure!(sender.send(progress).is_ok(), "the sink is stopping");
                Ok(sends)
            });
            if requests.send(request).await.is_err() {
                return;
            }
            let Ok(answer) = answer.await else { return };
            progress = answer;
            if until_done && is_over(&progress) {
                return;
            }
            report(&progress);
            tokio::time::sleep(if until_done { CHECK } else { WATCH }).await;
        }
    };
    let stop = async {
        let questions = async {
            questions::ask_all(Arc::new(agenda.levelled.clone()), requests.clone()).await;
            pending::<()>().await;
        };
        tokio::select! {
            () = shutdown => {}
            () = ended => {}
            () = questions => {}
        }
    };
    service::run(sink, store, link, receiver, stop).await?;
    Results::read(config, progress, &agenda.queries, &FileStore::open(&path, CACHE)?)
}

/// What a running sink was configured to ask.
#[derive(Debug, Default)]
struct Agenda {
    /// The releases of bills and curves, by name, and their queries.
    queries: Vec<(String, QueryId)>,
    watches: Vec<IntervalWatch>,
    levelled: LevelledConfig,
    /// The releases and questions that the rules do not allow.
    refused: Vec<Progress>,
}

impl Agenda {
    /// The progress of everything except the watches.
    fn progress(&self, sink: &Sink, store: &dyn Store) -> anyhow::Result<Vec<Progress>> {
        let mut all = self.refused.clone();
        for (name, id) in &self.queries {
            all.push(Progress { name: name.clone(), state: State::of(*id, sink, store)? });
        }
        all.extend(questions::progress(&self.levelled, sink, store)?);
        Ok(all)
    }
}
