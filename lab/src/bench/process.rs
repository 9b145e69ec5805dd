//! A role as a process of its own, and what it has used of the machine.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;

/// How long a role may take to start.
const PATIENCE: Duration = Duration::from_mins(2);

/// Clock ticks a second in `/proc`: 100 on every Linux.
const TICKS: u64 = 100;

/// This program as one of its roles. Killed when dropped.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    log: PathBuf,
}

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    /// Processor time, user and system.
    pub cpu: Duration,
    /// Bytes it has in memory now.
    pub memory: u64,
    /// Those of them that are no pages of a file, such as its program.
    pub own: u64,
    /// The most bytes that it had in memory.
    pub peak: u64,
    /// Bytes that it had written to the disk.
    pub written: u64,
}

impl Process {
    /// Starts a role with its configuration.
    ///
    /// # Errors
    ///
    /// If it can't be started.
    pub(super) fn start(role: &str, config: &Path) -> anyhow::Result<Self> {
        let log = config.with_extension("log");
        let errors = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let program = std::env::current_exe().context("this program does not know its own path")?;
        let child = Command::new(program)
            .arg(role)
            .arg("--config")
            .arg(config)
            .env("NO_COLOR", "1")
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors)
            .spawn()
            .with_context(|| format!("the {role} could not be started"))?;
        Ok(Self { child, log })
    }

    /// Waits until its log has these words.
    ///
    /// # Errors
    ///
    /// If it ends before, or takes too long; with its log.
    pub(super) fn says(&mut self, words: &str) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            if log.contains(words) {
                return Ok(());
            }
            let ended = self.child.try_wait()?.is_some();
            anyhow::ensure!(!ended, "a role ended before it said `{words}`:\n{log}");
            anyhow::ensure!(began.elapsed() < PATIENCE, "a role did not say `{words}`:\n{log}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What it has warned of. What rumqttd says of clients that have left is none of it.
    pub(super) fn complaints(&self) -> Vec<String> {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let is_one = |line: &&str| {
            (line.contains(" WARN ") || line.contains(" ERROR ")) && !line.contains(" rumqttd::")
        };
        log.lines().filter(is_one).map(str::to_owned).collect()
    }

    /// What it has used so far.
    ///
    /// # Errors
    ///
    /// If it has ended, or `/proc` can't be read.
    pub(super) fn usage(&self) -> anyhow::Result<Usage> {
        Usage::of(self.child.id())
    }

    /// Kills it: SIGKILL, no goodbye.
    ///
    /// # Errors
    ///
    /// If it has ended before.
    pub(super) fn kill(mut self) -> anyhow::Result<()> {
        let ended = self.child.try_wait()?;
        anyhow::ensure!(ended.is_none(), "a role ended by itself: {ended:?}");
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // one that was killed before is an error that says nothing
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Usage {
    /// Of a process.
    ///
    /// # Errors
    ///
    /// If there is none, or `/proc` can't be read.
    pub(super) fn of(process: u32) -> anyhow::Result<Self> {
        let read = |file: &str| {
            let path = format!("/proc/{process}/{file}");
            fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
        };
        let stat = read("stat")?;
        // the name, in parentheses, may have spaces
        let (_, fields) = stat.rsplit_once(')').context("no name in /proc/PID/stat")?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let ticks = |index: usize| -> anyhow::Result<u64> {
            Ok(fields.get(index).context("too few fields in /proc/PID/stat")?.parse()?)
        };
        let cpu = Duration::from_millis((ticks(11)? + ticks(12)?) * 1_000 / TICKS);
        let (status, io) = (read("status")?, read("io")?);
        let kib = |name| Ok::<u64, anyhow::Error>(field(&status, name)? << 10);
        Ok(Self {
            cpu,
            memory: kib("VmRSS:")?,
            own: kib("RssAnon:")?,
            peak: kib("VmHWM:")?,
            written: field(&io, "write_bytes:")?,
        })
    }

    /// What was used since `before`; memory is not a difference.
    pub(super) fn since(self, before: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(before.cpu),
            written: self.written.saturating_sub(before.written),
            ..self
        }
    }
}

/// The number after a name at the start of a line.
fn field(text: &str, name: &str) -> anyhow::Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.with_context(|| format!("/proc has no {name}"))?.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// This process has used time and memory, and what it does is seen.
    #[test]
    fn usage_is_seen() {
        let before = Usage::of(std::process::id()).unwrap();
        let mut work = 0_u64;
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(200) {
            work = std::hint::black_box(work.wrapping_mul(3).wrapping_add(1));
        }
        let used = Usage::of(std::process::id()).unwrap().since(before);
        assert!((20..10_000).contains(&used.cpu.as_millis()), "{:?}", used.cpu);
        assert!(used.memory > 1 << 20 && used.peak >= used.memory / 2 && used.own < used.memory);
        assert!(Usage::of(u32::MAX).is_err());
    }
}
