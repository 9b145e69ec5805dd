//! A client that does as little as it can.

use std::fmt;
use std::io;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connection to a broker.
pub(crate) struct Peer {
    stream: Box<dyn Stream>,
    input: BytesMut,
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer").finish_non_exhaustive()
    }
}

impl Peer {
    pub(crate) fn new(stream: Box<dyn Stream>) -> Self {
        Self { stream, input: BytesMut::new() }
    }

    /// Sends CONNECT, with the name as password if there is to be one; CONNACK's code.
    pub(crate) async fn log_in(&mut self, user: &str, password: bool) -> io::Result<u8> {
        let flags = if password { 0b1100_0010 } else { 0b10 };
        let mut body = [&text("MQTT")[..], &[4, flags, 0, 0], &text(user)].concat();
        if password {
            body.extend([text(user), text(user)].concat());
        }
        self.write(&packet(0x10, &body)).await?;
        let (_, body) = self.read().await?;
        body.get(1).copied().ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Subscribes at QoS 1.
    pub(crate) async fn subscribe(&mut self, filter: &str) -> io::Result<()> {
        self.write(&packet(0x82, &[&[0, 1][..], &text(filter), &[1]].concat())).await?;
        let (first, body) = self.read().await?;
        if first == 0x90 && body.last() == Some(&1) {
            Ok(())
        } else {
            Err(io::ErrorKind::PermissionDenied.into())
        }
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// The next packet: its first byte, and what follows its length.
    pub(crate) async fn read(&mut self) -> io::Result<(u8, Bytes)> {
        loop {
            if let Some(packet) = self.take() {
                return Ok(packet);
            }
            self.fill().await?;
        }
    }

    /// The next packet that is there already.
    pub(crate) fn take(&mut self) -> Option<(u8, Bytes)> {
        let (mut length, mut head) = (0, 1);
        loop {
            let byte = *self.input.get(head)?;
            length |= usize::from(byte & 0x7f) << (7 * (head - 1));
            head += 1;
            if byte < 0x80 {
                break;
            }
        }
        if self.input.len() < head + length {
            return None;
        }
        let first = self.input[0];
        self.input.advance(head);
        Some((first, self.input.split_to(length).freeze()))
    }

    /// Waits for more.
    pub(crate) async fn fill(&mut self) -> io::Result<()> {
        self.input.reserve(64 << 10);
        match self.stream.read_buf(&mut self.input).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// Gives back what an idle client does not need.
    pub(crate) fn shrink(&mut self) {
        self.input = BytesMut::new();
    }

    /// Waits for the end.
    pub(crate) async fn ended(&mut self) {
        let mut byte = [0];
        while self.stream.read(&mut byte).await.is_ok_and(|read| read > 0) {}
    }
}

/// A message at QoS 1.
pub(crate) fn publish(identifier: u16, topic: &str, payload: &[u8], output: &mut BytesMut) {
    output.put_u8(0x32);
    put_length(output, 2 + topic.len() + 2 + payload.len());
    output.put_slice(&text(topic));
    output.put_u16(identifier);
    output.put_slice(payload);
}

/// Acknowledges a message that came at QoS 1.
pub(crate) fn acknowledge(body: &Bytes, output: &mut BytesMut) {
    let topic = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
    output.put_slice(&[0x40, 2, body[topic], body[topic + 1]]);
}

fn packet(first: u8, body: &[u8]) -> BytesMut {
    let mut output = BytesMut::new();
    output.put_u8(first);
    put_length(&mut output, body.len());
    output.put_slice(body);
    output
}

fn put_length(output: &mut BytesMut, mut length: usize) {
    loop {
        let byte = u8::try_from(length & 0x7f).expect("7 bits");
        length >>= 7;
        output.put_u8(if length > 0 { byte | 0x80 } else { byte });
        if length == 0 {
            return;
        }
    }
}

fn text(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).expect("it is short");
    [&length.to_be_bytes(), text.as_bytes()].concat()
}
