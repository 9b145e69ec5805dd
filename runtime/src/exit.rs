//! How a program ends: an error is reported as a short chain of causes, a panic as one line. A backtrace is printed only if
//! [`BACKTRACE`] asks for it, because many developers have `RUST_BACKTRACE=1` set.

use std::backtrace::Backtrace;
use std::fmt::Write as _;
use std::io::Write as _;
use std::panic::PanicHookInfo;
use std::process::{ExitCode, Termination};

/// The environment variable that asks for backtraces: `WATTVEIL_BACKTRACE=1`.
pub const BACKTRACE: &str = "WATTVEIL_BACKTRACE";

/// Runs a program on so many threads until it ends. Its error, if there is one, is printed on standard error.
pub fn run<T: Termination>(threads: usize, program: impl Future<Output = anyhow::Result<T>>) -> ExitCode {
    std::panic::set_hook(Box::new(|panic| print(&describe_panic(panic))));
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(threads.max(1)).enable_all().build();
    let ended = runtime.map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(program));
    match ended {
        Ok(done) => done.report(),
        Err(error) => {
            print(&describe(&error));
            if wants_backtrace() {
                print(&format!("{}\n", error.backtrace()));
            }
            ExitCode::FAILURE
        }
    }
}

/// An error and its causes: `error: …`, then a line `because: …` for each cause that the line above does not contain.
pub fn describe(error: &anyhow::Error) -> String {
    let mut text = format!("error: {error}\n");
    let mut above = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !above.contains(&cause) {
            writeln!(text, "because: {cause}").expect("a string takes any text");
        }
        above = cause;
    }
    text
}

fn describe_panic(panic: &PanicHookInfo<'_>) -> String {
    let message = panic.payload_as_str().unwrap_or("no message");
    let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    let mut line = format!("bug: {message} (at {place}); please report this line and what you did\n");
    if wants_backtrace() {
        writeln!(line, "{}", Backtrace::force_capture()).expect("a string takes any text");
    }
    line
}

fn wants_backtrace() -> bool {
    std::env::var_os(BACKTRACE).is_some_and(|value| value != "0")
}

/// Prints on standard error. If nobody reads it any more, there is nobody left to report that to.
fn print(text: &str) {
    drop(std::io::stderr().lock().write_all(text.as_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    /// Each cause has its line, and no cause is said twice.
    #[test]
    fn causes_follow_the_error() {
        let error = Err::<(), _>(std::io::Error::other("no space left"))
            .context("cannot write a.toml: no space left")
            .context("cannot make the deployment")
            .unwrap_err();
        assert_eq!(
            describe(&error),
            "error: cannot make the deployment\nbecause: cannot write a.toml: no space left\n"
        );
    }
}
