//! Making collective keys with the other aggregators: commit, then reveal, and dealing to every active set.
//!
//! Rows: `levelled-plan` key → the signed plan; `levelled-master` key → the 32 secret bytes that all of ours follows from;
//! `levelled-contribution` key ‖ point ‖ step → signed contributions, ours and the others'; `levelled-kept-back` the same of ours
//! that wait for everybody's commitment; `levelled-dealt` key ‖ point → the shares that this point dealt to us.
//!
//! Nothing is acknowledged apart: a contribution of a later step says that its sender has all earlier ones. Whoever waits
//! repeats what somebody may lack, ever more rarely, and at once when somebody repeats itself.

use std::collections::{BTreeMap, BTreeSet};

use grid::levelled::evaluator::Evaluator;
use grid::levelled::maker::Maker;
use grid::levelled::setup::Setup;
use grid::levelled::trustee::Trustee;
use protocol::hedge::hedged;
use protocol::hpke_box::SealedBox;
use protocol::id::Hash;
use protocol::levelled::CAUTION;
use protocol::levelled::blob::{Blob, Depot};
use protocol::levelled::contribution::{Contribution, Round, Step, commitment};
use protocol::levelled::key::CollectiveKey;
use protocol::levelled::plan::Plan;
use protocol::rule::Rule;
use protocol::shamir::Point;
use protocol::signature::Signed;
use protocol::topic::{Handled, Outgoing};
use protocol::unit::Moment;
use protocol::wire;
use rand::{CryptoRng, Rng as _};
use store::{Store, Table};
use zeroize::Zeroizing;

use super::{BLOB, LevelledPace, MAX_KEYS};
use crate::aggregator::{AggregatorError, Party};

mod contribution;

use self::contribution::{DEAL_INFO, MADE, blob_of, borrowed, deal_aad, of_point, place, row, sends_of};

const PLAN: Table = Table("levelled-plan");
const MASTER: Table = Table("levelled-master");
const CONTRIBUTION: Table = Table("levelled-contribution");
const KEPT_BACK: Table = Table("levelled-kept-back");
const DEALT: Table = Table("levelled-dealt");

/// A key that is made.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) setup: Setup,
    pub(super) evaluator: Evaluator,
    pub(super) trustee: Trustee,
}

/// A key that is being made.
#[derive(Debug)]
struct Making {
    plan: Signed<Plan>,
    setup: Setup,
    maker: Maker,
    /// What is known, by point and step.
    seen: BTreeMap<(Point, u8), Signed<Contribution>>,
    ready: Option<Ready>,
    /// What somebody revealed is no share of the key: it will never be made.
    broken: bool,
    due: Moment,
    sent_at: Moment,
    tries: u32,
}

/// All keys.
#[derive(Debug)]
pub(super) struct Makings {
    pace: LevelledPace,
    keys: BTreeMap<Hash, Making>,
    depot: Depot,
    held: BTreeSet<Hash>,
}

impl Makings {
    /// Takes up where the store left off.
    pub(super) fn load(
        pace: LevelledPace,
        party: &Party,
        store: &mut dyn Store,
    ) -> Result<Self, AggregatorError> {
        let mut makings =
            Self { pace, keys: BTreeMap::new(), depot: Depot::default(), held: BTreeSet::new() };
        for (_, bytes) in store::entries(PLAN, store)? {
            // A plan under an earlier roster made a key of other aggregators: it is of no more use.
            let Ok(plan) = party.open_utility::<Plan>(&bytes) else { continue };
            let mut making = Making::new(plan, store)?;
            let key = making.plan.hash();
            let (from, to) = ([key.as_bytes(), &[0][..]].concat(), [key.as_bytes(), &[0xff][..]].concat());
            for (_, bytes) in store::entries_within(CONTRIBUTION, &from, &to, store)? {
                let contribution = party
                    .open_peer(&bytes, |made: &Contribution| made.point)
                    .map_err(|_| AggregatorError::Damaged("a contribution to a key can't be read"))?;
                if let Some(blob) = blob_of(&contribution) {
                    let dealt = || store.get(DEALT, &of_point(&key, contribution.point));
                    let is_deal = matches!(contribution.step, Step::Deal(..));
                    let held = if is_deal && contribution.point != party.identity.point {
                        dealt()?.is_some()
                    } else {
                        store.get(BLOB, blob.hash.as_bytes())?.is_some()
                    };
                    if held {
                        makings.held.insert(blob.hash);
                    } else {
                        makings.depot.expect(blob);
                    }
                }
                making.seen.insert((contribution.point, place(&contribution.step)), contribution);
            }
            making.finish(party, store)?;
            makings.keys.insert(key, making);
        }
        Ok(makings)
    }

    /// A key that is made.
    pub(super) fn key(&self, key: &Hash) -> Option<&Ready> {
        self.keys.get(key)?.ready.as_ref()
    }

    /// Takes a plan of the utility: makes its key with the others.
    pub(super) fn take_plan<R: CryptoRng>(
        &mut self,
        plan: Signed<Plan>,
        now: Moment,
        party: &Party,
        store: &mut dyn Store,
        rng: &mut R,
    ) -> Result<Handled, AggregatorError> {
        let key = plan.hash();
        if let Some(making) = self.keys.get_mut(&key) {
            // Who says a plan again lacks what came of it.
            making.nudge(now, &self.pace);
            return Ok(Handled::quietly());
        }
        if self.keys.len() >= MAX_KEYS {
            return Ok(Handled::refused(Rule::KeyUnknown, format_args!("there are {MAX_KEYS} keys already")));
        }
        if let Err(error) = Setup::new(&plan) {
            return Ok(Handled::refused(Rule::KeyUnknown, error));
        }
        tracing::warn!(key = %key, profile = plan.profile.name(), "making a collective key: {CAUTION}");
        let rng = &mut hedged(rng, &party.identity.key, &[b"making", key.as_bytes()]);
        let mut master = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut master[..]);
        store.put(PLAN, key.as_bytes(), plan.bytes())?;
        store.put(MASTER, key.as_bytes(), &master[..])?;
        let mut making = Making::new(plan, store)?;
        let mut sends = making.deal(party, now, &mut self.held, store, rng)?;
        sends.extend(making.advance(party, now, &mut self.held, store)?);
        self.keys.insert(key, making);
        Ok(Handled::sending(sends))
    }

    /// Takes a contribution of another aggregator.
    pub(super) fn take(
        &mut self,
        contribution: Signed<Contribution>,
        now: Moment,
        party: &Party,
        store: &mut dyn Store,
    ) -> Result<Handled, AggregatorError> {
        let (own, point, key) = (party.identity.point, contribution.point, contribution.key);
        if point == own || matches!(&contribution.step, Step::Deal(to, _) if *to != own) {
            return Ok(Handled::quietly());
        }
        let Some(making) = self.keys.get_mut(&key) else {
            return Ok(Handled::refused(Rule::KeyUnknown, format_args!("the plan of key {key} is not here")));
        };
        let step = place(&contribution.step);
        let refused =
            |detail: &str| Ok(Handled::refused(Rule::Making, format_args!("aggregator {point}: {detail}")));
        match making.seen.get(&(point, step)) {
            Some(known) if known.hash() != contribution.hash() => {
                return refused("a second, different contribution to one step");
            }
            Some(_) => {
                making.nudge(now, &self.pace);
                return Ok(Handled::quietly());
            }
            None => {}
        }
        if let Step::Commit(Round::Second, _) | Step::Reveal(Round::Second, _) = contribution.step
            && !making.setup.multiplies()
        {
            return refused("a round that this profile does not have");
        }
        if let Step::Reveal(..) = contribution.step
            && !making.seen.contains_key(&(point, step - 1))
        {
            return refused("it reveals before its commitment has come");
        }
        if let (Some(blob), false) = (blob_of(&contribution), matches!(contribution.step, Step::Made(..))) {
            self.depot.expect(blob);
        }
        store.put(CONTRIBUTION, &row(&key, point, step), contribution.bytes())?;
        making.seen.insert((point, step), contribution);
        making.tries = 0;
        Ok(Handled::sending(making.advance(party, now, &mut self.held, store)?))
    }

    /// Takes a part of a blob that contributions name.
    pub(super) fn take_data(
        &mut self,
        payload: &[u8],
        now: Moment,
        party: &Party,
        store: &mut dyn Store,
    ) -> Result<Handled, AggregatorError> {
        let (blob, bytes) = match self.depot.take(payload) {
            Ok(Some(whole)) => whole,
            Ok(None) => return Ok(Handled::quietly()),
            Err(error) => return Ok(Handled::refused(Rule::Malformed, error)),
        };
        let mut handled = Handled::quietly();
        for making in self.keys.values_mut() {
            let naming = making.seen.values().find(|contribution| blob_of(contribution) == Some(blob));
            let Some(naming) = naming.cloned() else { continue };
            match making.take_blob(&naming, &bytes, party, store)? {
                Ok(()) => {
                    self.held.insert(blob.hash);
                    handled.sends.extend(making.advance(party, now, &mut self.held, store)?);
                }
                Err(detail) => {
                    making.broken = true;
                    let detail = format!("aggregator {}: {detail}", naming.point);
                    handled.refusal = Some(protocol::rule::Refusal::new(Rule::Making, detail));
                }
            }
        }
        Ok(handled)
    }

    /// Lets time pass.
    pub(super) fn tick<R: CryptoRng>(
        &mut self,
        now: Moment,
        party: &Party,
        store: &mut dyn Store,
        rng: &mut R,
    ) -> Result<Vec<Outgoing>, AggregatorError> {
        let mut sends = Vec::new();
        for making in self.keys.values_mut() {
            // a clock that was set back is behind the last sending
            let early = now < making.due && making.sent_at <= now;
            if early || making.broken {
                continue;
            }
            if making.tries == 0 && making.ready.is_none() {
                // After a restart there may be something that was not yet done.
                sends.extend(making.advance(party, now, &mut self.held, store)?);
            }
            sends.extend(making.repeats(party, store)?);
            making.sent(now, &self.pace, rng);
        }
        Ok(sends)
    }
}

impl Making {
    fn new(plan: Signed<Plan>, store: &dyn Store) -> Result<Self, AggregatorError> {
        let damaged = AggregatorError::Damaged("a key's plan or secret can't be read");
        let master = store.get(MASTER, plan.hash().as_bytes())?.map(Zeroizing::new);
        let master = master.and_then(|bytes| <[u8; 32]>::try_from(&bytes[..]).ok()).map(Zeroizing::new);
        let (Some(master), Ok(setup)) = (master, Setup::new(&plan)) else { return Err(damaged) };
        let maker = Maker::new(setup.clone(), plan.hash(), master);
        let (due, sent_at) = (Moment(0), Moment(0));
        Ok(Self {
            plan,
            setup,
            maker,
            seen: BTreeMap::new(),
            ready: None,
            broken: false,
            due,
            sent_at,
            tries: 0,
        })
    }

    fn rounds(&self) -> &'static [Round] {
        if self.setup.multiplies() { &Round::ALL } else { &Round::ALL[..2] }
    }

    /// Somebody waits: our turn comes soon, if it did not just come.
    fn nudge(&mut self, now: Moment, pace: &LevelledPace) {
        self.due = self.due.min(self.sent_at.plus(pace.resend_first).max(now));
    }

    fn sent<R: CryptoRng>(&mut self, now: Moment, pace: &LevelledPace, rng: &mut R) {
        self.sent_at = now;
        let pause = (pace.resend_first << self.tries.min(20)).min(pace.resend_last).max(1);
        // Not everybody at once.
        let jitter = u64::from(rng.next_u32()) * pause / (4 * u64::from(u32::MAX));
        self.due = now.plus(if self.ready.is_some() { u64::MAX / 2 } else { pause + jitter });
        self.tries += 1;
    }

    /// Deals our secret, sealed, to every other aggregator; keeps our own shares.
    fn deal<R: CryptoRng>(
        &mut self,
        party: &Party,
        now: Moment,
        held: &mut BTreeSet<Hash>,
        store: &mut dyn Store,
        rng: &mut R,
    ) -> Result<Vec<Outgoing>, AggregatorError> {
        let key = self.plan.hash();
        let deals = self.maker.deals(&party.roster().points(), party.roster().t());
        let deals = deals.map_err(|_| AggregatorError::Damaged("the roster has no active sets"))?;
        let mut sends = Vec::new();
        for (to, shares) in deals {
            if to == party.identity.point {
                store.put(DEALT, &of_point(&key, to), &shares)?;
                continue;
            }
            let Some(peer) = party.roster().aggregator(to) else { continue };
            let newest =
                peer.box_key_at(now.timestamp()).or_else(|| peer.box_keys.last().map(|key| &key.key));
            let Some(sealing) = newest else { continue };
            let aad = deal_aad(party, &key, party.identity.point, to);
            let sealed = wire::encode(&sealing.seal(DEAL_INFO, &aad, &shares, rng)?);
            sends.extend(self.contribute(
                Step::Deal(to, Blob::of(&sealed)),
                Some(&sealed),
                party,
                held,
                store,
            )?);
        }
        Ok(sends)
    }

    /// Signs, stores and sends a contribution of ours.
    fn contribute(
        &mut self,
        step: Step,
        blob: Option<&[u8]>,
        party: &Party,
        held: &mut BTreeSet<Hash>,
        store: &mut dyn Store,
    ) -> Result<Vec<Outgoing>, AggregatorError> {
        let (key, point) = (self.plan.hash(), party.identity.point);
        let signed = party.sign(Contribution { key, point, step });
        let step = place(&signed.step);
        if let (Some(bytes), Some(blob)) = (blob, blob_of(&signed)) {
            store.put(BLOB, blob.hash.as_bytes(), bytes)?;
            held.insert(blob.hash);
        }
        store.put(CONTRIBUTION, &row(&key, point, step), signed.bytes())?;
        let sends = sends_of(&signed, party, store)?;
        self.seen.insert((point, step), signed);
        Ok(sends)
    }

    /// Goes on as far as what has come allows.
    fn advance(
        &mut self,
        party: &Party,
        now: Moment,
        held: &mut BTreeSet<Hash>,
        store: &mut dyn Store,
    ) -> Result<Vec<Outgoing>, AggregatorError> {
        let (own, key) = (party.identity.point, self.plan.hash());
        let mut sends = Vec::new();
        for &round in self.rounds() {
            let (commit, reveal) = (2 * (u8::from(round) - 1), 2 * (u8::from(round) - 1) + 1);
            if self.broken {
                return Ok(sends);
            }
            if !self.seen.contains_key(&(own, commit)) {
                let Some(bytes) = self.share(round, party, store)? else { return Ok(sends) };
                store.put(BLOB, Blob::of(&bytes).hash.as_bytes(), &bytes)?;
                held.insert(Blob::of(&bytes).hash);
                let step = Step::Commit(round, commitment(&key, own, round, &bytes));
                sends.extend(self.contribute(step, None, party, held, store)?);
                // What is revealed is fixed together with the commitment, and kept back until all have committed.
                let reveal =
                    party.sign(Contribution { key, point: own, step: Step::Reveal(round, Blob::of(&bytes)) });
                store.put(KEPT_BACK, &row(&key, own, place(&reveal.step)), reveal.bytes())?;
            }
            if !self.all(commit, party) {
                return Ok(sends);
            }
            let revealed = self.seen.contains_key(&(own, reveal));
            if !revealed {
                let kept = store.get(KEPT_BACK, &row(&key, own, reveal))?;
                let kept =
                    kept.and_then(|bytes| party.open_peer(&bytes, |made: &Contribution| made.point).ok());
                let kept = kept.ok_or(AggregatorError::Damaged("what was committed to is lost"))?;
                store.put(CONTRIBUTION, &row(&key, own, reveal), kept.bytes())?;
                sends.extend(sends_of(&kept, party, store)?);
                // also after a restart: its bytes were stored with the commitment
                held.extend(blob_of(&kept).map(|blob| blob.hash));
                self.seen.insert((own, reveal), kept);
            }
            let revealed = |point: &Point| {
                let blob = self.seen.get(&(*point, reveal)).and_then(|made| blob_of(made));
                blob.is_some_and(|blob| held.contains(&blob.hash))
            };
            if !party.roster().points().iter().all(revealed) {
                return Ok(sends);
            }
        }
        if !self.seen.contains_key(&(own, MADE)) {
            for point in party.roster().points() {
                if store.get(DEALT, &of_point(&key, point))?.is_none() {
                    return Ok(sends);
                }
            }
            sends.extend(self.make(party, held, store)?);
        }
        if self.ready.is_none() {
            self.finish(party, store)?;
            if self.ready.is_some() {
                tracing::info!(key = %key, "a collective key is made");
                self.due = now;
            }
        }
        Ok(sends)
    }

    /// Whether every aggregator's contribution to a step is here.
    fn all(&self, step: u8, party: &Party) -> bool {
        party.roster().points().iter().all(|point| self.seen.contains_key(&(*point, step)))
    }

    /// What all revealed in a round.
    fn revealed(
        &self,
        round: Round,
        party: &Party,
        store: &dyn Store,
    ) -> Result<Vec<(Point, Vec<u8>)>, AggregatorError> {
        let step = 2 * (u8::from(round) - 1) + 1;
        let mut all = Vec::new();
        for point in party.roster().points() {
            let blob = self.seen.get(&(point, step)).and_then(|made| blob_of(made));
            let bytes = blob.map(|blob| store.get(BLOB, blob.hash.as_bytes())).transpose()?.flatten();
            all.push((point, bytes.ok_or(AggregatorError::Damaged("what was revealed is lost"))?));
        }
        Ok(all)
    }

    /// Our share of a round; nothing if what the others revealed does not belong together.
    fn share(
        &mut self,
        round: Round,
        party: &Party,
        store: &dyn Store,
    ) -> Result<Option<Vec<u8>>, AggregatorError> {
        let share = match round {
            Round::Seed => return Ok(Some(self.maker.seed())),
            Round::First => self.maker.first(&borrowed(&self.revealed(Round::Seed, party, store)?)),
            Round::Second => {
                let seeds = self.revealed(Round::Seed, party, store)?;
                let firsts = self.revealed(Round::First, party, store)?;
                self.maker.second(&borrowed(&seeds), &borrowed(&firsts))
            }
        };
        Ok(self.or_broken(share))
    }

    fn or_broken<T>(&mut self, made: Result<T, grid::levelled::maker::MakeError>) -> Option<T> {
        match made {
            Ok(made) => Some(made),
            Err(error) => {
                tracing::warn!(key = %self.plan.hash(), "a collective key can't be made: {error}");
                self.broken = true;
                None
            }
        }
    }

    /// Adds up the keys, and says what they came to.
    fn make(
        &mut self,
        party: &Party,
        held: &mut BTreeSet<Hash>,
        store: &mut dyn Store,
    ) -> Result<Vec<Outgoing>, AggregatorError> {
        let firsts = self.revealed(Round::First, party, store)?;
        let public = self.maker.public_key(&borrowed(&firsts));
        let Some(public) = self.or_broken(public) else { return Ok(Vec::new()) };
        let mut relin_hash = Hash::from([0; 32]);
        if self.setup.multiplies() {
            let seconds = self.revealed(Round::Second, party, store)?;
            let relin = self.maker.relin_key(&borrowed(&firsts), &borrowed(&seconds));
            let Some(relin) = self.or_broken(relin) else { return Ok(Vec::new()) };
            relin_hash = Blob::of(&relin).hash;
            store.put(BLOB, relin_hash.as_bytes(), &relin)?;
        }
        self.contribute(Step::Made(Blob::of(&public), relin_hash), Some(&public), party, held, store)
    }

    /// Takes the key into use, once all have said that they made it.
    fn finish(&mut self, party: &Party, store: &dyn Store) -> Result<(), AggregatorError> {
        let made = |point: &Point| self.seen.get(&(*point, MADE)).cloned();
        let said: Vec<Signed<Contribution>> = party.roster().points().iter().filter_map(made).collect();
        if said.len() < party.roster().n() {
            return Ok(());
        }
        let agreed = match CollectiveKey::of(self.plan.clone(), &said, party.roster()) {
            Ok(agreed) => agreed,
            Err(refusal) => {
                tracing::warn!(key = %self.plan.hash(), "a collective key is not agreed on: {refusal}");
                self.broken = true;
                return Ok(());
            }
        };
        let damaged = || AggregatorError::Damaged("a collective key can't be read");
        let relin = if self.setup.multiplies() { store.get(BLOB, agreed.relin.as_bytes())? } else { None };
        let evaluator = Evaluator::new(self.setup.clone(), relin.as_deref()).map_err(|_| damaged())?;
        let (point, points) = (party.identity.point, party.roster().points());
        let mut trustee =
            Trustee::new(self.setup.clone(), point, &points, party.roster().t()).map_err(|_| damaged())?;
        for from in points {
            let dealt = store.get(DEALT, &of_point(&self.plan.hash(), from))?.map(Zeroizing::new);
            trustee.add(&dealt.ok_or_else(damaged)?).map_err(|_| damaged())?;
        }
        self.ready = Some(Ready { setup: self.setup.clone(), evaluator, trustee });
        Ok(())
    }

    /// Takes what a contribution named, if it is what it should be.
    fn take_blob(
        &self,
        naming: &Signed<Contribution>,
        bytes: &[u8],
        party: &Party,
        store: &mut dyn Store,
    ) -> Result<Result<(), String>, AggregatorError> {
        let (key, from) = (naming.key, naming.point);
        match &naming.step {
            Step::Reveal(round, blob) => {
                let committed = self.seen.get(&(from, place(&naming.step) - 1));
                let wanted = Step::Commit(*round, commitment(&key, from, *round, bytes));
                if committed.is_none_or(|committed| committed.step != wanted) {
                    return Ok(Err("it revealed something else than it committed to".to_owned()));
                }
                store.put(BLOB, blob.hash.as_bytes(), bytes)?;
            }
            Step::Deal(to, _) => {
                let aad = deal_aad(party, &key, from, *to);
                let sealed: Option<SealedBox> = wire::decode_own(bytes).ok();
                let opener = |sealed: &SealedBox| {
                    let key = party.identity.box_keys.iter().find(|key| key.key_id() == sealed.key_id)?;
                    key.open(DEAL_INFO, &aad, sealed).ok()
                };
                let Some(shares) = sealed.as_ref().and_then(opener) else {
                    return Ok(Err("the shares that it dealt don't open".to_owned()));
                };
                let points = party.roster().points();
                let trustee =
                    Trustee::new(self.setup.clone(), party.identity.point, &points, party.roster().t());
                if let Err(error) = trustee.map_err(Into::into).and_then(|trustee| trustee.check(&shares)) {
                    return Ok(Err(error.to_string()));
                }
                store.put(DEALT, &of_point(&key, from), &shares)?;
            }
            Step::Commit(..) | Step::Made(..) => {}
        }
        Ok(Ok(()))
    }

    /// Those of our contributions that somebody may lack.
    fn repeats(&self, party: &Party, store: &dyn Store) -> Result<Vec<Outgoing>, AggregatorError> {
        let own = party.identity.point;
        let come_to = |point: &Point| {
            let known = (0..=MADE).rev().find(|step| self.seen.contains_key(&(*point, *step)));
            // A step of theirs says that they have all of ours before it.
            known.unwrap_or(0)
        };
        let others = party.roster().points().into_iter().filter(|point| *point != own);
        let lowest = others.map(|point| come_to(&point)).min().unwrap_or(MADE);
        let mut sends = Vec::new();
        for ((_, step), made) in self.seen.range((own, 0)..=(own, u8::MAX)) {
            let lacking = match &made.step {
                Step::Deal(to, _) => come_to(to) < MADE,
                _ => *step >= lowest,
            };
            if lacking {
                sends.extend(sends_of(made, party, store)?);
            }
        }
        Ok(sends)
    }
}
