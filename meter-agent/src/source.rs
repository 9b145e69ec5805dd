//! Sources of readings: load data that is replayed, and meters that are listened to.

use protocol::unit::Timestamp;
use std::io;
use std::path::Path;

use jiff::tz::Offset;
use protocol::unit::{Register, Slot, SlotLength, WattHours};
use tokio::sync::mpsc;

use self::input::{Input, Line};
use self::lines::LineFault;
use self::message::{Field, MessageFault};
use self::sml::{SmlError, Transmissions};
use self::telegram::{TelegramError, Telegrams};
use crate::measurement::Measurement;
use crate::meter::Reading;

pub mod config;
pub mod csv;
mod file;
pub mod input;
pub mod lines;
pub mod message;
pub mod sml;
pub mod synthetic;
pub mod telegram;

/// A home's energy over consecutive slots, from which registers are replayed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Series {
    /// The home's name.
    pub name: String,
    /// Its first slot.
    pub start: Slot,
    /// The slot length.
    pub slot: SlotLength,
    /// One energy a slot.
    pub energies: Vec<WattHours>,
}

impl Series {
    /// The cumulative register at the start of every slot and at the end of the last, beginning with `register`.
    ///
    /// A register beyond the largest, or an energy below zero, ends them: there are fewer readings then.
    pub fn readings(&self, register: Register) -> impl Iterator<Item = Reading> {
        let first = Some(register);
        let registers = std::iter::successors(first.map(|r| (0_usize, r)), |(index, register)| {
            let energy = u64::try_from(self.energies.get(*index)?.0).ok()?;
            let next = Register::try_from(register.watt_hours().checked_add(energy)?).ok()?;
            Some((index + 1, next))
        });
        registers.filter_map(|(index, register)| {
            let at = self.start.0.checked_add(u32::try_from(index).ok()?)?;
            Some(Reading { at: Slot(at), register, export: None })
        })
    }

    /// The sum of all energies.
    pub fn total(&self) -> WattHours {
        WattHours(self.energies.iter().map(|energy| energy.0).sum())
    }
}

/// What a live source hears: a measurement, or something that was none.
pub type Heard = Result<Measurement, SourceError>;

/// Why something that was heard is no measurement.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A text telegram.
    #[error(transparent)]
    Telegram(#[from] TelegramError),
    /// An SML transmission.
    #[error(transparent)]
    Sml(#[from] SmlError),
    /// A line of JSON.
    #[error("line {line}: {fault}")]
    Line {
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        fault: LineFault,
    },
    /// A message of a broker.
    #[error("the message on `{topic}` {fault}")]
    Message {
        /// Its topic.
        topic: String,
        /// What is wrong with it.
        fault: MessageFault,
    },
    /// A port, socket or file that can't be read.
    #[error("cannot read {input}")]
    Lost {
        /// Where from.
        input: String,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A topic on which nothing comes.
    #[error("no message came on `{topic}` for {seconds} s{why}")]
    Silent {
        /// The topic.
        topic: String,
        /// How long.
        seconds: u64,
        /// What may be the matter.
        why: String,
    },
    /// A port or socket that ended; it is opened again.
    #[error("{input} was closed by the other end")]
    Closed {
        /// Where from.
        input: String,
    },
}

impl SourceError {
    /// Its name in counters.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Telegram(_) => "telegram",
            Self::Sml(_) => "sml",
            Self::Line { .. } => "line",
            Self::Message { .. } => "message",
            Self::Silent { .. } => "silent",
            Self::Lost { .. } | Self::Closed { .. } => "lost",
        }
    }
}

/// What a live source listens to.
#[derive(Debug)]
pub enum Live {
    /// One JSON object a line of standard input, or of a file.
    Lines(Input),
    /// P1 or IEC 62056-21 text telegrams; the offset is that of the meter's winter time.
    Telegrams(Input, Line, Offset),
    /// SML transmissions.
    Sml(Input, Line),
    /// JSON messages of a broker.
    Messages(Box<runtime::link::Settings>, Field),
}

/// Measurements that may wait to be taken.
const WAITING: usize = 64;

impl Live {
    /// Whether it tells what was measured just now, as a file need not.
    pub fn is_at_once(&self) -> bool {
        match self {
            Self::Lines(input) | Self::Telegrams(input, ..) | Self::Sml(input, _) => {
                !matches!(input, Input::File(_))
            }
            Self::Messages(..) => true,
        }
    }

    /// Starts to listen on the current tokio runtime, until the source ends or nobody takes any more.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn listen(self, directory: &Path) -> mpsc::Receiver<Heard> {
        let (heard, hears) = mpsc::channel(WAITING);
        let directory = directory.to_owned();
        tokio::spawn(async move {
            match self {
                Self::Lines(input) => {
                    let mut lines = lines::Lines::default();
                    input::read(&input, &directory, Line::P1, |bytes| lines.take(bytes), &heard).await;
                }
                Self::Telegrams(input, line, standard) => {
                    let mut telegrams = Telegrams::default();
                    let mut reader = telegram::Reader::new(standard);
                    let decode = |bytes: Option<&[u8]>| {
                        let cut = match bytes {
                            Some(bytes) => telegrams.take(bytes),
                            None => telegrams.finish(),
                        };
                        let now = runtime::now::<Timestamp>();
                        let mut read = |telegram: Vec<u8>| reader.read(&telegram, now);
                        cut.into_iter().map(|telegram| Ok(telegram.and_then(&mut read)?)).collect()
                    };
                    input::read(&input, &directory, line, decode, &heard).await;
                }
                Self::Sml(input, line) => {
                    let mut transmissions = Transmissions::default();
                    let decode = |bytes: Option<&[u8]>| {
                        let now = runtime::now::<Timestamp>();
                        let told = match bytes {
                            Some(bytes) => transmissions.take(bytes, now),
                            None => transmissions.finish().map(Err).into_iter().collect(),
                        };
                        told.into_iter().map(|told| Ok(told?)).collect()
                    };
                    input::read(&input, &directory, line, decode, &heard).await;
                }
                Self::Messages(settings, field) => message::listen(*settings, &field, &heard).await,
            }
        });
        hears
    }
}
