//! A source that reports live: it is read until it ends, in a task of its own, and opened again where that makes sense.

use std::io;
use std::time::Duration;

use jiff::tz::Offset;
use protocol::unit::Timestamp;
use runtime::link::{Settings, Subscriber};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::info;

use super::input::{Input, Line};
use super::lines::{LineError, Lines};
use super::message::{Field, MessageFault};
use super::sml::{SmlError, Transmissions};
use super::telegram::{Reader, TelegramError, Telegrams};
use crate::measurement::Measurement;

/// What a live source gives: a measurement, or why something was none.
pub type SourceResult = Result<Measurement, SourceError>;

/// Why a source gave no measurement.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A text telegram.
    #[error(transparent)]
    Telegram(#[from] TelegramError),
    /// An SML transmission.
    #[error(transparent)]
    Sml(#[from] SmlError),
    /// A line of JSON.
    #[error(transparent)]
    Line(#[from] LineError),
    /// A message of a broker.
    #[error("the message on `{topic}` {fault}")]
    Message {
        /// Its topic.
        topic: String,
        /// What is wrong with it.
        fault: MessageFault,
    },
    /// A file that can't be read on: the source has failed.
    #[error("cannot read {0}")]
    File(Input, #[source] io::Error),
    /// A port or socket that can't be read; it is opened again.
    #[error("cannot read {0}")]
    Lost(Input, #[source] io::Error),
    /// A port or socket that ended; it is opened again.
    #[error("{0} was closed by the other end")]
    Closed(Input),
    /// A topic without messages.
    #[error("no message arrived on `{topic}` for {seconds} s{why}")]
    Silent {
        /// The topic.
        topic: String,
        /// How long.
        seconds: u64,
        /// What may be the cause.
        why: String,
    },
}

impl SourceError {
    /// Its name in counters.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Telegram(_) => "telegram",
            Self::Sml(_) => "sml",
            Self::Line(_) => "line",
            Self::Message { .. } => "message",
            Self::Silent { .. } => "silent",
            Self::File(..) | Self::Lost(..) | Self::Closed(_) => "lost",
        }
    }
}

/// What a live source reads.
#[derive(Debug)]
pub enum Live {
    /// One JSON object a line of standard input, or of a file.
    Lines(Input),
    /// P1 or IEC 62056-21 text telegrams; the offset is that of the meter's winter time.
    Telegrams(Input, Line, Offset),
    /// SML transmissions.
    Sml(Input, Line),
    /// JSON messages of a broker.
    Messages(Box<Settings>, Field),
}

/// Measurements that may wait.
const WAITING: usize = 64;

/// The pauses before a port or a socket is opened again.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_mins(1);

/// After so long a silence a port or a socket counts as dead.
const SILENCE: Duration = Duration::from_mins(5);

/// After so long without a message the log warns: at the start, and later, since some devices report every five minutes.
const FIRST_PATIENCE: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_mins(10);

impl Live {
    /// Whether it reports what was measured just now, as a file need not.
    pub fn is_immediate(&self) -> bool {
        match self {
            Self::Lines(input) | Self::Telegrams(input, ..) | Self::Sml(input, _) => {
                !matches!(input, Input::File(_))
            }
            Self::Messages(..) => true,
        }
    }

    /// Starts to read on the current tokio runtime, until the source ends or the receiver is dropped.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn start(self) -> mpsc::Receiver<SourceResult> {
        let (sender, receiver) = mpsc::channel(WAITING);
        tokio::spawn(async move {
            match self {
                Self::Lines(input) => {
                    let mut lines = Lines::default();
                    let decode = |bytes: Option<&[u8]>| {
                        lines.decode(bytes).into_iter().map(|line| Ok(line?)).collect()
                    };
                    read(&input, Line::P1, decode, &sender).await;
                }
                Self::Telegrams(input, line, standard) => {
                    let mut telegrams = Telegrams::default();
                    let mut reader = Reader::new(standard);
                    let decode = |bytes: Option<&[u8]>| {
                        let now = runtime::now::<Timestamp>();
                        let mut read = |telegram: Vec<u8>| reader.read(&telegram, now);
                        let cut = telegrams.cut(bytes).into_iter();
                        cut.map(|telegram| Ok(telegram.and_then(&mut read)?)).collect()
                    };
                    read(&input, line, decode, &sender).await;
                }
                Self::Sml(input, line) => {
                    let mut transmissions = Transmissions::default();
                    let decode = |bytes: Option<&[u8]>| {
                        let read = transmissions.read(bytes, runtime::now::<Timestamp>());
                        read.into_iter().map(|measurement| Ok(measurement?)).collect()
                    };
                    read(&input, line, decode, &sender).await;
                }
                Self::Messages(settings, field) => subscribe(*settings, &field, &sender).await,
            }
        });
        receiver
    }
}

/// Reads until the file ends or the receiver is dropped; a port or a socket is opened again and again. `None` is the end of
/// the bytes, after which others may begin.
async fn read(
    input: &Input,
    line: Line,
    mut decode: impl FnMut(Option<&[u8]>) -> Vec<SourceResult>,
    sender: &mpsc::Sender<SourceResult>,
) {
    let is_file = matches!(input, Input::File(_));
    let mut pause = FIRST_PAUSE;
    loop {
        let lost = match input.open(line).await {
            Ok(mut bytes) => loop {
                let piece = if is_file {
                    bytes.next().await
                } else {
                    let silence = || Err(io::Error::new(io::ErrorKind::TimedOut, "not a byte for 5 minutes"));
                    timeout(SILENCE, bytes.next()).await.unwrap_or_else(|_| silence())
                };
                let more = piece.as_deref().ok().filter(|piece| !piece.is_empty());
                for result in decode(more) {
                    pause = FIRST_PAUSE;
                    if sender.send(result).await.is_err() {
                        return;
                    }
                }
                if more.is_none() {
                    break piece.err();
                }
            },
            Err(error) => Some(error),
        };
        let error = match lost {
            Some(error) if is_file => SourceError::File(input.clone(), error),
            Some(error) => SourceError::Lost(input.clone(), error),
            None if is_file => return,
            None => SourceError::Closed(input.clone()),
        };
        if sender.send(Err(error)).await.is_err() || is_file {
            return;
        }
        tokio::select! {
            () = sender.closed() => return,
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(LAST_PAUSE),
        }
    }
}

/// Receives messages until the receiver of measurements is dropped.
async fn subscribe(settings: Settings, field: &Field, sender: &mpsc::Sender<SourceResult>) {
    let mut subscriber = Subscriber::connect(settings, vec![field.topic.clone()]);
    let (subscribed, trouble) = (subscriber.subscribed(), subscriber.trouble());
    info!(topic = field.topic, "waits for messages");
    let (mut patience, mut silent) = (FIRST_PATIENCE, Duration::ZERO);
    loop {
        let delivery = tokio::select! {
            () = sender.closed() => break,
            delivery = timeout(patience, subscriber.recv()) => delivery,
        };
        let Ok(delivery) = delivery else {
            (silent, patience) = (silent + patience, PATIENCE);
            let trouble = trouble.borrow().clone().filter(|_| !*subscribed.borrow());
            let why = match trouble {
                Some(trouble) => format!(": there is no connection, {trouble}"),
                None => ". Is it the device's topic, and is the device on? To see all messages, type: mosquitto_sub -v -t '#'".into(),
            };
            let error = SourceError::Silent { topic: field.topic.clone(), seconds: silent.as_secs(), why };
            if sender.send(Err(error)).await.is_err() {
                break;
            }
            continue;
        };
        (silent, patience) = (Duration::ZERO, PATIENCE);
        let Some(delivery) = delivery else { break };
        let read = field.read(&delivery.payload, runtime::now::<Timestamp>());
        let read = read.map_err(|fault| SourceError::Message { topic: delivery.topic.clone(), fault });
        if sender.send(read).await.is_err() {
            break;
        }
        // its register is in the next message too
        subscriber.ack(delivery);
    }
    subscriber.close().await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::message::Preset;

    /// A topic without messages is reported, again and again, with the possible cause.
    #[tokio::test(start_paused = true)]
    async fn silence_is_reported() {
        // nobody listens on this port
        let settings = Settings::new("127.0.0.1", 1, "source");
        let field = Preset::named("tasmota").unwrap().field("kitchne");
        let mut results = Live::Messages(Box::new(settings), field).start();
        for seconds in [30, 630, 1_230] {
            let error = results.recv().await.unwrap().unwrap_err();
            assert_eq!(error.name(), "silent");
            let wanted = format!("no message arrived on `tele/kitchne/SENSOR` for {seconds} s");
            assert!(error.to_string().starts_with(&wanted), "{error}");
        }
    }
}
