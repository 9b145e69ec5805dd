//! The roster: who the aggregators and the utility are, and what policy holds.
//!
//! The registrar signs it, every aggregator accepts it with a signature of its own, and each names the hash of the
//! one before. [`Roster`] is only made by [`Roster::accept`], so whoever holds one holds a checked one, and can seal to
//! everybody in it.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::certificate::deployment_context;
use crate::decode::correctable;
use crate::hpke_box::{KeyError, SealingKey};
use crate::id::{AggregatorId, Deployment, Hash};
use crate::policy::Policy;
use crate::rule::{Refusal, Rule};
use crate::shamir::{MAX_PARTIES, Point};
use crate::signature::{
    Context, Document, OpenError, Signature, Signed, SigningKey, Unverified, VerifyingKey,
};
use crate::unit::{SlotLength, Timestamp};
use crate::wire::{self, DecodeError};

pub mod chain;
pub mod floor;

/// An aggregator in the roster.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct Aggregator {
    /// Its name in topics.
    pub id: AggregatorId,
    /// Its evaluation point, its for life.
    pub point: Point,
    /// The organisation that runs it, for people.
    pub organisation: String,
    /// The key it signs with.
    pub key: VerifyingKey,
    /// The keys that shares may be sealed to; the last one valid is used.
    pub box_keys: Vec<BoxKey>,
}

/// A key that boxes are sealed to, and until when.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct BoxKey {
    /// The key.
    pub key: SealingKey,
    /// First second at which nothing more is sealed to it.
    pub not_after: Timestamp,
}

/// The utility's sink in the roster.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct Utility {
    /// The key it signs queries, cuts, tariffs and outcomes with.
    pub key: VerifyingKey,
    /// The key that results are sealed to.
    pub box_key: SealingKey,
}

/// What the registrar signs; nobody but [`Roster::accept`] should act on one.
#[derive(Clone, Debug, Deserialize_tuple, Eq, PartialEq, Serialize_tuple)]
pub struct RosterDocument {
    /// The deployment.
    pub deployment: Deployment,
    /// Grows with every roster.
    pub epoch: u32,
    /// The hash of the roster before, if there is one.
    pub previous: Option<Hash>,
    /// First second of validity.
    pub valid_from: Timestamp,
    /// First second after validity.
    pub valid_to: Timestamp,
    /// t: how many aggregators' answers give a value, and one fewer give nothing.
    pub threshold: u8,
    /// Q: how many votes certify a cut.
    pub quorum: u8,
    /// The slot length.
    pub slot: SlotLength,
    /// The aggregators, ascending by point.
    pub aggregators: Vec<Aggregator>,
    /// The utility.
    pub utility: Utility,
    /// What every release must keep to.
    pub policy: Policy,
}

impl Document for RosterDocument {
    const KIND: &'static str = "roster";
}

/// A signed roster with the aggregators' acceptances, as it travels.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Bundle(ByteBuf, Vec<(Point, Signature)>);

/// The kind of an aggregator's acceptance of a roster; its body is empty, its context the roster's hash.
const ACCEPTANCE: &str = "acceptance";

/// A roster that was signed by the registrar and accepted by all its aggregators.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Roster {
    document: Signed<RosterDocument>,
    bytes: Vec<u8>,
}

/// Why a roster was refused.
#[derive(Debug, thiserror::Error)]
pub enum RosterError {
    /// The bytes are no roster.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The registrar did not sign it.
    #[error("the registrar's signature on the roster does not hold")]
    Registrar(#[source] OpenError),
    /// An aggregator's acceptance is missing, foreign, wrong or there twice.
    #[error("the roster does not have exactly one valid acceptance of aggregator {0}")]
    Acceptance(Point),
    /// Numbers that cannot keep the promises.
    #[error("n = {n}, t = {t}, Q = {q} do not satisfy 1 ≤ t ≤ Q ≤ n ≤ {MAX_PARTIES} and 2Q > n + t − 1")]
    Numbers {
        /// Aggregators.
        n: usize,
        /// Threshold.
        t: usize,
        /// Quorum.
        q: usize,
    },
    /// Two aggregators share a point, a name or a key, or stand out of order.
    #[error("aggregators {0} and {1} share a name or a key, or are not in ascending order of points")]
    Aggregators(Point, Point),
    /// An aggregator without a key to seal to.
    #[error("aggregator {0} has no key to seal to")]
    NoBoxKey(Point),
    /// A key that nothing can be sealed to.
    #[error("box key {key_id} of {owner} can't be sealed to: {fault}")]
    BoxKey {
        /// Whose it is, for people.
        owner: String,
        /// Its number.
        key_id: u32,
        /// What is wrong; in the text, since a refusal has nothing else.
        fault: KeyError,
    },
    /// It ends before it starts.
    #[error("the roster's validity runs backwards")]
    Validity,
    /// An interval that no load vector can have, or more active sets than a key is dealt to.
    #[error(
        "a grid interval of {seconds} s must be 0 or whole slots and a part of a day, with at most {MAX_SETS} sets of t \
         aggregators (there are {sets})"
    )]
    Interval {
        /// The interval.
        seconds: u32,
        /// The active sets.
        sets: usize,
    },
}

/// The most active sets on the grid path: a meter deals its key to each.
pub const MAX_SETS: usize = 35;

impl Roster {
    /// Takes a roster, its registrar known beforehand.
    ///
    /// # Errors
    ///
    /// [`RosterError`].
    pub fn accept(bytes: &[u8], registrar: &VerifyingKey) -> Result<Self, RosterError> {
        let bundle: Bundle = wire::decode(bytes)?;
        let unverified = Unverified::<RosterDocument>::parse(&bundle.0)?;
        let context = deployment_context(&unverified.claim().deployment);
        let document = unverified
            .verify(registrar, &context)
            .map_err(|error| RosterError::Registrar(OpenError::Signature(error)))?;
        document.check()?;
        let accepted = Context::from(document.hash());
        for aggregator in &document.aggregators {
            let mut of_point = bundle.1.iter().filter(|(point, _)| *point == aggregator.point);
            of_point
                .next()
                .and_then(|(_, signature)| aggregator.key.verify(ACCEPTANCE, &accepted, &[], signature).ok())
                .filter(|()| of_point.next().is_none())
                .ok_or(RosterError::Acceptance(aggregator.point))?;
        }
        let foreign =
            |point: &Point| document.aggregators.iter().all(|aggregator| aggregator.point != *point);
        if let Some((point, _)) = bundle.1.iter().find(|(point, _)| foreign(point)) {
            return Err(RosterError::Acceptance(*point));
        }
        Ok(Self { document, bytes: bytes.to_vec() })
    }

    /// The bytes it came in, acceptances included.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The roster's hash, to which every signature and seal under it is bound.
    pub fn hash(&self) -> Hash {
        self.document.hash()
    }

    /// The hash as a signature's context.
    pub fn context(&self) -> Context {
        Context::from(self.hash())
    }

    /// What it says.
    pub fn document(&self) -> &RosterDocument {
        &self.document
    }

    /// n: the number of aggregators.
    pub fn n(&self) -> usize {
        self.document.aggregators.len()
    }

    /// t: the threshold.
    pub fn t(&self) -> usize {
        usize::from(self.document.threshold)
    }

    /// Q: the quorum.
    pub fn q(&self) -> usize {
        usize::from(self.document.quorum)
    }

    /// f: how many lying aggregators cannot make an honest meter look like one that deals badly. See [`tolerated_liars`].
    pub fn liars(&self) -> usize {
        tolerated_liars(self.n(), self.t())
    }

    /// The slot length.
    pub fn slot(&self) -> SlotLength {
        self.document.slot
    }

    /// The policy.
    pub fn policy(&self) -> &Policy {
        &self.document.policy
    }

    /// The aggregators' points, ascending.
    pub fn points(&self) -> Vec<Point> {
        self.document.aggregators.iter().map(|aggregator| aggregator.point).collect()
    }

    /// The aggregator at a point.
    pub fn aggregator(&self, point: Point) -> Option<&Aggregator> {
        self.document.aggregators.iter().find(|aggregator| aggregator.point == point)
    }

    /// The aggregator of a name.
    pub fn aggregator_named(&self, id: &AggregatorId) -> Option<&Aggregator> {
        self.document.aggregators.iter().find(|aggregator| aggregator.id == *id)
    }

    /// Takes a document that one of the aggregators signed under this roster; `point` says which one it claims.
    ///
    /// # Errors
    ///
    /// [`Rule::Malformed`], [`Rule::NotTheAggregator`].
    pub fn open_peer<T: Document>(
        &self,
        bytes: &[u8],
        point: impl Fn(&T) -> Point,
    ) -> Result<Signed<T>, Refusal> {
        let unverified =
            Unverified::<T>::parse(bytes).map_err(|error| Refusal::new(Rule::Malformed, error))?;
        let peer = self.aggregator(point(unverified.claim()));
        let key = peer.ok_or_else(|| Refusal::new(Rule::NotTheAggregator, "no such aggregator"))?.key;
        unverified.verify(&key, &self.context()).map_err(|error| Refusal::new(Rule::NotTheAggregator, error))
    }

    /// Whether it is valid at `time`.
    pub fn covers(&self, time: Timestamp) -> bool {
        (self.document.valid_from..self.document.valid_to).contains(&time)
    }
}

impl Aggregator {
    /// The key to seal to at `time`: the newest that has not ended.
    pub fn box_key_at(&self, time: Timestamp) -> Option<&SealingKey> {
        self.box_keys.iter().rev().find(|key| time < key.not_after).map(|key| &key.key)
    }
}

impl RosterDocument {
    /// Whether it can be a roster, whoever signs it: its numbers keep the promises, and everybody in it can be sealed to. For whoever
    /// is to sign it; [`Roster::accept`] checks it again.
    ///
    /// # Errors
    ///
    /// [`RosterError`], of other kinds than signatures.
    pub fn check(&self) -> Result<(), RosterError> {
        let (n, t, q) = (self.aggregators.len(), usize::from(self.threshold), usize::from(self.quorum));
        if t < 1 || t > q || q > n || n > MAX_PARTIES || 2 * q < n + t {
            return Err(RosterError::Numbers { n, t, q });
        }
        for (i, one) in self.aggregators.iter().enumerate() {
            if one.box_keys.is_empty() {
                return Err(RosterError::NoBoxKey(one.point));
            }
            for other in &self.aggregators[i + 1..] {
                if one.point >= other.point || one.id == other.id || one.key == other.key {
                    return Err(RosterError::Aggregators(one.point, other.point));
                }
            }
            for BoxKey { key, .. } in &one.box_keys {
                check_key(key, format_args!("aggregator {}", one.id))?;
            }
        }
        check_key(&self.utility.box_key, "the utility")?;
        let (seconds, sets) = (self.policy.grid_interval, combinations(n, t));
        if seconds != 0 && (sets > MAX_SETS || self.policy.interval_slots(self.slot).is_none()) {
            return Err(RosterError::Interval { seconds, sets });
        }
        if self.valid_from < self.valid_to { Ok(()) } else { Err(RosterError::Validity) }
    }
}

/// Makes a roster: the registrar signs, each aggregator accepts. For the registrar's desk and for tests; in a real
/// deployment the signatures are collected from their owners by [`sign`], [`accept_as`] and [`bundle`].
///
/// # Errors
///
/// [`RosterError`], as [`Roster::accept`] would find.
pub fn assemble(
    document: RosterDocument,
    registrar: &SigningKey,
    aggregators: &[(Point, &SigningKey)],
) -> Result<Roster, RosterError> {
    let signed = sign(document, registrar);
    let acceptances = aggregators.iter().map(|(point, key)| (*point, accept_as(&signed, key))).collect();
    Roster::accept(&bundle(&signed, acceptances), &registrar.verifying_key())
}

/// The registrar's signature on a roster.
pub fn sign(document: RosterDocument, registrar: &SigningKey) -> Signed<RosterDocument> {
    let context = deployment_context(&document.deployment);
    Signed::sign(document, registrar, &context)
}

/// An aggregator's acceptance of a roster.
pub fn accept_as(roster: &Signed<RosterDocument>, key: &SigningKey) -> Signature {
    key.sign(ACCEPTANCE, &Context::from(roster.hash()), &[])
}

/// The bytes of a roster with its acceptances.
pub fn bundle(roster: &Signed<RosterDocument>, acceptances: Vec<(Point, Signature)>) -> Vec<u8> {
    wire::encode(&Bundle(ByteBuf::from(roster.bytes()), acceptances))
}

fn check_key(key: &SealingKey, owner: impl fmt::Display) -> Result<(), RosterError> {
    let refused = |fault| RosterError::BoxKey { owner: owner.to_string(), key_id: key.key_id, fault };
    key.check().map_err(refused)
}

/// How many sets of t there are among n, 1 ≤ t ≤ n: the active sets.
pub fn combinations(n: usize, t: usize) -> usize {
    (0..t).fold(1, |sets, i| sets * (n - i) / (i + 1))
}

/// The smallest quorum for n and t: Q with 2Q > n + t − 1 and Q ≥ t.
pub fn smallest_quorum(n: usize, t: usize) -> usize {
    t.max((n + t - 1) / 2 + 1)
}

/// How many lying aggregators the word of all must be proof against, before a meter's record is left out by it: those that
/// decoding corrects, ⌊(n − t)/2⌋, and one at the least. Where no lie can be corrected one is still noticed, and bills wait; so
/// does leaving records out, for ever if n ≤ t + 1.
pub fn tolerated_liars(n: usize, t: usize) -> usize {
    correctable(n, t).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of the protocol: n, t and the quorum they need.
    #[test]
    fn quorums_intersect_in_an_honest_aggregator() {
        for (n, t, q) in [(4, 2, 3), (5, 3, 4), (7, 3, 5), (3, 2, 3), (2, 2, 2), (1, 1, 1), (10, 4, 7)] {
            assert_eq!(smallest_quorum(n, t), q, "n = {n}, t = {t}");
        }
    }
}
