//! A configured release is asked for once: the store keeps the query that it was asked by.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use protocol::id::{Hash, MeterId, QueryId};
use protocol::release::query::Ask;
use protocol::rule::{Refusal, Rule};
use protocol::unit::SlotRange;
use rand::rngs::StdRng;
use runtime::now;
use store::{Store, Table};
use tracing::info;

use crate::config::ReleaseConfig;
use crate::sink::release::refusals::{forget_given_up, given_up};
use crate::sink::release::{being_voted_for, has_outcome, is_stored};
use crate::sink::{Sink, SinkError};

/// The query that a configured release was asked by: its name → query id.
const ASKED: Table = Table("asked");

/// What a configured release may refer to.
pub(super) struct Context<'a> {
    /// The published tariffs' hashes by name.
    pub(super) published: &'a BTreeMap<String, Hash>,
    /// The queries of all configured releases: none is withdrawn for another.
    pub(super) configured: &'a BTreeSet<QueryId>,
}

/// Asks for a configured release, unless its query is open or has ended. Returns the query, or why the rules do not allow it.
pub(super) fn ask_once(
    release: &ReleaseConfig,
    context: &Context<'_>,
    sink: &mut Sink,
    store: &mut dyn Store,
    rng: &mut StdRng,
) -> anyhow::Result<Result<QueryId, Refusal>> {
    let before = query_of(release.name(), store)?;
    if let Some(id) = before
        && matches!(Fate::of(id, store)?, Fate::Open | Fate::Ended)
    {
        return Ok(Ok(id));
    }
    let (period, meters) = (release.period()?, release.meters()?);
    let asked = match release {
        ReleaseConfig::Bill { name, tariffs, .. } => {
            let hash = |tariff: &String| {
                context.published.get(tariff).copied().with_context(|| {
                    let known = context.published.keys().cloned().collect::<Vec<_>>().join(", ");
                    format!("release `{name}`: expected one of the tariffs {known}; found `{tariff}`")
                })
            };
            let hashes: Vec<Hash> = tariffs.iter().map(hash).collect::<anyhow::Result<_>>()?;
            let open = sink.billing(&meters).into_iter().find(|id| context.configured.contains(id));
            if let Some(other) = open {
                return Ok(Err(sink.on_its_way(other, &meters)));
            }
            sink.ask_bills(period, &hashes, &meters, now(), store, rng)
        }
        ReleaseConfig::Curve { group, .. } | ReleaseConfig::Grid { group, .. } => {
            sink.ask_curve(period, group.parse()?, &meters, now(), store, rng)
        }
    };
    let id = match asked {
        Ok((id, _)) => id,
        Err(SinkError::Refused(refusal)) => return Ok(Err(refusal)),
        Err(error) => return Err(error.into()),
    };
    store.put(ASKED, release.name().as_bytes(), id.as_bytes())?;
    // Nothing names the earlier query any more. Had the rules not allowed the new one, it would stay given up.
    if let Some(before) = before {
        forget_given_up(before, store)?;
    }
    info!(release = release.name(), query = %id, "asked");
    Ok(Ok(id))
}

/// The latest query of the release with this name.
pub(super) fn query_of(name: &str, store: &dyn Store) -> anyhow::Result<Option<QueryId>> {
    let Some(bytes) = store.get(ASKED, name.as_bytes())? else { return Ok(None) };
    let bytes = <[u8; 16]>::try_from(&bytes[..]).context("a query's id in the store can't be read")?;
    Ok(Some(QueryId::from(bytes)))
}

/// The fate of a configured release so far.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fate {
    /// It was not asked for, or its query was withdrawn. It will be asked for again.
    Unasked,
    /// Its query was given up by this rule. It will be asked for again.
    GivenUp(Rule),
    /// Its query is open.
    Open,
    /// Its query has ended.
    Ended,
}

impl Fate {
    fn of(id: QueryId, store: &dyn Store) -> anyhow::Result<Self> {
        Ok(if has_outcome(id, store)? {
            Self::Ended
        } else if let Some(rule) = given_up(id, store)? {
            Self::GivenUp(rule)
        } else if is_stored(id, store)? {
            Self::Open
        } else {
            Self::Unasked
        })
    }

    /// The fate of the release with this name.
    ///
    /// # Errors
    ///
    /// A store that can't be read.
    pub fn of_release(name: &str, store: &dyn Store) -> anyhow::Result<Self> {
        query_of(name, store)?.map_or(Ok(Self::Unasked), |id| Self::of(id, store))
    }
}

/// A configured bill release that has a cut and has not ended. Its meters can be in no other bill release until it ends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OpenBills {
    /// Its name.
    pub name: String,
    /// Its period.
    pub period: SlotRange,
    /// The meters that it names.
    pub meters: Vec<MeterId>,
}

impl OpenBills {
    /// All that a store has.
    ///
    /// # Errors
    ///
    /// A store that can't be read.
    pub fn all(store: &dyn Store) -> anyhow::Result<Vec<Self>> {
        let mut found = Vec::new();
        for (name, _) in store::entries(ASKED, store)? {
            let name = String::from_utf8(name).context("a release's name in the store can't be read")?;
            if let Some(id) = query_of(&name, store)?
                && let Some(query) = being_voted_for(id, store)?
                && let Ask::Bill(_) = query.ask
            {
                found.push(Self { name, period: query.period, meters: query.meters() });
            }
        }
        Ok(found)
    }
}
