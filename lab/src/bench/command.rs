//! `wattveil bench` as a command: its flags, and what it does with them.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use protocol::levelled::plan::Profile;

use super::suite::Suite;
use super::{compare, grid, levelled, pipeline};

/// Measure what each step of a reading's way costs
#[derive(Args, Debug)]
pub struct Command {
    #[command(subcommand)]
    part: Option<Part>,
    /// How many aggregators
    #[arg(long, value_name = "N", default_value_t = 4)]
    aggregators: usize,
    /// How many aggregators can reconstruct a value together
    #[arg(long, value_name = "T", default_value_t = 2)]
    threshold: usize,
    /// Print the figures as JSON; with a file, print the table and write them there
    #[arg(long, value_name = "FILE", global = true, num_args = 0..=1, require_equals = true,
        default_missing_value = "-")]
    json: Option<PathBuf>,
    /// Print also how the figures compare to those that an earlier run wrote with --json=FILE
    #[arg(long, value_name = "FILE", global = true)]
    compare: Option<PathBuf>,
}

impl Command {
    /// What the figures are of, as their JSON says.
    fn name(&self) -> &'static str {
        match self.part {
            None => "steps",
            Some(Part::Grid { .. }) => "grid",
            Some(Part::Levelled { .. }) => "levelled",
            Some(Part::Pipeline(_)) => "pipeline",
            Some(Part::Memory(_)) => "memory",
        }
    }

    /// Measures, and prints the figures.
    ///
    /// # Errors
    ///
    /// A benchmark that can't run, a sum that is not the plaintext's, or a file that can't be read or written.
    pub async fn run(&self, out: &mut impl Write) -> anyhow::Result<()> {
        let Self { aggregators, threshold, .. } = *self;
        let before = self.compare.as_deref().map(|file| compare::read(file, self.name())).transpose()?;
        let (table, figures) = match &self.part {
            None => {
                let directory = tempfile::tempdir().context("cannot make a directory for the benchmark")?;
                let costs = super::run(directory.path(), aggregators, threshold)?;
                (costs.to_string(), costs.to_json())
            }
            Some(Part::Grid { meters, suite }) => {
                let costs = grid::run(*meters, *suite)?;
                anyhow::ensure!(costs.exact(), "a sum is not the plaintext's:\n{costs}");
                (costs.to_string(), costs.to_json())
            }
            Some(Part::Levelled { meters, suite }) => {
                let costs = levelled::run(Profile::Medium, *meters, *suite)?;
                anyhow::ensure!(costs.exact(), "a value is not the plaintext's:\n{costs}");
                (costs.to_string(), costs.to_json())
            }
            Some(Part::Pipeline(options)) => {
                let costs = pipeline::run(options).await?;
                (costs.to_string(), costs.to_json())
            }
            Some(Part::Memory(options)) => {
                let memory = pipeline::memory::run(options).await?;
                (memory.to_string(), memory.to_json())
            }
        };
        match &self.json {
            Some(file) if file.as_os_str() == "-" => writeln!(out, "{figures:#}")?,
            Some(file) => {
                write!(out, "{table}")?;
                std::fs::write(file, format!("{figures:#}\n"))
                    .with_context(|| format!("cannot write {}", file.display()))?;
            }
            None => write!(out, "{table}")?,
        }
        if let Some(before) = before {
            write!(out, "{}", compare::table(&before, &figures))?;
        }
        Ok(())
    }
}

#[derive(Debug, Subcommand)]
enum Part {
    /// The grid path in mode sum: steps, sums of up to 10,000 meters, and the suites
    Grid {
        /// Load vectors in the largest sum, and meters in the largest village
        #[arg(long, value_name = "N", default_value_t = 10_000)]
        meters: usize,
        /// Only this suite [default: all three]
        #[arg(long)]
        suite: Option<Suite>,
    },
    /// Mode levelled: what computing under encryption costs, from upload to opening
    Levelled {
        /// The largest set of meters
        #[arg(long, value_name = "N", default_value_t = 1_000)]
        meters: usize,
        /// Only this suite [default: all three]
        #[arg(long)]
        suite: Option<Suite>,
    },
    /// The pipeline under load: share messages a second from publishing to durable and receipted, all roles as processes
    Pipeline(pipeline::Options),
    /// What the roles have in memory: aggregators with weeks of many meters, a meter agent that waits
    Memory(pipeline::memory::Options),
}
