//! A process that can be killed, stopped and started again, and what it has used of the machine.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;

/// How long a role may take to start or to end.
const PATIENCE: Duration = Duration::from_mins(2);

/// How long to wait between two looks.
const STEP: Duration = Duration::from_millis(20);

/// Clock ticks a second in `/proc`: 100 on every Linux.
const TICKS: u64 = 100;

/// A process, running or not. Killed when dropped.
#[derive(Debug)]
pub struct Process {
    program: PathBuf,
    arguments: Vec<OsString>,
    /// Where another program than ours is started.
    directory: Option<PathBuf>,
    log: PathBuf,
    output: PathBuf,
    child: Option<Child>,
}

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
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
    /// Starts a role of `program`, the path of `wattveil`, with its configuration.
    ///
    /// # Errors
    ///
    /// If it can't be started.
    pub fn start(program: &Path, role: &str, config: &Path, more: &[&str]) -> anyhow::Result<Self> {
        let arguments = [role.into(), "--config".into(), config.into()];
        let mut process = Self {
            program: program.to_owned(),
            arguments: arguments.into_iter().chain(more.iter().map(OsString::from)).collect(),
            directory: None,
            log: config.with_extension("log"),
            output: config.with_extension("out"),
            child: None,
        };
        process.restart()?;
        Ok(process)
    }

    /// Starts a program that is not ours in the directory of its configuration.
    ///
    /// # Errors
    ///
    /// If it can't be started.
    pub fn foreign(program: &str, config: &Path, arguments: &[&str]) -> anyhow::Result<Self> {
        let mut process = Self {
            program: program.into(),
            arguments: arguments.iter().map(OsString::from).collect(),
            directory: config.parent().map(Path::to_owned),
            log: config.with_extension("log"),
            output: config.with_extension("out"),
            child: None,
        };
        process.restart()?;
        Ok(process)
    }

    /// Starts it again.
    ///
    /// # Errors
    ///
    /// If it runs already, or can't be started.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        self.spawn(command)
    }

    /// Starts it again where no file may grow beyond so many bytes, as on a disk that is full.
    ///
    /// # Errors
    ///
    /// If it runs already, or can't be started.
    pub fn restart_with_room(&mut self, bytes: u64) -> anyhow::Result<()> {
        // [ulimit] counts in pieces of 512 bytes; a write beyond fails when the signal is ignored
        let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", bytes / 512);
        let mut command = Command::new("sh");
        command.args(["-c", &script]).arg(&self.program).args(&self.arguments);
        self.spawn(command)
    }

    fn spawn(&mut self, mut command: Command) -> anyhow::Result<()> {
        anyhow::ensure!(self.child.is_none(), "{} runs already", self.name());
        let log = File::options().create(true).append(true).open(&self.log);
        let log = log.with_context(|| format!("cannot write {}", self.log.display()))?;
        let output = File::create(&self.output)?;
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        command
            .env("NO_COLOR", "1")
            .env_remove("RUST_LOG")
            .env_remove("WATTVEIL_SEED")
            .env_remove("RUST_BACKTRACE");
        command.stdin(Stdio::null()).stdout(output).stderr(log);
        self.child = Some(command.spawn().with_context(|| format!("cannot start {}", self.name()))?);
        Ok(())
    }

    fn name(&self) -> String {
        [self.program.as_os_str()]
            .into_iter()
            .chain(self.arguments.iter().map(OsString::as_os_str))
            .take(2)
            .map(|word| word.to_string_lossy())
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// Whether it has ended, by itself or killed.
    pub fn has_ended(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None)))
    }

    /// Forgets a process that has ended: how it did, unless it was killed.
    pub fn forget(&mut self) -> Option<ExitStatus> {
        self.child.take().and_then(|mut child| child.wait().ok())
    }

    /// Kills it: SIGKILL, in the middle of whatever it does.
    ///
    /// # Errors
    ///
    /// If it has ended before.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        anyhow::ensure!(!self.has_ended(), "{} ended by itself: {}", self.name(), self.log());
        let mut child = self.child.take().context("it runs")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Stops it: SIGTERM, and it has to end in good order.
    ///
    /// # Errors
    ///
    /// If it does not.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        let id = self.child.as_ref().context("it does not run")?.id().to_string();
        let sent = Command::new("kill").args(["-s", "TERM", &id]).status()?;
        anyhow::ensure!(sent.success(), "{} could not be stopped", self.name());
        self.ends_well()
    }

    /// Waits for its end, which has to be a good one.
    ///
    /// # Errors
    ///
    /// If it is not, or takes too long; with its log.
    pub fn ends_well(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        while !self.has_ended() {
            anyhow::ensure!(began.elapsed() < PATIENCE, "{} did not end: {}", self.name(), self.log());
            thread::sleep(STEP);
        }
        let status = self.forget().context("it was killed")?;
        anyhow::ensure!(status.code() == Some(0), "{}: {status}\n{}", self.name(), self.log());
        Ok(())
    }

    /// What it has logged, over all its lives.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// What it has printed in its last life.
    pub fn output(&self) -> String {
        fs::read_to_string(&self.output).unwrap_or_default()
    }

    /// How many lines of its log have these words.
    pub fn says(&self, words: &str) -> usize {
        self.log().lines().filter(|line| line.contains(words)).count()
    }

    /// Waits until its log has these words.
    ///
    /// # Errors
    ///
    /// If it ends before, or takes too long; with its log.
    pub fn wait_for(&mut self, words: &str) -> anyhow::Result<()> {
        self.waits_for(words, 1)
    }

    /// Waits until so many lines of its log have these words.
    ///
    /// # Errors
    ///
    /// If it ends before, or takes too long; with its log.
    pub fn waits_for(&mut self, words: &str, lines: usize) -> anyhow::Result<()> {
        let began = Instant::now();
        while self.says(words) < lines {
            let (name, log) = (self.name(), self.log());
            anyhow::ensure!(!self.has_ended(), "{name} ended before it logged `{words}`:\n{log}");
            anyhow::ensure!(began.elapsed() < PATIENCE, "{name} did not log `{words}`:\n{log}");
            thread::sleep(STEP);
        }
        Ok(())
    }

    /// What it has warned of. What rumqttd logs of clients that have left is none of it.
    pub fn complaints(&self) -> Vec<String> {
        let is_one = |line: &&str| {
            (line.contains(" WARN ") || line.contains(" ERROR ")) && !line.contains(" rumqttd::")
        };
        self.log().lines().filter(is_one).map(str::to_owned).collect()
    }

    /// What it has used so far.
    ///
    /// # Errors
    ///
    /// If it has ended, or `/proc` can't be read.
    pub fn usage(&self) -> anyhow::Result<Usage> {
        Usage::of(self.child.as_ref().context("it does not run")?.id())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // one that has ended before is an error that says nothing
            drop(child.kill());
            drop(child.wait());
        }
    }
}

impl Usage {
    /// Of a process.
    ///
    /// # Errors
    ///
    /// If there is none, or `/proc` can't be read.
    pub fn of(process: u32) -> anyhow::Result<Self> {
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
    #[must_use]
    pub fn since(self, before: Self) -> Self {
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
