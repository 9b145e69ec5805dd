//! Where a meter's bytes come from: a file, a TCP socket, a serial port.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_serial::{DataBits, Parity, SerialPortBuilderExt as _, SerialStream, StopBits};

use super::file::FileBytes;
use super::{Heard, SourceError};

/// The pauses before a port or a socket is opened again.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_mins(1);

/// After so long a silence a port or a socket is taken for dead.
const SILENCE: Duration = Duration::from_mins(5);

/// `file:PATH`, `tcp:HOST:PORT` or `serial:PATH`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum Input {
    /// A file, read once to its end; `-` is standard input.
    File(PathBuf),
    /// A socket that a meter's converter listens on.
    Tcp(String),
    /// A serial port.
    Serial(PathBuf),
}

/// Not an input.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{0}` is not file:PATH, tcp:HOST:PORT or serial:PATH, such as serial:/dev/ttyUSB0")]
pub struct InputError(String);

impl FromStr for Input {
    type Err = InputError;

    fn from_str(text: &str) -> Result<Self, InputError> {
        let refused = || InputError(text.to_owned());
        let port = |address: &str| {
            address
                .rsplit_once(':')
                .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
        };
        match text.split_once(':').ok_or_else(refused)? {
            (_, "") => Err(refused()),
            ("file", path) => Ok(Self::File(path.into())),
            ("tcp", address) if port(address) => Ok(Self::Tcp(address.to_owned())),
            ("serial", path) => Ok(Self::Serial(path.into())),
            _ => Err(refused()),
        }
    }
}

impl TryFrom<String> for Input {
    type Error = InputError;

    fn try_from(text: String) -> Result<Self, InputError> {
        text.parse()
    }
}

impl From<Input> for String {
    fn from(input: Input) -> Self {
        input.to_string()
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp:{address}"),
            Self::Serial(path) => write!(f, "serial:{}", path.display()),
        }
    }
}

/// A serial port's speed and frame.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Line {
    baud: u32,
    seven: bool,
    parity: Parity,
}

/// Not a line's settings.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{0}` is not BAUD and frame, such as `115200 8N1` (DSMR 4 and later) or `9600 7E1` (DSMR 2, D0)")]
pub struct LineError(String);

impl Line {
    /// 115200 8N1, of P1 since DSMR 4.
    pub const P1: Self = Self { baud: 115_200, seven: false, parity: Parity::None };
    /// 9600 8N1, of SML.
    pub const SML: Self = Self { baud: 9_600, seven: false, parity: Parity::None };
}

impl TryFrom<String> for Line {
    type Error = LineError;

    fn try_from(text: String) -> Result<Self, LineError> {
        let parse = || {
            let (baud, frame) = text.split_once(' ')?;
            let baud = baud.parse().ok().filter(|baud| (50..=4_000_000).contains(baud))?;
            let (seven, parity) = match frame {
                "8N1" => (false, Parity::None),
                "8E1" => (false, Parity::Even),
                "8O1" => (false, Parity::Odd),
                "7N1" => (true, Parity::None),
                "7E1" => (true, Parity::Even),
                "7O1" => (true, Parity::Odd),
                _ => return None,
            };
            Some(Self { baud, seven, parity })
        };
        parse().ok_or_else(|| LineError(text.clone()))
    }
}

impl From<Line> for String {
    fn from(line: Line) -> Self {
        let bits = if line.seven { 7 } else { 8 };
        let parity = match line.parity {
            Parity::None => 'N',
            Parity::Even => 'E',
            Parity::Odd => 'O',
        };
        format!("{} {bits}{parity}1", line.baud)
    }
}

/// Bytes as they come.
type Bytes = Box<dyn AsyncRead + Send + Unpin>;

/// A file that can't be read.
#[derive(Debug, thiserror::Error)]
#[error("{} {}; say a file that is there, or another input, such as serial:/dev/ttyUSB0", self.trouble(), path.display())]
pub struct FileError {
    path: PathBuf,
    source: io::Error,
}

impl FileError {
    fn trouble(&self) -> &'static str {
        if self.source.kind() == io::ErrorKind::NotFound { "there is no file" } else { "cannot read" }
    }
}

impl Input {
    /// Looks whether a file is there and can be read: one that is not would be a source that has ended.
    ///
    /// # Errors
    ///
    /// [`FileError`].
    pub fn check(&self, directory: &Path) -> Result<(), FileError> {
        let Self::File(path) = self else { return Ok(()) };
        if path.as_os_str() == "-" {
            return Ok(());
        }
        let path = directory.join(path);
        let look = || {
            let metadata = std::fs::metadata(&path)?;
            if metadata.is_dir() {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            // a pipe is opened only once: whoever writes would see it closed
            if metadata.is_file() { std::fs::File::open(&path).map(drop) } else { Ok(()) }
        };
        look().map_err(|source| FileError { path, source })
    }

    async fn open(&self, directory: &Path, line: Line) -> io::Result<Bytes> {
        Ok(match self {
            Self::File(path) if path.as_os_str() == "-" => Box::new(FileBytes::open(path.clone())?),
            Self::File(path) => Box::new(FileBytes::open(directory.join(path))?),
            Self::Tcp(address) => Box::new(TcpStream::connect(address).await?),
            Self::Serial(path) => Box::new(serial(path, line)?),
        })
    }
}

/// Reads until the file ends or nobody listens any more; a port or a socket is opened again and again. `None` is the
/// end of the bytes, after which others may begin.
pub(super) async fn read(
    input: &Input,
    directory: &Path,
    line: Line,
    mut decode: impl FnMut(Option<&[u8]>) -> Vec<Heard>,
    heard: &mpsc::Sender<Heard>,
) {
    let for_ever = !matches!(input, Input::File(_));
    let mut pause = FIRST_PAUSE;
    loop {
        let lost = match input.open(directory, line).await {
            Ok(mut bytes) => {
                let mut buffer = [0; 1024];
                loop {
                    let read = bytes.read(&mut buffer);
                    let read = if for_ever {
                        let silence =
                            || Err(io::Error::new(io::ErrorKind::TimedOut, "not a byte for 5 minutes"));
                        tokio::time::timeout(SILENCE, read).await.unwrap_or_else(|_| silence())
                    } else {
                        read.await
                    };
                    let told = match &read {
                        Ok(0) | Err(_) => decode(None),
                        Ok(length) => decode(Some(&buffer[..*length])),
                    };
                    for told in told {
                        pause = FIRST_PAUSE;
                        if heard.send(told).await.is_err() {
                            return;
                        }
                    }
                    match read {
                        Ok(0) => break None,
                        Ok(_) => {}
                        Err(error) => break Some(error),
                    }
                }
            }
            Err(error) => Some(error),
        };
        if lost.is_some() || for_ever {
            let input = input.to_string();
            let error = match lost {
                Some(source) => SourceError::Lost { input, source },
                None => SourceError::Closed { input },
            };
            if heard.send(Err(error)).await.is_err() {
                return;
            }
        }
        if !for_ever {
            return;
        }
        tokio::select! {
            () = heard.closed() => return,
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(LAST_PAUSE),
        }
    }
}

fn serial(path: &Path, line: Line) -> io::Result<SerialStream> {
    let bits = if line.seven { DataBits::Seven } else { DataBits::Eight };
    let port = tokio_serial::new(path.to_string_lossy(), line.baud);
    let port = port.data_bits(bits).parity(line.parity).stop_bits(StopBits::One);
    Ok(port.open_native_async()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Inputs and lines are parsed once and print back; what they are not is said.
    #[test]
    fn inputs_and_lines_round_trip() {
        for text in
            ["file:telegrams.txt", "tcp:192.0.2.7:23", "tcp:[::1]:2000", "serial:/dev/ttyUSB0", "file:-"]
        {
            assert_eq!(text.parse::<Input>().unwrap().to_string(), text);
        }
        for text in ["", "file:", "/dev/ttyUSB0", "tcp:host", "tcp::23", "tcp:host:99999", "udp:host:1"] {
            assert!(text.parse::<Input>().is_err(), "{text}");
        }
        for text in ["115200 8N1", "9600 7E1", "300 7O1", "2400 8E1"] {
            assert_eq!(String::from(Line::try_from(text.to_owned()).unwrap()), text);
        }
        for text in ["", "9600", "9600 8N2", "9 8N1", "9600  8N1"] {
            let error = Line::try_from(text.to_owned()).unwrap_err().to_string();
            assert!(error.contains("9600 7E1"), "{error}");
        }
    }
}
