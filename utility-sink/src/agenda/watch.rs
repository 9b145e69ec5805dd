//! A group whose intervals are asked for as they end.

use std::collections::BTreeSet;

use anyhow::Context as _;
use protocol::id::{GroupId, MeterId};
use protocol::roster::Roster;
use protocol::rule::Refusal;
use protocol::topic::Outgoing;
use protocol::unit::{Slot, SlotRange, Timestamp};
use rand::rngs::StdRng;
use runtime::now;
use store::Store;
use tracing::info;

use super::progress::{Progress, State};
use crate::config::ReleaseConfig;
use crate::sink::ledger::intervals_of;
use crate::sink::{Sink, SinkError};

/// A group whose intervals are asked for as they end.
#[derive(Clone, Debug)]
pub(super) struct IntervalWatch {
    name: String,
    group: GroupId,
    window: SlotRange,
    members: Vec<MeterId>,
    intervals: Vec<SlotRange>,
}

impl IntervalWatch {
    /// The watch of a configured release, if the release is of kind `grid`.
    pub(super) fn of(release: &ReleaseConfig, roster: &Roster) -> anyhow::Result<Option<Self>> {
        let (ReleaseConfig::Grid { name, .. }, Some(group)) = (release, release.group()?) else {
            return Ok(None);
        };
        let (window, members) = (release.period()?, release.meters()?);
        let slots = roster.policy().interval_slots(roster.slot());
        let slots = slots.with_context(|| {
            format!("release `{name}` has kind `grid`, but the roster's policy has no grid interval")
        })?;
        // A window of local days may begin and end within an interval: these edges are in none.
        let first = window.start().0.next_multiple_of(slots);
        let starts = (first..=window.end().0.saturating_sub(slots)).step_by(slots as usize);
        let interval = |start: u32| SlotRange::new(Slot(start), Slot(start + slots));
        let intervals = starts.map(interval).collect::<Result<_, _>>()?;
        Ok(Some(Self { name: name.clone(), group, window, members, intervals }))
    }

    /// Checks whether the rules allow its intervals at all.
    pub(super) fn check(
        &self,
        sink: &Sink,
        store: &dyn Store,
        rng: &mut StdRng,
    ) -> anyhow::Result<Result<(), Refusal>> {
        let Some(first) = self.intervals.first() else { return Ok(Ok(())) };
        let slots = (*first, self.window);
        match sink.check_interval(slots, self.group.clone(), &self.members, store, rng) {
            Ok(()) => Ok(Ok(())),
            Err(SinkError::Refused(refusal)) => Ok(Err(refusal)),
            Err(error) => Err(error.into()),
        }
    }

    /// Asks for the intervals that have ended and were not asked for yet.
    pub(super) fn ask_due(
        &self,
        sink: &mut Sink,
        store: &mut dyn Store,
        rng: &mut StdRng,
        sends: &mut Vec<Outgoing>,
    ) -> anyhow::Result<Progress> {
        let released: BTreeSet<SlotRange> =
            intervals_of(&self.group, store)?.into_iter().map(|interval| interval.slots).collect();
        let (mut open, mut stage, mut given_up, mut not_asked) = (0, None, None, None);
        for interval in &self.intervals {
            let over = sink.roster().slot().start_of(interval.end()) <= now::<Timestamp>();
            if released.contains(interval) {
                continue;
            }
            let slots = (*interval, self.window);
            if over && let Some(rule) = sink.interval_refused(&self.group, slots, &self.members, store)? {
                given_up = Some(rule);
                continue;
            }
            open += 1;
            if over && sink.is_asked(&self.group, *interval) {
                stage = stage.or_else(|| sink.interval_stage(&self.group, *interval));
            } else if over && sink.is_billing(&self.members, self.window) {
                stage = stage.or_else(|| Some("the bills of its window, which go first".to_owned()));
            } else if over {
                let asked = sink.ask_interval(slots, self.group.clone(), &self.members, now(), store, rng);
                let (id, more) = match asked {
                    Ok(asked) => asked,
                    Err(SinkError::Refused(refusal)) => {
                        open -= 1;
                        not_asked = Some(refusal);
                        continue;
                    }
                    Err(error) => return Err(error.into()),
                };
                info!(group = %self.group, first_slot = %interval.start(), query = %id, "asked");
                sends.extend(more);
            }
        }
        let state = match (open, given_up, not_asked) {
            (0, None, None) => State::Ended,
            (0, Some(rule), _) => State::GivenUp(rule),
            (0, None, Some(refusal)) => State::NotAsked(refusal),
            _ => {
                let stage = stage.unwrap_or_else(|| "the next one's end".to_owned());
                State::Waiting(format!("{open} of {} intervals; {stage}", self.intervals.len()))
            }
        };
        Ok(Progress { name: self.name.clone(), state })
    }
}
