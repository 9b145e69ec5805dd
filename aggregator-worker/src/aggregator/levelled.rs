//! Mode `levelled`: this aggregator's part in making keys, holding ciphertexts, and opening results. Pure.
//!
//! What must stay true, beside what holds for every release:
//! * everything is stored before it is sent, and sent again byte for byte; a crash at any point is made good from the store;
//! * a result is opened only if this aggregator computed it itself from ciphertexts that a quorum voted for;
//! * one (group, window) has one member set; each function of it is released once;
//! * for one result and one active set there is one answer, and a key is used for no more answers than planned.
//!
//! Off unless it is asked for ([`super::Aggregator::with_levelled`]).

use protocol::levelled::plan::Plan;
use protocol::part::Assembly;
use protocol::rule::Rule;
use protocol::signature::Signed;
use protocol::topic::{Channel, Handled, LevelledChannel, Outgoing, Role, Topic};
use protocol::unit::Moment;
use rand::CryptoRng;
use serde::{Deserialize, Serialize};
use store::{Store, Table};

use self::making::Makings;
use self::releases::Releases;
use self::uploads::Uploads;
use super::{AggregatorError, Context, Party};

mod making;
mod releases;
mod uploads;

/// Blobs that are held, by hash.
const BLOB: Table = Table("levelled-blob");

/// The most collective keys: each costs memory and a ceremony.
const MAX_KEYS: usize = 16;

/// The pace of mode `levelled`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LevelledPace {
    /// Milliseconds until a contribution that others wait for is sent again; doubles each time.
    #[serde(with = "runtime::millis")]
    pub resend_first: u64,
    /// Milliseconds between repeats at most.
    #[serde(with = "runtime::millis")]
    pub resend_last: u64,
}

impl Default for LevelledPace {
    fn default() -> Self {
        Self { resend_first: 5_000, resend_last: 600_000 }
    }
}

/// A message on one of the topics below `levelled/`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delivery<'a> {
    pub(super) topic: &'a str,
    pub(super) channel: &'a LevelledChannel,
    pub(super) payload: &'a [u8],
}

/// The part of an aggregator that takes part in mode `levelled`.
#[derive(Debug)]
pub(super) struct Levelled {
    makings: Makings,
    uploads: Uploads,
    releases: Releases,
    assembly: Assembly,
}

impl Levelled {
    /// Takes up where the store left off.
    pub(super) fn load(
        pace: LevelledPace,
        party: &Party,
        store: &mut dyn Store,
    ) -> Result<Self, AggregatorError> {
        Ok(Self {
            makings: Makings::load(pace, party, store)?,
            uploads: Uploads::default(),
            releases: Releases::load(store)?,
            assembly: Assembly::default(),
        })
    }

    /// The topics it listens to, below the deployment.
    pub(super) const TOPICS: [&'static str; 6] = [
        "levelled/plan",
        "levelled/make/+",
        "levelled/data/agg/+",
        "levelled/data/meter/+",
        "levelled/upload/+",
        "levelled/direction",
    ];

    /// Takes a delivery.
    pub(super) fn handle<R: CryptoRng>(
        &mut self,
        delivery: Delivery<'_>,
        context: Context<'_>,
        store: &mut dyn Store,
        rng: &mut R,
    ) -> Result<Handled, AggregatorError> {
        let Delivery { topic, channel, payload } = delivery;
        let Context { party, now, .. } = context;
        match channel {
            LevelledChannel::Data(Role::Aggregator, _) => {
                return self.makings.take_data(payload, now, party, store);
            }
            LevelledChannel::Data(Role::Meter, _) => {
                return self.uploads.take_data(payload, &self.makings, context, store);
            }
            LevelledChannel::Upload(meter) => {
                return self.uploads.take(*meter, payload, &self.makings, context, store);
            }
            _ => {}
        }
        let document = match self.assembly.take(topic, payload) {
            Ok(Some(document)) => document,
            Ok(None) => return Ok(Handled::quietly()),
            Err(error) => return Ok(Handled::refused(Rule::Malformed, error)),
        };
        match channel {
            LevelledChannel::Plan => match party.open_utility::<Plan>(&document) {
                Ok(plan) => self.makings.take_plan(plan, now, party, store, rng),
                Err(refused) => Ok(refused),
            },
            LevelledChannel::Make(_) => match party
                .open_peer(&document, |made: &protocol::levelled::contribution::Contribution| made.point)
            {
                Ok(contribution) => self.makings.take(contribution, now, party, store),
                Err(refused) => Ok(refused),
            },
            LevelledChannel::Direction => match party.open_utility(&document) {
                Ok(direction) => self.releases.take(&direction, &self.makings, context, store, rng),
                Err(refused) => Ok(refused),
            },
            _ => Ok(Handled::refused(Rule::Malformed, "an aggregator does not use this topic")),
        }
    }

    /// Lets time pass: contributions go again to whoever lacks them.
    pub(super) fn tick<R: CryptoRng>(
        &mut self,
        now: Moment,
        party: &Party,
        store: &mut dyn Store,
        rng: &mut R,
    ) -> Result<Vec<Outgoing>, AggregatorError> {
        self.makings.tick(now, party, store, rng)
    }
}

fn topic(party: &Party, channel: LevelledChannel) -> Topic {
    party.topic(Channel::Levelled(channel))
}

/// A signed document in parts.
fn parts<T>(party: &Party, channel: LevelledChannel, signed: &Signed<T>) -> Vec<Outgoing> {
    Outgoing::parts(&topic(party, channel), signed.bytes())
}
