//! A process of ours that can be killed, stopped and started again.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// Waits until `look` says so.
pub(crate) fn wait_until(what: &str, mut look: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !look() {
        assert!(Instant::now() < deadline, "{what} took too long");
        thread::sleep(Duration::from_millis(5));
    }
}

/// This program, as one of its roles.
pub(crate) fn wattveil(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wattveil"));
    command
        .args(arguments)
        .env("NO_COLOR", "1")
        .env_remove("RUST_LOG")
        .env_remove("WATTVEIL_SEED")
        .env_remove("RUST_BACKTRACE");
    command.stdin(Stdio::null());
    command
}

/// A process, running or not.
pub(crate) struct Process {
    /// Another program than ours, and the directory that it is started in.
    foreign: Option<(String, PathBuf)>,
    arguments: Vec<String>,
    log: PathBuf,
    output: PathBuf,
    child: Option<Child>,
}

impl Process {
    /// Starts a role with its configuration.
    pub(crate) fn start(role: &str, config: &Path, more: &[&str]) -> Self {
        let path = config.to_str().unwrap();
        let arguments = [role, "--config", path].into_iter().chain(more.iter().copied());
        let mut process = Self {
            foreign: None,
            arguments: arguments.map(str::to_owned).collect(),
            log: config.with_extension("log"),
            output: config.with_extension("out"),
            child: None,
        };
        process.restart();
        process
    }

    /// Starts a program that is not ours in the directory of its configuration.
    pub(crate) fn foreign(program: &str, config: &Path, arguments: &[&str]) -> Self {
        let directory = config.parent().unwrap().to_owned();
        let mut process = Self {
            foreign: Some((program.to_owned(), directory)),
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            log: config.with_extension("log"),
            output: config.with_extension("out"),
            child: None,
        };
        process.restart();
        process
    }

    pub(crate) fn restart(&mut self) {
        assert!(self.child.is_none(), "{} runs already", self.arguments[0]);
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        let output = File::create(&self.output).unwrap();
        let mut command = match &self.foreign {
            None => wattveil(&arguments),
            Some((program, directory)) => {
                let mut command = Command::new(program);
                command.args(arguments).current_dir(directory).stdin(Stdio::null());
                command
            }
        };
        self.child = Some(command.stdout(output).stderr(log).spawn().unwrap());
    }

    /// Starts it again where no file may grow beyond so many bytes, as on a disk that is full.
    pub(crate) fn restart_with_room(&mut self, bytes: u64) {
        assert!(self.child.is_none(), "{} runs already", self.arguments[0]);
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        // [ulimit] counts in pieces of 512 bytes; a write beyond fails when the signal is ignored
        let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", bytes / 512);
        let mut command = Command::new("sh");
        command.args(["-c", &script]).arg(env!("CARGO_BIN_EXE_wattveil")).args(&self.arguments);
        command.env_remove("RUST_LOG").env_remove("RUST_BACKTRACE").env("NO_COLOR", "1");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().unwrap());
    }

    /// Has it ended by itself?
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| child.try_wait().unwrap().is_some())
    }

    /// It has ended, well or not: how, unless it was killed.
    pub(crate) fn forget(&mut self) -> Option<ExitStatus> {
        assert!(self.has_ended());
        self.child.take().map(|mut child| child.wait().unwrap())
    }

    /// SIGKILL, in the middle of whatever it does.
    pub(crate) fn kill(&mut self) {
        assert!(!self.has_ended(), "{} ended before it was killed: {}", self.arguments[0], self.log());
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM; it has to end in good order.
    pub(crate) fn stop(&mut self) {
        let id = self.child.as_ref().expect("it runs").id().to_string();
        assert!(Command::new("kill").args(["-s", "TERM", &id]).status().unwrap().success());
        self.ends_well();
    }

    /// Waits for its end, which has to be a good one.
    pub(crate) fn ends_well(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.has_ended() {
            assert!(Instant::now() < deadline, "{} did not end: {}", self.arguments[0], self.log());
            thread::sleep(Duration::from_millis(5));
        }
        let status: ExitStatus = self.child.take().unwrap().wait().unwrap();
        assert_eq!(status.code(), Some(0), "{}: {status}\n{}", self.arguments[0], self.log());
    }

    /// What it has said on standard error, over all its lives.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// What it has printed in its last life.
    pub(crate) fn output(&self) -> String {
        fs::read_to_string(&self.output).unwrap()
    }

    /// How often a line with `words` is in its log.
    pub(crate) fn says(&self, words: &str) -> usize {
        self.log().lines().filter(|line| line.contains(words)).count()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }
}
