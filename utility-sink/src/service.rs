//! The service around the sink role: deliveries, time, and the requests of whoever runs it.

use protocol::unit::Timestamp;
use runtime::now;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use protocol::id::{GroupId, Hash, MeterId, QueryId};
use protocol::release::query::Ask;
use protocol::revocation::Revocation;
use protocol::roster::Roster;
use protocol::rule::{Refusal, Rule};
use protocol::shamir::Point;
use protocol::status::Beat;
use protocol::topic::Outgoing;
use protocol::unit::{Slot, SlotRange};
use rand::rngs::StdRng;
use runtime::link::{Delivery, Message, Publisher, Settings, Subscriber, Will};
use runtime::{entropy, telemetry};
use store::{FileStore, MemoryStore, Store, Table};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tracing::{info, warn};

use crate::config::{Config, LevelledConfig, ReleaseConfig};
use crate::sink::ledger::{bills_of, curve_of, intervals_of};
use crate::sink::levelled::Finding;
use crate::sink::levelled::finding::wrong_sets_of;
use crate::sink::release::refusals::{forget_given_up, given_up, unbilled};
use crate::sink::release::{being_voted_for, has_outcome, is_stored};
use crate::sink::{Bill, Curve, Interval, Sink, SinkError, revoked_in};

mod questions;
mod standing;

pub use self::standing::{Standing, State};

/// How often time passes for the role.
const TICK: Duration = Duration::from_millis(100);

/// How often intervals that have ended are looked for.
const WATCH: Duration = Duration::from_secs(5);

/// The most deliveries under one commit.
const GROUP: usize = 512;

/// Milliseconds until a changed backlog is said in the status, and until the same status is said again.
const STATUS_PAUSE: u64 = 10_000;
const STATUS_EVERY: u64 = 60_000;

/// Messages that may wait for the broker.
const QUEUE: usize = 8_192;

/// The store's cache in bytes.
const CACHE: usize = 16 << 20;

/// The query that a configured release was asked by: its name → query id.
const ASKED: Table = Table("asked");

/// What somebody wants of a running sink; what it returns is published after the commit.
pub type Request =
    Box<dyn FnOnce(&mut Sink, &mut dyn Store, &mut StdRng) -> anyhow::Result<Vec<Outgoing>> + Send>;

/// Runs a sink until `shutdown`, doing what `requests` ask for.
///
/// # Errors
///
/// If the store fails, or there is no entropy: the process is to stop and to be started again.
pub async fn run<S: Store>(
    mut sink: Sink,
    mut store: S,
    link: Settings,
    mut requests: mpsc::Receiver<Request>,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let mut rng = entropy()?;
    let (publisher, mut subscriber) = connect(&sink, link);
    let mut subscribed = subscriber.subscribed();
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut beat = Beat::new(STATUS_PAUSE, STATUS_EVERY);
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let sends = tokio::select! {
            () = &mut shutdown => break,
            Ok(()) = subscribed.changed() => {
                let listening = *subscribed.borrow_and_update();
                if listening {
                    info!("listening");
                    telemetry::ready();
                    sink.announcements()
                } else {
                    Vec::new()
                }
            }
            Some(request) = requests.recv() => request(&mut sink, &mut store, &mut rng)?,
            _ = tick.tick() => {
                let mut sends = telemetry::timed("tick", || sink.tick(now(), &mut store))?;
                if let Some(connection) = publisher.connection()
                    // who can't listen is not up
                    && *subscribed.borrow()
                {
                    let now = now();
                    sends.extend(beat.say(&sink.status("up", now), connection, now));
                }
                sends
            }
            delivery = subscriber.recv() => {
                let Some(first) = delivery else { break };
                take(&mut sink, first, &mut subscriber, &mut store)?
            }
        };
        store.commit()?;
        offer(&publisher, sends);
    }
    telemetry::stopping();
    offer(&publisher, [sink.status("down", now()).outgoing()]);
    publisher.close(Duration::from_secs(1)).await;
    subscriber.close().await;
    Ok(())
}

/// Takes a delivery and whatever else has come, commits once, then acknowledges.
fn take<S: Store>(
    sink: &mut Sink,
    first: Delivery,
    subscriber: &mut Subscriber,
    store: &mut S,
) -> anyhow::Result<Vec<Outgoing>> {
    let mut group = vec![first];
    while group.len() < GROUP
        && let Some(delivery) = subscriber.try_recv()
    {
        group.push(delivery);
    }
    let mut sends = Vec::new();
    for delivery in &group {
        let take = || sink.handle(&delivery.topic, &delivery.payload, now(), store);
        let handled = telemetry::timed("handle", take)?;
        sends.extend(handled.sends);
        if let Some(refusal) = handled.refusal {
            telemetry::count_kind("wattveil_refused_total", refusal.rule.name(), 1);
            warn!(topic = delivery.topic, rule = refusal.rule.name(), detail = refusal.detail, "refused");
        }
    }
    telemetry::count("wattveil_messages_taken_total", group.len() as u64);
    telemetry::total("wattveil_messages_passed_over_total", subscriber.passed_over());
    telemetry::timed("commit", || store.commit())?;
    for delivery in group {
        subscriber.ack(delivery);
    }
    Ok(sends)
}

fn connect(sink: &Sink, mut link: Settings) -> (Publisher, Subscriber) {
    let down = sink.status("down", now()).outgoing();
    let listen = Settings { client_id: format!("{}-in", link.client_id), ..link.clone() };
    link.last_will = Some(Will { topic: down.topic.to_string(), payload: down.payload, retain: true });
    link.queue = link.queue.max(QUEUE);
    (Publisher::connect(link), Subscriber::connect(listen, sink.filters()))
}

/// Queues messages; what finds no room is sent again when it is due.
fn offer(publisher: &Publisher, sends: impl IntoIterator<Item = Outgoing>) {
    for Outgoing { topic, payload, retain } in sends {
        telemetry::count("wattveil_messages_sent_total", 1);
        let message = Message { topic: topic.to_string(), payload, retain };
        if let Err(error) = publisher.try_publish(message) {
            warn!(error = &error as &dyn std::error::Error, "left for a repeat");
        }
    }
}

/// What the configured releases gave.
#[derive(Debug, Default)]
pub struct Released {
    /// Bills, by meter and window.
    pub bills: Vec<Bill>,
    /// Curves, by group and day.
    pub curves: Vec<Curve>,
    /// What the questions of mode `levelled` gave, by their names.
    pub findings: Vec<(String, Finding)>,
    /// By question, the active sets that opened its result to other values: one of each decrypts wrongly.
    pub wrong: BTreeMap<String, Vec<Vec<Point>>>,
    /// Intervals of the grid path, by group and time.
    pub intervals: Vec<Interval>,
    /// The meters that are revoked.
    pub revoked: Vec<Revocation>,
    /// The meters that were asked for and are not billed, by the rule, if all else of their query was released.
    pub unbilled: BTreeMap<MeterId, Rule>,
    /// How far each release and question had come, as last seen.
    pub standings: Vec<Standing>,
}

/// The configured releases that the rules do not allow, whatever was released before.
///
/// # Errors
///
/// If a file is not what it should be.
pub fn not_allowed(config: &Config, directory: &Path) -> anyhow::Result<Vec<(String, Refusal)>> {
    let (identity, roster) = config.identity(directory)?;
    let tariffs = config.read_tariffs(directory, roster.slot())?;
    let (mut store, mut rng, mut published) = (MemoryStore::default(), entropy()?, BTreeMap::new());
    let mut sink = Sink::open(identity, roster, config.pace.to_pace(), &mut store, now())?;
    for tariff in tariffs {
        let name = tariff.id.to_string();
        published.insert(name, sink.publish_tariff(tariff, &mut store)?.0);
    }
    let (mut refused, nothing) = (Vec::new(), BTreeSet::new());
    for release in &config.releases {
        let allowed = match Watched::of(release, sink.roster())? {
            Some(of_group) => of_group.check(&sink, &store, &mut rng)?,
            None => ask_once(release, (&published, &nothing), &mut sink, &mut store, &mut rng)?.map(drop),
        };
        refused.extend(allowed.err().map(|refusal| (release.name().to_owned(), refusal)));
    }
    Ok(refused)
}

/// Runs what a configuration says: publishes its tariffs, asks once for each of its releases, until `shutdown`, or until
/// all have ended if so asked; then it gives what they gave.
///
/// # Errors
///
/// If a file is not what it should be; and as [`run`].
pub async fn run_configured(
    config: &Config,
    directory: &Path,
    until_done: bool,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<Released> {
    run_reporting(config, directory, until_done, shutdown, |_| ()).await
}

/// The same; whenever it has looked whether all have ended it shows `report` how far each has come. If nothing is left to wait for
/// from the beginning, it does not connect.
///
/// # Errors
///
/// As [`run_configured`].
pub async fn run_reporting(
    config: &Config,
    directory: &Path,
    until_done: bool,
    shutdown: impl Future<Output = ()>,
    mut report: impl FnMut(&[Standing]),
) -> anyhow::Result<Released> {
    let (identity, roster) = config.identity(directory)?;
    let tariffs = config.read_tariffs(directory, roster.slot())?;
    let path = directory.join(&config.store);
    let mut store = FileStore::open(&path, CACHE)?;
    let link = config.broker.settings(directory, "sink")?;
    let mut rng = entropy()?;
    let mut sink = Sink::open(identity, roster, config.pace.to_pace(), &mut store, now())?;
    // A roster that is new is durable before anything is said under it.
    store.commit()?;
    let mut levelled = config.levelled.clone().unwrap_or_default();
    let mut refused = Vec::new();
    if config.levelled.is_some() {
        sink = sink.with_levelled(levelled.to_pace(), &store, now())?;
        refused = questions::plan_once(&mut levelled, &mut sink, &mut store, &mut rng)?;
    }
    let mut published = BTreeMap::new();
    for tariff in tariffs {
        let name = tariff.id.to_string();
        published.insert(name, sink.publish_tariff(tariff, &mut store)?.0);
    }
    let (mut asked, mut watched) = (Vec::new(), Vec::new());
    // what is configured gives way to nothing else that is configured
    let mut kept = BTreeSet::new();
    for release in &config.releases {
        kept.extend(asked_as(release.name(), &store)?);
    }
    for release in &config.releases {
        let name = release.name().to_owned();
        let not_asked = match Watched::of(release, sink.roster())? {
            Some(of_group) => match of_group.check(&sink, &store, &mut rng)? {
                Ok(()) => {
                    watched.push(of_group);
                    continue;
                }
                Err(refusal) => refusal,
            },
            None => match ask_once(release, (&published, &kept), &mut sink, &mut store, &mut rng)? {
                Ok(id) => {
                    kept.insert(id);
                    asked.push((name, id));
                    continue;
                }
                Err(refusal) => refusal,
            },
        };
        warn!(release = name, rule = not_asked.rule.name(), "not asked: {}", not_asked.detail);
        refused.push(Standing { name, state: State::NotAsked(not_asked) });
    }
    store.commit()?;
    let mut standings = standings_of(&asked, &levelled, &refused, &sink, &store)?;
    if until_done && watched.is_empty() && standings.iter().all(|standing| standing.state.is_over()) {
        return released(config, standings, &asked, &store);
    }
    let (requests, receiver) = mpsc::channel::<Request>(1);
    let levelled = Arc::new(levelled);
    let asking = questions::ask_all(Arc::clone(&levelled), requests.clone());
    let ended = async {
        if !until_done && watched.is_empty() {
            return std::future::pending().await;
        }
        loop {
            let (answer, heard) = tokio::sync::oneshot::channel();
            let (asked, watched, levelled) = (asked.clone(), watched.clone(), Arc::clone(&levelled));
            let refused = refused.clone();
            let request: Request = Box::new(move |sink, store, rng| {
                let mut sends = Vec::new();
                let mut standings = standings_of(&asked, &levelled, &refused, sink, store)?;
                for of_group in &watched {
                    standings.push(of_group.ask_what_is_due(sink, store, rng, &mut sends)?);
                }
                // Nobody waits for the answer of a sink that is stopping.
                let unheard = answer.send(standings).is_err();
                anyhow::ensure!(!unheard, "nobody waits for the releases any more");
                Ok(sends)
            });
            if requests.send(request).await.is_err() {
                return;
            }
            let Ok(now) = heard.await else { return };
            standings = now;
            if until_done && standings.iter().all(|standing| standing.state.is_over()) {
                return;
            }
            report(&standings);
            tokio::time::sleep(if until_done { TICK } else { WATCH }).await;
        }
    };
    let stop = async {
        let asked = async {
            asking.await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = shutdown => {}
            () = ended => {}
            () = asked => {}
        }
    };
    run(sink, store, link, receiver, stop).await?;
    released(config, standings, &asked, &FileStore::open(&path, CACHE)?)
}

/// How far everything but the grid path's intervals has come.
fn standings_of(
    asked: &[(String, QueryId)],
    levelled: &LevelledConfig,
    refused: &[Standing],
    sink: &Sink,
    store: &dyn Store,
) -> anyhow::Result<Vec<Standing>> {
    let mut standings = refused.to_vec();
    for (name, id) in asked {
        standings.push(Standing { name: name.clone(), state: State::of(*id, sink, store)? });
    }
    standings.extend(questions::standings(levelled, sink, store)?);
    Ok(standings)
}

/// A group whose intervals are asked for as they end.
#[derive(Clone, Debug)]
struct Watched {
    name: String,
    group: GroupId,
    window: SlotRange,
    members: Vec<MeterId>,
    intervals: Vec<SlotRange>,
}

impl Watched {
    /// What a configured release says, if it is for the grid path.
    fn of(release: &ReleaseConfig, roster: &Roster) -> anyhow::Result<Option<Self>> {
        let (ReleaseConfig::Grid { name, .. }, Some(group)) = (release, release.group()?) else {
            return Ok(None);
        };
        let (window, members) = (release.period()?, release.meters()?);
        let slots = roster.policy().interval_slots(roster.slot());
        let slots = slots.with_context(|| {
            format!("release `{name}` is for the grid path; the roster's policy has no grid interval")
        })?;
        // A window of local days may begin and end within an interval: these edges are in none.
        let first = window.start().0.next_multiple_of(slots);
        let starts = (first..=window.end().0.saturating_sub(slots)).step_by(slots as usize);
        let interval = |start: u32| SlotRange::new(Slot(start), Slot(start + slots));
        let intervals = starts.map(interval).collect::<Result<_, _>>()?;
        Ok(Some(Self { name: name.clone(), group, window, members, intervals }))
    }

    /// Whether its intervals may be asked for at all.
    fn check(&self, sink: &Sink, store: &dyn Store, rng: &mut StdRng) -> anyhow::Result<Result<(), Refusal>> {
        let Some(first) = self.intervals.first() else { return Ok(Ok(())) };
        let slots = (*first, self.window);
        match sink.check_interval(slots, self.group.clone(), &self.members, store, rng) {
            Ok(()) => Ok(Ok(())),
            Err(SinkError::Refused(refusal)) => Ok(Err(refusal)),
            Err(error) => Err(error.into()),
        }
    }

    /// Asks for the intervals that have ended and were not asked for; gives how far it has come.
    fn ask_what_is_due(
        &self,
        sink: &mut Sink,
        store: &mut dyn Store,
        rng: &mut StdRng,
        sends: &mut Vec<Outgoing>,
    ) -> anyhow::Result<Standing> {
        let released: BTreeSet<SlotRange> =
            intervals_of(&self.group, store)?.into_iter().map(|interval| interval.slots).collect();
        let (mut open, mut stage, mut given_up, mut not_asked) = (0, None, None, None);
        for interval in &self.intervals {
            let over = sink.roster().slot().start_of(interval.end()) <= now::<Timestamp>();
            if released.contains(interval) {
                continue;
            }
            let slots = (*interval, self.window);
            if over && let Some(rule) = sink.interval_refused(&self.group, slots, &self.members, store)? {
                given_up = Some(rule);
                continue;
            }
            open += 1;
            if over && sink.is_asked(&self.group, *interval) {
                stage = stage.or_else(|| sink.interval_stage(&self.group, *interval));
            } else if over && sink.is_billing(&self.members, self.window) {
                stage = stage.or_else(|| Some("the bills of its window, which go first".to_owned()));
            } else if over {
                let asked = sink.ask_interval(slots, self.group.clone(), &self.members, now(), store, rng);
                let (id, more) = match asked {
                    Ok(asked) => asked,
                    Err(SinkError::Refused(refusal)) => {
                        open -= 1;
                        not_asked = Some(refusal);
                        continue;
                    }
                    Err(error) => return Err(error.into()),
                };
                info!(group = %self.group, first_slot = %interval.start(), query = %id, "asked");
                sends.extend(more);
            }
        }
        let state = match (open, given_up, not_asked) {
            (0, None, None) => State::Ended,
            (0, Some(rule), _) => State::GivenUp(rule),
            (0, None, Some(refusal)) => State::NotAsked(refusal),
            _ => {
                let stage = stage.unwrap_or_else(|| "the next one's end".to_owned());
                State::Waiting(format!("{open} of {} intervals; {stage}", self.intervals.len()))
            }
        };
        Ok(Standing { name: self.name.clone(), state })
    }
}

/// Asks for a configured release, unless it was asked for before and is on its way or has ended; or says why the rules do not allow it.
/// The queries that are `kept` do not give way to it.
fn ask_once(
    release: &ReleaseConfig,
    (published, kept): (&BTreeMap<String, Hash>, &BTreeSet<QueryId>),
    sink: &mut Sink,
    store: &mut dyn Store,
    rng: &mut StdRng,
) -> anyhow::Result<Result<QueryId, Refusal>> {
    let before = asked_as(release.name(), store)?;
    if let Some(id) = before
        && !matches!(Before::of(id, store)?, Before::Never | Before::GivenUp(_))
    {
        return Ok(Ok(id));
    }
    let (period, meters) = (release.period()?, release.meters()?);
    let asked = match release {
        ReleaseConfig::Bill { name, tariffs, .. } => {
            let known = published.keys().cloned().collect::<Vec<_>>().join(", ");
            let hashes: Vec<Hash> = tariffs
                .iter()
                .map(|tariff| {
                    let hash = published.get(tariff).copied();
                    hash.with_context(|| {
                        format!("release `{name}` names tariff `{tariff}`; there are {known}")
                    })
                })
                .collect::<anyhow::Result<_>>()?;
            if let Some(other) = sink.billing(&meters).into_iter().find(|id| kept.contains(id)) {
                return Ok(Err(sink.on_its_way(other, &meters)));
            }
            sink.ask_bills(period, &hashes, &meters, now(), store, rng)
        }
        ReleaseConfig::Curve { group, .. } | ReleaseConfig::Grid { group, .. } => {
            sink.ask_curve(period, group.parse()?, &meters, now(), store, rng)
        }
    };
    let id = match asked {
        Ok((id, _)) => id,
        Err(SinkError::Refused(refusal)) => return Ok(Err(refusal)),
        Err(error) => return Err(error.into()),
    };
    store.put(ASKED, release.name().as_bytes(), id.as_bytes())?;
    // Only now nothing names it any more: what is not asked anew stays given up.
    if let Some(before) = before {
        forget_given_up(before, store)?;
    }
    info!(release = release.name(), query = %id, "asked");
    Ok(Ok(id))
}

/// The query that a release of this name was last asked by.
fn asked_as(name: &str, store: &dyn Store) -> anyhow::Result<Option<QueryId>> {
    let Some(bytes) = store.get(ASKED, name.as_bytes())? else { return Ok(None) };
    let bytes = <[u8; 16]>::try_from(&bytes[..]).context("a query's id in the store can't be read")?;
    Ok(Some(QueryId::from(bytes)))
}

/// What has become of a release that may have been asked for before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Before {
    /// It was not asked for, or its query was withdrawn, so that it is asked for anew.
    Never,
    /// It was given up by this rule, and is asked for anew.
    GivenUp(Rule),
    /// It is on its way.
    Open,
    /// It has ended.
    Ended,
}

impl Before {
    fn of(id: QueryId, store: &dyn Store) -> anyhow::Result<Self> {
        Ok(if has_outcome(id, store)? {
            Self::Ended
        } else if let Some(rule) = given_up(id, store)? {
            Self::GivenUp(rule)
        } else if is_stored(id, store)? {
            Self::Open
        } else {
            Self::Never
        })
    }
}

/// What has become of the release of this name.
///
/// # Errors
///
/// A store that can't be read.
pub fn asked_before(name: &str, store: &dyn Store) -> anyhow::Result<Before> {
    asked_as(name, store)?.map_or(Ok(Before::Never), |id| Before::of(id, store))
}

/// A configured release for bills that has a cut and has not ended: it keeps its meters until it has.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OnItsWay {
    /// Its name.
    pub name: String,
    /// Its period.
    pub period: SlotRange,
    /// The meters that it names.
    pub meters: Vec<MeterId>,
}

/// The releases for bills that have a cut and have not ended.
///
/// # Errors
///
/// A store that can't be read.
pub fn bills_on_their_way(store: &dyn Store) -> anyhow::Result<Vec<OnItsWay>> {
    let mut found = Vec::new();
    for (name, _) in store::entries(ASKED, store)? {
        let name = String::from_utf8(name).context("a release's name in the store can't be read")?;
        if let Some(id) = asked_as(&name, store)?
            && let Some(query) = being_voted_for(id, store)?
            && let Ask::Bill(_) = query.ask
        {
            found.push(OnItsWay { name, period: query.period, meters: query.meters() });
        }
    }
    Ok(found)
}

fn released(
    config: &Config,
    standings: Vec<Standing>,
    asked: &[(String, QueryId)],
    store: &dyn Store,
) -> anyhow::Result<Released> {
    let mut released = Released { revoked: revoked_in(store)?, standings, ..Released::default() };
    for (_, id) in asked {
        released.unbilled.extend(unbilled(*id, store)?);
    }
    if let Some(levelled) = &config.levelled {
        released.findings = questions::found(levelled, store)?;
        for (name, finding) in &released.findings {
            released.wrong.insert(name.clone(), wrong_sets_of(finding.request, store)?);
        }
    }
    for release in &config.releases {
        let period = release.period()?;
        match release.group()? {
            Some(group) if matches!(release, ReleaseConfig::Grid { .. }) => {
                let intervals = intervals_of(&group, store)?.into_iter();
                released.intervals.extend(intervals.filter(|interval| period.covers(interval.slots)));
            }
            Some(group) => {
                let days = curve_of(&group, store)?;
                released.curves.extend(days.into_iter().filter(|day| period.covers(day.slots)));
            }
            None => {
                for meter in release.meters()? {
                    let bills = bills_of(meter, store)?;
                    released.bills.extend(bills.into_iter().filter(|bill| bill.window.overlaps(period)));
                }
            }
        }
    }
    Ok(released)
}
