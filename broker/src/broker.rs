//! The broker: a listener, and a session for each connection.

use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant as StdInstant, SystemTime};

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout_at};
use tracing::{debug, error, info, warn};

use crate::clients::{Clients, Limits};
use crate::counters::{Counters, Tally};
use crate::credentials::{Credentials, CurrentCredentials};
use crate::handshakes::{Handshakes, Place};
use crate::internal;
use crate::packet_filter::{Budget, RateLimit, Retained};
use crate::router::Router;
use crate::router_failure::RouterFailure;
use crate::session::{self, NewConnection, SessionContext, Stopping};
use crate::tls;
use crate::watchdog::{self, Watchdog};
use crate::{BrokerError, Config};

/// How many connections may wait to be accepted, as far as the operating system lets them (`somaxconn`).
const BACKLOG: u32 = 8192;
/// How long the listener rests when the operating system has no file handle left.
const REST: Duration = Duration::from_millis(100);
/// How often it is told what has happened, if anything did, and once a day what expires.
const REPORT: Duration = Duration::from_mins(1);
const REPORTS_A_DAY: u32 = 24 * 60;

/// A running broker. Dropping it closes the port and the connections some time later; [`stop`](Self::stop) waits for
/// that.
#[derive(Debug)]
pub struct Broker {
    // first, so that it is called off before it is cut off
    watchdog: Watchdog,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    context: Arc<SessionContext>,
    listener: JoinHandle<()>,
}

/// What came of a newer configuration.
#[derive(Debug)]
#[non_exhaustive]
pub struct Reload {
    /// How many users there are now.
    pub users: usize,
    /// How many connections were told to end.
    pub cut_off: usize,
    /// The parameters that have changed and are heeded at the next start only.
    pub at_next_start: Vec<String>,
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
        let entry = CurrentCredentials::new(Credentials::load(&config, None)?);
        let address = config.listen;
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => BrokerError::InUse { address },
            _ => BrokerError::Listen { address, source },
        };
        let listener = bind(address).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (stop, stopping) = watch::channel(false);
        let router_failure = Arc::<RouterFailure>::default();
        let now = StdInstant::now();
        let limits = Limits {
            all: config.max_connections,
            of_a_user: config.max_connections_per_user,
            ids: config.max_client_ids,
        };
        let context = Arc::new(SessionContext {
            router: Router::spawn(&config),
            entry,
            clients: Arc::new(Clients::new(limits)),
            budget: Arc::new(Budget::new(config.clone())),
            retained: Arc::new(Retained::new(config.max_retained_bytes)),
            tally: Arc::<Tally>::default(),
            paces: Mutex::new([
                RateLimit::new(config.total_packets_per_second, now),
                RateLimit::new(config.total_bytes_per_second, now),
            ]),
            router_failure: Arc::clone(&router_failure),
            stopping: Stopping(stopping),
            config,
        });
        let (near, far) = UnixStream::pair().map_err(failed)?;
        far.set_nonblocking(true).map_err(failed)?;
        let far = tokio::net::UnixStream::from_std(far).map_err(failed)?;
        let watchdog = Watchdog::start(near, Arc::clone(&router_failure)).map_err(failed)?;
        let mut listener = Listener {
            socket: listener,
            handshakes: Handshakes::new(context.config.max_handshakes),
            sessions: JoinSet::new(),
            context: Arc::clone(&context),
        };
        let connection = NewConnection { identity: Some(watchdog::identity()), ..NewConnection::default() };
        let session = session::serve(far, connection, Instant::now(), Arc::clone(&context));
        listener.sessions.spawn(session);
        let listener = tokio::spawn(listener.listen());
        info!(%address, "listening");
        Ok(Self { watchdog, address, stop, context, listener })
    }

    /// Where it listens, with the port that the operating system chose.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has seen so far.
    pub fn counters(&self) -> Counters {
        self.context.tally.read()
    }

    /// Takes over from a newer configuration who may connect and as what, and the certificates and keys that it names, which are
    /// read again. Connections stay, but for those whose user is gone, or has another role or password, or has shown a certificate
    /// of authorities that are not the same any more.
    ///
    /// # Errors
    ///
    /// [`BrokerError`], with everything as it was: when a broker would not start so, and when there were users and are none.
    pub fn reload(&mut self, config: Config) -> Result<Reload, BrokerError> {
        let before = self.context.entry.now();
        let (config, at_next_start) = self.context.config.taken_over(&config.checked()?);
        if config.users.is_empty() && !before.accounts.know(None) {
            return Err(BrokerError::NobodyLeft);
        }
        let entry = Arc::new(Credentials::load(&config, Some(&before))?);
        if let Some(tls) = &entry.tls {
            tls.warn_of_expiry(SystemTime::now());
        }
        self.context.entry.replace(Arc::clone(&entry));
        // whoever takes a seat from now on looks again at what is in force
        let cut_off = self.context.clients.clear(|identity| {
            identity.is_some_and(|identity| *identity.user == *internal::USER)
                || entry.accounts.know(identity)
        });
        Ok(Reload { users: config.users.len(), cut_off, at_next_start })
    }

    /// From now on the process ends with status 70 when the router inside has died, at once when it has panicked, and
    /// also when tokio's threads are stuck.
    pub fn ends_the_process_when_dead(&self) {
        self.context.router_failure.ends_the_process();
        crate::router_failure::end_the_process_when_the_router_panics();
    }

    /// Completes when the router inside has died, which no client should be able to bring about: nobody is served any
    /// more, and the broker is to be started anew. Cancel-safe.
    pub async fn failed(&self) {
        // an error cannot be: we hold the sender
        drop(self.context.router_failure.watch().wait_for(|dead| *dead).await);
    }

    /// Closes the port and every connection; the port is free when this returns. Last wills are not published.
    pub async fn stop(self) {
        drop(self.watchdog);
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

/// Who lets connections in.
struct Listener {
    socket: TcpListener,
    handshakes: Handshakes,
    sessions: JoinSet<()>,
    context: Arc<SessionContext>,
}

impl Listener {
    async fn listen(mut self) {
        let mut stopping = self.context.stopping.clone();
        let mut place = None;
        let mut reports = interval(REPORT);
        reports.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut number = 0;
        let mut reported = Counters::default();
        loop {
            tokio::select! {
                free = self.handshakes.enter(), if place.is_none() => place = Some(free),
                accepted = self.socket.accept(), if place.is_some() => match (accepted, place.take()) {
                    (Ok((stream, from)), Some(place)) => self.accept(stream, from, place),
                    (Ok(_), None) => (),
                    (Err(error), _) => {
                        warn!(%error, "cannot accept a connection");
                        sleep(REST).await;
                    }
                },
                Some(ended) = self.sessions.join_next() => if let Err(error) = ended {
                    self.context.tally.panicked();
                    error!(%error, "a session ended by itself");
                },
                _ = reports.tick() => {
                    if number % REPORTS_A_DAY == 0 && let Some(tls) = &self.context.entry.now().tls {
                        tls.warn_of_expiry(SystemTime::now());
                    }
                    number += 1;
                    report(self.context.tally.read(), &mut reported);
                }
                () = stopping.asked() => break,
            }
        }
        drop(self.socket);
        while self.sessions.join_next().await.is_some() {}
    }

    fn accept(&mut self, stream: TcpStream, from: SocketAddr, place: Place) {
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%from, %error, "already gone");
            return;
        }
        let deadline = Instant::now() + self.context.config.connect_timeout;
        let context = Arc::clone(&self.context);
        let entry = self.context.entry.now();
        if entry.tls.is_some() {
            self.sessions.spawn(shake_hands(stream, from, entry, place, deadline, context));
        } else {
            let connection = NewConnection { place: Some(place), ..NewConnection::default() };
            self.sessions.spawn(session::serve(stream, connection, deadline, context));
        }
    }
}

/// Serves a connection after its TLS handshake.
async fn shake_hands(
    stream: TcpStream,
    from: SocketAddr,
    entry: Arc<Credentials>,
    mut place: Place,
    deadline: Instant,
    context: Arc<SessionContext>,
) {
    let Some(tls) = &entry.tls else { return };
    let mut stopping = context.stopping.clone();
    let shaken = tokio::select! {
        shaken = timeout_at(deadline, tls.accept(stream)) => shaken,
        () = place.evicted() => return context.tally.evicted(),
        () = stopping.asked() => return,
    };
    match shaken {
        Ok(Ok(stream)) => {
            let certificate = tls::peer_name(&stream);
            let connection =
                NewConnection { place: Some(place), certificate, entry: Some(entry), identity: None };
            session::serve(stream, connection, deadline, context).await;
        }
        Ok(Err(error)) => {
            context.tally.handshake_failed();
            if context.tally.may_log() {
                warn!(%from, %error, "no TLS handshake");
            }
        }
        Err(_) => debug!(%from, "too slow a TLS handshake"),
    }
}

/// Says what has happened since the last time, if anything is worth it.
fn report(counters: Counters, reported: &mut Counters) {
    let quiet = Counters { messages_in: 0, messages_out: 0, connected: 0, ..counters };
    let before = Counters { messages_in: 0, messages_out: 0, connected: 0, ..*reported };
    if quiet != before {
        info!(?counters, "so far");
    }
    *reported = counters;
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use rumqttd::protocol::{Packet, Publish};
    use tokio::time::timeout;

    use super::*;

    /// What the issue allows from the router's death to the next start.
    const TIME: Duration = Duration::from_secs(6);
    const CHILD: &str = "BROKER_TEST_CHILD";

    async fn start() -> Broker {
        let config = Config { listen: ([127, 0, 0, 1], 0).into(), ..Config::default() };
        Broker::start(config).await.unwrap()
    }

    /// Makes the router's thread panic, as no client can.
    async fn kill_router(broker: &Broker) {
        let (mut link, _) = broker.context.router.attach("killer", true).unwrap();
        // once another publish was seen, so is the watchdog's filter
        let publish = Publish::new("\u{e9}/a", "x", false);
        link.send([Packet::Publish(publish, None)]).await.unwrap();
    }

    #[tokio::test]
    async fn a_dead_router_is_noticed() {
        let broker = start().await;
        // the watchdog has subscribed
        while broker.counters().messages_in == 0 {
            tokio::task::yield_now().await;
        }
        assert!(timeout(Duration::from_millis(50), broker.failed()).await.is_err());
        kill_router(&broker).await;
        timeout(TIME, broker.failed()).await.expect("in time");
        broker.stop().await;
    }

    /// The child's part: a broker whose router dies, and nothing else that would end the process.
    #[tokio::test]
    async fn child() {
        let Ok(part) = std::env::var(CHILD) else { return };
        let broker = start().await;
        while broker.counters().messages_in == 0 {
            tokio::task::yield_now().await;
        }
        match part.as_str() {
            "the panic hook" => broker.ends_the_process_when_dead(),
            _ => broker.context.router_failure.ends_the_process(),
        }
        kill_router(&broker).await;
        if part == "a stuck runtime" {
            // the only thread of this runtime does nothing any more
            std::thread::sleep(3 * TIME);
        }
        sleep(3 * TIME).await;
    }

    #[test]
    fn a_dead_router_is_the_end_of_the_process() {
        for part in ["the panic hook", "the watchdog", "a stuck runtime"] {
            let start = StdInstant::now();
            let status = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "broker::tests::child"])
                .env(CHILD, part)
                .output()
                .unwrap()
                .status;
            assert_eq!(status.code(), Some(crate::router_failure::STATUS), "{part}");
            assert!(start.elapsed() < TIME, "{part}: {:?}", start.elapsed());
        }
    }
}
