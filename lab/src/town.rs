//! The town of real processes: a broker, aggregators, meters and a sink, each with its files, its log and its store; for the system
//! tests and for what is measured of whole roles.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tempfile::TempDir;

pub use self::process::{Process, Usage};
use deployment::{Deployment, Files};

mod process;

/// A town whose broker runs.
#[derive(Debug)]
pub struct Town {
    /// Everybody's keys.
    pub deployment: Deployment,
    /// Everybody's configuration.
    pub files: Files,
    /// The broker.
    pub broker: Process,
    /// The aggregators that were started.
    pub aggregators: Vec<Process>,
    /// The meters that were started.
    pub meters: Vec<Process>,
    program: PathBuf,
    directory: TempDir,
}

/// A port that is free now: a broker's file has to name one.
///
/// # Errors
///
/// If no port is free.
pub fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no port is free")?;
    Ok(listener.local_addr()?)
}

impl Town {
    /// A town in `directory` with a broker that listens. `program` is the path of `wattveil`.
    pub fn new(
        program: &Path,
        deployment: Deployment,
        files: Files,
        broker: Process,
        directory: TempDir,
    ) -> Self {
        let (aggregators, meters, program) = (Vec::new(), Vec::new(), program.to_owned());
        Self { deployment, files, broker, aggregators, meters, program, directory }
    }

    /// Starts the aggregators, and waits until all of them listen.
    ///
    /// # Errors
    ///
    /// If one does not start.
    pub fn start_aggregators(&mut self, more: &[&str]) -> anyhow::Result<()> {
        for config in &self.files.aggregators {
            self.aggregators.push(Process::start(&self.program, "aggregator-worker", config, more)?);
        }
        self.aggregators.iter_mut().try_for_each(|worker| worker.wait_for("listening"))
    }

    /// Starts the meters.
    ///
    /// # Errors
    ///
    /// If one can't be started.
    pub fn start_meters(&mut self, more: &[&str]) -> anyhow::Result<()> {
        for config in &self.files.meters {
            self.meters.push(Process::start(&self.program, "meter-agent", config, more)?);
        }
        Ok(())
    }

    /// Starts the sink.
    ///
    /// # Errors
    ///
    /// If it can't be started.
    pub fn start_sink(&self, more: &[&str]) -> anyhow::Result<Process> {
        Process::start(&self.program, "utility-sink", &self.files.sink, more)
    }

    /// Brings a broker back on its port, also when a client's attempt to connect happens to sit on it.
    ///
    /// # Errors
    ///
    /// If it can't be started.
    pub fn restart_broker(&mut self) -> anyhow::Result<()> {
        let before = self.broker.says("listening");
        loop {
            if self.broker.has_ended() {
                self.broker.forget();
                self.broker.restart()?;
            }
            if self.broker.waits_for("listening", before + 1).is_ok() {
                return Ok(());
            }
            anyhow::ensure!(self.broker.has_ended(), "the broker does not listen: {}", self.broker.log());
        }
    }

    /// An aggregator's store.
    pub fn store(&self, aggregator: usize) -> PathBuf {
        self.files.aggregators[aggregator].with_file_name("worker.redb")
    }

    /// What all aggregators have used, and the most memory that one of them had.
    ///
    /// # Errors
    ///
    /// If one has ended.
    pub fn aggregators_used(&self) -> anyhow::Result<Usage> {
        let mut all = Usage::default();
        for worker in &self.aggregators {
            let usage = worker.usage()?;
            all.cpu += usage.cpu;
            all.written += usage.written;
            all.memory = all.memory.max(usage.memory);
            all.peak = all.peak.max(usage.peak);
        }
        Ok(all)
    }

    /// Where everything is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}
