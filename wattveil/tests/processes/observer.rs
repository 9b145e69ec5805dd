//! Who watches what the broker carries, to know when to strike.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::SocketAddr;

use deployment::{Files, Setup};
use protocol::id::{Hash, MeterId, QueryId};
use protocol::levelled::contribution::{Contribution, Step};
use protocol::levelled::direction::{Direction, DirectionStep};
use protocol::levelled::reply::{Reply, ReplyStep};
use protocol::levelled::upload::Upload;
use protocol::part::Assembly;
use protocol::receipt::Receipt;
use protocol::shamir::Point;
use protocol::signature::Unverified;
use protocol::topic::{Channel, LevelledChannel, Topic};
use runtime::link::{Login, Settings, Subscriber, Tls, TlsFiles};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::process::wait_until;

/// What was seen so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Messages with shares, each counted once.
    pub(crate) shares: BTreeSet<u64>,
    /// How many records each aggregator says it has stored of each meter.
    pub(crate) stored: BTreeMap<(MeterId, Point), u64>,
    /// Messages of a release, by what they are.
    pub(crate) queries: usize,
    pub(crate) cuts: usize,
    pub(crate) results: usize,
    pub(crate) outcomes: usize,
    /// Messages with chunks of key deals.
    pub(crate) chunks: usize,
    /// What was seen of mode `levelled`.
    pub(crate) levelled: SeenLevelled,
}

/// What was seen of mode `levelled`: documents, each counted once.
#[derive(Clone, Debug, Default)]
pub(crate) struct SeenLevelled {
    /// Contributions to a key: who, and which kind.
    pub(crate) contributions: BTreeSet<(Point, &'static str)>,
    /// Meters' signed uploads.
    pub(crate) uploads: BTreeSet<Hash>,
    /// The steps of releases: requests that aggregators voted on.
    pub(crate) voted: BTreeSet<QueryId>,
    /// The active sets that were last asked to open a request.
    pub(crate) opening: BTreeMap<QueryId, Vec<Point>>,
    /// Every different answer of an aggregator to one request as a member of one active set.
    pub(crate) answers: BTreeMap<(QueryId, Point, Vec<Point>), BTreeSet<Hash>>,
}

impl SeenLevelled {
    fn take(&mut self, channel: &LevelledChannel, payload: &[u8], topic: &str, assembly: &mut Assembly) {
        if let LevelledChannel::Upload(_) = channel {
            self.uploads.extend(Unverified::<Upload>::parse(payload).map(|upload| upload.hash()));
            return;
        }
        let document = match channel {
            LevelledChannel::Make(_) | LevelledChannel::Direction | LevelledChannel::Reply(_) => {
                assembly.take(topic, payload).ok().flatten()
            }
            _ => None,
        };
        let Some(document) = document else { return };
        if let Ok(made) = Unverified::<Contribution>::parse(&document) {
            let Contribution { point, step, .. } = made.claim();
            let kind = match step {
                Step::Commit(..) => "commit",
                Step::Reveal(..) => "reveal",
                Step::Deal(..) => "deal",
                Step::Made(..) => "made",
            };
            self.contributions.insert((*point, kind));
        } else if let Ok(direction) = Unverified::<Direction>::parse(&document)
            && let Direction { request, step: DirectionStep::Open(open) } = direction.claim()
        {
            self.opening.insert(*request, open.members.clone());
        } else if let Ok(reply) = Unverified::<Reply>::parse(&document) {
            let Reply { request, point, step } = reply.claim();
            match step {
                ReplyStep::Vote(_) => drop(self.voted.insert(*request)),
                ReplyStep::Answer(answer) => {
                    let which = (*request, *point, answer.members.clone());
                    self.answers.entry(which).or_default().insert(reply.hash());
                }
                ReplyStep::Holdings(_) | ReplyStep::Refused(_) => {}
            }
        }
    }

    /// How many aggregators have made a contribution of this kind.
    pub(crate) fn made(&self, kind: &str) -> usize {
        self.contributions.iter().filter(|(_, seen)| *seen == kind).count()
    }
}

impl Seen {
    fn take(&mut self, topic: &Topic, payload: &[u8], assembly: &mut Assembly) {
        match &topic.channel {
            Channel::Levelled(channel) => {
                self.levelled.take(channel, payload, &topic.to_string(), assembly);
            }
            Channel::Share(..) => {
                let mut hasher = DefaultHasher::new();
                payload.hash(&mut hasher);
                self.shares.insert(hasher.finish());
            }
            Channel::Receipt(..) => {
                if let Ok(receipt) = Unverified::<Receipt>::parse(payload) {
                    let Receipt { point, meter, stored, .. } = receipt.claim();
                    let count: u64 = stored.as_slice().iter().map(|(from, to)| to - from + 1).sum();
                    let most = self.stored.entry((*meter, *point)).or_default();
                    *most = count.max(*most);
                }
            }
            Channel::Query => self.queries += 1,
            Channel::Cut => self.cuts += 1,
            Channel::Result(_) => self.results += 1,
            Channel::Outcome => self.outcomes += 1,
            Channel::Deal(..) => self.chunks += 1,
            _ => {}
        }
    }
}

/// An observer on a connection of its own.
pub(crate) struct Observer {
    seen: watch::Receiver<Seen>,
    _runtime: Runtime,
}

impl Observer {
    /// Watches a deployment's broker; returns when it is subscribed.
    pub(crate) fn start(files: &Files, setup: &Setup, brokers: &[SocketAddr]) -> Self {
        let mut settings = Settings::new("127.0.0.1", brokers[0].port(), "observer");
        settings.others = brokers[1..].iter().map(|other| (other.ip().to_string(), other.port())).collect();
        let (user, password) = setup.logins.iter().find(|(user, _)| user == "observer").unwrap().clone();
        settings.login = Some(Login { user, password });
        let authority = TlsFiles { authority: "ca.pem".into(), identity: None };
        settings.tls = Some(Tls::load(files.broker.parent().unwrap(), &authority).unwrap());
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (sender, seen) = watch::channel(Seen::default());
        let mut subscriber = {
            let _inside = runtime.enter();
            Subscriber::connect(settings, vec!["wv/1/#".into()])
        };
        let subscribed = subscriber.subscribed();
        let mut assembly = Assembly::default();
        runtime.spawn(async move {
            while let Some(delivery) = subscriber.recv().await {
                if let Ok(topic) = delivery.topic.parse::<Topic>() {
                    sender.send_modify(|seen| seen.take(&topic, &delivery.payload, &mut assembly));
                }
                subscriber.ack(delivery);
            }
        });
        wait_until("the observer's subscription", || *subscribed.borrow());
        Self { seen, _runtime: runtime }
    }

    /// What was seen so far.
    pub(crate) fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    /// Waits until what was seen is enough.
    pub(crate) fn wait(&self, what: &str, enough: impl Fn(&Seen) -> bool) {
        wait_until(what, || enough(&self.seen.borrow()));
    }
}
