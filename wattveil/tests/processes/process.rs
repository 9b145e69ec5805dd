//! Processes of this build's program, and waiting for them.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use lab::town::Process;

/// The program.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_wattveil");

/// How long anything may take before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// Waits until no other test of this program runs twenty processes. `cargo nextest` has every test in a program of its own, and keeps
/// them apart by `.config/nextest.toml`.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until `look` says so.
pub(crate) fn wait_until(what: &str, mut look: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !look() {
        assert!(Instant::now() < deadline, "{what} took too long");
        thread::sleep(Duration::from_millis(20));
    }
}

/// This program with arguments.
pub(crate) fn wattveil(arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .args(arguments)
        .env("NO_COLOR", "1")
        .env_remove("RUST_LOG")
        .env_remove("WATTVEIL_SEED")
        .env_remove("RUST_BACKTRACE");
    command.stdin(Stdio::null());
    command
}

/// Starts a role with its configuration.
pub(crate) fn start(role: &str, config: &Path, more: &[&str]) -> Process {
    Process::start(Path::new(PROGRAM), role, config, more).unwrap()
}
