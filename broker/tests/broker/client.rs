//! A client that sends whatever bytes it is told to.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A packet as it came: its first byte and what follows its length.
pub(crate) type Packet = (u8, Vec<u8>);

/// Over TCP, unless it is made of something else.
#[derive(Debug)]
pub(crate) struct Client<S = TcpStream>(pub(crate) S);

impl Client {
    pub(crate) async fn open(broker: SocketAddr) -> Self {
        let stream = TcpStream::connect(broker).await.expect("the broker listens");
        stream.set_nodelay(true).expect("it is open");
        Self(stream)
    }

    /// Logged in as a user of the same password, under an id.
    pub(crate) async fn logged_in(broker: SocketAddr, user: &str, id: &str) -> Self {
        let mut client = Self::open(broker).await;
        client.send(&login(user, user, id)).await;
        assert_eq!(client.receive().await, Some((0x20, vec![0, 0])), "{user:?} is refused as {id:?}");
        client
    }

    /// Connected under an id, with a clean session and without a keep alive.
    pub(crate) async fn connected(broker: SocketAddr, id: &str) -> Self {
        let mut client = Self::open(broker).await;
        client.send(&connect(id)).await;
        assert_eq!(client.receive().await, Some((0x20, vec![0, 0])), "{id:?} is refused");
        client
    }

    /// As [`connected`](Self::connected), and subscribed to a filter.
    pub(crate) async fn subscribed(broker: SocketAddr, id: &str, filter: &str, qos: u8) -> Self {
        let mut client = Self::connected(broker, id).await;
        client.send(&subscribe(1, filter, qos)).await;
        assert_eq!(client.receive().await, Some((0x90, vec![0, 1, qos.min(1)])), "{filter:?} is refused");
        client
    }

    /// Closes with a reset.
    pub(crate) fn reset(self) {
        self.0.set_zero_linger().expect("it is open");
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// Sends bytes, which may fail for one that is cut off.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        let sent = async {
            self.0.write_all(bytes).await?;
            self.0.flush().await
        };
        drop(sent.await);
    }

    /// Says that nothing more will be sent.
    pub(crate) async fn finish(&mut self) {
        // an error is that it was cut off
        drop(self.0.shutdown().await);
    }

    /// The next packet; `None` when cut off.
    pub(crate) async fn receive(&mut self) -> Option<Packet> {
        let packet = async {
            let first = self.0.read_u8().await?;
            let (mut length, mut shift) = (0, 0);
            loop {
                let byte = self.0.read_u8().await?;
                length |= usize::from(byte & 0x7f) << shift;
                shift += 7;
                if byte < 0x80 {
                    break;
                }
            }
            let mut body = vec![0; length];
            self.0.read_exact(&mut body).await?;
            std::io::Result::Ok((first, body))
        };
        timeout(PATIENCE, packet).await.expect("an answer in time").ok()
    }

    /// Asserts that the broker says nothing more and closes.
    pub(crate) async fn is_cut_off(&mut self) -> bool {
        self.receive().await.is_none()
    }

    /// A round trip through the router.
    pub(crate) async fn is_served(&mut self) -> bool {
        self.send(&[0xc0, 0]).await;
        self.receive().await == Some((0xd0, Vec::new()))
    }
}

/// A packet of its first byte and the rest.
pub(crate) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut length = body.len();
    loop {
        let more = length >= 0x80;
        bytes.push(u8::try_from(length & 0x7f).expect("7 bits") | if more { 0x80 } else { 0 });
        length >>= 7;
        if !more {
            break;
        }
    }
    bytes.extend(body);
    bytes
}

/// Text with its length before it.
pub(crate) fn text(text: impl AsRef<[u8]>) -> Vec<u8> {
    let length = u16::try_from(text.as_ref().len()).expect("it is short");
    [&length.to_be_bytes(), text.as_ref()].concat()
}

pub(crate) fn connect(id: &str) -> Vec<u8> {
    connect_with(4, 0b10, 0, &[text(id)])
}

/// A CONNECT of its protocol level, flags, keep alive and payload.
pub(crate) fn connect_with(level: u8, flags: u8, keep_alive: u16, payload: &[Vec<u8>]) -> Vec<u8> {
    let head = [&text("MQTT")[..], &[level, flags], &keep_alive.to_be_bytes()].concat();
    packet(0x10, &[head, payload.concat()].concat())
}

/// A CONNECT with a user and a password.
pub(crate) fn login(user: &str, password: &str, id: &str) -> Vec<u8> {
    connect_with(4, 0b1100_0010, 0, &[text(id), text(user), text(password)])
}

pub(crate) fn subscribe(identifier: u16, filter: &str, qos: u8) -> Vec<u8> {
    packet(0x82, &[&identifier.to_be_bytes()[..], &text(filter), &[qos]].concat())
}

/// A message at QoS 1.
pub(crate) fn publish(identifier: u16, topic: impl AsRef<[u8]>, payload: &[u8]) -> Vec<u8> {
    packet(0x32, &[&text(topic)[..], &identifier.to_be_bytes(), payload].concat())
}

pub(crate) fn puback(identifier: [u8; 2]) -> Vec<u8> {
    packet(0x40, &identifier)
}
