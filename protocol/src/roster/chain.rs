//! The rosters of a deployment in order, each the successor of the one before; the last is in force.
//!
//! A successor changes validity, box keys and organisations' names, and nothing else: the same aggregators with the same
//! names, points and signing keys, the same utility, the same t and Q, slots and policy. Two things follow.
//!
//! * **Nothing measured is lost.** A record belongs to the roster that it was sealed under, whenever it arrives, and a
//!   release to the roster that its query was signed under. Shares of records under different rosters are points of
//!   polynomials of one degree at the same places, so they add up: a bill or a curve may span rosters.
//! * **Nothing is released twice.** Quorums of any two of the rosters are quorums of one set of aggregators with one Q, so they
//!   share an honest one, which remembers the slots that it voted for. Were an aggregator replaced, a quorum of the old
//!   set and one of the new might share none: n = 4, Q = 3, and {1, 2, 4} and {1, 3, 5} have only 1 in common, which may lie.

use std::fmt;

use crate::id::Hash;
use crate::roster::{Roster, RosterDocument, RosterError};
use crate::rule::Refusal;
use crate::shamir::Point;
use crate::signature::{Document, OpenError, Signed, VerifyingKey};

/// The most rosters in a chain: a message of none of them costs a signature's check for each.
pub const MAX_ROSTERS: usize = 64;

/// Rosters that follow one another, at least one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Chain {
    /// Oldest first.
    past: Vec<Roster>,
    current: Roster,
}

/// Why a roster is no successor of the one in force.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// Older than the one in force.
    #[error(
        "roster {found} is older than roster {current}, which is in force here: bring the newest roster from the registrar"
    )]
    Older {
        /// The epoch offered.
        found: u32,
        /// The epoch in force.
        current: u32,
    },
    /// Another of the same epoch, or one that names another predecessor.
    #[error(
        "roster {found} does not follow roster {current}, which is in force here (it names {previous:?} as the one before, not {wanted}): \
         if rosters lie between, take them first, oldest first; if none do, the registrar made two histories: ask it"
    )]
    Fork {
        /// The epoch offered.
        found: u32,
        /// The epoch in force.
        current: u32,
        /// What it names as the one before.
        previous: Option<Hash>,
        /// The hash of the one in force.
        wanted: Hash,
    },
    /// It changes what a successor must keep.
    #[error(
        "roster {found} changes {what}: a successor changes validity and box keys only; for more make a new deployment"
    )]
    Changed {
        /// The epoch offered.
        found: u32,
        /// What it changes.
        what: Changed,
    },
    /// Too many.
    #[error("there were {MAX_ROSTERS} rosters: make a new deployment")]
    Full,
    /// A stored roster is none.
    #[error("a stored roster can't be read")]
    Stored(#[source] RosterError),
}

/// What a successor must not change.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Changed {
    /// The deployment's name.
    Deployment,
    /// Who the aggregators are: names, points, signing keys.
    Aggregators,
    /// The utility's signing key.
    Utility,
    /// t or Q.
    Numbers,
    /// The slot length.
    Slot,
    /// The policy.
    Policy,
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deployment => "the deployment",
            Self::Aggregators => "an aggregator's name, point or signing key",
            Self::Utility => "the utility's signing key",
            Self::Numbers => "t or Q",
            Self::Slot => "the slot length",
            Self::Policy => "the policy",
        })
    }
}

impl RosterDocument {
    /// What it would change, if it were the successor of `before`, and may not.
    pub fn changes(&self, before: &Self) -> Option<Changed> {
        let who = |document: &Self| -> Vec<_> {
            document.aggregators.iter().map(|a| (a.id.clone(), a.point, a.key.to_bytes())).collect()
        };
        [
            (self.deployment == before.deployment, Changed::Deployment),
            (who(self) == who(before), Changed::Aggregators),
            (self.utility.key == before.utility.key, Changed::Utility),
            ((self.threshold, self.quorum) == (before.threshold, before.quorum), Changed::Numbers),
            (self.slot == before.slot, Changed::Slot),
            (self.policy == before.policy, Changed::Policy),
        ]
        .into_iter()
        .find_map(|(same, what)| (!same).then_some(what))
    }
}

impl Chain {
    /// A chain of one.
    pub fn new(first: Roster) -> Self {
        Self { past: Vec::new(), current: first }
    }

    /// Takes up a chain from the rosters as they were stored, oldest first; `None` if there are none.
    ///
    /// # Errors
    ///
    /// [`ChainError`].
    pub fn read(stored: &[Vec<u8>], registrar: &VerifyingKey) -> Result<Option<Self>, ChainError> {
        let mut chain: Option<Self> = None;
        for bytes in stored {
            let roster = Roster::accept(bytes, registrar).map_err(ChainError::Stored)?;
            match &mut chain {
                Some(chain) => drop(chain.follow(roster)?),
                None => chain = Some(Self::new(roster)),
            }
        }
        Ok(chain)
    }

    /// Takes up a chain from the rosters as they were stored, and follows it to the roster that a party is started with; whether
    /// that one is new, and so has to be stored.
    ///
    /// # Errors
    ///
    /// [`ChainError`].
    pub fn resume(
        stored: &[Vec<u8>],
        roster: Roster,
        registrar: &VerifyingKey,
    ) -> Result<(Self, bool), ChainError> {
        match Self::read(stored, registrar)? {
            Some(mut chain) => {
                let new = chain.follow(roster)?;
                Ok((chain, new))
            }
            None => Ok((Self::new(roster), true)),
        }
    }

    /// Takes the successor; `false` if it is the one in force already.
    ///
    /// # Errors
    ///
    /// [`ChainError`], with the chain unchanged.
    pub fn follow(&mut self, next: Roster) -> Result<bool, ChainError> {
        let current = self.current();
        if next.hash() == current.hash() {
            return Ok(false);
        }
        let (new, old) = (next.document(), current.document());
        let (found, epoch) = (new.epoch, old.epoch);
        if found < epoch {
            return Err(ChainError::Older { found, current: epoch });
        }
        if found == epoch || new.previous != Some(current.hash()) {
            let (previous, wanted) = (new.previous, current.hash());
            return Err(ChainError::Fork { found, current: epoch, previous, wanted });
        }
        if let Some(what) = new.changes(old) {
            return Err(ChainError::Changed { found, what });
        }
        if self.past.len() + 1 >= MAX_ROSTERS {
            return Err(ChainError::Full);
        }
        self.past.push(std::mem::replace(&mut self.current, next));
        Ok(true)
    }

    /// The roster in force.
    pub fn current(&self) -> &Roster {
        &self.current
    }

    /// All of them, oldest first.
    pub fn all(&self) -> impl DoubleEndedIterator<Item = &Roster> {
        self.past.iter().chain([&self.current])
    }

    /// Whether there is only one.
    pub fn is_single(&self) -> bool {
        self.past.is_empty()
    }

    /// The roster of an epoch.
    pub fn of_epoch(&self, epoch: u32) -> Option<&Roster> {
        self.all().find(|roster| roster.document().epoch == epoch)
    }

    /// The roster that a document was signed under.
    ///
    /// # Panics
    ///
    /// For a document that none of them opened.
    pub fn of<T>(&self, signed: &Signed<T>) -> &Roster {
        let found = self.all().find(|roster| roster.context() == signed.context());
        found.expect("whoever opened the document had this roster")
    }

    /// Takes a document that one of the aggregators signed under any of the rosters, as [`Roster::open_peer`].
    ///
    /// # Errors
    ///
    /// As [`Roster::open_peer`]: what the roster in force says.
    pub fn open_peer<T: Document>(
        &self,
        bytes: &[u8],
        point: impl Fn(&T) -> Point,
    ) -> Result<Signed<T>, Refusal> {
        self.first(|roster| roster.open_peer(bytes, &point))
    }

    /// Takes a document that the utility signed under any of the rosters.
    ///
    /// # Errors
    ///
    /// [`OpenError`]: what the roster in force says.
    pub fn open_utility<T: Document>(&self, bytes: &[u8]) -> Result<Signed<T>, OpenError> {
        self.first(|roster| Signed::open(bytes, &roster.document().utility.key, &roster.context()))
    }

    /// The first success from the newest roster to the oldest; else what the newest said.
    fn first<T, E>(&self, open: impl Fn(&Roster) -> Result<T, E>) -> Result<T, E> {
        let older = || self.past.iter().rev().find_map(|roster| open(roster).ok());
        open(&self.current).or_else(|error| older().ok_or(error))
    }
}
