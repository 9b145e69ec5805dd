//! Collective keys as the utility sees them: planned, said to be made by all, announced to meters.
//!
//! Rows: `levelled-plan` key → the signed plan; `levelled-made` key ‖ point → an aggregator's signed word; `levelled-public` key →
//! the public key's bytes.

use std::collections::BTreeMap;

use grid::levelled::encryptor::Encryptor;
use grid::levelled::setup::Setup;
use protocol::id::Hash;
use protocol::levelled::blob::{Blob, Depot};
use protocol::levelled::contribution::{Contribution, Step};
use protocol::levelled::key::{CollectiveKey, KeyBundle};
use protocol::levelled::plan::Plan;
use protocol::rule::Rule;
use protocol::shamir::Point;
use protocol::signature::Signed;
use protocol::topic::{Handled, LevelledChannel, Outgoing};
use protocol::unit::Moment;
use protocol::wire;
use serde_bytes::ByteBuf;
use store::{Store, Table};

use super::{AskError, LevelledPace, topic};
use crate::sink::{Party, SinkError};

const PLAN: Table = Table("levelled-plan");
const MADE: Table = Table("levelled-made");
const PUBLIC: Table = Table("levelled-public");

/// A key.
#[derive(Debug)]
struct Key {
    plan: Signed<Plan>,
    setup: Setup,
    made: BTreeMap<Point, Signed<Contribution>>,
    agreed: Option<CollectiveKey>,
    public: Option<Vec<u8>>,
    due: Moment,
    tries: u32,
}

/// All keys.
#[derive(Debug)]
pub(super) struct Keys {
    keys: BTreeMap<Hash, Key>,
    depot: Depot,
}

impl Keys {
    pub(super) fn load(party: &Party, store: &dyn Store) -> Result<Self, SinkError> {
        let mut keys = Self { keys: BTreeMap::new(), depot: Depot::default() };
        for (_, bytes) in store::entries(PLAN, store)? {
            // A plan under an earlier roster made a key of other aggregators: it is of no more use.
            let Ok(plan) = Signed::<Plan>::open(&bytes, &party.key(), &party.roster().context()) else {
                continue;
            };
            let mut key = Key::new(plan)?;
            for point in party.roster().points() {
                let Some(bytes) = store.get(MADE, &of_point(&key.plan.hash(), point))? else { continue };
                let made = party.open_peer(&bytes, |made: &Contribution| made.point);
                let made =
                    made.map_err(|_| SinkError::Damaged("an aggregator's word for a key can't be read"))?;
                key.made.insert(point, made);
            }
            key.public = store.get(PUBLIC, key.plan.hash().as_bytes())?;
            key.agree(party, &mut keys.depot);
            keys.keys.insert(key.plan.hash(), key);
        }
        Ok(keys)
    }

    pub(super) fn plan(
        &mut self,
        plan: Plan,
        party: &Party,
        now: Moment,
        store: &mut dyn Store,
    ) -> Result<(Hash, Vec<Outgoing>), AskError> {
        Setup::new(&plan)?;
        let plan = party.sign(plan);
        let hash = plan.hash();
        store.put(PLAN, hash.as_bytes(), plan.bytes())?;
        let mut key = Key::new(plan)?;
        key.due = now;
        let sends = key.sends(party);
        self.keys.insert(hash, key);
        Ok((hash, sends))
    }

    /// The lattice of a key that is made and announced.
    pub(super) fn setup(&self, key: &Hash) -> Option<&Setup> {
        self.keys.get(key).filter(|key| key.announced()).map(|key| &key.setup)
    }

    /// The lattice of a key that is planned, made or not.
    pub(super) fn planned(&self, key: &Hash) -> Option<&Setup> {
        self.keys.get(key).map(|key| &key.setup)
    }

    /// What a key waits for, in words, until it is announced.
    pub(super) fn stage(&self, key: &Hash, party: &Party) -> Option<String> {
        let Some(key) = self.keys.get(key) else {
            return Some("it was planned under an earlier roster; plan a new one".to_owned());
        };
        let (made, n) = (key.made.len(), party.roster().n());
        match (key.announced(), &key.agreed) {
            (true, _) => None,
            (false, Some(_)) => {
                Some("all aggregators have made it; its bytes have not arrived yet".to_owned())
            }
            (false, None) => Some(format!("{made} of {n} aggregators have made it; all of them must be up")),
        }
    }

    /// Takes an aggregator's word for a key; the other contributions are not for us.
    pub(super) fn take(
        &mut self,
        made: Signed<Contribution>,
        party: &Party,
        store: &mut dyn Store,
    ) -> Result<Handled, SinkError> {
        let Step::Made(..) = made.step else { return Ok(Handled::quietly()) };
        let Some(key) = self.keys.get_mut(&made.key) else {
            return Ok(Handled::refused(Rule::KeyUnknown, "a key that was not planned here"));
        };
        if let Some(known) = key.made.get(&made.point) {
            if known.hash() == made.hash() {
                return Ok(Handled::quietly());
            }
            let detail =
                format_args!("aggregator {} sent two different contributions to one key", made.point);
            return Ok(Handled::refused(Rule::Making, detail));
        }
        store.put(MADE, &of_point(&made.key, made.point), made.bytes())?;
        key.made.insert(made.point, made);
        if key.made.len() == party.roster().n()
            && let Err(refusal) = CollectiveKey::of(
                key.plan.clone(),
                &key.made.values().cloned().collect::<Vec<_>>(),
                party.roster(),
            )
        {
            return Ok(refusal.into());
        }
        key.agree(party, &mut self.depot);
        Ok(Handled::sending(key.announcement(party)))
    }

    /// Takes a part of a public key.
    pub(super) fn take_data(
        &mut self,
        payload: &[u8],
        party: &Party,
        store: &mut dyn Store,
    ) -> Result<Handled, SinkError> {
        let (blob, bytes) = match self.depot.take(payload) {
            Ok(Some(whole)) => whole,
            Ok(None) => return Ok(Handled::quietly()),
            Err(error) => return Ok(Handled::refused(Rule::Malformed, error)),
        };
        let mut handled = Handled::quietly();
        for key in self.keys.values_mut() {
            if key.public.is_some() || key.agreed.as_ref().is_none_or(|agreed| agreed.public != blob) {
                continue;
            }
            if let Err(error) = Encryptor::new(key.setup.clone(), &bytes) {
                return Ok(Handled::refused(Rule::Making, error));
            }
            store.put(PUBLIC, key.plan.hash().as_bytes(), &bytes)?;
            key.public = Some(bytes.clone());
            key.tries = 0;
            handled.sends.extend(key.announcement(party));
        }
        Ok(handled)
    }

    /// Repeats plans until their keys are made, and then keys, ever more rarely.
    pub(super) fn tick(&mut self, pace: &LevelledPace, party: &Party, now: Moment) -> Vec<Outgoing> {
        let mut sends = Vec::new();
        // a clock that was set back makes nothing wait longer than the longest pause
        for key in self.keys.values_mut() {
            key.due = key.due.min(now.plus(pace.resend_last));
        }
        for key in self.keys.values_mut().filter(|key| key.due <= now) {
            if key.tries > 0 {
                sends.extend(key.sends(party));
            }
            key.due = now.plus((pace.resend << key.tries.min(20)).min(pace.resend_last));
            key.tries += 1;
        }
        sends
    }

    pub(super) fn announcements(&self, party: &Party) -> Vec<Outgoing> {
        self.keys.values().flat_map(|key| key.sends(party)).collect()
    }
}

impl Key {
    fn new(plan: Signed<Plan>) -> Result<Self, SinkError> {
        let setup = Setup::new(&plan).map_err(|_| SinkError::Damaged("a plan can't be read"))?;
        let (made, agreed, public) = (BTreeMap::new(), None, None);
        Ok(Self { plan, setup, made, agreed, public, due: Moment(0), tries: 0 })
    }

    fn announced(&self) -> bool {
        self.agreed.is_some() && self.public.is_some()
    }

    fn agree(&mut self, party: &Party, depot: &mut Depot) {
        let said: Vec<Signed<Contribution>> = self.made.values().cloned().collect();
        self.agreed = CollectiveKey::of(self.plan.clone(), &said, party.roster()).ok();
        if let (Some(agreed), None) = (&self.agreed, &self.public) {
            depot.expect(agreed.public);
        }
    }

    fn sends(&self, party: &Party) -> Vec<Outgoing> {
        if self.announced() {
            return self.announcement(party);
        }
        Outgoing::retained_parts(&topic(party, LevelledChannel::Plan), self.plan.bytes())
    }

    /// The key for meters, once it is whole.
    fn announcement(&self, party: &Party) -> Vec<Outgoing> {
        let (true, Some(public)) = (self.announced(), &self.public) else { return Vec::new() };
        let said = self.made.values().map(|made| ByteBuf::from(made.bytes())).collect();
        let bundle = wire::encode(&KeyBundle(ByteBuf::from(self.plan.bytes()), said));
        let mut sends = Outgoing::retained_parts(&topic(party, LevelledChannel::Key), &bundle);
        for (index, part) in (0..).zip(Blob::parts(public)) {
            sends.push(Outgoing::new(topic(party, LevelledChannel::KeyPart(index)), part).retained());
        }
        sends
    }
}

fn of_point(key: &Hash, point: Point) -> Vec<u8> {
    [key.as_bytes(), &[u8::from(point)][..]].concat()
}
