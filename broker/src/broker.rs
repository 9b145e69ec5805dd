//! The broker: a listener, and a session for each connection.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;
use tracing::{debug, error, info, warn};

use crate::clients::Clients;
use crate::router::Router;
use crate::session::{self, Hall, Stopping};
use crate::{BrokerError, Config};

/// How many connections beyond `max_connections` may be in the course of saying who they are.
const ANTECHAMBER: usize = 256;
/// How many connections may wait to be accepted, as far as the operating system lets them (`somaxconn`).
const BACKLOG: u32 = 8192;
/// How long the listener rests when the operating system has no file handle left.
const REST: Duration = Duration::from_millis(100);

/// A running broker. Dropping it closes the port and the connections some time later; [`stop`](Self::stop) waits for
/// that.
#[derive(Debug)]
pub struct Broker {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    router_gone: watch::Receiver<bool>,
    listener: JoinHandle<()>,
}

impl Broker {
    /// Listens, and serves on the current tokio runtime. When this returns, clients can connect.
    ///
    /// # Errors
    ///
    /// [`BrokerError`] when the address cannot be listened on, or the settings cannot work.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, and when the operating system has no thread for the router.
    #[expect(clippy::unused_async, reason = "it needs a runtime, which an async function has")]
    pub async fn start(config: Config) -> Result<Self, BrokerError> {
        let config = config.checked()?;
        let address = config.listen;
        let listener = bind(address).map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => BrokerError::InUse { address },
            _ => BrokerError::Listen { address, source },
        })?;
        let address = listener.local_addr().map_err(|source| BrokerError::Listen { address, source })?;
        let (stop, stopping) = watch::channel(false);
        let (gone, router_gone) = watch::channel(false);
        let hall = Hall {
            router: Router::spawn(&config),
            clients: Arc::new(Clients::default()),
            seats: Semaphore::new(config.max_connections.min(Semaphore::MAX_PERMITS)),
            router_gone: gone,
            stopping: Stopping(stopping),
            config,
        };
        let listener = tokio::spawn(listen(listener, Arc::new(hall)));
        info!(%address, "listening");
        Ok(Self { address, stop, router_gone, listener })
    }

    /// Where it listens, with the port that the operating system chose.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Completes when the router inside has died, which no client should be able to bring about: nobody is served any
    /// more, and the broker is to be started anew. Cancel-safe.
    pub async fn failed(&self) {
        let mut gone = self.router_gone.clone();
        if gone.wait_for(|gone| *gone).await.is_err() {
            // stopped instead
            std::future::pending::<()>().await;
        }
    }

    /// Closes the port and every connection; the port is free when this returns. Last wills are not published.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.listener.await {
            error!(%error, "the listener ended by itself");
        }
    }
}

/// Binds and listens, with room for a storm of clients that all come back at once: who finds no room tries again only
/// a second later, and then ever more seldom.
fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    // so that a broker that has just stopped does not stand in the way
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

async fn listen(listener: TcpListener, hall: Arc<Hall>) {
    let mut stopping = hall.stopping.clone();
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, from)) => accept(stream, from, &hall, &mut sessions),
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    sleep(REST).await;
                }
            },
            Some(ended) = sessions.join_next() => if let Err(error) = ended {
                error!(%error, "a session ended by itself");
            },
            () = stopping.asked() => break,
        }
    }
    drop(listener);
    while sessions.join_next().await.is_some() {}
}

fn accept(stream: TcpStream, from: SocketAddr, hall: &Arc<Hall>, sessions: &mut JoinSet<()>) {
    if sessions.len() >= hall.config.max_connections.saturating_add(ANTECHAMBER) {
        warn!(%from, "turned away: too many connections");
        return;
    }
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%from, %error, "already gone");
        return;
    }
    sessions.spawn(session::serve(stream, Arc::clone(hall)));
}
