//! What happens when the router inside has died: nobody is served any more, and the broker is to be started anew.

use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tokio::sync::watch;
use tracing::error;

/// The status of a process that ends itself since its router has died.
pub(crate) const STATUS: i32 = 70;
/// How long the process may take to end by itself.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Whether the router has died, and what is to come of it.
#[derive(Debug)]
pub(crate) struct RouterFailure {
    dead: watch::Sender<bool>,
    exit: AtomicBool,
}

impl Default for RouterFailure {
    fn default() -> Self {
        Self { dead: watch::Sender::new(false), exit: AtomicBool::new(false) }
    }
}

impl RouterFailure {
    /// From now on a dead router ends the process.
    pub(crate) fn ends_the_process(&self) {
        self.exit.store(true, Ordering::Relaxed);
    }

    /// To be told.
    pub(crate) fn watch(&self) -> watch::Receiver<bool> {
        self.dead.subscribe()
    }

    /// The router has died.
    pub(crate) fn has_come(&self, why: &str) {
        if self.dead.send_replace(true) {
            return;
        }
        error!(why, "the router has died");
        if self.exit.load(Ordering::Relaxed) {
            // on a thread of its own, since tokio's may all be stuck
            let ended = thread::Builder::new().name("last-words".to_owned()).spawn(|| {
                thread::sleep(LAST_WORDS);
                process::exit(STATUS);
            });
            if ended.is_err() {
                process::exit(STATUS);
            }
        }
    }
}

/// Ends the process when the router's thread panics. A session's panic costs its own client only.
pub(crate) fn end_the_process_when_the_router_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        before(panic);
        if thread::current().name().is_some_and(|name| name.starts_with("router-")) {
            process::exit(STATUS);
        }
    }));
}
