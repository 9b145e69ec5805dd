//! One client's connection, from its first byte to its last.

use std::future;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use rumqttd::Notification;
use rumqttd::protocol::Packet;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::watch;
use tokio::task::coop::consume_budget;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tracing::{debug, info, warn};

use crate::Config;
use crate::clients::{ClientIdSlot, Clients, Leave};
use crate::counters::Tally;
use crate::credentials::{Credentials, CurrentCredentials};
use crate::handshakes::Place;
use crate::packet_filter::{
    Budget, Connect, Flow, Identity, LogOffsets, PacketFilter, RateLimit, Refusal, Retained, refused_connack,
};
use crate::router::{Router, RouterGone, RouterLink};
use crate::router_failure::RouterFailure;

/// How long the last bytes to a client that is cut off may take.
const FAREWELL: Duration = Duration::from_secs(1);
/// How much may wait for a client to read it before nothing more is taken from it or from the router.
const OUTPUT: usize = 64 << 10;
/// How much is read at a time, at least.
const INPUT: usize = 2 << 10;

/// What all sessions share.
#[derive(Debug)]
pub(crate) struct SessionContext {
    pub(crate) config: Config,
    pub(crate) router: Router,
    pub(crate) entry: CurrentCredentials,
    pub(crate) clients: Arc<Clients>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) retained: Arc<Retained>,
    pub(crate) tally: Arc<Tally>,
    /// How fast all together may send: packets, bytes.
    pub(crate) paces: Mutex<[RateLimit; 2]>,
    pub(crate) router_failure: Arc<RouterFailure>,
    pub(crate) stopping: Stopping,
}

/// What is known of a client before it has said anything.
#[derive(Debug, Default)]
pub(crate) struct NewConnection {
    /// Its place among those who have not said who they are, if it needs one.
    pub(crate) place: Option<Place>,
    /// The name in the certificate it has shown.
    pub(crate) certificate: Option<String>,
    /// What was in force when it has shown that.
    pub(crate) entry: Option<Arc<Credentials>>,
    /// Who it is, if that is known.
    pub(crate) identity: Option<Arc<Identity>>,
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
    #[error("it took too long to say who it is, and others waited")]
    Evicted,
    #[error("its connection broke: {0}")]
    Broken(#[from] io::Error),
    #[error(
        "somebody else connected with its id: where that goes on, two run with one configuration, such as two agents of one meter; \
         stop one"
    )]
    TakenOver,
    #[error("its user is gone from the settings, or has changed there")]
    Unwanted,
    #[error("the broker stops")]
    Stopping,
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    RouterGone(#[from] RouterGone),
}

/// Serves a connection until it ends. By `deadline` it is to have said who it is.
pub(crate) async fn serve(
    stream: impl AsyncRead + AsyncWrite,
    connection: NewConnection,
    deadline: Instant,
    context: Arc<SessionContext>,
) {
    let (reader, writer) = tokio::io::split(stream);
    let mut session = Session {
        reader,
        writer,
        input: BytesMut::with_capacity(INPUT),
        output: BytesMut::new(),
        unflushed: false,
        stopping: context.stopping.clone(),
    };
    let (mut client, mut user) = (String::new(), String::new());
    let end = session.run(&context, connection, deadline, (&mut client, &mut user)).await;
    let let_in = !client.is_empty();
    match &end {
        End::Left | End::Closed | End::Stopping => debug!(client, "left: {end}"),
        End::Silent | End::Broken(_) | End::TakenOver | End::Unwanted => info!(client, "gone: {end}"),
        End::Evicted => context.tally.evicted(),
        End::Refused(refusal) => {
            context.tally.refused(refusal, let_in);
            if context.tally.may_log() {
                warn!(client, user, "cut off: {end}");
            }
        }
        End::RouterGone(_) => context.router_failure.has_come("its channel is closed"),
    }
    if let End::Refused(refusal) = &end
        && !let_in
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
    /// Whether something was written that may lie in the TLS layer.
    unflushed: bool,
    stopping: Stopping,
}

impl<S: AsyncRead + AsyncWrite> Session<S> {
    /// Sets `client` as soon as it is known to be admitted, `user` as soon as it says who it is.
    async fn run(
        &mut self,
        context: &SessionContext,
        mut connection: NewConnection,
        deadline: Instant,
        (client, user): (&mut String, &mut String),
    ) -> End {
        let place = connection.place.take();
        let entered = match place {
            None => self.enter(context, connection, user).await,
            Some(mut place) => tokio::select! {
                biased;
                entered = timeout_at(deadline, self.enter(context, connection, user)) => {
                    entered.unwrap_or(Err(End::Silent))
                }
                () = place.evicted() => Err(End::Evicted),
            },
        };
        let (connect, identity, mut seat) = match entered {
            Ok(entered) => entered,
            Err(end) => return end,
        };
        client.push_str(seat.client());
        context.tally.connected();
        let kept = !connect.clean;
        let log_offsets = seat.take_trail(kept);
        let (mut link, connack, log_offsets) =
            match attach(context, seat.client(), identity.as_deref(), log_offsets, kept).await {
                Ok(attached) => attached,
                Err(gone) => return gone.into(),
            };
        let (budget, retained) = (Arc::clone(&context.budget), Arc::clone(&context.retained));
        let mut front =
            PacketFilter::new(context.config.max_packet_bytes, identity, budget, retained, log_offsets);
        let Err(end) = match front.outgoing(connack, &mut self.output) {
            Ok(_) => self.relay(context, &mut front, &mut link, &mut seat, connect.patience).await,
            Err(refusal) => Err(refusal.into()),
        };
        if kept {
            seat.keep_offsets(front.into_offsets());
        }
        // whoever is unwanted has no right to a last word, or has another one by now
        let will = connect.will.filter(|_| !matches!(end, End::Left | End::Stopping | End::Unwanted));
        if let Some(will) = will.as_ref().filter(|will| will.retain)
            && let Err(refusal) = context.retained.keep(&will.topic, will.message.clone(), will.qos)
        {
            context.tally.refused(&refusal, true);
            if context.tally.may_log() {
                warn!(client, "its will is not retained: {refusal}");
            }
        }
        // before the seat is left: see `router`
        match link.detach(will).await {
            Ok(()) => end,
            Err(gone) => gone.into(),
        }
    }

    /// Has the client say and prove who it is, and finds it a seat.
    async fn enter(
        &mut self,
        context: &SessionContext,
        connection: NewConnection,
        user: &mut String,
    ) -> Result<(Connect, Option<Arc<Identity>>, ClientIdSlot), End> {
        let connect = self.connect(&context.config).await?;
        // what anybody may say, for a line of the log
        user.extend(connect.login.iter().flat_map(|login| login.username.chars().take(64)));
        if let Some(known) = connection.identity {
            let seat = context.clients.take(connect.client.as_deref(), Some(&known)).await?;
            return Ok((connect, Some(known), seat));
        }
        let entry = connection.entry.unwrap_or_else(|| context.entry.now());
        let login = connect.login.as_ref();
        let identity = entry.accounts.identify(connection.certificate.as_deref(), login).await?;
        connect.admit(identity.as_deref(), &context.budget, &context.retained)?;
        let seat = context.clients.take(connect.client.as_deref(), identity.as_ref()).await?;
        // other users may be in force by now; whoever has a seat before that is asked to leave it
        if !context.entry.now().accounts.know(identity.as_ref()) {
            return Err(Refusal::Credentials.into());
        }
        Ok((connect, identity, seat))
    }

    async fn connect(&mut self, config: &Config) -> Result<Connect, End> {
        loop {
            if let Some(connect) = Connect::read(&mut self.input, config.max_packet_bytes)? {
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
        context: &SessionContext,
        front: &mut PacketFilter,
        link: &mut RouterLink,
        seat: &mut ClientIdSlot,
        patience: Option<Duration>,
    ) -> Result<std::convert::Infallible, End> {
        let mut packets = Vec::new();
        let mut heard = Instant::now();
        let config = &context.config;
        let mut paces = [config.packets_per_second, config.bytes_per_second]
            .map(|per_second| RateLimit::new(per_second, heard.into_std()));
        loop {
            let waiting = self.input.len();
            let flow = front.incoming(&mut self.input, &mut packets, &mut self.output);
            let refused = front.take_refused();
            let taken = [packets.len() + refused.len(), waiting - self.input.len()];
            let messages = packets.iter().filter(|packet| matches!(packet, Packet::Publish(..))).count();
            context.tally.messages(messages, 0);
            link.send(packets.drain(..)).await?;
            for refusal in refused {
                context.tally.subscription_refused();
                if context.tally.may_log() {
                    warn!(client = seat.client(), "subscription refused: {refusal}");
                }
            }
            match flow? {
                Flow::Leave => return Err(End::Left),
                Flow::Read(bytes) => self.input.reserve(bytes.max(INPUT)),
            }
            let now = Instant::now();
            let pause = charge(&mut paces, taken, now).max(context.charge(taken, now));
            let resume = now + pause;
            let mut resting = !pause.is_zero();
            // until the client was heard again
            loop {
                let room = self.output.len() < OUTPUT;
                tokio::select! {
                    read = self.reader.read_buf(&mut self.input), if room && !resting => {
                        if read? == 0 {
                            return Err(End::Closed);
                        }
                        heard = Instant::now();
                        break;
                    }
                    () = sleep_until(resume), if resting => resting = false,
                    notification = link.recv(), if room => {
                        self.forward(context, front, link, seat.client(), notification?).await?;
                    }
                    // beside what is live: whichever is chosen, of those that are ready
                    () = consume_budget(), if room && front.can_replay() => {
                        context.tally.messages(0, front.replay(&mut self.output, OUTPUT));
                    }
                    unflushed = write(&mut self.writer, &mut self.output),
                        if self.unflushed || !self.output.is_empty() =>
                    {
                        self.unflushed = unflushed?;
                        // a large burst's room is given back
                        if self.output.is_empty() && self.output.capacity() > OUTPUT {
                            self.output = BytesMut::new();
                        }
                    }
                    () = sleep_until(heard.max(resume) + patience.unwrap_or_default()), if patience.is_some() => {
                        return Err(End::Silent);
                    }
                    why = seat.asked_to_leave() => return Err(match why {
                        Leave::ForSuccessor => End::TakenOver,
                        Leave::Unwanted => End::Unwanted,
                    }),
                    () = self.stopping.asked() => return Err(End::Stopping),
                }
            }
        }
    }

    /// Takes from the router what there is, beginning with this, until enough waits for the client.
    async fn forward(
        &mut self,
        context: &SessionContext,
        front: &mut PacketFilter,
        link: &mut RouterLink,
        client: &str,
        notification: Option<Notification>,
    ) -> Result<(), End> {
        let mut next = Some(notification);
        let mut messages = 0;
        while let Some(notification) = next {
            if let Some(notification) = notification {
                messages += usize::from(matches!(notification, Notification::Forward(_)));
                if !front.outgoing(notification, &mut self.output)? {
                    link.caught_up().await?;
                }
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
        context.tally.messages(0, messages);
        link.send(front.take_hidden()).await?;
        let lost = front.take_lost();
        if lost > 0 {
            context.tally.lost(lost);
            if context.tally.may_log() {
                warn!(
                    client,
                    messages = lost,
                    "was slow or away for longer than its filter's log lasts: what was dropped comes only from whoever \
                     sent it"
                );
            }
        }
        Ok(())
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

/// Attaches a client to the router, and to its earlier session if that is to be kept; also what is known of that.
async fn attach(
    context: &SessionContext,
    client: &str,
    identity: Option<&Identity>,
    mut log_offsets: LogOffsets,
    kept: bool,
) -> Result<(RouterLink, Notification, LogOffsets), RouterGone> {
    // what its user might subscribe to and may no longer is forgotten, with the rest
    if !log_offsets.is_allowed(identity) {
        context.router.attach(client, true)?.0.detach(None).await?;
        log_offsets = LogOffsets::default();
    }
    let (link, connack) = context.router.attach(client, !kept)?;
    Ok((link, connack, log_offsets))
}

/// Writes some of what waits, or flushes when nothing does; whether something remains to be flushed. Cancel-safe.
async fn write(writer: &mut (impl AsyncWrite + Unpin), output: &mut BytesMut) -> io::Result<bool> {
    if output.is_empty() {
        writer.flush().await?;
        return Ok(false);
    }
    writer.write_buf(output).await?;
    Ok(true)
}

impl SessionContext {
    /// Charges what all may send together.
    fn charge(&self, taken: [usize; 2], now: Instant) -> Duration {
        charge(&mut self.paces.lock().unwrap_or_else(PoisonError::into_inner), taken, now)
    }
}

/// Charges packets and bytes; the longer of the pauses.
fn charge(paces: &mut [RateLimit; 2], taken: [usize; 2], now: Instant) -> Duration {
    let pauses = paces.iter_mut().zip(taken).map(|(pace, taken)| pace.charge(taken, now.into_std()));
    pauses.max().unwrap_or_default()
}
