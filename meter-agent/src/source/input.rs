//! Where a meter's bytes come from: a file, a TCP socket, a serial port.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::TcpStream;
use tokio_serial::{DataBits, Parity, SerialPortBuilderExt as _, SerialStream, StopBits};

use super::file::{Pieces, pieces};

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
#[error("expected file:PATH, tcp:HOST:PORT or serial:PATH, for example `serial:/dev/ttyUSB0`; found `{0}`")]
pub struct InputError(String);

impl TryFrom<String> for Input {
    type Error = InputError;

    fn try_from(text: String) -> Result<Self, InputError> {
        let is_address = |address: &str| {
            let parts = address.rsplit_once(':');
            parts.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
        };
        Ok(match text.split_once(':') {
            Some((_, "")) => return Err(InputError(text)),
            Some(("file", path)) => Self::File(path.into()),
            Some(("tcp", address)) if is_address(address) => Self::Tcp(address.to_owned()),
            Some(("serial", path)) => Self::Serial(path.into()),
            _ => return Err(InputError(text)),
        })
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
#[error(
    "expected a speed and a frame, for example `115200 8N1` (DSMR 4 and later) or `9600 7E1` (DSMR 2, D0); found `{0}`"
)]
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
pub(super) enum Bytes {
    /// Of a file.
    File(Pieces),
    /// Of a port or a socket.
    Port(Box<dyn AsyncRead + Send + Unpin>),
}

impl Bytes {
    /// The next bytes; none at the end.
    pub(super) async fn next(&mut self) -> io::Result<Vec<u8>> {
        match self {
            Self::File(pieces) => pieces.recv().await.unwrap_or(Ok(Vec::new())),
            Self::Port(port) => {
                let mut buffer = vec![0; 1024];
                let length = port.read(&mut buffer).await?;
                buffer.truncate(length);
                Ok(buffer)
            }
        }
    }
}

/// A file that can't be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot read {}. Configure a file that exists and can be read, or another input, for example \
     `input = \"serial:/dev/ttyUSB0\"`", path.display()
)]
pub struct FileError {
    path: PathBuf,
    source: io::Error,
}

impl Input {
    /// The input with its file's path below `directory`, once it is clear that the file is there and can be read.
    ///
    /// # Errors
    ///
    /// [`FileError`].
    pub fn within(&self, directory: &Path) -> Result<Self, FileError> {
        let Self::File(path) = self else { return Ok(self.clone()) };
        if path.as_os_str() == "-" {
            return Ok(self.clone());
        }
        let path = directory.join(path);
        let look = || {
            let metadata = std::fs::metadata(&path)?;
            if metadata.is_dir() {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            // a pipe is opened only once: its writer would see it closed
            if metadata.is_file() { std::fs::File::open(&path).map(drop) } else { Ok(()) }
        };
        match look() {
            Ok(()) => Ok(Self::File(path)),
            Err(source) => Err(FileError { path, source }),
        }
    }

    pub(super) async fn open(&self, line: Line) -> io::Result<Bytes> {
        Ok(match self {
            Self::File(path) => Bytes::File(pieces(path.clone())?),
            Self::Tcp(address) => Bytes::Port(Box::new(TcpStream::connect(address).await?)),
            Self::Serial(path) => Bytes::Port(Box::new(serial(path, line)?)),
        })
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

    /// Inputs and lines are parsed once and print back; everything else is rejected.
    #[test]
    fn inputs_and_lines_round_trip() {
        for text in
            ["file:telegrams.txt", "tcp:192.0.2.7:23", "tcp:[::1]:2000", "serial:/dev/ttyUSB0", "file:-"]
        {
            assert_eq!(Input::try_from(text.to_owned()).unwrap().to_string(), text);
        }
        for text in ["", "file:", "/dev/ttyUSB0", "tcp:host", "tcp::23", "tcp:host:99999", "udp:host:1"] {
            assert!(Input::try_from(text.to_owned()).is_err(), "{text}");
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
