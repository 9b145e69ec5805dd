//! The demonstration: real readings become exact bills over a real broker, while parties crash, lie and attack.
//!
//! Everything it claims is checked, and it fails if one check does. Aggregators are processes of their own, so that one
//! can be killed for real; the sink and the agents run in this process, on connections of their own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use protocol::hpke_box::Suite;
use protocol::levelled::plan::Profile;
use protocol::policy::Policy;
use protocol::unit::Timestamp;

use self::homes::Homes;
use self::play::Play;
use self::report::Report;
use deployment::{Deployment, Plan};

mod attack;
mod cast;
mod grid_act;
pub mod grid_report;
mod homes;
mod intake_acts;
pub mod levelled_act;
mod liar;
mod observer;
mod play;
mod release_acts;
pub mod report;

/// What a demonstration is to show.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// A file of load data instead of the shipped homes.
    pub data: Option<PathBuf>,
    /// So many synthetic homes instead of the shipped ones; with `data`, the first so many of the file.
    pub meters: Option<usize>,
    /// n.
    pub aggregators: usize,
    /// t.
    pub threshold: usize,
    /// Slots a second; 0 is as fast as it goes.
    pub speed: f64,
    /// Where to keep everything it made.
    pub keep: Option<PathBuf>,
    /// Whether nothing but the report may be printed.
    pub quiet: bool,
}

impl Options {
    /// Whether the grid path is shown: with the shipped homes, and where a key is dealt to few enough active sets.
    fn shows_grid(&self) -> bool {
        let sets = protocol::roster::combinations(self.aggregators, self.threshold);
        self.data.is_none() && self.meters.is_none() && sets <= protocol::roster::MAX_SETS
    }
}

/// The tariffs of every bill, as their author wrote them: a flat one and one by time of use.
const TARIFFS: [&str; 2] = [deployment::FLAT_TARIFF, deployment::TIME_OF_USE_TARIFF];

/// The most homes in a group, and in one query.
const GROUP: usize = 48;

/// Homes in each of the two groups that are computed on under one key.
const GROUP_UNDER_ONE_KEY: usize = 15;

/// Which aggregator is killed, and which one lies, from 0.
const VICTIM: usize = 2;
const LIAR: usize = 1;

/// Runs a demonstration in `directory`.
///
/// # Errors
///
/// If a part of it could not be run; a claim that does not hold is in the report.
pub async fn run(options: &Options, directory: &Path) -> anyhow::Result<Report> {
    let began = Instant::now();
    let homes = Homes::load(options.data.as_deref(), options.meters)?;
    let mut dice = runtime::entropy()?;
    let plan = plan(&homes, options)?;
    let deployment = Arc::new(Deployment::create(&plan, &mut dice)?);
    let mut play = Play::open(deployment, homes, options, directory, dice).await?;
    play.replay().await?;
    play.bills_with_one_down().await?;
    play.attacks_at_intake().await?;
    play.everyone_back().await?;
    play.bills_with_a_liar().await?;
    play.refused_queries().await?;
    play.curves().await?;
    let mut report = play.close().await?;
    if options.shows_grid() {
        report.grid = Some(grid_act::run(options, directory, runtime::entropy()?).await?);
        let act = || levelled_act::run(Profile::Medium, GROUP_UNDER_ONE_KEY);
        report.levelled = Some(tokio::task::spawn_blocking(act).await??);
    }
    report.seconds = began.elapsed().as_secs_f64();
    Ok(report)
}

/// A deployment that fits the homes: the production policy, as far as there are homes and days for it.
fn plan(homes: &Homes, options: &Options) -> anyhow::Result<Plan> {
    let count = homes.series.len();
    let groups = count.div_ceil(GROUP);
    let production = Policy::production();
    let per_query = half_sizes(count).into_iter().min().unwrap_or(1);
    let policy = Policy {
        k: production.k.min(u16::try_from(count / groups)?),
        bill_days: production.bill_days.min(u16::try_from(homes.days())?),
        smallest_cell: production.smallest_cell.min(u16::try_from(homes.slots() / 26)?.max(1)),
        tariff_meters: production.tariff_meters.min(u16::try_from(per_query)?),
        // the replay's data may be years old
        late_grace: u32::MAX,
        // the homes' curve is asked for as a whole, after their bills
        grid_interval: 0,
        ..production
    };
    let now = runtime::now::<Timestamp>();
    Ok(Plan {
        name: "demo".into(),
        aggregators: options.aggregators,
        threshold: options.threshold,
        suite: Suite::X25519,
        slot: homes.slot(),
        policy,
        homes: homes.series.iter().map(|home| home.name.to_lowercase()).collect(),
        group: GROUP,
        valid_from: Timestamp(0),
        valid_to: now.plus(86_400),
    })
}

/// How the homes are split over bill queries: the first half before the crash is mended, the second after.
fn half_sizes(count: usize) -> Vec<usize> {
    let first = count.div_ceil(2);
    [first, count - first]
        .into_iter()
        .filter(|half| *half > 0)
        .flat_map(|half| {
            let queries = half.div_ceil(GROUP);
            (0..queries).map(move |i| half * (i + 1) / queries - half * i / queries)
        })
        .collect()
}
