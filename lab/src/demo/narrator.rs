//! What a demonstration says while it runs: a line as each thing begins or ends, and the progress between. A terminal shows
//! a bar; elsewhere plain lines come at least every [`SILENCE`].

use std::io::{IsTerminal as _, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The longest pause between two plain lines.
const SILENCE: Duration = Duration::from_millis(1_500);

/// How a bar looks, with and without a known number of steps.
const BAR: &str = "         {spinner} {msg} {wide_bar} {percent:>3} %";
const SPINNER: &str = "         {spinner} {wide_msg}";

/// Where it speaks, on standard error.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Voice {
    Silent,
    Bar,
    Lines,
}

/// Who speaks.
#[derive(Clone, Debug)]
pub(super) struct Narrator {
    voice: Voice,
    began: Instant,
    bar: ProgressBar,
    spoke: Arc<Mutex<Instant>>,
}

impl Narrator {
    /// One who says nothing, or speaks on standard error from now on.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub(super) fn new(silent: bool) -> Self {
        let voice = match (silent, std::io::stderr().is_terminal()) {
            (true, _) => Voice::Silent,
            (false, true) => Voice::Bar,
            (false, false) => Voice::Lines,
        };
        let target =
            if voice == Voice::Bar { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        let narrator =
            Self { voice, began: Instant::now(), bar, spoke: Arc::new(Mutex::new(Instant::now())) };
        match voice {
            Voice::Silent => (),
            Voice::Bar => narrator.bar.enable_steady_tick(Duration::from_millis(100)),
            Voice::Lines => drop(tokio::spawn(narrator.clone().break_silence())),
        }
        narrator
    }

    /// Says that something has begun or ended.
    pub(super) fn say(&self, text: &str) {
        let line = format!("{:>6.1} s {text}", self.began.elapsed().as_secs_f64());
        match self.voice {
            Voice::Silent => (),
            Voice::Bar => self.bar.println(line),
            // nobody may be there to read it
            Voice::Lines => drop(writeln!(std::io::stderr(), "{line}")),
        }
        *self.spoke.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Says what goes on from now, of so many steps; 0 is an unknown number.
    pub(super) fn begin(&self, what: impl Into<String>, steps: usize) {
        let what = what.into();
        let style = ProgressStyle::with_template(if steps > 0 { BAR } else { SPINNER });
        self.bar.set_style(style.expect("the templates are right"));
        self.bar.set_length(steps as u64);
        self.bar.set_position(0);
        if self.voice == Voice::Lines {
            self.say(&format!("{what} …"));
        }
        self.bar.set_message(what);
    }

    /// So many of the steps are done.
    pub(super) fn reach(&self, steps: usize) {
        self.bar.set_position(steps as u64);
    }

    /// Says nothing more.
    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }

    async fn break_silence(self) {
        while !self.bar.is_finished() {
            let silent = self.spoke.lock().unwrap_or_else(PoisonError::into_inner).elapsed();
            if silent < SILENCE {
                tokio::time::sleep(SILENCE.saturating_sub(silent)).await;
                continue;
            }
            let share = match self.bar.length() {
                Some(steps) if steps > 0 => format!(", {} %", self.bar.position() * 100 / steps),
                _ => String::new(),
            };
            self.say(&format!("{}{share} …", self.bar.message()));
        }
    }
}
