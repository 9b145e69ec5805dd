//! One client's connection, from its first byte to its last.

use std::future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, info, warn};

use crate::Config;
use crate::clients::{Clients, Seat};
use crate::front::{Connect, Flow, Front, Refusal, refused_connack};
use crate::router::{Router, RouterGone, RouterLink};

/// How long a connection may take to say who it is.
const CONNECT: Duration = Duration::from_secs(10);
/// How long the last bytes to a client that is cut off may take.
const FAREWELL: Duration = Duration::from_secs(1);
/// How much may wait for a client to read it before nothing more is taken from it or from the router.
const OUTPUT: usize = 64 << 10;
/// How much is read at a time, at least.
const INPUT: usize = 4 << 10;

/// What all sessions share.
pub(crate) struct Hall {
    pub(crate) config: Config,
    pub(crate) router: Router,
    pub(crate) clients: Arc<Clients>,
    pub(crate) seats: Semaphore,
    /// Set when the router is found dead.
    pub(crate) router_gone: watch::Sender<bool>,
    pub(crate) stopping: Stopping,
}

/// Set when the broker is to stop.
#[derive(Clone, Debug)]
pub(crate) struct Stopping(pub(crate) watch::Receiver<bool>);

impl Stopping {
    /// Completes when the broker is to stop, or was dropped. Cancel-safe.
    pub(crate) async fn asked(&mut self) {
        drop(self.0.wait_for(|stopping| *stopping).await);
    }
}

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("it said goodbye")]
    Left,
    #[error("it closed the connection")]
    Closed,
    #[error("it was silent for too long")]
    Silent,
    #[error("its connection broke: {0}")]
    Broken(#[from] io::Error),
    #[error("somebody else connected with its id")]
    TakenOver,
    #[error("the broker stops")]
    Stopping,
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    RouterGone(#[from] RouterGone),
}

/// Serves a connection until it ends.
pub(crate) async fn serve(stream: impl AsyncRead + AsyncWrite, hall: Arc<Hall>) {
    let (reader, writer) = tokio::io::split(stream);
    let mut session = Session {
        reader,
        writer,
        input: BytesMut::with_capacity(INPUT),
        output: BytesMut::new(),
        stopping: hall.stopping.clone(),
    };
    let mut client = String::new();
    let end = session.run(&hall, &mut client).await;
    match &end {
        End::Left | End::Closed | End::Stopping => debug!(client, "left: {end}"),
        End::Silent | End::Broken(_) | End::TakenOver => info!(client, "gone: {end}"),
        End::Refused(_) => warn!(client, "cut off: {end}"),
        End::RouterGone(_) => _ = hall.router_gone.send_replace(true),
    }
    if let End::Refused(refusal) = &end
        && client.is_empty()
    {
        session.output.extend(refused_connack(refusal).into_iter().flatten());
    }
    session.farewell().await;
}

struct Session<S> {
    reader: ReadHalf<S>,
    writer: WriteHalf<S>,
    input: BytesMut,
    output: BytesMut,
    stopping: Stopping,
}

impl<S: AsyncRead + AsyncWrite> Session<S> {
    /// Sets `client` as soon as it is known to be admitted.
    async fn run(&mut self, hall: &Hall, client: &mut String) -> End {
        let connect = match timeout(CONNECT, self.connect(&hall.config)).await {
            Ok(Ok(connect)) => connect,
            Ok(Err(end)) => return end,
            Err(_) => return End::Silent,
        };
        let Ok(_permit) = hall.seats.try_acquire() else {
            return Refusal::Full.into();
        };
        client.clone_from(&connect.client);
        let mut seat = hall.clients.take(&connect.client).await;
        let (mut link, connack) = match hall.router.attach(&connect.client, connect.clean) {
            Ok(attached) => attached,
            Err(gone) => return gone.into(),
        };
        let mut front = Front::new(hall.config.max_packet_bytes);
        let Err(end) = match front.outgoing(connack, &mut self.output) {
            Ok(_) => self.relay(&mut front, &mut link, &mut seat, connect.patience).await,
            Err(refusal) => Err(refusal.into()),
        };
        let will = connect.will.filter(|_| !matches!(end, End::Left | End::Stopping));
        // before the seat is left: see `router`
        match link.detach(will).await {
            Ok(()) => end,
            Err(gone) => gone.into(),
        }
    }

    async fn connect(&mut self, config: &Config) -> Result<Connect, End> {
        loop {
            if let Some(connect) = Connect::read(&mut self.input, config)? {
                return Ok(connect);
            }
            tokio::select! {
                read = self.reader.read_buf(&mut self.input) => if read? == 0 {
                    return Err(End::Closed);
                },
                () = self.stopping.asked() => return Err(End::Stopping),
            }
        }
    }

    async fn relay(
        &mut self,
        front: &mut Front,
        link: &mut RouterLink,
        seat: &mut Seat,
        patience: Option<Duration>,
    ) -> Result<std::convert::Infallible, End> {
        let mut packets = Vec::new();
        let mut heard = Instant::now();
        loop {
            let flow = front.incoming(&mut self.input, &mut packets, &mut self.output);
            link.send(packets.drain(..)).await?;
            match flow? {
                Flow::Leave => return Err(End::Left),
                Flow::Read(bytes) => self.input.reserve(bytes.max(INPUT)),
            }
            // until the client was heard again
            loop {
                let room = self.output.len() < OUTPUT;
                tokio::select! {
                    read = self.reader.read_buf(&mut self.input), if room => {
                        if read? == 0 {
                            return Err(End::Closed);
                        }
                        heard = Instant::now();
                        break;
                    }
                    notification = link.recv(), if room => {
                        let mut next = Some(notification?);
                        while let Some(notification) = next {
                            if let Some(notification) = notification
                                && !front.outgoing(notification, &mut self.output)?
                            {
                                link.caught_up().await?;
                            }
                            if self.output.len() >= OUTPUT {
                                break;
                            }
                            next = tokio::select! {
                                biased;
                                more = link.recv() => Some(more?),
                                () = future::ready(()) => None,
                            };
                        }
                    }
                    written = self.writer.write_buf(&mut self.output), if !self.output.is_empty() => {
                        written?;
                    }
                    () = sleep_until(heard + patience.unwrap_or_default()), if patience.is_some() => {
                        return Err(End::Silent);
                    }
                    () = seat.asked_to_leave() => return Err(End::TakenOver),
                    () = self.stopping.asked() => return Err(End::Stopping),
                }
            }
        }
    }

    /// Writes what is left for the client, and closes.
    async fn farewell(mut self) {
        let last = async {
            self.writer.write_all_buf(&mut self.output).await?;
            self.writer.shutdown().await
        };
        if let Ok(Err(error)) | Err(error) = timeout(FAREWELL, last).await.map_err(io::Error::from) {
            debug!(%error, "closed without a farewell");
        }
    }
}
