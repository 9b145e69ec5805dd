//! Meters' ciphertexts: verified, checked as ciphertexts, stored, and only then acknowledged.
//!
//! Rows: `levelled-upload` key ‖ meter ‖ first slot → the signed upload; `levelled-copy` ciphertext's hash → the upload that it
//! came with.

use std::collections::BTreeMap;

use protocol::id::{Hash, MeterId};
use protocol::levelled::blob::Depot;
use protocol::levelled::function::Member;
use protocol::levelled::plan::Plan;
use protocol::levelled::upload::{NotTaken, Taken, Upload};
use protocol::rule::{Refusal, Rule};
use protocol::signature::{Signed, Unverified};
use protocol::topic::{Handled, LevelledChannel, Outgoing};
use protocol::unit::{Slot, SlotRange};
use store::{Store, Table};

use super::making::Makings;
use super::{BLOB, topic};
use crate::aggregator::{AggregatorError, Context};

const UPLOAD: Table = Table("levelled-upload");
const COPY: Table = Table("levelled-copy");

/// The most ciphertexts of one meter that may be on their way.
const MAX_ON_THE_WAY: usize = 32;

/// Uploads on their way.
#[derive(Debug, Default)]
pub(super) struct Uploads {
    depot: Depot,
    /// By ciphertext.
    on_the_way: BTreeMap<Hash, Signed<Upload>>,
}

/// The uploads of a meter that begin within `span`, in the order of their slots.
pub(super) fn held_of(
    key: &Hash,
    meter: MeterId,
    span: SlotRange,
    context: Context<'_>,
    store: &dyn Store,
) -> Result<Vec<Signed<Upload>>, AggregatorError> {
    let Context { party, registry, .. } = context;
    let Some(certificate) = registry.certificates.get(&meter) else { return Ok(Vec::new()) };
    let (from, to) = (row(key, meter, span.start()), row(key, meter, span.end()));
    let mut held = Vec::new();
    for (_, bytes) in store::entries_within(UPLOAD, &from, &to, store)? {
        // What was signed with a key that the registrar has replaced since is nobody's any more.
        held.extend(Signed::open(&bytes, &certificate.key, &party.roster().context()));
    }
    Ok(held)
}

/// A meter as a member of a window's set, if it has uploaded the whole window.
pub(super) fn member(
    key: &Hash,
    plan: &Plan,
    window: u32,
    meter: MeterId,
    context: Context<'_>,
    store: &dyn Store,
) -> Result<Option<Member>, AggregatorError> {
    let Some(span) = plan.slots_of(window) else { return Ok(None) };
    let held = held_of(key, meter, span, context, store)?;
    let mut next = span.start();
    for upload in &held {
        if upload.slots.start() != next {
            return Ok(None);
        }
        next = upload.slots.end();
    }
    let uploads = held.iter().map(Signed::hash).collect();
    Ok((next == span.end()).then_some(Member { meter, uploads }))
}

/// The ciphertexts of a member; nothing if what is held of it is not what the member names.
pub(super) fn ciphertexts(
    key: &Hash,
    plan: &Plan,
    window: u32,
    member: &Member,
    context: Context<'_>,
    store: &dyn Store,
) -> Result<Option<Vec<Vec<u8>>>, AggregatorError> {
    let damaged = || AggregatorError::Damaged("a ciphertext that was voted for is lost");
    let span = plan.slots_of(window).ok_or_else(damaged)?;
    let held = held_of(key, member.meter, span, context, store)?;
    if !held.iter().map(Signed::hash).eq(member.uploads.iter().copied()) {
        return Ok(None);
    }
    let mut all = Vec::new();
    for upload in held {
        all.push(store.get(BLOB, upload.ciphertext.hash.as_bytes())?.ok_or_else(damaged)?);
    }
    Ok(Some(all))
}

impl Uploads {
    /// Takes the signed part of an upload that came on the topic of `meter`.
    pub(super) fn take(
        &mut self,
        meter: MeterId,
        payload: &[u8],
        makings: &Makings,
        context: Context<'_>,
        store: &dyn Store,
    ) -> Result<Handled, AggregatorError> {
        let Context { party, registry, .. } = context;
        let certificate = registry.certificates.get(&meter).filter(|c| c.covers(context.now.timestamp()));
        let Some(certificate) = certificate else {
            return Ok(Handled::refused(Rule::UnknownMeter, "no certificate covers it now"));
        };
        let unverified = match Unverified::<Upload>::parse(payload) {
            Ok(unverified) => unverified,
            Err(error) => return Ok(Handled::refused(Rule::Malformed, error)),
        };
        let upload = match unverified.verify(&certificate.key, &party.roster().context()) {
            Ok(upload) if upload.meter == meter => upload,
            Ok(_) => return Ok(Handled::refused(Rule::Malformed, "the upload is another meter's")),
            Err(error) => return Ok(Handled::refused(Rule::Forged, error)),
        };
        let Some(ready) = makings.key(&upload.key) else {
            return Ok(Handled::refused(
                Rule::KeyUnknown,
                format_args!("key {} is not made here", upload.key),
            ));
        };
        let plan = ready.setup.plan();
        if plan.place(upload.slots).is_none() {
            return Ok(refuse(&upload, Rule::Window, "its slots are not within one window", context));
        }
        if !ready.setup.fits(&upload.ciphertext) {
            return Ok(refuse(&upload, Rule::Ciphertext, "no fresh ciphertext has this length", context));
        }
        if let Some(handled) = spoken_against(&upload, plan, context, store)? {
            return Ok(handled);
        }
        let of_meter = self.on_the_way.values().filter(|other| other.meter == meter).count();
        let known = self.on_the_way.get(&upload.ciphertext.hash);
        if known.is_none() && of_meter < MAX_ON_THE_WAY {
            self.depot.expect(upload.ciphertext);
            self.on_the_way.insert(upload.ciphertext.hash, upload);
        }
        Ok(Handled::quietly())
    }

    /// Takes a part of a ciphertext.
    pub(super) fn take_data(
        &mut self,
        payload: &[u8],
        makings: &Makings,
        context: Context<'_>,
        store: &mut dyn Store,
    ) -> Result<Handled, AggregatorError> {
        let (blob, bytes) = match self.depot.take(payload) {
            Ok(Some(whole)) => whole,
            Ok(None) => return Ok(Handled::quietly()),
            Err(error) => return Ok(Handled::refused(Rule::Malformed, error)),
        };
        let Some(upload) = self.on_the_way.remove(&blob.hash) else { return Ok(Handled::quietly()) };
        let Some(ready) = makings.key(&upload.key) else { return Ok(Handled::quietly()) };
        if let Err(error) = ready.setup.read_ciphertext(&bytes) {
            return Ok(refuse(&upload, Rule::Ciphertext, &error.to_string(), context));
        }
        // Another upload for its slots may have become whole while it was on its way.
        if let Some(handled) = spoken_against(&upload, ready.setup.plan(), context, store)? {
            return Ok(handled);
        }
        store.put(UPLOAD, &row(&upload.key, upload.meter, upload.slots.start()), upload.bytes())?;
        store.put(COPY, blob.hash.as_bytes(), upload.hash().as_bytes())?;
        store.put(BLOB, blob.hash.as_bytes(), &bytes)?;
        Ok(Handled::sending(vec![word(&upload, None, context)]))
    }
}

/// Why an upload is not taken beside what is held, if there is a reason.
fn spoken_against(
    upload: &Signed<Upload>,
    plan: &Plan,
    context: Context<'_>,
    store: &dyn Store,
) -> Result<Option<Handled>, AggregatorError> {
    let Context { party, registry, .. } = context;
    let meter = upload.meter;
    // What overlaps it is in the same window.
    let before = plan.slots_of(plan.window_of(upload.slots.start())).unwrap_or(upload.slots);
    for other in held_of(&upload.key, meter, before, context, store)? {
        if other.hash() == upload.hash() {
            let sends = vec![word(upload, None, context)];
            let refusal = Some(Refusal::new(Rule::Replay, "it is held"));
            return Ok(Some(Handled { sends, refusal }));
        }
        if other.slots.overlaps(upload.slots) {
            let detail = "another upload covers these slots";
            return Ok(Some(refuse(upload, Rule::Equivocation, detail, context)));
        }
    }
    if registry.stopping(meter, upload.slots, party).is_some() {
        let detail = "its slots end after the meter was revoked";
        return Ok(Some(refuse(upload, Rule::Revoked, detail, context)));
    }
    if store.get(COPY, upload.ciphertext.hash.as_bytes())?.is_some() {
        let detail = "its ciphertext came with another upload";
        return Ok(Some(refuse(upload, Rule::Copied, detail, context)));
    }
    Ok(None)
}

/// What a meter is to hear of an upload: that it is held, or why it never will be.
fn word(upload: &Signed<Upload>, refused: Option<Rule>, context: Context<'_>) -> Outgoing {
    let (meter, name) = (upload.meter, upload.hash());
    let party = context.party;
    let taken = party.sign(Taken {
        point: party.identity.point,
        meter,
        held: if refused.is_none() { vec![name] } else { Vec::new() },
        refused: refused.into_iter().map(|rule| NotTaken { upload: name, rule }).collect(),
        at: context.now.timestamp(),
    });
    Outgoing::new(topic(party, LevelledChannel::Taken(meter, party.name.clone())), taken.into_bytes())
}

/// A refusal that its meter hears of.
fn refuse(upload: &Signed<Upload>, rule: Rule, detail: &str, context: Context<'_>) -> Handled {
    let detail = format!("upload of meter {} for {}: {detail}", upload.meter, upload.slots);
    Handled { sends: vec![word(upload, Some(rule), context)], refusal: Some(Refusal::new(rule, detail)) }
}

fn row(key: &Hash, meter: MeterId, first: Slot) -> Vec<u8> {
    [key.as_bytes(), &meter.as_bytes()[..], &first.0.to_be_bytes()].concat()
}
