//! One connection to the broker: packets of MQTT 3.1.1 over TCP or TLS.

mod inlet;

use std::fmt;
use std::io;
use std::time::Duration;

use bytes::BytesMut;
use rumqttc::mqttbytes::{self, v4};
use rumqttc::{ConnectReturnCode, Packet};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsConnector;

pub(crate) use inlet::{Incoming, Unfit};

use inlet::Inlet;

use crate::link::Settings;
use crate::link::connection::End;

/// How long it may take until the broker has accepted a connection; it may have many to accept.
const CONNECT: Duration = Duration::from_secs(20);
/// How much is read at a time, at least.
const INPUT: usize = 4 << 10;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// An open connection.
pub(crate) struct Wire {
    reader: ReadHalf<Box<dyn Stream>>,
    writer: WriteHalf<Box<dyn Stream>>,
    input: BytesMut,
    output: BytesMut,
    /// Whether something was written that may lie in the TLS layer.
    unflushed: bool,
    inlet: Inlet,
    keep_alive: Duration,
    /// When the broker was heard last, and when it is to be asked for a sign of life.
    heard: Instant,
    ping: Instant,
}

impl Wire {
    /// Connects for the so-manieth time, and waits until the broker has accepted.
    pub(crate) async fn open(settings: &Settings, attempt: usize, connect: v4::Connect) -> Result<Self, End> {
        let keep_alive = Duration::from_secs(connect.keep_alive.into());
        let opened = async {
            let stream = open_stream(settings, attempt).await?;
            let (reader, writer) = tokio::io::split(stream);
            let now = Instant::now();
            let mut wire = Self {
                reader,
                writer,
                input: BytesMut::new(),
                output: BytesMut::new(),
                unflushed: false,
                inlet: Inlet::new(settings.max_packet),
                keep_alive,
                heard: now,
                ping: now + keep_alive,
            };
            wire.send(&Packet::Connect(connect))?;
            match wire.next().await? {
                Incoming::Packet(Packet::ConnAck(answer)) if answer.code == ConnectReturnCode::Success => {
                    Ok(wire)
                }
                Incoming::Packet(Packet::ConnAck(answer)) => Err(End::Refused(answer.code)),
                _ => Err(End::Unexpected),
            }
        };
        timeout(CONNECT, opened).await.unwrap_or(Err(End::NoAnswer(CONNECT)))
    }

    /// Queues a packet, to be written by [`next`](Self::next).
    pub(crate) fn send(&mut self, packet: &Packet) -> Result<(), End> {
        // what is too long was refused before
        packet.write(&mut self.output, usize::MAX)?;
        Ok(())
    }

    /// What comes next from the broker; writes what is queued, and keeps the connection alive, while it waits. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Result<Incoming, End> {
        loop {
            match self.inlet.take(&mut self.input) {
                Ok(incoming) => return Ok(incoming),
                Err(mqttbytes::Error::InsufficientBytes(more)) => self.input.reserve(more.max(INPUT)),
                Err(error) => return Err(error.into()),
            }
            tokio::select! {
                read = self.reader.read_buf(&mut self.input) => {
                    if read? == 0 {
                        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                    }
                    self.heard = Instant::now();
                }
                unflushed = write(&mut self.writer, &mut self.output),
                    if self.unflushed || !self.output.is_empty() =>
                {
                    self.unflushed = unflushed?;
                }
                () = sleep_until(self.ping) => {
                    let silence = self.heard.elapsed();
                    if silence >= 2 * self.keep_alive {
                        return Err(End::NoAnswer(silence));
                    }
                    self.ping = Instant::now() + self.keep_alive;
                    self.send(&Packet::PingReq)?;
                }
            }
        }
    }

    /// Says goodbye, after what is queued.
    pub(crate) async fn close(mut self) -> Result<(), End> {
        self.send(&Packet::Disconnect)?;
        self.writer.write_all_buf(&mut self.output).await?;
        self.writer.shutdown().await?;
        Ok(())
    }
}

/// Writes some of what is queued, or flushes when nothing is; whether something remains to be flushed. Cancel-safe.
async fn write(writer: &mut (impl AsyncWrite + Unpin), output: &mut BytesMut) -> io::Result<bool> {
    if output.is_empty() {
        writer.flush().await?;
        return Ok(false);
    }
    writer.write_buf(output).await?;
    Ok(true)
}

async fn open_stream(settings: &Settings, attempt: usize) -> Result<Box<dyn Stream>, End> {
    let (host, port) = settings.address(attempt);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    let Some(tls) = &settings.tls else {
        return Ok(Box::new(stream));
    };
    let name = ServerName::try_from(host.to_owned()).map_err(|_| End::Name(host.to_owned()))?;
    let connected = TlsConnector::from(tls.client()).connect(name, stream).await;
    Ok(Box::new(connected.map_err(End::Tls)?))
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").field("input", &self.input.len()).finish_non_exhaustive()
    }
}
