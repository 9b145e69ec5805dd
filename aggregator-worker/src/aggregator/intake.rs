//! Intake: from a share message to a stored record and a receipt.
//!
//! Rows: `record` meter ‖ first slot ‖ version → what is held; `evidence` meter ‖ first slot ‖ version → the first signed
//! record that contradicts one that is held.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use protocol::certificate::MeterCertificate;
use protocol::id::{MeterId, Rid};
use protocol::receipt::{MAX_CHECKS, Receipt, RecordCheck, Refused, SeqRanges};
use protocol::record::{Head, MAX_BATCH};
use protocol::release::inventory::Held;
use protocol::revocation::Revocation;
use protocol::roster::Roster;
use protocol::rule::{Refusal, Rule};
use protocol::share::{ShareMessage, ShareVector};
use protocol::signature::Signature;
use protocol::topic::{Channel, Handled, Outgoing};
use protocol::unit::{Moment, Slot, SlotRange};
use protocol::wire;
use serde_bytes::ByteBuf;
use serde_tuple::{Deserialize_tuple, Serialize_tuple};
use store::{Store, StoreError, Table};

use super::{AggregatorError, Context, Party, Registry};

const RECORD: Table = Table("record");
const EVIDENCE: Table = Table("evidence");

/// The most records for which a meter may be owed words in a receipt; its own repeats bring the rest.
const MAX_OWED: usize = 1_024;

/// How far a slot may lie ahead of the clock, in seconds.
const AHEAD: u64 = 900;

/// Why a message that is held is refused.
pub(super) const HELD: &str = "it is stored already; its receipt is sent again";

/// A message that is refused as such: its meter is to be told.
#[expect(clippy::unnecessary_wraps, reason = "it is the whole return value of a function that refuses")]
pub(super) fn refuse<E>(rule: Rule, detail: impl fmt::Display) -> Result<Result<(), Refusal>, E> {
    Ok(Err(Refusal::new(rule, detail)))
}

/// A record that is held.
#[derive(Deserialize_tuple, Serialize_tuple)]
struct Stored {
    seq: u64,
    slots: SlotRange,
    rid: Rid,
    shares: ByteBuf,
    record: ByteBuf,
    signature: Signature,
}

/// What is held of a meter, and what it is owed in a receipt.
#[derive(Debug, Default)]
struct Account {
    stored: SeqRanges,
    checks: Vec<RecordCheck>,
    refused: Vec<Refused>,
    /// Numbers that the next receipt is about, whatever else is stored.
    about: BTreeSet<u64>,
    last: Option<Moment>,
    /// Where the latest of its records that are held ends: what begins there or later is new.
    end: Slot,
    /// The newest roster that the meter is known to have: its receipts are under this one, so that it can read them.
    epoch: Option<u32>,
}

/// The intake.
#[derive(Debug, Default)]
pub(super) struct Intake {
    accounts: BTreeMap<MeterId, Account>,
    /// The meters that are owed a receipt.
    owed: BTreeSet<MeterId>,
    records: u64,
}

impl Intake {
    /// Counts what is held.
    pub(super) fn load(store: &dyn Store) -> Result<Self, AggregatorError> {
        let mut intake = Self::default();
        store::visit(RECORD, store, |key, value| {
            let meter = key.get(..16).and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
            let meter = meter.ok_or(AggregatorError::Damaged("a record's key can't be read"))?;
            let stored: Stored =
                wire::decode(value).map_err(|_| AggregatorError::Damaged("a record can't be read"))?;
            let account = intake.accounts.entry(MeterId::from(meter)).or_default();
            account.stored.insert(stored.seq);
            account.end = account.end.max(stored.slots.end());
            intake.records += 1;
            Ok::<(), AggregatorError>(())
        })?;
        Ok(intake)
    }

    /// Notes that something of a meter is held.
    pub(super) fn hold(&mut self, meter: MeterId, seq: u64) {
        self.accounts.entry(meter).or_default().stored.insert(seq);
    }

    /// The next receipt is to say that something is held.
    pub(super) fn owe_word(&mut self, meter: MeterId, seq: u64) {
        self.owed.insert(meter);
        let account = self.accounts.entry(meter).or_default();
        if account.about.len() < MAX_OWED {
            account.about.insert(seq);
        }
    }

    /// Notes in the meter's account whether a message was stored.
    pub(super) fn note(
        &mut self,
        stored: Result<(), Refusal>,
        meter: MeterId,
        seq: u64,
        what: &str,
        registry: &Registry,
    ) -> Handled {
        let Err(Refusal { rule, detail }) = stored else {
            self.hold(meter, seq);
            self.owe_word(meter, seq);
            return Handled::quietly();
        };
        match rule {
            Rule::Replay => self.owe_word(meter, seq),
            // Somebody else forged it.
            Rule::Forged => {}
            _ => self.owe_refusal(meter, seq, rule, registry),
        }
        Handled::refused(rule, format_args!("{what} {seq} of meter {meter}: {detail}"))
    }

    pub(super) fn records(&self) -> u64 {
        self.records
    }

    /// Meters that are owed a receipt.
    pub(super) fn owed(&self) -> usize {
        self.owed.len()
    }

    /// Takes one share message that came on the topic of `meter`.
    pub(super) fn take(
        &mut self,
        meter: MeterId,
        payload: &[u8],
        context: Context<'_>,
        store: &mut dyn Store,
    ) -> Result<Handled, StoreError> {
        let message = match ShareMessage::parse(payload) {
            Ok(message) => message,
            Err(error) => return Ok(Handled::refused(Rule::Malformed, error)),
        };
        let head = *message.head();
        if head.meter != meter || message.point() != context.party.identity.point {
            return Ok(Handled::refused(
                Rule::Malformed,
                "the record is another meter's, or for another aggregator",
            ));
        }
        match self.verify_and_store(message, head, context, store)? {
            Ok(()) => Ok(Handled::quietly()),
            Err(Refusal { rule, detail }) => {
                // A forged record is not its meter's: a receipt for it would make the meter give up its own.
                if !matches!(rule, Rule::Forged | Rule::Replay) {
                    self.owe_refusal(head.meter, head.seq, rule, context.registry);
                }
                Ok(Handled::refused(rule, format_args!("record {} of meter {meter}: {detail}", head.seq)))
            }
        }
    }

    fn verify_and_store(
        &mut self,
        message: ShareMessage,
        head: Head,
        context: Context<'_>,
        store: &mut dyn Store,
    ) -> Result<Result<(), Refusal>, StoreError> {
        let (certificate, roster) = match context.admit(head.meter, head.roster_epoch, "sealed") {
            Ok(admitted) => admitted,
            Err(refusal) => return Ok(Err(refusal)),
        };
        // A repeat is answered before anything costly: its name says that it is the record that is held.
        let rid = message.rid(roster);
        let end = self.accounts.get(&head.meter).map_or_else(Slot::default, |account| account.end);
        let rival = if head.slots.start() < end { overlapping(&head, store)? } else { None };
        if let Some((version, stored)) = &rival
            && stored.rid == rid
            && *version == head.version
        {
            self.owe_check(&head, rid, stored);
            return refuse(Rule::Replay, HELD);
        }
        let verified = match message.verify(&certificate.key, roster) {
            Ok(verified) => verified,
            Err(error) => return refuse(Rule::Forged, error),
        };
        // A second version is refused too: were a closing register to change after its bill, bills would not telescope.
        if let Some((_, stored)) = rival {
            let (record, signature) = verified.evidence();
            let evidence = wire::encode(&(ByteBuf::from(record), signature));
            // One proof is enough; a meter that goes on fills no disk.
            let key = key(head.meter, head.slots.start(), head.version);
            if store.get(EVIDENCE, &key)?.is_none() {
                store.put(EVIDENCE, &key, &evidence)?;
            }
            return refuse(
                Rule::Equivocation,
                format_args!("{} is held for slots {}", stored.rid, stored.slots),
            );
        }
        if let Err(refusal) = context.check_time(head.meter, head.slots) {
            return Ok(Err(refusal));
        }
        let shares = match verified.open(&context.party.identity.box_keys, roster) {
            Ok(shares) => shares,
            Err(error) => return refuse(Rule::BadShare, error),
        };
        let (record, signature) = verified.evidence();
        let stored = Stored {
            seq: head.seq,
            slots: head.slots,
            rid,
            shares: ByteBuf::from(shares.to_bytes().to_vec()),
            record: ByteBuf::from(record),
            signature: *signature,
        };
        store.put(RECORD, &key(head.meter, head.slots.start(), head.version), &wire::encode(&stored))?;
        self.records += 1;
        let account = self.accounts.entry(head.meter).or_default();
        account.stored.insert(head.seq);
        account.end = account.end.max(head.slots.end());
        self.owe_check(&head, rid, &stored);
        Ok(Ok(()))
    }

    fn owe_check(&mut self, head: &Head, rid: Rid, stored: &Stored) {
        self.owed.insert(head.meter);
        let account = self.accounts.entry(head.meter).or_default();
        account.epoch = account.epoch.max(Some(head.roster_epoch));
        if account.checks.len() < MAX_OWED
            && account.checks.iter().all(|check| check.rid != rid)
            && let Some(shares) = ShareVector::from_bytes(&stored.shares)
        {
            account.checks.push(RecordCheck { seq: head.seq, rid, check: shares.check(&rid) });
        }
    }

    /// The next receipt is to say that something was refused.
    pub(super) fn owe_refusal(&mut self, meter: MeterId, seq: u64, rule: Rule, registry: &Registry) {
        // Whoever forges a meter's name must not fill memory with it.
        if !registry.certificates.contains_key(&meter)
            && self.accounts.len() >= 2 * registry.certificates.len() + 64
        {
            return;
        }
        self.owed.insert(meter);
        let account = self.accounts.entry(meter).or_default();
        if account.refused.len() < MAX_CHECKS && account.refused.iter().all(|refused| refused.seq != seq) {
            account.refused.push(Refused { seq, rule });
        }
    }

    /// The receipts that are due.
    pub(super) fn receipts(&mut self, now: Moment, party: &Party) -> Vec<Outgoing> {
        let mut sends = Vec::new();
        // not over all accounts: of a million meters few are owed a receipt at a time
        self.owed.retain(|meter| {
            let Some(account) = self.accounts.get_mut(meter) else { return false };
            if account.last.is_some_and(|last| !now.is_past(last, party.pace.receipt_every)) {
                return true;
            }
            let checks: Vec<RecordCheck> =
                account.checks.drain(..account.checks.len().min(MAX_CHECKS)).collect();
            let known = account.epoch.and_then(|epoch| party.rosters.of_epoch(epoch));
            let roster = known.unwrap_or_else(|| party.roster());
            let receipt = Receipt {
                point: party.identity.point,
                meter: *meter,
                roster_epoch: roster.document().epoch,
                stored: account.stored.about(&std::mem::take(&mut account.about)),
                checks,
                refused: std::mem::take(&mut account.refused),
                at: now.timestamp(),
            };
            account.last = Some(now);
            let topic = party.topic(Channel::Receipt(*meter, party.name.clone()));
            sends.push(
                Outgoing::new(topic, party.sign_under(receipt, roster.context()).into_bytes()).retained(),
            );
            !account.checks.is_empty()
        });
        sends
    }
}

impl<'a> Context<'a> {
    /// The certificate of a meter, if one covers it now, and the roster that its message is under. That is the roster in force, or an
    /// earlier one, since a meter may have sealed before it received the latest. `made` says how the message was bound to the roster.
    pub(super) fn admit(
        self,
        meter: MeterId,
        roster_epoch: u32,
        made: &str,
    ) -> Result<(&'a MeterCertificate, &'a Roster), Refusal> {
        let Some(roster) = self.party.rosters.of_epoch(roster_epoch) else {
            let current = self.party.roster().document().epoch;
            let detail = format!("{made} under roster {roster_epoch}; this aggregator has roster {current}");
            return Err(Refusal::new(Rule::RosterOld, detail));
        };
        let certificate = self.registry.certificates.get(&meter).filter(|c| c.covers(self.now.timestamp()));
        certificate
            .map(|signed| (&**signed, roster))
            .ok_or_else(|| Refusal::new(Rule::UnknownMeter, "no certificate covers it now"))
    }

    /// Checks that a meter's slots are neither in the future nor too old, and ended before it was revoked.
    pub(super) fn check_time(self, meter: MeterId, slots: SlotRange) -> Result<(), Refusal> {
        if let Some(Revocation { from, reason, .. }) = self.registry.stopping(meter, slots, self.party) {
            let detail = format!("slots {slots} end after the meter was revoked at {}: {reason}", from.0);
            return Err(Refusal::new(Rule::Revoked, detail));
        }
        let end = self.party.roster().slot().start_of(slots.end());
        let now = self.now.timestamp();
        if end > now.plus(AHEAD) {
            let ahead = end.since(now);
            return Err(Refusal::new(
                Rule::TooEarly,
                format_args!("slots {slots} end {ahead} s in the future"),
            ));
        }
        let (age, grace) = (now.since(end), u64::from(self.party.roster().policy().late_grace));
        if age > grace {
            let detail = format_args!("slots {slots} ended {age} s ago; the limit is {grace} s");
            return Err(Refusal::new(Rule::Late, detail));
        }
        Ok(())
    }
}

fn key(meter: MeterId, first: Slot, version: u8) -> Vec<u8> {
    [&meter.as_bytes()[..], &first.0.to_be_bytes(), &[version]].concat()
}

/// The rows of a meter whose first slot is within `first..end`.
fn rows(meter: MeterId, first: u32, end: u32, store: &dyn Store) -> Result<Vec<(u8, Stored)>, StoreError> {
    let rows = store::entries_within(RECORD, &key(meter, Slot(first), 0), &key(meter, Slot(end), 0), store)?;
    Ok(rows
        .into_iter()
        .filter_map(|(key, value)| Some((*key.last()?, wire::decode::<Stored>(&value).ok()?)))
        .collect())
}

/// The newest record that is held for any of a head's slots.
fn overlapping(head: &Head, store: &dyn Store) -> Result<Option<(u8, Stored)>, StoreError> {
    // A repeat, the most common of them, is found by its name.
    let same = store.get(RECORD, &key(head.meter, head.slots.start(), head.version))?;
    let same = same.and_then(|value| wire::decode::<Stored>(&value).ok());
    if let Some(stored) = same.filter(|stored| stored.slots == head.slots) {
        return Ok(Some((head.version, stored)));
    }
    let longest = u32::try_from(MAX_BATCH).unwrap_or(u32::MAX);
    let from = head.slots.start().0.saturating_sub(longest);
    let mut rows = rows(head.meter, from, head.slots.end().0, store)?;
    rows.retain(|(_, stored)| stored.slots.overlaps(head.slots));
    Ok(rows.into_iter().max_by_key(|(version, stored)| {
        // The same version first, so that a repeat of an older one is known as such.
        (*version == head.version, *version, stored.slots == head.slots)
    }))
}

/// What is held of a meter that reaches into `span`, and what ends where it starts; the newest version of each.
pub(super) fn held(meter: MeterId, span: SlotRange, store: &dyn Store) -> Result<Vec<Held>, StoreError> {
    let longest = u32::try_from(MAX_BATCH).unwrap_or(u32::MAX);
    let from = span.start().0.saturating_sub(longest);
    let mut newest: BTreeMap<Slot, Held> = BTreeMap::new();
    for (_, stored) in rows(meter, from, span.end().0, store)? {
        if stored.slots.overlaps(span) || stored.slots.end() == span.start() {
            newest.insert(stored.slots.start(), Held { slots: stored.slots, rid: stored.rid });
        }
    }
    Ok(newest.into_values().collect())
}

/// The shares of a record that is held.
pub(super) fn shares(
    meter: MeterId,
    held: &Held,
    store: &dyn Store,
) -> Result<Option<ShareVector>, StoreError> {
    let first = held.slots.start().0;
    let rows = rows(meter, first, first.saturating_add(1), store)?;
    let found = rows.into_iter().find(|(_, stored)| stored.rid == held.rid);
    Ok(found.and_then(|(_, stored)| ShareVector::from_bytes(&stored.shares)))
}

/// What this aggregator holds of a meter, as its operator may look at it: one share a slot, as residues.
pub(super) fn residues(
    meter: MeterId,
    span: SlotRange,
    store: &dyn Store,
) -> Result<Vec<(Slot, u64)>, StoreError> {
    let mut residues = Vec::new();
    for held in held(meter, span, store)? {
        if let Some(vector) = shares(meter, &held, store)? {
            let slots = held.slots.numbers().map(Slot);
            residues.extend(slots.zip(vector.energies().iter().map(|share| share.to_canonical())));
        }
    }
    residues.retain(|(slot, _)| span.contains(*slot));
    Ok(residues)
}

#[cfg(test)]
mod tests {
    use protocol::record::Kind;
    use protocol::signature::{Context, SigningKey};
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;
    use store::MemoryStore;

    use super::*;

    const METER: [u8; 16] = [7; 16];

    fn range(start: u32, end: u32) -> SlotRange {
        SlotRange::new(Slot(start), Slot(end)).unwrap()
    }

    fn head(slots: SlotRange, version: u8) -> Head {
        Head { kind: Kind::Import, roster_epoch: 1, meter: MeterId::from(METER), seq: 1, version, slots }
    }

    /// A store that holds records of these slots and versions; a record's name is its place in the list.
    fn holding(records: &[(u32, u32, u8)]) -> MemoryStore {
        let key = SigningKey::generate(&mut ChaCha20Rng::seed_from_u64(1));
        let signature = key.sign("record", &Context::from(protocol::id::Hash::from([0; 32])), b"");
        let mut store = MemoryStore::default();
        for (&(start, end, version), name) in records.iter().zip(0..) {
            let stored = Stored {
                seq: u64::from(name),
                slots: range(start, end),
                rid: Rid::from([name; 32]),
                shares: ByteBuf::new(),
                record: ByteBuf::new(),
                signature,
            };
            let key = super::key(MeterId::from(METER), Slot(start), version);
            store.put(RECORD, &key, &wire::encode(&stored)).unwrap();
        }
        store
    }

    fn rival(records: &[(u32, u32, u8)], slots: SlotRange, version: u8) -> Option<u8> {
        let found = overlapping(&head(slots, version), &holding(records)).unwrap();
        found.map(|(_, stored)| stored.rid.as_bytes()[0])
    }

    /// A rival is any record with a slot in common, however far before it begins, and of several the one of the same
    /// version and slots.
    #[test]
    fn rivals_share_a_slot() {
        let longest = u32::try_from(MAX_BATCH).unwrap();
        let held = [(1_000, 1_004, 0), (1_004, 1_008, 0), (1_008, 1_012, 0), (1_008, 1_012, 1)];
        assert_eq!(rival(&held, range(1_004, 1_008), 0), Some(1));
        assert_eq!(rival(&held, range(1_003, 1_005), 9).map(|name| name < 2), Some(true));
        assert_eq!(rival(&held, range(996, 1_000), 0), None);
        assert_eq!(rival(&held, range(1_012, 1_016), 0), None);
        assert_eq!(rival(&held, range(1_008, 1_012), 0), Some(2));
        assert_eq!(rival(&held, range(1_008, 1_012), 1), Some(3));
        assert_eq!(rival(&held, range(1_008, 1_012), 2), Some(3), "the newest, if none is of this version");
        assert_eq!(
            rival(&[(5_000, 5_000 + longest, 0)], range(4_999 + longest, 5_001 + longest), 0),
            Some(0)
        );
        assert_eq!(rival(&[(5_000, 5_000 + longest, 0)], range(5_000 + longest, 5_001 + longest), 0), None);
        assert_eq!(rival(&[(0, 4, 0)], range(3, 5), 0), Some(0), "slots do not run below the first");
    }

    /// What is held for a span reaches into it or ends where it starts, the newest version of each, ascending.
    #[test]
    fn held_is_what_a_release_may_need() {
        let store =
            holding(&[(96, 100, 0), (92, 96, 0), (100, 104, 0), (100, 104, 2), (98, 101, 1), (108, 112, 0)]);
        let held = held(MeterId::from(METER), range(100, 108), &store).unwrap();
        let names: Vec<u8> = held.iter().map(|held| held.rid.as_bytes()[0]).collect();
        assert_eq!(names, [0, 4, 3]);
        let other = super::held(MeterId::from([8; 16]), range(100, 108), &store).unwrap();
        assert_eq!(other, []);
    }
}
