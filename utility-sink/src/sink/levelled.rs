//! Mode `levelled`: the utility plans keys, asks, cuts, has results opened, and keeps the values. Pure.
//!
//! What must stay true:
//! * whatever is sent is stored first, and sent again byte for byte;
//! * a key is announced only if all n aggregators say the same of it;
//! * a value is accepted only from t answers that agree on the result that they opened, and, unless told otherwise, only if several
//!   active sets without a common member opened it to the same.

use std::collections::BTreeMap;

use protocol::id::{Hash, QueryId};
use protocol::levelled::CAUTION;
use protocol::levelled::function::{Function, Subject};
use protocol::levelled::plan::Plan;
use protocol::part::Assembly;
use protocol::rule::Rule;
use protocol::topic::{Channel, Handled, LevelledChannel, Outgoing, Role, Topic};
use protocol::unit::Moment;
use rand::CryptoRng;
use store::{Store, StoreError};

use self::keys::Keys;
use self::request::Request;
use super::{Party, Sink, SinkError};

pub mod finding;
mod keys;
mod request;

pub use self::finding::Finding;

/// The pace of mode `levelled`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LevelledPace {
    /// Milliseconds until a message that waits for answers is sent again.
    pub resend: u64,
    /// Milliseconds between repeats at most; they double.
    pub resend_last: u64,
    /// Milliseconds to wait for aggregators that have not answered, once a quorum has.
    pub settle: u64,
    /// Milliseconds to wait for an active set; then another one is asked.
    pub patience: u64,
    /// Whether several active sets open each result, until those that agree have no aggregator in common: then one that decrypts its
    /// part wrongly is noticed. It takes more aggregators than the threshold, and two openings a result or three.
    pub confirm: bool,
}

impl Default for LevelledPace {
    fn default() -> Self {
        Self { resend: 15_000, resend_last: 600_000, settle: 10_000, patience: 60_000, confirm: true }
    }
}

/// What is asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Question {
    /// The collective key: its plan's hash.
    pub key: Hash,
    /// The function.
    pub function: Function,
    /// One (group, window), or two for maxima and minima.
    pub subjects: Vec<Subject>,
    /// How many members of each subject to wait for before its set is fixed, for ever; the roster's k at least.
    pub members: u32,
}

/// The part of the sink that takes part in mode `levelled`.
#[derive(Debug)]
pub(super) struct Levelled {
    pace: LevelledPace,
    keys: Keys,
    requests: BTreeMap<QueryId, Request>,
    assembly: Assembly,
}

/// Why nothing was asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Mode `levelled` is off.
    #[error("mode `levelled` is off; to turn it on, add a `[levelled]` section to the configuration")]
    Off,
    /// A plan that can't work.
    #[error(transparent)]
    Plan(#[from] grid::levelled::setup::SetupError),
    /// No such key.
    #[error("collective key {0} does not exist yet; plan one, and wait until the aggregators have made it")]
    NoKey(Hash),
    /// The key's parameters, or the number of subjects or weights.
    #[error("key {0} does not allow this function of these subjects; try a larger profile")]
    Function(Hash),
    /// The sink can't go on.
    #[error(transparent)]
    Sink(#[from] SinkError),
}

impl From<StoreError> for AskError {
    fn from(error: StoreError) -> Self {
        Self::Sink(error.into())
    }
}

impl Levelled {
    fn load(pace: LevelledPace, party: &Party, store: &dyn Store, now: Moment) -> Result<Self, SinkError> {
        let keys = Keys::load(party, store)?;
        let requests = request::unfinished(party, store, now)?;
        Ok(Self { pace, keys, requests, assembly: Assembly::default() })
    }

    /// The topics it listens to, below the deployment.
    pub(super) const TOPICS: [&'static str; 3] =
        ["levelled/make/+", "levelled/data/agg/+", "levelled/reply/+"];

    /// Takes a delivery.
    pub(super) fn handle(
        &mut self,
        topic: &str,
        channel: &LevelledChannel,
        payload: &[u8],
        now: Moment,
        party: &Party,
        store: &mut dyn Store,
    ) -> Result<Handled, SinkError> {
        if let LevelledChannel::Data(Role::Aggregator, _) = channel {
            return self.keys.take_data(payload, party, store);
        }
        let document = match self.assembly.take(topic, payload) {
            Ok(Some(document)) => document,
            Ok(None) => return Ok(Handled::quietly()),
            Err(error) => return Ok(Handled::refused(Rule::Malformed, error)),
        };
        match channel {
            LevelledChannel::Make(_) => match party
                .open_peer(&document, |made: &protocol::levelled::contribution::Contribution| made.point)
            {
                Ok(made) => self.keys.take(made, party, store),
                Err(refused) => Ok(refused),
            },
            LevelledChannel::Reply(_) => {
                match party.open_peer(&document, |reply: &protocol::levelled::reply::Reply| reply.point) {
                    Ok(reply) => match self.requests.get_mut(&reply.request) {
                        Some(request) => request.take(reply, &self.keys, &self.pace, party, now, store),
                        None => Ok(Handled::refused(
                            Rule::QueryUnknown,
                            "the reply is to a question that is not open",
                        )),
                    },
                    Err(refused) => Ok(refused),
                }
            }
            _ => Ok(Handled::refused(Rule::Malformed, "a sink does not use this topic")),
        }
    }

    /// Lets time pass.
    pub(super) fn tick(
        &mut self,
        party: &Party,
        now: Moment,
        store: &mut dyn Store,
    ) -> Result<Vec<Outgoing>, SinkError> {
        let mut sends = self.keys.tick(&self.pace, party, now);
        for request in self.requests.values_mut() {
            sends.extend(request.tick(&self.keys, &self.pace, party, now, store)?);
        }
        Ok(sends)
    }

    /// What late-comers need, whenever the sink has connected.
    pub(super) fn announcements(&self, party: &Party) -> Vec<Outgoing> {
        self.keys.announcements(party)
    }
}

impl Sink {
    /// Turns on mode `levelled`, and takes up where the store left off. It trusts the meters to encrypt
    /// honestly: see [`protocol::levelled::CAUTION`].
    ///
    /// # Errors
    ///
    /// [`SinkError`].
    pub fn with_levelled(
        mut self,
        pace: LevelledPace,
        store: &dyn Store,
        now: Moment,
    ) -> Result<Self, SinkError> {
        tracing::warn!("mode `levelled` is on: {CAUTION}");
        self.levelled = Some(Levelled::load(pace, &self.party, store, now)?);
        Ok(self)
    }

    /// Plans a collective key; its hash names it.
    ///
    /// # Errors
    ///
    /// [`AskError`].
    pub fn plan_key(
        &mut self,
        plan: Plan,
        now: Moment,
        store: &mut dyn Store,
    ) -> Result<(Hash, Vec<Outgoing>), AskError> {
        let levelled = self.levelled.as_mut().ok_or(AskError::Off)?;
        levelled.keys.plan(plan, &self.party, now, store)
    }

    /// Whether all aggregators have made a key, and meters may have it.
    pub fn has_key(&self, key: &Hash) -> bool {
        self.levelled.as_ref().is_some_and(|levelled| levelled.keys.setup(key).is_some())
    }

    /// Whether a key that is planned, made or not, allows a function; nothing if no such key is planned under this roster.
    pub fn key_allows(&self, key: &Hash, function: &Function) -> Option<bool> {
        self.levelled.as_ref()?.keys.planned(key).map(|setup| setup.allows(function))
    }

    /// What a key waits for until meters may have it, in words; nothing once they may.
    pub fn key_stage(&self, key: &Hash) -> Option<String> {
        self.levelled.as_ref()?.keys.stage(key, &self.party)
    }

    /// What a question waits for, in words, if it is open.
    pub fn levelled_stage(&self, id: QueryId) -> Option<String> {
        Some(self.levelled.as_ref()?.requests.get(&id)?.stage(&self.party))
    }

    /// Asks for a function of one or two (group, window)s under a collective key.
    ///
    /// # Errors
    ///
    /// [`AskError`].
    pub fn ask_levelled<R: CryptoRng>(
        &mut self,
        question: Question,
        now: Moment,
        store: &mut dyn Store,
        rng: &mut R,
    ) -> Result<(QueryId, Vec<Outgoing>), AskError> {
        let levelled = self.levelled.as_mut().ok_or(AskError::Off)?;
        let Question { key, function, subjects, .. } = &question;
        let setup = levelled.keys.setup(key).ok_or(AskError::NoKey(*key))?;
        if !setup.allows(function) || subjects.len() != function.subjects() {
            return Err(AskError::Function(*key));
        }
        let id = QueryId::random(rng);
        let request = Request::begin(id, question, &self.party, now, store)?;
        let sends = request.sends(&self.party);
        levelled.requests.insert(id, request);
        Ok((id, sends))
    }

    /// Why a question was refused, or is not voted for, if more aggregators refuse it than a quorum can spare.
    pub fn levelled_refused(&self, id: QueryId) -> Option<Rule> {
        self.levelled.as_ref()?.requests.get(&id)?.refused(&self.party)
    }
}

fn topic(party: &Party, channel: LevelledChannel) -> Topic {
    party.topic(Channel::Levelled(channel))
}
