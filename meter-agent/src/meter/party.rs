//! Who a meter is, and under which rosters it works.

use protocol::certificate::MeterCertificate;
use protocol::id::MeterId;
use protocol::roster::Roster;
use protocol::roster::chain::{Chain, ChainError};
use protocol::signature::{SigningKey, VerifyingKey};
use protocol::topic::{Channel, Topic};
use store::{Store, StoreError, Table};

use super::error::MeterError;
use super::pace::Pace;

/// Who a meter is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its pseudonym.
    pub meter: MeterId,
    /// The key it signs with.
    pub key: SigningKey,
    /// Its certificate, signed by the registrar, as received.
    pub certificate: Vec<u8>,
    /// The registrar's key; its fingerprint is in the floor.
    pub registrar: VerifyingKey,
}

impl Identity {
    /// Whether the certificate is for this meter and this key: aggregators reject everything else.
    pub(super) fn check(&self, roster: &Roster) -> Result<(), MeterError> {
        let deployment = &roster.document().deployment;
        let certificate = MeterCertificate::open(&self.certificate, &self.registrar, deployment)?;
        if certificate.meter != self.meter {
            return Err(MeterError::AnotherMeter { found: certificate.meter, wanted: self.meter });
        }
        if certificate.key != self.key.verifying_key() {
            return Err(MeterError::AnotherKey(self.meter));
        }
        Ok(())
    }
}

/// The roster in force: one row.
const ROSTER: Table = Table("roster");

/// The rosters that were in force before: epoch → the roster as it came.
const PAST: Table = Table("past-roster");

/// Who a meter is, the rosters that it knows, and how often it repeats.
#[derive(Debug)]
pub(super) struct Party {
    pub(super) identity: Identity,
    pub(super) rosters: Chain,
    pub(super) pace: Pace,
}

impl Party {
    /// The roster in force.
    pub(super) fn roster(&self) -> &Roster {
        self.rosters.current()
    }

    pub(super) fn topic(&self, channel: Channel) -> Topic {
        channel.of(&self.roster().document().deployment)
    }
}

/// The rosters as the store has them, and the one that a meter is started with. The newer one is in force: a restart is no way back.
///
/// A newer roster that does not follow the one in force begins a chain of its own: the meter missed those between, and an operator
/// brought the roster.
pub(super) fn open_rosters(
    given: Roster,
    identity: &Identity,
    store: &mut dyn Store,
) -> Result<Chain, MeterError> {
    let mut stored: Vec<Vec<u8>> = store::entries(PAST, store)?.into_iter().map(|(_, row)| row).collect();
    stored.extend(store.get(ROSTER, b"")?);
    let mut rosters: Option<Chain> = None;
    for bytes in &stored {
        let roster = Roster::accept(bytes, &identity.registrar).map_err(ChainError::Stored)?;
        rosters = Some(continued(rosters, roster));
    }
    if let Some(rosters) = &rosters
        && rosters.current().document().epoch >= given.document().epoch
    {
        return Ok(rosters.clone());
    }
    let before = rosters.as_ref().map(|rosters| rosters.current().clone());
    save_roster(&given, before.as_ref(), store)?;
    Ok(continued(rosters, given))
}

fn continued(rosters: Option<Chain>, next: Roster) -> Chain {
    if let Some(mut rosters) = rosters
        && rosters.follow(next.clone()).is_ok()
    {
        return rosters;
    }
    Chain::new(next)
}

/// Keeps the roster in force, and the one before it.
pub(super) fn save_roster(
    roster: &Roster,
    before: Option<&Roster>,
    store: &mut dyn Store,
) -> Result<(), StoreError> {
    if let Some(before) = before {
        store.put(PAST, &before.document().epoch.to_be_bytes(), before.bytes())?;
    }
    store.put(ROSTER, b"", roster.bytes())
}
