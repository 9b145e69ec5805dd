//! A TCP proxy that can be told to misbehave.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// What the proxy does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Mode {
    Forward,
    /// Reads from both sides and forwards nothing.
    Swallow,
    /// Closes every connection, those that are made too.
    Refuse,
}

/// Stands between clients and the broker.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    mode: Arc<watch::Sender<Mode>>,
    cut: Arc<watch::Sender<()>>,
    listener: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let mode = Arc::new(watch::Sender::new(Mode::Forward));
        let cut = Arc::new(watch::Sender::new(()));
        let listener = tokio::spawn(listen(listener, target, Arc::clone(&mode), Arc::clone(&cut)));
        Self { address, mode, cut, listener }
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
        if mode == Mode::Refuse {
            self.cut();
        }
    }

    /// Closes all connections, whatever is under way on them.
    pub(crate) fn cut(&self) {
        self.cut.send_replace(());
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

async fn listen(
    listener: TcpListener,
    target: SocketAddr,
    mode: Arc<watch::Sender<Mode>>,
    cut: Arc<watch::Sender<()>>,
) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        if *mode.borrow() != Mode::Refuse {
            connections.spawn(relay(client, target, mode.subscribe(), cut.subscribe()));
        }
    }
}

async fn relay(
    client: TcpStream,
    target: SocketAddr,
    mode: watch::Receiver<Mode>,
    mut cut: watch::Receiver<()>,
) -> io::Result<()> {
    let broker = TcpStream::connect(target).await?;
    client.set_nodelay(true)?;
    broker.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_broker, to_broker) = broker.into_split();
    let both = async {
        tokio::try_join!(pipe(from_client, to_broker, mode.clone()), pipe(from_broker, to_client, mode))
    };
    tokio::select! {
        ended = both => ended.map(drop),
        _ = cut.changed() => Ok(()),
    }
}

async fn pipe(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mode: watch::Receiver<Mode>,
) -> io::Result<()> {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return to.shutdown().await;
        }
        if *mode.borrow() == Mode::Forward {
            to.write_all(&buffer[..length]).await?;
        }
    }
}
