//! The demonstration: real readings become exact bills over a real broker, while parties crash, lie and attack.
//!
//! Everything it claims is checked, and it fails if one check does. Aggregators are processes of their own, so that one
//! can be killed for real; the sink and the agents run in this process, on connections of their own.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;
use meter_agent::source::Series;
use protocol::hpke_box::Suite;
use protocol::levelled::plan::Profile;
use protocol::policy::Policy;
use protocol::unit::{SlotLength, Timestamp};

use self::homes::Homes;
use self::narrator::Narrator;
use self::play::Play;
use self::report::Report;
use deployment::Plan;

mod attack;
mod cast;
mod grid_act;
pub mod grid_report;
mod homes;
mod intake_acts;
mod kept;
pub mod levelled_act;
mod liar;
mod narrator;
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

/// The most homes in a group, and in one query.
const GROUP: usize = 48;

/// Homes in each of the two groups that are computed on under one key.
const GROUP_UNDER_ONE_KEY: usize = 15;

/// Which aggregator is killed, and which one lies, from 0.
const VICTIM: usize = 2;
const LIAR: usize = 1;

/// How long rosters and certificates are valid, in seconds: a kept deployment can be started again for two years.
const VALIDITY: u64 = 730 * 86_400;

/// What a person asked for, once it is certain that it can be shown.
#[derive(Debug)]
pub struct Demonstration {
    options: Options,
    homes: Homes,
    plan: Plan,
}

impl Demonstration {
    /// Reads the homes and checks that what was asked for can be shown. Nothing is started or written.
    ///
    /// # Errors
    ///
    /// What was expected, and what to type instead.
    pub fn new(options: Options) -> anyhow::Result<Self> {
        let (n, t) = (options.aggregators, options.threshold);
        anyhow::ensure!(
            t <= n,
            "expected a threshold of at most {n}, the number of aggregators; found {t}; type --threshold {n} or --aggregators {t}"
        );
        let homes = Homes::load(options.data.as_deref(), options.meters)?;
        // store, two connections, and the broker's end of them
        let files = 5 * homes.series.len() as u64 + 200;
        let limit =
            rlimit::increase_nofile_limit(files).context("cannot find out how many files may be open")?;
        anyhow::ensure!(
            limit >= files,
            "{} homes need {files} open files, and this machine allows {limit}; type --meters {} or fewer",
            homes.series.len(),
            limit.saturating_sub(200) / 5
        );
        let plan = homes.plan(&options)?;
        Ok(Self { options, homes, plan })
    }

    /// Runs in `directory`, which is empty.
    ///
    /// # Errors
    ///
    /// If a part of it could not be run; a claim that does not hold is in the report.
    pub async fn run(self, directory: &Path) -> anyhow::Result<Report> {
        let narrator = Narrator::new(self.options.quiet);
        let report = self.play(directory, &narrator).await;
        narrator.end();
        report
    }

    async fn play(self, directory: &Path, narrator: &Narrator) -> anyhow::Result<Report> {
        let Self { options, homes, plan } = self;
        let began = Instant::now();
        narrator.say(&homes.origin);
        let town = plan.homes.clone();
        let mut play = Play::open(plan, homes, &options, directory, narrator).await?;
        play.replay().await?;
        play.bills_with_one_down().await?;
        play.attacks_at_intake().await?;
        play.everyone_back().await?;
        play.bills_with_a_liar().await?;
        play.refused_queries().await?;
        play.curves().await?;
        let mut report = play.close().await?;
        if options.shows_grid() {
            report.grid = Some(grid_act::run(&options, directory, narrator).await?);
            let say = narrator.clone();
            let act =
                move || levelled_act::run(Profile::Medium, GROUP_UNDER_ONE_KEY, |what| say.begin(what, 0));
            report.levelled = Some(tokio::task::spawn_blocking(act).await??);
            narrator.say("Mode levelled: every function of encrypted loads opened and compared");
        }
        report.seconds = began.elapsed().as_secs_f64();
        if options.keep.is_some() {
            report.again = Some(kept::write(directory, options.aggregators, &town, report.grid.is_some())?);
        }
        Ok(report)
    }
}

/// A deployment of these homes.
fn plan(
    name: &str,
    options: &Options,
    homes: &[Series],
    slot: SlotLength,
    group: usize,
    policy: Policy,
) -> Plan {
    Plan {
        name: name.to_owned(),
        aggregators: options.aggregators,
        threshold: options.threshold,
        suite: Suite::X25519,
        slot,
        policy,
        homes: homes.iter().map(|home| home.name.to_lowercase()).collect(),
        group,
        valid_from: Timestamp(0),
        valid_to: runtime::now::<Timestamp>().plus(VALIDITY),
    }
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
